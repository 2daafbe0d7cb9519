"""What the server in front makes of odd requests: bytes on the wire, answers of the whole."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.builders import Service
from tests.faults.processes import REFUSAL, ServiceProcess
from tests.servers import PATIENCE

COOKIE = b"cookie_consent_object="


@pytest.fixture(scope="module")
def process(shared: Service) -> Iterator[ServiceProcess]:
    with ServiceProcess(shared, workers="1") as process:
        yield process


@dataclass
class Reply:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


def send(process: ServiceProcess, *lines: bytes, target: bytes, method: bytes = b"GET") -> Reply:
    """Send a request byte by byte as given, and read the answer to its end."""
    head = [method + b" " + target + b" HTTP/1.1", b"Host: consent", *lines, b"Connection: close"]
    with socket.create_connection(("127.0.0.1", process.port), PATIENCE) as connection:
        connection.sendall(b"\r\n".join(head) + b"\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    top, _, body = received.partition(b"\r\n\r\n")
    status, *headers = top.decode("latin-1").split("\r\n")
    named = dict(line.split(": ", 1) for line in headers)
    return Reply(
        int(status.split()[1]), {name.lower(): value for name, value in named.items()}, body
    )


def about(site: str, entry: bytes = b"") -> bytes:
    return b"/v1/gate" + entry + f"?site={site}&purpose=analytics&service=pageviews".encode()


@pytest.fixture(scope="module")
def refusal(shared: Service) -> bytes:
    """The token of a visitor who objects on ``site_object``."""
    response = shared.choose(REFUSAL, site_key="site_object")
    return str(response.get_json()["token"]).encode()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([COOKIE + b"{token}"], "refused"),
        ([b"a=b; " + COOKIE + b"{token}; c=d"], "refused"),
        # As HTTP/2 sends them.
        ([b"a=b", COOKIE + b"{token}", b"c=d"], "refused"),
        # Unreadable, so that nobody knows what was in it: a refusal must not become a grant.
        (["name=José; ".encode() + COOKIE + b"{token}"], "invalid_token"),
        (["name=José".encode("latin-1")], "invalid_token"),
        ([COOKIE + b"{token}\xff"], "invalid_token"),
        ([b"a=b"], "opt_out_default"),
    ],
)
def test_cookies_arrive_or_deny(
    process: ServiceProcess, refusal: bytes, lines: list[bytes], reason: str
) -> None:
    cookies = [b"Cookie: " + line.replace(b"{token}", refusal) for line in lines]
    reply = send(process, *cookies, target=about("site_object"))
    assert reply.status == 200
    assert f'"reason":"{reason}"'.encode() in reply.body


@pytest.mark.parametrize(
    "lines",
    [
        [b"{token}", b"{token}"],
        [b"{token}", b"other"],
        ["é".encode()],
        [b"\xff\xfe"],
        [b"{token}\xff"],
        [b""],
        [b"a" * 100_000],
        [b"{token}" * 500],
        [b"{token}, {token}"],
        [b'"{token}"'],
        [b"Bearer {token}"],
    ],
    ids=lambda lines: repr(lines[0][:20]),
)
@pytest.mark.parametrize("entry", [b"", b"/auth", b"/script"])
def test_a_token_header_that_is_not_one_whole_token_denies(
    process: ServiceProcess, refusal: bytes, lines: list[bytes], entry: bytes
) -> None:
    sent = [b"X-Consent-Token: " + line.replace(b"{token}", refusal) for line in lines]
    reply = send(process, *sent, target=about("site_object", entry))
    assert reply.status == (403 if entry == b"/auth" else 200)
    said = reply.body.decode() + reply.headers.get("x-consent-reason", "")
    assert "invalid_token" in said


@pytest.mark.parametrize(
    ("lines", "target", "status"),
    [
        ([b"X-Consent-Token: " + b"a" * 1_000_000], about("site_object"), 431),
        ([b"X-%d: 1" % number for number in range(1000)], about("site_object"), 431),
        ([], about("site_object") + b"&x=" + b"a" * 100_000, 414),
        ([], about("site_object") + b"&x=\xff", 400),
    ],
    ids=["header", "headers", "query", "bytes"],
)
def test_what_is_too_large_or_no_text_gets_no_answer_of_the_gate(
    process: ServiceProcess, lines: list[bytes], target: bytes, status: int
) -> None:
    reply = send(process, *lines, target=target)
    assert (reply.status, reply.body) == (status, b"")


def test_an_answer_without_content_states_no_length(process: ServiceProcess) -> None:
    reply = send(process, target=about("site_object", b"/auth"))
    assert reply.status == 204
    assert "content-length" not in reply.headers
    assert reply.body == b""


@pytest.mark.parametrize("entry", [b"", b"/auth", b"/script"])
def test_head_has_no_body(process: ServiceProcess, entry: bytes) -> None:
    got, head = (
        send(process, target=about("site_test", entry), method=method)
        for method in (b"GET", b"HEAD")
    )
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers.get("x-consent-reason") == got.headers.get("x-consent-reason")
