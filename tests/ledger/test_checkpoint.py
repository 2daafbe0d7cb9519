"""Signed notes, checkpoints and proofs as C2SP writes them: read, written, and refused."""

from __future__ import annotations

from base64 import b64decode, b64encode
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from consent_service.ledger.checkpoint import (
    ED25519,
    ED25519_COSIGNATURE,
    Checkpoint,
    NoteKey,
    NoteSignature,
    Proof,
    SignedNote,
    cosigned_text,
    origin_of,
    parse_signature,
    with_signatures,
    write_hashes,
)
from consent_service.ledger.merkle import ProofRefused
from tests.ledger.test_merkle import VECTORS

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
TENANT = UUID("019cb0f4-2a40-7c3e-9d5a-6f1f0e3b7c21")
ORIGIN = origin_of(TENANT)
LOG = NoteKey(ORIGIN, ED25519, PUBLIC)
WITNESS = NoteKey("witness.example.com/w1", ED25519_COSIGNATURE, PUBLIC)
HEAD = Checkpoint(ORIGIN, 5, bytes(range(32)))

hashes = st.binary(min_size=32, max_size=32)
names = st.text(st.characters(min_codepoint=0x21, exclude_categories=("Z", "C")), min_size=1)


def signed(head: Checkpoint = HEAD) -> SignedNote:
    value = PRIVATE.sign(head.text.encode())
    return SignedNote(head.text, (NoteSignature(head.origin, LOG.id, value),))


def cosigned(note: SignedNote, at: int = 1_772_357_400) -> SignedNote:
    value = at.to_bytes(8) + PRIVATE.sign(cosigned_text(note.text, at))
    return with_signatures(note, [NoteSignature(WITNESS.name, WITNESS.id, value).line])


