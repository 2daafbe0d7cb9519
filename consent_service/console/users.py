"""A tenant's members and invitations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent_service.access import invitations, members
from consent_service.access.auth import current_actor, needs
from consent_service.access.permissions import needs_second_factor
from consent_service.console.blueprints import workspace
from consent_service.console.flashes import say
from consent_service.console.i18n import language
from consent_service.console.roles import role_choices, role_name
from consent_service.console.sentences import translated
from consent_service.console.sign_in import Page
from consent_service.db import Database
from consent_service.errors import InvitationNotSent, LastOwner, ValidationFailed
from consent_service.signing import Keyring
from consent_service.tenants.auth import current_tenant
from consent_service.users.service import Inviting, Post
from consent_service.web import public_url
from consent_service.wiring import use


@workspace.get("/users")
@needs("users:read")
def users(tenant: str) -> str:
    """Show who has access, and who is invited."""
    del tenant
    database, keys, tenant_id = use(Database), use(Keyring), current_tenant().id
    return render_template(
        "console/users.html",
        members=members.list_members(database, keys, tenant_id),
        invitations=invitations.list_invitations(database, keys, tenant_id),
        role_name=role_name,
        needs_second_factor=needs_second_factor,
    )


@workspace.get("/users/invite")
@needs("users:write", fresh=True)
def invite_user(tenant: str) -> str:
    """Ask whom to invite, as what."""
    del tenant
    return _invite_page()


@workspace.post("/users/invite")
@needs("users:write", fresh=True)
def send_invitation(tenant: str) -> Page:
    """Invite somebody."""
    del tenant
    email, role = request.form.get("email", ""), request.form.get("role", "")
    post = Post(public_url(), language())
    try:
        use(Inviting).invite(current_tenant(), email, role, post, by=current_actor())
    except ValidationFailed as error:
        return _invite_page(errors=error.fields, email=email, role=role), error.status
    except InvitationNotSent as error:
        return _back(_not_sent(error), "warn")
    return _back(_("The invitation was sent to %(email)s.", email=email.strip()))


@workspace.post("/users/invitations/<uuid:invitation>/send")
@needs("users:write", fresh=True)
def send_invitation_again(tenant: str, invitation: UUID) -> Page:
    """Mail an invitation again."""
    del tenant
    post = Post(public_url(), language())
    try:
        sent = use(Inviting).send_again(current_tenant(), invitation, post, by=current_actor())
    except InvitationNotSent as error:
        return _back(_not_sent(error), "warn")
    return _back(_("The invitation was sent to %(email)s.", email=sent.email))


@workspace.get("/users/invitations/<uuid:invitation>/revoke")
@needs("users:write", fresh=True)
def ask_to_revoke(tenant: str, invitation: UUID) -> str:
    """Ask once more before an invitation is revoked."""
    del tenant
    found = invitations.find_invitation(
        use(Database), use(Keyring), current_tenant().id, invitation
    )
    return _confirm_page(
        _("Revoke the invitation of %(email)s?", email=found.email),
        _("The link that was mailed opens nothing any more. You can invite the person again."),
        _("Revoke"),
    )


@workspace.post("/users/invitations/<uuid:invitation>/revoke")
@needs("users:write", fresh=True)
def revoke_invitation(tenant: str, invitation: UUID) -> Page:
    """Revoke an invitation."""
    del tenant
    invitations.revoke(use(Database), current_tenant().id, invitation, by=current_actor())
    return _back(_("The invitation was revoked."))


@workspace.get("/users/<uuid:user>/role")
@needs("users:write", fresh=True)
def role_of_user(tenant: str, user: UUID) -> str:
    """Show which roles there are, and what each may do."""
    del tenant
    return _role_page(user)


@workspace.post("/users/<uuid:user>/role")
@needs("users:write", fresh=True)
def change_role(tenant: str, user: UUID) -> Page:
    """Give a member another role."""
    del tenant
    role = request.form.get("role", "")
    database, tenant_id = use(Database), current_tenant().id
    try:
        members.change_role(database, tenant_id, user, role, by=current_actor())
    except (LastOwner, ValidationFailed) as error:
        problems = error.fields or {"role": [translated(str(error))]}
        return _role_page(user, errors=problems), error.status
    member = members.find_member(database, use(Keyring), tenant_id, user)
    return _back(_("%(name)s is now: %(role)s.", name=member.name, role=role_name(role)))


@workspace.get("/users/<uuid:user>/end")
@needs("users:write", fresh=True)
def ask_to_end_access(tenant: str, user: UUID) -> str:
    """Ask once more before a member's access ends."""
    del tenant
    member = members.find_member(use(Database), use(Keyring), current_tenant().id, user)
    return _confirm_page(
        _("End the access of %(name)s?", name=member.name),
        _(
            "%(email)s can do nothing in this tenant any more, from the next click on. What was "
            "done stays in the audit log. API keys stay in use: look through them, too.",
            email=member.email,
        ),
        _("End access"),
    )


@workspace.post("/users/<uuid:user>/end")
@needs("users:write", fresh=True)
def end_access(tenant: str, user: UUID) -> Page:
    """End a member's access."""
    del tenant
    database, tenant_id = use(Database), current_tenant().id
    member = members.find_member(database, use(Keyring), tenant_id, user)
    try:
        members.end_membership(database, tenant_id, user, by=current_actor())
    except LastOwner as error:
        return _back(translated(str(error)), "bad")
    return _back(_("The access of %(name)s has ended.", name=member.name))


def _invite_page(**values: Any) -> str:  # noqa: ANN401
    return render_template("console/users_invite.html", choices=role_choices(), **values)


def _role_page(user: UUID, **values: Any) -> str:  # noqa: ANN401
    member = members.find_member(use(Database), use(Keyring), current_tenant().id, user)
    return render_template(
        "console/users_role.html",
        member=member,
        choices=role_choices(),
        **values,
    )


def _confirm_page(question: str, meaning: str, yes: str) -> str:
    return render_template(
        "console/users_confirm.html", question=question, meaning=meaning, yes=yes
    )


def _back(text: str, tone: str = "good") -> Response:
    there = url_for("workspace.users", tenant=current_tenant().slug)
    return say(redirect(there, 303), text, tone)


def _not_sent(error: InvitationNotSent) -> str:
    why = translated(str(error.__cause__))
    said: str = _(
        "The invitation is in the list and counts, but its mail was not sent. %(why)s Then send it "
        "again from the list.",
        why=why,
    )
    return said
