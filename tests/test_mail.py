"""Mail: handed over whole or reported as failed, to one recipient, no password in the clear."""

from __future__ import annotations

import asyncio
import email
import logging
import secrets
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import assume, given
from hypothesis import strategies as st

from consent_service import clock, config, mail
from consent_service.errors import MailFailed, MailNotConfigured
from consent_service.mail import Mailer
from tests import servers

SENDER = "consent@example.com"
AMINA = "amina@example.org"
SUBJECT = "Mwaliko wa Momo Pulse · karibu"
LINK = f"https://consent.example.com/console/invitations/{'x' * 60}"
TEXT = f"Habari Amina,\n\n{LINK}\n.\nKwaheri · Momo Pulse\n"
LOGIN = LoginPassword(b"consent@mail", b"s3cr3t/word")


class Inbox:
    """What a mail server was given, and how it behaves."""

    def __init__(self, **replies: str) -> None:
        """Answer the named commands so, instead of accepting: ``RCPT="550 No such user"``.

        With ``QUIT=""`` the connection ends instead of an answer.
        """
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []
        self.logins: list[LoginPassword] = []
        self._replies = replies

    async def handle_RCPT(  # noqa: N802 - the server's names
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Accept a recipient, or not."""
        if "RCPT" in self._replies:
            return self._replies["RCPT"].format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail, or not."""
        if "DATA" in self._replies:
            return self._replies["DATA"]
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, *_: object) -> str:  # noqa: N802
        """Say good-bye, or go without."""
        if not self._replies.get("QUIT", "221"):
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return self._replies.get("QUIT", "221 Bye")

    def authenticate(self, *given: Any) -> AuthResult:  # noqa: ANN401
        """Let in who has the password."""
        self.logins.append(given[-1])
        right = given[-1] == LOGIN
        return AuthResult(success=right, handled=right)

    def message(self) -> EmailMessage:
        """The only mail there is."""
        (envelope,) = self.envelopes
        assert isinstance(envelope.original_content, bytes)
        return email.message_from_bytes(envelope.original_content, policy=default)


