"""Settings: one table, checked at the start, every problem at once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from consent_service.config import Settings, load, variable
from consent_service.errors import OperatorError

GOOD = [
    ("database_url", "sqlite:///a.db", "sqlite:///a.db"),
    ("database_url", "postgresql://u:p%40@h/db", "postgresql+psycopg://u:p%40@h/db"),
    ("owner_database_url", "postgresql://o@h/db", "postgresql+psycopg://o@h/db"),
    ("database_url", "postgresql+psycopg2://u@h/db", "postgresql+psycopg://u@h/db"),
    ("keys_file", "/etc/consent/keys.json", Path("/etc/consent/keys.json")),
    ("keys", '{"record": [], "token": []}', '{"record": [], "token": []}'),
    ("heads_folder", "/srv/heads", Path("/srv/heads")),
    ("metrics_token", "0123456789abcdef", "0123456789abcdef"),
    *(
        ("redis_url", url, url)
        for url in (
            "redis://cache:6379/1",
            "rediss://:secret@cache:6379",
            "redis+unix:///run/redis.sock",
            "redis+cluster://a:6379,b:6379",
        )
    ),
    ("geo_database", __file__, Path(__file__)),
    (
        "trusted_proxies",
        "127.0.0.1/32, 10.0.0.0/8,::1",
        (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"), ip_network("::1/128")),
    ),
    ("country_header", "CF-IPCountry", "CF-IPCountry"),
    ("public_url", "https://consent.example.com", "https://consent.example.com"),
    ("public_url", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("token_seconds", "60", 60),
    ("edge_token_seconds", "30", 30),
    ("edge_token_seconds", "3600", 3600),
    *(
        ("mail_url", url, url)
        for url in (
            "smtp://127.0.0.1",
            "smtp://user:p%40ss%2F@mail.example.com:587",
            "smtps://[::1]:4650/",
            "file:///var/consent/outbox",
        )
    ),
    ("mail_from", "consent+no-reply@mail.example.com", "consent+no-reply@mail.example.com"),
    ("export_target", "file:///srv/exports/", "file:///srv/exports"),
    ("export_target", "s3://bucket/prefix", "s3://bucket/prefix"),
    ("witnesses_file", __file__, Path(__file__)),
    ("limit_reads", "100 per second;5000 per hour", "100 per second;5000 per hour"),
    ("limit_writes", "10/minute", "10/minute"),
    ("limit_events", "10/minute", "10/minute"),
    ("host", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - only read here
    ("host", "::", "::"),
    ("port", "65535", 65535),
    ("workers", "1", 1),
    ("worker", "0", False),
    ("log_level", "debug", "debug"),
    ("demo", "1", True),
    ("demo", "0", False),
]

BAD = [
    ("metrics_token", "too-short"),
    ("metrics_token", "with spaces in it"),
    ("metrics_token", "not-quite-as-cii-é"),
    ("database_url", "consent.db"),
    ("database_url", "sqlite://"),
    ("database_url", "sqlite:///:memory:"),
    ("database_url", "mysql://u@h/db"),
    ("database_url", "postgresql://u:s3cr3t@h:port/db"),
    ("owner_database_url", "mysql://o@h/db"),
    ("keys", '{"token": [{"secret": "s3cr3t'),
    ("keys", '["s3cr3t"]'),
    ("keys", "/etc/consent/keys.json"),
    ("redis_url", "cache:6379"),
    ("redis_url", "redis://"),
    ("geo_database", "/nowhere/country.mmdb"),
    ("geo_database", "/"),
    ("trusted_proxies", "10.0.0.0/99"),
    ("trusted_proxies", "10.0.0.1/8"),
    ("trusted_proxies", "proxy.internal"),
    ("trusted_proxies", "127.0.0.1,"),
    ("country_header", "CF IPCountry"),
    ("country_header", "X-Country:"),
    ("public_url", "consent.example.com"),
    ("public_url", "https://consent.example.com/"),
    ("public_url", "ftp://consent.example.com"),
    ("token_seconds", "59"),
    ("token_seconds", "604801"),
    ("token_seconds", "1 day"),
    ("edge_token_seconds", "29"),
    ("edge_token_seconds", "3601"),
    ("export_target", "/srv/exports"),
    ("export_target", "file:///srv/../etc"),
    ("export_target", "https://bucket.example.com"),
    ("worker", "no"),
    ("mail_url", "mail.example.com"),
    ("mail_url", "http://mail.example.com"),
    ("mail_url", "smtp://"),
    ("mail_url", "smtp://user@mail.example.com"),
    ("mail_url", "smtp://user:s3cr3t/@mail.example.com"),
    ("mail_url", "smtp://user:s3cr3t#@mail.example.com"),
    ("mail_url", "smtp://user:s3cr3t@mail.example.com:0"),
    ("mail_url", "smtp://user:s3cr3t@mail.example.com:65536"),
    ("mail_url", "smtp://user:s3cr3t@[12]"),
    ("mail_url", "smtp://user:s3cr3t@mail..example.com"),
    ("mail_url", "smtp://user:s3cr3t%C3%A9@mail.example.com"),
    ("mail_url", "smtp://user:s3cr3t%0A@mail.example.com"),
    ("mail_url", "smtps://mail.example.com/path"),
    ("mail_url", "file://outbox"),
    ("mail_url", "file:///"),
    ("mail_from", "consent"),
    ("mail_from", "consent@"),
    ("mail_from", "consent@example.com, else@example.com"),
    ("mail_from", "Consent <consent@example.com>"),
    ("mail_from", "consent@example..com"),
    ("mail_from", "con..sent@example.com"),
    ("mail_from", "consént@example.com"),
    ("mail_from", f"{'c' * 65}@example.com"),
    ("mail_from", f"consent@{'example.' * 31}com"),
    ("witnesses_file", "/nowhere/witnesses"),
    ("limit_reads", "many"),
    ("limit_writes", "10 per fortnight"),
    ("limit_events", "often"),
    ("host", "localhost"),
    ("host", "127.0.0.1:8000"),
    ("port", "0"),
    ("port", "65536"),
    ("port", "http"),
    ("port", "-1"),
    ("workers", "0"),
    ("workers", "2.5"),
    ("log_level", "INFO"),
    ("demo", "yes"),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_setting_is_read_from_its_variable(name: str, text: str, value: object) -> None:
    together = {"CONSENT_MAIL_FROM": "consent@example.com"}
    assert getattr(load(together | {variable(name): text}), name) == value


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_setting_that_is_not_right_is_named_and_explained(name: str, text: str) -> None:
    with pytest.raises(OperatorError) as caught:
        load({"CONSENT_MAIL_FROM": "consent@example.com", variable(name): text})
    heading, problem = str(caught.value).splitlines()
    assert heading == "The settings are not right:"
    assert problem.startswith(f"  {variable(name)} ")
    assert any(word in problem for word in (" must be", " is not ", " names a file"))
    assert "s3cr3t" not in problem


def test_every_setting_is_tried_here() -> None:
    names = {row.name for row in fields(Settings)}
    assert {name for name, *_ in GOOD} == names
    # A path can hardly be wrong before it is used.
    assert {name for name, _ in BAD} == names - {"keys_file", "heads_folder"}


def test_all_problems_are_reported_at_once() -> None:
    environ = {variable(name): text for name, text in BAD} | {"CONSENT_PROT": "8000"}
    with pytest.raises(OperatorError) as caught:
        load(environ)
    named = [line.split()[0] for line in str(caught.value).splitlines()[1:]]
    assert named == sorted(environ)


@pytest.mark.parametrize("url", ["smtp://mail.example.com", "file:///var/outbox", "nonsense"])
def test_mail_needs_an_address_to_come_from(url: str) -> None:
    with pytest.raises(OperatorError, match="CONSENT_MAIL_FROM must be set where CONSENT_MAIL_URL"):
        load({"CONSENT_MAIL_URL": url, "CONSENT_MAIL_FROM": ""})


@pytest.mark.parametrize("name", ["CONSENT_PROT", "CONSENT_", "CONSENT_DATABASE"])
def test_a_variable_that_is_no_setting_is_a_problem(name: str) -> None:
    with pytest.raises(OperatorError, match=f"{name} is not a setting of this service"):
        load({name: "x"})


def test_other_programs_variables_and_empty_ones_do_not_matter() -> None:
    assert load({"PORT": "x", "consent_port": "x", "CONSENT_PORT": ""}) == Settings()


def test_keys_come_from_a_file_or_from_the_environment() -> None:
    both = {"CONSENT_KEYS": "{}", "CONSENT_KEYS_FILE": "keys.json"}
    with pytest.raises(OperatorError, match="CONSENT_KEYS and CONSENT_KEYS_FILE are both set"):
        load(both)
    assert load(both | {"CONSENT_KEYS": ""}).keys == ""
    assert load(both | {"CONSENT_KEYS_FILE": ""}).keys == "{}"


def test_settings_that_are_shown_hold_no_secret() -> None:
    shown = repr(
        load(
            {
                "CONSENT_DATABASE_URL": "postgresql://u:s3cr3t@h/db",
                "CONSENT_OWNER_DATABASE_URL": "postgresql://o:s3cr3t@h/db",
                "CONSENT_KEYS": '{"token": [{"secret": "s3cr3t"}]}',
                "CONSENT_REDIS_URL": "redis://:s3cr3t@cache:6379",
                "CONSENT_MAIL_URL": "smtp://user:s3cr3t@mail.example.com",
                "CONSENT_MAIL_FROM": "consent@example.com",
            }
        )
    )
    assert "consent@example.com" in shown
    assert "s3cr3t" not in shown


def test_settings_cannot_be_changed() -> None:
    settings = load({})
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]


def test_without_a_mapping_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENT_WORKERS", "7")
    assert load().workers == 7
