"""The audit log: who changed what, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

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
