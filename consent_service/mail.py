"""Mail: plain text, handed over to the server or the outbox folder that the settings name."""

from __future__ import annotations

import logging
import re
from contextlib import closing, suppress
from email import policy
from email.message import EmailMessage
from pathlib import Path
from smtplib import SMTP, SMTP_SSL, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from ssl import create_default_context
from urllib.parse import unquote, urlsplit

from consent_service import clock
from consent_service.config import Settings, mail_address
from consent_service.errors import MailFailed, MailNotConfigured
from consent_service.files import write_whole

#: Seconds that a mail server has for each answer: somebody waits for the page meanwhile.
PATIENCE = 5

#: Lines end as in SMTP, and every byte is ASCII, so that any server takes it.
_POLICY = policy.SMTP.clone(cte_type="7bit")

#: Control characters, among them line ends, and Unicode's line and paragraph separator.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

log = logging.getLogger(__name__)


class Mailer:
    """Sends mail as the settings say. One serves all threads: it keeps no connection."""

    def __init__(self, settings: Settings) -> None:
        """Take the checked settings; nothing is opened yet."""
        self._url = urlsplit(settings.mail_url)
        self._sender = settings.mail_from
        self._domain = self._sender.rpartition("@")[2]

    def send(self, to: str, subject: str, text: str) -> None:
        """Hand one mail over; it has left when this returns.

        :param to: one address, without a name
        :param subject: one line
        :raises MailFailed: when the server could not be reached or refused, or the folder is full
        :raises MailNotConfigured: when the settings name no way to send mail
        :raises ValueError: when ``to`` is not an address, or ``subject`` not one line
        """
        if not self._url.scheme:
            raise MailNotConfigured
        message = self._message(mail_address(to), subject, text)
        try:
            if self._url.scheme == "file":
                folder = Path(unquote(self._url.path))
                write_whole(folder / f"{clock.new_id()}.eml", message.as_bytes())
            else:
                self._hand_over(message, to)
        except OSError as error:
            log.error("mail could not be handed over", extra={"reason": _reason(error)})  # noqa: TRY400
            raise MailFailed from error

    def _message(self, to: str, subject: str, text: str) -> EmailMessage:
        if _NOT_IN_A_LINE.search(subject):
            raise ValueError("a subject must be one line")
        message = EmailMessage(_POLICY)
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = clock.now()
        message["Message-ID"] = f"<{clock.new_id()}@{self._domain}>"
        # So that no holiday notice comes back (RFC 3834, section 5).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    def _hand_over(self, message: EmailMessage, to: str) -> None:
        with closing(self._connect()) as server:
            if self._url.username and self._url.password:
                server.login(unquote(self._url.username), unquote(self._url.password))
            # Not send_message: that writes >From for a line that begins with From.
            server.sendmail(self._sender, [to], message.as_bytes())
            # It has the mail; how it says good-bye changes nothing.
            with suppress(SMTPException):
                server.quit()

    def _connect(self) -> SMTP:
        """Connect, encrypted where that is offered, and always before a password is sent.

        The name that we give ourselves is the sender's domain: looking up this machine's own could
        take any time, and says more than a mail server need know.
        """
        host, port = self._url.hostname or "", self._url.port or 0
        if self._url.scheme == "smtps":
            tls = create_default_context()
            return SMTP_SSL(host, port, self._domain, timeout=PATIENCE, context=tls)
        server = SMTP(host, port, self._domain, timeout=PATIENCE)
        try:
            server.ehlo_or_helo_if_needed()
            if self._url.password or server.has_extn("starttls"):
                server.starttls(context=create_default_context())
        except OSError:
            server.close()
            raise
        return server


def _reason(error: OSError) -> str:
    """Say what happened, without the server's own words: they can quote the recipient."""
    name = type(error).__name__
    if isinstance(error, SMTPRecipientsRefused):
        return f"{name} {', '.join(str(code) for code, _ in error.recipients.values())}"
    if isinstance(error, SMTPResponseException):
        return f"{name} {error.smtp_code}"
    return f"{name}: {error.strerror or error}"
