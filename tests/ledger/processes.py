"""Keeps two processes adding to a ledger, which a test may kill; each one's id is printed."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from consent_service.db import Contended, Database
from consent_service.ledger import sequencer
from consent_service.ledger.directory import LedgerDirectory
from consent_service.ledger.heads import Heads
from consent_service.ledger.sequencer import Sequencer
from consent_service.signing import Keyring

#: Small ones, so that there are many to be killed in.
BATCH = 3


def add(url: str, folder: Path, tenant_id: UUID) -> None:
    """Add what waits, for ever."""
    sequencer.BATCH = BATCH
    database = Database(url)
    directory = LedgerDirectory(database, Heads(folder / "heads"))
    worker = Sequencer(database, Keyring(folder / "keys.json"), directory)
    while True:
        added = 0
        with suppress(Contended):
            added = worker.sequence(tenant_id)
        time.sleep(0 if added else 0.02)


def main() -> None:
    """Have two children at any time, until the input is closed."""
    url, folder, tenant_id = sys.argv[1], Path(sys.argv[2]), UUID(sys.argv[3])
    children: set[int] = set()
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        while len(children) < 2:
            child = os.fork()
            if not child:
                add(url, folder, tenant_id)
            children.add(child)
            sys.stdout.write(f"{child}\n")
            sys.stdout.flush()
        ended, _ = os.waitpid(-1, os.WNOHANG)
        children.discard(ended)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
