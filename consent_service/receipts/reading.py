"""Read what somebody else wrote, and in one way only. Pure.

Two readers that take one file for different things are how a forgery gets through: so what RFC 8259
leaves open is closed here, and ``docs/verifying.md`` says how, for whoever writes another reader.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from typing import Any, NoReturn

from itsdangerous.encoding import base64_encode

#: Larger than any receipt: a notice of a hundred purposes makes some fifty kilobytes.
MAX_BYTES = 1 << 20

#: Objects and lists in one another; deeper than any receipt.
MAX_DEPTH = 32

#: The largest integer that every JSON reader keeps exactly (RFC 7493, section 2.2).
MAX_INTEGER = (1 << 53) - 1

_LONGEST_INTEGER = len(str(-MAX_INTEGER))

#: In JSON a backslash stands in strings only. Digits of an escape are lower-case, as in RFC 8785:
#: else two files that differ in one bit would say the same.
_ESCAPE = re.compile(r"\\(u.{4}|.)", re.DOTALL)
_ESCAPES = re.compile(r"[\"\\/bfnrt]|u[0-9a-f]{4}")

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


class Refused(ValueError):
    """A check failed.

    :ivar code: of the reason, as ``docs/verifying.md`` lists them
    """

    def __init__(self, code: str, said: str) -> None:
        """Say in plain words what is wrong."""
        super().__init__(said)
        self.code = code


def read_json(data: bytes) -> Any:  # noqa: ANN401
    """Read one JSON value of integers, strings, true, false, null, lists and objects.

    :raises Refused: when it is not UTF-8 (without a byte order mark) or not JSON, has a key twice,
        a number that is no integer below 2**53, half a character, or an escape in upper case; when
        it is larger than :data:`MAX_BYTES`, or nested more deeply than :data:`MAX_DEPTH`
    """
    if len(data) > MAX_BYTES:
        raise Refused("too_large", f"It has more than {MAX_BYTES} bytes.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", f"It is not UTF-8 at byte {error.start}.") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_not_integer,
            parse_constant=_not_integer,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refused("not_json", f"It is not JSON at {where}: {error.msg}.") from error
    except RecursionError as error:
        raise Refused("not_json", _TOO_DEEP) from error
    _check_depth(value)
    if "\\" in text:
        _check_escapes(text, value)
    return value


def from_base64url(text: Any, length: int | None = None) -> bytes | None:  # noqa: ANN401
    """Return what a text of base64url without padding holds; None if it is not just that.

    Of several ways to write the same bytes only one counts.
    """
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        return None
    try:
        found = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except NotBase64:
        return None
    if base64_encode(found).decode() != text or (length is not None and len(found) != length):
        return None
    return found


_TOO_DEEP = f"It is nested more deeply than {MAX_DEPTH} objects and lists."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise Refused("duplicate_key", f"The member {twice[:64]!r} stands twice in one object.")
    return found


def _integer(digits: str) -> int:
    if digits == "-0" or len(digits) > _LONGEST_INTEGER or abs(int(digits)) > MAX_INTEGER:
        _not_integer(digits)
    return int(digits)


def _not_integer(number: str) -> NoReturn:
    raise Refused("not_json", f"{number[:32]} is not an integer below 2**53.")


def _check_depth(value: Any) -> None:  # noqa: ANN401
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return
        level = [it for each in level for it in (each.values() if isinstance(each, dict) else each)]
    raise Refused("not_json", _TOO_DEEP)


def _check_escapes(text: str, value: Any) -> None:  # noqa: ANN401
    for escape in _ESCAPE.findall(text):
        if not _ESCAPES.fullmatch(escape):
            raise Refused(
                "not_json", f"The escape \\{escape} is not written as in RFC 8785: use lower case."
            )
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Refused("not_json", "An escape names half a character.") from error