@contextmanager
def serving(inbox: Inbox, **options: Any) -> Iterator[str]:  # noqa: ANN401
    """Run a mail server that puts all it gets into the inbox, and give its host and port."""
    port = servers.free_port()
    controller = Controller(inbox, "127.0.0.1", port, authenticator=inbox.authenticate, **options)
    controller.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        controller.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "mail.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """How a server speaks TLS with the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    """Have the certificate trusted, as an operator would."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def mailer(url: str) -> Mailer:
    """Return a mailer with these settings."""
    return Mailer(config.load({"CONSENT_MAIL_URL": url, "CONSENT_MAIL_FROM": SENDER}))


def send(url: str) -> None:
    mailer(url).send(AMINA, SUBJECT, TEXT)


@pytest.mark.parametrize("text", [TEXT, "Karibu · sana\n", "From here\n.\n", "x" * 2000 + "\n"])
def test_a_mail_arrives_as_it_was_written(text: str) -> None:
    inbox = Inbox()
    before = clock.now().replace(microsecond=0)
    with serving(inbox) as address:
        mailer(f"smtp://{address}").send(AMINA, SUBJECT, text)
    (envelope,) = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [AMINA])
    message = inbox.message()
    assert (message["From"], message["To"], message["Subject"]) == (SENDER, AMINA, SUBJECT)
    assert text_of(message) == text
    assert message.get_content_type() == "text/plain"
    assert message["Auto-Submitted"] == "auto-generated"
    assert before <= parsedate_to_datetime(message["Date"]) <= clock.now()
    assert message["Message-ID"].endswith("@example.com>")
    assert not message.defects
    # Any server takes it: ASCII in lines of the length that RFC 5322 wishes for.
    assert isinstance(envelope.original_content, bytes)
    assert envelope.original_content.isascii()
    assert max(map(len, envelope.original_content.splitlines())) <= 78


def test_this_machine_is_not_named_to_the_mail_server() -> None:
    inbox = Inbox()
    with serving(inbox) as address:
        send(f"smtp://{address}")
    assert inbox.sessions[0].host_name == "example.com"
    assert socket.gethostname().encode() not in inbox.message().as_bytes()


@pytest.mark.usefixtures("trusted")
def test_tls_is_used_where_it_is_offered(tls: ssl.SSLContext) -> None:
    inbox = Inbox()
    with serving(inbox, tls_context=tls) as address:
        send(f"smtp://{address}")
    assert inbox.sessions[0].ssl is not None
    assert inbox.message()["To"] == AMINA


@pytest.mark.usefixtures("trusted")
def test_tls_is_used_from_the_start_where_the_setting_says_so(tls: ssl.SSLContext) -> None:
    inbox = Inbox()
    with serving(inbox, ssl_context=tls) as address:
        send(f"smtps://{address}")
    assert inbox.message()["To"] == AMINA


@pytest.mark.parametrize(("scheme", "option"), [("smtp", "tls_context"), ("smtps", "ssl_context")])
def test_a_server_that_cannot_prove_its_name_gets_nothing(
    tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture, scheme: str, option: str
) -> None:
    inbox = Inbox()
    with serving(inbox, **{option: tls}) as address, pytest.raises(MailFailed):
        send(f"{scheme}://consent%40mail:s3cr3t%2Fword@{address}")
    assert not inbox.envelopes
    assert not inbox.logins
    assert "self-signed certificate" in reason(caplog)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("scheme", "option", "how"),
    [
        ("smtp", "tls_context", {}),
        # What has spoken TLS from the start does not count as TLS to this server.
        ("smtps", "ssl_context", {"auth_require_tls": False}),
    ],
)
def test_the_password_lets_in(
    tls: ssl.SSLContext, scheme: str, option: str, how: dict[str, bool]
) -> None:
    inbox = Inbox()
    with serving(inbox, **{option: tls}, **how) as address:
        send(f"{scheme}://consent%40mail:s3cr3t%2Fword@{address}")
    assert inbox.sessions[0].authenticated
    assert inbox.message()["To"] == AMINA


def test_a_password_is_never_sent_in_the_clear(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()
    with serving(inbox, auth_require_tls=False) as address, pytest.raises(MailFailed):
        send(f"smtp://consent%40mail:s3cr3t%2Fword@{address}")
    assert not inbox.logins
    assert not inbox.envelopes
    assert "STARTTLS" in reason(caplog)


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_neither_shown_nor_logged(
    tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    inbox, password = Inbox(), secrets.token_hex()
    caplog.set_level(logging.DEBUG)
    with serving(inbox, tls_context=tls) as address, pytest.raises(MailFailed) as caught:
        send(f"smtp://consent%40mail:{password}@{address}")
    assert set(inbox.logins) == {LoginPassword(b"consent@mail", password.encode())}
    assert reason(caplog) == "SMTPAuthenticationError 535"
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value.body())
    ours = [record for record in caplog.records if record.name.startswith("consent_service")]
    assert password not in told + "".join(str(vars(record)) for record in ours)


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ({"RCPT": "550 No such user here: {address}"}, "SMTPRecipientsRefused 550"),
        ({"DATA": "552 The box of amina@example.org is full"}, "SMTPDataError 552"),
    ],
)
def test_a_refused_mail_is_reported_without_the_recipient(
    caplog: pytest.LogCaptureFixture, replies: dict[str, str], said: str
) -> None:
    inbox = Inbox(**replies)
    with serving(inbox) as address, pytest.raises(MailFailed) as caught:
        send(f"smtp://{address}")
    assert not inbox.envelopes
    assert reason(caplog) == said
    assert AMINA not in str(caught.value)


@pytest.mark.parametrize("reply", ["421 Not now", ""])
def test_a_mail_that_was_taken_is_sent_whatever_comes_after(reply: str) -> None:
    inbox = Inbox(QUIT=reply)
    with serving(inbox) as address:
        send(f"smtp://{address}")
    assert inbox.message()["To"] == AMINA


def test_a_server_that_is_away_is_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MailFailed) as caught:
        send(f"smtp://127.0.0.1:{servers.free_port()}")
    assert (caught.value.status, caught.value.code) == (503, "mail_failed")
    assert int(caught.value.headers["Retry-After"]) > 0
    assert reason(caplog) == "ConnectionRefusedError: Connection refused"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    monkeypatch.setattr(mail, "PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(MailFailed):
        send(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
    assert "timed out" in reason(caplog)


def text_of(message: EmailMessage) -> str:
    """Return the text of a mail, whose lines end as the mail's own do."""
    return str(message.get_content()).replace("\r\n", "\n")


