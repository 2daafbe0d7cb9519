"""The commands about keys, and the procedures of docs/operations.md, followed as written."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from itsdangerous.encoding import base64_decode

from consent_service import clock, config, key_file, signing
from consent_service.access import users
from consent_service.app import build
from consent_service.cli import main
from consent_service.consents.service import Consents
from consent_service.db import Database, Scope
from consent_service.key_file import KEY_KINDS
from consent_service.ledger.checkpoint import ED25519, NoteKey, SignedNote
from consent_service.ledger.service import prove
from consent_service.signing import Keyring, ensure_keys
from consent_service.tenants.service import SiteDirectory
from consent_service.worker import jobs
from tests.builders import SITE_KEY, Service, make_service, make_user_token
from tests.members import add_member, sign_in
from tests.test_signing import Clock, change, keys_in, move

__all__ = ["move"]

ROOT = Path(__file__).parent.parent
CHAPTER = (ROOT / "docs" / "operations.md").read_text("utf-8")

Run = Callable[..., str]


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service whose keys a test may change; the database does not matter here."""
    made = make_service(sqlite_url, tmp_path)
    yield made
    made.built.database.close()


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command, and have the service hear of it as its followers do within a second."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, told: str | None = None, answer: str = "y\n") -> str:
        """Return what it says; ``told`` is a part of what it refuses with."""
        result = call(service, *arguments, input=answer)
        service.use(Keyring).refresh()
        if told is None:
            assert result.exit_code == 0, result.output
            return result.stdout
        assert result.exit_code == 2
        assert told in result.stderr
        return result.stderr

    return run


