"""Invitations to a tenant: a signed link, mailed, that counts once and for seven days.

The link holds the invitation's id and nothing else. Whether it still counts is in the row, which
whoever accepts marks by compare-and-swap: of two who come at once, one is refused.
"""

from __future__ import annotations

from binascii import Error as NotBase64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode
from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent_service import clock
from consent_service.access import audit, letters, members, passwords, users
from consent_service.access.actor import Actor
from consent_service.access.models import InvitationRow
from consent_service.config import mail_address
from consent_service.db import Database, Scope
from consent_service.errors import (
    InvitationNotSent,
    InvitationRefused,
    InvitedElsewhere,
    MailFailed,
    MailNotConfigured,
    NotSignedIn,
    UnknownInvitation,
    ValidationFailed,
)
from consent_service.mail import Mailer
from consent_service.signing import Keyring

#: How long a link counts after it was sent.
LIFE = timedelta(days=7)

LONGEST_NAME = 100

_SALT = "invitation"

_invitations = InvitationRow.__table__.c


@dataclass(frozen=True)
class Invitation:
    """An invitation that was neither accepted nor revoked."""

    id: UUID
    tenant_id: UUID
    email: str = field(repr=False)
    role: str
    #: A user; None for the operator.
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime

    @property
    def expired(self) -> bool:
        """Whether its link has stopped to count; sending it again makes it count anew."""
        return self.expires_at <= clock.now()


@dataclass(frozen=True)
class Envelope:
    """What a mail needs besides the invitation."""

    #: Address under which people reach the console, without a path.
    base_url: str
    tenant_name: str
    #: Of whoever invites; None for the operator.
    inviter: str | None
    language: str


def invite(  # noqa: PLR0913 - each is a column, or where it goes
    database: Database, keys: Keyring, tenant_id: UUID, email: str, role: str, *, by: Actor
) -> Invitation:
    """Make an invitation; :func:`send` mails its link.

    Whether the address has an account elsewhere makes no difference, and is not told.

    :raises ValidationFailed: when the address is not one, or is a member's, or is invited already
    :raises PermissionMissing: when the role may do what the actor may not
    """
    members.check_role(role, by)
    email = _checked(email)
    now = clock.now()
    made = Invitation(clock.new_id(), tenant_id, email, role, by.id, now, now + LIFE)
    hashed = users.email_hash(keys, email)
    with database.transaction(tenant_id) as connection:
        if members.is_member(connection, keys, tenant_id, email):
            raise ValidationFailed(fields={"email": ["This person is a member already."]})
        if _is_invited(connection, tenant_id, hashed):
            problem = "This address is invited already: send that invitation again, or revoke it."
            raise ValidationFailed(fields={"email": [problem]})
        connection.execute(
            insert(InvitationRow).values(
                id=made.id,
                tenant_id=tenant_id,
                email=keys.encrypt(email, _context(made.id)),
                email_hash=hashed,
                role=role,
                invited_by=by.id,
                created_at=now,
                expires_at=made.expires_at,
            )
        )
        _note(connection, made, by, "invitation.created", after={"role": role})
    return made


def list_invitations(database: Database, keys: Keyring, tenant_id: UUID) -> list[Invitation]:
    """Return a tenant's invitations that were neither accepted nor revoked, newest first."""
    with database.reading(tenant_id) as connection:
        rows = connection.execute(
            select(InvitationRow.__table__)
            .where(_invitations.tenant_id == tenant_id, _is_open())
            .order_by(_invitations.id.desc())
        ).all()
    return [_invitation(row, keys) for row in rows]


def find_invitation(
    database: Database, keys: Keyring, tenant_id: UUID, invitation_id: UUID
) -> Invitation:
    """Return one of them. Raises UnknownInvitation when it is none."""
    with database.reading(tenant_id) as connection:
        row = connection.execute(
            select(InvitationRow.__table__).where(_one(tenant_id, invitation_id))
        ).one_or_none()
    if row is None:
        raise UnknownInvitation
    return _invitation(row, keys)


