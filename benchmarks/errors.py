"""What stops a benchmark: said in one line, without a traceback."""

from __future__ import annotations


class CannotMeasureError(Exception):
    """Something is missing, or answers wrongly, so that a figure would mean nothing."""
