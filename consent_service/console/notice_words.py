"""What the parts of a notice are called on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as later

from consent_service.notices.consistency import members
from consent_service.notices.defaults import default_texts, shipped
from consent_service.notices.paths import Entry, Path

#: A notice's own texts, by where a visitor meets them, in the order of the default texts.
WORDING = (
    (
        later("First layer: the banner"),
        {
            "title": later("Title"),
            "body": later("Text"),
            "accept_all": later("Button that accepts"),
            "reject_all": later("Button that refuses"),
            "choose": later("Button that leads to the purposes"),
            "dismiss": later("Cross that closes the banner (read out)"),
            "language": later("Choice of language (read out)"),
            "policy_link": later("Link to the privacy policy"),
            "contact": later("Head above the officer's address"),
            "receipt": later("Link to the visitor's own receipt"),
            "notice_changed": later("Why somebody is asked again"),
            "notice_new": later("Purposes that are new"),
            "gpc_honoured": later("Privacy signal: it is obeyed"),
            "gpc_override": later("Privacy signal: a choice here counts instead"),
        },
    ),
    (
        later("Second layer: the preference centre"),
        {
            "preferences_title": later("Title"),
            "preferences_body": later("Text"),
            "save": later("Button that saves"),
            "withdraw": later("Button that withdraws"),
            "close": later("Cross that closes it (read out)"),
            "essential_title": later("Head of what is essential"),
            "essential_reason": later("Why that is not asked"),
            "optional_title": later("Head of what is asked"),
            "always_on": later("Beside what is essential"),
            "allow": later("Tick box of a purpose (read out)"),
            "services": later("List of services"),
            "provider": later("Provider of a service"),
            "no_cookies": later("A service without cookies"),
            "cookie_name": later("Column: name"),
            "cookie_duration": later("Column: duration"),
            "cookie_party": later("Column: set by"),
            "cookie_description": later("Column: what it does"),
            "party_first": later("Set by the site"),
            "party_third": later("Set by others"),
        },
    ),
    (
        later("After a choice"),
        {
            "reopen": later("Control that stays on the page"),
            "saved": later("Saved"),
            "withdrawn": later("Withdrawn"),
            "error": later("Not saved"),
            "linked": later("The account's choices apply"),
        },
    ),
    (
        later("In place of videos and maps"),
        {
            "embed_body": later("Why it waits"),
            "embed_once": later("Button: this time"),
            "embed_always": later("Button: always"),
        },
    ),
)

#: What leads from a part to one within it.
_BETWEEN = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "

_MEMBERS = {
    "controller": later("Responsible"),
    "dpo": later("Data-protection officer"),
    "policy": later("Privacy policy"),
    "languages": later("Languages"),
    "purposes": later("Purposes"),
    "texts": later("Texts"),
    "theme": later("Looks"),
    "services": later("Services"),
    "cookies": later("Cookies"),
    "name": later("Name"),
    "email": later("E-mail address"),
    "address": later("Postal address"),
    "version": later("Version"),
    "url": later("Web address"),
    "material": later("Asks everybody again"),
    "key": later("Key"),
    "code": later("Language"),
    "direction": later("Direction"),
    "category": later("Category"),
    "description": later("Description"),
    "provider": later("Provider"),
    "loader": later("Address of the script"),
    "hosts": later("Hosts"),
    "party": later("Set by"),
    "duration": later("Lasts"),
    "accent": later("Colour"),
    "position": later("Place on the page"),
}

_OF_LISTS = {
    "purposes": later("Purpose %(name)s"),
    "services": later("Service %(name)s"),
    "cookies": later("Cookie %(name)s"),
    "languages": later("Language %(name)s"),
    "hosts": later("Host %(name)s"),
}

_WORDS = {name: label for _group, labels in WORDING for name, label in labels.items()}


def place(path: Path, document: Mapping[str, Any] | None = None) -> str:
    """Return where something stands, in words: purpose, language, name.

    :param document: what the path leads through, to say more of an entry than its number
    """
    words: list[str] = []
    at: Any = document
    before: int | str = ""
    for step in path:
        inner = _inner(at, step)
        if isinstance(step, int | Entry):
            label = _OF_LISTS.get(str(before), later("Entry %(name)s"))
            words[-1:] = [str(label) % {"name": _name(step, inner)}]
        elif before in {"texts", "duration", "description"} and step in shipped():
            words.append(language_name(step))
        elif step in _WORDS and len(path) == 3 and path[0] == "texts":  # noqa: PLR2004
            words.append(str(_WORDS[step]))
        else:
            words.append(str(_MEMBERS.get(str(step), step)))
        at, before = inner, step
    # That these are the texts of the part named before is clear.
    shown = [word for word in words if word != str(_MEMBERS["texts"]) or len(words) == 1]
    return _BETWEEN.join(shown) or str(_("The whole notice"))


def language_name(code: str) -> str:
    """Return a language by its own name."""
    return str(default_texts(code)["name"]) if code in shipped() else code


def _inner(at: Any, step: int | str) -> Any:  # noqa: ANN401
    if isinstance(step, int):
        return at[step] if isinstance(at, list) and step < len(at) else None
    return members(at).get(step)


def _name(step: int | str, entry: object) -> str:
    if isinstance(step, Entry):
        return language_name(step) or "…"
    if isinstance(entry, str):
        return language_name(entry)
    number = int(step) + 1
    known = members(entry).get("key") or members(entry).get("name")
    return f"{number} ({known})" if known and isinstance(known, str) else f"{number}"