def unlike(encoded: str) -> str:
    """Return base64 that means the same and is written in another way."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = encoded.rstrip("=")
    other = body[:-1] + digits[digits.index(body[-1]) + 1] + encoded[len(body) :]
    assert other != encoded
    assert b64decode(other) == b64decode(encoded)
    return other


def test_the_published_note_verifies() -> None:
    vector = VECTORS["note"]
    key = NoteKey.parse(vector["key"])
    assert (key.name, key.kind, key.text) == ("example.com/foo", ED25519, vector["key"])
    text = f"{vector['text']}\n— {key.name} {vector['signature']}\n"
    note = SignedNote.parse(text)
    assert (note.text, str(note)) == (vector["text"], text)
    assert note.signed_by(key)
    assert not SignedNote("This is another message.\n", note.signatures).signed_by(key)


def test_another_key_of_the_same_name_has_not_signed() -> None:
    note = signed()
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert note.signed_by(LOG)
    assert not note.signed_by(NoteKey(ORIGIN, ED25519, other))
    assert not note.signed_by(NoteKey(origin_of(TENANT, 2), ED25519, PUBLIC))
    assert not note.signed_by(NoteKey(ORIGIN, ED25519_COSIGNATURE, PUBLIC))


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    others = tuple(NoteSignature(f"other/{number}", bytes(4), bytes(64)) for number in range(24))
    same_id = NoteSignature(ORIGIN, LOG.id, bytes(64))
    strange = NoteSignature("ml-dsa.example", b"abcd", bytes(2420))
    note = SignedNote(HEAD.text, (*others, same_id, strange, *signed().signatures))
    read = SignedNote.parse(str(note))
    assert read == note
    assert read.signed_by(LOG)


def test_a_cosignature_says_when_and_is_not_a_signature() -> None:
    note = cosigned(signed(), 1_772_357_400)
    assert note.cosigned_at(WITNESS) == 1_772_357_400
    assert note.signed_by(LOG)
    assert not SignedNote(note.text, note.signatures[1:]).signed_by(LOG)
    assert signed().cosigned_at(WITNESS) is None
    assert note.cosigned_at(LOG) is None
    later = note.signatures[1]._replace(value=(1).to_bytes(8) + note.signatures[1].value[8:])
    assert SignedNote(note.text, (later,)).cosigned_at(WITNESS) is None
    assert SignedNote("other\n", note.signatures).cosigned_at(WITNESS) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "— ",
        f"— {ORIGIN}",
        f"— {ORIGIN} ",
        f"- {ORIGIN} {b64encode(bytes(68)).decode()}",
        f"—{ORIGIN} {b64encode(bytes(68)).decode()}",
        f"—  {ORIGIN} {b64encode(bytes(68)).decode()}",
        f"— a+b {b64encode(bytes(68)).decode()}",
        f"— {ORIGIN} {b64encode(bytes(68)).decode()} ",
        f"— {ORIGIN} {b64encode(bytes(68)).decode().rstrip('=')}",
        f"— {ORIGIN} {b64encode(bytes(4)).decode()}",
        f"— {ORIGIN} {unlike(b64encode(bytes(68)).decode())}",
        f"— {ORIGIN} *{b64encode(bytes(68)).decode()}",
        f"— {ORIGIN} ÄÄÄÄ",
    ],
)
def test_a_malformed_line_under_a_note_is_refused(line: str) -> None:
    with pytest.raises(ProofRefused):
        parse_signature(line)
    with pytest.raises(ProofRefused):
        SignedNote.parse(f"{HEAD.text}\n{signed().signatures[0].line}\n{line}\n")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        HEAD.text,
        f"{HEAD.text}\n",
        str(signed())[:-1],
        f"{signed()}\n",
        str(signed()).replace("\n\n", "\n"),
        str(signed()).replace("\n", "\r\n"),
        str(signed()).replace("consent", "con\0sent"),
        f"\n\n{signed().signatures[0].line}\n",
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(ProofRefused):
        SignedNote.parse(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n5\n",
        HEAD.text[:-1],
        HEAD.text.replace("\n5\n", "\n05\n"),
        HEAD.text.replace("\n5\n", "\n-5\n"),
        HEAD.text.replace("\n5\n", "\n+5\n"),
        HEAD.text.replace("\n5\n", "\n5 \n"),
        HEAD.text.replace("\n5\n", "\n\u0665\n"),
        HEAD.text.replace("\n5\n", "\n99999999999999999999\n"),
        HEAD.text.replace(ORIGIN, ""),
        f"{HEAD.text}\n",
        f"{ORIGIN}\n5\n{unlike(b64encode(HEAD.root).decode())}\n",
        f"{ORIGIN}\n5\n{b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n5\n{b64encode(bytes(33)).decode()}\n",
        f"{ORIGIN}\n5\n{b64encode(HEAD.root).decode()} \n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ProofRefused):
        Checkpoint.parse(text)


def test_a_checkpoint_may_have_further_lines() -> None:
    assert Checkpoint.parse(f"{HEAD.text}more\nand more\n") == HEAD


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOG.name,
        LOG.text.replace("+", " "),
        LOG.text[:-1],
        LOG.text.replace(LOG.id.hex(), LOG.id.hex().upper()),
        LOG.text.replace(LOG.id.hex(), "00000000"),
        f"+{LOG.id.hex()}+{b64encode(bytes([1]) + PUBLIC).decode()}",
        f"{ORIGIN}+{LOG.id.hex()}+{b64encode(PUBLIC).decode()}",
        f" {LOG.text}",
        f"{LOG.text}\n",
        NoteKey(ORIGIN, 6, PUBLIC).text,
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        NoteKey.parse(text)


@pytest.mark.parametrize("key", [LOG, WITNESS])
def test_a_key_is_read_as_it_was_written(key: NoteKey) -> None:
    assert NoteKey.parse(key.text) == key


@given(names, st.integers(0, 2**62), hashes, st.lists(hashes, max_size=40), st.integers(0, 2**62))
def test_a_proof_is_read_as_it_was_written(
    origin: str, size: int, root: bytes, path: list[bytes], index: int
) -> None:
    head = Checkpoint(origin, size, root)
    signature = NoteSignature("key", b"1234", bytes(64))
    proof = Proof(index, tuple(path), SignedNote(head.text, (signature,)))
    assert Proof.parse(str(proof)) == proof
    assert proof.checkpoint == head


PROOF = str(Proof(3, (bytes(32), bytes([1] * 32)), cosigned(signed())))
HASH = b64encode(bytes(32)).decode()


def test_a_proof_looks_as_c2sp_says() -> None:
    lines = PROOF.split("\n")
    assert lines[:5] == [
        "c2sp.org/tlog-proof@v1",
        "index 3",
        HASH,
        b64encode(bytes([1] * 32)).decode(),
        "",
    ]
    assert lines[5:8] == HEAD.text.rstrip("\n").split("\n")
    assert (lines[8], lines[-1]) == ("", "")
    assert all(line.startswith("— ") for line in lines[9:-1])


def test_what_a_proof_has_as_extra_says_nothing() -> None:
    extra = PROOF.replace("\nindex", "\nextra bm90IG1pbmU=\nindex")
    assert Proof.parse(extra) == Proof.parse(PROOF)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("index 3\n", ""),
        PROOF.replace("index 3", "index 03"),
        PROOF.replace("index 3", "index -3"),
        PROOF.replace("index 3", "index  3"),
        PROOF.replace("index 3", "index 3 "),
        PROOF.replace("index 3", "Index 3"),
        PROOF.replace("\nindex", "\nextra b*\nindex"),
        PROOF.replace("\nindex", "\nextra bm90IG1pbmV=\nindex"),
        PROOF.replace("\nindex", "\nextra bm90\nextra bm90\nindex"),
        PROOF.replace(HASH, unlike(HASH)),
        PROOF.replace(HASH, HASH[:-4]),
        PROOF.replace(HASH, f"{HASH}{HASH}"),
        PROOF.replace(HASH, f" {HASH}"),
        PROOF.replace("\n\n", "\n"),
        PROOF.replace("\n", "\r\n"),
        PROOF.partition("\n\n")[0],
        f" {PROOF}",
        f"\n{PROOF}",
        PROOF[:-1],
        f"{PROOF}\n",
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(ProofRefused):
        Proof.parse(text).checkpoint  # noqa: B018 - it is read then


def test_no_bit_of_a_proof_can_be_changed_unnoticed() -> None:
    """Each change is refused, or read as something else: nothing has two ways of being written."""
    known = Proof.parse(PROOF)
    data = PROOF.encode()
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            read = Proof.parse(changed.decode())
        except (ProofRefused, UnicodeDecodeError):
            continue
        assert read != known
        assert str(read).encode() == changed


def test_hashes_are_written_one_a_line() -> None:
    assert write_hashes([bytes(32), bytes(32)]) == f"{HASH}\n{HASH}\n"
    assert write_hashes([]) == ""
