"""A verifier of receipts written from ``docs/verifying.md`` alone.

It shares no code with the package: the standard library, and Ed25519 from ``cryptography``.
"""

# ruff: noqa: C901, TRY301 - it reads from top to bottom, as the page does

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

STEPS = (
    "file",
    "receipt_signature",
    "record_signature",
    "commitment",
    "proof",
    "inclusion",
    "checkpoint_signature",
)

LARGEST = 2**53 - 1

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NUMBER = r"0|[1-9][0-9]*"


class Bad(Exception):
    """A step failed; its code."""


@dataclass
class Answer:
    """What a receipt shows: the answer, and where and why it was refused."""

    kind: str
    step: str | None = None
    code: str | None = None
    cosigned: dict[str, int | None] = field(default_factory=dict)
    others: int = 0


@dataclass
class Key:
    """A public key, whether it is compromised, and the logs it is bound to."""

    public: bytes
    compromised: bool
    logs: set[str] | None


# ---- Texts


def sha256(data: bytes) -> bytes:
    """Return SHA-256."""
    return hashlib.sha256(data).digest()


def is_text(pattern: str, value: object) -> bool:
    """Say whether a value is a string of this form, in ASCII digits."""
    return isinstance(value, str) and bool(re.fullmatch(pattern, value, re.ASCII))


def base64url(value: object) -> bytes | None:
    """Read base64url of the only right form."""
    if not is_text(r"[A-Za-z0-9_-]*", value):
        return None
    text = str(value)
    try:
        data = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_")
    except binascii.Error:
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text else None


def standard_base64(text: str) -> bytes:
    """Read base64 of the only right form."""
    try:
        data = base64.standard_b64decode(text.encode())
    except binascii.Error as error:
        raise Bad("not_a_proof") from error
    if base64.standard_b64encode(data).decode() != text:
        raise Bad("not_a_proof")
    return data


# ---- JSON


def read_json(data: bytes) -> Any:  # noqa: ANN401
    """Read JSON as strictly as the page says."""
    if len(data) > 1048576:
        raise Bad("too_large")
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Bad("not_utf8") from error

    def number(digits: str) -> int:
        if not re.fullmatch("0|-?[1-9][0-9]*", digits) or len(digits) > 17:
            raise Bad("not_json")
        if abs(int(digits)) > LARGEST:
            raise Bad("not_json")
        return int(digits)

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Bad("duplicate_key")
        return dict(pairs)

    try:
        value = json.loads(
            text,
            object_pairs_hook=members,
            parse_int=number,
            parse_float=number,
            parse_constant=number,
        )
        # Without the escapes of a backslash, every \u is the beginning of an escape.
        for digits in re.findall(r"\\u(.{4})", text.replace("\\\\", "")):
            if digits != digits.lower():
                raise Bad("not_json")
        canonical(value)
    except (ValueError, RecursionError) as error:
        raise Bad("not_json") from error
    if depth(value) > 32:
        raise Bad("not_json")
    return value


def depth(value: object) -> int:
    """Say how many objects and lists are in one another."""
    if not isinstance(value, dict | list):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inside), default=0)


SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
ESCAPED = re.compile(r'["\\\x00-\x1f]')


def canonical_text(value: object) -> str:
    """Write the canonical form."""
    if isinstance(value, str):
        escaped = ESCAPED.sub(lambda it: SHORT.get(it[0], f"\\u{ord(it[0]):04x}"), value)
        return f'"{escaped}"'
    if isinstance(value, list):
        return f"[{','.join(map(canonical_text, value))}]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return (
            f"{{{','.join(f'{canonical_text(it)}:{canonical_text(value[it])}' for it in names)}}}"
        )
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def canonical(value: object) -> bytes:
    """Write the canonical form in UTF-8; a lone surrogate has none (UnicodeEncodeError)."""
    return canonical_text(value).encode()


# ---- Keys


class Keys:
    """The keys that a verifier is given."""

    def __init__(self, *files: str) -> None:
        """Read them, in any of the three forms."""
        self.known: dict[str, Key] = {}
        self.renamed: set[str] = set()
        for file in files:
            if file.startswith("{"):
                found = json.loads(file)
                for jwk in found.get("keys", [found]):
                    self._add_jwk(jwk)
            else:
                for line in file.split():
                    name, kind, public = read_note_key(line)
                    assert kind == 1
                    self._add(public, compromised=False, logs={name})

    def _add_jwk(self, jwk: dict[str, Any]) -> None:
        public = base64url(jwk.get("x"))
        named = [jwk.get("kty"), jwk.get("crv"), jwk.get("alg"), jwk.get("use", "sig")]
        if named != ["OKP", "Ed25519", "Ed25519", "sig"] or public is None or len(public) != 32:
            return
        kid = jwk.get("kid", thumbprint(public))
        if kid != thumbprint(public):
            if isinstance(kid, str):
                self.renamed.add(kid)
            return
        revoked = jwk.get("revoked")
        good = revoked is None or (isinstance(revoked, dict) and revoked.get("reason") == "lost")
        self._add(public, compromised=not good, logs=None)

    def _add(self, public: bytes, *, compromised: bool, logs: set[str] | None) -> None:
        before = self.known.get(thumbprint(public))
        if before:
            compromised = compromised or before.compromised
            logs = None if logs is None or before.logs is None else logs | before.logs
        self.known[thumbprint(public)] = Key(public, compromised, logs)

    def find(self, key_id: str) -> Key:
        """Find a key by its id."""
        if key_id in self.renamed:
            raise Bad("renamed_key")
        if key_id not in self.known:
            raise Bad("unknown_key")
        return self.known[key_id]


