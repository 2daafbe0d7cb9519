"""Notices that cannot be published: each says what is wrong, and where."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.errors import ValidationFailed
from consent_service.notices.content import MAX_SHOWN_BYTES, resolve
from tests.builders import make_notice, make_purpose


def changed(path: str, value: Any = None) -> dict[str, Any]:  # noqa: ANN401
    """Return a notice with one thing changed, or taken out if no value is given."""
    notice = copy.deepcopy(make_notice())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = notice
    for part in parents:
        at = at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return notice


def problems(document: object) -> Any:  # noqa: ANN401
    """Return what is wrong with a notice."""
    with pytest.raises(ValidationFailed) as caught:
        resolve(document)
    return caught.value.fields


COOKIE = "purposes.2.services.0.cookies.0"


@pytest.mark.parametrize(
    "path",
    [
        "controller",
        "controller.name",
        "dpo",
        "dpo.name",
        "dpo.email",
        "dpo.address",
        "policy",
        "policy.version",
        "policy.url",
        "policy.material",
        "languages",
        "purposes",
        "purposes.0.key",
        "purposes.0.category",
        "purposes.0.texts",
        "purposes.0.texts.en.name",
        "purposes.0.texts.sw.description",
        "purposes.2.services.0.key",
        "purposes.2.services.0.name",
        "purposes.2.services.0.provider",
        f"{COOKIE}.name",
        f"{COOKIE}.party",
        f"{COOKIE}.duration",
        f"{COOKIE}.description",
    ],
)
def test_what_is_missing_is_named_by_its_path(path: str) -> None:
    found = problems(changed(path))
    for part in path.split("."):
        found = found[int(part) if part.isdigit() else part]
    assert found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dpo.email", "nobody"),
        ("dpo.email", f"{'x' * 300}@example.com"),
        ("dpo.name", ""),
        ("controller.name", "x" * 201),
        ("policy.url", "example.com/privacy"),
        ("policy.url", "javascript:alert(1)"),
        ("policy.url", "https://["),
        ("policy.url", f"https://example.com/{'x' * 2000}"),
        ("policy.material", "perhaps"),
        ("languages", []),
        ("languages", ["English"]),
        ("languages", ["../../demo/notice"]),
        ("purposes", []),
        ("purposes.0.key", "Session"),
        ("purposes.0.key", "1st"),
        ("purposes.0.key", "session\n"),
        ("purposes.0.key", "a~b"),
        ("purposes.0.key", "x" * 41),
        ("purposes.0.category", "necessary"),
        ("purposes.2.services.0.key", "page views"),
        ("purposes.2.services.0.loader", "http://app.example.com/a.js"),
        ("purposes.2.services.0.loader", "//evil.example/a.js"),
        ("purposes.2.services.0.loader", "/\\evil.example/a.js"),
        ("purposes.2.services.0.loader", "/\t/evil.example/a.js"),
        ("purposes.2.services.0.loader", "a.js"),
        ("purposes.2.services.0.loader", "javascript:alert(1)"),
        ("purposes.2.services.0.loader", "https://a.example/\r\nSet-Cookie: a=b"),
        ("purposes.2.services.0.loader", "https://a.example/ъ.js"),
        ("purposes.2.services.0.loader", "https://["),
        ("purposes.2.services.0.loader", f"/{'x' * 2000}"),
        ("purposes.2.services.0.hosts", [""]),
        ("purposes.2.services.0.hosts", ["example.com"] * 201),
        (f"{COOKIE}.name", "a b"),
        (f"{COOKIE}.name", "a;b"),
        (f"{COOKIE}.name", "a*b"),
        (f"{COOKIE}.name", "a\n"),
        (f"{COOKIE}.party", "second"),
        ("texts", {"en": {"titel": "Typing error"}}),
        ("texts", {"de": {"title": "Nicht gezeigt"}}),
        ("texts", {"en": {"title": ""}}),
        ("theme", {"accent": "green"}),
        ("theme", {"accent": "#0b6e4f\n"}),
        ("theme", {"accent": "#0b6e4f; display: none"}),
        ("theme", {"position": "left"}),
        ("theme", {"reject_colour": "#ffffff"}),
        ("subtitle", "not a member"),
    ],
)
def test_what_is_not_right_is_refused(path: str, value: object) -> None:
    found = problems(changed(path, value))
    first = path.split(".", maxsplit=1)[0]
    assert set(found) == {first}


def large(cookies: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a notice whose 50 purposes have this many cookies each, and with long texts."""
    said = {"en": "x" * 100, "sw": "y" * 100}
    cookie = {"name": "x" * 120, "party": "first", "duration": said, "description": said}
    purposes = [
        make_purpose(
            f"purpose_{number}",
            "analytics",
            services=[
                {
                    "key": f"service_{number}",
                    "name": "x" * 100,
                    "provider": "x" * 100,
                    "cookies": [cookie] * cookies,
                }
            ],
        )
        for number in range(50)
    ]
    return make_notice(purposes=purposes, **changes)