def extend(
    database: Database, keys: Keyring, tenant_id: UUID, invitation_id: UUID, *, by: Actor
) -> Invitation:
    """Have an invitation's link count for seven days from now, before it is sent again.

    :raises UnknownInvitation: when it was accepted or revoked, or there is none
    :raises PermissionMissing: when its role may do what the actor may not
    """
    found = find_invitation(database, keys, tenant_id, invitation_id)
    members.check_role(found.role, by)
    expires_at = clock.now() + LIFE
    with database.transaction(tenant_id) as connection:
        row = connection.execute(
            update(InvitationRow)
            .where(_one(tenant_id, invitation_id))
            .values(expires_at=expires_at)
            .returning(*_invitations)
        ).one_or_none()
        if row is None:
            raise UnknownInvitation
        _note(connection, found, by, "invitation.sent_again")
    return _invitation(row, keys)


def revoke(database: Database, tenant_id: UUID, invitation_id: UUID, *, by: Actor) -> None:
    """Have an invitation's link open nothing any more.

    :raises UnknownInvitation: when it was accepted or revoked, or there is none
    """
    with database.transaction(tenant_id) as connection:
        row = connection.execute(
            update(InvitationRow)
            .where(_one(tenant_id, invitation_id))
            .values(revoked_at=clock.now())
            .returning(_invitations.id)
        ).one_or_none()
        if row is None:
            raise UnknownInvitation
        audit.write(
            connection, tenant_id, by, "invitation.revoked", "invitation", str(invitation_id)
        )


def send(mailer: Mailer, keys: Keyring, invitation: Invitation, envelope: Envelope) -> None:
    """Mail an invitation's link.

    :raises InvitationNotSent: when the mail could not be sent; the invitation stays
    """
    letter = letters.invitation(
        tenant=envelope.tenant_name,
        role=invitation.role,
        inviter=envelope.inviter,
        link=link(keys, invitation, envelope.base_url),
        expires_at=invitation.expires_at,
        language=envelope.language,
    )
    try:
        mailer.send(invitation.email, letter.subject, letter.text)
    except (MailFailed, MailNotConfigured) as error:
        raise InvitationNotSent(error, invitation.id) from error


def envelope(  # noqa: PLR0913 - what a mail needs, and where it is known
    database: Database,
    keys: Keyring,
    by: Actor,
    *,
    base_url: str,
    tenant_name: str,
    language: str | None,
) -> Envelope:
    """Return what a mail needs besides the invitation.

    :param language: of the mail; None for whichever the actor has chosen
    """
    with database.reading(Scope.ACCOUNTS) as connection:
        user = users.get(connection, keys, by.id) if by.kind == "user" and by.id else None
    chosen = language or (user.language if user else None) or "en"
    return Envelope(base_url, tenant_name, user.name if user else None, chosen)


def link(keys: Keyring, invitation: Invitation, base_url: str) -> str:
    """Return the address that accepts an invitation: whoever holds it is whom it is for."""
    return f"{base_url}/console/invitations/{token_of(keys, invitation.id)}"


def token_of(keys: Keyring, invitation_id: UUID) -> str:
    """Return the signed id of an invitation."""
    return keys.signer(_SALT).sign(base64_encode(invitation_id.bytes)).decode()


def opened(database: Database, keys: Keyring, token: str) -> tuple[Invitation, bool]:
    """Return the invitation that a link is of, and whether its address has an account.

    :raises InvitationRefused: when the link opens nothing, whatever the reason
    """
    invitation_id = _id_in(keys, token)
    with database.reading(Scope.ACCOUNTS) as connection:
        row = connection.execute(
            select(InvitationRow.__table__).where(_counts(invitation_id))
        ).one_or_none()
        if row is None:
            raise InvitationRefused
        invitation = _invitation(row, keys)
        known = users.find_by_email(connection, keys, invitation.email) is not None
    return invitation, known


def accept(database: Database, keys: Keyring, token: str, *, by: Actor) -> Invitation:
    """Make who is signed in a member, as the invitation says.

    :raises InvitationRefused: when the link opens nothing (any more)
    :raises InvitedElsewhere: when it is for another address than the user's
    """
    invitation, _ = opened(database, keys, token)
    with database.transaction(Scope.ACCOUNTS) as connection:
        user = by.id and users.get(connection, keys, by.id)
        if not user:
            raise NotSignedIn
        if users.email_hash(keys, user.email) != users.email_hash(keys, invitation.email):
            raise InvitedElsewhere
        _use_up(connection, invitation, by)
        members.join(connection, invitation.tenant_id, user.id, invitation.role, by=by)
    return invitation


