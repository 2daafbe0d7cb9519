"""Every entry gives the same answer: JSON, forward-auth, script, and a token at the edge."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from consent_service.access.actor import OPERATOR
from consent_service.access.keys import create_key
from consent_service.clock import new_visitor_id
from consent_service.consents import tokens
from consent_service.consents.tokens import ERASED, GRANTED, REFUSED, WITHDRAWN, Claims
from consent_service.gate.edge_verifier import status_list_uri, verify
from consent_service.regions.rules import Place, place_of, rule_for
from consent_service.regions.service import newest_rules
from consent_service.signing import Keyring
from tests.builders import Service, make_purpose, make_service
from tests.databases import PostgresDatabases
from tests.gate.model import ALLOWS, Situation, model

TOKEN_SECONDS = 3600

#: Site key → its own regime for visitors from nowhere known.
SITES = {"site_test": "opt_in", "site_object": "opt_out", "site_tell": "notice"}
CATEGORIES = {
    "session": "essential",
    "preferences": "preferences",
    "analytics": "analytics",
    "ads": "marketing",
}
MATERIAL_VERSION, NOTICE_VERSION = 2, 3

#: Where Werkzeug's client finds the service.
SERVICE = "http://localhost"


@dataclass(frozen=True)
class Visitor:
    """What the database holds of a visitor, and with it every process that has heard."""

    newest: int
    state: Claims | None


@dataclass(repr=False)
class House:
    """A service with three sites under different rules, and visitors of every kind on each."""

    service: Service
    fast: Client
    flask: Client
    #: (site, kind) → visitor id
    ids: dict[tuple[str, str], str]
    visitors: dict[str, Visitor]
    #: What a program of the tenant sends along.
    program: dict[str, str]

    @cached_property
    def keys(self) -> dict[str, Any]:
        """The service's public keys."""
        return Keyring(self.service.settings.keys_file).jwks()

    def signed(self, claims: Claims) -> str:
        """Return a token with any claims."""
        keys = Keyring(self.service.settings.keys_file)
        return tokens.write_token(claims, keys.signer(tokens.SALT))

    def claims(self, token: str) -> Claims:
        """Return what a token says."""
        signer = Keyring(self.service.settings.keys_file).signer(tokens.SALT)
        site_key = token.split("~")[1]
        found = tokens.read_token(token, site_key, signer)
        assert found is not None
        return found


def build_house(database_url: str, folder: Path) -> House:
    """Publish three notices on each site: first, materially changed, and with one purpose more."""
    service = make_service(database_url, folder, token_seconds=str(TOKEN_SECONDS))
    policy = {"version": "2026-06", "url": "https://example.com/privacy", "material": False}
    purposes = [
        make_purpose("session", "essential"),
        make_purpose("preferences", "preferences"),
        make_purpose(
            "analytics",
            "analytics",
            services=[
                {
                    "key": "pageviews",
                    "name": "Page views",
                    "provider": "Example Ltd",
                    "loader": "https://app.example.com/analytics.js?id=1&v=2",
                }
            ],
        ),
        make_purpose(
            "ads",
            "marketing",
            services=[
                {"key": "ads", "name": "Ads", "provider": "Example Ltd", "loader": "/ads.js"},
                {"key": "pixel", "name": "Pixel", "provider": "Example Ltd"},
            ],
        ),
    ]
    ids, visitors = {}, {}
    for key, regime in SITES.items():
        site = service.site
        if key != site.site_key:
            site = service.add_site(key, regime_overrides={"*": regime})
        service.publish(site)
        notice = service.publish(site, policy=policy, purposes=purposes)
        service = replace(service, notice=notice)

        def choose(
            *, grant: bool, token: str | None = None, gpc: bool = False, key: str = key
        ) -> str:
            response = service.choose(  # noqa: B023 - called in this turn of the loop
                {"analytics": grant, "preferences": not grant, "ads": False},
                token=token,
                site_key=key,
                gpc=gpc,
            )
            return str(response.get_json()["token"])

        house = House(
            service, service.client, Client(service.built.flask, use_cookies=False), {}, {}, {}
        )
        granter = choose(grant=True, token=choose(grant=False))
        refuser = choose(grant=False, token=choose(grant=True))
        eraser = choose(grant=True)
        service.client.delete(
            f"/v1/sites/{key}/consents/me",
            headers={"Origin": "https://app.example.com", "X-Consent-Token": eraser},
        )
        signaller = choose(grant=True, gpc=True)
        for kind, token in (
            ("granter", granter),
            ("signaller", signaller),
            ("refuser", refuser),
            ("eraser", eraser),
        ):
            claims = house.claims(token)
            ids[key, kind] = claims.visitor_id
            visitors[claims.visitor_id] = (
                Visitor(ERASED, None) if kind == "eraser" else Visitor(claims.sequence, claims)
            )
    service.built.followers.refresh()
    made = create_key(
        service.built.database, service.tenant.id, "Pipeline", ["gate:batch"], by=OPERATOR
    )
    return House(
        service,
        service.client,
        Client(service.built.flask, use_cookies=False),
        ids,
        visitors,
        {"Authorization": f"Bearer {made.secret}"},
    )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with ExitStack() as stack:
        if request.param == "sqlite":
            template = request.getfixturevalue("sqlite_template")
            url = f"sqlite:///{shutil.copy(template, folder / 'consent.db')}"
        else:
            databases: PostgresDatabases = request.getfixturevalue("postgresql_databases")
            template = request.getfixturevalue("postgresql_template")
            url = stack.enter_context(databases.fresh(template)).served
        house = build_house(url, folder)
        built = house.service.built
        stack.callback(built.database.close)
        # As in production: a service that hears nothing denies.
        built.followers.start()
        stack.callback(built.followers.stop)
        yield house


