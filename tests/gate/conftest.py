"""A service that many questions are put to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from tests.builders import Service, make_service


@pytest.fixture(scope="module")
def shared(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for a whole file, which follows in the background: a silent one would deny.

    Visitors of ``site_object`` may object: there, a token that gets lost would be a grant.
    """
    folder = tmp_path_factory.mktemp("shared")
    made = make_service(f"sqlite:///{shutil.copy(sqlite_template, folder / 'db')}", folder)
    made.add_site("site_object", regime_overrides={"*": "opt_out"})
    made.built.followers.start()
    yield made
    made.built.followers.stop()
    made.built.database.close()


@pytest.fixture(scope="module")
def behind(shared: Service) -> Client:
    """The shared service without the layer in front of Flask."""
    return Client(shared.built.flask, use_cookies=False)
