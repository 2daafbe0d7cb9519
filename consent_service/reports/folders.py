"""Folders that files are put into: on this machine, or in a bucket that speaks S3.

The operator names the place; a tenant has a folder of its own there, and chooses no more than what
is below it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from typing import IO

import fsspec

from consent_service.errors import ValidationFailed

#: What a tenant may call a folder: no way up, nothing hidden.
_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"
_PATH = re.compile(f"{_PART}(/{_PART}){{0,4}}")


def check_path(path: str) -> str:
    """Return the path below a tenant's folder; "" is that folder.

    :raises ValidationFailed: when it is more than some names of folders
    """
    if path and not _PATH.fullmatch(path):
        problem = "Give up to five names with / between, of letters, digits, '_', '-' and '.'."
        raise ValidationFailed(fields={"folder": [problem]})
    return path


def put(target: str, tenant: str, path: str, name: str, chunks: Iterable[bytes]) -> None:
    """Put a file into a tenant's folder, whole or not at all; one of this name is replaced.

    :param target: where the operator has files put, as the setting has it
    :param tenant: the tenant's slug
    :raises Exception: whatever the place raises, in its own words
    """
    system, root = fsspec.url_to_fs(target)
    folder = "/".join(part for part in (root.rstrip("/"), tenant, check_path(path)) if part)
    with tempfile.NamedTemporaryFile() as file:
        _write(file, chunks)
        if "file" in system.protocol:
            # Readers of the folder must not see half of it; a bucket has it whole or not at all.
            system.makedirs(folder, exist_ok=True)
            draft = f"{folder}/.{name}.part"
            system.put_file(file.name, draft)
            system.mv(draft, f"{folder}/{name}")
        else:
            system.put_file(file.name, f"{folder}/{name}")


def _write(file: IO[bytes], chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        file.write(chunk)
    file.flush()
