"""What comes in and goes out about ledgers."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

#: Checkpoints of a page, and at most.
PAGE, MAX_PAGE = 100, 1000

#: More leaves than any ledger has: what the database's column has room for.
_MOST = 2**63 - 1

_FLAG = validate.OneOf(["0", "1"])


class CheckpointQuery(Schema):
    """Which checkpoint."""

    cosigned = fields.String(
        load_default="0",
        validate=_FLAG,
        metadata={"description": "`1`: the newest that a witness has cosigned."},
    )


class ConsistencyQuery(Schema):
    """Between which two sizes of the tree."""

    first = fields.Integer(
        required=True,
        validate=validate.Range(1, _MOST),
        metadata={"description": "Leaves of the smaller tree, at least 1."},
    )
    second = fields.Integer(
        required=True,
        validate=validate.Range(1, _MOST),
        metadata={"description": "Leaves of the larger tree, no more than the ledger has."},
    )


class ConsistencyOut(Schema):
    """A consistency proof (RFC 9162, section 2.1.4)."""

    first = fields.Integer(required=True)
    second = fields.Integer(required=True)
    hashes = fields.List(
        fields.String(), required=True, metadata={"description": "Base64; none for equal sizes."}
    )


class CheckpointsQuery(Schema):
    """Which page of the checkpoints."""

    after = fields.Integer(
        load_default=0,
        validate=validate.Range(0, _MOST),
        metadata={"description": "Only those of trees with more leaves than this."},
    )
    limit = fields.Integer(load_default=PAGE, validate=validate.Range(1, MAX_PAGE))


class CheckpointOut(Schema):
    """A checkpoint that the ledger has had."""

    size = fields.Integer(required=True, metadata={"description": "Leaves of the tree."})
    note = fields.String(
        required=True, metadata={"description": "The signed note, with its cosignatures."}
    )
    made_at = fields.String(required=True, metadata={"format": "date-time"})


class CheckpointsOut(Schema):
    """A page of checkpoints, the smallest tree first."""

    checkpoints = fields.List(fields.Nested(CheckpointOut), required=True)
    after = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Ask for the next page with this; null: there is none."},
    )
