"""Health for load balancers, and the API's own documentation."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, render_template

from consent_service.db import Database, newest_revision
from consent_service.errors import Unavailable
from consent_service.web import Api
from consent_service.wiring import use

ops = Blueprint(
    "ops",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/docs/assets",
)


@ops.get("/healthz")
def healthz() -> Response:
    """Say that the process is alive."""
    return jsonify(status="ok")


@ops.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say whether the process can do its work: the database answers, with this version's tables."""
    try:
        revision = use(Database).revision()
    except Unavailable:
        return jsonify(status="unavailable", database="cannot be reached"), 503
    if revision != newest_revision():
        return jsonify(status="unavailable", database="needs: consent-service db upgrade"), 503
    return jsonify(status="ok", database="ok"), 200


@ops.get("/openapi.json")
def openapi() -> Response:
    """Give the OpenAPI 3.1 document."""
    return jsonify(use(Api).description())


@ops.get("/docs")
def docs() -> str:
    """Show the OpenAPI document to people."""
    return render_template("ops/docs.html")
