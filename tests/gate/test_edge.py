"""Edge tokens: what they say, what takes them back, and what is kept of them."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from consent_service import clock, db, worker
from consent_service.consents import tokens
from consent_service.gate import edge
from consent_service.gate.decision import ALLOWING, Reason
from consent_service.gate.edge_token import (
    LIST_SECONDS,
    LIST_TTL_SECONDS,
    UNCHOSEN_SECONDS,
    is_revocable,
    token_life,
)
from consent_service.gate.edge_verifier import Verdict, status_list_uri, verify
from consent_service.gate.service import STALE_SECONDS
from consent_service.signing import Keyring
from consent_service.tenants.service import all_sites
from tests.builders import ORIGIN, Service, make_service
from tests.queries import queries

SERVICE = "http://localhost"
REASONS = [word for name, word in vars(Reason).items() if name.isupper()]

#: What each decision is about, and when: visitors who choose alike at the same time share it.
COMMON = {"iss", "aud", "iat", "exp", "decisions", "regime", "notice_version", "gpc"}


def part(signed: str, which: int) -> dict[str, Any]:
    """Return the header (0) or the claims (1) of a JWT."""
    text = signed.split(".")[which]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return said


def ask(
    service: Service,
    *purposes: str,
    token: str | None = None,
    site_key: str = "site_test",
    **headers: str,
) -> TestResponse:
    """Ask for an edge token."""
    held = {"X-Consent-Token": token} if token else {}
    return service.client.get(
        "/v1/gate/token",
        query_string={"site": site_key, "purpose": list(purposes)},
        headers={**held, **headers},
    )


def issued(
    service: Service, *purposes: str, token: str | None = None, site_key: str = "site_test"
) -> str:
    """Return an edge token."""
    response = ask(service, *(purposes or ["analytics"]), token=token, site_key=site_key)
    assert response.status_code == 200, response.get_data(as_text=True)
    return str(response.get_json()["token"])


def status_list(service: Service, edge_token: str) -> str:
    """Return the list that a token names."""
    address = status_list_uri(edge_token, issuer=SERVICE)
    assert address is not None
    response = service.client.get(address)
    assert response.status_code == 200, response.get_data(as_text=True)
    return response.get_data(as_text=True)


def decide(service: Service, edge_token: str, site_key: str = "site_test") -> Verdict:
    """Decide as an edge server does that has just fetched everything."""
    return verify(
        edge_token,
        issuer=SERVICE,
        audience=site_key,
        keys=service.client.get("/.well-known/jwks.json").get_json(),
        status_list=status_list(service, edge_token),
        now=time.time(),
    )


@dataclass
class Clocks:
    """How far the clocks of this process are ahead of what they show."""

    uptime: float = 0
    now: timedelta = timedelta()


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks to set: the one that shows how long, and the one that shows when."""
    ahead, uptime, now = Clocks(), db.uptime, clock.now
    monkeypatch.setattr(db, "uptime", lambda: uptime() + ahead.uptime)
    monkeypatch.setattr(clock, "now", lambda: now() + ahead.now)
    return ahead


# What a token says


def test_a_token_says_what_the_gate_says(shared: Service) -> None:
    held = shared.token()
    before = int(time.time())
    response = ask(shared, "session", "preferences", "analytics", token=held)
    token, expires_at = response.get_json()["token"], response.get_json()["expires_at"]
    header, said = part(token, 0), part(token, 1)
    answer = shared.ask("session", "preferences", "analytics", token=held).get_json()
    (key,) = shared.client.get("/.well-known/jwks.json").get_json()["keys"]
    assert header == {"alg": "Ed25519", "typ": "consent-gate+jwt", "kid": key["kid"]}
    assert said.keys() == COMMON | {"status"}
    assert (said["iss"], said["aud"]) == (SERVICE, "site_test")
    assert said["decisions"] == answer["decisions"]
    for member in ("regime", "notice_version", "gpc"):
        assert said[member] == answer[member]
    assert before <= said["iat"] <= time.time()
    assert said["exp"] == said["iat"] + 300
    assert clock.from_rfc3339(expires_at).timestamp() == said["exp"]
    assert decide(shared, token) == Verdict(
        {"session": True, "preferences": False, "analytics": True}
    )