def test_a_large_notice_can_be_published() -> None:
    assert len(resolve(large(10))["purposes"]) == 50


@pytest.mark.parametrize(
    "document",
    [
        large(100),
        # Each {purposes} becomes the names of all of them.
        large(
            1, texts={"sw": {"body": "{purposes}" * 200, "preferences_body": "{purposes}" * 200}}
        ),
    ],
    ids=["cookies", "names"],
)
def test_a_notice_that_is_too_large_to_send_is_refused(document: dict[str, Any]) -> None:
    (problem,) = problems(document)["purposes"]
    assert f"{MAX_SHOWN_BYTES:,} are allowed" in problem


@pytest.mark.parametrize("document", [None, [], "notice", 7, {}])
def test_a_notice_is_an_object_with_all_its_members(document: object) -> None:
    assert problems(document)


@pytest.mark.parametrize("language", ["en", "sw"])
def test_every_text_is_there_in_every_language(language: str) -> None:
    for path in ("purposes.1.texts", f"{COOKIE}.duration", f"{COOKIE}.description"):
        found = problems(changed(f"{path}.{language}"))
        assert language in str(found["purposes"])


@pytest.mark.parametrize("what", ["purpose", "service"])
def test_keys_stand_once(what: str) -> None:
    purposes = make_notice()["purposes"]
    if what == "purpose":
        purposes.append(make_purpose("analytics", "marketing"))
    else:
        services = purposes[2]["services"]
        purposes.append(make_purpose("ads", "marketing", services=services))
    assert what in str(problems(make_notice(purposes=purposes)))


@pytest.mark.parametrize(
    "loader", ["https://cdn.example/a.js?v=1&b=%20", "/demo/analytics.js", "/a"]
)
def test_a_loader_is_a_web_address_or_a_path(loader: str) -> None:
    resolved = resolve(changed("purposes.2.services.0.loader", loader))
    assert resolved["purposes"][2]["services"][0]["loader"] == loader


@given(st.text(max_size=20))
def test_a_loader_never_leads_a_browser_elsewhere(text: str) -> None:
    try:
        resolve(changed("purposes.2.services.0.loader", f"/{text}"))
    except ValidationFailed:
        return
    # What browsers take out before they read an address, or read as a slash (WHATWG URL).
    seen = "".join(c for c in f"/{text}" if c not in "\t\r\n").replace("\\", "/")
    assert not seen.startswith("//")
    assert seen.isascii()


@pytest.mark.parametrize("button", ["accept_all", "reject_all", "choose", "save", "withdraw"])
def test_what_stands_on_a_button_leaves_room_for_the_other_buttons(button: str) -> None:
    assert resolve(make_notice(texts={"en": {button: "W" * 40}}))
    found = problems(make_notice(texts={"en": {button: "W" * 41}}))
    assert found == {"texts": {"en": {button: ["Write at most 40 characters on a button."]}}}


@pytest.mark.parametrize("text", [" ", "\u200b\u2060", "\u3164", "\u2800", "\u00ad\n"])
def test_a_text_that_nobody_can_see_is_not_published(text: str) -> None:
    assert "Write something that can be seen." in str(
        problems(make_notice(texts={"en": {"reject_all": text}}))
    )
