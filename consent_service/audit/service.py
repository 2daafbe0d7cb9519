"""Export a tenant's audit log in one of its forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal
from uuid import UUID

from consent_service import formats
from consent_service.access.audit_log import Event, Filters, read_all
from consent_service.db import Database
from consent_service.formats import Column
from consent_service.signing import Keyring

Form = Literal["ndjson", "csv"]

FORMS: tuple[Form, ...] = ("ndjson", "csv")

#: The members of an event, in the order of the table's columns.
COLUMNS = (
    Column("id"),
    Column("at"),
    Column("actor_kind"),
    Column("actor_id"),
    Column("actor_name"),
    Column("action"),
    Column("object_kind"),
    Column("object_id"),
    Column("object_name"),
    Column("before", "json"),
    Column("after", "json"),
    Column("network"),
    Column("client"),
)


def export(  # noqa: PLR0913 - what is exported, and how
    database: Database,
    keys: Keyring,
    tenant_id: UUID,
    filters: Filters,
    form: Form,
    watch: Callable[[Iterable[Event]], Iterable[Event]] = iter,
) -> Iterator[bytes]:
    """Return the file in pieces, newest event first; the first event has been read.

    :param watch: what the events go through on their way: to count them, say
    :raises Unavailable: when the database cannot be read; later on, while pieces are read
    """
    events = watch(read_all(database, keys, tenant_id, filters))
    return formats.written(form, COLUMNS, (event.shown() for event in events))
