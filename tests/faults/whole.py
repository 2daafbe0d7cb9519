"""Checks a whole database: what is stored is complete, genuine, and agrees with itself."""

from __future__ import annotations

import json
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any

import rfc8785
from sqlalchemy import Row, select

from consent_service.clock import rfc3339
from consent_service.consents.models import CurrentStateRow, RecordRow
from consent_service.consents.tokens import read_states
from consent_service.signing import Keyring, Signature
from tests.builders import Service


def check_whole(service: Service) -> set[str]:
    """Check every record and every visitor's state; return the ids of the records."""
    keys = Keyring(service.settings.keys_file)
    with service.built.database.reading(service.tenant.id) as connection:
        records = connection.execute(
            select(RecordRow.__table__).order_by(RecordRow.visitor_id)
        ).all()
        states = connection.execute(select(CurrentStateRow.__table__)).all()
    for record in records:
        _check_record(service, keys, record)
    of_visitor = {
        visitor: sorted(rows, key=lambda row: int(_document(row)["sequence"]))
        for visitor, rows in groupby(records, key=attrgetter("visitor_id"))
    }
    assert {state.visitor_id for state in states} == set(of_visitor), "a record without a state"
    for state in states:
        _check_chain(state, of_visitor[state.visitor_id])
    return {str(record.id) for record in records}


def _document(record: Row[Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(record.document)
    return document


def _check_record(service: Service, keys: Keyring, record: Row[Any]) -> None:
    document = _document(record)
    assert keys.verify(record.document.encode(), Signature(record.key_id, record.signature))
    assert rfc8785.dumps(document) == record.document.encode()
    assert (document["id"], document["visitor_id"]) == (str(record.id), record.visitor_id)
    assert document["created_at"] == rfc3339(record.created_at)
    assert document["site_key"] == service.site.site_key
    assert (record.tenant_id, record.site_id) == (service.tenant.id, service.site.id)
    assert len(record.salt) == 32


def _check_chain(state: Row[Any], records: list[Row[Any]]) -> None:
    """Check that the visitor's records are one chain, and that the state is its end."""
    documents = [_document(record) for record in records]
    assert [document["sequence"] for document in documents] == list(range(1, len(records) + 1))
    assert documents[0]["previous_id"] is None
    for before, after in pairwise(documents):
        assert after["previous_id"] == before["id"]
    newest = documents[-1]
    assert (state.sequence, str(state.record_id)) == (newest["sequence"], newest["id"])
    assert (state.notice_version, state.gpc) == (newest["notice_version"], newest["gpc"])
    assert rfc3339(state.expires_at) == newest["expires_at"]
    granted = {key: said == "1" for key, said in read_states(state.choices.split("~")).items()}
    assert {**newest["choices"], **granted} == newest["choices"]
    assert set(granted) == {"analytics", "preferences"}
