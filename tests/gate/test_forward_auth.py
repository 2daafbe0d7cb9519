"""Reverse proxies ask the gate, with the configuration that docs/gate.md shows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from tests import servers
from tests.builders import Service
from tests.faults.processes import GRANT, REFUSAL, ServiceProcess, Visitor

PAGE = Path(__file__).parent.parent.parent / "docs/gate.md"

#: Where a visitor is: each comes from another loopback address.
OBJECTING, CONSENTING = "127.0.0.2", "127.0.0.3"
PROXY = "127.0.0.1"


def documented(language: str) -> str:
    """Return the page's one example in a language."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@dataclass
class Upstream:
    """A small server behind the proxy, which remembers what reached it."""

    port: int = 0
    reached: list[tuple[str, str, bytes]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer in the background."""
        reached = self.reached

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reached.append((self.command, self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "8")
                self.end_headers()
                self.wfile.write(b"upstream")

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield
            server.shutdown()
            thread.join()


@dataclass(repr=False)
class Guarded:
    """A site behind a proxy that asks the gate."""

    process: ServiceProcess
    upstream: Upstream
    address: str

    def send(
        self,
        *,
        source: str = CONSENTING,
        method: str = "GET",
        **request: Any,  # noqa: ANN401
    ) -> httpx.Response:
        """Send a request as a visitor at the address ``source``; check that it passed or not."""
        before = len(self.upstream.reached)
        transport = httpx.HTTPTransport(local_address=source)
        with httpx.Client(transport=transport, timeout=servers.PATIENCE) as client:
            response = client.request(method, f"{self.address}/analytics/hit?page=1", **request)
        passed = len(self.upstream.reached) > before
        assert passed == (response.content == b"upstream") == response.is_success
        return response

    def visitor(self) -> Visitor:
        """Return somebody new, who chooses at the service itself."""
        return Visitor(self.process.address)


def cookie(token: str, name: str = "cookie_consent_test") -> dict[str, str]:
    return {"Cookie": f"theme=dark; {name}={token}; {name}_choices=1~1"}


@contextmanager
def guarding(proxy: str, folder: Path, process: ServiceProcess, example: str) -> Iterator[Guarded]:
    """Run an upstream and a proxy that asks this service, with an example of the page."""
    upstream, port = Upstream(), servers.free_port()
    address = f"http://127.0.0.1:{port}"
    run = servers.nginx if proxy == "nginx" else servers.caddy
    with upstream.running():
        configuration = (
            example.replace(":8080", f":{port}")
            .replace(":8000", f":{process.port}")
            .replace(":9000", f":{upstream.port}")
            .replace("site_demo", "site_test")
            .replace("cookie_consent_demo", "cookie_consent_test")
        )
        with run(folder, configuration, address):
            yield Guarded(process, upstream, address)


@pytest.fixture(scope="module")
def asked(shared: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that trusts its proxy, and knows where visitors are."""
    path = tmp_path_factory.mktemp("countries") / "country.mmdb"
    countries = MMDBWriter(4, "plain")
    countries.insert_network(IPSet([OBJECTING]), {"country_code": "US"})
    countries.to_db_file(str(path))
    with ServiceProcess(
        shared, workers="1", trusted_proxies=f"{PROXY}/32", geo_database=str(path)
    ) as process:
        yield process


@pytest.fixture(params=["caddyfile", "nginx"] if servers.find_nginx() else ["caddyfile"])
def proxy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def guarded(proxy: str, tmp_path: Path, asked: ServiceProcess) -> Iterator[Guarded]:
    """The site of the page's example."""
    with guarding(proxy, tmp_path, asked, documented(proxy)) as made:
        yield made


def test_only_requests_of_visitors_who_allow_it_pass(guarded: Guarded) -> None:
    visitor = guarded.visitor()
    denied = guarded.send()
    assert (denied.status_code, denied.headers["X-Consent-Reason"]) == (403, "no_choice")

    grant = visitor.choose(GRANT)
    allowed = guarded.send(headers=cookie(grant))
    assert "X-Consent-Reason" not in allowed.headers
    assert guarded.upstream.reached == [("GET", "/analytics/hit?page=1", b"")]
    assert guarded.send(headers={"X-Consent-Token": grant}).is_success

    for token, why in ((visitor.choose(REFUSAL), "withdrawn"), ("forged", "invalid_token")):
        denied = guarded.send(headers=cookie(token))
        assert (denied.status_code, denied.headers["X-Consent-Reason"]) == (403, why)
    # The header outranks the cookie here as well, and so does the signal a grant without it.
    assert not guarded.send(headers={**cookie(grant), "X-Consent-Token": "x"}).is_success
    again = visitor.choose(GRANT)
    assert guarded.send(headers=cookie(again)).is_success
    assert not guarded.send(headers={**cookie(again), "Sec-GPC": "1"}).is_success


def test_whole_requests_pass_or_nothing_of_them(guarded: Guarded) -> None:
    body = b"x" * 100_000
    assert guarded.send(method="POST", content=body).status_code == 403
    assert guarded.upstream.reached == []
    token = guarded.visitor().choose(GRANT)
    assert guarded.send(method="POST", content=body, headers=cookie(token)).is_success
    assert guarded.upstream.reached == [("POST", "/analytics/hit?page=1", body)]


def test_the_token_is_found_beside_any_cookie(guarded: Guarded) -> None:
    token = guarded.visitor().choose(GRANT)
    for cookies, passes in (
        (f"name=José; cookie_consent_test={token}; c=d", True),
        (f"a=b;cookie_consent_test={token}", True),
        (f"xcookie_consent_test={token}", False),
        (f"cookie_consent_test_choices={token}", False),
    ):
        response = guarded.send(headers={"Cookie": cookies.encode()})
        assert response.is_success == passes, cookies


def test_the_rule_of_the_visitors_region_holds_and_nobody_can_claim_another(
    guarded: Guarded,
) -> None:
    assert guarded.send(source=OBJECTING).is_success
    for claim in (
        {},
        {"X-Forwarded-For": OBJECTING},
        {"X_Forwarded_For": OBJECTING},
        {"Forwarded": f"for={OBJECTING}"},
        {"X-Real-IP": OBJECTING},
        {"CF-IPCountry": "US"},
    ):
        denied = guarded.send(source=CONSENTING, headers=claim)
        assert denied.headers["X-Consent-Reason"] == "no_choice", claim
        claim_nothing = dict.fromkeys(claim, CONSENTING)
        assert guarded.send(source=OBJECTING, headers=claim_nothing).is_success


@pytest.mark.parametrize(
    ("source", "forwarded", "reason"),
    [
        (OBJECTING, None, "opt_out_default"),
        (CONSENTING, None, "no_choice"),
        # Only the proxy's word counts,
        (CONSENTING, OBJECTING, "no_choice"),
        (PROXY, OBJECTING, "opt_out_default"),
        # and of what it says, what it saw itself: the right-most that is no proxy of ours.
        (PROXY, f"{OBJECTING}, {CONSENTING}", "no_choice"),
        (PROXY, f"{CONSENTING}, {OBJECTING}", "opt_out_default"),
        (PROXY, f"{OBJECTING}, {PROXY}", "opt_out_default"),
        (PROXY, f"{OBJECTING}, unknown", "no_choice"),
        (PROXY, "", "no_choice"),
    ],
)
def test_a_trusted_proxy_says_where_the_visitor_is(
    asked: ServiceProcess, source: str, forwarded: str | None, reason: str
) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source)) as client:
        response = client.get(
            f"{asked.address}/v1/gate?site=site_test&purpose=analytics", headers=headers
        )
    assert response.json()["decisions"]["analytics"]["reason"] == reason


