"""What the service must never keep: addresses, user agents, anything finer than a country."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from consent_service.db import Base
from tests.builders import COUNTRY_HEADER, ORIGIN, SITE_KEY, Service

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


def test_after_erasure_the_visitors_id_has_nothing_attached(worldwide: Service) -> None:
    answer = worldwide.choose(headers={COUNTRY_HEADER: "TZ", "User-Agent": AGENT}).get_json()
    worldwide.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": answer["token"]},
    )
    text = repr([worldwide.rows("records"), worldwide.rows("current_states")])
    for gone in ("phone", "safari", "TZ", "analytics", answer["record"]["notice_hash"]):
        assert gone not in text
    assert text.count(answer["record"]["visitor_id"]) == 1
