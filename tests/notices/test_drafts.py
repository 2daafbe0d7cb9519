"""Drafts: nothing that was written is lost, and nothing incomplete is published."""

from __future__ import annotations

import copy
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.access.actor import OPERATOR
from consent_service.db import Database
from consent_service.errors import Stale, UnknownSite, ValidationFailed
from consent_service.notices import drafts, preview
from consent_service.notices.configuration import Notice
from consent_service.notices.content import document_of, problems, resolve
from consent_service.notices.drafts import Draft, Source
from consent_service.notices.history import get_version, list_versions
from consent_service.notices.paths import written
from consent_service.notices.service import (
    NoticeDirectory,
    publish_draft,
    publish_notice,
    shown_to,
)
from consent_service.regions.service import Regions
from consent_service.tenants.service import Site, create_site, create_tenant, site_of
from tests.builders import ORIGIN, SITE_KEY, Service, make_notice
from tests.members import sign_in

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture
def database(service: Service) -> Database:
    return service.built.database


@pytest.fixture
def fresh(service: Service) -> Site:
    """A site of which nothing has been published."""
    return create_site(
        service.built.database, service.tenant, "New", [ORIGIN], site_key="site_new", by=OPERATOR
    )


def save(service: Service, document: object, revision: int | None = None) -> Draft:
    """Save a draft of the service's site on top of the one that stands, or of a revision."""
    database = service.built.database
    if revision is None:
        revision = drafts.read_draft(database, service.site).revision
    return drafts.save_draft(database, service.site, document, revision=revision, by=OPERATOR)


def publish(service: Service, revision: int, **options: Any) -> Notice:  # noqa: ANN401
    return publish_draft(
        service.built.database,
        service.site,
        revision=revision,
        **{"material": False, "by": OPERATOR, **options},
    )


def test_the_first_draft_is_a_frame_that_says_what_is_missing(
    service: Service, database: Database, fresh: Site
) -> None:
    draft = drafts.read_draft(database, fresh)
    assert draft.source == Source.START
    assert draft.document["controller"] == {"name": service.tenant.name}
    assert draft.document["languages"] == ["en", "sw"]
    missing = {written(path) for path, _ in drafts.problems(draft.document)}
    assert missing == {
        "dpo.name", "dpo.email", "dpo.address", "policy.version", "policy.url",
        "purposes[0].texts.en.name", "purposes[0].texts.en.description",
        "purposes[0].texts.sw.name", "purposes[0].texts.sw.description",
    }  # fmt: skip


def test_without_a_draft_there_is_what_was_published_as_its_author_wrote_it(
    service: Service, database: Database
) -> None:
    service.publish(texts={"sw": {"title": "Vidakuzi"}})
    draft = drafts.read_draft(database, service.site)
    assert (draft.source, draft.published_version) == (Source.PUBLISHED, 2)
    assert draft.document["texts"] == {"sw": {"title": "Vidakuzi"}}
    assert draft.document["languages"] == ["en", "sw"]


@pytest.mark.parametrize(
    "changes",
    [{}, {"texts": {"en": {"title": "Cookies"}}}, {"theme": {"accent": "#0b6e4f"}}],
    ids=["plain", "texts", "theme"],
)
def test_what_was_published_can_be_published_again_as_it_was(changes: dict[str, Any]) -> None:
    content = resolve(make_notice(**changes))
    assert resolve(document_of(content)) == content


def test_a_default_text_of_another_release_stays_as_it_was_shown() -> None:
    content = resolve(make_notice())
    content["texts"]["en"] |= {"title": "As it was then", "gone_since": "No more"}
    assert document_of(content)["texts"] == {"en": {"title": "As it was then"}}


def test_an_incomplete_draft_is_kept_to_the_letter(service: Service, database: Database) -> None:
    document = {"purposes": [{"texts": {"sw": {"name": "Tak\u0000wimu <b>"}}}, 7], "b": None}
    saved = save(service, document)
    assert (saved.source, saved.revision) == (Source.DRAFT, 2)
    assert drafts.read_draft(database, service.site) == saved
    assert json.dumps(saved.document) == json.dumps(document)


