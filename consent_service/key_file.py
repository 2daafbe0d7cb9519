"""The key file: JSON, readable by its owner alone, with a list of keys of each kind.

``{"record": [{"id": ..., "secret": ..., "active_from": ...}], "token": [...], "data": [...]}``,
oldest to newest. ``signing.py`` says what each kind is for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service import clock
from consent_service.errors import OperatorError
from consent_service.files import write_whole

KeyKind = Literal["record", "token", "data"]
KEY_KINDS: tuple[KeyKind, ...] = ("record", "token", "data")

SECRET_BYTES = 32


@dataclass(frozen=True)
class Key:
    """One secret of 32 bytes: an Ed25519 seed, an HMAC key or an AES-256 key."""

    id: str
    secret: bytes
    active_from: datetime


Keys = dict[KeyKind, list[Key]]


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what differs whenever the file has been replaced.

    :raises OperatorError: when it cannot be found
    """
    try:
        status = path.stat()
    except OSError as error:
        raise OperatorError(
            f"The key file {path} cannot be read ({error.strerror}). "
            "Make it with: consent-service key rotate"
        ) from error
    return status.st_ino, status.st_mtime_ns, status.st_size


def read(path: Path, *, complete: bool = True) -> Keys:
    """Return the keys in the file.

    :param complete: whether there must be one of each kind
    :raises OperatorError: when the file is not right, or lacks a kind
    """
    try:
        document = json.loads(path.read_bytes())
        # Files from before there were data keys have no list of them.
        lists = {"data": [], **document}
        keys = {kind: _keys(lists[kind]) for kind in KEY_KINDS}
    except (OSError, BadData, ValueError, KeyError, TypeError) as error:
        # The error's own text could quote a secret.
        raise OperatorError(
            f"The key file {path} is not right ({type(error).__name__}). "
            "Put back a copy of it; a lost key cannot be made again."
        ) from None
    missing = [kind for kind in KEY_KINDS if complete and not keys[kind]]
    if missing:
        raise OperatorError(
            f"The key file {path} holds no {missing[0]} key. "
            f"Make one with: consent-service key rotate {missing[0]}"
        )
    return keys


def write(path: Path, keys: Keys) -> None:
    """Replace the file, so that a reader sees the old keys or the new, never half.

    :raises OperatorError: when it cannot be written
    """
    document = {
        kind: [
            {
                "id": key.id,
                "secret": base64_encode(key.secret).decode(),
                "active_from": clock.rfc3339(key.active_from),
            }
            for key in entries
        ]
        for kind, entries in keys.items()
    }
    try:
        write_whole(path, json.dumps(document, indent=2).encode())
    except OSError as error:
        raise OperatorError(f"The key file {path} cannot be written ({error.strerror}).") from error


def _keys(entries: list[dict[str, str]]) -> list[Key]:
    return [
        Key(
            id=entry["id"],
            secret=_secret(entry["secret"]),
            active_from=clock.from_rfc3339(entry["active_from"]),
        )
        for entry in entries
    ]


def _secret(text: str) -> bytes:
    secret = base64_decode(text)
    if len(secret) != SECRET_BYTES:
        raise ValueError
    return secret