def accept_as_new(  # noqa: PLR0913 - what a new user states
    database: Database,
    keys: Keyring,
    token: str,
    *,
    name: str,
    password: str,
    language: str | None,
    by: Actor,
) -> tuple[Invitation, UUID]:
    """Make an account for whom the invitation is for, and a member of the tenant; give its id.

    :param by: where from and with what; who it is comes about here
    :raises InvitationRefused: when the link opens nothing (any more)
    :raises NotSignedIn: when the address has an account: its user signs in, then accepts
    :raises ValidationFailed: when the name or the password is not good enough
    """
    invitation, known = opened(database, keys, token)
    if known:
        raise NotSignedIn(HAS_ACCOUNT)
    name = _checked_name(name)
    passwords.check(password, name, invitation.email)
    # Takes its time, so not while others wait for the database.
    hashed = passwords.hash_of(password)
    try:
        with database.transaction(Scope.ACCOUNTS) as connection:
            user_id = users.add(
                connection,
                keys,
                invitation.email,
                name,
                password_hash=hashed,
                language=language,
            )
            user = Actor("user", user_id, network=by.network, client=by.client)
            _use_up(connection, invitation, user)
            members.join(connection, invitation.tenant_id, user_id, invitation.role, by=user)
    except IntegrityError:
        # Another link for the address made its account a moment ago; or this one, pressed twice.
        opened(database, keys, token)
        raise NotSignedIn(HAS_ACCOUNT) from None
    return invitation, user_id


HAS_ACCOUNT = "There is an account with this e-mail address. Sign in with it, then accept."


def _use_up(connection: Connection, invitation: Invitation, by: Actor) -> None:
    """Mark the invitation as accepted; only one who comes finds that it counts."""
    used = connection.execute(
        update(InvitationRow).where(_counts(invitation.id)).values(accepted_at=clock.now())
    )
    if not used.rowcount:
        raise InvitationRefused
    _note(connection, invitation, by, "invitation.accepted", after={"role": invitation.role})


def _note(
    connection: Connection,
    invitation: Invitation,
    by: Actor,
    action: str,
    after: dict[str, str] | None = None,
) -> None:
    audit.write(
        connection,
        invitation.tenant_id,
        by,
        action,
        "invitation",
        str(invitation.id),
        after=after,
    )


def _id_in(keys: Keyring, token: str) -> UUID:
    try:
        return UUID(bytes=base64_decode(keys.signer(_SALT).unsign(token)))
    except (BadData, NotBase64, ValueError):
        raise InvitationRefused from None


def _is_invited(connection: Connection, tenant_id: UUID, hashed: bytes) -> bool:
    query = select(_invitations.id).where(
        _invitations.tenant_id == tenant_id,
        _invitations.email_hash == hashed,
        _invitations.expires_at > clock.now(),
        _is_open(),
    )
    return connection.execute(select(query.exists())).scalar_one()


def _is_open() -> ColumnElement[bool]:
    return and_(_invitations.accepted_at.is_(None), _invitations.revoked_at.is_(None))


def _one(tenant_id: UUID, invitation_id: UUID) -> ColumnElement[bool]:
    return and_(_invitations.tenant_id == tenant_id, _invitations.id == invitation_id, _is_open())


def _counts(invitation_id: UUID) -> ColumnElement[bool]:
    return and_(_invitations.id == invitation_id, _invitations.expires_at > clock.now(), _is_open())


def _invitation(row: Row[tuple[object, ...]], keys: Keyring) -> Invitation:
    return Invitation(
        id=row.id,
        tenant_id=row.tenant_id,
        email=keys.decrypt(row.email, _context(row.id)),
        role=row.role,
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _context(invitation_id: UUID) -> str:
    return f"invitations.email {invitation_id}"


def _checked(email: str) -> str:
    try:
        return mail_address(email.strip())
    except ValueError:
        problem = "Write one e-mail address, like amina@example.com."
        raise ValidationFailed(fields={"email": [problem]}) from None


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not (1 <= len(name) <= LONGEST_NAME and name.isprintable()):
        problem = f"Give your name, in at most {LONGEST_NAME} characters."
        raise ValidationFailed(fields={"name": [problem]})
    return name
