"""What the API says in English, in the language of the page."""

from __future__ import annotations

import re

from flask_babel import gettext
from markupsafe import Markup, escape

from consent_service.console.i18n import language

#: Marks a text for ``make messages``.
N_ = str

#: What marshmallow says about a field, where a person can have brought it about.
_KNOWN = (
    N_("Missing data for required field."),
    N_("Field may not be null."),
    N_("Unknown field."),
    N_("Not a valid string."),
    N_("Not a valid integer."),
    N_("Not a valid number."),
    N_("Not a valid boolean."),
    N_("Not a valid list."),
    N_("Not a valid date."),
    N_("Not a valid datetime."),
    N_("Not a valid UUID."),
    N_("Not a valid URL."),
    N_("Not a valid email address."),
    N_("Shorter than minimum length %(min)s."),
    N_("Longer than maximum length %(max)s."),
    N_("Length must be between %(min)s and %(max)s."),
    N_("Length must be %(equal)s."),
    N_("Must be greater than or equal to %(min)s."),
    N_("Must be less than or equal to %(max)s."),
    N_("Must be greater than or equal to %(min)s and less than or equal to %(max)s."),
    N_("Must be one of: %(choices)s."),
    N_("One or more of the choices you made was not in: %(choices)s."),
    N_("String does not match expected pattern."),
    # What services say of members, invitations, passwords and providers (``errors.py``).
    N_("This is the tenant's only owner. Make somebody else an owner first."),
    N_("Write one e-mail address, like amina@example.com."),
    N_("This person is a member already."),
    N_("This address is invited already: send that invitation again, or revoke it."),
    N_("Give your name, in at most %(max)s characters."),
    N_("Use at least %(min)s characters; a few words are easy to remember."),
    N_("Use at most %(max)s characters."),
    N_("Many people use this password, so it is guessed first. Use another."),
    N_("This is hardly more than your name, your address or ours. Use another."),
    N_("This service sends no mail. Its operator can set CONSENT_MAIL_URL."),
    N_(
        "The mail could not be sent. Check the address, or try again after the seconds in "
        "Retry-After."
    ),
    N_("No identity provider is set up for this tenant. Sign in with your password."),
    N_("You did not sign in at the identity provider."),
    N_(
        "The identity provider does not answer as one. Try again in a moment; if it goes on, tell "
        "whoever set it up."
    ),
    N_(
        "What came back from the identity provider is not the answer to what it was asked. "
        "Begin to sign in again."
    ),
    N_(
        "The identity provider knows you, but your e-mail address has no access to this tenant. "
        "Ask one of its owners to invite you; accept the invitation, then sign in."
    ),
    N_("The provider has not verified your e-mail address."),
    N_("The provider's discovery document is that of another issuer."),
    N_("The provider's discovery document has no usable %(name)s."),
    N_("The provider signs ID tokens in no way that is safe here."),
    N_("Write it as the provider does, like https://login.example.com."),
    N_("Give the secret that this provider has given out."),
    N_("Sign in at this provider yourself first, so that you do not shut yourself out."),
    N_("This took too long, or was done before. Begin again."),
    # What legal holds say.
    N_("Write something, in at most %(longest)s characters."),
    N_("Write one line, without control characters."),
    N_("Name the visitor's site too: ids of visitors are those of one site."),
    N_("No records of such a visitor are held on this site. Copy the id from a receipt."),
    N_("The tenant has no such legal hold, or it was lifted before."),
    # What reports say of a question.
    N_("Choose one of the list."),
    N_("Look at one, or tell them apart: not both at once."),
    N_("Only all visitors together can be told apart by this."),
    N_("The last day is before the first."),
    N_("It must not be after today, which is %(day)s where the site is."),
    N_("A report is about %(days)s days at most."),
    N_("These are %(number)s points, and at most %(most)s are given."),
    N_(
        "These are %(points)s points of %(groups)s groups each, and at most %(most)s together are "
        "given. Choose a longer step than a %(step)s, or a shorter period."
    ),
    N_("Give a number from %(least)s to %(most)s."),
    # What reports on schedule say.
    N_("Give mail or folder, and not both."),
    N_("This service sends no mail. Its operator can set CONSENT_MAIL_URL and CONSENT_PUBLIC_URL."),
    N_("This service puts no files into folders. Its operator can set CONSENT_EXPORT_TARGET."),
    N_("A tenant has %(most)s schedules at most. Delete one."),
    N_("At most %(most)s addresses."),
    N_("Give up to five names with / between, of letters, digits, '_', '-' and '.'."),
)


def _pattern(text: str) -> re.Pattern[str]:
    """Return what matches the text, with anything for its placeholders."""
    return re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(text)), re.DOTALL)


_PATTERNS = [(_pattern(text), text) for text in _KNOWN]


def translated(sentence: str) -> str:
    """Return the sentence in the page's language; as it is where no translation is known."""
    for pattern, text in _PATTERNS:
        found = pattern.fullmatch(sentence)
        if found:
            return str(gettext(text, **found.groupdict()))
    return str(gettext(sentence)) if sentence else ""


def said(sentence: str) -> Markup:
    """Return the sentence translated for a page, or marked as the English that it is."""
    shown = translated(sentence)
    if shown == sentence and language() != "en":
        return Markup('<span lang="en">{}</span>').format(shown)
    return escape(shown)
