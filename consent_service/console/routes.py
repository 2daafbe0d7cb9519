"""The console's blueprints, with all their pages."""

from __future__ import annotations

from consent_service.console import security, sign_in
from consent_service.console.blueprints import entrance, own, workspace

__all__ = ["entrance", "own", "security", "sign_in", "workspace"]
