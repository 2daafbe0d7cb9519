"""Legal holds: orders to keep records, which nobody erases until the hold is lifted.

Such as a court's order to preserve data (Tanzania: Personal Data Protection Act, Cap. 44, section
59). What callers may rely on:

- From the moment :func:`place_hold` returns no record that the hold is about is erased: the
  database refuses. What was being erased then is erased already, or is not erased.
- A hold is never changed or deleted, only lifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, or_, select, update

from consent_service import clock
from consent_service.access import audit
from consent_service.access.actor import Actor
from consent_service.consents import store
from consent_service.consents.models import CurrentStateRow, LegalHoldRow
from consent_service.db import Database
from consent_service.errors import UnknownHold, ValidationFailed
from consent_service.tenants.service import Site, sites_of
from consent_service.text import line_problems

#: Characters of an authority's name and of its reference, of a reason, and of why one is lifted.
LONGEST_NAME, LONGEST_REASON = 200, 500

_rows = LegalHoldRow.__table__.c
_states = CurrentStateRow.__table__.c


@dataclass(frozen=True)
class Order:
    """What has to be kept, who has ordered it, and what visitors are told of it."""

    authority: str
    #: The order's number there.
    reference: str
    #: As visitors read it when they ask to have their records erased.
    reason: str
    #: None: of all the tenant's sites.
    site: Site | None = None
    #: None: of all visitors.
    visitor_id: str | None = None


@dataclass(frozen=True)
class Hold:
    """An order to keep records, in force until it is lifted."""

    id: UUID
    #: None: of all the tenant's sites.
    site_key: str | None
    #: None: of all visitors.
    visitor_id: str | None
    authority: str
    reference: str
    reason: str
    placed_at: datetime
    lifted_at: datetime | None

    def shown(self) -> dict[str, Any]:
        """Return what its tenant sees of it, as JSON values."""
        return {
            "id": str(self.id),
            "site": self.site_key,
            "visitor_id": self.visitor_id,
            "authority": self.authority,
            "reference": self.reference,
            "reason": self.reason,
            "placed_at": clock.rfc3339(self.placed_at),
            "lifted_at": clock.rfc3339(self.lifted_at) if self.lifted_at else None,
        }


def list_holds(database: Database, tenant_id: UUID) -> list[Hold]:
    """Return a tenant's holds: those in force first, then those lifted, each the newest first."""
    query = select(LegalHoldRow.__table__).where(_rows.tenant_id == tenant_id)
    with database.reading(tenant_id) as connection:
        rows = connection.execute(
            query.order_by(
                _rows.lifted_at.is_not(None),
                _rows.lifted_at.desc(),
                _rows.placed_at.desc(),
                _rows.id.desc(),
            )
        ).all()
    keys = _site_keys(database, tenant_id)
    return [_hold(row, keys) for row in rows]


def find_hold(database: Database, tenant_id: UUID, hold_id: UUID) -> Hold:
    """Return a tenant's hold that is in force.

    :raises UnknownHold: when there is none, or it was lifted
    """
    held = (each for each in list_holds(database, tenant_id) if each.id == hold_id)
    found = next(held, None)
    if found is None or found.lifted_at:
        raise UnknownHold
    return found


def check_order(database: Database, order: Order) -> None:
    """Refuse an order that could not be placed; nothing is.

    :raises ValidationFailed: as :func:`place_hold` does
    """
    _check_texts(order)
    if order.site and order.visitor_id is not None:
        with database.reading(order.site.tenant_id) as connection:
            _check_visitor(connection, order.site, order.visitor_id)


