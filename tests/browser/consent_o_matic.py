"""The rule format that Consent-O-Matic documents, as far as our rule uses it.

Written from the format's description; it is not the extension, which cannot be installed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import ElementHandle, Page

#: The order in which the extension runs a rule's methods; each may be missing.
METHODS = ("HIDE_CMP", "OPEN_OPTIONS", "HIDE_CMP", "DO_CONSENT", "SAVE_CONSENT")

Rule = Mapping[str, Any]


def _exactly(rule: Rule, *keys: str, **optional: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the rule's members, and fail at one that is not expected here."""
    unknown = rule.keys() - {"type", *keys, *optional}
    assert not unknown, f"{unknown} of {rule} is beyond this interpreter"
    return (*(rule[key] for key in keys), *(rule.get(k, v) for k, v in optional.items()))


class ConsentOMatic:
    """Does on a page what a rule says, for a visitor who has set what they allow."""

    def __init__(self, page: Page, rule: Rule, allowed: str) -> None:
        """Take the rule; ``allowed`` has the letter of every category that is allowed."""
        self._page = page
        self._detectors, methods = _exactly(rule, "detectors", "methods")
        self._methods = {method["name"]: method["action"] for method in methods}
        assert self._methods.keys() <= set(METHODS)
        self._allowed = allowed

    def sees_a_banner(self) -> bool:
        """Say whether the rule applies to the page as it is now."""
        return any(
            all(
                self._matches(matcher, None)
                for matcher in _exactly(detector, "presentMatcher", "showingMatcher")
            )
            for detector in self._detectors
        )

    def act(self) -> None:
        """Do all that the rule says."""
        for name in METHODS:
            if name in self._methods:
                self._do(self._methods[name], None)

    def _find(self, selection: Rule, base: ElementHandle | None) -> list[ElementHandle]:
        selector, shown = _exactly(selection, "selector", displayFilter=False)
        found = (base or self._page).query_selector_all(selector)
        return [e for e in found if not shown or e.evaluate("(element) => element.offsetHeight")]

    def _matches(self, matcher: Rule, base: ElementHandle | None) -> bool:
        (target,) = _exactly(matcher, "target")
        found = self._find(target, base)
        match matcher["type"]:
            case "css":
                return bool(found)
            case "checkbox":
                return found[0].is_checked()
            case other:
                raise NotImplementedError(other)

    def _do(self, action: Rule, base: ElementHandle | None) -> None:
        match action["type"]:
            case "list":
                (actions,) = _exactly(action, "actions")
                for each in actions:
                    self._do(each, base)
            case "click":
                (target,) = _exactly(action, "target")
                # As a script does, not as a hand: where the button is and what lies over it is
                # all the same.
                for element in self._find(target, base)[:1]:
                    element.evaluate("(element) => element.click()")
            case "waitcss":
                (target,) = _exactly(action, "target")
                (selector,) = _exactly(target, "selector")
                self._page.wait_for_selector(selector, state="attached")
            case "foreach":
                target, each = _exactly(action, "target", "action")
                for element in self._find(target, base):
                    self._do(each, element)
            case "consent":
                (consents,) = _exactly(action, "consents")
                for consent in consents:
                    self._set(consent, base)
            case other:
                raise NotImplementedError(other)

    def _set(self, consent: Rule, base: ElementHandle | None) -> None:
        matcher, toggle = _exactly(consent, "matcher", "toggleAction")
        if self._matches(matcher, base) != (consent["type"] in self._allowed):
            self._do(toggle, base)
