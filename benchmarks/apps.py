"""What the service is compared with: the least that anybody could serve in its place."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from flask import Flask, Response, jsonify, request
from marshmallow import Schema, ValidationError, fields, validate
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: As long as the gate's own answer.
SMALL_JSON = (
    b'{"allow":true,"decisions":{"analytics":{"allow":true,"reason":"granted"}},"regime":"opt_in",'
    b'"notice_version":1,"gpc":false,"expires_at":"2027-01-01T00:00:00.000Z","max_age":60}'
)

_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(SMALL_JSON)))]


def small_json(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001
    """Answer the same to everything: the upper bound of any WSGI application."""
    start_response("200 OK", _HEADERS)
    return [SMALL_JSON]


class DecisionSchema(Schema):
    """The five fields of a decision."""

    choices = fields.Dict(fields.String(), fields.Boolean(), required=True)
    action = fields.String(required=True, validate=validate.OneOf(["accept_all", "save"]))
    notice_version = fields.Integer(required=True)
    language = fields.String(required=True)
    surface = fields.String(required=True)


#: The table of :func:`one_insert`.
TABLE = """
    CREATE TABLE decisions (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        choices JSONB NOT NULL,
        action TEXT NOT NULL,
        notice_version INTEGER NOT NULL,
        language TEXT NOT NULL,
        surface TEXT NOT NULL
    )
"""

_INSERT = """
    INSERT INTO decisions (choices, action, notice_version, language, surface)
    VALUES (%s, %s, %s, %s, %s) RETURNING id
"""


def one_insert() -> WSGIApplication:
    """Build a Flask application of one route: validate, insert one row durably, answer.

    Each thread keeps a connection and commits as psycopg does by default.
    """
    app = Flask("one_insert")
    schema = DecisionSchema()
    here = threading.local()

    def connection() -> psycopg.Connection:
        if not hasattr(here, "connection"):
            here.connection = psycopg.connect(os.environ["BENCHMARK_DATABASE"])
        found: psycopg.Connection = here.connection
        return found

    @app.post("/decisions")
    def record() -> tuple[Response, int]:
        try:
            decision = schema.load(request.get_json())
        except ValidationError as error:
            return jsonify(error=error.messages), 422
        values = [
            Jsonb(decision["choices"]),
            decision["action"],
            decision["notice_version"],
            decision["language"],
            decision["surface"],
        ]
        row = connection().execute(_INSERT, values).fetchone()
        connection().commit()
        return jsonify(id=row and row[0], record=decision), 201

    @app.get("/")
    def ready() -> str:
        return ""

    return app.wsgi_app


def compressed_files() -> WSGIApplication:
    """Build an application that serves a folder of files which are brotli already.

    What it says of them is what the service says of its script: kept as long, free to be embedded.
    """
    kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
    headers = [
        ("Content-Encoding", "br"),
        ("Cache-Control", "private, max-age=300"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    ]
    found = {
        f"/{path.name}": (path.read_bytes(), f"{kinds[path.suffix]}; charset=utf-8")
        for path in Path(os.environ["BENCHMARK_FILES"]).iterdir()
        if path.suffix in kinds
    }

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/":
            start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "0")])
            return []
        if path not in found:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        body, kind = found[path]
        sized = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response("200 OK", [*headers, *sized])
        return [body]

    return answer