def thumbprint(public: bytes) -> str:
    """Return the id of a key."""
    x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
    hashed = sha256(b'{"crv":"Ed25519","kty":"OKP","x":"%s"}' % x.encode())
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


def note_key_id(name: str, kind: int, public: bytes) -> bytes:
    """Return the four bytes that a signed note knows a key by."""
    return sha256(name.encode() + bytes([0x0A, kind]) + public)[:4]


def read_note_key(line: str) -> tuple[str, int, bytes]:
    """Read a key as C2SP writes it."""
    name, id_, encoded = line.split("+", 2)
    kind, *public = base64.b64decode(encoded)
    assert note_key_id(name, kind, bytes(public)).hex() == id_
    return name, kind, bytes(public)


def verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Check an Ed25519 signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


# ---- The steps


def check(file: bytes, keys: Keys, witnesses: tuple[str, ...] = ()) -> Answer:
    """Go through the steps."""
    at = "file"
    try:
        receipt = read_json(file)
        check_form(receipt)
        document = receipt.get("record") or receipt["tombstone"]

        at = "receipt_signature"
        rest = {name: value for name, value in receipt.items() if name != at}
        if signed_by(receipt[at], rest, keys).compromised:
            raise Bad("compromised_key")

        at = "record_signature"
        signer = signed_by(receipt["signature"], document, keys)
        if signer.compromised and receipt["proof"] is None:
            raise Bad("compromised_key")

        at = "commitment"
        salt = base64url(receipt["salt"])
        if salt is None or len(salt) != 32:
            raise Bad("wrong_salt")
        entry = sha256(salt + canonical(document))
        if receipt["proof"] is None:
            return Answer("signed")

        at = "proof"
        proof = Proof(receipt["proof"])
        form = rf"consent-service/{re.escape(document['tenant_id'])}/[1-9][0-9]{{0,8}}"
        if not is_text(form, proof.origin):
            raise Bad("other_tenant")
        if not proof.index < proof.size:
            raise Bad("index_too_large")

        at = "inclusion"
        check_inclusion(proof, entry)

        at = "checkpoint_signature"
        check_log_signatures(proof, keys)
        cosigned, others = check_cosignatures(proof, witnesses)
    except Bad as bad:
        return Answer("refused", at, str(bad))
    kind = "erased" if "tombstone" in receipt else "proven"
    return Answer(kind, cosigned=cosigned, others=others)


def check_form(receipt: object) -> None:
    """Check the members of a receipt."""
    if not isinstance(receipt, dict) or "receipt_version" not in receipt:
        raise Bad("not_a_receipt")
    version = receipt["receipt_version"]
    if isinstance(version, bool) or version != 1:
        raise Bad("unknown_version")
    kinds = {"consent_receipt": ("record", is_record), "erasure_receipt": ("tombstone", is_stone)}
    if receipt.get("type") not in list(kinds):
        raise Bad("wrong_form")
    content, is_content = kinds[receipt["type"]]
    fine = [
        is_text(TIME, receipt.get("issued_at")),
        is_signature(receipt.get("signature")),
        is_signature(receipt.get("receipt_signature")),
        base64url(receipt.get("salt")) is not None,
        receipt.get("proof", 0) is None or isinstance(receipt.get("proof"), str),
        {"record", "tombstone"} & set(receipt) == {content},
        is_content(receipt.get(content)),
    ]
    if not all(fine):
        raise Bad("wrong_form")


def is_signature(value: object) -> bool:
    """Say whether a value is a signature."""
    return (
        isinstance(value, dict)
        and set(value) == {"algorithm", "key_id", "value"}
        and value["algorithm"] == "Ed25519"
        and len(base64url(value["key_id"]) or b"") == 32
        and len(base64url(value["value"]) or b"") == 64
    )


def is_version(value: object) -> bool:
    """Say whether it is an object of the version 1."""
    version = value.get("schema_version") if isinstance(value, dict) else None
    return not isinstance(version, bool) and version == 1


def is_record(value: Any) -> bool:  # noqa: ANN401
    """Say whether a value is a record."""
    return (
        is_version(value)
        and is_text(UUID, value.get("id"))
        and is_text(UUID, value.get("tenant_id"))
        and is_text(TIME, value.get("created_at"))
        and is_text(r"(?s:.+)", value.get("site_key"))
        and isinstance(value.get("choices"), dict)
        and set(map(type, value["choices"].values())) <= {bool}
    )


