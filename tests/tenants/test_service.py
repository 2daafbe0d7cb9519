"""Making tenants and sites, and finding sites."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from consent_service.access.actor import OPERATOR
from consent_service.db import Database, Scope
from consent_service.errors import Stale, Unavailable, UnknownSite, UnknownTenant, ValidationFailed
from consent_service.tenants.service import (
    SiteDirectory,
    create_site,
    create_tenant,
    find_site,
    find_tenant,
    site_of,
    sites_of,
    update_site,
)
from tests.builders import ORIGIN, SITE_KEY, Service

NO_ORIGINS = [
    "app.example.com",
    "https://app.example.com/",
    "https://app.example.com/page",
    "https://App.example.com",
    "https://user@app.example.com",
    "https://app.example.com:443",
    "http://app.example.com:80",
    "https://app.example.com:0",
    "https://app example.com",
    "https://app.example.com\n",
    "https://*.example.com",
    "https://[",
    "ftp://app.example.com",
    "https://",
    "null",
    "*",
    "",
]


@pytest.fixture
def database(service: Service) -> Database:
    return service.built.database


def problems(call: Callable[..., object], *args: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    with pytest.raises(ValidationFailed) as caught:
        call(*args, **options, by=OPERATOR)
    return dict(caught.value.fields or {})


def told(event: dict[str, Any], side: str) -> Any:  # noqa: ANN401
    """Return what an event says, which SQLite's driver gives as text."""
    return json.loads(event[side]) if isinstance(event[side], str) else event[side]


def test_a_tenant_is_found_by_its_slug(database: Database) -> None:
    made = create_tenant(database, "momo-pulse", "Momo Pulse", by=OPERATOR)
    assert find_tenant(database, "momo-pulse") == made


def test_a_tenant_that_nobody_made_is_not_found(database: Database) -> None:
    with pytest.raises(UnknownTenant):
        find_tenant(database, "nobody")


def test_a_slug_is_lower_case_letters_digits_and_hyphens(database: Database) -> None:
    for slug in ("", "Momo", "momo pulse", "-momo", "momo-", "m" * 64, "momo\n"):
        assert set(problems(create_tenant, database, slug, "Momo Pulse")) == {"slug"}, slug


def test_a_slug_is_taken_once(database: Database) -> None:
    assert set(problems(create_tenant, database, "example", "Another")) == {"slug"}


def test_a_name_has_a_length(service: Service) -> None:
    database = service.built.database
    for name in ("", " ", "x" * 201, "a\0b", "two\nlines"):
        assert set(problems(create_tenant, database, "momo", name)) == {"name"}
        assert set(problems(create_site, database, service.tenant, name, [ORIGIN])) == {"name"}


def test_site_keys_are_random_and_cannot_be_guessed(service: Service) -> None:
    keys = {
        create_site(service.built.database, service.tenant, "App", [ORIGIN], by=OPERATOR).site_key
        for _ in range(3)
    }
    assert len(keys) == 3
    assert all(key.startswith("site_") and len(key) >= 5 + 22 for key in keys)


def test_a_site_is_found_as_it_was_made(service: Service) -> None:
    database = service.built.database
    made = create_site(
        database,
        service.tenant,
        "App",
        [ORIGIN, "http://localhost:8000", "https://[2001:db8::1]:8443"],
        cookie_domain="example.com",
        regime_overrides={"GB": "opt_out"},
        by=OPERATOR,
    )
    assert vars(find_site(database, made.site_key)) == vars(made)


def test_a_site_that_nobody_made_is_not_found(database: Database) -> None:
    with pytest.raises(UnknownSite):
        find_site(database, "site_nobody")


def test_a_site_is_found_for_its_own_tenant_alone(service: Service) -> None:
    database = service.built.database
    other = create_tenant(database, "other", "Other", by=OPERATOR)
    assert vars(site_of(database, service.tenant.id, SITE_KEY)) == vars(service.site)
    for tenant_id, key in ((other.id, SITE_KEY), (service.tenant.id, "site_nobody")):
        with pytest.raises(UnknownSite):
            site_of(database, tenant_id, key)


def test_an_origin_is_written_as_browsers_do(service: Service) -> None:
    database = service.built.database
    for wrong in NO_ORIGINS:
        for call in (
            lambda origins, by: create_site(database, service.tenant, "App", origins, by=by),
            lambda origins, by: update_site(
                database, service.site, {"allowed_origins": origins}, revision=1, by=by
            ),
        ):
            assert set(problems(call, [ORIGIN, wrong])) == {"allowed_origins"}, wrong
            assert set(problems(call, [])) == {"allowed_origins"}
    assert find_site(database, SITE_KEY).allowed_origins == {ORIGIN}


def test_a_regime_is_for_a_region_of_the_table(service: Service) -> None:
    database = service.built.database
    for wrong in ({"ZZ": "opt_in"}, {"GB": "maybe"}, {"": "opt_in"}, {"gb": "opt_out"}):
        for call in (
            lambda by, wrong=wrong: create_site(
                database, service.tenant, "App", [ORIGIN], regime_overrides=wrong, by=by
            ),
            lambda by, wrong=wrong: update_site(
                database, service.site, {"regime_overrides": wrong}, revision=1, by=by
            ),
        ):
            (region,) = wrong
            assert set(problems(call)["regime_overrides"]) == {region}
    assert find_site(database, SITE_KEY).regime_overrides == {}


