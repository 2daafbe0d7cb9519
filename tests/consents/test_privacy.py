"""What the service must never keep: addresses, user agents, anything finer than a country."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from consent_service.db import Base
from tests.builders import COUNTRY_HEADER, ORIGIN, SITE_KEY, Service, make_service

AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize("address", ["203.0.113.77", "2001:db8:aaaa:bbbb:cccc::77"])
def test_no_table_holds_anything_of_the_request_that_tells_people_apart(
    worldwide: Service, address: str
) -> None:
    headers = {
        "X-Forwarded-For": f"198.51.100.9, {address}",
        COUNTRY_HEADER: "TZ",
        "User-Agent": AGENT,
        "Referer": "https://app.example.com/patients/4711",
        "Accept-Language": "sw-TZ,sw;q=0.7,de;q=0.3",
        "Cookie": "other_session=s3cr3t",
        "Idempotency-Key": "a-random-id-of-the-decision",
    }
    token = worldwide.choose(headers=headers).get_json()["token"]
    worldwide.choose(token=token, headers=headers | {"Idempotency-Key": "y" * 16})
    worldwide.ask(token=token, headers=headers)
    me = f"/v1/sites/{SITE_KEY}/consents/me"
    worldwide.client.get(me, headers={**headers, "X-Consent-Token": token})
    held = {name: worldwide.rows(name) for name in Base.metadata.tables}
    assert held["records"]
    text = repr(held)
    for kept in (
        address,
        "198.51.100.9",
        repr(ip_address(address).packed)[2:-1],
        AGENT,
        "iPhone",
        "17_5",
        "4711",
        "sw-TZ",
        "s3cr3t",
        headers["Idempotency-Key"],
        token.rpartition(".")[2],
    ):
        assert kept not in text


def test_of_the_place_the_country_is_kept_and_nothing_finer(worldwide: Service) -> None:
    record = worldwide.choose(headers={COUNTRY_HEADER: "TZ"}).get_json()["record"]
    assert record["country"] == "TZ"
    assert (
        worldwide.choose(headers={COUNTRY_HEADER: "TZ-02"}).get_json()["record"]["country"] is None
    )


def test_after_erasure_nothing_of_the_visitor_is_in_any_table(worldwide: Service) -> None:
    headers = {COUNTRY_HEADER: "TZ", "User-Agent": AGENT, "Idempotency-Key": "k" * 32}
    answer = worldwide.choose(headers=headers, after_ms=4711).get_json()
    records = [answer["record"]]
    answer = worldwide.link(token=answer["token"]).get_json() | {"token": answer["token"]}
    sequence(worldwide)
    records.append(worldwide.choose(token=answer["token"], language="sw").get_json()["record"])
    secrets = [secret for row in worldwide.rows("records") for secret in kept_secret(row)]
    before = {name: worldwide.rows(name) for name in Base.metadata.tables}
    assert words_of(before) >= {"TZ", "4711"}
    worldwide.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": answer["token"]},
    )
    waiting = {name: worldwide.rows(name) for name in Base.metadata.tables}
    assert len(waiting["tombstones"]) == 2
    assert waiting["pending_leaves"]
    sequence(worldwide)
    leaves = {name: worldwide.rows(name) for name in Base.metadata.tables}
    assert len(leaves["leaves"]) == 4
    visitor_id = records[0]["visitor_id"]
    for held in (waiting, leaves):
        text = repr({name: rows for name, rows in held.items() if name not in OF_EVERYBODY})
        for gone in ("phone", "safari", "analytics", *map(repr, secrets)):
            assert gone not in text
        # These are so short that random bytes may spell them.
        assert not {"TZ", "4711"} & words_of(held)
        # It stays where tokens still about are known to be void by it, and nowhere else.
        assert text.count(visitor_id) == 1
        (state,) = held["current_states"]
        assert state["visitor_id"] == visitor_id
        told = {json.dumps(sorted(json.loads(row["document"]))) for row in held["tombstones"]}
        assert told == {json.dumps(sorted(TOLD))}


#: What says nothing of any visitor: notices name all purposes.
OF_EVERYBODY = {"notices", "notice_drafts"}

#: All that a tombstone says.
TOLD = [
    "schema_version",
    "type",
    "record_id",
    "tenant_id",
    "site_key",
    "created_at",
    "commitment",
    "erased_at",
    "reason",
]


def sequence(service: Service) -> None:
    """Turn what waits into leaves."""
    while service.sequencer.sequence(service.tenant.id):
        pass


def words_of(held: dict[str, list[dict[str, Any]]]) -> set[str]:
    """Return what stands by itself in all that rows hold, but bytes."""
    values = [
        value
        for name in held.keys() - OF_EVERYBODY
        for row in held[name]
        for value in row.values()
        if not isinstance(value, bytes)
    ]
    return set(re.findall(r"[\w+/=-]+", repr(values)))


def kept_secret(row: dict[str, Any]) -> list[Any]:
    """Return what of a record would tell, or let somebody find out, what was chosen.

    Who has the commitment and the record's signature could try out every choice that there is.
    """
    names = ("document", "salt", "signature", "idempotency_hash", "request_hash")
    return [row[name] for name in names if row[name] is not None]


def test_what_was_erased_is_in_no_page_of_the_database_file(
    sqlite_url: str, tmp_path: Path
) -> None:
    service = make_service(sqlite_url, tmp_path)
    answer = service.choose({"analytics": True, "preferences": True}).get_json()
    (row,) = service.rows("records")
    # A record of many pages' worth of others before and after it.
    for _ in range(20):
        service.token()
    file = Path(str(make_url(sqlite_url).database))
    settle(service)
    whole = file.read_bytes()
    secrets = [row["document"].encode(), row["salt"], row["signature"]]
    assert all(secret in whole for secret in secrets)
    service.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": answer["token"]},
    )
    settle(service)
    left = file.read_bytes()
    assert not any(secret in left for secret in secrets)
    assert row["document"][100:200].encode() not in left
    assert row["commitment"] in left
    service.built.database.close()


def settle(service: Service) -> None:
    """Have everything be in the file, and nothing in the log beside it."""
    with closing(sqlite3.connect(str(make_url(service.settings.database_url).database))) as file:
        (busy, *_) = file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy
