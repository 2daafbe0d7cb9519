"""Ledgers over HTTP, for monitors, auditors and witnesses: whoever knows a tenant's id may read.

C2SP's ``tlog-tiles`` under ``/v1/ledgers/TENANT/NUMBER``, and what saves a follower work.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any
from uuid import UUID

from flask import Response, jsonify, request
from flask.views import MethodView

from consent_service import clock
from consent_service.ledger.publishing import Publishing
from consent_service.ledger.schemas import (
    CheckpointQuery,
    CheckpointsOut,
    CheckpointsQuery,
    ConsistencyOut,
    ConsistencyQuery,
)
from consent_service.ledger.tile_address import parse_tile_address
from consent_service.limits import limit
from consent_service.web import Blueprint, ErrorOut
from consent_service.wiring import use

#: Seconds for which anybody may keep the newest checkpoint: "a few" (tlog-tiles).
_CHECKPOINT_SECONDS = 5

#: Seconds for which anybody may keep the keys, as with the JWK Set.
_KEYS_SECONDS = 300

_FOR_GOOD = "public, max-age=31536000, immutable"

_TILES = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"

_NO_LEDGER = "There is no such ledger, or nothing is in it yet."
_NO_TILE = f"{_NO_LEDGER} Or the tile is beyond the tree, or its address is not in the right form."

ledgers = Blueprint(
    "ledgers",
    __name__,
    url_prefix="/v1/ledgers/<uuid:tenant_id>/<int(min=1,max=2147483647):number>",
    description="What anybody may read of a tenant's ledger, to check that it only grows.",
    answers={404: _NO_LEDGER},
)
limit(ledgers)


@ledgers.after_request
def _readable_by_every_page(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


@ledgers.route("/checkpoint")
class NewestCheckpoint(MethodView):
    """The head."""

    @ledgers.arguments(CheckpointQuery, location="query")
    @ledgers.response(200, content_type="text/plain")
    def get(self, query: dict[str, str], tenant_id: UUID, number: int) -> Response:
        """Give the newest checkpoint, with all that witnesses have added (tlog-checkpoint)."""
        note = use(Publishing).checkpoint(tenant_id, number, cosigned=query["cosigned"] == "1")
        return _sent(str(note).encode(), _TEXT, f"public, max-age={_CHECKPOINT_SECONDS}")


@ledgers.route("/tile/<string:level>/<path:tile>", merge_slashes=False)
class HashTile(MethodView):
    """A tile of hashes."""

    @ledgers.response(200, content_type=_TILES)
    @ledgers.alt_response(404, schema=ErrorOut, description=_NO_TILE)
    def get(self, tenant_id: UUID, number: int, level: str, tile: str) -> Response:
        """Give a tile of the tree: 256 hashes, or as many as `.p/` says (tlog-tiles)."""
        found = use(Publishing).tile(tenant_id, number, parse_tile_address(level, tile))
        return _sent(found, _TILES, _FOR_GOOD)


@ledgers.route("/tile/entries/<path:tile>", merge_slashes=False)
class EntryBundle(MethodView):
    """A bundle of entries."""

    @ledgers.response(200, content_type=_TILES)
    @ledgers.alt_response(404, schema=ErrorOut, description=_NO_TILE)
    def get(self, tenant_id: UUID, number: int, tile: str) -> Response:
        """Give 256 entries, or as many as `.p/` says, each after its length (tlog-tiles).

        An entry is the salted hash of a record or of a tombstone, and tells nothing of it.
        """
        found = use(Publishing).entries(tenant_id, number, parse_tile_address("0", tile))
        return _sent(found, _TILES, _FOR_GOOD)


@ledgers.route("/consistency")
class Consistency(MethodView):
    """How the tree grew."""

    @ledgers.arguments(ConsistencyQuery, location="query")
    @ledgers.response(200, ConsistencyOut)
    @ledgers.alt_response(422, schema=ErrorOut, description="The tree has had no such sizes.")
    def get(self, query: dict[str, int], tenant_id: UUID, number: int) -> Response:
        """Give the proof that the tree of one size goes on from that of a smaller one."""
        hashes = use(Publishing).consistency(tenant_id, number, **query)
        response = jsonify({**query, "hashes": [b64encode(each).decode() for each in hashes]})
        response.headers["Cache-Control"] = _FOR_GOOD
        return response


@ledgers.route("/checkpoints")
class Checkpoints(MethodView):
    """All that the ledger has said of itself."""

    @ledgers.arguments(CheckpointsQuery, location="query")
    @ledgers.response(200, CheckpointsOut)
    @ledgers.alt_response(422, schema=ErrorOut, description="The question is not right.")
    def get(self, query: dict[str, int], tenant_id: UUID, number: int) -> dict[str, Any]:
        """Give the checkpoints that there have been, a page at a time."""
        found = use(Publishing).checkpoints(tenant_id, number, **query)
        more = len(found) == query["limit"]
        return {
            "checkpoints": [
                {
                    "size": each.size,
                    "note": str(each.note),
                    "made_at": clock.rfc3339(each.made_at),
                }
                for each in found
            ],
            "after": found[-1].size if more else None,
        }


@ledgers.route("/keys")
class Keys(MethodView):
    """Who signs."""

    @ledgers.response(200, content_type="text/plain")
    def get(self, tenant_id: UUID, number: int) -> Response:
        """Give the keys that sign its checkpoints, one a line, the oldest first (signed-note)."""
        keys = use(Publishing).keys(tenant_id, number)
        text = "".join(f"{key.text}\n" for key in keys)
        return _sent(text.encode(), _TEXT, f"public, max-age={_KEYS_SECONDS}")


def _sent(body: bytes, content_type: str, kept: str) -> Response:
    """Answer with what has not changed if the caller has it already."""
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = kept
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.make_conditional(request)
    return response
