"""The mail that brings a report. Pure."""

from __future__ import annotations

from datetime import datetime

from consent_service.access.letters import Letter
from consent_service.reports.due import Every
from consent_service.reports.periods import Period

_SUBJECTS = {
    "en": "Consent rates of {site}, {period}",
    "sw": "Viwango vya ridhaa vya {site}, {period}",
}

_TEXTS = {
    "en": """\
Hello,

the consent rates of {site} ({tenant}) from {since} to {until} are here:

{link}

The link opens a file ({form}) until {expires} UTC, for whoever has it. It is made when you open it,
from what is counted then.

You get this mail {every}. Somebody at {tenant} can stop it.
""",
    "sw": """\
Habari,

viwango vya ridhaa vya {site} ({tenant}) kuanzia {since} hadi {until} viko hapa:

{link}

Kiungo hiki hufungua faili ({form}) hadi {expires} UTC, kwa yeyote aliye nacho. Faili hutengenezwa
unapoifungua, kutokana na yaliyohesabiwa wakati huo.

Unapata barua pepe hii {every}. Mtu wa {tenant} anaweza kuisimamisha.
""",
}

_EVERY: dict[str, dict[Every, str]] = {
    "en": {"daily": "every day", "weekly": "every week", "monthly": "every month"},
    "sw": {"daily": "kila siku", "weekly": "kila wiki", "monthly": "kila mwezi"},
}

LANGUAGES = tuple(_TEXTS)


def report(  # noqa: PLR0913 - what the mail says
    *,
    tenant: str,
    site: str,
    period: Period,
    every: Every,
    form: str,
    link: str,
    expires_at: datetime,
    language: str,
) -> Letter:
    """Return the mail; ``language`` is one of :data:`LANGUAGES`."""
    days = f"{period.since}" if period.days == 1 else f"{period.since} \N{EN DASH} {period.until}"
    values = {
        "tenant": _one_line(tenant),
        "site": _one_line(site),
        "period": days,
        "since": period.since,
        "until": period.until,
        "every": _EVERY[language][every],
        "form": form,
        "link": link,
        "expires": f"{expires_at:%Y-%m-%d %H:%M}",
    }
    return Letter(_SUBJECTS[language].format_map(values), _TEXTS[language].format_map(values))


def _one_line(text: str) -> str:
    """Return a name without what would break a line, or make text look like the mail's own."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
