"""What the audit log tells of, as people read it."""

from __future__ import annotations

from flask_babel import gettext

from consent_service.console.sentences import N_

#: Each action that the log may hold, and what was done.
ACTIONS = {
    "tenant.created": N_("Tenant made"),
    "site.created": N_("Site made"),
    "site.updated": N_("Site changed"),
    "link_key.created": N_("Link key made"),
    "link_key.retired": N_("Link key retired"),
    "notice_draft.saved": N_("Draft of a notice saved"),
    "notice_draft.discarded": N_("Draft of a notice thrown away"),
    "notice.published": N_("Notice published"),
    "ledger.reopened": N_("Ledger closed and another one begun"),
    "record.read": N_("Record looked up"),
    "api_key.created": N_("API key made"),
    "api_key.rotated": N_("API key rotated"),
    "api_key.revoked": N_("API key revoked"),
    "invitation.created": N_("Somebody invited"),
    "invitation.sent_again": N_("Invitation sent again"),
    "invitation.accepted": N_("Invitation accepted"),
    "invitation.revoked": N_("Invitation revoked"),
    "user.joined": N_("User joined"),
    "user.role_changed": N_("Role changed"),
    "user.access_ended": N_("Access ended"),
    "user.signed_in": N_("User signed in"),
    "user.signed_out": N_("User signed out"),
    "user.sign_in_failed": N_("Sign-in failed"),
    "user.password_changed": N_("Password changed"),
    "user.renamed": N_("User renamed"),
    "session.ended": N_("Session ended"),
    "totp.added": N_("Authenticator app added"),
    "totp.removed": N_("Authenticator app removed"),
    "passkey.added": N_("Passkey added"),
    "passkey.removed": N_("Passkey removed"),
    "passkey.refused": N_("Passkey refused"),
    "recovery_codes.renewed": N_("Recovery codes renewed"),
    "records.exported": N_("Records exported"),
    "report_settings.updated": N_("Report settings changed"),
    "report_schedule.created": N_("Report on schedule set up"),
    "report_schedule.updated": N_("Report on schedule paused or resumed"),
    "report_schedule.deleted": N_("Report on schedule deleted"),
    "identity_provider.created": N_("Identity provider set up"),
    "identity_provider.updated": N_("Identity provider changed"),
    "identity_provider.removed": N_("Identity provider removed"),
}


def action_name(action: str) -> str:
    """Return what was done, in the language of the page; what is not known here as it is."""
    return str(gettext(ACTIONS[action])) if action in ACTIONS else action


def action_choices() -> list[tuple[str, str]]:
    """Return all actions for a form, by name."""
    return sorted(((key, action_name(key)) for key in ACTIONS), key=lambda choice: choice[1])