def test_without_a_purpose_it_speaks_of_all_that_the_notice_asks_about(shared: Service) -> None:
    response = ask(shared, token=shared.token())
    assert part(response.get_json()["token"], 1)["decisions"] == {
        "preferences": {"allow": False, "reason": "refused"},
        "analytics": {"allow": True, "reason": "granted"},
    }


def test_nobody_keeps_the_answer_and_the_sites_pages_may_read_it(shared: Service) -> None:
    response = ask(shared, "analytics", Origin=ORIGIN)
    assert response.headers["Cache-Control"] == "no-store"
    gate = shared.ask("analytics", headers={"Origin": ORIGIN})
    for name in ("Vary", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"):
        assert response.headers[name] == gate.headers[name]
    foreign = ask(shared, "analytics", Origin="https://elsewhere.example")
    assert "Access-Control-Allow-Origin" not in foreign.headers


def test_what_is_not_well_put_is_refused(shared: Service) -> None:
    assert ask(shared, "nothing").get_json()["error"]["code"] == "validation_failed"
    assert ask(shared, site_key="site_none").get_json()["error"]["code"] == "unknown_site"


@pytest.mark.parametrize(
    ("headers", "query"), [({"Sec-GPC": "1"}, {}), ({}, {"gpc": "1"})], ids=["header", "page"]
)
def test_the_signal_is_weighed(
    shared: Service, headers: dict[str, str], query: dict[str, str]
) -> None:
    response = shared.client.get(
        "/v1/gate/token",
        query_string={"site": "site_test", **query},
        headers={"X-Consent-Token": shared.token(), **headers},
    )
    said = part(response.get_json()["token"], 1)
    assert said["decisions"]["analytics"] == {"allow": False, "reason": "gpc"}
    assert said["gpc"] is True


def test_an_old_token_of_the_visitor_is_renewed_on_the_way(shared: Service) -> None:
    signer = Keyring(shared.settings.keys_file).signer(tokens.SALT)
    claims = tokens.read_token(shared.token(), "site_test", signer)
    assert claims is not None
    old = claims._replace(issued_at=claims.issued_at - shared.settings.token_seconds)
    response = ask(shared, "analytics", token=tokens.write_token(old, signer))
    renewed = tokens.read_token(response.headers["X-Consent-Token"], "site_test", signer)
    assert renewed is not None
    assert (renewed.visitor_id, renewed.sequence) == (claims.visitor_id, claims.sequence)
    assert decide(shared, response.get_json()["token"]).decisions == {"analytics": True}


# For how long


@pytest.mark.parametrize(
    ("reasons", "left", "expected"),
    [
        (["granted"], 9999, 300),
        (["granted"], 300, 300),
        (["granted"], 299, 256),
        (["refused", "withdrawn"], 60, 32),
        (["granted", "opt_out_default"], 9999, 300),
        (["granted"], 1, 1),
        (["granted"], 0, 0),
        (["no_choice"], None, UNCHOSEN_SECONDS),
        (["opt_out_default"], None, UNCHOSEN_SECONDS),
        (["opt_out_default"], 9999, UNCHOSEN_SECONDS),
        (["state_stale"], 9999, UNCHOSEN_SECONDS),
        (["expired"], -5, UNCHOSEN_SECONDS),
        (["essential"], None, UNCHOSEN_SECONDS),
    ],
)
def test_a_token_lasts_as_long_as_what_it_rests_on(
    reasons: list[str], left: int | None, expected: int
) -> None:
    assert token_life(reasons, left, 300) == expected


@given(
    reasons=st.lists(st.sampled_from(REASONS), min_size=1),
    left=st.none() | st.integers(min_value=-10, max_value=10_000),
    longest=st.integers(min_value=30, max_value=3600),
)
def test_no_token_outlasts_its_choice_or_tells_when_that_expires(
    reasons: list[str], left: int | None, longest: int
) -> None:
    life = token_life(reasons, left, longest)
    assert 0 <= life <= longest
    chosen = not {"granted", "refused", "withdrawn"}.isdisjoint(reasons)
    if not chosen:
        assert life <= UNCHOSEN_SECONDS
    elif left is not None:
        assert life <= max(0, left)
        assert life in {longest, 0} | {1 << power for power in range(12)}


@given(reasons=st.lists(st.sampled_from(REASONS)))
def test_what_allows_by_choice_or_default_can_be_taken_back(reasons: list[str]) -> None:
    assert is_revocable(reasons) == bool(set(reasons) & (ALLOWING - {Reason.ESSENTIAL}))


def test_the_operator_says_how_long_a_token_lasts(sqlite_url: str, tmp_path: Path) -> None:
    service = make_service(sqlite_url, tmp_path, edge_token_seconds="30")
    for held in (service.token(), None):
        said = part(issued(service, token=held), 1)
        assert said["exp"] - said["iat"] == 30
    service.built.database.close()


def test_a_process_that_hears_nothing_denies_for_a_minute(service: Service, clocks: Clocks) -> None:
    held = service.token()
    clocks.uptime = STALE_SECONDS + 1
    token = issued(service, token=held)
    said = part(token, 1)
    assert said["decisions"] == {"analytics": {"allow": False, "reason": "state_stale"}}
    assert said["exp"] - said["iat"] == UNCHOSEN_SECONDS
    address = status_list_uri(token, issuer=SERVICE)
    assert address is not None
    assert service.client.get(address).status_code == 503
    service.built.followers.refresh()
    assert service.client.get(address).status_code == 200


# Nobody is known by it


def members(said: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Give each value in a token with the way to it."""
    if isinstance(said, dict):
        for name, value in said.items():
            yield from members(value, f"{path}/{name}")
    else:
        yield path, said


choices = st.fixed_dictionaries({"analytics": st.booleans(), "preferences": st.booleans()})


@settings(max_examples=15)
@given(choice=choices, again=st.booleans())
def test_two_tokens_of_a_visitor_share_what_two_visitors_tokens_share(
    shared: Service, choice: dict[str, bool], *, again: bool
) -> None:
    one, other = (shared.choose(choice).get_json()["token"] for _ in range(2))
    if again:
        one = shared.choose(choice, token=one).get_json()["token"]
    first, second, others = (
        part(issued(shared, "analytics", "preferences", token=held), 1)
        for held in (one, one, other)
    )

    def same(a: dict[str, Any], b: dict[str, Any]) -> set[str]:
        return {way for way, _ in set(members(a)) & set(members(b))} - {"/iat", "/exp"}

    # A place that happens to be the same one in another list would be no tie.
    assert same(first, second) == same(first, others)
    assert "/status/status_list/idx" not in same(first, second)
    text = json.dumps([first, second])
    _, _, visitor, record, *_ = one.split("~")
    assert visitor not in text
    assert record not in text


def test_of_whom_nothing_can_be_taken_back_no_id_is_kept(service: Service) -> None:
    service.add_site("site_object", regime_overrides={"*": "opt_out"})
    for site_key in ("site_test", "site_object"):
        issued(service, site_key=site_key)
    issued(service, token=service.token(analytics=False))
    issued(service, "preferences", "session", token=service.token())
    assert [row["visitor_id"] for row in service.rows("edge_tokens")] == [None] * 4
    held = service.token()
    issued(service, token=held)
    (kept,) = {row["visitor_id"] for row in service.rows("edge_tokens")} - {None}
    assert kept == held.split("~")[2]


# What takes it back


def erase(service: Service, held: str) -> None:
    service.client.delete(
        "/v1/sites/site_test/consents/me", headers={"Origin": ORIGIN, "X-Consent-Token": held}
    )


def merge(service: Service, held: str) -> None:
    service.link(token=service.token(analytics=False))
    linked = service.link(token=held)
    assert linked.status_code == 200, linked.get_data(as_text=True)


CHANGES: dict[str, Callable[[Service, str], object]] = {
    "a withdrawal": lambda service, held: service.token(token=held, analytics=False),
    "a choice that grants it again": lambda service, held: service.token(token=held),
    "erasure": erase,
    "becoming another visitor by signing in": merge,
    "a notice that changed materially": lambda service, _: service.publish(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_token_counts_no_more_after(service: Service, clocks: Clocks, change: str) -> None:
    held, bystander = service.token(), service.token()
    token, other = issued(service, token=held), issued(service, token=bystander)
    before = decide(service, token)
    assert before.decisions == {"analytics": True}
    CHANGES[change](service, held)
    clocks.uptime += edge.KEPT_SECONDS
    assert decide(service, token) == Verdict(failure="revoked")
    concerns_all = "notice" in change
    assert decide(service, other).failure == ("revoked" if concerns_all else None)


def test_a_token_counts_no_more_however_many_others_have_changed_their_choice(
    service: Service, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "_FEW", 1)
    changers = [service.token() for _ in range(3)]
    made = [issued(service, token=held) for held in (*changers, service.token())]
    for held in changers:
        service.token(token=held, analytics=False)
    clocks.uptime += edge.KEPT_SECONDS
    assert [decide(service, token).failure for token in made] == [*["revoked"] * 3, None]


def test_a_token_counts_as_before_after_a_notice_that_is_worded_better(
    service: Service, clocks: Clocks
) -> None:
    token = issued(service, token=service.token())
    policy = {"version": "2026-04", "url": "https://example.com/privacy", "material": False}
    service.publish(policy=policy)
    clocks.uptime += edge.KEPT_SECONDS
    assert decide(service, token).decisions == {"analytics": True}


def test_a_token_that_was_issued_on_an_outdated_choice_never_counts(service: Service) -> None:
    """Another process may not have heard of the withdrawal yet when it issues the token."""
    held = service.token()
    service.token(token=held, analytics=False)
    token = issued(service, token=held)
    assert part(token, 1)["decisions"]["analytics"]["allow"] is True
    assert decide(service, token) == Verdict(failure="revoked")


def test_a_token_without_a_choice_ends_with_the_notice(service: Service, clocks: Clocks) -> None:
    site = service.add_site("site_object", regime_overrides={"*": "opt_out"})
    token = issued(service, site_key="site_object")
    assert decide(service, token, "site_object").decisions == {"analytics": True}
    service.publish(site)
    clocks.uptime += edge.KEPT_SECONDS
    assert decide(service, token, "site_object") == Verdict(failure="revoked")


# The list


def test_a_list_is_a_status_list_token(shared: Service) -> None:
    token = issued(shared, token=shared.token())
    reference = part(token, 1)["status"]["status_list"]
    response = shared.client.get(reference["uri"])
    assert response.content_type == "application/statuslist+jwt"
    signed = response.get_data(as_text=True)
    header, said = part(signed, 0), part(signed, 1)
    assert (header["alg"], header["typ"]) == ("Ed25519", "statuslist+jwt")
    assert said["sub"] == reference["uri"]
    assert said["exp"] - said["iat"] == LIST_SECONDS <= 60
    assert said["ttl"] == LIST_TTL_SECONDS <= 10
    assert said["status_list"]["bits"] == 1
    assert time.time() - edge.KEPT_SECONDS - 1 <= said["iat"] <= time.time()


def test_anybody_may_read_a_list_and_keep_it_for_its_time(shared: Service) -> None:
    address = part(issued(shared), 1)["status"]["status_list"]["uri"]
    response = shared.client.get(address, headers={"Origin": "https://edge.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cache-Control"] == f"public, max-age={LIST_TTL_SECONDS}"
    assert response.headers["Vary"] == "Accept-Encoding"


def test_a_long_list_is_sent_compressed_to_who_takes_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, clocks: Clocks
) -> None:
    monkeypatch.setattr(edge, "PLACES", 1 << 17)
    held = service.token()
    many = [issued(service, token=held) for _ in range(3)]
    address = status_list_uri(many[0], issuer=SERVICE)
    assert address is not None
    monkeypatch.setattr("consent_service.gate.routes._WORTH_PACKING", 100)
    clocks.uptime += edge.KEPT_SECONDS
    plain = service.client.get(address)
    packed = service.client.get(address, headers={"Accept-Encoding": "gzip, br"})
    refused = service.client.get(address, headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in refused.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert part(gzip.decompress(packed.data).decode(), 1) == part(plain.text, 1)


def test_there_is_no_list_of_another_moment_or_of_another_site(shared: Service) -> None:
    address = part(issued(shared), 1)["status"]["status_list"]["uri"]
    past = shared.client.get(f"{address}&time=1686925000")
    assert (past.status_code, past.get_json()["error"]["code"]) == (501, "no_history")
    for elsewhere in (
        address.replace("site_test", "site_object"),
        f"/v1/gate/status/{clock.new_id()}?site=site_test",
    ):
        found = shared.client.get(elsewhere)
        assert (found.status_code, found.get_json()["error"]["code"]) == (
            404,
            "unknown_status_list",
        )
    assert shared.client.get("/v1/gate/status/7?site=site_test").status_code == 404
    assert shared.client.get(address.partition("?")[0]).status_code == 404


def test_a_list_is_computed_once_in_two_seconds(service: Service, clocks: Clocks) -> None:
    token = issued(service, token=service.token())
    with queries(lambda statement: "min(edge_tokens" in statement) as asked:
        first = [status_list(service, token) for _ in range(3)]
        assert len(asked) == 1
        clocks.uptime += edge.KEPT_SECONDS - 0.5
        status_list(service, token)
        assert len(asked) == 1
        clocks.uptime += 0.5
        status_list(service, token)
        assert len(asked) == 2
    assert len(set(first)) == 1


def test_no_place_is_given_twice_and_a_full_list_is_followed_by_another(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "PLACES", 16)
    for _ in range(24):
        issued(service)
    rows = service.rows("edge_tokens")
    places = [(row["list_id"], row["place"]) for row in rows]
    assert len(set(places)) == 24
    lists = service.rows("status_lists")
    assert 2 <= len(lists) <= 4
    assert all(0 <= row["place"] < 16 for row in rows)


def test_many_may_ask_at_once(service: Service) -> None:
    held = [service.token() for _ in range(2)] * 8
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda token: issued(service, token=token), held))
    references = [part(token, 1)["status"]["status_list"] for token in made]
    assert len({(each["uri"], each["idx"]) for each in references}) == len(made)
    assert all(decide(service, token).decisions == {"analytics": True} for token in made)


def test_a_site_has_lists_of_its_own(service: Service) -> None:
    service.add_site("site_other")
    one, other = issued(service), issued(service, site_key="site_other")
    assert status_list_uri(one, issuer=SERVICE) != status_list_uri(other, issuer=SERVICE)
    assert status_list_uri(one, issuer=SERVICE) == status_list_uri(issued(service), issuer=SERVICE)


def test_a_list_closes_and_is_forgotten_with_its_tokens(service: Service, clocks: Clocks) -> None:
    database = service.built.database

    def forget() -> bool:
        jobs = worker.jobs(database, service.use(Keyring), service.settings)
        (job,) = (job for job in jobs if job.name == "forget edge tokens")
        return job.run(all_sites(database))

    held = service.token()
    first = issued(service, token=held)
    clocks.now = timedelta(seconds=edge.OPEN_SECONDS - 1)
    assert not forget()
    assert len(service.rows("edge_tokens")) == 1
    clocks.now = timedelta(seconds=edge.OPEN_SECONDS + 1)
    second = issued(service, token=held)
    assert status_list_uri(first, issuer=SERVICE) != status_list_uri(second, issuer=SERVICE)
    # The moments in rows are those of the process's other clock: the second one expires with the
    # first, but its list is open.
    clocks.now += timedelta(seconds=60)
    assert forget()
    assert [row["list_id"] for row in service.rows("edge_tokens")] == [
        row["id"] for row in service.rows("status_lists")
    ]
    address = status_list_uri(first, issuer=SERVICE)
    assert address is not None
    clocks.uptime += edge.KEPT_SECONDS
    assert service.client.get(address).status_code == 404
    assert status_list(service, second)


def test_a_closed_list_stays_while_a_token_in_it_counts(
    service: Service, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "OPEN_SECONDS", 1)
    database = service.built.database
    token = issued(service, token=service.token())
    clocks.now = timedelta(seconds=200)
    assert edge.forget_expired(database, all_sites(database))
    clocks.now = timedelta()
    assert decide(service, token).decisions == {"analytics": True}
    clocks.now = timedelta(seconds=400)
    assert edge.forget_expired(database, all_sites(database))
    assert service.rows("edge_tokens") == service.rows("status_lists") == []
    assert not edge.forget_expired(database, all_sites(database))


def test_tokens_are_limited_as_writes_are_and_use_up_nothing_of_theirs(
    sqlite_url: str, tmp_path: Path
) -> None:
    service = make_service(sqlite_url, tmp_path, limit_writes="2 per day")
    assert [ask(service).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(service, Origin=ORIGIN)
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert service.choose().status_code == 201
    assert len(service.rows("edge_tokens")) == 2
    service.built.database.close()
