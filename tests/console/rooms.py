"""Stand-ins for pages of the console that the frame leads to, where they are not there yet."""

from __future__ import annotations

from tests.builders import Service

ROOMS = ("sites", "records", "keys", "users", "audit")


def with_all_rooms(service: Service) -> Service:
    """Have every page that the frame leads to be there."""
    app = service.built.flask
    for room in ROOMS:
        if f"workspace.{room}" not in app.view_functions:
            app.add_url_rule(
                f"/console/t/<tenant>/{room}", f"workspace.{room}", lambda tenant: tenant
            )
    return service
