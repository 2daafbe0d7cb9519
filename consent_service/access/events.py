"""What happens to a user's account, told to every tenant that the user is a member of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.access.models import MembershipRow

_memberships = MembershipRow.__table__.c


def note(
    connection: Connection,
    by: Actor,
    action: str,
    *,
    user_id: UUID | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an event to the audit logs, within the caller's transaction (``Scope.ACCOUNTS``).

    :param user_id: whose account it is; else the actor's own
    """
    whose = user_id or by.id
    for tenant_id in memberships_of(connection, whose):
        audit.write(connection, tenant_id, by, action, "user", str(whose), after=after)


def memberships_of(connection: Connection, user_id: UUID | None) -> dict[UUID, str]:
    """Return a user's roles by the ids of the tenants."""
    rows = connection.execute(
        select(_memberships.tenant_id, _memberships.role)
        .where(_memberships.user_id == user_id, _memberships.ended_at.is_(None))
        .order_by(_memberships.tenant_id)
    )
    return {row.tenant_id: row.role for row in rows}
