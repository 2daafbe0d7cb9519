"""The browser's opt-out signal, Global Privacy Control (W3C). Pure.

Two say whether it is on: the browser, in the header ``Sec-GPC``, and the page, which may see it in
``navigator.globalPrivacyControl`` where the browser sends no header (some extensions set the
property alone) and cannot set the header itself. It is on if either says so; no page can turn off
what the header says.

A page is believed because it gains nothing by a lie. At the gate the signal only forces off; on a
choice it does the same where the region's rule is ``required``. Where the rule is ``voluntary``, a
grant made with the signal on outweighs the signal from then on; but a page that would invent the
signal for that could as well invent the grant, for it is the page that tells the visitor and that
sends what was chosen. The signed record says both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What a page may say in a query: on, or not on.
SAID = ("1", "0")


def signalled(environ: Mapping[str, Any], *, said: bool) -> bool:
    """Say whether the signal is on.

    :param said: whether the page says so
    """
    if said:
        return True
    header: str | None = environ.get("HTTP_SEC_GPC")
    # Of several header lines one is enough (W3C GPC, section 3.1); servers join them with commas.
    return header is not None and "1" in [line.strip() for line in header.split(",")]
