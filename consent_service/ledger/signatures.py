"""Put our signatures under checkpoints."""

from __future__ import annotations

from consent_service.ledger.checkpoint import (
    ED25519,
    Checkpoint,
    NoteKey,
    NoteSignature,
    SignedNote,
)
from consent_service.signing import Keyring


def sign_checkpoint(keys: Keyring, note: SignedNote) -> SignedNote:
    """Return a checkpoint of ours with the signatures of today's keys, where it lacks them.

    A ledger to which nothing is added keeps its newest checkpoint, whatever becomes of the key that
    signed it: rotated, or stolen.
    """
    origin = Checkpoint.parse(note.text).origin
    there = {(each.name, each.key_id) for each in note.signatures}
    made = []
    for public, value in keys.sign_for_log(note.text.encode()):
        key = NoteKey(origin, ED25519, public)
        if (key.name, key.id) not in there:
            made.append(NoteSignature(key.name, key.id, value))
    return SignedNote(note.text, (*note.signatures, *made))
