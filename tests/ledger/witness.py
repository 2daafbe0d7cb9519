"""A witness on this machine, written from C2SP's ``tlog-witness`` with none of the service's code.

It can be told to misbehave.
"""

from __future__ import annotations

import json
import os
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.ledger.outside import (
    WITNESS,
    VerifierKey,
    grown,
    key_hash,
    read_checkpoint,
    read_note,
    verifier_key,
    write_key,
)

#: Sends an answer by itself, and says that it did.
Instead = Callable[["Call"], bool]


class Refusal(Exception):
    """An answer that is no cosignature."""

    def __init__(self, status: int, body: str = "", kind: str = "text/plain") -> None:
        """Answer with this."""
        super().__init__(status)
        self.status, self.body, self.kind = status, body, kind


class Call(BaseHTTPRequestHandler):
    """One call to a witness."""

    protocol_version = "HTTP/1.1"
    #: Seconds after which a connection that nobody uses is closed.
    timeout = 10
    server: _Server

    def do_POST(self) -> None:
        """Answer."""
        witness = self.server.witness
        body = self.rfile.read(int(self.headers["Content-Length"]))
        witness.bodies.append(body)
        if witness.instead and witness.instead(self):
            return
        try:
            answer = witness.add_checkpoint(self.path, body)
        except Refusal as refusal:
            self.answer(refusal.status, refusal.body, refusal.kind)
        else:
            if witness.after and witness.after(self):
                return
            self.answer(200, answer)

    def answer(self, status: int, body: str = "", kind: str = "text/plain", **more: str) -> None:
        """Send an answer."""
        encoded = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, **more}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_: Any) -> None:  # noqa: ANN401
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # The default is for five who wait.
    request_queue_size = 50
    witness: Witness


class Witness:
    """What a witness knows and does. It remembers the newest checkpoint of each log on disk."""

    def __init__(self, folder: Path, name: str = "witness.example/w1") -> None:
        """Keep what must not be forgotten in this folder."""
        self.name = name
        self.path = "/prefix"
        self.private = Ed25519PrivateKey.generate()
        self.logs: dict[str, list[VerifierKey]] = {}
        self.bodies: list[bytes] = []
        #: What it does before it looks at a call, and once it has taken a checkpoint.
        self.instead: Instead | None = None
        self.after: Instead | None = None
        #: Seconds that its clock is ahead.
        self.ahead = 0
        self.port = 0
        self._file = folder / f"{name.replace('/', '-')}.json"
        self._lock = Lock()

    @property
    def key(self) -> str:
        """Its key, as it hands it out."""
        return write_key(self.name, WITNESS, self.public)

    @property
    def public(self) -> bytes:
        """The same in bytes."""
        return self.private.public_key().public_bytes_raw()

    @property
    def line(self) -> str:
        """What stands in a file of witnesses for it."""
        return f"{self.key} http://127.0.0.1:{self.port}{self.path}"

    @property
    def olds(self) -> list[int]:
        """The sizes that it was told to go on from."""
        return [int(body.split(b"\n")[0].removeprefix(b"old ")) for body in self.bodies]

    def trust(self, *keys: str) -> None:
        """Cosign the log whose keys these are."""
        for key in map(verifier_key, keys):
            self.logs.setdefault(key.name, []).append(key)

    def newest(self, origin: str) -> tuple[int, bytes]:
        """Return size and root of what it has cosigned last; size 0 for nothing."""
        try:
            size, root = json.loads(self._file.read_bytes())[origin]
        except (FileNotFoundError, KeyError):
            return 0, b""
        return size, b64decode(root)

    def remember(self, origin: str, size: int, root: bytes) -> None:
        """Keep that, whole or not at all, before anybody is told."""
        known = json.loads(self._file.read_bytes()) if self._file.exists() else {}
        known[origin] = [size, b64encode(root).decode()]
        beside = self._file.with_suffix(".new")
        with beside.open("w") as file:
            json.dump(known, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._file)

    def forget(self) -> None:
        """Lose all that it knew."""
        self._file.unlink()

    def add_checkpoint(self, path: str, body: bytes) -> str:
        """Return the line of a cosignature.

        :raises Refusal: as the protocol says
        """
        if path != f"{self.path}/add-checkpoint":
            raise Refusal(404)
        head, gap, rest = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        old = re.fullmatch("old (0|[1-9][0-9]*)", first)
        try:
            assert gap
            assert old
            assert len(lines) <= 63
            proof = [b64decode(line, validate=True) for line in lines]
            assert all(len(each) == 32 for each in proof)
            note = read_note(rest)
            origin, size, root = read_checkpoint(note.text)
        except (AssertionError, ValueError) as error:
            raise Refusal(400) from error
        if origin not in self.logs:
            raise Refusal(404)
        if not note.signed_by(self.logs[origin]):
            raise Refusal(403)
        with self._lock:
            self._check_growth(origin, int(old[1]), size, root, proof)
            self.remember(origin, size, root)
        return f"{self.cosign(note.text)}\n"

    def _check_growth(
        self, origin: str, old: int, size: int, root: bytes, proof: list[bytes]
    ) -> None:
        if old > size:
            raise Refusal(400)
        known, known_root = self.newest(origin)
        if old != known or (old == size and root != known_root):
            raise Refusal(409, f"{known}\n", "text/x.tlog.size")
        if old == 0:
            if proof:
                raise Refusal(422)
            return
        try:
            roots = grown(old, size, known_root, proof)
        except IndexError as error:
            raise Refusal(422) from error
        if roots != (known_root, root):
            raise Refusal(422)

    def cosign(self, text: str) -> str:
        """Return the line that it puts under a checkpoint."""
        at = int(time.time()) + self.ahead
        signature = self.private.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        hash_ = key_hash(self.name, WITNESS, self.public)
        return f"— {self.name} {b64encode(hash_ + at.to_bytes(8, 'big') + signature).decode()}"


@contextmanager
def running(witness: Witness) -> Iterator[Witness]:
    """Have it answer, at the port where it answered before if it did."""
    server = _Server(("127.0.0.1", witness.port), Call)
    server.witness = witness
    witness.port = server.server_port
    # The loop looks every so often whether it is to end.
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield witness
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
