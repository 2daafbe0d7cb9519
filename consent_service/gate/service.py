"""Put a question to the gate with all that this process knows.

No input or output on the way: sites, notices and changed choices are followed in the background
(``app.py``). Only a token older than ``token_seconds`` costs a look into the database, which
renews it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from consent_service.consents import tokens
from consent_service.consents.feed import ChangeFeed
from consent_service.consents.service import Absent, Consents
from consent_service.consents.tokens import Claims
from consent_service.errors import Unavailable, ValidationFailed
from consent_service.gate.decision import ALLOWING, decide
from consent_service.notices.configuration import ESSENTIAL, Loader, Notice
from consent_service.notices.service import NoticeDirectory
from consent_service.regions.rules import Place
from consent_service.regions.service import Regions
from consent_service.tenants.service import Site, SiteDirectory

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: A process that has not heard of changes for this long denies.
STALE_SECONDS = 30

#: Seconds for which a page may keep an answer.
MAX_AGE = 60


class Question(NamedTuple):
    """May these purposes (key → category) run on this site?"""

    site: Site
    notice: Notice
    purposes: Mapping[str, str]


class Answer(NamedTuple):
    """What the gate says; ``expires_at`` in seconds since 1970."""

    reasons: Mapping[str, str]
    regime: str
    notice_version: int
    gpc: bool
    expires_at: int | None
    max_age: int

    @property
    def denial(self) -> str | None:
        """The first reason that denies, or None: every purpose asked about may run."""
        for reason in self.reasons.values():
            if reason not in ALLOWING:
                return reason
        return None


class Asked(NamedTuple):
    """Whom a question is about: visitors by their ids, or linked users by the site's own."""

    ids: frozenset[str]
    users: bool


class Renewed(NamedTuple):
    """An answer that the database was asked for, and what the visitor's new token says."""

    answer: Answer
    claims: Claims | None


# Few, and put again by every visitor; a site or notice that changes is another object.
@lru_cache(maxsize=4096)
def _question(site: Site, notice: Notice, keys: tuple[str, ...]) -> Question | None:
    try:
        return Question(site, notice, {key: notice.categories[key] for key in keys})
    except KeyError:
        return None