def test_a_proxy_that_is_not_trusted_is_all_that_is_seen(
    proxy: str, tmp_path: Path, shared: Service
) -> None:
    with (
        ServiceProcess(shared, workers="1") as process,
        guarding(proxy, tmp_path, process, documented(proxy)) as guarded,
    ):
        assert guarded.send(source=OBJECTING).headers["X-Consent-Reason"] == "no_choice"


def test_nothing_passes_while_the_gate_cannot_be_asked(
    proxy: str, tmp_path: Path, shared: Service
) -> None:
    with (
        ServiceProcess(shared, workers="1") as process,
        guarding(proxy, tmp_path, process, documented(proxy)) as guarded,
    ):
        token = guarded.visitor().choose(GRANT)
        assert guarded.send(headers=cookie(token)).is_success
        process.pause()
        assert guarded.send(headers=cookie(token)).status_code >= 500
        process.kill()
        assert guarded.send(headers=cookie(token)).status_code >= 500


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("purpose=analytics", "purpose=nothing"), ("site=site_demo", "site=site_gone")],
)
def test_nothing_passes_on_a_question_that_is_put_badly(
    proxy: str, tmp_path: Path, asked: ServiceProcess, right: str, wrong: str
) -> None:
    example = documented(proxy).replace(right, wrong)
    with guarding(proxy, tmp_path, asked, example) as guarded:
        token = guarded.visitor().choose(GRANT)
        assert guarded.send(headers=cookie(token)).status_code >= 400
