"""Publishing notices: versions that never change, known by their hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import rfc8785
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from consent_service.access.actor import OPERATOR
from consent_service.db import Database, Scope
from consent_service.errors import Unavailable, UnknownSite, ValidationFailed
from consent_service.notices.configuration import Notice
from consent_service.notices.content import resolve
from consent_service.notices.service import (
    NoticeDirectory,
    newest_version,
    publish_notice,
)
from consent_service.tenants.service import create_site
from tests.builders import ORIGIN, SITE_KEY, Service, make_notice, make_purpose

POLICY: dict[str, Any] = make_notice()["policy"]
MATERIAL, EDITORIAL = ({**POLICY, "material": material} for material in (True, False))


def known(notice: Notice) -> Mapping[str, Any]:
    """Return all that is known of a notice; notices are compared by identity."""
    return {name: value for name, value in vars(notice).items() if name in Notice.__annotations__}


def test_a_notice_is_known_by_the_hash_of_its_canonical_form(service: Service) -> None:
    (row,) = service.rows("notices")
    content = json.loads(row["content"])
    assert content == resolve(make_notice())
    assert row["content"].encode() == rfc8785.dumps(content)
    digest = hashlib.sha256(row["content"].encode()).hexdigest()
    assert row["content_hash"] == service.notice.content_hash == f"sha256:{digest}"


def test_the_same_notice_has_the_same_hash_and_another_has_another(service: Service) -> None:
    again = service.publish()
    assert again.content_hash == service.notice.content_hash
    other = service.publish(texts={"en": {"title": "Cookies"}})
    assert other.content_hash != service.notice.content_hash


def test_every_text_that_is_shown_is_stored_with_the_version() -> None:
    resolved = resolve(make_notice(texts={"sw": {"title": "Vidakuzi"}}))
    assert resolved["languages"] == [
        {"code": "en", "name": "English", "direction": "ltr"},
        {"code": "sw", "name": "Kiswahili", "direction": "ltr"},
    ]
    english, swahili = resolved["texts"]["en"], resolved["texts"]["sw"]
    assert set(english) == set(swahili)
    assert english["title"] == "Your cookie choices"
    assert swahili["title"] == "Vidakuzi"


def test_a_language_needs_default_texts() -> None:
    purpose = make_purpose("session", "essential")
    purpose["texts"] = {"tlh": purpose["texts"]["en"]}
    with pytest.raises(ValidationFailed) as caught:
        resolve(make_notice(languages=["tlh"], purposes=[purpose]))
    assert caught.value.fields is not None
    (problem,) = caught.value.fields["languages"][0]
    assert re.match(r"There are no texts in 'tlh'; in: .*\ben\b.*\bsw\b", problem)


def test_versions_count_up_for_each_site(service: Service) -> None:
    assert [service.publish().version for _ in range(2)] == [2, 3]
    other = service.add_site("site_other")
    assert newest_version(service.built.database, service.site) == 3
    assert newest_version(service.built.database, other) == 1


@pytest.mark.parametrize(
    ("policies", "material_version"),
    [
        ([MATERIAL], 1),
        ([EDITORIAL], 1),
        ([EDITORIAL, EDITORIAL], 1),
        ([MATERIAL, EDITORIAL, EDITORIAL], 1),
        ([MATERIAL, EDITORIAL, MATERIAL], 3),
        ([MATERIAL, MATERIAL, EDITORIAL], 2),
    ],
)
def test_choices_stay_valid_until_a_material_change(
    service: Service, policies: list[dict[str, Any]], material_version: int
) -> None:
    database = service.built.database
    site = create_site(database, service.tenant, "Site", [ORIGIN], by=OPERATOR)
    for policy in policies:
        published = publish_notice(database, site, make_notice(policy=policy), by=OPERATOR)
    assert published.material_version == material_version
    # A process that was there all the time and one that starts now say the same.
    service.built.followers.refresh()
    late = NoticeDirectory()
    with database.reading(Scope.DIRECTORY) as connection:
        late.refresh(connection)
    for directory in (service.use(NoticeDirectory), late):
        assert known(directory.in_force(site)) == known(published)


def test_a_process_that_follows_step_by_step_says_the_same(service: Service) -> None:
    published = service.notice
    for policy in (EDITORIAL, MATERIAL, EDITORIAL):
        published = service.publish(policy=policy)
        assert known(service.use(NoticeDirectory).in_force(service.site)) == known(published)
    assert published.material_version == 3


def test_a_notice_that_did_not_change_stays_the_same_object(service: Service) -> None:
    directory = service.use(NoticeDirectory)
    before = directory.in_force(service.site)
    service.built.followers.refresh()
    assert directory.in_force(service.site) is before


def test_nothing_is_shown_before_the_first_notice(service: Service) -> None:
    site = create_site(
        service.built.database, service.tenant, "New", [ORIGIN], site_key="site_new", by=OPERATOR
    )
    service.built.followers.refresh()
    with pytest.raises(UnknownSite):
        service.use(NoticeDirectory).in_force(site)
    with pytest.raises(Unavailable):
        NoticeDirectory().in_force(site)
    assert service.client.get("/embed/site_new.js").status_code == 404
    assert service.choose(site_key="site_new").status_code == 404


def test_a_notice_that_is_not_complete_is_not_published(service: Service) -> None:
    with pytest.raises(ValidationFailed):
        service.publish(dpo={})
    assert len(service.rows("notices")) == 1


def test_the_database_refuses_to_change_what_was_published(
    service: Service, owner: Database
) -> None:
    before = service.rows("notices")
    never = "notices are never changed or deleted"
    served_told = "permission denied for table notices" if service.on_postgresql else never
    for statement in (
        "UPDATE notices SET content = '{}'",
        "UPDATE notices SET content_hash = content_hash",
        "UPDATE notices SET material = NOT material",
        "UPDATE notices SET version = version + 1",
        "DELETE FROM notices",
        "TRUNCATE notices CASCADE"
        if service.on_postgresql
        else "REPLACE INTO notices SELECT * FROM notices",
    ):
        for database, told in ((service.built.database, served_told), (owner, never)):
            with (
                pytest.raises(DBAPIError, match=told),
                database.transaction(service.tenant.id) as connection,
            ):
                connection.execute(text(statement))
            assert service.rows("notices") == before, statement


def test_a_record_names_the_version_it_was_made_on_for_ever(service: Service) -> None:
    first = service.choose().get_json()
    service.publish(texts={"en": {"title": "Cookies"}})
    receipt = service.client.get(first["receipt_url"]).get_json()
    assert receipt["record"]["notice_hash"] == service.notice.content_hash
    assert receipt["record"]["site_key"] == SITE_KEY
