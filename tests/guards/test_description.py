"""The API answers as its description says: called at random, within the description and beyond."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from tests.builders import ORIGIN, SITE_KEY, Service, make_service

#: What the schema cannot say: that a key is one of the notice's, or that two fields go together.
UNSAYABLE = [CHECKS.get_one("positive_data_acceptance")]

#: What addresses name, so that calls get past the first look-up.
NAMED = {"site_key": SITE_KEY, "site": SITE_KEY}


@pytest.fixture
def called(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    made = make_service(sqlite_url, tmp_path, limit_reads="1000000 per minute")
    yield made
    made.built.database.close()
