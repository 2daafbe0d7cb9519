"""A notice as fields of a form, and back. Pure.

A field's name is the path of what it holds: ``purposes[0].texts.sw.name``. So problems, which are
told by path, find their fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from consent_service.notices.consistency import entries, languages_of, members
from consent_service.notices.defaults import shipped
from consent_service.notices.difference import Change, Kind, difference

_STEP = re.compile(r"\[(\d{1,4})\]|\.?([A-Za-z][A-Za-z0-9_-]*)")

_PURPOSE = r"purposes\[\d{1,4}\]"
_SERVICE = rf"{_PURPOSE}\.services\[\d{{1,4}}\]"
_COOKIE = rf"{_SERVICE}\.cookies\[\d{{1,4}}\]"
_TAG = "[A-Za-z][A-Za-z0-9-]*"

#: All fields that there are; whatever else a form sends is none of the notice's.
_FIELD = re.compile(
    r"controller\.name|dpo\.(name|email|address)|policy\.(version|url|material)"
    rf"|theme\.(accent|position)|languages\[\d{{1,4}}\]|texts\.{_TAG}\.[a-z_]+"
    rf"|{_PURPOSE}\.(key|category|texts\.{_TAG}\.(name|description))"
    rf"|{_SERVICE}\.(key|name|provider|loader|hosts)"
    rf"|{_COOKIE}\.(name|party|(duration|description)\.{_TAG})"
)

#: What a button does, and to which part: ``remove purposes[1]``.
_ACTION = re.compile(r"(add|remove|up|down) ([A-Za-z0-9_.\[\]]+)")


def filled(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of any shape with every member that the form has, texts in all languages.

    What the form has no field for is not in it.
    """
    languages = languages_of(document)
    return {
        "controller": _strings(document.get("controller"), "name"),
        "dpo": _strings(document.get("dpo"), "name", "email", "address"),
        "policy": {
            **_strings(document.get("policy"), "version", "url"),
            "material": members(document.get("policy")).get("material") is not False,
        },
        "languages": languages,
        "theme": _strings(document.get("theme"), "accent", "position"),
        "purposes": [_purpose(one, languages) for _, one in entries(document.get("purposes"))],
        "texts": {
            code: {
                name: text
                for name, text in members(members(document.get("texts")).get(code)).items()
                if isinstance(text, str) and text
            }
            for code in languages
        },
    }


