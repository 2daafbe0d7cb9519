"""What a notice must look like before it may be published."""

from __future__ import annotations

import re
from typing import Any
from unicodedata import category
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, pre_load, validate, validates_schema

CATEGORIES = ("essential", "preferences", "analytics", "marketing")

_KEY = validate.Regexp(
    r"[a-z][a-z0-9_]{0,39}\Z",
    error="A key is a lower-case letter, then letters, digits or underscores; at most 40.",
)
_LANGUAGE = validate.Regexp(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", error="Not a language tag.")
_COOKIE = validate.Regexp(r"[A-Za-z0-9_.~!#$%&'^`|+-]{1,128}\*?\Z", error="Not a cookie name.")
_COLOUR = validate.Regexp(r"#[0-9a-f]{6}\Z", error="Write the colour like #0b6e4f.")

#: Letters and symbols by name, nothing to the eye.
_INVISIBLE = "\u115f\u1160\u2800\u3164\uffa0"

#: Texts on buttons, and how many characters they may have: on the smallest screen too, all buttons
#: are in view together with what they answer.
_BUTTONS = {
    "accept_all", "reject_all", "choose", "save", "withdraw", "reopen", "embed_once", "embed_always"
}  # fmt: skip
_LONGEST_BUTTON = 40

#: Characters; servers and proxies take no longer ones for granted.
_LONGEST_ADDRESS = 2000


def _says_something(text: str) -> None:
    # Spaces and invisible characters would leave a button without words.
    if not any(category(each)[0] in "LNPS" and each not in _INVISIBLE for each in text):
        raise ValidationError("Write something that can be seen.")


def _text(longest: int) -> fields.String:
    return fields.String(required=True, validate=[validate.Length(1, longest), _says_something])


def _names_host(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _web_address(text: str) -> None:
    if len(text) > _LONGEST_ADDRESS:
        raise ValidationError(f"Write at most {_LONGEST_ADDRESS} characters.")
    if not _names_host(text, "https", "http"):
        raise ValidationError("Write the full address, beginning with https://.")


def _loader(text: str) -> None:
    if len(text) > _LONGEST_ADDRESS:
        raise ValidationError(f"Write at most {_LONGEST_ADDRESS} characters.")
    # It is sent in a header; and browsers skip tabs, so that /<tab>/host would lead to that host.
    if not re.fullmatch("[!-~]+", text):
        raise ValidationError("Write spaces and other than ASCII characters percent-encoded.")
    is_path = text.startswith("/") and not text.startswith(("//", "/\\"))
    if not (is_path or _names_host(text, "https")):
        raise ValidationError("A loader is an https:// address, or a path beginning with /.")


class NoticePart(Schema):
    """Base: fields that are not known are errors, so that a typing error is not silence."""


class ControllerSchema(NoticePart):
    """Who is responsible."""

    name = _text(200)


class DpoSchema(NoticePart):
    """The data-protection officer (Tanzanian PDPA s.27(3)): the law's minimum on a notice."""

    name = _text(200)
    email = fields.Email(required=True, validate=validate.Length(max=254))
    address = _text(400)


class PolicySchema(NoticePart):
    """The site's privacy policy at a date."""

    version = _text(64)
    url = fields.String(required=True, validate=_web_address)
    material = fields.Boolean(required=True)


class CookieSchema(NoticePart):
    """A cookie that a service sets; texts by language."""

    name = fields.String(required=True, validate=_COOKIE)
    party = fields.String(required=True, validate=validate.OneOf(["first", "third"]))
    duration = fields.Dict(fields.String(), _text(100), required=True)
    description = fields.Dict(fields.String(), _text(500), required=True)


class ServiceSchema(NoticePart):
    """A vendor or script under a purpose."""

    key = fields.String(required=True, validate=_KEY)
    name = _text(200)
    provider = _text(200)
    loader = fields.String(validate=_loader)
    hosts = fields.List(
        fields.String(validate=validate.Length(1, 253)),
        load_default=list,
        validate=validate.Length(max=200),
    )
    cookies = fields.List(fields.Nested(CookieSchema), load_default=list)


class PurposeTextsSchema(NoticePart):
    """A purpose in one language."""

    name = _text(100)
    description = _text(1000)


class PurposeSchema(NoticePart):
    """Why a cookie or request happens."""

    key = fields.String(required=True, validate=_KEY)
    category = fields.String(required=True, validate=validate.OneOf(CATEGORIES))
    texts = fields.Dict(fields.String(), fields.Nested(PurposeTextsSchema), required=True)
    services = fields.List(fields.Nested(ServiceSchema), load_default=list)


class ThemeSchema(NoticePart):
    """How the banner may look; nothing here can make one choice stand out from another."""

    accent = fields.String(validate=_COLOUR)
    position = fields.String(validate=validate.OneOf(["bottom", "top", "centre"]))


class NoticeSchema(NoticePart):
    """A whole notice as its author writes it."""

    controller = fields.Nested(ControllerSchema, required=True)
    dpo = fields.Nested(DpoSchema, required=True)
    policy = fields.Nested(PolicySchema, required=True)
    languages = fields.List(
        fields.String(validate=_LANGUAGE), required=True, validate=validate.Length(1)
    )
    purposes = fields.List(
        fields.Nested(PurposeSchema), required=True, validate=validate.Length(1, 50)
    )
    texts = fields.Dict(
        fields.String(), fields.Dict(fields.String(), _text(2000)), load_default=dict
    )
    theme = fields.Nested(ThemeSchema, load_default=dict)

    @pre_load
    def _must_be_an_object(self, data: Any, **_: Any) -> Any:  # noqa: ANN401
        if not isinstance(data, dict):
            raise ValidationError("A notice is one JSON object.")
        return data

    @validates_schema
    def _buttons_stay_on_the_screen(self, notice: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        long = [
            f"{key} in {language}"
            for language, texts in notice["texts"].items()
            for key in _BUTTONS & set(texts)
            if len(texts[key]) > _LONGEST_BUTTON
        ]
        if long:
            problem = f"Write at most {_LONGEST_BUTTON} characters: {', '.join(sorted(long))}."
            raise ValidationError(problem, "texts")

    @validates_schema
    def _keys_are_unique(self, notice: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        purposes = [purpose["key"] for purpose in notice["purposes"]]
        services = [service["key"] for p in notice["purposes"] for service in p["services"]]
        for what, keys in (("purpose", purposes), ("service", services)):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            if twice:
                raise ValidationError(f"Each {what} needs a key of its own: {', '.join(twice)}.")

    @validates_schema
    def _every_language_is_complete(self, notice: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        wanted = set(notice["languages"])
        missing = [
            f"{where} has no text in {language}"
            for where, texts in _texts_of(notice)
            for language in sorted(wanted - set(texts))
        ]
        if missing:
            raise ValidationError(f"{'; '.join(missing)}.", "purposes")


def _texts_of(notice: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for purpose in notice["purposes"]:
        found.append((f"purpose {purpose['key']}", purpose["texts"]))
        for service in purpose["services"]:
            for cookie in service["cookies"]:
                where = f"cookie {cookie['name']}"
                found.append((f"{where} (duration)", cookie["duration"]))
                found.append((f"{where} (description)", cookie["description"]))
    return found


class BannerOut(Schema):
    """The widget's configuration: one notice, in one language, for one region."""

    site = fields.String()
    notice_version = fields.Integer()
    notice_hash = fields.String()
    material_version = fields.Integer()
    policy = fields.Dict()
    regime = fields.String()
    language = fields.String()
    direction = fields.String()
    languages = fields.List(fields.Dict())
    purposes = fields.Dict()
    texts = fields.Dict()
    gpc = fields.Dict()
    remember_days = fields.Integer()
    reask_days = fields.Integer()
    controller = fields.Dict()
    dpo = fields.Dict()
    theme = fields.Dict()
    cookie = fields.String()
