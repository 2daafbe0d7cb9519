"""Hooks that run before each request of a blueprint and decide whether it may go on."""

from __future__ import annotations


def public() -> None:
    """Let everybody in. Named for each open blueprint, so that openness is never an oversight."""
