"""Who acts: a user, a program with an API key, the operator, or a visitor of a site. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal
from uuid import UUID

from consent_service.errors import PermissionMissing

ActorKind = Literal["user", "api_key", "operator", "visitor"]


@dataclass(frozen=True)
class Actor:
    """Who acts, and what the audit log keeps of it."""

    kind: ActorKind
    #: The user's, or the API key's; the operator has none, and a visitor's is not kept.
    id: UUID | None = None
    permissions: frozenset[str] = field(default=frozenset(), repr=False)
    #: Where from: a network, never an address, see :func:`network_of`.
    network: str | None = None
    #: With what: browser family and device class.
    client: str | None = None

    def require(self, permission: str) -> None:
        """Raise PermissionMissing if this actor lacks the permission."""
        if permission not in self.permissions:
            raise PermissionMissing(permission)


#: Who runs commands on the server.
OPERATOR = Actor("operator")

#: Whoever holds a visitor's token. Which visitor it was is not kept: events are for good.
VISITOR = Actor("visitor")


def network_of(address: str | None) -> str | None:
    """Return the network that an address is of, as much of it as is kept; None if it is none.

    The first three bytes of an IPv4 address, six of an IPv6 one: enough to tell home from abroad,
    and no person.
    """
    try:
        found = ip_address(address or "")
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    return str(ip_network((found, 24 if found.version == 4 else 48), strict=False))  # noqa: PLR2004