def is_stone(value: Any) -> bool:  # noqa: ANN401
    """Say whether a value is a tombstone."""
    return (
        is_version(value)
        and value.get("type") == "tombstone"
        and is_text(UUID, value.get("record_id"))
        and is_text(UUID, value.get("tenant_id"))
        and is_text(TIME, value.get("created_at"))
        and is_text(TIME, value.get("erased_at"))
        and is_text(r"[0-9a-f]{64}", value.get("commitment"))
        and is_text(r"(?s:.+)", value.get("site_key"))
        and is_text(r"(?s:.+)", value.get("reason"))
    )


def signed_by(signature: dict[str, str], document: object, keys: Keys) -> Key:
    """Check a signature of the receipt; return its key."""
    key = keys.find(signature["key_id"])
    if not verifies(key.public, canonical(document), base64url(signature["value"]) or b""):
        raise Bad("wrong_signature")
    return key


class Proof:
    """The proof, line by line."""

    def __init__(self, text: str) -> None:
        """Read it."""
        lines = text.split("\n")
        if lines.pop() or lines.count("") != 2:
            raise Bad("not_a_proof")
        first = lines.index("")
        second = lines.index("", first + 1)
        head, signed, under = lines[:first], lines[first + 1 : second], lines[second + 1 :]
        if len(head) < 2 or head[0] != "c2sp.org/tlog-proof@v1" or len(signed) != 3 or not under:
            raise Bad("not_a_proof")
        if not is_text(f"index ({NUMBER})", head[1]) or not is_text(NUMBER, signed[1]):
            raise Bad("not_a_proof")
        if max(len(head[1]), len(signed[1])) > 30:
            raise Bad("not_a_proof")
        self.index, self.size = int(head[1][6:]), int(signed[1])
        self.hashes = [standard_base64(line) for line in head[2:]]
        self.origin, self.root = signed[0], standard_base64(signed[2])
        if {len(it) for it in [*self.hashes, self.root]} != {32}:
            raise Bad("not_a_proof")
        if max(self.index, self.size) > LARGEST:
            raise Bad("not_a_proof")
        self.signed = "".join(f"{line}\n" for line in signed)
        self.lines: list[tuple[str, bytes, bytes]] = []
        for line in under:
            if not is_text(r"\u2014 [!-*,-~]+ [A-Za-z0-9+/]+=?=?", line):
                raise Bad("not_a_proof")
            _, name, encoded = line.split(" ")
            data = standard_base64(encoded)
            if len(data) < 5:
                raise Bad("not_a_proof")
            self.lines.append((name, data[:4], data[4:]))


def check_inclusion(proof: Proof, entry: bytes) -> None:
    """Climb from the leaf to the root."""
    n, last = proof.index, proof.size - 1
    found = sha256(b"\x00" + entry)
    for sibling in proof.hashes:
        if last == 0:
            raise Bad("not_included")
        if n % 2 or n == last:
            found = sha256(b"\x01" + sibling + found)
            while n and not n % 2:
                n, last = n // 2, last // 2
        else:
            found = sha256(b"\x01" + found + sibling)
        n, last = n // 2, last // 2
    if last or found != proof.root:
        raise Bad("not_included")


def check_log_signatures(proof: Proof, keys: Keys) -> None:
    """Look for the log's own signatures."""
    ids = {
        note_key_id(proof.origin, 1, key.public): key
        for key in keys.known.values()
        if key.logs is None or proof.origin in key.logs
    }
    found = [
        (ids[id_], value) for name, id_, value in proof.lines if name == proof.origin and id_ in ids
    ]
    good = [(key, value) for key, value in found if not key.compromised]
    for key, value in good:
        if not verifies(key.public, proof.signed.encode(), value):
            raise Bad("wrong_signature")
    if not good:
        raise Bad("compromised_key" if found else "unknown_key")


def check_cosignatures(proof: Proof, asked: tuple[str, ...]) -> tuple[dict[str, int | None], int]:
    """Look for cosignatures of witnesses; return when, and how many others there are."""
    foreign = {(name, id_) for name, id_, _ in proof.lines if name != proof.origin}
    cosigned: dict[str, int | None] = {}
    for text in asked:
        name, kind, public = read_note_key(text)
        id_ = note_key_id(name, kind, public)
        cosigned[name] = None
        values = [value for *who, value in proof.lines if who == [name, id_]]
        for value in values:
            seconds = int.from_bytes(value[:8], "big")
            message = f"cosignature/v1\ntime {seconds}\n{proof.signed}".encode()
            if cosigned[name] is None and verifies(public, message, value[8:]):
                cosigned[name] = seconds
        if values and cosigned[name] is None:
            raise Bad("wrong_cosignature")
        foreign.discard((name, id_))
    return cosigned, len(foreign)
