"""Signed links to reports: who has one sees that report, for a week."""

from __future__ import annotations

from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import orjson
from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from consent_service.errors import LinkRefused
from consent_service.reports.periods import Period
from consent_service.signing import Keyring

#: How long a link counts.
LIFE = timedelta(days=7)

_SALT = "report"


@dataclass(frozen=True)
class Link:
    """What a link opens."""

    tenant_id: UUID
    schedule_id: UUID
    period: Period
    expires_at: datetime


def token_of(keys: Keyring, link: Link) -> str:
    """Return what stands in the address of a link."""
    said = [
        str(link.tenant_id),
        str(link.schedule_id),
        link.period.since.isoformat(),
        link.period.until.isoformat(),
        int(link.expires_at.timestamp()),
    ]
    return keys.signer(_SALT).sign(base64_encode(orjson.dumps(said))).decode()


def read_token(keys: Keyring, token: str, now: datetime) -> Link:
    """Return what a link opens.

    :raises LinkRefused: when it is not whole, not ours, or too old
    """
    try:
        said = orjson.loads(base64_decode(keys.signer(_SALT).unsign(token)))
    except (BadData, NotBase64, ValueError):
        raise LinkRefused from None
    tenant, schedule, since, until, expires = said
    link = Link(
        UUID(tenant),
        UUID(schedule),
        Period(date.fromisoformat(since), date.fromisoformat(until)),
        datetime.fromtimestamp(expires, UTC),
    )
    if link.expires_at <= now:
        raise LinkRefused
    return link
