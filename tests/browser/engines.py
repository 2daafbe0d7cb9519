"""Firefox and WebKit as Debian ships them, driven through Selenium."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from selenium.webdriver import Remote
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.webkitgtk.options import Options as WebKitGTKOptions
from selenium.webdriver.webkitgtk.service import Service as WebKitGTKService

from tests import servers


class Marionette(RemoteConnection):
    """The way to Firefox without geckodriver, which no package registry carries.

    Firefox itself answers the commands of WebDriver, on a socket of its own. All that geckodriver
    does between is to translate them from HTTP.
    """

    _NAMES: ClassVar = {
        Command.CLICK_ELEMENT: "WebDriver:ElementClick",
        Command.DELETE_ALL_COOKIES: "WebDriver:DeleteAllCookies",
        Command.FIND_ELEMENT: "WebDriver:FindElement",
        Command.GET: "WebDriver:Navigate",
        Command.GET_ALL_COOKIES: "WebDriver:GetCookies",
        Command.GET_ELEMENT_TEXT: "WebDriver:GetElementText",
        Command.NEW_SESSION: "WebDriver:NewSession",
        Command.REFRESH: "WebDriver:Refresh",
        Command.W3C_ACTIONS: "WebDriver:PerformActions",
        Command.W3C_EXECUTE_SCRIPT: "WebDriver:ExecuteScript",
    }

    def __init__(self, port: int) -> None:
        """Connect, and read how Firefox introduces itself."""
        super().__init__(client_config=ClientConfig(f"127.0.0.1:{port}"))
        self._socket = socket.create_connection(("127.0.0.1", port), servers.PATIENCE)
        self._answers = self._socket.makefile("rb")
        self._read()

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a command and return the answer as Selenium expects it."""
        message = json.dumps([0, 0, self._NAMES[command], params]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, _, error, result = self._read()
        if error:
            return {"status": error["error"], "value": error}
        return {"value": result.get("value", result) if isinstance(result, dict) else result}

    def _read(self) -> Any:  # noqa: ANN401 - JSON
        length = b""
        while byte := self._answers.read(1):
            if byte == b":":
                return json.loads(self._answers.read(int(length)))
            length += byte
        raise ConnectionError("Firefox has gone")

    def close(self) -> None:
        """Disconnect."""
        self._answers.close()
        self._socket.close()


@contextmanager
def firefox() -> Iterator[Remote]:
    """Run Firefox with a profile of its own."""
    with tempfile.TemporaryDirectory(prefix="consent-firefox-") as profile:
        (Path(profile) / "user.js").write_text('user_pref("marionette.port", 0);\n')
        chosen = Path(profile) / "MarionetteActivePort"
        process = subprocess.Popen(
            [
                servers.find_browser("firefox"),
                "--headless",
                "--marionette",
                "--no-remote",
                "--profile",
                profile,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            servers.wait_until(
                lambda: chosen.exists() and chosen.read_text(), "Firefox did not listen"
            )
            with closing(Marionette(int(chosen.read_text()))) as connection:
                yield Remote(connection, options=ArgOptions())
        finally:
            servers.end(process)


@contextmanager
def _screen() -> Iterator[str]:
    """Run a screen that nobody sees, and give its name."""
    with subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield f":{process.stdout.readline().decode().strip()}"
        finally:
            servers.end(process)


@contextmanager
def webkit() -> Iterator[Remote]:
    """Run the small browser that comes with WebKitGTK. It has to have a screen."""
    with _screen() as display:
        environ = os.environ | {"DISPLAY": display, "GDK_BACKEND": "x11"}
        service = WebKitGTKService(servers.find_browser("webkit"), env=environ)
        service.start()
        try:
            connection = RemoteConnection(client_config=ClientConfig(service.service_url))
            with Remote(connection, options=WebKitGTKOptions()) as driver:
                yield driver
        finally:
            service.stop()


#: How to run each of them that is installed.
ENGINES: dict[str, Callable[[], AbstractContextManager[Remote]]] = {
    name: run
    for name, run in {"firefox": firefox, "webkit": webkit}.items()
    if servers.find_browser(name)
}