@dataclass(frozen=True)
class Asked:
    """A visitor and what is asked about them."""

    site_key: str
    purposes: list[str]
    country: str | None
    #: What the header Sec-GPC says, and what the page says in the query.
    header: str | None
    said: str | None
    #: Who holds the token; ``stranger`` is in no database, None holds none.
    visitor: str | None
    forged: bool
    held_in: str
    sequence: int
    notice_version: int
    age: int
    expires_in: int
    informed: bool
    choices: dict[str, str]

    @property
    def gpc(self) -> bool:
        """Whether the signal is on: one of the two says so, and neither can take that back."""
        return "1" in {self.header, self.said}

    def claims(self, house: House) -> Claims | None:
        """Return what the visitor's token says, or None if they hold none."""
        if self.visitor is None:
            return None
        now = int(time.time())
        return Claims(
            site_key=self.site_key,
            visitor_id=house.ids.get((self.site_key, self.visitor)) or new_visitor_id(),
            record_id="0190a7c0-0000-7000-8000-000000000000",
            sequence=self.sequence,
            notice_version=self.notice_version,
            issued_at=now - self.age,
            expires_at=now + self.expires_in,
            gpc=self.informed,
            choices=self.choices,
        )

    def request(self, token: str | None, site_key: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return headers, and what the layers in front leave in the environment."""
        headers = {"Sec-GPC": self.header} if self.header is not None else {}
        if token and self.held_in == "header":
            headers["X-Consent-Token"] = token
        elif token:
            name = f"cookie_consent_{site_key.removeprefix('site_')}"
            headers["Cookie"] = f"theme=dark; {name}={token}; {name}_choices=1~3"
        return headers, {"consent.country": self.country} if self.country else {}

    def expected(self, house: House, claims: Claims | None) -> dict[str, str]:
        """Return what the contract says, given what the database holds."""
        rules = newest_rules()
        overrides = {"*": SITES[self.site_key]}
        rule = rule_for(rules, Place(self.country) if self.country else Place(), overrides)
        held = house.visitors.get(claims.visitor_id, Visitor(0, None)) if claims else None
        situation = Situation(
            presented=claims is not None,
            claims=None if self.forged else claims,
            newest=held.newest if held else 0,
            now=int(time.time()),
            material_version=MATERIAL_VERSION,
            rule=rule,
            gpc=self.gpc,
        )
        if held and not self.forged and self.age >= TOKEN_SECONDS and self.expires_in > 0:
            # The database is asked, and its word counts instead of the token's.
            situation = replace(
                situation,
                claims=held.state or claims,
                known=held.newest > 0,
            )
        return {key: model(situation, key, CATEGORIES[key]) for key in self.purposes}


@dataclass(frozen=True)
class AskedByIds:
    """Visitors and what a program asks about them."""

    site_key: str
    purpose: str
    region: str | None
    kinds: list[str]

    def expected(self, house: House, visitor: str, kind: str) -> str:
        """Return what the contract says, given what the database holds."""
        held = house.visitors.get(visitor, Visitor(0, None))
        rule = rule_for(newest_rules(), place_of(self.region), {"*": SITES[self.site_key]})
        claims = held.state or tokens.of_nobody(self.site_key, visitor)
        situation = Situation(
            claims=claims,
            newest=held.newest if kind == "eraser" else 0,
            known=kind != "stranger",
            now=int(time.time()),
            material_version=MATERIAL_VERSION,
            rule=rule,
            gpc=claims.gpc,
        )
        return model(situation, self.purpose, CATEGORIES[self.purpose])


by_ids = st.builds(
    AskedByIds,
    site_key=st.sampled_from(list(SITES)),
    purpose=st.sampled_from(list(CATEGORIES)),
    region=st.sampled_from([None, "TZ", "US", "US-CA", "XX"]),
    kinds=st.lists(
        st.sampled_from(["stranger", "granter", "signaller", "refuser", "eraser"]),
        min_size=1,
        max_size=6,
    ),
)

questions = st.builds(
    Asked,
    site_key=st.sampled_from(list(SITES)),
    purposes=st.lists(st.sampled_from(list(CATEGORIES)), min_size=1, max_size=5),
    country=st.sampled_from([None, "TZ", "US", "XX"]),
    header=st.sampled_from([None, "1", "0"]),
    said=st.sampled_from([None, "1", "0"]),
    visitor=st.sampled_from([None, "stranger", "granter", "refuser", "eraser"]),
    forged=st.sampled_from([False, False, False, True]),
    held_in=st.sampled_from(["header", "cookie"]),
    sequence=st.integers(1, 3),
    notice_version=st.integers(1, 3),
    age=st.sampled_from([-5, 0, TOKEN_SECONDS - 60, TOKEN_SECONDS, 10 * TOKEN_SECONDS]),
    expires_in=st.sampled_from([-10_000, 0, 10_000]),
    informed=st.booleans(),
    choices=st.dictionaries(
        st.sampled_from(["preferences", "analytics", "ads"]),
        st.sampled_from([GRANTED, REFUSED, WITHDRAWN]),
    ),
)


def unrenewed(response: TestResponse) -> set[tuple[str, str]]:
    """Return the headers, but for a new token: no two are the same."""
    new = {"X-Consent-Token", "Set-Cookie"}
    return {(name, value) for name, value in response.headers.items() if name not in new}


@given(asked=questions)
def test_every_entry_gives_the_answer_of_the_contract(house: House, asked: Asked) -> None:
    claims = asked.claims(house)
    token = house.signed(claims) if claims else None
    if token and asked.forged:
        token = token[:-1]
    headers, environ = asked.request(token, asked.site_key)

    said = {"gpc": asked.said} if asked.said is not None else {}

    def ask(client: Client, entry: str = "", **query: str | list[str]) -> TestResponse:
        return client.get(
            f"/v1/gate{entry}",
            query_string={"site": asked.site_key, **query, **said},
            headers=headers,
            environ_overrides=environ,
        )

    expected = asked.expected(house, claims)
    allowed = set(expected.values()) <= ALLOWS
    answer = ask(house.fast, purpose=asked.purposes)
    assert answer.status_code == 200
    body = answer.get_json()
    assert {key: said["reason"] for key, said in body["decisions"].items()} == expected
    assert {key: said["allow"] for key, said in body["decisions"].items()} == {
        key: reason in ALLOWS for key, reason in expected.items()
    }
    assert body["allow"] is allowed
    assert list(body["decisions"]) == list(dict.fromkeys(asked.purposes))
    assert (body["gpc"], body["notice_version"]) == (asked.gpc, NOTICE_VERSION)

    behind = ask(house.flask, purpose=asked.purposes)
    assert (behind.status_code, behind.data) == (200, answer.data)
    assert unrenewed(answer) <= unrenewed(behind)

    for entry, query in (
        ("/auth", {"purpose": asked.purposes}),
        ("/script", {"service": "ads"}),
    ):
        assert unrenewed(ask(house.fast, entry, **query)) <= unrenewed(
            ask(house.flask, entry, **query)
        )

    denied = next((why for why in expected.values() if why not in ALLOWS), None)
    for client in (house.fast, house.flask):
        auth = ask(client, "/auth", purpose=asked.purposes)
        assert (auth.status_code, auth.headers.get("X-Consent-Reason"), auth.data) == (
            204 if allowed else 403,
            denied,
            b"",
        )
        for service, purpose, loader in (
            ("pageviews", "analytics", "https://app.example.com/analytics.js?id=1&v=2"),
            ("ads", "ads", "/ads.js"),
        ):
            why = ask(client, purpose=purpose).get_json()["decisions"][purpose]["reason"]
            script = ask(client, "/script", service=service)
            if why in ALLOWS:
                assert (script.status_code, script.headers["Location"]) == (302, loader)
                assert script.data == b""
            else:
                assert (script.status_code, script.mimetype) == (200, "text/javascript")
                assert script.get_data(as_text=True) == f"/* not loaded: {why} */\n"
                assert "Location" not in script.headers


@settings(max_examples=50)
@given(asked=questions)
def test_an_edge_server_gives_the_answer_of_the_contract(house: House, asked: Asked) -> None:
    claims = asked.claims(house)
    token = house.signed(claims) if claims else None
    if token and asked.forged:
        token = token[:-1]
    headers, environ = asked.request(token, asked.site_key)
    query = {
        "site": asked.site_key,
        "purpose": asked.purposes,
        **({"gpc": asked.said} if asked.said is not None else {}),
    }
    answer = house.fast.get(
        "/v1/gate/token", query_string=query, headers=headers, environ_overrides=environ
    )
    assert answer.status_code == 200, answer.get_data(as_text=True)
    edge_token = answer.get_json()["token"]
    address = status_list_uri(edge_token, issuer=SERVICE)
    assert address is not None
    verdict = verify(
        edge_token,
        issuer=SERVICE,
        audience=asked.site_key,
        keys=house.keys,
        status_list=house.fast.get(address).get_data(as_text=True),
        now=time.time(),
        gpc=asked.gpc,
    )
    expected = asked.expected(house, claims)
    assert verdict.failure is None
    assert verdict.decisions == {key: reason in ALLOWS for key, reason in expected.items()}


@given(asked=by_ids)
def test_a_program_that_asks_by_ids_gets_the_answer_of_the_contract(
    house: House, asked: AskedByIds
) -> None:
    ids = [house.ids.get((asked.site_key, kind)) or new_visitor_id() for kind in asked.kinds]
    answer = house.service.client.post(
        "/v1/gate/batch",
        json={
            "site": asked.site_key,
            "purpose": asked.purpose,
            "visitors": ids,
            **({"region": asked.region} if asked.region else {}),
        },
        headers=house.program,
    )
    assert answer.status_code == 200, answer.get_data(as_text=True)
    decisions = answer.get_json()["decisions"]
    assert decisions.keys() == set(ids)
    for visitor, kind in zip(ids, asked.kinds, strict=True):
        reason = asked.expected(house, visitor, kind)
        assert decisions[visitor] == {"allow": reason in ALLOWS, "reason": reason}, kind
        state = house.visitors.get(visitor, Visitor(0, None)).state
        if state is not None and asked.region in {None, "TZ", "US"}:
            # The visitor asks too, with a token that was renewed a moment ago.
            token = house.signed(state._replace(issued_at=int(time.time())))
            own = house.fast.get(
                "/v1/gate",
                query_string={"site": asked.site_key, "purpose": asked.purpose},
                headers={"X-Consent-Token": token, "Sec-GPC": str(int(state.gpc))},
                environ_overrides={"consent.country": asked.region} if asked.region else {},
            ).get_json()
            assert own["decisions"][asked.purpose] == decisions[visitor]
            assert own["regime"] == answer.get_json()["regime"]