def test_an_incomplete_draft_is_not_published_and_told_why_with_the_place(
    service: Service, database: Database
) -> None:
    document = make_notice(dpo={"name": "", "email": "nobody", "address": " "})
    document["purposes"][1]["texts"]["sw"]["description"] = ""
    del document["purposes"][2]["texts"]["sw"]
    document["texts"] = {"sw": {"reject_all": "\u200b"}, "de": {}}
    saved = save(service, document)
    with pytest.raises(ValidationFailed) as caught:
        publish(service, saved.revision)
    fields = dict(caught.value.fields or {})
    assert set(fields) == {
        "dpo.name", "dpo.email", "dpo.address", "purposes[1].texts.sw.description",
        "purposes[2].texts.sw", "texts.sw.reject_all", "texts.de",
    }  # fmt: skip
    assert "PDPA s. 27(3)" in fields["dpo.name"][0]
    assert "Say it in sw too" in fields["purposes[2].texts.sw"][0]
    assert [version.version for version in list_versions(database, service.site)] == [1]
    assert drafts.read_draft(database, service.site) == saved


def test_a_published_draft_is_gone_and_is_the_notice_in_force(
    service: Service, database: Database
) -> None:
    saved = save(service, make_notice(texts={"en": {"title": "Cookies"}}))
    made = publish(service, saved.revision, policy_version="2026-11")
    after = drafts.read_draft(database, service.site)
    assert (after.source, after.published_version) == (Source.PUBLISHED, 2)
    assert after.document["policy"] == {
        "version": "2026-11", "url": "https://example.com/privacy", "material": False,
    }  # fmt: skip
    assert after.revision > saved.revision
    service.built.followers.refresh()
    in_force = service.use(NoticeDirectory).in_force(service.site)
    assert (in_force.version, in_force.content_hash) == (2, made.content_hash)
    assert in_force.material_version == 1
    assert publish(service, after.revision, material=True).material_version == 3


def test_nobody_overwrites_what_they_have_not_seen(service: Service, database: Database) -> None:
    seen = drafts.read_draft(database, service.site).revision
    theirs = save(service, {"theirs": True}, seen)
    for act in (
        lambda: save(service, {"mine": True}, seen),
        lambda: publish(service, seen),
        lambda: drafts.discard_draft(database, service.site, revision=seen, by=OPERATOR),
    ):
        with pytest.raises(Stale) as caught:
            act()
        assert caught.value.extra["current"] == theirs.as_json()
        assert caught.value.extra["sent"]["revision"] == seen
    assert drafts.read_draft(database, service.site) == theirs


@pytest.mark.parametrize("how", ["the draft", "by command", "thrown away"])
def test_a_revision_never_comes_again(service: Service, database: Database, how: str) -> None:
    seen = drafts.read_draft(database, service.site).revision
    saved = save(service, make_notice(texts={"en": {"title": "Theirs"}}), seen)
    if how == "the draft":
        publish(service, saved.revision)
    elif how == "by command":
        publish_notice(database, service.site, make_notice(), by=OPERATOR)
        kept = drafts.read_draft(database, service.site)
        assert (kept.source, kept.document) == (Source.DRAFT, saved.document)
    else:
        drafts.discard_draft(database, service.site, revision=saved.revision, by=OPERATOR)
    for revision in (seen, saved.revision):
        with pytest.raises(Stale):
            save(service, {"mine": True}, revision)


def test_who_opened_the_editor_before_the_first_notice_is_told_that_there_is_one(
    database: Database, fresh: Site
) -> None:
    assert drafts.read_draft(database, fresh).revision == 0
    publish_notice(database, fresh, make_notice(), by=OPERATOR)
    with pytest.raises(Stale):
        drafts.save_draft(database, fresh, {}, revision=0, by=OPERATOR)


