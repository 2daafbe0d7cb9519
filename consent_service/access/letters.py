"""The mails that are sent to users, in the languages of the console. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: Each role as people read it.
_ROLES = {
    "en": {
        "owner": "owner",
        "dpo": "data protection officer",
        "developer": "developer",
        "analyst": "analyst",
        "auditor": "auditor",
    },
    "sw": {
        "owner": "mmiliki",
        "dpo": "afisa wa ulinzi wa data",
        "developer": "msanidi programu",
        "analyst": "mchambuzi",
        "auditor": "mkaguzi",
    },
}

_SUBJECTS = {
    "en": "Your invitation to {tenant}",
    "sw": "Mwaliko wako wa kujiunga na {tenant}",
}

_TEXTS = {
    "en": """\
Hello,

{inviter} has invited you to manage the cookie consent of {tenant} as {role}.

Accept the invitation here:

{link}

The link works once, until {expires} UTC. If you do not know what this is about, you need do
nothing: without you it opens nothing.
""",
    "sw": """\
Habari,

{inviter} amekualika kusimamia ridhaa ya vidakuzi ya {tenant} ukiwa {role}.

Kubali mwaliko hapa:

{link}

Kiungo hiki kinafanya kazi mara moja, hadi {expires} UTC. Kama hujui hili linahusu nini, huna haja
ya kufanya chochote: bila wewe hakifungui kitu.
""",
}

#: Whom the mail names where the operator invites.
_OPERATOR = {"en": "Whoever runs the service", "sw": "Msimamizi wa huduma"}


@dataclass(frozen=True)
class Letter:
    """A mail without its address: one line, and plain text."""

    subject: str
    text: str


def invitation(  # noqa: PLR0913 - what the mail says
    *, tenant: str, role: str, inviter: str | None, link: str, expires_at: datetime, language: str
) -> Letter:
    """Return the mail that invites somebody.

    :param inviter: a name; None for the operator
    :param language: of the inviter; English stands in for one that there is not
    """
    language = language if language in _TEXTS else "en"
    values = {
        "tenant": _one_line(tenant),
        "role": _ROLES[language][role],
        "inviter": _one_line(inviter) if inviter else _OPERATOR[language],
        "link": link,
        "expires": f"{expires_at:%Y-%m-%d %H:%M}",
    }
    return Letter(_SUBJECTS[language].format_map(values), _TEXTS[language].format_map(values))


def _one_line(text: str) -> str:
    """Return a name without what would break a line, or make text look like the mail's own."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
