"""The key file: JSON, readable by its owner alone, with a list of keys of each kind.

``{"record": [{"id": ..., "secret": ..., "active_from": ...}], "token": [...], "data": [...]}``,
oldest to newest. ``signing.py`` says what each kind is for. A token key that was stolen has a
member ``revoked``: ``{"revoked_at": ..., "reason": "compromised"}``.

Record keys of which only the public half is left, because they were stolen or lost, stand in
``retired``: ``{"id": ..., "public": ..., "active_from": ..., "revoked": {...}}``. That list is one
of its own so that versions which do not know it read the rest of the file.

The same text can come from the environment (``CONSENT_KEYS``); then nothing here changes it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service import clock
from consent_service.errors import OperatorError
from consent_service.files import write_whole

KeyKind = Literal["record", "token", "data"]
KEY_KINDS: tuple[KeyKind, ...] = get_args(KeyKind)

#: Why a key is not used any more: somebody else may have its secret, or nobody has it.
Reason = Literal["compromised", "lost"]
REASONS: tuple[Reason, ...] = get_args(Reason)

#: Of a secret, and of the public half of a record key.
KEY_BYTES = 32


@dataclass(frozen=True)
class Revoked:
    """Since when a key must not be used, and why."""

    at: datetime
    reason: Reason

    @property
    def stolen(self) -> bool:
        """Whether somebody else may have the key."""
        return self.reason == "compromised"


@dataclass(frozen=True)
class Key:
    """One secret of 32 bytes: an Ed25519 seed, an HMAC key or an AES-256 key."""

    id: str
    secret: bytes = field(repr=False)
    active_from: datetime
    #: Of token keys only: what it signed does not count, and what is derived from it stays.
    revoked: Revoked | None = None


@dataclass(frozen=True)
class RetiredKey:
    """A record key that can only verify: 32 bytes, the public half."""

    id: str
    public: bytes
    #: None where nobody knows any more.
    active_from: datetime | None
    revoked: Revoked


@dataclass(frozen=True)
class Keys:
    """What a key file holds."""

    of: dict[KeyKind, list[Key]]
    retired: list[RetiredKey]

    def usable(self, kind: KeyKind) -> list[Key]:
        """Return the keys of a kind that are not revoked, oldest to newest."""
        return [key for key in self.of[kind] if not key.revoked]


@dataclass(frozen=True)
class KeyText:
    """The content of a key file that is no file."""

    text: str = field(repr=False)


Source = Path | KeyText


class KeySettings(Protocol):
    """The settings that say where keys are: a text, or else a file."""

    @property
    def keys(self) -> str:
        """``CONSENT_KEYS``."""

    @property
    def keys_file(self) -> Path:
        """``CONSENT_KEYS_FILE``."""


def source_of(settings: KeySettings) -> Source:
    """Return where the keys are."""
    return KeyText(settings.keys) if settings.keys else settings.keys_file


def changeable(settings: KeySettings) -> Path:
    """Return the key file, to be changed.

    :raises OperatorError: when the keys come from the environment
    """
    if settings.keys:
        raise OperatorError(
            "The keys come from CONSENT_KEYS, which no command can change. Put its text into a "
            "file that only you can read, run this with CONSENT_KEYS_FILE naming that file and "
            "without CONSENT_KEYS, and store the file's new text where CONSENT_KEYS comes from."
        )
    return settings.keys_file


def stamp(source: Source) -> tuple[int, int, int]:
    """Return what differs whenever the file has been replaced.

    :raises OperatorError: when it cannot be found
    """
    if isinstance(source, KeyText):
        return 0, 0, 0
    try:
        status = source.stat()
    except OSError as error:
        raise OperatorError(
            f"The key file {source} cannot be read ({error.strerror}). "
            "Make it with: consent-service key rotate"
        ) from error
    return status.st_ino, status.st_mtime_ns, status.st_size


def read(source: Source, *, complete: bool = True) -> Keys:
    """Return the keys in the file.

    :param complete: whether there must be one of each kind that can be used
    :raises OperatorError: when the file is not right, or lacks a kind
    """
    named = "in CONSENT_KEYS" if isinstance(source, KeyText) else str(source)
    try:
        text = source.text if isinstance(source, KeyText) else source.read_bytes()
        keys = _keys(json.loads(text))
    except (OSError, BadData, ValueError, KeyError, TypeError) as error:
        # The error's own text could quote a secret.
        raise OperatorError(
            f"The key file {named} is not right ({type(error).__name__}). "
            "Put back a copy of it; a lost key cannot be made again."
        ) from None
    missing = [kind for kind in KEY_KINDS if complete and not keys.usable(kind)]
    if missing:
        raise OperatorError(
            f"The key file {named} holds no {missing[0]} key. "
            f"Make one with: consent-service key rotate {missing[0]}"
        )
    return keys


def write(path: Path, keys: Keys) -> None:
    """Replace the file, so that a reader sees the old keys or the new, never half.

    :raises OperatorError: when it cannot be written
    """
    try:
        write_whole(path, json.dumps(_document(keys), indent=2).encode())
    except OSError as error:
        raise OperatorError(f"The key file {path} cannot be written ({error.strerror}).") from error


@contextmanager
def changing(path: Path) -> Iterator[Keys]:
    """Give the keys, to be changed in place, and write them where they were changed.

    One process at a time does: of two that read the file before either wrote it, one would lose
    the other's key. What is locked is the folder, as the file itself is replaced. A block that
    fails changes nothing.

    :raises OperatorError: when the file is there and not right, or cannot be written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise OperatorError(f"The key file {path} cannot be written ({error.strerror}).") from error
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError as error:
            raise OperatorError(
                f"The folder of the key file {path} cannot be locked ({error.strerror}). Change "
                "the file on a disk of this machine, and copy it there."
            ) from error
        keys = (
            read(path, complete=False)
            if path.exists()
            else Keys({kind: [] for kind in KEY_KINDS}, [])
        )
        before = _document(keys)
        yield keys
        if _document(keys) != before:
            write(path, keys)
    finally:
        os.close(folder)


