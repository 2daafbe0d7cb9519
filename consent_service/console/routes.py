"""The console's blueprints, with all their pages."""

from __future__ import annotations

from consent_service.console import (
    audit,
    invitations,
    keys,
    notices,
    provider,
    quarterly,
    records,
    reports,
    schedules,
    security,
    sign_in,
    sites,
    users,
)
from consent_service.console.blueprints import entrance, own, workspace

__all__ = [
    "audit",
    "entrance",
    "invitations",
    "keys",
    "notices",
    "own",
    "provider",
    "quarterly",
    "records",
    "reports",
    "schedules",
    "security",
    "sign_in",
    "sites",
    "users",
    "workspace",
]
