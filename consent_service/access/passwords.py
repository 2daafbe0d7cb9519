"""Passwords: which are good enough, and their hashes (argon2id, RFC 9106).

The rule is that of NIST SP 800-63B, section 3.1.1.2: length, and nothing that everybody tries
first; no mixture of characters is asked for, and none expires.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from consent_service.errors import ValidationFailed

SHORTEST = 12
LONGEST = 128

#: The fewest characters that a password has besides what everybody knows of its user.
_FEWEST_OWN = 6
_FEWEST_DIFFERENT = 5
_SHORTEST_WORD = 3

_PRODUCT = ("consentservice", "consent", "service")

# The library's own choice is the second profile of RFC 9106, section 4: 64 MiB, three passes.
_hasher = PasswordHasher()


def check(password: str, *known: str) -> None:
    """Refuse a password that is too short, too long, or guessed first.

    :param known: what is known of the user: address, name
    :raises ValidationFailed: with what to mend, for the field ``password``
    """
    problem = _problem(_written(password), known)
    if problem:
        raise ValidationFailed(fields={"password": [problem]})


def hash_of(password: str) -> str:
    """Return what is stored of a password."""
    return _hasher.hash(_written(password))


def matches(stored: str | None, password: str) -> bool:
    """Say whether this is the password; without one stored it takes as long, and it is not."""
    try:
        _hasher.verify(stored or _nobodys(), _written(password))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Say whether a hash was made with other costs than are due now."""
    return _hasher.check_needs_rehash(stored)


def _problem(password: str, known: tuple[str, ...]) -> str | None:
    if len(password) < SHORTEST:
        return f"Use at least {SHORTEST} characters; a few words are easy to remember."
    if len(password) > LONGEST:
        return f"Use at most {LONGEST} characters."
    lower = password.casefold()
    if lower in _common() or len(set(lower)) < _FEWEST_DIFFERENT:
        return "Many people use this password, so it is guessed first. Use another."
    if len(password) - _known_letters(lower, known) < _FEWEST_OWN:
        return "This is hardly more than your name, your address or ours. Use another."
    return None


def _known_letters(password: str, known: tuple[str, ...]) -> int:
    """Return how many letters of a password are of words that everybody knows."""
    words = [*_PRODUCT, *known]
    words += [part for text in known for part in text.replace("@", " ").replace(".", " ").split()]
    bare = left = _bare(password)
    for word in sorted((_bare(word) for word in words), key=len, reverse=True):
        if len(word) >= _SHORTEST_WORD:
            left = left.replace(word, "")
    return len(bare) - len(left)


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _written(password: str) -> str:
    """Return one form of what keyboards write in several ways."""
    return unicodedata.normalize("NFKC", password)


@cache
def _common() -> frozenset[str]:
    text = (Path(__file__).parent / "data" / "common_passwords.txt").read_text("utf-8")
    return frozenset(text.split())


@cache
def _nobodys() -> str:
    return hash_of("")
