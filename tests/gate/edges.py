"""The two verifiers of edge tokens, asked the same questions in the same form."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from consent_service.gate.edge_verifier import (
    keep_seconds,
    status_at,
    status_list_uri,
    verify,
)

ROOT = Path(__file__).parents[2]
VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/edge.json").read_bytes())

#: Questions without a case; what is asked replaces some.
NOTHING: dict[str, Any] = {
    "issuer": VECTORS["issuer"],
    "audience": VECTORS["audience"],
    "keys": VECTORS["keys"],
    "cases": [],
    "kept": [],
    "uris": [],
    "draft": {"small": [], "large": []},
}


def filled(case: dict[str, Any]) -> dict[str, Any]:
    """Return a case of the vectors with what all have in common."""
    common = {"gpc": False, **{name: VECTORS[name] for name in ("token", "status_list", "now")}}
    return common | case


def compiled(folder: Path) -> Path:
    """Compile the JavaScript verifier; return the module."""
    module = folder / "edge.mjs"
    esbuild = ROOT / "widget/node_modules/.bin/esbuild"
    source = ROOT / "widget/edge/edge.ts"
    subprocess.run(
        [esbuild, source, "--format=esm", f"--outfile={module}", "--log-level=error"], check=True
    )
    return module


def in_javascript(module: Path, questions: dict[str, Any]) -> dict[str, Any]:
    """Return what the JavaScript verifier says."""
    run = subprocess.run(
        ["node", ROOT / "tests/gate/edge.mjs", module],
        input=json.dumps({**NOTHING, **questions}).encode(),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    said: dict[str, Any] = json.loads(run.stdout)
    return said


def in_python(questions: dict[str, Any]) -> dict[str, Any]:
    """Return what the Python verifier says."""
    asked = {**NOTHING, **questions}
    verdicts = []
    for case in asked["cases"]:
        verdict = verify(
            case["token"],
            issuer=asked["issuer"],
            audience=asked["audience"],
            keys=asked["keys"],
            status_list=case["status_list"],
            now=case["now"],
            gpc=case["gpc"],
            **({"skew": case["skew"]} if "skew" in case else {}),
        )
        assert all(verdict.allows(key) == allowed for key, allowed in verdict.decisions.items())
        assert not verdict.allows("valueOf")
        verdicts.append({"decisions": dict(verdict.decisions), "failure": verdict.failure})
    small = [
        [
            status_at(each["lst"], each["bits"], place)
            for place in range(len(each["bytes"]) // 2 * (8 // each["bits"]) + 1)
        ]
        for each in asked["draft"]["small"]
    ]
    large = [
        [
            [[place, status_at(lst, bits, place)] for place, _ in each["statuses"]],
            status_at(lst, bits, 1),
            status_at(lst, bits, 1 << 20),
        ]
        for each in asked["draft"]["large"]
        for lst, bits in [(each["lst"], each["bits"])]
    ]
    return {
        "verdicts": verdicts,
        "kept": [keep_seconds(each["status_list"]) for each in asked["kept"]],
        "uris": [status_list_uri(each["token"], issuer=asked["issuer"]) for each in asked["uris"]],
        "draft": {"small": small, "large": large},
    }
