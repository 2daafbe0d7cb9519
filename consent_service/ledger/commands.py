"""The operator's commands about ledgers."""

from __future__ import annotations

import click


@click.group()
def ledger() -> None:
    """Look after the ledgers: the log of each tenant that proves its records."""
