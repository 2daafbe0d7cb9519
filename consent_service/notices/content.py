"""A notice as its author writes it, and as it is published: with all that visitors are shown. Pure.

The *document* leaves out what the default texts say; the *content* stands by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from marshmallow import ValidationError

from consent_service.errors import ValidationFailed
from consent_service.notices.configuration import in_language
from consent_service.notices.defaults import default_texts, shipped
from consent_service.notices.paths import Problem, flattened
from consent_service.notices.schemas import NoticeSchema

#: JSON that a notice may come to in one language: every visitor is sent it, and each process keeps
#: it for every region. The demo's comes to 5,000.
MAX_SHOWN_BYTES = 256 * 1024

#: As long as the number of days in a text can be.
_LONGEST_DAYS = 9999

_REFUSED = "The notice cannot be published as it is."


def resolve(document: object) -> dict[str, Any]:
    """Check a notice and write into it every text that visitors will be shown.

    The result stands by itself: it is what is hashed, and what "as shown" means later.

    :raises ValidationFailed: when it is not complete
    """
    try:
        notice: dict[str, Any] = NoticeSchema().load(document)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValidationFailed(_REFUSED, fields=error.messages_dict) from error
    defaults = {code: default_texts(code) for code in notice["languages"]}
    content = {
        **notice,
        "languages": [
            {"code": code, "name": default["name"], "direction": default["direction"]}
            for code, default in defaults.items()
        ],
        "texts": {
            code: {**default["texts"], **notice["texts"].get(code, {})}
            for code, default in defaults.items()
        },
    }
    _check_size(content)
    return content


def problems(document: object) -> list[Problem]:
    """Return all that keeps a notice from being published; nothing if it can be."""
    try:
        resolve(document)
    except ValidationFailed as error:
        return list(flattened(error.fields))
    return []


def document_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a published notice as its author could have written it.

    A text that was published and is no longer the default stays, as that author's own; what this
    version has no text of that name for is left out.
    """
    languages = [language["code"] for language in content["languages"]]
    own = {code: _own_texts(code, content["texts"][code]) for code in languages}
    return {
        **content,
        "languages": languages,
        "texts": {code: texts for code, texts in own.items() if texts},
    }


def _own_texts(code: str, texts: Mapping[str, str]) -> dict[str, str]:
    defaults = default_texts(code)["texts"] if code in shipped() else {}
    return {
        name: texts[name]
        for name, default in defaults.items()
        if texts.get(name, default) != default
    }


def _check_size(content: Mapping[str, Any]) -> None:
    for entry in content["languages"]:
        code = entry["code"]
        size = len(orjson.dumps(in_language(content, code, _LONGEST_DAYS)))
        if size > MAX_SHOWN_BYTES:
            problem = (
                f"In {code} each visitor would be sent {size:,} bytes, and {MAX_SHOWN_BYTES:,} are "
                "allowed. Name fewer cookies (a * stands for many), or say less about them."
            )
            raise ValidationFailed(_REFUSED, fields={"purposes": [problem]})
