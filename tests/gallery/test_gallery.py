"""The gallery shows every state on every screen, and stays small."""

from __future__ import annotations

from itertools import product

import pytest

from tests.gallery.states import FOLDER, SCREENS, STATES, Screen, State, file_name, page

AGAIN = "take the pictures anew: make gallery"

#: Whoever clones the repository has them all.
MOST_BYTES = 1_200_000


def test_the_page_shows_every_state_on_every_screen() -> None:
    assert (FOLDER / "README.md").read_text("utf-8") == page(), AGAIN


def test_there_is_no_picture_that_the_page_does_not_show() -> None:
    shown = {file_name(*pair) for pair in product(STATES, SCREENS)}
    assert {picture.name for picture in FOLDER.glob("*.*")} == shown | {"README.md"}, AGAIN


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.name)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_picture_is_as_large_as_its_screen(state: State, screen: Screen) -> None:
    picture = (FOLDER / file_name(state, screen)).read_bytes()
    assert (picture[:4], picture[8:16]) == (b"RIFF", b"WEBPVP8X")
    width, height = (int.from_bytes(picture[at : at + 3], "little") + 1 for at in (24, 27))
    assert (width, height) == (screen.width, screen.height)


def test_the_pictures_are_small() -> None:
    assert sum(picture.stat().st_size for picture in FOLDER.glob("*.webp")) <= MOST_BYTES
