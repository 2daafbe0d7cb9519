"""What was published of each ledger, remembered outside the database.

A database that is restored from a backup knows nothing of what was published after it. A ledger
that went on from there would say two things of the same leaves, and whoever holds the one could no
longer tell which is right. So the newest checkpoint of each ledger is kept in a file of its own,
in a folder that is not part of the database's backup, and compared with the database.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from consent_service import files
from consent_service.errors import OperatorError
from consent_service.ledger.checkpoint import Checkpoint, SignedNote
from consent_service.ledger.merkle import ProofRefused
from consent_service.ledger.store import Ledger

#: By the number of the ledger among its tenant's.
Remembered = Mapping[int, Checkpoint]

#: Gives the root that a ledger in the database has over its first leaves.
RootAt = Callable[[Ledger, int], bytes]

_FILE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-([1-9][0-9]{0,8})\.checkpoint")

#: More leaves than any ledger has: what a file counts as that nobody can read.
_UNREADABLE = 1 << 63

log = logging.getLogger(__name__)


class Heads:
    """The folder of remembered heads. Any number of processes of one machine share it."""

    def __init__(self, folder: Path) -> None:
        """Remember in this folder, which is made when there is something to remember."""
        self._folder = folder
        #: What each file said, and what told it from others by then.
        self._known: dict[UUID, dict[int, tuple[tuple[int, int, int], Checkpoint]]] = {}
        self._writable = True

    def all(self) -> dict[UUID, dict[int, Checkpoint]]:
        """Return what is remembered of each tenant.

        Call it before the database is read: otherwise it may know more than what was read there.

        :raises OperatorError: when the folder cannot be read
        """
        found: dict[UUID, dict[int, Checkpoint]] = {}
        try:
            entries = list(os.scandir(self._folder))
        except FileNotFoundError:
            return found
        except OSError as error:
            raise OperatorError(
                f"The folder of ledgers' heads, {self._folder}, cannot be read "
                f"({error.strerror}). The service must be able to read and write it."
            ) from error
        for named in filter(None, (_FILE.fullmatch(entry.name) for entry in entries)):
            tenant_id, number = UUID(named[1]), int(named[2])
            head = self._read(tenant_id, number)
            if head:
                found.setdefault(tenant_id, {})[number] = head
        return found

    def of(self, tenant_id: UUID) -> dict[int, Checkpoint]:
        """Return what the files of a tenant say now that :meth:`all` has found."""
        numbers = list(self._known.get(tenant_id, ()))
        read = {number: self._read(tenant_id, number) for number in numbers}
        return {number: head for number, head in read.items() if head}

    def remember(self, ledger: Ledger, note: SignedNote) -> None:
        """Remember a checkpoint, unless a newer one is remembered.

        Where it cannot be written that is logged, and nothing is stopped.
        """
        path = self._path(ledger.tenant_id, ledger.number)
        try:
            with self._alone():
                known = self._read(ledger.tenant_id, ledger.number)
                if known is None or known.size < Checkpoint.parse(note.text).size:
                    files.write_whole(path, str(note).encode())
        except OSError as error:
            if self._writable:
                log.error(  # noqa: TRY400 - what happened is all said
                    "heads of ledgers cannot be remembered; a restored backup may go unnoticed",
                    extra={"folder": str(self._folder), "reason": error.strerror},
                )
            self._writable = False
        else:
            self._writable = True

    def set_aside(self, tenant_id: UUID, number: int) -> None:
        """Keep what is remembered of a ledger, but compare nothing with it any more."""
        path = self._path(tenant_id, number)
        with self._alone():
            if path.exists():
                path.replace(path.with_name(f"{path.name}.closed"))

    def _path(self, tenant_id: UUID, number: int) -> Path:
        return self._folder / f"{tenant_id}-{number}.checkpoint"

    def _read(self, tenant_id: UUID, number: int) -> Checkpoint | None:
        path = self._path(tenant_id, number)
        known = self._known.setdefault(tenant_id, {})
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if number not in known or known[number][0] != stamp:
                known[number] = (stamp, _head(path))
            return known[number][1]
        except FileNotFoundError:
            # Set aside meanwhile.
            known.pop(number, None)
            return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes and threads from writing here for the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def contradiction(remembered: Remembered, ledgers: Iterable[Ledger], root_at: RootAt) -> str | None:
    """Say in which way a tenant's ledgers in the database are not those that were published.

    A ledger that was closed is not looked at: somebody has decided about it. Pure.

    :param remembered: read before the ledgers were
    :param ledgers: all of the tenant's
    :returns: None when what was published is all there
    """
    there = {ledger.number: ledger for ledger in ledgers}
    for number, head in sorted(remembered.items()):
        ledger = there.get(number)
        if ledger is None:
            return f"{head.size} leaves of {head.origin} were published, and it is not there"
        if ledger.closed_at:
            continue
        if head.size == _UNREADABLE:
            return f"what is remembered of {ledger.origin} cannot be read"
        if ledger.size < head.size:
            return f"{head.size} leaves of {ledger.origin} were published, {ledger.size} are there"
        root = ledger.root if ledger.size == head.size else root_at(ledger, head.size)
        if root != head.root:
            return f"the first {head.size} leaves of {ledger.origin} are not those published"
    return None


def _head(path: Path) -> Checkpoint:
    try:
        return Checkpoint.parse(SignedNote.parse(path.read_text("utf-8")).text)
    except (ProofRefused, UnicodeDecodeError, PermissionError) as error:
        # It cannot be ruled out that it said more than the database knows.
        log.error(  # noqa: TRY400 - what happened is all said
            "what is remembered of a ledger cannot be read",
            extra={"file": str(path), "reason": str(error)},
        )
        return Checkpoint(path.name, _UNREADABLE, b"")
