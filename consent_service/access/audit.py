"""The audit log: who changed what, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, insert, select

from consent_service import clock
from consent_service.access.actor import Actor
from consent_service.access.models import AuditEventRow


def write(  # noqa: PLR0913 - who, what, on what, before and after
    connection: Connection,
    tenant_id: UUID,
    by: Actor,
    action: str,
    object_kind: str,
    object_id: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an event to a tenant's audit log, which stands if the caller's transaction does.

    :param action: written ``object.verb`` with the verb in the past: ``site.created``
    :param before: the members that changed, as they were; JSON values, never a secret
    :param after: the same, as they are now
    """
    connection.execute(
        insert(AuditEventRow),
        {
            "id": clock.new_id(),
            "tenant_id": tenant_id,
            "at": clock.now(),
            "actor_kind": by.kind,
            "actor_id": by.id,
            "action": action,
            "object_kind": object_kind,
            "object_id": object_id,
            "before": before,
            "after": after,
            "network": by.network,
            "client": by.client,
        },
    )


class Doer(NamedTuple):
    """Who did something, as the audit log has it."""

    #: ``user``, ``api_key``, ``operator`` or ``visitor``.
    kind: str
    id: UUID | None


def doers(
    connection: Connection,
    tenant_id: UUID,
    action: str,
    object_ids: Sequence[str],
    *,
    since: datetime,
) -> dict[str, Doer]:
    """Return who did the same to each of several objects.

    :param since: no event looked for is older
    """
    events = AuditEventRow.__table__.c
    rows = connection.execute(
        select(events.object_id, events.actor_kind, events.actor_id).where(
            events.tenant_id == tenant_id,
            events.at >= since,
            events.action == action,
            events.object_id.in_(object_ids),
        )
    )
    return {row.object_id: Doer(row.actor_kind, row.actor_id) for row in rows}
