"""The console's pages, by subject; importing this puts them on their blueprints."""

from __future__ import annotations

from consent_service.console.blueprints import entrance, own, workspace

__all__ = ["entrance", "own", "workspace"]
