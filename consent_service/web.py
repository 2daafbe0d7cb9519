"""HTTP as this service speaks it: strict JSON in, one error shape out, neutral headers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from threading import Lock
from typing import Any, ClassVar, NoReturn, TypeVar, cast

import flask_smorest
from flask import Flask, Request, request
from marshmallow import Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException

from consent_service.config import Settings
from consent_service.errors import (
    BadRequest,
    BodyTooLarge,
    MalformedJson,
    NotFound,
    ServiceError,
    TooManyRequests,
    UnsupportedMediaType,
    ValidationFailed,
)
from consent_service.wiring import use

View = TypeVar("View", bound=Callable[..., Any])

#: What calls of members of a tenant may be answered with, besides what any call may be.
TO_MEMBERS = {
    401: "Nobody knows who calls: no session, and no API key in use.",
    403: "Known, but not allowed: the role or key lacks a permission, or it must be proved anew.",
    404: "There is no such tenant or none of yours, or it has nothing of this name.",
}
#: What calls about one's own account may be answered with, besides what any call may be.
TO_USERS = {
    401: "Nobody is signed in.",
    403: "The call is from none of the session's pages, or it must be proved anew who calls.",
}
#: What any call may be answered with.
_OF_ANY_CALL = {
    400: "It cannot be read.",
    429: "Too many requests; Retry-After says for how long.",
    503: "It cannot be done now; Retry-After says when to try again.",
}
#: What a call with a body may be answered with.
_OF_BODIES = {
    413: "The body is larger than this call accepts.",
    415: "The body is not announced as JSON.",
}

#: Larger than any valid body of a visitor's call.
MAX_BODY_BYTES = 16 * 1024


def read_json(data: bytes) -> Any:  # noqa: ANN401
    """Read one JSON value.

    :raises MalformedJson: when it is not UTF-8, not JSON, or has a key twice, a NaN or half a
        character (RFC 7493)
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
        if "\\u" in text:
            _check_escapes(value)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"The body is not JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except ValueError as error:
        # All that is left: Python refuses numbers of thousands of digits.
        raise MalformedJson("The body has a number that is too long.") from error
    except RecursionError as error:
        raise MalformedJson("The body is nested too deeply.") from error
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise MalformedJson(
                f"The key {key[:64]!r} stands twice in one object.",
                fields={key[:64]: ["Give it once."]},
            )
        seen[key] = value
    return seen


def _check_escapes(value: Any) -> None:  # noqa: ANN401
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise MalformedJson("An escape names half a character (a lone surrogate).") from error


def _no_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON.")


class StrictParser(FlaskParser):
    """Reads what views declare with ``@blueprint.arguments``."""

    #: What bodies may be announced as.
    MEDIA_TYPES: ClassVar = {"application/json"}

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401, ARG002
        """Read the body as JSON, and only if it is announced as JSON."""
        if req.mimetype not in self.MEDIA_TYPES:
            raise UnsupportedMediaType
        return read_json(req.get_data())

    def handle_error(self, error: ValidationError, *_: object, **__: object) -> NoReturn:
        """Answer in our own shape."""
        messages = error.messages_dict
        # webargs puts the place (json, query, headers) around the fields.
        raise ValidationFailed(fields=next(iter(messages.values()))) from error


