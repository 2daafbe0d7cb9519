"""Who may do what: the one table. Pure."""

from __future__ import annotations

ROLES = ("owner", "dpo", "developer", "analyst", "auditor")

#: Permission → the roles that have it, and what it opens. A scope of an API key is a permission.
PERMISSIONS: dict[str, tuple[frozenset[str], str]] = {
    "sites:read": (frozenset(ROLES), "See the tenant's sites and how they are set up."),
    "sites:write": (
        frozenset({"owner", "developer"}),
        "Make sites, and change their set-up.",
    ),
    "notices:read": (frozenset(ROLES), "See drafts of notices and all published versions."),
    "notices:write": (frozenset({"owner", "dpo", "developer"}), "Edit drafts of notices."),
    "notices:publish": (frozenset({"owner", "dpo"}), "Publish a notice: visitors see it at once."),
    "records:read": (frozenset({"owner", "dpo", "auditor"}), "Look up records of visitors."),
    "records:export": (
        frozenset({"owner", "dpo", "analyst", "auditor"}),
        "Export records; with visitors' ids only together with `records:read`.",
    ),
    "holds:read": (
        frozenset({"owner", "dpo", "auditor"}),
        "See which records must be kept by order.",
    ),
    "holds:write": (
        frozenset({"owner", "dpo"}),
        "Place and lift legal holds: what they cover is not erased.",
    ),
    "reports:read": (
        frozenset({"owner", "dpo", "analyst", "auditor"}),
        "See and export consent rates.",
    ),
    "reports:write": (
        frozenset({"owner", "dpo"}),
        "Say which groups are too small to be shown, and what is sent when.",
    ),
    "gate:batch": (frozenset({"owner", "developer"}), "Ask the gate about many visitors at once."),
    "users:read": (frozenset({"owner", "dpo", "auditor"}), "See who has access, and invitations."),
    "users:write": (frozenset({"owner"}), "Invite people, change their roles, end their access."),
    "keys:read": (frozenset({"owner", "developer", "auditor"}), "See which API keys there are."),
    "keys:write": (frozenset({"owner", "developer"}), "Make, rotate and revoke API keys."),
    "audit:read": (frozenset({"owner", "dpo", "auditor"}), "Read and export the audit log."),
    "sign_in:write": (frozenset({"owner"}), "Set up at which provider the tenant's users sign in."),
}

#: Permissions that change something. A role with one of these needs a second factor.
CHANGING = frozenset(
    permission
    for permission in PERMISSIONS
    if permission.rpartition(":")[2] in {"write", "publish"}
)

#: Permissions that a program may be given. What decides about people's access is for people.
SCOPES = tuple(
    permission
    for permission in PERMISSIONS
    if permission not in {"users:write", "keys:write", "sign_in:write"}
)


def permissions_of(role: str) -> frozenset[str]:
    """Return what a role may do; nothing if there is no such role."""
    return frozenset(name for name, (roles, _) in PERMISSIONS.items() if role in roles)


def needs_second_factor(role: str) -> bool:
    """Say whether who has this role must sign in with a second factor."""
    return bool(permissions_of(role) & CHANGING)