def test_a_draft_thrown_away_leaves_what_is_published(service: Service, database: Database) -> None:
    saved = save(service, {"languages": []})
    left = drafts.discard_draft(database, service.site, revision=saved.revision, by=OPERATOR)
    assert left.source == Source.PUBLISHED
    assert left.document == document_of(service.notice.content)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "one JSON object"),
        ("notice", "one JSON object"),
        (nested(21), "nested more than 20 levels"),
        ({"n": float("inf")}, "JSON cannot write"),
        ({"text": "\u12a0" * 90_000}, "262,144 are allowed"),
    ],
    ids=["list", "text", "deep", "infinite", "large"],
)
def test_what_cannot_be_a_notice_is_not_saved(
    service: Service, document: object, told: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        save(service, document)
    assert told in str(caught.value.fields)
    assert save(service, nested(20)).revision == 2


def test_what_is_as_it_was_is_no_new_revision(service: Service) -> None:
    saved = save(service, {"a": 1})
    assert save(service, {"a": 1}) == saved
    assert save(service, {"a": True}).revision == saved.revision + 1


def events(service: Service, action: str) -> list[dict[str, Any]]:
    """Return the audit events of an action, with their JSON read."""
    found = [row for row in service.rows("audit_events") if row["action"] == action]
    for row in found:
        for side in ("before", "after"):
            if isinstance(row[side], str):
                row[side] = json.loads(row[side])
    return sorted(found, key=lambda row: str(row["at"]))


def test_the_audit_log_says_who_changed_which_members_and_who_published_them(
    service: Service,
) -> None:
    member = sign_in(service, "dpo")
    document = make_notice(texts={"en": {"title": "Cookies"}})
    saved = drafts.save_draft(
        service.built.database, service.site, document, revision=1, by=member.actor
    )
    published = publish(service, saved.revision, by=member.actor)
    (event,) = events(service, "notice_draft.saved")
    assert (event["object_kind"], event["object_id"]) == ("notice_draft", SITE_KEY)
    assert (event["before"], event["after"]) == ({}, {"texts.en.title": "Cookies"})
    event = events(service, "notice.published")[-1]
    assert event["object_id"] == f"{SITE_KEY} 2"
    assert event["before"] == {"policy.material": True, "texts.en.title": "Your cookie choices"}
    assert event["after"] == {
        "policy.material": False, "texts.en.title": "Cookies",
        "content_hash": published.content_hash, "material": False,
    }  # fmt: skip


def test_each_version_says_who_published_it_and_what_it_changed(
    service: Service, database: Database
) -> None:
    member = sign_in(service, "owner")
    saved = save(service, make_notice(controller={"name": "Other Ltd"}))
    publish(service, saved.revision, by=member.actor)
    newest, first = list_versions(database, service.site)
    assert newest.published_by == ("user", member.user_id)
    assert first.published_by == ("operator", None)
    assert [found.version for found in list_versions(database, service.site, limit=1)] == [2]
    assert [found.version for found in list_versions(database, service.site, before=2)] == [1]
    version = get_version(database, service.site, 2)
    changed = {change.where: (change.before, change.after) for change in version.changes}
    assert changed == {
        "controller.name": ("Example Ltd", "Other Ltd"),
        "policy.material": (True, False),
    }


def test_what_a_draft_changes_is_told_in_the_words_that_visitors_see(service: Service) -> None:
    save(service, make_notice(texts={"en": {"title": "Cookies"}}))
    compared = drafts.compare(service.built.database, service.site)
    assert compared.published_version == 1
    (change,) = compared.changes
    assert (change.before, change.after) == ("Your cookie choices", "Cookies")
    save(service, make_notice(dpo={}))
    compared = drafts.compare(service.built.database, service.site)
    told = {change.where for change in compared.changes}
    assert told == {"dpo.name", "dpo.email", "dpo.address"}


def test_the_second_tenant_sees_and_changes_nothing_of_a_draft(
    service: Service, database: Database
) -> None:
    mine = save(service, {"mine": True})
    tenant = create_tenant(database, "other", "Other Ltd", by=OPERATOR)
    other = service.add_site("site_other", tenant)
    drafts.save_draft(database, other, {"theirs": True}, revision=1, by=OPERATOR)
    # One that claims another's site: the query holds it to the tenant, whatever the id says.
    forged = Site(service.site.id, tenant.id, SITE_KEY, "", frozenset(), None, {}, "UTC", 1)
    assert drafts.read_draft(database, forged).source == Source.START
    assert drafts.read_draft(database, service.site) == mine
    with pytest.raises(UnknownSite):
        site_of(database, tenant.id, SITE_KEY)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.data())
