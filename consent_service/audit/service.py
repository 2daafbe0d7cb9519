"""Export a tenant's audit log in one of its forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Literal
from uuid import UUID

from consent_service.access.audit_log import Filters, read_all
from consent_service.audit import formats
from consent_service.db import Database
from consent_service.signing import Keyring

Form = Literal["ndjson", "csv"]

_WRITERS: dict[Form, Callable[[Iterable[Mapping[str, Any]]], Iterator[bytes]]] = {
    "ndjson": formats.ndjson,
    "csv": formats.table,
}

FORMS: tuple[Form, ...] = tuple(_WRITERS)


def export(
    database: Database,
    keys: Keyring,
    tenant_id: UUID,
    filters: Filters,
    form: Form,
) -> Iterator[bytes]:
    """Return the lines of the file, newest event first; the first one has been read.

    :raises Unavailable: when the database cannot be read; later on, while lines are read
    """
    events = read_all(database, keys, tenant_id, filters)
    # A call that cannot be answered must fail before it has begun to answer.
    first = list(islice(events, 1))
    return _WRITERS[form](event.shown() for event in chain(first, events))
