"""The operator's commands, from an empty machine to a service that records."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha384
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import column, create_engine, func, select, table

from consent_service import __version__, config, db
from consent_service.app import build
from consent_service.cli import main
from consent_service.key_file import KEY_KINDS
from consent_service.tenants.service import find_site
from tests import servers
from tests.builders import ORIGIN, make_notice
from tests.databases import Urls

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder, with a database that nobody has made yet."""
    monkeypatch.chdir(tmp_path)
    environ = {"CONSENT_DATABASE_URL": f"sqlite:///{tmp_path}/consent.db"}

    def run(*arguments: str, **options: Any) -> Result:  # noqa: ANN401
        result = CliRunner(env=environ | options.pop("env", {})).invoke(main, arguments, **options)
        # Whatever happens, the operator sees no traceback.
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def done(result: Result) -> str:
    """Return what a command said that did what it should."""
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    """Return what the operator is told, on standard error alone."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr
    return result.stderr


def notice_file(folder: Path, **changes: Any) -> str:  # noqa: ANN401
    path = folder / "notice.json"
    path.write_text(json.dumps(make_notice(**changes)))
    return str(path)


def site_of(output: str) -> str:
    """Return the key of the site that was made."""
    found = re.search(r"Site (site_\S+) made", output)
    assert found
    return found[1]


def test_from_nothing_to_a_recorded_decision(run: Run, empty_urls: Urls, tmp_path: Path) -> None:
    environ = {
        "CONSENT_DATABASE_URL": empty_urls.served,
        "CONSENT_OWNER_DATABASE_URL": empty_urls.owner,
        "CONSENT_PUBLIC_URL": "https://consent.example.com",
    }
    said = done(run("key", "rotate", env=environ))
    assert re.search(r"New record key \S+, in use from \d\d:\d\d:\d\d UTC", said)
    assert "New token key" in said
    assert "revision" in done(run("db", "upgrade", env=environ))
    assert "site create momo-pulse" in done(
        run("tenant", "create", "momo-pulse", "--name", "Momo Pulse", env=environ)
    )
    said = done(
        run(
            *("site", "create", "momo-pulse", "--name", "App", "--origin", ORIGIN),
            *("--origin", "http://localhost:8000", "--cookie-domain", "example.com"),
            *("--regime", "GB=opt_out", "--regime", "*=notice", "--time-zone", "Africa/Lagos"),
            env=environ,
        )
    )
    key = site_of(said)
    assert f'<script src="https://consent.example.com/embed/{key}.js" async></script>' in said
    assert f"notice publish FILE --site {key}" in said
    said = done(run("notice", "publish", notice_file(tmp_path), "--site", key, env=environ))
    assert re.search(r"Version 1 is in force: sha256:[0-9a-f]{64}", said)

    built = build(config.load({**environ, "CONSENT_KEYS_FILE": str(tmp_path / "var/keys.json")}))
    site = find_site(built.database, key)
    assert site.allowed_origins == {ORIGIN, "http://localhost:8000"}
    assert site.cookie_domain == "example.com"
    assert site.regime_overrides == {"GB": "opt_out", "*": "notice"}
    assert site.time_zone == "Africa/Lagos"
    response = built.flask.test_client().post(
        f"/v1/sites/{key}/consents",
        headers={"Origin": ORIGIN},
        json={
            "choices": {"analytics": True, "preferences": False},
            "action": "save",
            "notice_version": 1,
            "language": "sw",
            "surface": "banner",
        },
    )
    assert response.status_code == 201
    built.database.close()


@pytest.fixture
def site_key(run: Run) -> str:
    """A site that was made by the commands."""
    done(run("db", "upgrade"))
    done(run("tenant", "create", "momo", "--name", "Momo"))
    return site_of(done(run("site", "create", "momo", "--name", "App", "--origin", ORIGIN)))


def test_the_snippet_is_what_the_service_serves(run: Run, site_key: str, tmp_path: Path) -> None:
    environ = {"CONSENT_PUBLIC_URL": "https://consent.example.com"}
    said = done(run("site", "snippet", site_key, env=environ))
    whole = f'<script src="https://consent.example.com/embed/{site_key}.js" async></script>'
    assert whole in said
    tag = re.search(
        r'<script src="https://consent\.example\.com(/embed/widget-[0-9a-f]{16}\.js)"\s+'
        rf'data-site="{site_key}" integrity="sha384-(\S+)"\s+'
        r'crossorigin="anonymous" async></script>',
        said,
    )
    assert tag
    done(run("key", "rotate"))
    built = build(config.load({"CONSENT_DATABASE_URL": f"sqlite:///{tmp_path}/consent.db"}))
    response = built.flask.test_client().get(tag[1])
    assert response.status_code == 200
    assert b64encode(sha384(response.data).digest()).decode() == tag[2]
    built.database.close()


def test_a_snippet_needs_a_site_and_the_services_address(run: Run, site_key: str) -> None:
    assert "Set CONSENT_PUBLIC_URL" in refused(run("site", "snippet", site_key))
    environ = {"CONSENT_PUBLIC_URL": "https://consent.example.com"}
    assert "key" in refused(run("site", "snippet", "site_nobody", env=environ))


def test_visitors_are_asked_again_only_after_a_material_change(
    run: Run, site_key: str, tmp_path: Path
) -> None:
    policy = make_notice()["policy"]
    for material, expected in (
        (True, "Visitors are asked again."),
        (False, "Earlier choices stay valid."),
    ):
        path = notice_file(tmp_path, policy={**policy, "material": material})
        assert expected in done(run("notice", "publish", path, "--site", site_key))


def test_a_notice_may_come_from_standard_input(run: Run, site_key: str) -> None:
    said = done(run("notice", "publish", "-", "--site", site_key, input=json.dumps(make_notice())))
    assert "Version 1" in said


def test_the_audit_log_is_written_to_a_file_and_to_standard_output(
    run: Run, site_key: str, tmp_path: Path
) -> None:
    done(run("notice", "publish", notice_file(tmp_path), "--site", site_key))
    done(run("key", "rotate"))
    file = tmp_path / "log.csv"
    done(run("audit", "export", "momo", "--format", "csv", "--output", str(file)))
    rows = file.read_bytes().decode().split("\r\n")
    assert [row.split(",")[5].strip('"') for row in rows[1:4]] == [
        "notice.published",
        "site.created",
        "tenant.created",
    ]
    assert rows[4].startswith("#end,3,")
    lines = done(run("audit", "export", "momo")).splitlines()
    assert any(line.startswith('{"end":true,"rows":3,') for line in lines)
    (none,) = done(run("audit", "export", "momo", "--until", "2026-01-01")).splitlines()
    assert none.startswith('{"end":true,"rows":0,')
    assert "no such tenant" in refused(run("audit", "export", "nobody"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "not JSON at line 1, column 2"),
        (b"\xff", "not UTF-8"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"languages": [], "languages": []}', "'languages' stands twice"),
        (b"[]", "A notice is one JSON object"),
        (b"{}", "dpo: The law asks for"),
    ],
)
def test_a_notice_that_cannot_be_published_is_explained(
    run: Run, site_key: str, tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "notice.json"
    path.write_bytes(content)
    assert told in refused(run("notice", "publish", str(path), "--site", site_key))


def test_what_is_missing_in_a_notice_is_named_by_its_path(
    run: Run, site_key: str, tmp_path: Path
) -> None:
    purposes = make_notice()["purposes"]
    del purposes[1]["texts"]["sw"]["description"]
    path = notice_file(tmp_path, purposes=purposes, dpo={"name": "D", "email": "x", "address": "A"})
    told = refused(run("notice", "publish", path, "--site", site_key))
    assert "purposes.1.texts.sw.description: Missing data" in told
    assert "dpo.email: Not a valid email" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tenant", "create", "Momo", "--name", "x"], "slug: Use lower-case"),
        (["tenant", "create", "momo", "--name", "x"], "slug: Another tenant has this slug"),
        (["tenant", "create", "other", "--name", "x" * 201], "name: Give a name"),
        (["tenant", "create", "other"], "--name"),
        (["site", "create", "nobody", "--name", "x", "--origin", ORIGIN], "no such tenant"),
        (["site", "create", "momo", "--name", "x", "--origin", "https://["], "is not an origin"),
        (
            ["site", "create", "momo", "--name", "x", "--origin", ORIGIN, "--cookie-domain", "."],
            "cookie_domain: Write it like",
        ),
        *(
            (
                ["site", "create", "momo", "--name", "x", "--origin", ORIGIN, "--regime", wrong],
                told,
            )
            for wrong, told in (
                ("GB", "regime_overrides.GB: Give one of opt_in, opt_out, notice"),
                ("GB=", "regime_overrides.GB: Give one of"),
                ("GB=maybe", "regime_overrides.GB: Give one of"),
                ("ZZ=opt_in", "regime_overrides.ZZ: The table has no such region"),
                ("", "regime_overrides.: The table has no such region"),
            )
        ),
        (["notice", "publish", "nowhere.json", "--site", "site_x"], "nowhere.json"),
        (["notice", "publish", "-", "--site", "site_nobody"], "No site"),
        (["site", "link-key", "retire", "site_nobody", "1"], "No site"),
        (["site", "link-key", "add", "site_nobody"], "consent-service key rotate"),
        (["key", "rotate", "session"], "session"),
        (["demo", "--port", "x"], "port"),
        (["demo", "--port", "65536"], "port"),
        (["sing"], "sing"),
    ],
)
@pytest.mark.usefixtures("site_key")
def test_what_is_not_right_is_explained(run: Run, arguments: list[str], told: str) -> None:
    assert told in refused(run(*arguments, input="{}"))


COMMANDS = [
    ["serve"],
    ["tenant", "create", "momo", "--name", "Momo"],
    ["site", "create", "momo", "--name", "App", "--origin", ORIGIN],
    ["site", "link-key", "add", "site_x"],
    ["site", "link-key", "list", "site_x"],
    ["site", "link-key", "retire", "site_x", "1"],
    ["notice", "publish", "-", "--site", "site_x"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_database_of_another_version_says_how_to_mend_it(run: Run, arguments: list[str]) -> None:
    done(run("key", "rotate"))
    assert "Run: consent-service db upgrade" in refused(run(*arguments, input="{}"))


@pytest.mark.parametrize("arguments", [["db", "upgrade"], *COMMANDS[1:]], ids=" ".join)
def test_a_database_that_is_away_is_named_with_its_reason(run: Run, arguments: list[str]) -> None:
    done(run("key", "rotate"))
    away = {
        "CONSENT_DATABASE_URL": "postgresql://nobody:s3cr3t@127.0.0.1:1/nothing",
        "CONSENT_OWNER_DATABASE_URL": "postgresql://owner:s3cr3t@127.0.0.1:1/nothing",
    }
    told = refused(run(*arguments, input="{}", env=away))
    assert "The database cannot do this now" in told
    assert "127.0.0.1" in told
    assert "s3cr3t" not in told


def test_a_folder_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    inside = f"{tmp_path}/file"
    told = refused(run("key", "rotate", env={"CONSENT_KEYS_FILE": f"{inside}/keys.json"}))
    assert f"{inside}/keys.json cannot be written" in told
    told = refused(run("db", "upgrade", env={"CONSENT_DATABASE_URL": f"sqlite:///{inside}/a.db"}))
    assert "unable to open database file" in told


def test_every_command_checks_the_settings_first(run: Run) -> None:
    for arguments in (["db", "upgrade"], ["key", "rotate"], *COMMANDS):
        told = refused(run(*arguments, input="{}", env={"CONSENT_PROT": "1", "CONSENT_PORT": "x"}))
        assert "CONSENT_PROT is not a setting" in told
        assert "CONSENT_PORT must be" in told


def test_serving_without_keys_says_how_to_make_them(run: Run) -> None:
    done(run("db", "upgrade"))
    assert "Make it with: consent-service key rotate" in refused(run("serve"))
    done(run("key", "rotate", "token"))
    assert "Make one with: consent-service key rotate record" in refused(run("serve"))


def test_keys_are_rotated_together_or_apart(run: Run, tmp_path: Path) -> None:
    counts = []
    for kind in ([], ["record"], ["token"], ["data"], ["all"]):
        done(run("key", "rotate", *kind))
        found = json.loads((tmp_path / "var/keys.json").read_bytes())
        counts.append(tuple(len(found[name]) for name in KEY_KINDS))
    assert counts == [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (3, 3, 3)]


def test_link_keys_are_made_shown_once_and_retired(run: Run, site_key: str) -> None:
    done(run("key", "rotate"))
    assert "site link-key add" in done(run("site", "link-key", "list", site_key))
    secrets = []
    for number in (1, 2):
        made = done(run("site", "link-key", "add", site_key))
        assert f"kid     {number}\n" in made
        secrets += re.findall(r"secret  (link_[\w-]{43})\n", made)
    assert len(set(secrets)) == 2
    retire = ("site", "link-key", "retire", site_key)
    assert "is retired" in done(run(*retire, "1"))
    for unused in ("1", "3"):
        assert f"no link key {unused} in use" in refused(run(*retire, unused))
    first, second = done(run("site", "link-key", "list", site_key)).splitlines()
    assert re.fullmatch(r"1  made [\d-]+  retired [\d-]+", first)
    assert re.fullmatch(r"2  made [\d-]+  in use", second)


def test_a_link_key_whose_origin_is_lost_is_listed_so(
    run: Run, site_key: str, tmp_path: Path
) -> None:
    done(run("key", "rotate"))
    done(run("site", "link-key", "add", site_key))
    (tmp_path / "var/keys.json").unlink()
    done(run("key", "rotate"))
    assert "lost" in done(run("site", "link-key", "list", site_key))


def test_upgrading_twice_is_safe(run: Run) -> None:
    said = [done(run("db", "upgrade")) for _ in range(2)]
    assert said[0] == said[1] == f"The tables are at revision {db.newest_revision()}.\n"


def test_the_version_is_told(run: Run) -> None:
    assert done(run("--version")) == f"consent-service, version {__version__}\n"


def test_a_port_that_is_taken_is_named(run: Run) -> None:
    done(run("key", "rotate"))
    done(run("db", "upgrade"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused(run("demo", "--port", str(port)))
        assert f"Port {port} of 127.0.0.1 cannot be used" in told
        assert f"make demo PORT={port + 1}" in told
        told = refused(run("serve", env={"CONSENT_PORT": str(port)}))
        assert f"Port {port} of 127.0.0.1 cannot be used" in told
        assert "CONSENT_PORT" in told


def test_an_address_that_is_not_this_machines_is_named(run: Run) -> None:
    done(run("key", "rotate"))
    done(run("db", "upgrade"))
    for host in ("192.0.2.1", "2001:db8::1"):
        told = refused(run("serve", env={"CONSENT_HOST": host}))
        assert f"of {host} cannot be used" in told


def test_a_file_that_is_no_country_database_is_named(run: Run, tmp_path: Path) -> None:
    done(run("key", "rotate"))
    path = tmp_path / "country.mmdb"
    path.write_bytes(b"garbage" * 100)
    told = refused(run("serve", env={"CONSENT_GEO_DATABASE": str(path)}))
    assert "country.mmdb is not a country database" in told


def command(*arguments: str) -> list[str]:
    """Return how a shell runs a command."""
    return [str(Path(sys.executable).parent / "consent-service"), *arguments]


def test_the_installed_command_fails_with_a_message_and_no_traceback(tmp_path: Path) -> None:
    found = subprocess.run(
        command("serve"),
        cwd=tmp_path,
        env=servers.environ_without_settings(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert "consent-service key rotate" in found.stderr
    assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_demo_runs_and_is_found_again(tmp_path: Path) -> None:
    key_ids = set()
    for _ in range(2):
        with demo(tmp_path) as address:
            assert httpx.get(f"{address}/demo/").is_success
            (key,) = httpx.get(f"{address}/.well-known/jwks.json").json()["keys"]
            key_ids.add(key["kid"])
            banner = f"{address}/v1/sites/site_demo/banner"
            assert httpx.get(banner, headers={"Origin": address}).is_success
    assert len(key_ids) == 1
    engine = create_engine(f"sqlite:///{tmp_path}/var/demo/consent.db")
    with engine.connect() as connection:
        # The invented site beside it comes a little later.
        sites = table("sites", column("id"), column("site_key"))
        notices = table("notices", column("site_id"))
        of_demo = select(sites.c.id).where(sites.c.site_key == "site_demo").scalar_subquery()
        for rows in (
            select(func.count()).select_from(table("tenants")),
            select(func.count()).select_from(sites).where(sites.c.site_key == "site_demo"),
            select(func.count()).select_from(notices).where(notices.c.site_id == of_demo),
        ):
            assert connection.execute(rows).scalar_one() == 1
    engine.dispose()


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """Run the demo in a folder, and give its address once it is ready."""
    port = servers.free_port()
    said = folder / "output"
    with servers.running(
        command("demo", "--port", str(port)),
        f"http://127.0.0.1:{port}",
        "/readyz",
        servers.environ_without_settings(),
        folder=folder,
        output_file=said,
    ) as address:
        yield address
    assert f"{address}/demo/" in said.read_text()
    assert "Traceback" not in said.read_text()
