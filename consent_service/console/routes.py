"""The console's blueprints, with all their pages."""

from __future__ import annotations

from consent_service.console import invitations, provider, security, sign_in, users
from consent_service.console.blueprints import entrance, own, workspace

__all__ = [
    "entrance",
    "invitations",
    "own",
    "provider",
    "security",
    "sign_in",
    "users",
    "workspace",
]
