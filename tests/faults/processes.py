"""A service in processes of its own, which a test may kill, and visitors who talk to it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from tests.builders import ORIGIN, SITE_KEY, Service
from tests.servers import PATIENCE, free_port, wait_until


class FreshConnections:
    """Sends each request on a connection of its own, so that all workers of a service answer some.

    A client shared by threads does not do: one thread closes what another is about to read.
    """

    def get(self, url: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """Send a GET request."""
        return self._send("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """Send a POST request."""
        return self._send("POST", url, **options)

    def delete(self, url: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """Send a DELETE request."""
        return self._send("DELETE", url, **options)

    def _send(self, method: str, url: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        # Nothing here speaks TLS, and reading the authorities' certificates takes its time.
        with httpx.Client(timeout=PATIENCE, trust_env=False, verify=False) as client:  # noqa: S501
            return client.request(method, url, **options)


HTTP = FreshConnections()

GRANT = {"analytics": True, "preferences": False}
REFUSAL = {"analytics": False, "preferences": False}

#: Limits the size of files, then becomes the program.
_LIMITED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class ServiceProcess:
    """``consent-service serve`` and its workers, on the database and keys of a service."""

    def __init__(
        self,
        service: Service,
        *,
        ready: str = "/readyz",
        file_bytes: int | None = None,
        **settings: str,
    ) -> None:
        """Choose a port, which stays the same; start it with ``with`` or :meth:`start`.

        :param ready: the address that answers with success when it has started
        :param file_bytes: how large a file may become, as on a disk that is nearly full
        """
        self._ready = ready
        self.file_bytes = file_bytes
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._environ = {
            name: text for name, text in os.environ.items() if not name.startswith("CONSENT_")
        }
        given = {
            "database_url": service.settings.database_url,
            "keys_file": str(service.settings.keys_file),
            "heads_folder": str(service.settings.heads_folder),
            "port": str(self.port),
            "limit_writes": "1000000 per minute",
            "log_level": "warning",
            "worker": "0",
        }
        self._environ |= {
            f"CONSENT_{name.upper()}": text for name, text in (given | settings).items()
        }
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it stops
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it is ready."""
        limit = [] if self.file_bytes is None else ["-c", _LIMITED, str(self.file_bytes)]
        self._process = subprocess.Popen(
            [sys.executable, *limit, "-m", "consent_service.cli", "serve"],
            env=self._environ,
            stdout=self._output,
            stderr=self._output,
            # The workers are to be killed with it.
            start_new_session=True,
        )
        wait_until(lambda: self._answers(self._ready), f"the service was not ready: {self.log}")

    def _answers(self, path: str) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the service ended: {self.log}")
        with suppress(httpx.TransportError):
            return HTTP.get(self.address + path).is_success
        return False

    @property
    def log(self) -> str:
        """What it has printed."""
        self._output.seek(0)
        return self._output.read().decode()

    def kill(self) -> None:
        """End all its processes as a power cut would, with no chance to write anything more."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Halt all its processes: connections are taken, and nothing is answered."""
        assert self._process is not None
        group = self._process.pid
        os.killpg(group, signal.SIGSTOP)
        # A thread that runs on another processor may go on for a moment, and answer.
        wait_until(lambda: states(group) <= {"T"}, "the service goes on")

    def stop(self) -> None:
        """End it as a service manager would."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        group, self._process = self._process, None
        with suppress(ProcessLookupError):
            os.killpg(group.pid, how)
        try:
            group.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(group.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
        self._output.close()


def states(group: int) -> set[str]:
    """Return the states of all threads of a process group: ``T`` is stopped (see proc(5))."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
        # It may have ended since.
        with suppress(OSError):
            state, _, of_group, *_ = stat.read_text().rpartition(")")[2].split()
            if int(of_group) == group:
                found.add(state)
    return found


@dataclass
class Visitor:
    """Somebody who chooses and asks over HTTP."""

    address: str
    token: str = ""

    @property
    def _held(self) -> dict[str, str]:
        return {"X-Consent-Token": self.token} if self.token else {}

    def send(self, choices: dict[str, bool], key: str | None = None) -> httpx.Response:
        """Send a decision, and hold the token that comes back."""
        response = HTTP.post(
            f"{self.address}/v1/sites/{SITE_KEY}/consents",
            json={
                "choices": choices,
                "action": "save" if any(choices.values()) else "withdraw",
                "notice_version": 1,
                "language": "en",
                "surface": "banner",
            },
            headers={
                "Origin": ORIGIN,
                "Idempotency-Key": key or secrets.token_hex(16),
                **self._held,
            },
        )
        if response.status_code == 201:
            self.token = response.json()["token"]
        return response

    def choose(self, choices: dict[str, bool]) -> str:
        """Make a choice; return the token."""
        response = self.send(choices)
        assert response.status_code == 201, response.text
        return self.token

    def erase(self) -> None:
        """Have all forgotten that is held."""
        response = HTTP.delete(
            f"{self.address}/v1/sites/{SITE_KEY}/consents/me",
            headers={"Origin": ORIGIN, **self._held},
        )
        assert response.status_code == 200, response.text

    def me(self) -> httpx.Response:
        """Ask what is held."""
        return HTTP.get(f"{self.address}/v1/sites/{SITE_KEY}/consents/me", headers=self._held)

    def ask(self, purpose: str = "analytics", **headers: str) -> httpx.Response:
        """Ask the gate."""
        return HTTP.get(
            f"{self.address}/v1/gate",
            params={"site": SITE_KEY, "purpose": purpose},
            headers={**self._held, **headers},
        )

    def reason(self, purpose: str = "analytics") -> str:
        """Return the gate's reason."""
        response = self.ask(purpose)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return str(answer["decisions"][purpose]["reason"])
