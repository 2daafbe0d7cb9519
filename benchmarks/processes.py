"""Start servers on loopback, wait until they answer, count their CPU time, stop them again.

Only processes started here are ever ended: each runs in a session of its own, and the session is
what is stopped.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import CannotMeasureError

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"

#: Limits no benchmark reaches: what is measured is the work, not the refusal of it.
NO_LIMIT = "1000000000 per minute"

_START_SECONDS = 30
_STOP_SECONDS = 10
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that was started here."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server's processes have used, all workers together."""
        ticks = (_ticks(stat) for stat in _stats() if stat.session == self.process.pid)
        return sum(ticks) / _TICKS


def session_peak_mib(server: Server) -> float:
    """Return the most memory that any one of a server's processes has ever held, in MiB."""
    return max(peak_mib(stat.pid) for stat in _stats() if stat.session == server.process.pid)


def peak_mib(pid: int) -> float:
    """Return the most memory that a process has ever held, in MiB; 0 when it has ended."""
    status = (Path("/proc") / str(pid) / "status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024 if "VmHWM" in lines else 0


def family_cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process, its children and theirs have used."""
    running = list(_stats())
    family, found = set[int](), {pid}
    while found:
        family |= found
        found = {stat.pid for stat in running if stat.parent in found}
    return sum(_ticks(stat, ended=True) for stat in running if stat.pid in family) / _TICKS


def machine_cpu_seconds() -> float:
    """Return the CPU time of everybody on this machine, and what its host took from it."""
    user, nice, system, _, _, _, _, steal = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, steal))) / _TICKS


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def python(*arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", *arguments]


def find(tool: str) -> str | None:
    """Return where a tool is, also in the folder of servers that not every user looks in."""
    return shutil.which(tool, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    ready: str = "/",
) -> Iterator[Server]:
    """Run a server until the block ends; what it logs goes into a file of the folder.

    :raises CannotMeasureError: when it does not answer in time
    """
    log = folder / f"server-{port}.log"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")}
    inherited["PYTHONPATH"] = str(ROOT)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(port, process)
    try:
        _wait_until_ready(server, ready, log)
        yield server
    finally:
        _stop(process)


def service_settings(port: int, database_url: str, keys_file: Path, workers: int) -> dict[str, str]:
    """Return the environment of ``consent-service serve``: its defaults, but for the limits."""
    return {
        "CONSENT_PORT": str(port),
        "CONSENT_DATABASE_URL": database_url,
        "CONSENT_KEYS_FILE": str(keys_file),
        "CONSENT_HEADS_FOLDER": str(keys_file.with_name("heads")),
        "CONSENT_WORKERS": str(workers),
        "CONSENT_LIMIT_READS": NO_LIMIT,
        "CONSENT_LIMIT_WRITES": NO_LIMIT,
    }


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """Send one request and read the answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, named, response.read())
    finally:
        connection.close()


def wait_for(server: Server, path: str, *, every: float = 0.05) -> None:
    """Wait until the server answers this path with success.

    :raises CannotMeasureError: when it ends instead, or the time is over
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise CannotMeasureError(f"it ended with {server.process.returncode}")
        try:
            if ask(server.port, path).status < http.HTTPStatus.BAD_REQUEST:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(every)
    raise CannotMeasureError(f"it did not answer {path} within {_START_SECONDS} s")


def _wait_until_ready(server: Server, path: str, log: Path) -> None:
    try:
        wait_for(server, path)
    except CannotMeasureError as error:
        said = log.read_text("utf-8", "replace")[-2000:]
        raise CannotMeasureError(f"A server did not start: {error}. It said:\n{said}") from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end; end what is left of its session if it does not."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    for stat in _stats():
        if stat.session == process.pid:
            with suppress(ProcessLookupError):
                os.kill(stat.pid, signal.SIGKILL)
    process.wait(_STOP_SECONDS)


@dataclass(frozen=True)
class _Stat:
    """A process, as ``/proc/PID/stat`` has it (proc(5))."""

    pid: int
    fields: Sequence[str]

    @property
    def parent(self) -> int:
        return int(self.fields[1])

    @property
    def session(self) -> int:
        return int(self.fields[3])


def _stats() -> Iterator[_Stat]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            yield _Stat(int(entry.name), after_name)


def _ticks(stat: _Stat, *, ended: bool = False) -> int:
    """Return user and system time, with that of children that have ended if asked for."""
    return sum(map(int, stat.fields[11 : 15 if ended else 13]))
