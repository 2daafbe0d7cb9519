"""The built package holds all that the source tree does, and works without it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"consent_service": "consent_service", "migrations": "consent_service/migrations"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel would install. Built from a copy, as building leaves traces."""
    source = tmp_path_factory.mktemp("source")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", source / "dist", source], check=True)
    (wheel,) = (source / "dist").glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_holds_every_file(installed: Path) -> None:
    expected = {
        f"{to}/{path.relative_to(ROOT / name)}"
        for name, to in FOLDERS.items()
        for path in (ROOT / name).rglob("*")
        # Translations are read as they are compiled.
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".po"
    }
    found = {
        str(path.relative_to(installed))
        for path in (installed / "consent_service").rglob("*")
        if path.is_file()
    }
    assert found == expected


def test_the_wheel_migrates_a_database(installed: Path, tmp_path: Path) -> None:
    upgrade = "from consent_service import db; db.upgrade('sqlite:///new.db'); print(db.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", upgrade],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.startswith(str(installed))
    assert (tmp_path / "new.db").exists()
