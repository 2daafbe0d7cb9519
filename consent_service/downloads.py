"""Files that are made for one call: whole before the first byte leaves, and few at a time.

A server cannot take back a status once it is sent, and ours (Granian) ends a chunked answer as if
all was well when its body fails half-way. So a file is made on disk first: what goes wrong is an
error like any other, and the answer says how long it is, so that a client notices a connection
that breaks (RFC 9112, section 8).
"""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from threading import BoundedSemaphore
from typing import IO

from flask import Response, request

from consent_service.errors import Busy, Unavailable

#: Files that a process makes and sends at once: a quarter of its threads.
MOST_AT_ONCE = 4

_SENT_AT_ONCE = 64 * 1024

_slots = BoundedSemaphore(MOST_AT_ONCE)


def download(chunks: Iterable[bytes], name: str, mimetype: str) -> Response:
    """Answer with a file.

    :param chunks: what is in it; nothing is read before there is room for one more file
    :param name: what a browser keeps it as: letters, digits, hyphens, dots
    :raises Busy: when the process makes as many files as it can
    :raises Unavailable: when there is no room on the disk; whatever the chunks raise
    """
    if not _slots.acquire(blocking=False):
        raise Busy
    try:
        file, size, digest = _kept(chunks)
    except BaseException:
        _slots.release()
        raise
    response = Response(_sent(file), content_type=mimetype)
    # Whether it is sent, given up or never asked for: once.
    done = weakref.finalize(response, _done, file)
    response.call_on_close(done)
    response.content_length = size
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(digest)
    response.make_conditional(request)
    return response


def _kept(chunks: Iterable[bytes]) -> tuple[IO[bytes], int, str]:
    """Put a file on disk; return it, its size in bytes, and what tells its content from others."""
    digest = hashlib.sha256()
    with ExitStack() as stack:
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is sent
            stack.callback(_closed, file)
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
            size = file.tell()
            file.seek(0)
        except OSError as error:
            raise Unavailable from error
        stack.pop_all()
    return file, size, digest.hexdigest()


def _closed(file: IO[bytes]) -> None:
    # What is in the buffer may have no room either.
    with suppress(OSError):
        file.close()


def _sent(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_SENT_AT_ONCE):
        yield chunk


def _done(file: IO[bytes]) -> None:
    _closed(file)
    _slots.release()
