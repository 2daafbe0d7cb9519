"""Tokens too old to be believed: the database is asked, and the visitor gets a new one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from consent_service import db
from consent_service.clock import new_visitor_id
from consent_service.consents import tokens
from consent_service.consents.tokens import Claims
from consent_service.signing import Keyring
from tests.builders import ORIGIN, Service, make_service
from tests.queries import queries

#: The default: a day.
TOKEN_SECONDS = 86_400
COOKIE = "cookie_consent_test"


@dataclass
class Ager:
    """Makes tokens as old as the test wants them."""

    service: Service

    @property
    def _keys(self) -> Keyring:
        return Keyring(self.service.settings.keys_file)

    def read(self, token: str) -> Claims:
        """Return what a token says."""
        claims = tokens.read_token(token, "site_test", self._keys.signer(tokens.SALT))
        assert claims is not None
        return claims

    def aged(self, token: str, seconds: int = TOKEN_SECONDS, **changes: Any) -> str:  # noqa: ANN401
        """Return the same token as it would have been issued so long ago."""
        claims = self.read(token)._replace(issued_at=int(time.time()) - seconds, **changes)
        return tokens.write_token(claims, self._keys.signer(tokens.SALT))


@pytest.fixture
def ager(service: Service) -> Ager:
    return Ager(service)


def reason(response: TestResponse) -> str:
    return str(response.get_json()["decisions"]["analytics"]["reason"])


def cookies(response: TestResponse) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    for header in response.headers.getlist("Set-Cookie"):
        jar.load(header)
    return {name: morsel.value for name, morsel in jar.items()}


def test_an_old_token_is_answered_and_renewed(service: Service, ager: Ager) -> None:
    token = service.token()
    response = service.ask(token=ager.aged(token), headers={"Origin": ORIGIN})
    assert reason(response) == "granted"
    renewed = response.headers["X-Consent-Token"]
    assert ager.read(renewed) == ager.read(token)._replace(issued_at=ager.read(renewed).issued_at)
    assert time.time() - ager.read(renewed).issued_at < TOKEN_SECONDS
    # In the header for pages that hold it themselves, and in the cookies for all others.
    assert "X-Consent-Token" in response.headers["Access-Control-Expose-Headers"]
    assert cookies(response) == {
        COOKIE: renewed,
        f"{COOKIE}_choices": tokens.readable_choices(ager.read(renewed)),
    }


def test_only_an_old_token_costs_a_look_into_the_database(service: Service, ager: Ager) -> None:
    young = service.token()
    old = ager.aged(young)
    with queries(lambda statement: not statement.startswith("BEGIN")) as asked:
        for token in (None, young, "forged", ager.aged(young, expires_at=1)):
            service.ask("analytics", "session", token=token)
            service.ask(token=token, entry="/auth")
        assert asked == []
        renewed = service.ask(token=old).headers["X-Consent-Token"]
        assert len(asked) == 1
        response = service.ask(token=renewed)
        assert len(asked) == 1
    assert reason(response) == "granted"
    assert "X-Consent-Token" not in response.headers


def test_a_token_is_renewed_when_its_time_is_over_and_no_sooner(
    service: Service, ager: Ager
) -> None:
    token = service.token()
    assert "X-Consent-Token" not in service.ask(token=ager.aged(token, TOKEN_SECONDS - 30)).headers
    assert "X-Consent-Token" in service.ask(token=ager.aged(token, TOKEN_SECONDS)).headers


def test_the_operator_says_how_long_a_token_is_believed(sqlite_url: str, tmp_path: Path) -> None:
    service = make_service(sqlite_url, tmp_path, token_seconds="60")
    token = Ager(service).aged(service.token(), 60)
    assert "X-Consent-Token" in service.ask(token=token).headers
    service.built.database.close()


@pytest.mark.parametrize(("entry", "status"), [("/auth", 204), ("/script", 302)])
def test_every_entry_renews(service: Service, ager: Ager, entry: str, status: int) -> None:
    token = ager.aged(service.token())
    response = service.client.get(
        f"/v1/gate{entry}?site=site_test&purpose=analytics&service=pageviews",
        headers={"Cookie": f"{COOKIE}={token}"},
    )
    assert response.status_code == status
    assert ager.read(response.headers["X-Consent-Token"]).visitor_id == token.split("~")[2]
    assert set(cookies(response)) == {COOKIE, f"{COOKIE}_choices"}


@pytest.mark.parametrize(("granted", "expected"), [(True, "granted"), (False, "withdrawn")])
def test_the_newest_choice_counts_not_the_old_tokens(
    service: Service,
    ager: Ager,
    granted: bool,  # noqa: FBT001
    expected: str,
) -> None:
    old = service.token(analytics=True)
    middle = service.token(token=old, analytics=False)
    newest = service.token(token=middle, analytics=granted)
    for token in (old, middle, newest):
        response = service.ask(token=ager.aged(token))
        assert reason(response) == expected
        assert ager.read(response.headers["X-Consent-Token"]).sequence == 3


def test_a_choice_on_an_older_notice_is_asked_again(service: Service, ager: Ager) -> None:
    token = service.token()
    service.publish()
    response = service.ask(token=ager.aged(token))
    assert reason(response) == "notice_changed"


def test_the_signal_counts_for_an_old_token_too(service: Service, ager: Ager) -> None:
    token = ager.aged(service.token())
    assert reason(service.ask(token=token, headers={"Sec-GPC": "1"})) == "gpc"


def test_an_erased_visitor_stays_erased(service: Service, ager: Ager) -> None:
    token = service.token()
    headers = {"Origin": ORIGIN, "X-Consent-Token": token}
    service.client.delete("/v1/sites/site_test/consents/me", headers=headers)
    response = service.ask(token=ager.aged(token))
    assert reason(response) == "erased"
    assert "X-Consent-Token" not in response.headers
    assert not cookies(response)


def test_a_visitor_of_another_database_is_unknown(service: Service, ager: Ager) -> None:
    """As after a restore from a backup that is older than the visitor."""
    token = ager.aged(service.token(), visitor_id=new_visitor_id())
    response = service.ask("analytics", "session", token=token)
    assert reason(response) == "unknown_visitor"
    assert response.get_json()["decisions"]["session"] == {"allow": True, "reason": "essential"}
    assert "X-Consent-Token" not in response.headers


def test_an_expired_choice_is_expired_however_old_the_token(service: Service, ager: Ager) -> None:
    token = ager.aged(service.token(), expires_at=int(time.time()) - 1)
    response = service.ask(token=token)
    assert reason(response) == "expired"
    assert "X-Consent-Token" not in response.headers


def test_an_old_token_of_another_site_asks_nothing_of_the_database(
    service: Service, ager: Ager
) -> None:
    service.add_site("site_other")
    response = service.ask(token=ager.aged(service.token()), site_key="site_other")
    assert reason(response) == "invalid_token"
    assert "X-Consent-Token" not in response.headers


def test_many_may_renew_at_once(service: Service, ager: Ager) -> None:
    old = [ager.aged(service.token()) for _ in range(4)] * 8
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda token: service.ask(token=token), old))
    for token, response in zip(old, answers, strict=True):
        assert reason(response) == "granted"
        renewed = ager.read(response.headers["X-Consent-Token"])
        assert (renewed.visitor_id, renewed.sequence) == (ager.read(token).visitor_id, 1)


def test_asking_the_database_is_limited_and_asking_memory_is_not(
    sqlite_url: str, tmp_path: Path
) -> None:
    service = make_service(sqlite_url, tmp_path, limit_reads="1 per minute")
    ager, token = Ager(service), service.token()
    assert service.ask(token=ager.aged(token)).status_code == 200
    refused = service.ask(token=ager.aged(token))
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    for _ in range(5):
        assert reason(service.ask(token=token)) == "granted"
    service.built.database.close()


# A process that hears nothing


@pytest.mark.parametrize("entry", ["", "/auth", "/script"])
def test_a_process_that_heard_nothing_for_thirty_seconds_denies(
    service: Service, ager: Ager, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    heard, now = db.uptime(), 0.0
    monkeypatch.setattr(db, "uptime", lambda: heard + now)
    service.built.followers.refresh()
    token = service.token()

    def answers() -> list[TestResponse]:
        query = {"site": "site_test", "purpose": "analytics", "service": "pageviews"}
        return [
            service.client.get(
                f"/v1/gate{entry}", query_string=query, headers={"X-Consent-Token": held}
            )
            for held in (token, ager.aged(token))
        ]

    allowed = {"": 200, "/auth": 204, "/script": 302}[entry]
    now = 30.0
    for response in answers():
        assert response.status_code == allowed
        assert b"state_stale" not in response.data
    now = 30.5
    for response in answers():
        assert response.status_code == (403 if entry == "/auth" else 200)
        said = response.get_data(as_text=True) + response.headers.get("X-Consent-Reason", "")
        assert "state_stale" in said
    service.built.followers.refresh()
    for response in answers():
        assert response.status_code == allowed


def test_essential_purposes_run_in_a_process_that_hears_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = db.uptime()
    monkeypatch.setattr(db, "uptime", lambda: heard + 3600)
    answer = service.ask("session", "analytics").get_json()
    assert {key: said["reason"] for key, said in answer["decisions"].items()} == {
        "session": "essential",
        "analytics": "state_stale",
    }
    assert service.ask("session", entry="/auth").status_code == 204


def test_silence_denies_where_visitors_may_object(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add_site("site_object", regime_overrides={"*": "opt_out"})
    assert reason(service.ask(site_key="site_object")) == "opt_out_default"
    heard = db.uptime()
    monkeypatch.setattr(db, "uptime", lambda: heard + 31)
    assert reason(service.ask(site_key="site_object")) == "state_stale"
