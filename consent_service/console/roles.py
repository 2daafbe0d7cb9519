"""Roles and permissions, as people read them."""

from __future__ import annotations

from flask_babel import gettext

from consent_service.access.permissions import PERMISSIONS, ROLES, permissions_of
from consent_service.console.sentences import N_

#: Each role's name.
NAMES = {
    "owner": N_("Owner"),
    "dpo": N_("Data protection officer"),
    "developer": N_("Developer"),
    "analyst": N_("Analyst"),
    "auditor": N_("Auditor"),
}

#: What the permissions open, for the translators; ``PERMISSIONS`` says the same.
DESCRIPTIONS = (
    N_("See the tenant's sites and how they are set up."),
    N_("Make sites, and change their set-up."),
    N_("See drafts of notices and all published versions."),
    N_("Edit drafts of notices."),
    N_("Publish a notice: visitors see it at once."),
    N_("Look up records of visitors."),
    N_("Export records; with visitors' ids only together with `records:read`."),
    N_("See which records must be kept by order."),
    N_("Place and lift legal holds: what they cover is not erased."),
    N_("See and export consent rates."),
    N_("Say which groups are too small to be shown, and what is sent when."),
    N_("Ask the gate about many visitors at once."),
    N_("See who has access, and invitations."),
    N_("Invite people, change their roles, end their access."),
    N_("See which API keys there are."),
    N_("Make, rotate and revoke API keys."),
    N_("Read and export the audit log."),
    N_("Set up at which provider the tenant's users sign in."),
)


def role_name(role: str) -> str:
    """Return a role's name in the language of the page."""
    return str(gettext(NAMES[role]))


def role_choices() -> list[tuple[str, str, str]]:
    """Return all roles for a form: the role, its name, and what it may do."""
    return [(role, role_name(role), " ".join(what_it_may_do(role))) for role in ROLES]


def what_it_may_do(role: str) -> list[str]:
    """Return a sentence for each thing that a role may do, in the language of the page."""
    may = permissions_of(role)
    return [str(gettext(text)) for key, (_, text) in PERMISSIONS.items() if key in may]
