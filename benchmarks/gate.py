"""The gate: requests a second and latency, against a bare WSGI application and nginx."""

from __future__ import annotations

import http
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import report
from benchmarks.errors import CannotMeasureError
from benchmarks.load import CONNECTIONS, Measured, Target, measure, require_wrk
from benchmarks.processes import Server, ask, find, free_port, serving
from benchmarks.site import WORKERS, Prepared, other, prepare, service
from consent_service import clock
from consent_service.consents import tokens
from consent_service.signing import Keyring

VISITORS = 10_000

#: So many that tokens verified before are forgotten before they come again.
CROWD = 40_000

BARE = "bare WSGI small JSON, same server"
STATIC = "nginx, static 204"
LUA = "nginx + Lua, HMAC of the token"
JSON = f"gate, JSON, {VISITORS:,} visitors"
CROWDED = f"gate, JSON, {CROWD:,} visitors"
WITHOUT = "gate, JSON, no token"
AUTH = f"gate, forward-auth, {VISITORS:,} visitors"

_QUESTION = "/v1/gate?site=site_demo&purpose=analytics"
_AUTH_QUESTION = "/v1/gate/auth?site=site_demo&purpose=analytics"

_NGINX = Path(__file__).parent / "nginx"
_MODULES = Path("/usr/lib/nginx/modules")
_LUA_LIBRARIES = Path("/usr/share/lua/5.1")

#: Every how many visitors one is asked for, before measuring, whether the answer is right.
_CHECK_EVERY = 50


def run(rounds: int, seconds: int, folder: Path) -> None:
    """Measure and print."""
    report.title(f"Gate: {WORKERS} workers, {CONNECTIONS} connections, SQLite")
    require_wrk()
    prepared = prepare(f"sqlite:///{folder}/consent.db", folder)
    crowd = _cookies(prepared, CROWD)
    cookies = crowd[:VISITORS]
    asked = _write(folder / "visitors", cookies)
    crowded, nobody = _write(folder / "crowd", crowd), _write(folder / "nobody", [""])
    with ExitStack() as stack:
        ours = stack.enter_context(service(prepared, folder))
        bare = stack.enter_context(other("benchmarks.apps:small_json", folder, {}, factory=False))
        _check(ours.port, cookies)
        targets = [
            Target(BARE, bare, _QUESTION, "gate.lua", (asked,)),
            Target(JSON, ours, _QUESTION, "gate.lua", (asked,)),
            Target(CROWDED, ours, _QUESTION, "gate.lua", (crowded,)),
            Target(WITHOUT, ours, _QUESTION, "gate.lua", (nobody,)),
            Target(AUTH, ours, _AUTH_QUESTION, "gate.lua", (asked,)),
        ]
        missing = _missing_nginx()
        if missing:
            print(f"Without nginx + Lua: {missing}.")
        else:
            nginx = stack.enter_context(_nginx(prepared, folder))
            _check_lua(nginx.port, cookies)
            targets[1:1] = [
                Target(STATIC, nginx, "/", "gate.lua", (asked,)),
                Target(LUA, nginx, "/v1/gate", "gate.lua", (asked,)),
            ]
        measured = measure(targets, rounds, seconds)
    report.loads(measured, BARE)
    report.claims(_claims(measured))


def _claims(measured: Measured) -> list[report.Claim]:
    lua = measured.ratio(JSON, LUA, "per_second") if LUA in measured.samples else None
    return [
        report.Claim(
            "gate, requests/s against bare WSGI", measured.ratio(JSON, BARE, "per_second"), 0.85
        ),
        report.Claim("gate, requests/s against nginx + Lua", lua, 0.6),
        report.Claim(
            "gate, p99 against bare WSGI", measured.ratio(JSON, BARE, "p99_ms"), 2, at_most=True
        ),
    ]


