"""Inviting people and accepting: joins what ``access`` knows with tenants' names, and mails."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from consent_service.access import invitations
from consent_service.access.actor import Actor
from consent_service.access.invitations import Invitation
from consent_service.access.permissions import needs_second_factor
from consent_service.access.sign_in import SignedIn, SignIn
from consent_service.db import Database, Scope
from consent_service.mail import Mailer
from consent_service.signing import Keyring
from consent_service.tenants.service import Tenant, tenants_of


@dataclass(frozen=True)
class Post:
    """How an invitation is mailed."""

    #: Under which people reach the console, without a path.
    base_url: str
    #: Of the mail; None for whichever the actor has chosen.
    language: str | None = None


@dataclass(frozen=True)
class Offer:
    """What the link of an invitation is for."""

    #: The tenant's name.
    tenant: str
    email: str = field(repr=False)
    role: str
    expires_at: datetime
    #: Whether the address has an account, whose user accepts.
    account: bool
    #: Whether the role can be used with a second factor only.
    second_factor: bool


@dataclass(frozen=True)
class Accepted:
    """Where an invitation has led to."""

    tenant: Tenant
    role: str


class Inviting:
    """Invites people to tenants, and lets them in."""

    def __init__(self, database: Database, keys: Keyring, mailer: Mailer, sign_in: SignIn) -> None:
        """Work on this database; send mail and begin sessions with these."""
        self._database = database
        self._keys = keys
        self._mailer = mailer
        self._sign_in = sign_in

    def invite(self, tenant: Tenant, email: str, role: str, post: Post, *, by: Actor) -> Invitation:
        """Invite somebody, and mail the link.

        :raises ValidationFailed: when the address is not one, or is a member's, or invited already
        :raises PermissionMissing: when the role may do what the actor may not
        :raises InvitationNotSent: when it is made, and could not be mailed
        """
        made = invitations.invite(self._database, self._keys, tenant.id, email, role, by=by)
        self._send(made, tenant, post, by)
        return made

    def send_again(
        self, tenant: Tenant, invitation_id: UUID, post: Post, *, by: Actor
    ) -> Invitation:
        """Mail an invitation again; its link counts for seven days from now.

        :raises UnknownInvitation: when it was accepted or revoked, or there is none
        :raises InvitationNotSent: when it could not be mailed
        """
        found = invitations.extend(self._database, self._keys, tenant.id, invitation_id, by=by)
        self._send(found, tenant, post, by)
        return found

    def offer(self, token: str) -> Offer:
        """Return what a link is for. Raises InvitationRefused when it opens nothing."""
        invitation, account = invitations.opened(self._database, self._keys, token)
        return Offer(
            self._tenant(invitation).name,
            invitation.email,
            invitation.role,
            invitation.expires_at,
            account,
            needs_second_factor(invitation.role),
        )

    def accept(self, token: str, *, by: Actor) -> Accepted:
        """Accept as who is signed in.

        :raises InvitationRefused: when the link opens nothing
        :raises InvitedElsewhere: when it is for another address than the user's
        """
        invitation = invitations.accept(self._database, self._keys, token, by=by)
        return Accepted(self._tenant(invitation), invitation.role)

    def accept_as_new(
        self, token: str, *, name: str, password: str, language: str | None, by: Actor
    ) -> tuple[Accepted, SignedIn]:
        """Accept by making an account, which is then signed in.

        :raises InvitationRefused: when the link opens nothing
        :raises NotSignedIn: when the address has an account: its user signs in, then accepts
        :raises ValidationFailed: when the name or the password is not good enough
        """
        invitation, user_id = invitations.accept_as_new(
            self._database,
            self._keys,
            token,
            name=name,
            password=password,
            language=language,
            by=by,
        )
        with self._database.transaction(Scope.ACCOUNTS) as connection:
            begun = self._sign_in.begin(connection, replace(by, id=user_id), "invitation")
        return Accepted(self._tenant(invitation), invitation.role), begun

    def _send(self, invitation: Invitation, tenant: Tenant, post: Post, by: Actor) -> None:
        envelope = invitations.envelope(
            self._database,
            self._keys,
            by,
            base_url=post.base_url,
            tenant_name=tenant.name,
            language=post.language,
        )
        invitations.send(self._mailer, self._keys, invitation, envelope)

    def _tenant(self, invitation: Invitation) -> Tenant:
        (tenant,) = tenants_of(self._database, [invitation.tenant_id])
        return tenant
