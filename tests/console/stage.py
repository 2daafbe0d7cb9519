"""A small app that shows the console's parts and nothing else, to look at them in a browser."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Blueprint, Flask, Response, render_template, request

from consent_service.console import shell
from consent_service.console.i18n import remember_language

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CONSOLE = Path(shell.__file__).parent
TENANTS = [
    SimpleNamespace(slug="momo-pulse", name="Momo Pulse"),
    SimpleNamespace(slug="duka", name="Duka la Mama Asha & Wanawe, Mwanza"),
]
ROOMS = ("home", "sites", "reports", "records", "keys", "users", "audit")
BEFORE = {
    "name": "Shop",
    "origins": ["https://shop.example.com", "https://old.example.com"],
    "texts": {"sw": {"title": "Vidakuzi"}},
    "days": 180,
}
AFTER = {
    "name": "Shop <b>and café</b>",
    "origins": ["https://shop.example.com"],
    "texts": {"sw": {"title": "Machaguo yako ya vidakuzi"}},
    "days": 180,
    "cookie_domain": None,
}


def make_app(language_of_user: Any = lambda: None) -> Flask:  # noqa: ANN401
    """Build the app: every page of the shell at its own address, with the console's policy."""
    app = Flask(__name__, static_folder=None)
    shell.init_shell(app, language_of_user)
    app.register_blueprint(_entrance())
    app.register_blueprint(_elsewhere("workspace", *ROOMS, address="/console/<tenant>"))
    app.register_blueprint(_elsewhere("own", "security", "language", "sign_out"))
    app.register_blueprint(_ops())
    # What browsers ask for where a page names no icon, as what forms are answered with does not.
    app.add_url_rule("/favicon.ico", "favicon", lambda: "")
    return app


def _entrance() -> Blueprint:
    console = Blueprint(
        "entrance",
        __name__,
        url_prefix="/console",
        template_folder=str(CONSOLE / "templates"),
        static_folder=str(CONSOLE / "static"),
    )
    console.context_processor(_context)
    console.after_request(_finish)
    console.add_url_rule("/gallery", "gallery", _gallery)
    console.add_url_rule("/form", "form", _form, methods=["GET", "POST"])
    console.add_url_rule("/confirm", "confirm", lambda: _show("confirm.html"))
    console.add_url_rule("/sign-in", "sign_in", lambda: _show("sign_in.html"))
    console.add_url_rule("/error/<int:status>", "error", _error)
    return console


def _elsewhere(name: str, *places: str, address: str = "/console") -> Blueprint:
    """Stand in for pages that the frame leads to."""
    blueprint = Blueprint(name, __name__, url_prefix=address)
    for place in places:
        blueprint.add_url_rule(f"/{place}", place, _posted, methods=["GET", "POST"])
    return blueprint


def _ops() -> Blueprint:
    ops = Blueprint("ops", __name__, template_folder="templates")
    ops.add_url_rule("/docs", "docs", lambda: "")
    return ops


def _context() -> dict[str, Any]:
    signed_out = request.args.get("signed_out") or request.endpoint == "entrance.sign_in"
    return {
        "actor": None if signed_out else SimpleNamespace(name="Neema Mushi"),
        "tenant": TENANTS[0],
        "tenants": TENANTS if not request.args.get("alone") else TENANTS[:1],
        "may": lambda permission: permission != request.args.get("without"),
        "csrf_token": "token-of-this-session",
        "flashes": [("good", "The site was saved.")] if request.args.get("saved") else [],
    }


def _finish(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    return remember_language(response)


def _posted(**_: str) -> dict[str, str]:
    return dict(request.form)


def _show(template: str, **values: Any) -> str:  # noqa: ANN401
    return render_template(template, **values)


def _gallery() -> str:
    return _show("gallery.html", before=BEFORE, after=AFTER, moment="2026-11-24T19:33:00.000Z")


def _form() -> str | dict[str, str]:
    if request.method == "POST":
        return dict(request.form)
    errors = {
        "name": ["Missing data for required field."],
        "origins": {1: ["Not an origin: give scheme and host."]},
        "scopes": ["Shorter than minimum length 1."],
        "_schema": ["The two dates are the wrong way round."],
    }
    return _show("form.html", errors=errors if request.args.get("wrong") else {})


def _error(status: int) -> str:
    values: dict[str, Any] = {"status": status, "back_href": "/console/gallery"}
    if status == 403:
        values["permission"] = "users:write"
    if status == 404:
        values["message"] = "There is nothing at this address."
    if status == 409:
        values |= {"theirs": BEFORE, "mine": AFTER}
    return _show("console/error.html", **values)


def main() -> None:
    """Serve it: ``python -m tests.console.stage PORT``."""
    import sys  # noqa: PLC0415

    make_app().run(port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
