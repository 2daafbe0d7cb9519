"""Encryption of single values that the database keeps: AES-256-GCM (NIST SP 800-38D).

An encrypted value is ``<key id>.<base64url of the nonce, 12 bytes, and the ciphertext>``. The nonce
is random, so the same text never looks the same twice. One key is good for 2**32 values (section
8.3 there), which is more than any table that holds such values has rows.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service.errors import CannotDecrypt

_NONCE_BYTES = 12

#: As ``key rotate`` makes them.
_KEY_ID = re.compile("[0-9a-f]{8}")


class DataKeys:
    """The data keys of one moment, by their ids; the last one encrypts, all decrypt."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take keys of 32 bytes."""
        self._ciphers = {key_id: AESGCM(secret) for key_id, secret in keys.items()}
        self.newest_id = list(keys)[-1]

    def encrypt(self, text: str, context: str) -> str:
        """Encrypt a text for one place; ``context`` names the place and is not secret."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._ciphers[self.newest_id]
        sealed = nonce + cipher.encrypt(nonce, text.encode(), context.encode())
        return f"{self.newest_id}.{base64_encode(sealed).decode()}"

    def decrypt(self, sealed: str, context: str) -> str:
        """Return the text that was encrypted for this place.

        :raises CannotDecrypt: when the key is unknown, or the value was altered or stands in
            another place than the one it was encrypted for
        """
        key_id, _, encoded = sealed.rpartition(".")
        cipher = self._ciphers.get(key_id)
        if cipher is None and _KEY_ID.fullmatch(key_id):
            raise CannotDecrypt(
                f"The encrypted {context} cannot be read: the key file lacks its data key, "
                f"{key_id}. Put that key back into the file, from a copy that has it."
            )
        text = None if cipher is None else _opened(cipher, encoded, context)
        if text is None:
            # What stands there may be a text that was never encrypted, so it is not quoted.
            raise CannotDecrypt(
                f"The encrypted {context} cannot be read: it was altered, or copied from another "
                "place. Put it back from a backup of the database."
            )
        return text


def _opened(cipher: AESGCM, encoded: str, context: str) -> str | None:
    """Return the text, or None for what this key has not encrypted for this place."""
    try:
        content = base64_decode(encoded)
        nonce, ciphertext = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
        text = cipher.decrypt(nonce, ciphertext, context.encode()).decode()
    except (BadData, InvalidTag, ValueError):
        return None
    # Base64 has several spellings of the same bytes; only the one we write counts.
    return text if base64_encode(content).decode() == encoded else None
