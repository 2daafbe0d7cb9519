"""A process that runs beside this one, is started again when it fails, and ends with this one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Names the process that a child ends with. No setting: nobody but a parent sets it.
_PARENT = "_CONSENT_PARENT"

#: Seconds until a child is started: the parent's own start comes first.
_FIRST_SECONDS = 2

#: Seconds until a child that has ended is started again.
_AGAIN_SECONDS = 5

#: Seconds between two looks at whether the parent is still there.
_LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)


@contextmanager
def beside(module: str, *, stop_seconds: float) -> Iterator[None]:
    """Run a module's ``__main__`` in a process of its own until the block ends.

    :param stop_seconds: a child that has not ended by itself so long after SIGTERM is killed
    """
    stop = threading.Event()
    child = _Child(module, stop_seconds)
    thread = threading.Thread(target=child.keep, args=(stop,), name="child", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        child.stop()
        thread.join()


class _Child:
    def __init__(self, module: str, stop_seconds: float) -> None:
        self._command = [sys.executable, "-m", module]
        self._stop_seconds = stop_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def keep(self, stop: threading.Event) -> None:
        """Start it, and again when it ends."""
        environ = {**os.environ, _PARENT: str(os.getpid())}
        if stop.wait(_FIRST_SECONDS):
            return
        while True:
            with self._lock:
                if stop.is_set():
                    return
                self._process = subprocess.Popen(self._command, env=environ)
            code = self._process.wait()
            # Whoever presses Ctrl+C sends it to all processes, and the child may be the first.
            if stop.wait(_AGAIN_SECONDS):
                return
            log.error("ended and is started again", extra={"code": code, "run": self._command[-1]})

    def stop(self) -> None:
        """End it."""
        with self._lock:
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()


def end_with_parent(stop: threading.Event) -> None:
    """Set the event when the parent is gone, however it ended; in a child of :func:`beside`.

    A pipe would not do: the parent's other children would hold it open.
    """
    parent = os.environ.get(_PARENT)
    if parent is None:
        return

    def look() -> None:
        while os.getppid() == int(parent):
            if stop.wait(_LOOK_SECONDS):
                return
        stop.set()

    threading.Thread(target=look, name="parent", daemon=True).start()


def is_child() -> bool:
    """Say whether this process was started by :func:`beside`."""
    return _PARENT in os.environ
