"""Where a visitor is: from real databases of each kind, or from a proxy that may be believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from consent_service.errors import OperatorError
from consent_service.regions.rules import Place
from consent_service.regions.service import Regions
from tests.builders import COUNTRY_HEADER, SITE_KEY, Service, make_service

TANZANIA, CALIFORNIA, NOWHERE = "203.0.113.7", "2001:db8:1::7", "192.0.2.1"

Entry = Callable[[str, str | None], dict[str, Any]]


def nested(country: str, subdivision: str | None) -> dict[str, Any]:
    """Return an entry as MaxMind's databases have it."""
    parts = {"subdivisions": [{"iso_code": subdivision}]} if subdivision else {}
    return {"country": {"iso_code": country}, **parts}


def plain(country: str, _: str | None) -> dict[str, Any]:
    """Return an entry of a database that knows countries alone."""
    return {"country_code": country}


def make_database(path: Path, kind: str, entry: Entry = nested) -> Path:
    """Write a country database with two networks."""
    writer = MMDBWriter(6, kind, languages=["en"], ipv4_compatible=True)
    writer.insert_network(IPSet(["203.0.113.0/24"]), entry("TZ", None))
    writer.insert_network(IPSet(["2001:db8:1::/48"]), entry("US", "CA"))
    writer.to_db_file(str(path))
    return path


def place(regions: Regions, address: str) -> Place:
    return regions.place({"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    ("kind", "entry", "subdivision"),
    [
        ("GeoIP2-Country", nested, None),
        ("GeoLite2-Country", nested, None),
        ("GeoIP2-City", nested, "CA"),
        ("GeoLite2-City", nested, "CA"),
        ("GeoIP2-Enterprise", nested, "CA"),
        ("DBIP-Country-Lite", nested, None),
        ("geo-whois-asn-country", plain, None),
        ("Some-Country-of-plain-kind", plain, None),
    ],
)
def test_each_kind_of_country_database_is_read(
    tmp_path: Path, kind: str, entry: Entry, subdivision: str | None
) -> None:
    regions = Regions(make_database(tmp_path / "country.mmdb", kind, entry))
    assert place(regions, TANZANIA) == Place("TZ")
    assert place(regions, CALIFORNIA) == Place("US", subdivision)
    assert place(regions, NOWHERE) == Place()


@pytest.mark.parametrize("address", ["", "unknown", "203.0.113.7:443", "::1%lo", "ÿ"])
def test_what_is_no_address_is_nowhere(tmp_path: Path, address: str) -> None:
    regions = Regions(make_database(tmp_path / "country.mmdb", "GeoIP2-Country"))
    assert place(regions, address) == Place()


@pytest.mark.parametrize("country", ["xx", "T1", "TZA", "", "T", "TZ\n"])
def test_what_is_no_country_is_nowhere(tmp_path: Path, country: str) -> None:
    def entry(_: str, __: str | None) -> dict[str, Any]:
        return plain(country, None)

    regions = Regions(make_database(tmp_path / "country.mmdb", "plain", entry))
    assert place(regions, TANZANIA) == Place()


def test_the_database_that_came_with_the_build_knows_countries() -> None:
    regions = Regions()
    assert place(regions, "41.59.0.1") == Place("TZ")
    assert place(regions, "2001:4860:4860::8888") == Place("US")
    assert place(regions, "127.0.0.1") == Place()


def test_a_file_that_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "country.mmdb"
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(OperatorError, match=r"country\.mmdb is not a country database in MMDB"):
        Regions(path)


@pytest.mark.parametrize("kind", ["GeoLite2-ASN", "GeoIP2-Anonymous-IP"])
def test_a_database_of_something_else_is_refused_at_the_start(tmp_path: Path, kind: str) -> None:
    path = make_database(tmp_path / "other.mmdb", kind)
    with pytest.raises(OperatorError, match=f"is a {kind} database"):
        Regions(path)


def test_the_gate_and_the_record_take_the_same_rule(sqlite_url: str, tmp_path: Path) -> None:
    path = make_database(tmp_path / "city.mmdb", "GeoIP2-City")
    service = make_service(sqlite_url, tmp_path, geo_database=str(path))
    service.address = CALIFORNIA
    record = service.choose(headers={"Sec-GPC": "1"}).get_json()["record"]
    assert (record["region"], record["country"]) == ("US-CA", "US")
    assert record["signal_source"] == "gpc"
    assert record["choices"]["analytics"] is False
    assert service.ask().get_json()["regime"] == "opt_out"
    shown = service.client.get(f"/v1/sites/{SITE_KEY}/banner").get_json()
    assert shown["regime"] == "opt_out"
    assert shown["gpc"].items() >= {"display": "required", "overridable": False}.items()
    service.address = NOWHERE
    assert service.ask().get_json()["regime"] == "opt_in"
    service.built.database.close()


@pytest.mark.parametrize(
    ("stated", "known"),
    [("TZ", "TZ"), ("us", "US"), ("XX", None), ("T1", None), ("", None), ("US, TZ", None)],
)
def test_a_trusted_proxy_states_the_country(
    worldwide: Service, stated: str, known: str | None
) -> None:
    record = worldwide.choose(headers={COUNTRY_HEADER: stated}).get_json()["record"]
    assert record["country"] == known


def test_nobody_else_states_the_country(worldwide: Service) -> None:
    worldwide.address = NOWHERE
    record = worldwide.choose(headers={COUNTRY_HEADER: "CH"}).get_json()["record"]
    assert record["country"] is None
    assert worldwide.ask(headers={COUNTRY_HEADER: "CH"}).get_json()["regime"] == "opt_in"


def test_without_trusted_proxies_no_header_is_believed(sqlite_url: str, tmp_path: Path) -> None:
    path = make_database(tmp_path / "country.mmdb", "GeoIP2-Country")
    service = make_service(
        sqlite_url, tmp_path, geo_database=str(path), country_header=COUNTRY_HEADER
    )
    headers = {COUNTRY_HEADER: "CH", "X-Forwarded-For": CALIFORNIA}
    for service.address, country in (("127.0.0.1", None), (TANZANIA, "TZ")):
        assert service.choose(headers=headers).get_json()["record"]["country"] == country
        assert service.ask(headers=headers).get_json()["regime"] == "opt_in"
    service.built.database.close()
