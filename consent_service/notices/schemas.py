"""What a notice must look like before it may be published, and what the management API speaks."""

from __future__ import annotations

import re
from typing import Any
from unicodedata import category
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, pre_load, validate, validates_schema

from consent_service.notices import consistency
from consent_service.notices.difference import Kind
from consent_service.notices.paths import nested
from consent_service.regions.rules import REGIMES, UNKNOWN

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

#: Characters; servers and proxies take no longer ones for granted.
_LONGEST_ADDRESS = 2000


#: Why nobody publishes a notice without it.
_LAW = "The law asks for this on every notice (Tanzanian PDPA s. 27(3))."


def says_something(text: str) -> bool:
    """Say whether a text can be seen: spaces would leave a button without words."""
    return any(category(each)[0] in "LNPS" and each not in _INVISIBLE for each in text)


def _text(longest: int, missing: str | None = None) -> fields.String:
    """Make the field of a text; ``missing`` is said where there is none."""

    def check(text: str) -> None:
        if not says_something(text):
            raise ValidationError(missing or "Write something that can be seen.")

    return fields.String(
        required=True,
        validate=[check, validate.Length(max=longest)],
        error_messages={"required": missing} if missing else {},
    )


class _ByName(fields.Dict):
    """A mapping whose problems stand under its keys, as those of any other part do."""

    def _deserialize(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        try:
            return super()._deserialize(*args, **options)  # type: ignore[no-untyped-call]
        except ValidationError as error:
            if not isinstance(error.messages, dict):
                raise
            # Around them stands whether it was the key or the value.
            plain: dict[str | int, Any] = {
                name: inner.get("value", inner.get("key")) for name, inner in error.messages.items()
            }
            raise ValidationError(plain, valid_data=error.valid_data) from error


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

    name = _text(200, _LAW)
    email = fields.Email(
        required=True,
        validate=validate.Length(max=254),
        error_messages={"required": _LAW, "invalid": f"Not a valid email address. {_LAW}"},
    )
    address = _text(400, _LAW)


class PolicySchema(NoticePart):
    """The site's privacy policy at a date."""

    version = _text(64)
    url = fields.String(required=True, validate=_web_address)
    material = fields.Boolean(required=True)


class CookieSchema(NoticePart):
    """A cookie that a service sets; texts by language."""

    name = fields.String(required=True, validate=_COOKIE)
    party = fields.String(required=True, validate=validate.OneOf(["first", "third"]))
    duration = _ByName(fields.String(), _text(100), required=True)
    description = _ByName(fields.String(), _text(500), required=True)


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
    texts = _ByName(fields.String(), fields.Nested(PurposeTextsSchema), required=True)
    services = fields.List(fields.Nested(ServiceSchema), load_default=list)


class ThemeSchema(NoticePart):
    """How the banner may look; nothing here can make one choice stand out from another."""

    accent = fields.String(validate=_COLOUR)
    position = fields.String(validate=validate.OneOf(["bottom", "top", "centre"]))


class NoticeSchema(NoticePart):
    """A whole notice as its author writes it."""

    controller = fields.Nested(ControllerSchema, required=True)
    dpo = fields.Nested(DpoSchema, required=True, error_messages={"required": _LAW})
    policy = fields.Nested(PolicySchema, required=True)
    languages = fields.List(
        fields.String(validate=_LANGUAGE), required=True, validate=validate.Length(1)
    )
    purposes = fields.List(
        fields.Nested(PurposeSchema), required=True, validate=validate.Length(1, 50)
    )
    texts = _ByName(fields.String(), _ByName(fields.String(), _text(2000)), load_default=dict)
    theme = fields.Nested(ThemeSchema, load_default=dict)

    @pre_load
    def _must_be_an_object(self, data: Any, **_: Any) -> Any:  # noqa: ANN401
        if not isinstance(data, dict):
            raise ValidationError("A notice is one JSON object.")
        return data

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _parts_fit_together(self, _: Any, document: Any, **__: Any) -> None:  # noqa: ANN401
        # Besides what is wrong in a part, so that its author sees all at once.
        found = consistency.problems(document)
        if found:
            raise ValidationError(nested(found))


#: PostgreSQL's integers go no further.
_MOST = 2**31 - 1

_REVISION = fields.Integer(
    required=True,
    strict=True,
    validate=validate.Range(0, _MOST),
    metadata={"description": "The draft's revision, as it was when it was read."},
)


class DocumentIn(Schema):
    """A notice as its author writes it, complete or not (docs/notices.md)."""

    document = fields.Dict(fields.String(), fields.Raw(allow_none=True), required=True)


class DraftIn(DocumentIn):
    """A draft to save."""

    revision = _REVISION


class RevisionQuery(Schema):
    """Which draft is meant."""

    revision = fields.Integer(required=True, validate=validate.Range(0, _MOST))


class DraftOut(Schema):
    """A site's draft, or what one would begin with."""

    document = fields.Dict(metadata={"description": "The notice as its author writes it."})
    revision = fields.Integer(metadata={"description": "To be stated with the next change."})
    source = fields.String(
        validate=validate.OneOf(["draft", "published", "start"]),
        metadata={
            "description": "`draft`: somebody has begun one; `published`: nobody has, it is what "
            "was published last; `start`: nothing was published either, it is a frame to fill in."
        },
    )
    published_version = fields.Integer(allow_none=True)
    changed_at = fields.DateTime(allow_none=True)


class ProblemOut(Schema):
    """What keeps a notice from being published."""

    path = fields.String(metadata={"description": "Where: `purposes[0].texts.sw.name`."})
    message = fields.String()


class ProblemsOut(Schema):
    """All that keeps a notice from being published."""

    problems = fields.List(fields.Nested(ProblemOut))
    complete = fields.Boolean(metadata={"description": "Whether there are none."})


class ChangeOut(Schema):
    """One value that is not the same in both notices."""

    path = fields.String(metadata={"description": "Where: `purposes[analytics].texts.sw.name`."})
    kind = fields.Enum(Kind, by_value=True)
    before = fields.Raw(allow_none=True)
    after = fields.Raw(allow_none=True)


class DifferenceOut(Schema):
    """What differs between a version and a later one, or the draft."""

    against = fields.Integer(
        allow_none=True, metadata={"description": "The earlier version; null if there is none."}
    )
    changes = fields.List(fields.Nested(ChangeOut))


class PreviewQuery(Schema):
    """For which visitor."""

    lang = fields.String(metadata={"description": "One of the notice's; else its first."})
    region = fields.String(
        load_default=UNKNOWN,
        validate=validate.Length(1, 10),
        metadata={"description": "ISO 3166 code, such as TZ or US-CA; else a region unknown."},
    )
    regime = fields.String(
        load_default=None,
        validate=validate.OneOf(REGIMES),
        metadata={"description": "Instead of the region's."},
    )
    gpc = fields.Boolean(
        load_default=False, metadata={"description": "Whether the browser sends the signal."}
    )


class PublishIn(Schema):
    """What is decided when a notice is published."""

    revision = _REVISION
    material = fields.Boolean(
        required=True,
        truthy={True},
        falsy={False},
        metadata={
            "description": "`true`: every visitor is asked again, and choices made so far stop "
            "counting; `false`: they stay. The first version is always material."
        },
    )
    policy_version = fields.String(
        load_default=None,
        validate=validate.Length(1, 64),
        metadata={"description": "Of the privacy policy; the draft's unless given."},
    )


class DoerOut(Schema):
    """Who did it."""

    kind = fields.String(validate=validate.OneOf(["user", "api_key", "operator"]))
    id = fields.UUID(allow_none=True)


class PublishedOut(Schema):
    """A published version, without what it says."""

    version = fields.Integer()
    content_hash = fields.String()
    policy_version = fields.String()
    material = fields.Boolean(metadata={"description": "Whether every visitor was asked again."})
    published_at = fields.DateTime()
    published_by = fields.Nested(DoerOut, allow_none=True)


class VersionsQuery(Schema):
    """Which versions."""

    before = fields.Integer(
        load_default=None,
        validate=validate.Range(1, _MOST),
        metadata={"description": "Only those with a lower number."},
    )
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 100))


class VersionsOut(Schema):
    """Published versions, the newest first."""

    notices = fields.List(fields.Nested(PublishedOut))


class VersionOut(PublishedOut):
    """A published version, with all that visitors were shown."""

    content = fields.Dict()
    difference = fields.Nested(DifferenceOut)


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
