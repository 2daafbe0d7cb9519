"""What receipts are asked with, and what they hold."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from consent_service.consents.schemas import RecordOut, SignatureOut
from consent_service.receipts.document import ERASED, RECEIPT


class TokenHeader(Schema):
    """How a visitor whose browser does not send us the cookie proves to be the visitor."""

    token = fields.String(
        data_key="X-Consent-Token",
        metadata={"description": "With `site`; else the cookie counts."},
    )


class ReceiptQuery(Schema):
    """What leads to a receipt: its link, whose proof cannot be guessed, or being the visitor."""

    tenant = fields.UUID(load_default=None, metadata={"description": "As the link has it."})
    proof = fields.String(load_default="", metadata={"description": "As the link has it."})
    site = fields.String(
        load_default="",
        metadata={"description": "Instead of both: the site whose token comes with the call."},
    )


class FileQuery(ReceiptQuery):
    """The same for a file."""

    download = fields.Boolean(
        load_default=False, metadata={"description": "Whether a browser is to store it."}
    )


class PageQuery(ReceiptQuery):
    """The same for a page."""

    lang = fields.String(load_default=None)


class TombstoneOut(Schema):
    """What is left of a record that was erased (see docs/records.md)."""

    schema_version = fields.Integer()
    type = fields.String()
    record_id = fields.String()
    tenant_id = fields.String()
    site_key = fields.String()
    created_at = fields.String(metadata={"description": "When the record was made."})
    commitment = fields.String(
        metadata={"description": "The ledger's entry of the record, hexadecimal."}
    )
    erased_at = fields.String()
    reason = fields.String()


class ReceiptOut(Schema):
    """The visitor's copy of a record, or of the tombstone it left (see docs/verifying.md).

    Members with ``@`` or a colon are JSON-LD: the record in terms of ISO/IEC TS 27560 and DPV.
    """

    context = fields.Dict(data_key="@context")
    kind = fields.String(data_key="@type")
    conforms_to = fields.Dict(data_key="dct:conformsTo")
    identifier = fields.String(data_key="dct:identifier")
    activity = fields.Dict(data_key="dpv:hasRecordOfActivity")
    receipt_version = fields.Integer(required=True)
    type = fields.String(required=True, validate=validate.OneOf([RECEIPT, ERASED]))
    issued_at = fields.String(required=True)
    record = fields.Nested(RecordOut, metadata={"description": "Of a consent receipt."})
    tombstone = fields.Nested(TombstoneOut, metadata={"description": "Of an erasure receipt."})
    signature = fields.Nested(
        SignatureOut, required=True, metadata={"description": "Of record or tombstone."}
    )
    salt = fields.String(required=True, metadata={"description": "32 bytes, base64url"})
    proof = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "C2SP tlog-proof with its checkpoint; null while it waits for the ledger"
        },
    )
    receipt_signature = fields.Nested(
        SignatureOut, required=True, metadata={"description": "Of everything else here."}
    )
