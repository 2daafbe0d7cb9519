"""The command that checks a receipt: for anybody, with nothing of the service's own around."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from consent_service.errors import OperatorError
from consent_service.receipts.document import ERASED
from consent_service.receipts.public_keys import KeysRefused, read_keys, read_witness
from consent_service.receipts.reading import MAX_BYTES
from consent_service.receipts.verify import Verdict, verify

#: What the command ends with. 2 is the operator's own: a file or an option is not right.
EXIT_CODES = {"proven": 0, "erased": 0, "refused": 1, "signed": 3}

_MARKS = {"passed": "✓", "failed": "✗", "not_reached": "·"}
#: For terminals that cannot show these.
_PLAIN_MARKS = {"passed": "ok", "failed": "FAILED", "not_reached": "-"}

_STEPS = {
    "file": "The file",
    "receipt_signature": "Signature of the receipt",
    "record_signature": "Signature of the record",
    "commitment": "Commitment",
    "proof": "Proof",
    "inclusion": "Place in the ledger",
    "checkpoint_signature": "Signature of the ledger",
}

_VERDICTS = {
    "proven": "PROVEN: signed by the service, and in its ledger.",
    "erased": "PROVEN: the record was erased. Its tombstone is signed, and in the ledger.",
    "signed": "SIGNED, and not yet in the ledger. Download the receipt again in a minute.",
    "refused": "REFUSED: do not rely on anything in this file.",
}

_ACTIONS = {
    "accept_all": "accepted everything",
    "reject_all": "rejected everything that is not essential",
    "save": "chose",
    "withdraw": "withdrew",
    "link": "signed in, and took over what was chosen on another device",
}


_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)


@click.command("verify")
@click.argument("receipt", type=_FILE)
@click.option(
    "--key",
    "keys",
    type=_FILE,
    multiple=True,
    required=True,
    metavar="FILE",
    help="The service's public keys: a JWK Set as saved from /.well-known/jwks.json, one JWK, or "
    "keys of its ledger as C2SP's signed-note writes them. May be given again.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="Key of a witness, like NAME+ID+KEY: say whether it has cosigned. May be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object, for programs.")
def verify_command(
    receipt: str, keys: tuple[str, ...], witnesses: tuple[str, ...], *, as_json: bool
) -> None:
    """Check a receipt offline.

    RECEIPT is a file as the receipt link gives it; - reads standard input. Needs no settings, no
    database and no network: the file and the service's public keys prove what was chosen, when and
    where, and that the ledger holds it. Get the keys from the service itself, not from whoever
    gives you the receipt:

    \b
      curl https://consent.example.com/.well-known/jwks.json > keys.json
      consent-service verify receipt.json --key keys.json

    Each of the seven steps is told of; docs/verifying.md says what they check, byte by byte. Ends
    with 0 when the receipt is proven, 1 when it is refused, 2 when a file cannot be read, and 3
    when it is signed but not yet in the ledger.
    """  # noqa: D301 - click's own mark for lines to be left as they are
    try:
        known = read_keys(*(_read(path) for path in keys))
        asked = [read_witness(text) for text in witnesses]
    except KeysRefused as error:
        raise OperatorError(str(error)) from error
    verdict = verify(_read(receipt), known, asked)
    if as_json:
        click.echo(json.dumps(as_document(verdict), indent=2))
    else:
        for line in _lines(verdict):
            click.echo(line)
    sys.exit(EXIT_CODES[verdict.kind])


def _read(path: str) -> bytes:
    try:
        with click.open_file(path, "rb") as file:
            # One more than any that is looked at, so that a larger one is known for it.
            data: bytes = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}.") from error
    return data


def as_document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON values: the steps and, unless it is refused, what was found."""
    position = verdict.position
    return {
        "verdict": verdict.kind,
        "steps": [
            {"id": step.id, "state": step.state, "code": step.code, "said": step.said}
            for step in verdict.steps
        ],
        "document": verdict.document,
        "entry": verdict.entry.hex() if verdict.entry and verdict.document else None,
        "ledger": position._asdict() if position and verdict.document else None,
        "witnesses": [each._asdict() for each in verdict.witnesses],
        "unknown_witnesses": verdict.unknown_witnesses,
    }


def _lines(verdict: Verdict) -> Iterator[str]:
    marks = _MARKS if _can_show("".join(_MARKS.values())) else _PLAIN_MARKS
    for step in verdict.steps:
        yield _shown(f"{marks[step.state]} {_STEPS[step.id]}: {step.said}")
    yield ""
    yield click.style(_VERDICTS[verdict.kind], bold=True)
    failed = verdict.failed
    said = [f"{_STEPS[failed.id]}: {failed.said}"] if failed else summary(verdict)
    for line in said:
        yield _shown(f"  {line}")


def _shown(line: str) -> str:
    """Return a line so that what stands in a file cannot play with the terminal."""
    return "".join(it if it.isprintable() and _can_show(it) else "?" for it in line)


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def summary(verdict: Verdict) -> Iterator[str]:
    """Say in plain words what a receipt shows that is not refused: who, what, when and where."""
    document = verdict.document
    assert document is not None  # noqa: S101 - not refused
    assert verdict.receipt is not None  # noqa: S101
    if verdict.receipt["type"] == ERASED:
        yield (
            f"The record {document['record_id']}, made on {_time(document['created_at'])} on the "
            f"site {document['site_key']}, was erased on {_time(document['erased_at'])}: "
            f"{document['reason']}."
        )
    else:
        yield from _choice(document)
    if verdict.position:
        origin, index, size = verdict.position
        yield f"Leaf {index} of the ledger {origin}, which had {size} leaves."
    for name, at in verdict.witnesses:
        yield f"The witness {name} has " + (
            "not cosigned." if at is None else f"cosigned on {_seconds(at)}."
        )
    if verdict.unknown_witnesses:
        yield f"Cosignatures of others, which were not checked: {verdict.unknown_witnesses}."


def _choice(record: dict[str, Any]) -> Iterator[str]:
    action = record.get("action")
    done = _ACTIONS.get(action, "chose") if isinstance(action, str) else "chose"
    yield (
        f"The visitor {record.get('visitor_id', '?')} {done} on {_time(record['created_at'])}, "
        f"on the site {record['site_key']} (record {record['id']})."
    )
    for name, chosen in (("Allowed", True), ("Refused", False)):
        purposes = [key for key, value in record["choices"].items() if value is chosen]
        yield f"{name}: {', '.join(purposes) or 'nothing'}."


def _time(text: str) -> str:
    return f"{text[:10]} at {text[11:19]} UTC"


def _seconds(at: int) -> str:
    try:
        return _time(datetime.fromtimestamp(at, UTC).isoformat())
    except (OverflowError, ValueError, OSError):
        return f"second {at}"
