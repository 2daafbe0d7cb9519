"""Notices over the management API: what each role may do, and that nobody reaches another's."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from consent_service.access.actor import OPERATOR
from consent_service.tenants.service import create_tenant
from tests.builders import SITE_KEY, Service, make_notice
from tests.members import Member, sign_in

BASE = f"/v1/tenants/example/sites/{SITE_KEY}"
DRAFT = f"{BASE}/notice/draft"
PUBLISH = f"{BASE}/notice/publish"

READS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/notice/draft", {}),
    ("GET", "/notice/problems", {}),
    ("POST", "/notice/problems", {"document": {}}),
    ("GET", "/notice/difference", {}),
    ("POST", "/notice/preview", {"document": {}}),
    ("GET", "/notices", {}),
    ("GET", "/notices/1", {}),
    ("GET", "/notices/1/preview", {}),
]
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/notice/draft", {"revision": 1, "document": {"a": 1}}),
    ("DELETE", "/notice/draft?revision=1", {}),
]
PUBLISHES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/notice/publish", {"revision": 1, "material": False})
]


def call(member: Member, method: str, address: str, body: dict[str, Any]) -> TestResponse:
    options = {"json": body} if body else {}
    act = {"GET": member.get, "POST": member.post, "PUT": member.put, "DELETE": member.delete}
    return act[method](address, **options)


def save(member: Member, document: object) -> dict[str, Any]:
    revision = member.get(DRAFT).get_json()["revision"]
    response = member.put(DRAFT, json={"revision": revision, "document": document})
    assert response.status_code == 200, response.get_data(as_text=True)
    saved: dict[str, Any] = response.get_json()
    return saved


@pytest.mark.parametrize(
    ("role", "may_write", "may_publish"),
    [
        ("owner", True, True),
        ("dpo", True, True),
        ("developer", True, False),
        ("analyst", False, False),
        ("auditor", False, False),
    ],
)
def test_each_role_does_what_it_may_and_is_told_what_it_lacks(
    service: Service,
    role: str,
    may_write: bool,  # noqa: FBT001
    may_publish: bool,  # noqa: FBT001
) -> None:
    member = sign_in(service, role)
    for calls, allowed, permission in (
        (READS, True, "notices:read"),
        (PUBLISHES, may_publish, "notices:publish"),
        (WRITES, may_write, "notices:write"),
    ):
        for method, path, body in calls:
            response = call(member, method, BASE + path, body)
            if allowed:
                # That somebody has saved meanwhile is another matter.
                assert response.status_code in {200, 201, 409}, (method, path)
            else:
                assert response.status_code == 403
                error = response.get_json()["error"]
                assert error["fields"] == {"permission": [permission]}


def test_another_tenants_site_is_as_one_that_is_not_there(service: Service) -> None:
    tenant = create_tenant(service.built.database, "other", "Other Ltd", by=OPERATOR)
    service.add_site("site_other", tenant)
    member = sign_in(service, "owner")
    stranger = sign_in(service, "owner", tenant)
    before = {name: service.rows(name) for name in ("notices", "notice_drafts", "audit_events")}
    for method, path, body in READS + WRITES + PUBLISHES:
        for site in ("site_other", "site_nowhere"):
            address = f"/v1/tenants/example/sites/{site}{path}"
            responses = [call(member, method, address, body)]
            responses += [call(stranger, method, BASE + path, body)]
            codes = [(r.status_code, r.get_json()["error"]["code"]) for r in responses]
            assert codes == [(404, "unknown_site"), (404, "unknown_tenant")], (method, path)
    bodies = {
        call(member, "GET", f"/v1/tenants/example/sites/{site}/notice/draft", {}).data
        for site in ("site_other", "site_nowhere")
    }
    assert len(bodies) == 1
    after = {name: service.rows(name) for name in before}
    assert after == before


def test_a_draft_is_written_checked_compared_and_published(service: Service) -> None:
    member = sign_in(service, "dpo")
    first = member.get(DRAFT).get_json()
    assert first["source"] == "published"
    document = {**first["document"], "texts": {"sw": {"title": "Vidakuzi"}}}
    saved = save(member, document)
    assert saved["document"] == document
    assert member.get(f"{BASE}/notice/problems").get_json() == {"problems": [], "complete": True}
    (change,) = member.get(f"{BASE}/notice/difference").get_json()["changes"]
    assert (change["path"], change["kind"], change["after"]) == (
        "texts.sw.title",
        "changed",
        "Vidakuzi",
    )
    sent = {"revision": saved["revision"], "material": True, "policy_version": "2026-11"}
    response = member.post(PUBLISH, json=sent)
    assert response.status_code == 201
    published = response.get_json()
    assert (published["version"], published["policy_version"]) == (2, "2026-11")
    assert published["published_by"] == {"kind": "user", "id": str(member.user_id)}
    service.built.followers.refresh()
    shown = service.client.get(f"/v1/sites/{SITE_KEY}/banner?lang=sw").get_json()
    assert (shown["texts"]["title"], shown["notice_version"]) == ("Vidakuzi", 2)
    assert shown["notice_hash"] == published["content_hash"]
    listed = member.get(f"{BASE}/notices").get_json()["notices"]
    assert [one["version"] for one in listed] == [2, 1]
    assert listed[0] == published
    version = member.get(f"{BASE}/notices/2").get_json()
    assert version["content"]["texts"]["sw"]["title"] == "Vidakuzi"
    paths = [one["path"] for one in version["difference"]["changes"]]
    assert (version["difference"]["against"], paths) == (1, ["policy.version", "texts.sw.title"])
    assert member.get(DRAFT).get_json()["source"] == "published"


def test_an_incomplete_notice_is_saved_and_not_published_and_the_place_is_named(
    service: Service,
) -> None:
    member = sign_in(service, "owner")
    document = make_notice()
    document["purposes"][1]["texts"]["sw"]["name"] = ""
    saved = save(member, document)
    problems = member.get(f"{BASE}/notice/problems").get_json()
    place = "purposes[1].texts.sw.name"
    assert problems["complete"] is False
    assert [problem["path"] for problem in problems["problems"]] == [place]
    assert member.post(f"{BASE}/notice/problems", json={"document": document}).get_json() == (
        problems
    )
    sent = {"revision": saved["revision"], "material": False}
    response = member.post(PUBLISH, json=sent)
    assert response.status_code == 422
    assert list(response.get_json()["error"]["fields"]) == [place]
    assert len(service.rows("notices")) == 1
    assert member.get(DRAFT).get_json() == saved


def test_who_saves_on_top_of_anothers_work_is_given_both(service: Service) -> None:
    mine, theirs = sign_in(service, "owner"), sign_in(service, "developer")
    seen = mine.get(DRAFT).get_json()["revision"]
    saved = save(theirs, {"theirs": 1})
    response = mine.put(DRAFT, json={"revision": seen, "document": {"mine": 1}})
    assert response.status_code == 409
    answer = response.get_json()
    assert answer["error"]["code"] == "stale"
    assert answer["current"] == saved
    assert answer["sent"] == {"revision": seen, "document": {"mine": 1}}
    response = mine.post(PUBLISH, json={"revision": seen, "material": False})
    assert response.status_code == 409


def test_a_draft_is_thrown_away(service: Service) -> None:
    member = sign_in(service, "owner")
    saved = save(member, {"a": 1})
    left = member.delete(f"{DRAFT}?revision={saved['revision']}").get_json()
    assert left["source"] == "published"
    assert left == member.get(DRAFT).get_json()


def test_a_preview_is_in_the_language_and_for_the_visitor_asked_for(service: Service) -> None:
    member = sign_in(service, "analyst")
    document = make_notice(texts={"sw": {"title": "Vidakuzi"}}, dpo={})
    query = "?lang=sw&region=US-CA&gpc=true"
    shown = member.post(f"{BASE}/notice/preview{query}", json={"document": document}).get_json()
    assert (shown["language"], shown["texts"]["title"]) == ("sw", "Vidakuzi")
    assert (shown["regime"], shown["gpc"]["detected"]) == ("opt_out", True)
    assert shown["dpo"] == {"name": "…", "email": "…", "address": "…"}
    then = member.get(f"{BASE}/notices/1/preview?regime=notice").get_json()
    assert (then["language"], then["regime"], then["notice_version"]) == ("en", "notice", 1)
    assert len(service.rows("notices")) == 1
    assert service.rows("notice_drafts")[0]["document"] is None


@pytest.mark.parametrize("version", ["0", "2", str(2**31), str(10**30)])
def test_a_version_that_was_never_published_is_not_found(service: Service, version: str) -> None:
    member = sign_in(service, "auditor")
    for path in (f"/notices/{version}", f"/notices/{version}/preview"):
        response = member.get(BASE + path)
        assert response.status_code == 404
        assert response.get_json()["error"]["code"] == "not_found"


def test_a_large_notice_is_taken_and_a_larger_one_is_refused(service: Service) -> None:
    member = sign_in(service, "owner")
    save(member, {"text": "x" * 200_000})
    revision = member.get(DRAFT).get_json()["revision"]
    for size, status in ((270_000, 422), (1_100_000, 413)):
        sent = {"revision": revision, "document": {"text": "x" * size}}
        assert member.put(DRAFT, json=sent).status_code == status
