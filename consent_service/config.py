"""Settings: one table, read from the environment, checked at start, then frozen.

A setting ``keys_file`` is read from ``CONSENT_KEYS_FILE``. Every problem is reported at once, and a
``CONSENT_`` variable that is not in the table is one of them: a typing error must not be silence.
``docs/settings.md`` is checked against this table by a test.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from limits import parse_many
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from consent_service.errors import OperatorError

PREFIX = "CONSENT_"

Network = IPv4Network | IPv6Network

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAIL_ADDRESS = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_HOST}")
_MAIL_URL = re.compile(
    rf"smtps?://([^\s:@/?#]+:[^\s:@/?#]+@)?({_HOST}|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?/?"
    r"|file:///[^\s?#]+"
)

#: What an SMTP path has room for (RFC 5321, section 4.5.3.1.3, less the angle brackets).
_LONGEST_MAIL_ADDRESS = 254

#: Characters of a secret that nobody guesses.
_SHORTEST_SECRET = 16


def _database_url(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The error's own text could quote the password.
        raise ValueError("is not a database URL") from None
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    if url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}:
        return text
    raise ValueError("must begin with sqlite:///PATH or postgresql://")


def _keys(text: str) -> str:
    try:
        right = isinstance(json.loads(text), dict)
    except ValueError:
        # The error's own text could quote a secret.
        right = False
    if not right:
        raise ValueError("must be the text of a key file, which is a JSON object")
    return text


def _redis_url(text: str) -> str:
    if not re.match(r"(redis|rediss|redis\+cluster|redis\+unix)://.", text):
        raise ValueError("must begin with redis://, rediss://, redis+unix:// or redis+cluster://")
    return text


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise ValueError(
            f"must be networks like 10.0.0.0/8, with commas between: {error}"
        ) from None


def _header(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", text):
        raise ValueError("must be the name of one header")
    return text


def _rate(text: str) -> str:
    try:
        parse_many(text)
    except ValueError:
        raise ValueError("must be like 600 per minute") from None
    return text


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("must be an address such as 127.0.0.1, 0.0.0.0 or ::") from None


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("names a file that does not exist")
    return path


def _base_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/?#\s]+", text):
        raise ValueError("must be like https://consent.example.com, without a path")
    return text


def _mail_url(text: str) -> str:
    try:
        right = _MAIL_URL.fullmatch(text) and urlsplit(text).port != 0
    except ValueError:
        # The error's own text could quote the password.
        right = False
    decoded = unquote(text)
    if not (right and decoded.isascii() and decoded.isprintable()):
        raise ValueError(
            "must be like smtp://USER:PASSWORD@HOST:587, smtps://HOST or file:///FOLDER, in ASCII; "
            "other signs than letters and digits in a password are written like %40"
        )
    return text


def mail_address(text: str) -> str:
    """Return the text if it is one e-mail address (RFC 5322, section 3.4.1, with a dot-atom).

    :raises ValueError: when it is anything else
    """
    if len(text) > _LONGEST_MAIL_ADDRESS or not _MAIL_ADDRESS.fullmatch(text):
        raise ValueError("must be one e-mail address like consent@example.com")
    return text


def _export_target(text: str) -> str:
    if not re.fullmatch(r"(file:///|s3://[a-z0-9])[^\s?#]*", text) or ".." in text:
        raise ValueError("must be like file:///srv/exports or s3://BUCKET/PREFIX")
    if text.startswith("s3:") and find_spec("s3fs") is None:
        raise ValueError("needs what is installed with: pip install consent-service[s3]")
    return text.rstrip("/")


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isdecimal() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _secret(text: str) -> str:
    if len(text) < _SHORTEST_SECRET or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(f"must be {_SHORTEST_SECRET} or more characters of ASCII, without spaces")
    return text


def _log_level(text: str) -> str:
    if text not in {"debug", "info", "warning", "error"}:
        raise ValueError("must be debug, info, warning or error")
    return text


def _flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError("must be 0 or 1")
    return text == "1"


def _setting(
    default: Any,  # noqa: ANN401
    parse: Callable[[str], Any],
    text: str,
    *,
    shown: str = "",
    secret: bool = False,
) -> Any:  # noqa: ANN401
    """Declare one row of the table.

    :param shown: the default as the documentation prints it
    :param secret: whether it may hold a secret, which a log of the settings must not show
    """
    return field(
        default=default,
        repr=not secret,
        metadata={"parse": parse, "help": text, "shown": shown or str(default)},
    )


@dataclass(frozen=True)
class Settings:
    """All settings of the service, checked. Units are in the names or the help."""

    database_url: str = _setting(
        "sqlite:///var/consent.db",
        _database_url,
        "Where records are kept: `sqlite:///PATH` (one machine) or "
        "`postgresql://USER:PASSWORD@HOST/NAME` (any number).",
        secret=True,
    )
    owner_database_url: str = _setting(
        "",
        _database_url,
        "PostgreSQL only: the same database as the user who owns its tables, for "
        "`consent-service db upgrade` alone. The service itself connects as a user who owns "
        "nothing, so that the database keeps tenants apart.",
        shown="(none)",
        secret=True,
    )
    keys_file: Path = _setting(
        Path("var/keys.json"),
        Path,
        "The keys that sign and encrypt, made by `consent-service key rotate`. Readable by the "
        "service alone; the same on every node.",
    )
    keys: str = _setting(
        "",
        _keys,
        "In the place of `CONSENT_KEYS_FILE`: the text of such a file itself, for platforms that "
        "put secrets into the environment. No command changes it.",
        shown="(none)",
        secret=True,
    )
    heads_folder: Path = _setting(
        Path("var/heads"),
        Path,
        "Where the newest checkpoint of each ledger is remembered, so that a database restored "
        "from an older backup is noticed. On a disk of each node that is not restored with it: "
        "never part of the database's backup.",
    )
    redis_url: str = _setting(
        "",
        _redis_url,
        "Redis or Valkey that the nodes share rate limits through: `redis://`, `rediss://`, "
        "`redis+unix://`, or `redis+cluster://HOST:PORT,HOST:PORT`. Without it each process "
        "counts for itself.",
        shown="(none)",
        secret=True,
    )
    geo_database: Path | None = _setting(
        None,
        _existing_file,
        "A country database in MMDB format (GeoIP2, GeoLite2, or with a plain `country_code`). "
        "An address it does not know gets the strictest rule.",
        shown="(the one that came with the build)",
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        (),
        _networks,
        "Networks of your own reverse proxies, e.g. `127.0.0.1/32,10.0.0.0/8`. Forwarding headers "
        "are believed from these peers only.",
        shown="(none)",
    )
    country_header: str = _setting(
        "",
        _header,
        "Name of the header in which your CDN states the visitor's country, e.g. `CF-IPCountry`. "
        "Believed only from a trusted proxy.",
        shown="(none)",
    )
    public_url: str = _setting(
        "",
        _base_url,
        "Address under which visitors reach the service, e.g. `https://consent.example.com`; "
        "used in receipt links and script tags.",
        shown="(the address of the request)",
    )
    token_seconds: int = _setting(
        86400,
        _between(60, 7 * 86400),
        "Seconds for which a visitor's token is believed without asking the database; then it is "
        "renewed quietly.",
    )
    edge_token_seconds: int = _setting(
        300,
        _between(30, 3600),
        "Seconds for which an edge server may go by the gate's answer in an edge token, at the "
        "most. A withdrawal ends it sooner.",
    )
    mail_url: str = _setting(
        "",
        _mail_url,
        "How mail is sent: `smtp://USER:PASSWORD@HOST:587` (STARTTLS, where it is offered or a "
        "password is given), `smtps://…` (TLS from the start), or `file:///FOLDER`, which keeps "
        "each mail as a file. User, password and port may be left out. Without it no mail is sent.",
        shown="(none)",
        secret=True,
    )
    mail_from: str = _setting(
        "",
        mail_address,
        "Address that mail comes from, e.g. `consent@example.com`. Needed with `CONSENT_MAIL_URL`.",
        shown="(none)",
    )
    export_target: str = _setting(
        "",
        _export_target,
        "Where reports on schedule are put that go to a folder: `file:///FOLDER` or "
        "`s3://BUCKET/PREFIX`, whose credentials come from the usual `AWS_` variables. Each tenant "
        "has a folder of its own in it. Without it reports are only mailed.",
        shown="(none)",
    )
    witnesses_file: Path | None = _setting(
        None,
        _existing_file,
        "A file of witnesses, who are asked to cosign what the ledgers of records publish: "
        "`KEY ADDRESS` a line. Read at the start. Without it nobody is asked.",
        shown="(none)",
    )
    limit_reads: str = _setting(
        "6000 per minute",
        _rate,
        "Reads allowed to one network address. Mobile networks put thousands of visitors behind "
        "one address.",
    )
    limit_writes: str = _setting(
        "600 per minute",
        _rate,
        "Choices recorded or erased, allowed to one network address; as many edge tokens again.",
    )
    limit_events: str = _setting(
        "6000 per minute",
        _rate,
        "Banners told of as shown or closed, allowed to one network address; counted apart from "
        "choices.",
    )
    host: str = _setting("127.0.0.1", _address, "Address that `consent-service serve` listens on.")
    port: int = _setting(8000, _between(1, 65535), "Port that `consent-service serve` listens on.")
    workers: int = _setting(2, _between(1, 512), "Server processes; about one for each core.")
    worker: bool = _setting(
        default=True,
        parse=_flag,
        text="`0` keeps `consent-service serve` from running a worker beside itself, which counts "
        "for reports and sends them. For nodes where `consent-service worker` runs on its own, or "
        "on another one.",
        shown="1",
    )
    metrics_token: str = _setting(
        "",
        _secret,
        "The token with which `/metrics` is read from another machine "
        "(`Authorization: Bearer …`), at least 16 characters long. Without it only the machine "
        "itself is answered.",
        shown="(none)",
    )
    log_level: str = _setting("info", _log_level, "`debug`, `info`, `warning` or `error`.")
    demo: bool = _setting(
        default=False,
        parse=_flag,
        text="`1` serves the demo site at `/demo/`. Never in production.",
        shown="0",
    )


def variable(name: str) -> str:
    """Return the environment variable of a setting: ``port`` is read from ``CONSENT_PORT``."""
    return PREFIX + name.upper()


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings; an empty variable counts as not set.

    :raises OperatorError: with every problem found, a line each
    """
    given = {
        name: text
        for name, text in (os.environ if environ is None else environ).items()
        if name.startswith(PREFIX) and text
    }
    values: dict[str, Any] = {}
    problems = []
    if variable("mail_url") in given and variable("mail_from") not in given:
        problems.append(f"{variable('mail_from')} must be set where {variable('mail_url')} is")
    if variable("keys") in given and variable("keys_file") in given:
        problems.append(f"{variable('keys')} and {variable('keys_file')} are both set; choose one")
    for row in fields(Settings):
        text = given.pop(variable(row.name), None)
        if text is None:
            continue
        try:
            values[row.name] = row.metadata["parse"](text)
        except ValueError as error:
            problems.append(f"{variable(row.name)} {error}")
    problems += [f"{name} is not a setting of this service" for name in given]
    if problems:
        raise OperatorError("The settings are not right:\n  " + "\n  ".join(sorted(problems)))
    return Settings(**values)
