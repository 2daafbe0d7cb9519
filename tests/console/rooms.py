"""Stand-ins for pages of the console that the frame leads to, where they are not there yet."""

from __future__ import annotations

from tests.builders import Service

#: Endpoint → where it is, below the tenant's pages.
ROOMS = {
    "notice": "/sites/<site_key>/notice",
    "notice_version": "/sites/<site_key>/notices/<int:version>",
}


def with_all_rooms(service: Service) -> Service:
    """Have every page that the frame leads to be there."""
    app = service.built.flask
    for room, place in ROOMS.items():
        if f"workspace.{room}" not in app.view_functions:
            app.add_url_rule(
                f"/console/t/<tenant>{place}", f"workspace.{room}", lambda **place: place
            )
    return service
