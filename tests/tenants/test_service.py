"""Making tenants and sites, and finding sites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from consent_service.access.actor import OPERATOR
from consent_service.db import Database, Scope
from consent_service.errors import NotFound, Unavailable, UnknownSite, ValidationFailed
from consent_service.tenants.service import (
    SiteDirectory,
    create_site,
    create_tenant,
    find_site,
    find_tenant,
    set_origins,
    site_of,
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
        call(*args, **options)
    return dict(caught.value.fields or {})


def test_a_tenant_is_found_by_its_slug(database: Database) -> None:
    made = create_tenant(database, "momo-pulse", "Momo Pulse", by=OPERATOR)
    assert find_tenant(database, "momo-pulse") == made


def test_a_tenant_that_nobody_made_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        find_tenant(database, "nobody")


def test_a_slug_is_lower_case_letters_digits_and_hyphens(database: Database) -> None:
    for slug in ("", "Momo", "momo pulse", "-momo", "momo-", "m" * 64, "momo\n"):
        assert set(problems(create_tenant, database, slug, "Momo Pulse")) == {"slug"}, slug


def test_a_slug_is_taken_once(database: Database) -> None:
    assert set(problems(create_tenant, database, "example", "Another")) == {"slug"}


def test_a_name_has_a_length(service: Service) -> None:
    database = service.built.database
    for name in ("", "x" * 201):
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
            lambda origins: create_site(database, service.tenant, "App", origins, by=OPERATOR),
            lambda origins: set_origins(database, service.site, origins, by=OPERATOR),
        ):
            assert set(problems(call, [ORIGIN, wrong])) == {"allowed_origins"}, wrong
            assert set(problems(call, [])) == {"allowed_origins"}
    assert find_site(database, SITE_KEY).allowed_origins == {ORIGIN}


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
    set_origins(database, service.site, ["https://new.example.com"], by=OPERATOR)
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