def _keys(document: dict[str, Any]) -> Keys:
    # Files from before there were data keys have no list of them.
    lists = {"data": [], **document}
    keys = Keys(
        {kind: [_key(entry) for entry in lists[kind]] for kind in KEY_KINDS},
        [_retired(entry) for entry in lists.get("retired", [])],
    )
    retired = {key.id for key in keys.retired}
    # Whoever revoked a key by hand must not have it sign on.
    if any(key.id in retired or key.revoked for key in keys.of["record"]):
        raise ValueError
    if any(key.revoked for key in keys.of["data"]):
        raise ValueError
    return keys


def _key(entry: Mapping[str, Any]) -> Key:
    return Key(
        id=entry["id"],
        secret=_key_bytes(entry["secret"]),
        active_from=clock.from_rfc3339(entry["active_from"]),
        revoked=_revoked(entry["revoked"]) if "revoked" in entry else None,
    )


def _retired(entry: Mapping[str, Any]) -> RetiredKey:
    active_from = entry["active_from"]
    return RetiredKey(
        id=entry["id"],
        public=_key_bytes(entry["public"]),
        active_from=active_from and clock.from_rfc3339(active_from),
        revoked=_revoked(entry["revoked"]),
    )


def _revoked(entry: Mapping[str, Any]) -> Revoked:
    reason = entry["reason"]
    if reason not in REASONS:
        raise ValueError
    return Revoked(clock.from_rfc3339(entry["revoked_at"]), reason)


def _key_bytes(text: str) -> bytes:
    found = base64_decode(text)
    if len(found) != KEY_BYTES:
        raise ValueError
    return found


def _document(keys: Keys) -> dict[str, list[dict[str, Any]]]:
    document: dict[str, list[dict[str, Any]]] = {
        kind: [
            {
                "id": key.id,
                "secret": base64_encode(key.secret).decode(),
                "active_from": clock.rfc3339(key.active_from),
                **({"revoked": _written(key.revoked)} if key.revoked else {}),
            }
            for key in entries
        ]
        for kind, entries in keys.of.items()
    }
    if keys.retired:
        document["retired"] = [
            {
                "id": key.id,
                "public": base64_encode(key.public).decode(),
                "active_from": clock.rfc3339(key.active_from) if key.active_from else None,
                "revoked": _written(key.revoked),
            }
            for key in keys.retired
        ]
    return document


def _written(revoked: Revoked) -> dict[str, str]:
    return {"revoked_at": clock.rfc3339(revoked.at), "reason": revoked.reason}