def call(service: Service, *arguments: str, **options: Any) -> Result:  # noqa: ANN401
    environ = {
        "CONSENT_DATABASE_URL": service.settings.database_url,
        "CONSENT_KEYS_FILE": str(service.settings.keys_file),
        **options.pop("env", {}),
    }
    result = CliRunner(env=environ).invoke(main, arguments, **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def procedure(heading: str) -> list[list[str]]:
    """Return the commands that a chapter of the documentation says to give, in their order."""
    chapter = re.search(rf"^#+ {re.escape(heading)}\n(.*?)^#", CHAPTER, re.MULTILINE | re.DOTALL)
    assert chapter
    blocks = re.findall(r"^```sh\n(.*?)^```", chapter[1], re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def follow(run: Run, heading: str, **known: str) -> str:
    """Follow a procedure; ``known`` is what the operator puts for the words in capitals."""
    said = []
    for program, *arguments in procedure(heading):
        assert program == "consent-service"
        said.append(run(*(known.get(each, each) for each in arguments)))
    return "\n".join(said)


def row(run: Run, kind: str, does: str) -> str:
    """Return the id of the key of a kind that does this, as ``key list`` shows it."""
    (found,) = re.findall(rf"^{kind} +(\S+) .*{does}$", run("key", "list"), re.MULTILINE)
    return str(found)


def check(receipt: dict[str, Any], jwks: dict[str, Any]) -> dict[str, Any]:
    """Check a record's signature as somebody else would; return the key."""
    signature = receipt["signature"]
    (jwk,) = (key for key in jwks["keys"] if key["kid"] == signature["key_id"])
    public = Ed25519PublicKey.from_public_bytes(base64_decode(jwk["x"]))
    public.verify(base64_decode(signature["value"]), rfc8785.dumps(receipt["record"]))
    found: dict[str, Any] = jwk
    return found


def published(service: Service) -> dict[str, Any]:
    answer = service.client.get("/.well-known/jwks.json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    found: dict[str, Any] = answer.get_json()
    return found


def receipt_of(service: Service, answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get(answer["receipt_url"]).get_json()
    return found


def sequence(service: Service) -> None:
    database, keys = service.use(Database), service.use(Keyring)
    (job,) = (job for job in jobs(database, keys, service.settings) if job.name == "sequence")
    job.run(service.use(SiteDirectory).all())


def checkpoint_over(service: Service, record: dict[str, Any]) -> SignedNote:
    """Return the checkpoint that a proof of the record leads to, now."""
    proof = prove(service.use(Database), service.tenant.id, UUID(record["id"]))
    assert proof is not None
    return proof.note


def signed_by(note: SignedNote, jwk: dict[str, Any]) -> bool:
    origin = note.text.splitlines()[0]
    return note.signed_by(NoteKey(origin, ED25519, base64_decode(jwk["x"])))


def test_records_verify_after_a_rotation_and_after_all_keys_were_lost(
    service: Service, run: Run
) -> None:
    receipts = [receipt_of(service, service.choose().get_json())]
    token = service.token()
    follow(run, "Keys")
    old = json.loads(Path("public-keys.json").read_bytes())
    assert old == published(service)
    assert len(old["keys"]) == 2
    check(receipts[0], published(service))

    service.settings.keys_file.unlink()
    lost = follow(run, "The key file is lost everywhere")
    assert lost.count("verifies again; its secret is lost") == 2
    receipts.append(receipt_of(service, service.choose().get_json()))
    keys = [check(receipt, published(service)) for receipt in receipts]
    assert [key.get("revoked", {}).get("reason") for key in keys] == ["lost", None]
    assert published(service)["keys"][:2] == [
        {**key, "revoked": keys[0]["revoked"]} for key in old["keys"]
    ]
    assert service.reason(token=token) == "invalid_token"
    dpo = sign_in(service, "dpo")
    found = dpo.get(f"/v1/tenants/example/records/{receipts[0]['record']['id']}").get_json()
    assert found["signature_valid"] is True
    assert found["key_revoked"]["reason"] == "lost"


def test_a_key_whose_id_begins_with_a_hyphen_is_revoked_like_any_other(
    service: Service, run: Run
) -> None:
    with key_file.changing(service.settings.keys_file) as keys:
        while not (key := signing.add_key(keys, "record")).id.startswith("-"):
            keys.of["record"].remove(key)
        keys.of["record"][-1] = replace(key, active_from=clock.now())
    for arguments in (
        ("record", key.id, "--reason", "lost", "--yes"),
        ("record", "--reason", "compromised", "--yes", "--", key.id),
    ):
        assert f"key {key.id} is revoked" in run("key", "revoke", *arguments)


def test_after_a_record_key_was_stolen_genuine_records_stay_proven(
    service: Service, run: Run
) -> None:
    genuine = service.choose().get_json()
    receipt = receipt_of(service, genuine)
    sequence(service)
    stolen = row(run, "record", "signs records")
    follow(run, "A record key was stolen", ID=stolen)
    made = receipt_of(service, service.choose().get_json())
    sequence(service)

    old, new = published(service)["keys"]
    assert (old["kid"], old["revoked"]["reason"]) == (stolen, "compromised")
    assert check(receipt, published(service)) == old
    assert check(made, published(service)) == new
    assert check(receipt_of(service, genuine), published(service)) == old
    for record in (receipt["record"], made["record"]):
        note = checkpoint_over(service, record)
        assert signed_by(note, new)
        assert not signed_by(note, old)
    dpo = sign_in(service, "dpo")
    found = dpo.get(f"/v1/tenants/example/records/{receipt['record']['id']}").get_json()
    assert found["signature_valid"] is True
    assert found["key_revoked"]["reason"] == "compromised"
    warning = "Signed with a key that was stolen on"
    address = "/console/t/example/records"
    assert warning in dpo.get(f"{address}/{receipt['record']['id']}").get_data(as_text=True)
    assert warning not in dpo.get(f"{address}/{made['record']['id']}").get_data(as_text=True)


def test_after_a_token_key_was_stolen_visitors_are_asked_and_linked_users_stay(
    service: Service, run: Run
) -> None:
    owner = sign_in(service)
    visitor = service.choose().get_json()
    user = service.link("jane", token=service.token()).get_json()["record"]["visitor_id"]
    stolen = row(run, "token", "signs tokens")
    link_key = service.link_key
    said = follow(
        run, "A token key was stolen", ID=stolen, SITE_KEY=SITE_KEY, NUMBER=str(link_key.number)
    )
    assert re.search(
        r"^1  made \S+  in use: made from a token key that was stolen", said, re.MULTILINE
    )
    (number, secret) = re.findall(r"kid +(\d+)\n +secret +(\S+)", said)[0]
    assert (number, secret == link_key.secret) == ("2", False)

    assert service.reason(token=visitor["token"]) == "invalid_token"
    assert service.client.get(visitor["receipt_url"]).status_code == 404
    assert service.reason(token=service.token()) == "granted"
    assert owner.get("/v1/account").status_code == 200
    refused = service.link("jane", token=service.token())
    assert refused.status_code == 422
    newer = replace(link_key, number=2, secret=secret)
    again = service.link(token=service.token(), user_token=make_user_token(newer, "jane"))
    assert again.get_json()["record"]["visitor_id"] == user
    assert service.use(Consents).read_token(service.site, visitor["token"]) is None


def test_a_stolen_data_key_goes_when_nothing_needs_it(
    service: Service, run: Run, move: Clock
) -> None:
    member = add_member(service, email="amina@example.com")
    stolen = row(run, "data", "encrypts")
    revoke = ("key", "revoke", "data", stolen, "--reason")
    run(*revoke, "compromised", told="is the newest, and encrypts. Make another first")
    rotate, re_encrypt, last = (
        line[1:] for line in procedure("A data key was stolen, or is to go by rule")
    )
    run(*rotate)
    run(*revoke, "compromised", told="The newest data key is in use from")
    run(*revoke, "lost", told="cannot be read")
    move(timedelta(minutes=2))
    service.use(Keyring).refresh()
    run(*revoke, "compromised", told="2 values are encrypted with older data keys")
    run(*re_encrypt)
    assert stolen in service.settings.keys_file.read_text()
    run(*(stolen if each == "ID" else each for each in last))
    assert stolen not in service.settings.keys_file.read_text()
    run(*revoke, "compromised", told="holds no data key")
    with service.use(Database).reading(Scope.ACCOUNTS) as connection:
        found = users.get(connection, Keyring(service.settings.keys_file), member.user_id)
    assert found is not None
    assert found.email == "amina@example.com"


def test_the_rehearsal_can_be_done(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exported: dict[str, str] = {"CONSENT_DATABASE_URL": sqlite_url}
    ensure_keys(tmp_path / "var/demo/keys.json")
    ids = {kind: keys[0]["id"] for kind, keys in keys_in(tmp_path / "var/demo/keys.json").items()}
    last = ""
    for program, *arguments in procedure("Rehearse it"):
        if program == "export":
            exported |= dict(each.split("=", 1) for each in arguments)
            assert exported["CONSENT_DATABASE_URL"] == "sqlite:///var/demo/consent.db"
        elif program == "mv":
            Path(arguments[0]).rename(arguments[1])
        else:
            assert program == "consent-service"
            known = [ids[arguments[2]] if each == "ID" else each for each in arguments]
            result = CliRunner(env=exported).invoke(main, known, input="y\n")
            assert result.exit_code == 0, result.output
            last = result.stdout
    assert re.search(rf"^record +{ids['record']} .* lost .*; verifies only$", last, re.MULTILINE)


def test_keys_are_listed_with_what_they_do_and_without_their_secrets(
    service: Service, run: Run, move: Clock
) -> None:
    path = service.settings.keys_file
    secrets = {key["secret"] for kind in KEY_KINDS for key in keys_in(path)[kind]}
    for kind in ("record", "token"):
        revoke = ("key", "revoke", kind, keys_in(path)[kind][0]["id"])
        run(*revoke, "--reason", "compromised", "--yes")
    move(timedelta(minutes=1))
    run("key", "rotate")
    secrets |= {key["secret"] for kind in KEY_KINDS for key in keys_in(path)[kind]}
    said = run("key", "list")
    assert not [secret for secret in secrets if secret in said]
    states = [re.split(r"  +", line)[0::3] for line in said.splitlines()]
    assert [(kind, re.sub(r"\d[\d :-]+\d", "TIME", state)) for kind, state in states] == [
        ("record", "compromised TIME; verifies only"),
        ("record", "signs records"),
        ("record", "verifies; signs records from then on"),
        ("token", "compromised TIME; for what is derived from it only"),
        ("token", "signs tokens"),
        ("token", "verifies; signs tokens from then on"),
        ("data", "encrypts"),
        ("data", "decrypts; encrypts from then on"),
    ]
    change(path, lambda document: document["data"].clear())
    assert (
        "There is no data key. Make one with: consent-service key rotate data"
        in call(service, "key", "list").stdout
    )


def test_revoking_says_what_follows_and_asks(service: Service, run: Run) -> None:
    before = service.settings.keys_file.read_bytes()
    for kind, consequence in (("record", "do not count"), ("token", "until they choose again")):
        key_id = keys_in(service.settings.keys_file)[kind][0]["id"]
        arguments = ("key", "revoke", kind, key_id, "--reason", "compromised")
        result = call(service, *arguments, input="n\n")
        assert (result.exit_code, result.stdout) == (1, "")
        assert consequence in result.stderr
        assert service.settings.keys_file.read_bytes() == before
        said = run(*arguments, "--at", "2026-01-01T00:00:00Z", told="signs only since", answer="y")
        assert "Change --at" in said
    for at in ("yesterday", "2026-01-01T00:00:00"):
        run(*arguments, "--yes", "--at", at, told="must be a time with its zone")
    assert service.settings.keys_file.read_bytes() == before
    since = keys_in(service.settings.keys_file)["token"][0]["active_from"]
    run(*arguments, "--yes", "--at", since.replace("Z", "+00:00"))
    assert keys_in(service.settings.keys_file)["token"][0]["revoked"]["revoked_at"] == since  # type: ignore[index]


def test_a_compromised_key_that_is_adopted_is_pointed_out(service: Service, run: Run) -> None:
    run("key", "export-public", "theirs.json")
    jwks = json.loads(Path("theirs.json").read_bytes())
    jwks["keys"][0]["revoked"] = {"revoked_at": 1_700_000_000, "reason": "compromised"}
    Path("theirs.json").write_text(json.dumps(jwks))
    result = call(service, "key", "adopt", "theirs.json")
    assert "is in the key file already" in result.stdout
    assert "is compromised, says theirs.json, and the key file does not" in result.stderr
    Path("theirs.json").write_text('{"keys": [], "keys": []}')
    run("key", "adopt", "theirs.json", told="")


def test_keys_of_the_environment_are_used_and_changed_by_no_command(
    service: Service, run: Run
) -> None:
    content = service.settings.keys_file.read_text()
    listed, exported = run("key", "list"), run("key", "export-public")
    environ = {"CONSENT_KEYS": content, "CONSENT_KEYS_FILE": ""}
    assert call(service, "key", "list", env=environ).stdout == listed
    assert call(service, "key", "export-public", env=environ).stdout == exported
    record = keys_in(service.settings.keys_file)["record"][0]["id"]
    Path("public.json").write_text(exported)
    for arguments in (
        ("rotate",),
        ("revoke", "record", record, "--reason", "compromised", "--yes"),
        ("adopt", "public.json"),
    ):
        result = call(service, "key", *arguments, env=environ)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "The keys come from CONSENT_KEYS, which no command can change" in result.stderr
        secrets = [key["secret"] for keys in json.loads(content).values() for key in keys]
        assert not [secret for secret in secrets if secret in result.output]
    token = service.token()
    service.settings.keys_file.unlink()
    loaded = config.load({"CONSENT_DATABASE_URL": service.settings.database_url} | environ)
    built = build(loaded)
    again = Service(built, service.tenant, service.site, service.notice, loaded)
    assert again.reason(token=token) == "granted"
    assert published(again) == json.loads(exported)
    built.database.close()


def test_nothing_reads_the_key_file_past_the_environment() -> None:
    past = re.compile(r"Keyring\(\s*(self\.)?_?settings\.keys_file")
    sources = {path: path.read_text("utf-8") for path in (ROOT / "consent_service").rglob("*.py")}
    named = [path.name for path, text in sources.items() if past.search(text)]
    assert named == [], "use Keyring.of(settings), which knows CONSENT_KEYS"