def pared(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :func:`filled` gave as it is kept: without what may be left out and is empty."""
    document = deepcopy(dict(form))
    document["theme"] = {name: value for name, value in document["theme"].items() if value}
    document["texts"] = {code: texts for code, texts in document["texts"].items() if texts}
    for purpose in document["purposes"]:
        for service in purpose["services"]:
            if not service["loader"]:
                del service["loader"]
    return document


def lost(document: Mapping[str, Any]) -> list[Change]:
    """Return what of a document the form would not keep, as no field of it can hold that."""
    changes = difference(document, pared(filled(document)))
    return [change for change in changes if change.kind in {Kind.REMOVED, Kind.CHANGED}]


def read(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the document that a form was filled in with, in the shape of :func:`filled`."""
    root: dict[Any, Any] = {}
    for name, value in fields.items():
        if not _FIELD.fullmatch(name):
            continue
        *parents, last = _steps(name)
        at = root
        for step in parents:
            at = at.setdefault(step, {})
        at[last] = _value(name, value)
    return filled(_with_lists(root))


def act(form: dict[str, Any], action: str, language: str = "") -> str | None:
    """Do to a document, in place, what a button of the form says.

    :param form: in the shape of :func:`filled`
    :param action: add, remove, up or down, and the path of a list or of an entry in one
    :param language: which one to add, where it is a language
    :returns: the name of the field to go on with; None if there is nothing like this to do
    """
    found = _ACTION.fullmatch(action)
    if not found:
        return None
    verb, path = found.groups()
    if verb == "add":
        return _add(form, path, language)
    listed, _, position = path.rpartition("[")
    values = _at(form, listed)
    index = int(position[:-1]) if re.fullmatch(r"\d{1,4}\]", position) else -1
    if not isinstance(values, list) or not 0 <= index < len(values):
        return None
    return _MOVES[verb](form, listed, values, index)


def _add(form: dict[str, Any], path: str, language: str) -> str | None:
    values = _at(form, path)
    kind = path.rpartition(".")[2]
    if not isinstance(values, list) or kind not in _NEW:
        return None
    if kind == "languages":
        if language in values or language not in shipped():
            return "language"
        values.append(language)
        form.update(filled(form))
    else:
        values.append(_NEW[kind](form["languages"]))
    return f"{path}[{len(values) - 1}]{_FIRST_FIELD[kind]}"


def _remove(form: dict[str, Any], path: str, values: list[Any], index: int) -> str:
    del values[index]
    if path == "languages":
        # Its texts go with it.
        form.update(filled(form))
        return "language"
    return f"add {path}"


def _up(_: dict[str, Any], path: str, values: list[Any], index: int) -> str:
    return _swap(path, values, index, max(index - 1, 0))


def _down(_: dict[str, Any], path: str, values: list[Any], index: int) -> str:
    return _swap(path, values, index, min(index + 1, len(values) - 1))


def _swap(path: str, values: list[Any], index: int, other: int) -> str:
    values[index], values[other] = values[other], values[index]
    return f"{path}[{other}]{_FIRST_FIELD[path.rpartition('.')[2]]}"


_MOVES: dict[str, Callable[[dict[str, Any], str, list[Any], int], str]] = {
    "remove": _remove,
    "up": _up,
    "down": _down,
}
_FIRST_FIELD = {"purposes": ".key", "services": ".key", "cookies": ".name", "languages": ""}
_NEW: dict[str, Callable[[list[str]], Any]] = {
    "purposes": lambda languages: _purpose({"category": "analytics"}, languages),
    "services": lambda languages: _service({}, languages),
    "cookies": lambda languages: _cookie({}, languages),
    "languages": lambda _: "",
}


def _purpose(purpose: Mapping[str, Any], languages: list[str]) -> dict[str, Any]:
    texts = members(purpose.get("texts"))
    return {
        **_strings(purpose, "key", "category"),
        "texts": {code: _strings(texts.get(code), "name", "description") for code in languages},
        "services": [_service(one, languages) for _, one in entries(purpose.get("services"))],
    }


def _service(service: Mapping[str, Any], languages: list[str]) -> dict[str, Any]:
    hosts = service.get("hosts")
    return {
        **_strings(service, "key", "name", "provider", "loader"),
        "hosts": [host for host in hosts if isinstance(host, str)]
        if isinstance(hosts, list)
        else [],
        "cookies": [_cookie(one, languages) for _, one in entries(service.get("cookies"))],
    }


def _cookie(cookie: Mapping[str, Any], languages: list[str]) -> dict[str, Any]:
    return {
        **_strings(cookie, "name"),
        "party": "third" if cookie.get("party") == "third" else "first",
        **{name: _strings(cookie.get(name), *languages) for name in ("duration", "description")},
    }


def _strings(part: object, *names: str) -> dict[str, str]:
    found = {name: members(part).get(name) for name in names}
    return {name: value if isinstance(value, str) else "" for name, value in found.items()}


def _steps(name: str) -> Iterator[int | str]:
    for position, member in _STEP.findall(name):
        yield int(position) if position else member


def _value(name: str, value: str) -> Any:  # noqa: ANN401
    # Browsers send line ends as networks do.
    value = value.replace("\r\n", "\n")
    if name.endswith(".hosts"):
        return [line.strip() for line in value.splitlines() if line.strip()]
    if name == "policy.material":
        return value != "false"
    return value


def _with_lists(value: Any) -> Any:  # noqa: ANN401
    """Make lists of what was collected by position."""
    if not isinstance(value, dict):
        return value
    inner = {step: _with_lists(one) for step, one in value.items()}
    if inner and all(isinstance(step, int) for step in inner):
        return [inner[position] for position in sorted(inner)]
    return inner


def _at(value: Any, path: str) -> Any:  # noqa: ANN401
    for step in _steps(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