class BeaconParser(StrictParser):
    """Reads JSON that is announced as plain text too.

    A browser sends that to another host without asking it first, so no call may be read in this
    way that does anything for a visitor.
    """

    MEDIA_TYPES: ClassVar = StrictParser.MEDIA_TYPES | {"text/plain"}


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose calls are in the OpenAPI document.

    The decorators are the library's, which has no types: these keep a view's own.
    """

    ARGUMENTS_PARSER = StrictParser()

    def __init__(
        self,
        *names: str,
        answers: Mapping[int, str] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Make it; ``answers`` are the errors that any of its calls may be answered with."""
        super().__init__(*names, **options)
        self._answers = {**_OF_ANY_CALL, **(answers or {})}

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[[View], View]:  # noqa: ANN401
        """Check and pass what a call sends."""
        # One schema object for all calls: making one costs more than using it.
        check = super().arguments(schema(), **options)
        described = _OF_BODIES if options.get("location", "json") == "json" else {}

        def decorate(view: View) -> View:
            return cast("View", check(self._describe(described, view)))

        return decorate

    def response(
        self,
        status: int,
        schema: type[Schema] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Callable[[View], View]:
        """Describe the answer to a call, and put it in this form."""
        answer = super().response(status, schema, **options)

        def decorate(view: View) -> View:
            return cast("View", answer(self._describe(self._answers, view)))

        return decorate

    def alt_response(
        self, status: int, *, schema: type[Schema] | None = None, description: str
    ) -> Callable[[View], View]:
        """Describe another answer, and do no more: the library's own adds a call to each call."""

        def decorate(view: View) -> View:
            self._responses(view).setdefault(status, []).append(_answer(schema, description))
            return view

        return decorate

    def _describe(self, answers: Mapping[int, str], view: View) -> View:
        """Describe errors where the view does not say more of them itself."""
        described = self._responses(view)
        for status, text in answers.items():
            described.setdefault(status, [_answer(ErrorOut, text)])
        return view

    @staticmethod
    def _responses(view: View) -> dict[int, list[dict[str, Any]]]:
        """Return what the library has kept with a view of its answers, by status."""
        kept = view.__dict__.setdefault("_apidoc", {})
        responses: dict[int, list[dict[str, Any]]] = kept.setdefault("response", {}).setdefault(
            "responses", {}
        )
        return responses


def _answer(schema: type[Schema] | None, description: str) -> dict[str, Any]:
    """Write an answer as the library does."""
    shape = {"schema": schema()} if schema else {}
    return {**shape, "description": description, "content_type": None}


class _ErrorDetail(Schema):
    code = fields.String(required=True, metadata={"description": "A stable word to switch on."})
    message = fields.String(required=True)
    fields_ = fields.Dict(data_key="fields", metadata={"description": "What is wrong, by field."})


class ErrorOut(Schema):
    """The one shape of all errors."""

    error = fields.Nested(_ErrorDetail, required=True)


class StaleOut(ErrorOut):
    """What was edited has been changed by somebody else; both versions, so that nothing is lost."""

    current = fields.Dict(required=True, metadata={"description": "As it is now."})
    sent = fields.Dict(required=True, metadata={"description": "As the call would have had it."})


def public_url() -> str:
    """Return the address under which visitors reach the service: the settings', else the call's."""
    return use(Settings).public_url or request.host_url.rstrip("/")


class Api(flask_smorest.Api):  # type: ignore[misc]
    """The OpenAPI document, and nothing of the library's own error rendering."""

    ERROR_SCHEMA = ErrorOut

    def __init__(self, app: Flask) -> None:
        """Belong to an application."""
        self._undescribed: list[Blueprint] = []
        self._lock = Lock()
        super().__init__(app)

    def register_blueprint(self, blueprint: Blueprint) -> None:
        """Register a blueprint; it is described when somebody first asks.

        Describing all calls takes longer than everything else that a process does at start.
        """
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blueprint.name] = self
        self._app.register_blueprint(blueprint)
        self._undescribed.append(blueprint)

    def description(self) -> dict[str, Any]:
        """Return the OpenAPI document of all that is registered."""
        with self._lock:
            for blueprint in self._undescribed:
                name = blueprint.name
                blueprint.register_views_in_doc(
                    self, self._app, self.spec, name=name, parameters=None
                )
                self.spec.tag({"name": name, "description": blueprint.description})
            self._undescribed.clear()
            document: dict[str, Any] = self.spec.to_dict()
        return document

    def _register_error_handlers(self) -> None:
        """Leave errors to :func:`render_error`."""


_OURS: dict[int, type[ServiceError]] = {
    kind.status: kind for kind in (NotFound, BodyTooLarge, TooManyRequests, ServiceError)
}


def as_service_error(error: Exception) -> ServiceError:
    """Turn any error into one with our shape; what is unknown tells nothing."""
    if isinstance(error, ServiceError):
        return error
    if not isinstance(error, HTTPException) or error.code is None:
        return ServiceError()
    if error.code in _OURS:
        return _OURS[error.code]()
    # The few others that Werkzeug raises of its own: 400, 405, 406, ...
    found = BadRequest(error.description)
    found.status = HTTPStatus(error.code)
    found.code = error.name.lower().replace(" ", "_")
    found.headers.update(
        (name, value) for name, value in error.get_headers() if name.lower() == "allow"
    )
    return found