def test_a_site_is_changed_in_what_is_named_and_the_change_is_told(service: Service) -> None:
    database = service.built.database
    changed = update_site(
        database,
        service.site,
        {"name": "Shop", "allowed_origins": [ORIGIN], "cookie_domain": "example.com"},
        revision=1,
        by=OPERATOR,
    )
    assert changed.shown() == {
        **service.site.shown(),
        "name": "Shop",
        "cookie_domain": "example.com",
        "revision": 2,
    }
    assert vars(find_site(database, SITE_KEY)) == vars(changed)
    event = service.rows("audit_events")[-1]
    assert (event["action"], event["object_id"]) == ("site.updated", SITE_KEY)
    assert told(event, "before") == {"name": "App", "cookie_domain": None}
    assert told(event, "after") == {"name": "Shop", "cookie_domain": "example.com"}


def test_a_change_that_changes_nothing_leaves_the_site_as_it_is(service: Service) -> None:
    database = service.built.database
    events = len(service.rows("audit_events"))
    same = update_site(database, service.site, service.site.shown(), revision=1, by=OPERATOR)
    assert same.revision == 1
    assert len(service.rows("audit_events")) == events


def test_a_change_to_what_somebody_else_has_changed_is_refused_with_both(service: Service) -> None:
    database = service.built.database
    first = update_site(database, service.site, {"name": "First"}, revision=1, by=OPERATOR)
    with pytest.raises(Stale) as caught:
        update_site(database, service.site, {"name": "Second"}, revision=1, by=OPERATOR)
    assert caught.value.extra["current"] == first.shown()
    assert caught.value.extra["sent"] == {**first.shown(), "name": "Second", "revision": 1}
    assert vars(find_site(database, SITE_KEY)) == vars(first)


def test_of_two_changes_at_once_one_is_refused(service: Service) -> None:
    def change(name: str) -> str | None:
        try:
            changes = {"name": name}
            return update_site(
                service.built.database, service.site, changes, revision=1, by=OPERATOR
            ).name
        except Stale:
            return None

    with ThreadPoolExecutor() as pool:
        made = [name for name in pool.map(change, ["A", "B", "C", "D"]) if name]
    assert [find_site(service.built.database, SITE_KEY).name] == made


def test_a_tenants_sites_are_its_own(service: Service) -> None:
    database = service.built.database
    other = create_tenant(database, "other", "Other", by=OPERATOR)
    service.add_site("site_theirs", other)
    service.add_site("site_later")
    assert [site.site_key for site in sites_of(database, service.tenant.id)] == [
        SITE_KEY,
        "site_later",
    ]
    assert [site.site_key for site in sites_of(database, other.id)] == ["site_theirs"]


def test_a_cookie_domain_is_a_plain_domain(service: Service) -> None:
    database = service.built.database
    for wrong in ("", "com", ".a.com", "A.com", "a.b;secure", "a.b\n", f"{'x' * 252}.com"):
        found = problems(
            create_site, database, service.tenant, "App", [ORIGIN], cookie_domain=wrong
        )
        assert set(found) == {"cookie_domain"}, wrong


def test_a_site_key_fits_into_tokens_and_cookies(service: Service) -> None:
    database = service.built.database
    for wrong in ("demo", "site_", "site_a b", "site_~", "site_a\n", f"site_{'x' * 60}"):
        found = problems(create_site, database, service.tenant, "App", [ORIGIN], site_key=wrong)
        assert set(found) == {"site_key"}, wrong


def test_a_site_key_is_taken_once(service: Service) -> None:
    other = create_tenant(service.built.database, "other", "Other", by=OPERATOR)
    found = problems(create_site, service.built.database, other, "A", [ORIGIN], site_key=SITE_KEY)
    assert set(found) == {"site_key"}


def test_a_process_hears_of_new_and_changed_sites(service: Service) -> None:
    database = service.built.database
    directory = SiteDirectory()
    with pytest.raises(Unavailable):
        directory.find(SITE_KEY)
    with database.reading(Scope.DIRECTORY) as connection:
        directory.refresh(connection)
    before = directory.find(SITE_KEY)
    with pytest.raises(UnknownSite):
        directory.find("site_later")
    service.add_site("site_later")
    changes = {"allowed_origins": ["https://new.example.com"]}
    update_site(database, service.site, changes, revision=1, by=OPERATOR)
    with database.reading(Scope.DIRECTORY) as connection:
        directory.refresh(connection)
    assert directory.find("site_later").allowed_origins == {ORIGIN}
    assert directory.find(SITE_KEY).allowed_origins == {"https://new.example.com"}
    assert directory.find(SITE_KEY) is not before


def test_a_site_that_did_not_change_stays_the_same_object(service: Service) -> None:
    # What the gate keeps ready for a site hangs on it.
    before = service.use(SiteDirectory).find(SITE_KEY)
    service.add_site("site_later")
    assert service.use(SiteDirectory).find(SITE_KEY) is before