def test_whatever_is_drafted_can_be_checked_and_shown(
    document: dict[str, Any], data: st.DataObject
) -> None:
    whole = copy.deepcopy(make_notice())
    for member in data.draw(st.sets(st.sampled_from(sorted(whole)))):
        whole[member] = data.draw(JSON)
    purpose = whole["purposes"]
    # As drawn above, its last one may have no members.
    if isinstance(purpose, list) and purpose and isinstance(purpose[-1], dict) and purpose[-1]:
        for member in data.draw(st.sets(st.sampled_from(sorted(purpose[-1])))):
            purpose[-1][member] = data.draw(JSON)
    regions = Regions()
    site = Site(UUID(int=1), UUID(int=1), "site_x", "", frozenset(), None, {}, "UTC", 1)
    for each in (document, whole):
        found = problems(each)
        assert all(isinstance(message, str) for _, message in found)
        notice = preview.draft_notice(each, site, 1)
        rule = preview.rule_shown(regions, site, "TZ", None)
        for language in notice.languages:
            shown = shown_to(notice, site, language, rule, gpc=False)
            json.dumps(shown, allow_nan=False)
            assert all(shown["texts"].values())


def test_a_preview_of_a_complete_notice_is_what_visitors_get(service: Service) -> None:
    regions = service.use(Regions)
    notice = service.notice
    document = document_of(notice.content)
    rule = preview.rule_shown(regions, service.site, "TZ", None)
    for language in ("en", "sw"):
        real = shown_to(notice, service.site, language, rule, gpc=True)
        drawn = shown_to(
            preview.draft_notice(document, service.site, 1), service.site, language, rule, gpc=True
        )
        for shown in (real, drawn):
            del shown["notice_hash"]
            for purpose in [*shown["purposes"]["optional"], *shown["purposes"]["essential"]]:
                del purpose["key"]
                for one in purpose["services"]:
                    del one["key"]
        assert drawn == real


def test_a_preview_shows_what_is_missing_as_a_gap_and_no_link_that_runs(service: Service) -> None:
    document = drafts.start("Example Ltd") | {
        "policy": {"url": "javascript:alert(1)"},
        "theme": {"accent": "red; x", "position": "top"},
    }
    content = preview.draft_notice(document, service.site, 1).content
    assert content["policy"]["url"] == "about:blank"
    assert content["theme"] == {"position": "top"}
    assert content["dpo"] == {"name": "…", "email": "…", "address": "…"}
    assert content["purposes"][0]["texts"]["sw"] == {"name": "…", "description": "…"}


@pytest.mark.parametrize(
    ("region", "regime", "expected"),
    [
        ("TZ", None, "opt_in"),
        ("US-CA", None, "opt_out"),
        ("*", None, "opt_in"),
        ("??", None, "opt_in"),
        ("TZ", "notice", "notice"),
    ],
)
def test_a_preview_is_of_the_region_asked_for(
    service: Service, region: str, regime: str | None, expected: str
) -> None:
    found = preview.rule_shown(service.use(Regions), service.site, region, regime)
    assert found.regime == expected