def _cookies(prepared: Prepared, visitors: int) -> list[str]:
    """Return visitors' cookies as a browser sends them: token and choices."""
    signer = Keyring(prepared.keys_file).signer(tokens.SALT)
    now = int(time.time())
    name = prepared.site.cookie_name
    found = []
    for _ in range(visitors):
        claims = tokens.Claims(
            site_key=prepared.site.site_key,
            visitor_id=clock.new_visitor_id(),
            record_id=str(clock.new_id()),
            sequence=1,
            notice_version=prepared.notice_version,
            issued_at=now,
            expires_at=now + 180 * 86400,
            gpc=False,
            choices=dict.fromkeys(prepared.optional, tokens.GRANTED),
        )
        token, choices = tokens.write_token(claims, signer), tokens.readable_choices(claims)
        found.append(f"{name}={token}; {name}_choices={choices}")
    return found


def _write(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), "ascii")
    return str(path)


def _check(port: int, cookies: list[str]) -> None:
    """Make sure that the service allows who granted and denies who cannot prove it.

    :raises CannotMeasureError: when an answer is wrong
    """
    for cookie in cookies[::_CHECK_EVERY]:
        _expect(port, _QUESTION, cookie, "granted")
        reply = ask(port, _AUTH_QUESTION, headers={"Cookie": cookie})
        if reply.status != http.HTTPStatus.NO_CONTENT:
            raise CannotMeasureError(f"forward-auth answered {reply.status} to a granted token")
    _expect(port, _QUESTION, _forged(cookies), "invalid_token")
    _expect(port, _QUESTION, "", "no_choice")


def _check_lua(port: int, cookies: list[str]) -> None:
    for cookie in cookies[::_CHECK_EVERY]:
        _expect(port, "/v1/gate", cookie, "granted")
    _expect(port, "/v1/gate", _forged(cookies), "invalid_token")


def _expect(port: int, path: str, cookie: str, reason: str) -> None:
    reply = ask(port, path, headers={"Cookie": cookie} if cookie else {})
    if reply.status != http.HTTPStatus.OK:
        raise CannotMeasureError(f"the gate answered {reply.status}")
    answer = json.loads(reply.body)
    found = (answer["allow"], answer["decisions"]["analytics"]["reason"])
    if found != (reason == "granted", reason):
        raise CannotMeasureError(f"the gate answered {found} where it must be {reason}")


def _forged(cookies: list[str]) -> str:
    """Return one visitor's cookies with the signature of another's."""
    (mine, _, _), (_, _, other_rest) = cookies[0].partition("."), cookies[1].partition(".")
    return f"{mine}.{other_rest}"


def _missing_nginx() -> str:
    """Say what the comparison with nginx lacks; nothing if it is all there."""
    libraries = [_MODULES / "ndk_http_module.so", _MODULES / "ngx_http_lua_module.so"]
    if find("nginx") and all(path.is_file() for path in libraries):
        return ""
    return "it is not installed; on Debian: apt-get install nginx libnginx-mod-http-lua"


@contextmanager
def _nginx(prepared: Prepared, folder: Path) -> Iterator[Server]:
    """Run nginx with a configuration of its own until the block ends."""
    port = free_port()
    key = Keyring(prepared.keys_file).signer(tokens.SALT).derive_key()
    filled = {
        "MODULES": _MODULES,
        "USER": "user root;" if os.geteuid() == 0 else "",
        "WORKERS": WORKERS,
        "FOLDER": folder,
        "LUA": _LUA_LIBRARIES,
        "KEY": key.hex(),
        "COOKIE": prepared.site.cookie_name,
        "PORT": port,
        "SCRIPT": _NGINX / "hmac.lua",
    }
    text = (_NGINX / "nginx.conf").read_text("utf-8")
    for name, value in filled.items():
        text = text.replace(f"@{name}@", str(value))
    configuration = folder / "nginx.conf"
    configuration.write_text(text, "utf-8")
    command = [
        find("nginx") or "nginx",
        "-p",
        str(folder),
        "-c",
        str(configuration),
        "-e",
        "stderr",
    ]
    with serving(command, port, folder) as server:
        yield server
