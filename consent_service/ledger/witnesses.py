"""Have witnesses cosign the heads of ledgers. Only hashes, sizes and signatures leave the house.

A witness is somebody else's machine: it may be away, slow, or lie. Each is asked in a thread of its
own, so that none delays another or the worker, and nothing that it says is kept unverified. The
one thing that is believed of it unproven is that it has seen more of a ledger than is here: then
nothing more is written to that ledger, as it would contradict what was published.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import SystemRandom
from uuid import UUID

from requests import RequestException, Session
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.bounded import BoundedAdapter
from consent_service.db import Database
from consent_service.errors import OperatorError, Unavailable
from consent_service.ledger import store
from consent_service.ledger.checkpoint import SignedNote
from consent_service.ledger.merkle import ProofRefused
from consent_service.ledger.publishing import proven_growth, verified_note
from consent_service.ledger.store import Ledger
from consent_service.ledger.witness_protocol import (
    UNPROVEN,
    Answer,
    Cosigned,
    Knows,
    Refused,
    Witness,
    add_checkpoint,
    believed_line,
    parse_witnesses,
    read_answer,
)
from consent_service.tenants.service import Site

#: Seconds that the worker waits for a round to end; what is not done by then goes on beside it.
ROUND_SECONDS = 2.0

#: Seconds after which a witness that has refused a ledger is asked about it again.
REFUSED_SECONDS = 600.0

#: How far a witness's clock and ours may differ.
_LEEWAY = timedelta(minutes=5)

#: Larger than the answer with the most signatures in use.
_MOST_BYTES = 64 * 1024

#: Too many requests, and whatever ails a server: it may be over soon.
_COME_BACK = frozenset({429, *range(500, 600)})

#: Calls in a row that may fail before the rest of a round is left for the next one.
_MOST_FAILURES = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long a witness is waited for, in seconds."""

    connect: float = 3
    #: For each wait after that.
    read: float = 5
    #: After which an answer that still trickles in is given up.
    answer: float = 10