class Gate:
    """One answer for every entry: JSON, forward-auth, script, batch."""

    def __init__(  # noqa: PLR0913 - what it weighs
        self,
        *,
        sites: SiteDirectory,
        notices: NoticeDirectory,
        regions: Regions,
        consents: Consents,
        feed: ChangeFeed,
        token_seconds: int,
    ) -> None:
        """Take what is needed; a token is believed for ``token_seconds``."""
        self._sites = sites
        self._notices = notices
        self._regions = regions
        self._consents = consents
        self._feed = feed
        self._token_seconds = token_seconds

    @property
    def is_stale(self) -> bool:
        """Whether this process may have missed what changed."""
        return self._feed.silent_seconds > STALE_SECONDS

    def material_version(self, site: Site) -> int:
        """Return the version of the site's notice from which on choices and answers count.

        :raises UnknownSite: when the site has no notice
        """
        return self._notices.in_force(site).material_version

    def optional_purposes(self, site: Site) -> tuple[str, ...]:
        """Return all that the site's notice asks about.

        :raises UnknownSite: when the site has no notice
        """
        categories = self._notices.in_force(site).categories
        return tuple(key for key, category in categories.items() if category != ESSENTIAL)

    def question(self, site_key: str, keys: tuple[str, ...]) -> Question | None:
        """Return the question if it is well put: a site with a notice, and purposes it has."""
        site = self._sites.get(site_key)
        notice = self._notices.get(site) if site else None
        return _question(site, notice, keys) if site and notice and keys else None

    def loader(self, site_key: str, service: str) -> Loader | None:
        """Return a service's registered script and the purpose it serves, or None."""
        site = self._sites.get(site_key)
        notice = self._notices.get(site) if site else None
        return notice.loaders.get(service) if notice else None

    def checked_question(self, site_key: str, keys: tuple[str, ...]) -> Question:
        """Return the question, or say what is wrong with it.

        :raises UnknownSite: when no site with a notice has the key
        :raises ValidationFailed: when the notice has no such purpose
        """
        notice = self._notices.in_force(self._sites.find(site_key))
        unknown = [key for key in keys if key not in notice.categories]
        question = self.question(site_key, keys)
        if question is None:
            raise ValidationFailed(
                fields={
                    "purpose": [f"The notice has no purpose {key[:64]!r}." for key in unknown]
                    or ["Name at least one purpose."]
                }
            )
        return question

    def answer(
        self, question: Question, token: str | None, *, gpc: bool, environ: WSGIEnvironment
    ) -> Answer | None:
        """Answer from memory; None if the token is so old that the database must be asked."""
        now = int(time.time())
        claims = self._consents.read_token(question.site, token)
        if claims and now - claims.issued_at >= self._token_seconds and now < claims.expires_at:
            return None
        return self._weigh(
            question,
            claims,
            presented=token is not None,
            newest=self._feed.newest.get(claims.visitor_id, 0) if claims else 0,
            stale=self.is_stale,
            now=now,
            gpc=gpc,
            place=self._regions.place(environ),
        )

    def answer_renewing(
        self, question: Question, token: str | None, *, gpc: bool, environ: WSGIEnvironment
    ) -> Renewed:
        """Answer, asking the database if the token is old; deny if it cannot be asked."""
        answer = self.answer(question, token, gpc=gpc, environ=environ)
        if answer is not None:
            return Renewed(answer, None)
        claims = self._consents.read_token(question.site, token)
        current: Claims | Absent | None = None
        with suppress(Unavailable):
            current = self._consents.current(question.site, claims) if claims else None
        renewed = current if isinstance(current, Claims) else None
        answer = self._weigh(
            question,
            renewed or claims,
            presented=True,
            newest=tokens.ERASED if current is Absent.ERASED else 0,
            known=current is not Absent.UNKNOWN,
            stale=current is None or self.is_stale,
            now=int(time.time()),
            gpc=gpc,
            place=self._regions.place(environ),
        )
        return Renewed(answer, renewed)

    def answer_many(self, question: Question, asked: Asked, place: Place) -> dict[str, Answer]:
        """Answer about many visitors, whose tokens whoever asks does not hold, by their ids.

        Each is answered as with a token that was renewed a moment ago. The signal is on if it was
        when they chose.

        :param place: where they are taken to be
        :raises Unavailable: when the database cannot be asked
        """
        find = (
            self._consents.current_of_users if asked.users else self._consents.current_of_visitors
        )
        now = int(time.time())
        answers = {}
        for each, current in find(question.site, asked.ids).items():
            claims = (
                tokens.of_nobody(question.site.site_key, each)
                if isinstance(current, Absent)
                else current
            )
            answers[each] = self._weigh(
                question,
                claims,
                presented=True,
                newest=tokens.ERASED if current is Absent.ERASED else 0,
                known=current is not Absent.UNKNOWN,
                stale=self.is_stale,
                now=now,
                gpc=claims.gpc,
                place=place,
            )
        return answers

    def _weigh(  # noqa: PLR0913
        self,
        question: Question,
        claims: Claims | None,
        *,
        presented: bool,
        newest: int,
        stale: bool,
        now: int,
        gpc: bool,
        place: Place,
        known: bool = True,
    ) -> Answer:
        rule = self._regions.rule(place, question.site)
        notice = question.notice
        reasons = decide(
            question.purposes,
            presented=presented,
            claims=claims,
            newest=newest,
            known=known,
            stale=stale,
            now=now,
            material_version=notice.material_version,
            rule=rule,
            gpc=gpc,
        )
        left = claims.expires_at - now if claims else MAX_AGE
        return Answer(
            reasons=reasons,
            regime=rule.regime,
            notice_version=notice.version,
            gpc=gpc,
            expires_at=claims.expires_at if claims else None,
            max_age=max(0, min(MAX_AGE, left)),
        )
