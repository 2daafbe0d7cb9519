"""The API answers as its description says: called at random, within the description and beyond.

What an owner may call is called as an owner. Every status that comes back must be described by
itself: that any error has the one shape is no description of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from consent_service.access.auth import PLAIN_COOKIE
from tests.builders import ORIGIN, SITE_KEY, Service, make_service
from tests.members import Member, sign_in

load_all_checks()

#: What a schema cannot say: that a purpose is one of the notice's, that two members go together,
#: that a name is not taken. And calls here carry a session, whatever the case says.
UNSAYABLE = [
    positive_data_acceptance, negative_data_rejection, ignored_auth, unsupported_method
]  # fmt: skip

#: What stands in addresses, so that calls get past the first look-up.
NAMED = {"site_key": SITE_KEY, "site": SITE_KEY, "tenant": "example"}

#: Ends the session that all other calls are made in.
LEAVES_THE_HOUSE = {"POST /v1/sign-out", "DELETE /v1/account/sessions"}

EXAMPLES = 6


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("description")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    limits = {"limit_reads": "1000000 per minute", "limit_writes": "1000000 per minute"}
    service = make_service(url, folder, **limits)
    yield service
    service.built.database.close()


def headers_of(owner: Member) -> dict[str, str]:
    """Return what the owner's pages send."""
    cookie = f"{PLAIN_COOKIE}={owner.token}"
    return {"Origin": ORIGIN, "Cookie": cookie, "X-CSRF-Token": owner.csrf_token}


def operations(house: Service) -> list[APIOperation[Any, Any, Any, Any]]:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", house.built.wsgi)
    found = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(found) == len(list(schema.get_all_operations()))
    return found


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_one_that_the_description_names(
    house: Service, mode: GenerationMode
) -> None:
    called = {operation.label for operation in operations(house)} - LEAVES_THE_HOUSE
    assert called
    for operation in operations(house):
        if operation.label in called and (mode.is_positive or _can_be_wrong(operation)):
            # Somebody new each time: a call may end sessions, or the owner's being one.
            _call_at_random(operation, mode, headers_of(sign_in(house, "owner")))


def _can_be_wrong(operation: APIOperation[Any, Any, Any, Any]) -> bool:
    """Say whether a call may be other than described. Any text is a text, and in a path none is.

    Hypothesis would look for a wrong one for a while, and there are many such calls.
    """
    parameters = (*operation.path_parameters, *operation.query, *operation.headers)
    schemas = [parameter.definition["schema"] for parameter in parameters]
    return bool(list(operation.body)) or any(
        schema.keys() - {"type", "minLength", "default"} or schema["type"] != "string"
        for schema in schemas
    )


def _call_at_random(
    operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, headers: dict[str, str]
) -> None:
    described = set(operation.definition.raw["responses"]) - {"default"}

    @hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @hypothesis.given(case=operation.as_strategy(mode))
    def call(case: Case[Any]) -> None:
        for parts in (case.path_parameters, case.query):
            for name in NAMED.keys() & (parts or {}).keys():
                parts[name] = NAMED[name]
        response = case.call(headers=headers)
        said = f"{operation.label} answers {response.status_code}: {response.content[:300]!r}"
        assert str(response.status_code) in described, said
        case.validate_response(response, excluded_checks=UNSAYABLE)

    call()