def load_witnesses(path: Path | None) -> tuple[Witness, ...]:
    """Read the file of witnesses; None: there are none.

    :raises OperatorError: when it cannot be read or is not right, with every problem
    """
    if path is None:
        return ()
    try:
        return parse_witnesses(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems = "\n  ".join(str(error).splitlines())
        raise OperatorError(
            f"The file of witnesses {path} is not right:\n  {problems}\n"
            "docs/monitoring.md says what is in it."
        ) from error


class Asking:
    """Has each witness asked about each ledger whose head it has not cosigned."""

    def __init__(
        self,
        database: Database,
        witnesses: Sequence[Witness],
        patience: Patience = Patience(),
    ) -> None:
        """Ask these witnesses."""
        self._asked = [_AskedWitness(database, witness, patience) for witness in witnesses]

    def run(self, sites: Iterable[Site]) -> bool:
        """Ask about the ledgers of all tenants, and return within :data:`ROUND_SECONDS`.

        :returns: whether a witness has cosigned something
        """
        tenants = list({site.tenant_id: None for site in sites})
        deadline = time.monotonic() + ROUND_SECONDS
        for asked in self._asked:
            asked.begin(tenants)
        for asked in self._asked:
            asked.wait(max(0.0, deadline - time.monotonic()))
        return sum(asked.take_news() for asked in self._asked) > 0


class _AskedWitness:
    """A witness and the thread that asks it."""

    def __init__(self, database: Database, witness: Witness, patience: Patience) -> None:
        self._database = database
        self._witness = witness
        self._timeout = (patience.connect, patience.read)
        self._session = Session()
        for scheme in ("http://", "https://"):
            self._session.mount(
                scheme, BoundedAdapter(most_bytes=_MOST_BYTES, longest_seconds=patience.answer)
            )
        self._thread: threading.Thread | None = None
        self._news = False
        self._away = False
        #: Ledgers that it was asked about at least once.
        self._seen: set[UUID] = set()
        #: Until when a ledger is left alone, by this process's clock, and why.
        self._refused: dict[UUID, tuple[float, str]] = {}

    def begin(self, tenants: Sequence[UUID]) -> None:
        """Ask about the ledgers of these tenants, unless the round before still goes on."""
        if self._thread is None or not self._thread.is_alive():
            # Where a witness is slow, no tenant always waits behind the same others.
            shuffled = SystemRandom().sample(tenants, len(tenants))
            self._thread = threading.Thread(
                target=self._round,
                args=(shuffled,),
                name=f"witness {self._witness.key.name}",
                # A process that ends waits for nobody: what was not stored is asked for again.
                daemon=True,
            )
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Return when the round is over, or after so many seconds."""
        if self._thread:
            self._thread.join(seconds)

    def take_news(self) -> bool:
        """Say whether anything was cosigned since this was last asked."""
        news, self._news = self._news, False
        return news

    def _round(self, tenants: Sequence[UUID]) -> None:
        failures = 0
        for tenant_id in tenants:
            try:
                self._ask_about(tenant_id)
            except Unavailable:
                # The worker says so.
                return
            except (RequestException, OSError) as error:
                failures += 1
                if not self._away:
                    log.warning("witness does not answer", extra=self._extra(reason=repr(error)))
                self._away = True
                if failures == _MOST_FAILURES:
                    return
            except Exception:
                log.exception(
                    "a witness could not be asked", extra=self._extra(tenant=str(tenant_id))
                )
            else:
                failures = 0

    def _ask_about(self, tenant_id: UUID) -> None:
        """Have the head of a tenant's ledger cosigned if it is not.

        :raises RequestException: when the witness does not answer
        :raises LedgerBroken: when the ledger does not hold together; nothing is sent then
        """
        known = self._known(tenant_id)
        if known is None:
            return
        ledger, cosigned = known
        note, answer = self._send(ledger, cosigned)
        if not isinstance(answer, Knows) or answer.size == cosigned:
            self._take(ledger, note, answer)
            return
        size = answer.size
        if size > ledger.size:
            # Another worker may have been quicker with what was added meanwhile.
            ledger = self._newest(ledger)
        if size > ledger.size:
            self._suspend(ledger, f"it has seen {size} leaves, here are {ledger.size}")
            return
        note, answer = self._send(ledger, size)
        # What was sent was verified against the tree that is here, and this is not one whose root
        # the witness has signed for us: there is another.
        unproven = isinstance(answer, Refused) and answer.status == UNPROVEN
        if unproven or answer == Knows(size) == Knows(ledger.size):
            self._suspend(ledger, f"it has seen another tree of {size} leaves")
        elif not isinstance(answer, Knows) or answer.size == size:
            self._take(ledger, note, answer)
        # Else another worker asks the same witness, and was quicker: the next round will show.

    def _take(self, ledger: Ledger, note: SignedNote, answer: Answer) -> None:
        """Keep what a witness has cosigned, or say why there is nothing to keep."""
        if isinstance(answer, Cosigned):
            self._keep(ledger, note, answer)
        elif isinstance(answer, Refused):
            self._refuse(ledger, answer.reason)
        else:
            self._refuse(ledger, f"it knows {answer.size} leaves, and does not go on from them")

    def _known(self, tenant_id: UUID) -> tuple[Ledger, int] | None:
        """Return the tenant's ledger, and how much of it is cosigned; None: there is no need.

        Once in a process there is always: the database may have been restored from a backup since.
        """
        with self._database.reading(tenant_id) as connection:
            ledger = store.open_ledger(connection, tenant_id)
            if ledger is None or not ledger.size or ledger.suspended_at:
                return None
            until, _ = self._refused.get(ledger.id, (0.0, ""))
            if time.monotonic() < until:
                return None
            cosigned = store.newest_cosigned(connection, ledger, self._witness.key.name) or 0
        if cosigned == ledger.size and ledger.id in self._seen:
            return None
        return ledger, cosigned

    def _newest(self, ledger: Ledger) -> Ledger:
        with self._database.reading(ledger.tenant_id) as connection:
            return store.ledger_with_id(connection, ledger.tenant_id, ledger.id)

    def _send(self, ledger: Ledger, old: int) -> tuple[SignedNote, Answer]:
        with self._database.reading(ledger.tenant_id) as connection:
            note = verified_note(connection, ledger, ledger.size)
            hashes = proven_growth(connection, ledger, old, ledger.size) if old else []
        response = self._session.post(
            self._witness.address,
            data=add_checkpoint(old, hashes, note),
            headers={"Content-Type": "text/plain; charset=utf-8", "Accept-Encoding": "identity"},
            timeout=self._timeout,
            allow_redirects=False,
        )
        if response.status_code in _COME_BACK:
            raise RequestException(f"it answers with status {response.status_code}")
        if self._away:
            log.info("witness answers again", extra=self._extra())
        self._away = False
        self._seen.add(ledger.id)
        content_type = response.headers.get("Content-Type", "")
        return note, read_answer(response.status_code, content_type, response.content)

    def _keep(self, ledger: Ledger, note: SignedNote, answer: Cosigned) -> None:
        """Store a cosignature that verifies."""
        key = self._witness.key
        with self._database.reading(ledger.tenant_id) as connection:
            made_at = store.made_at(connection, ledger, ledger.size)
        try:
            line = believed_line(
                note,
                answer.lines,
                key,
                earliest=int(((made_at or clock.now()) - _LEEWAY).timestamp()),
                latest=int((clock.now() + _LEEWAY).timestamp()),
            )
        except ProofRefused as error:
            self._refuse(ledger, str(error))
            return
        try:
            with self._database.transaction(ledger.tenant_id) as connection:
                store.add_cosignature(connection, ledger, ledger.size, key.name, line)
        except IntegrityError:
            # It was kept before, or another worker was first.
            return
        self._refused.pop(ledger.id, None)
        self._news = True

    def _refuse(self, ledger: Ledger, reason: str) -> None:
        """Leave a ledger alone for a while; say why when that is news."""
        _, before = self._refused.get(ledger.id, (0.0, ""))
        self._refused[ledger.id] = (time.monotonic() + REFUSED_SECONDS, reason)
        if reason != before:
            extra = self._extra(ledger=ledger.origin, reason=reason)
            log.warning("witness does not cosign", extra=extra)

    def _suspend(self, ledger: Ledger, reason: str) -> None:
        with self._database.transaction(ledger.tenant_id) as connection:
            store.suspend(connection, ledger)
        log.error(
            "ledger suspended: a witness contradicts it; docs/monitoring.md says what to do",
            extra=self._extra(ledger=ledger.origin, reason=reason),
        )

    def _extra(self, **more: str) -> dict[str, str]:
        return {"witness": self._witness.key.name, **more}
