"""How a view gets at the services that ``app.py`` built, by their type."""

from __future__ import annotations

from typing import TypeVar, cast

from flask import Flask, current_app

Service = TypeVar("Service")


def provide(app: Flask, *services: object) -> None:
    """Keep services on the application, one of each type."""
    for service in services:
        app.extensions[_name(type(service))] = service


def use(kind: type[Service]) -> Service:
    """Return the current application's service of this type."""
    return cast("Service", current_app.extensions[_name(kind)])


def _name(kind: type[object]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
