"""The notice of the shop, whose author tries to have his texts run."""

from __future__ import annotations

from typing import Any

from tests.builders import make_notice, make_purpose

#: Text that would run, were it taken for more than text.
MARKUP = '<img src="/stolen.svg" onerror="ran.push(1)"><script>ran.push(2)</script>'


def _service(key: str, *cookies: str) -> dict[str, Any]:
    texts = {"duration": {"en": MARKUP, "sw": "x"}, "description": {"en": MARKUP, "sw": "x"}}
    declared = [{"name": name, "party": "first", **texts} for name in cookies]
    return {"key": key, "name": f"{key} {MARKUP}", "provider": MARKUP, "cookies": declared}


def _texts(name: str) -> dict[str, dict[str, str]]:
    return {language: {"name": name, "description": MARKUP} for language in ("en", "sw")}


#: ``both`` is declared for two purposes, ``kept`` also for an essential one.
NOTICE = make_notice(
    controller={"name": MARKUP},
    purposes=[
        make_purpose("session", "essential", services=[_service("basket", "basket", "kept")]),
        make_purpose(
            "analytics", "analytics", services=[_service("pageviews", "pv_*", "both", "kept")]
        ),
        make_purpose(
            "marketing",
            "marketing",
            texts=_texts(f"Marketing {MARKUP}"),
            services=[_service("maps"), _service("adverts", "ad_id", "both")],
        ),
    ],
    texts={"en": {"body": f"We ask. {MARKUP}", "title": f"Privacy {MARKUP}"}},
)