def place_hold(database: Database, tenant_id: UUID, order: Order, *, by: Actor) -> Hold:
    """Have records be kept from now on.

    :raises ValidationFailed: when a text is missing, too long or of several lines, or the site has
        no such visitor with records
    :raises Unavailable: when the database cannot do it now, as somebody erases just then
    """
    _check_texts(order)
    row = {
        "id": clock.new_id(),
        "tenant_id": tenant_id,
        "site_id": order.site.id if order.site else None,
        "visitor_id": order.visitor_id,
        "authority": order.authority.strip(),
        "reference": order.reference.strip(),
        "reason": order.reason.strip(),
        "placed_at": clock.now(),
    }
    with database.transaction(tenant_id) as connection:
        made = connection.execute(insert(LegalHoldRow).values(row).returning(*_rows)).one()
        # After the hold is in: on PostgreSQL that waited for erasures that were under way.
        if order.site and order.visitor_id is not None:
            _check_visitor(connection, order.site, order.visitor_id)
        # Events are for good: they do not say which visitor a hold was about.
        audit.write(
            connection,
            tenant_id,
            by,
            "hold.placed",
            "legal_hold",
            str(made.id),
            after={
                "site": order.site.site_key if order.site else None,
                "one_visitor": order.visitor_id is not None,
                "authority": made.authority,
                "reference": made.reference,
                "reason": made.reason,
            },
        )
    return _hold(made, {order.site.id: order.site.site_key} if order.site else {})


def lift_hold(
    database: Database, tenant_id: UUID, hold_id: UUID, *, reason: str, by: Actor
) -> Hold:
    """Have the records that a hold is about be erased again when visitors ask for it.

    :param reason: why, for the audit log
    :raises UnknownHold: when the tenant has no such hold that is in force
    :raises ValidationFailed: when the reason is missing, too long or of several lines
    """
    problems = line_problems(reason, LONGEST_REASON)
    if problems:
        raise ValidationFailed(fields={"reason": problems})
    with database.transaction(tenant_id) as connection:
        lifted = connection.execute(
            update(LegalHoldRow)
            .where(_rows.tenant_id == tenant_id, _rows.id == hold_id, _rows.lifted_at.is_(None))
            .values(lifted_at=clock.now())
            .returning(*_rows)
        ).one_or_none()
        if lifted is None:
            raise UnknownHold
        after = {"reason": reason.strip()}
        audit.write(
            connection, tenant_id, by, "hold.lifted", "legal_hold", str(hold_id), after=after
        )
    return _hold(lifted, _site_keys(database, tenant_id))


def hold_on(connection: Connection, site: Site, visitor_id: str) -> Row[Any] | None:
    """Return the oldest hold in force that covers a visitor, or one who was merged into it."""
    theirs = select(_states.visitor_id).where(store.stands_for(site, visitor_id))
    return connection.execute(
        select(LegalHoldRow.__table__)
        .where(
            _rows.tenant_id == site.tenant_id,
            _rows.lifted_at.is_(None),
            or_(_rows.site_id.is_(None), _rows.site_id == site.id),
            or_(_rows.visitor_id.is_(None), _rows.visitor_id.in_(theirs)),
        )
        .order_by(_rows.placed_at, _rows.id)
        .limit(1)
    ).one_or_none()


def _check_texts(order: Order) -> None:
    problems = {}
    if order.visitor_id is not None and order.site is None:
        problems["site"] = ["Name the visitor's site too: ids of visitors are those of one site."]
    problems |= {
        name: told
        for name, text, longest in (
            ("authority", order.authority, LONGEST_NAME),
            ("reference", order.reference, LONGEST_NAME),
            ("reason", order.reason, LONGEST_REASON),
        )
        if (told := line_problems(text, longest))
    }
    if problems:
        raise ValidationFailed(fields=problems)


def _check_visitor(connection: Connection, site: Site, visitor_id: str) -> None:
    state = store.find_state(connection, site, visitor_id)
    if state is None or state.record_id is None:
        told = "No records of such a visitor are held on this site. Copy the id from a receipt."
        raise ValidationFailed(fields={"visitor_id": [told]})


def _site_keys(database: Database, tenant_id: UUID) -> dict[UUID, str]:
    return {site.id: site.site_key for site in sites_of(database, tenant_id)}


def _hold(row: Row[Any], site_keys: dict[UUID, str]) -> Hold:
    return Hold(
        id=row.id,
        site_key=site_keys[row.site_id] if row.site_id else None,
        visitor_id=row.visitor_id,
        authority=row.authority,
        reference=row.reference,
        reason=row.reason,
        placed_at=row.placed_at,
        lifted_at=row.lifted_at,
    )