def reason(caplog: pytest.LogCaptureFixture) -> str:
    """Return what the operator reads in the log about the one failure."""
    (record,) = [each for each in caplog.records if each.name == "consent_service.mail"]
    assert record.levelno == logging.ERROR
    return str(vars(record)["reason"])


def test_an_outbox_gets_a_file_for_each_mail_in_their_order(tmp_path: Path) -> None:
    outbox = mailer(f"file://{tmp_path}/out%20box")
    for number in range(20):
        outbox.send(AMINA, f"{SUBJECT} {number}", TEXT)
    files = sorted((tmp_path / "out box").iterdir())
    assert {file.suffix for file in files} == {".eml"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    messages = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    assert [message["Subject"] for message in messages] == [f"{SUBJECT} {n}" for n in range(20)]
    assert len({message["Message-ID"] for message in messages}) == 20
    assert text_of(messages[0]) == TEXT


def test_an_outbox_that_cannot_be_written_has_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MailFailed):
        send(f"file://{tmp_path}/file/outbox")
    assert reason(caplog) == "NotADirectoryError: Not a directory"


def test_a_half_written_mail_is_never_in_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MailFailed):
        send(f"file://{tmp_path}")
    assert not list(tmp_path.iterdir())


def test_without_a_setting_the_setting_is_named() -> None:
    with pytest.raises(MailNotConfigured, match="CONSENT_MAIL_URL") as caught:
        Mailer(config.load({})).send(AMINA, SUBJECT, TEXT)
    assert (caught.value.status, caught.value.code) == (501, "mail_not_configured")


BREAKS = ["\n", "\r", "\r\n", "\x00", "\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("line_break", BREAKS)
@pytest.mark.parametrize("line", ["before{}Bcc: eve@example.net", "{}after", "before{}"])
def test_a_subject_of_two_lines_is_refused(tmp_path: Path, line: str, line_break: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        mailer(f"file://{tmp_path}").send(AMINA, line.format(line_break), TEXT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "to",
    [
        *(f"{AMINA}{each}" for each in BREAKS),
        f"{AMINA}\r\nBcc: eve@example.net",
        f"{AMINA}, eve@example.net",
        f"{AMINA} eve@example.net",
        f"Eve <{AMINA}>",
        "amina",
        "",
    ],
)
def test_whatever_is_not_one_address_is_refused(tmp_path: Path, to: str) -> None:
    with pytest.raises(ValueError, match="one e-mail address"):
        mailer(f"file://{tmp_path}").send(to, SUBJECT, TEXT)
    assert not list(tmp_path.iterdir())


@given(subject=st.text(max_size=200), text=st.text())
def test_nothing_that_is_written_becomes_a_header(
    outbox: Callable[[str, str], EmailMessage], subject: str, text: str
) -> None:
    assume(not any(each in subject for each in [*map(chr, range(32)), *map(chr, range(127, 160))]))
    assume(not set(subject) & {"\u2028", "\u2029"})
    message = outbox(subject, text)
    assert set(message.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    assert message["To"] == AMINA


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], EmailMessage]:
    """Send to an outbox, and read what got there."""
    folder = tmp_path_factory.mktemp("outbox")
    made = mailer(f"file://{folder}")

    def sent(subject: str, text: str) -> EmailMessage:
        made.send(AMINA, subject, text)
        (file,) = folder.iterdir()
        content = file.read_bytes()
        file.unlink()
        return email.message_from_bytes(content, policy=default)

    return sent
