"""The background loop: what is done every so often, and in no visitor's request.

``consent-service serve`` runs it beside itself, ``consent-service worker`` alone. Any number may
run against one database: they share the work, and any of them may be killed at any time.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from types import FrameType

from consent_service import child, clock, config, logs
from consent_service.config import Settings
from consent_service.db import Database, Scope
from consent_service.demo.history import seed_history
from consent_service.errors import OperatorError, Unavailable
from consent_service.gate.edge import forget_expired
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Heads
from consent_service.ledger.sequencer import Sequencer
from consent_service.ledger.witnesses import Asking, load_witnesses
from consent_service.mail import Mailer
from consent_service.reports.jobs import Counting
from consent_service.reports.sending import run_due
from consent_service.signing import Keyring
from consent_service.tenants.service import Site, SiteDirectory

#: A job that finds nothing to do comes this many times less often, at the most.
_IDLE = 5

#: Seconds between two attempts to reach a database that is away, at the most.
_AWAY_SECONDS = 5

#: As a child of the server: visitors come first (see nice(1)).
_NICENESS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Something to be done every so often."""

    name: str
    #: Seconds from one time to the next, while there is something to do.
    every: float
    #: Does it for these sites; returns whether there was something to do.
    run: Callable[[Sequence[Site]], bool]


def jobs(database: Database, keys: Keyring, settings: Settings) -> tuple[Job, ...]:
    """Return all that the worker does; the first is not to wait for the others.

    :raises OperatorError: when the file of witnesses is not right
    """
    counting, mailer = Counting(database), Mailer(settings)
    ledgers = LedgerDirectory(database, Heads(settings.heads_folder))
    sequencer = Sequencer(database, keys, ledgers)
    witnesses = load_witnesses(settings.witnesses_file)

    def sequence(sites: Sequence[Site]) -> bool:
        keys.refresh()
        return sequencer.run(sites)

    def send(_: Sequence[Site]) -> bool:
        # Whom a report goes to may be encrypted with a key that is newer than this process.
        keys.refresh()
        return run_due(database, keys, mailer, settings, clock.now()) > 0

    def forget(sites: Sequence[Site]) -> bool:
        return forget_expired(database, sites)

    def invent(_: Sequence[Site]) -> bool:
        return bool(seed_history(database, keys))

    return (
        # With the pause of a job that finds nothing, a record is in the ledger within 5 seconds.
        Job("sequence", 0.5, sequence),
        *([Job("ask witnesses", 10, Asking(database, witnesses).run)] if witnesses else []),
        Job("count", 1, counting.count),
        # However few are erased, it is a whole day that is counted.
        Job("count erased days anew", 20, counting.recount),
        Job("send reports", 20, send),
        Job("forget edge tokens", 60, forget),
        *([Job("invent a history", 600, invent)] if settings.demo else []),
    )


class Worker:
    """Does each job when its time has come, for all sites."""

    def __init__(self, database: Database, jobs: Sequence[Job], stop: threading.Event) -> None:
        """Work until the event is set."""
        self._database = database
        self._sites = SiteDirectory()
        self._stop = stop
        self._due = dict.fromkeys(jobs, 0.0)
        self._pause = {job: job.every for job in jobs}
        self._failures = 0

    def run(self) -> None:
        """Work until told to stop.

        :raises OperatorError: when the database is not one to work on
        """
        checked = False
        while not self._stop.is_set():
            try:
                if not checked:
                    self._database.check_migrated()
                    self._database.check_subject()
                    checked = True
                with self._database.reading(Scope.DIRECTORY) as connection:
                    self._sites.refresh(connection)
                self._do_what_is_due()
            except Unavailable:
                self._be_away()
            else:
                self._be_back()
                self._stop.wait(max(0.0, min(self._due.values()) - time.monotonic()))

    def _do_what_is_due(self) -> None:
        for job in self._due:
            if self._stop.is_set() or self._due[job] > time.monotonic():
                continue
            busy = False
            try:
                busy = job.run(self._sites.all())
            except Unavailable:
                raise
            except Exception:
                log.exception("job failed", extra={"job": job.name})
            most = job.every * _IDLE
            self._pause[job] = job.every if busy else min(most, self._pause[job] * 2)
            self._due[job] = time.monotonic() + self._pause[job]

    def _be_away(self) -> None:
        if not self._failures:
            log.error("database cannot be reached; the worker waits")
        self._failures += 1
        self._stop.wait(min(_AWAY_SECONDS, 0.5 * self._failures))

    def _be_back(self) -> None:
        if self._failures:
            log.info("database is back")
        self._failures = 0


def _work_beside(workers: Sequence[Worker], stop: threading.Event) -> None:
    """Have each work in a thread of its own; where one cannot go on, none does.

    :raises OperatorError: when the database is not one to work on
    """
    with ThreadPoolExecutor(len(workers)) as pool:
        for ended in as_completed([pool.submit(each.run) for each in workers]):
            stop.set()
            ended.result()


def main() -> None:
    """Work, with settings from the environment, until SIGTERM or SIGINT, or as long as the parent.

    Ends with code 2 where only the operator can help.
    """
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    child.end_with_parent(stop)
    if child.is_child():
        os.nice(_NICENESS)
    try:
        settings = config.load()
        logs.configure(settings.log_level)
        database = Database(settings.database_url)
        keys = Keyring.of(settings)
        sequencing, *others = jobs(database, keys, settings)
        _work_beside([Worker(database, [sequencing], stop), Worker(database, others, stop)], stop)
        database.close()
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
