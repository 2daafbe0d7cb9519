"""A tenant's identity provider: its set-up, and signing in there, for that tenant and no other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from consent_service.access.actor import OPERATOR, Actor
from consent_service.access.attempts import Caller
from consent_service.access.auth import PLAIN_COOKIE
from consent_service.access.providers import Back, Providers
from consent_service.access.sign_in import SecondStep, SignedIn
from consent_service.errors import (
    NotInvited,
    ProviderNotBelieved,
    ProviderUnavailable,
    StepExpired,
    UnknownProvider,
)
from consent_service.tenants.service import Tenant, create_tenant
from tests.access.provider import CLIENT_ID, CLIENT_SECRET, Provider, unsigned
from tests.builders import Service, make_service
from tests.members import CLIENT, NETWORK, Member, add_member, join, sign_in

ADDRESS = "/v1/tenants/example/identity-provider"
BACK = "http://127.0.0.1/console/sign-in/provider/back"


@pytest.fixture
def local(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service that takes a provider on this machine for one."""
    made = make_service(database_url, tmp_path, demo="1")
    yield made
    made.built.database.close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that does everything right."""
    with Provider() as running:
        yield running


def set_up(
    owner: Member,
    provider: Provider,
    tenant: str = "example",
    **changes: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Set the provider up; return what the service answers."""
    body = {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "revision": 0,
        **changes,
    }
    answer = owner.put(f"/v1/tenants/{tenant}/identity-provider", json=body)
    found: dict[str, Any] = answer.get_json()
    return found


def caller() -> Caller:
    return Caller(Actor("user", None, network=NETWORK, client=CLIENT))


def go(service: Service, provider: Provider, tenant: Tenant | None = None) -> Back:
    """Go to the provider and sign in there; return what the browser brings back."""
    tenant_id = (tenant or service.tenant).id
    address, state = service.use(Providers).begin(tenant_id, BACK, "/console/")
    back = provider.authorize(address)
    assert back["state"] == state
    return Back(state, back["code"], None)


def come_back(service: Service, back: Back) -> SignedIn | SecondStep:
    done, path = service.use(Providers).finish(back, caller())
    assert path == "/console/"
    return done


def session_of(member: Member, done: SignedIn | SecondStep) -> Member:
    """Have the member's client hold the session that has begun."""
    assert isinstance(done, SignedIn)
    member.client.set_cookie(PLAIN_COOKIE, done.token)
    return member


def test_a_member_whom_the_provider_vouches_for_is_signed_in(
    local: Service, provider: Provider
) -> None:
    set_up(sign_in(local), provider)
    member = add_member(local, "auditor", email="Amina@Example.com")
    provider.email = "amina@example.COM"
    session_of(member, come_back(local, go(local, provider)))
    assert member.session.second_factor is None
    assert member.session.provider_of == local.tenant.id
    # The role can change nothing, so it needs no second factor.
    assert member.get("/v1/tenants/example/users").status_code == 200


def test_a_role_that_changes_things_needs_a_second_factor_that_the_provider_asked_for(
    local: Service, provider: Provider
) -> None:
    set_up(sign_in(local), provider)
    member = add_member(local, "owner", email=provider.email)
    session_of(member, come_back(local, go(local, provider)))
    refused = member.get("/v1/tenants/example/users").get_json()["error"]
    assert refused["code"] == "second_factor_required"
    provider.claims = {"amr": ["pwd", "mfa"]}
    session_of(member, come_back(local, go(local, provider)))
    assert member.session.second_factor == "provider"
    assert member.get("/v1/tenants/example/users").status_code == 200


def test_without_one_at_the_provider_ones_own_second_factor_follows(
    local: Service, provider: Provider
) -> None:
    set_up(sign_in(local), provider)
    member = sign_in(local, "owner", email=provider.email)
    totp = member.post("/v1/account/totp").get_json()
    code = pyotp.TOTP(totp["secret"]).at(int(time.time()) - 30)
    member.put("/v1/account/totp", json={"step": totp["step"], "code": code})
    due = come_back(local, go(local, provider))
    assert isinstance(due, SecondStep)
    assert due.methods == ("totp",)
    member.client.delete_cookie(PLAIN_COOKIE)
    member.client.set_cookie("consent_step", due.step)
    code = pyotp.TOTP(totp["secret"]).now()
    assert member.client.post("/v1/sign-in/totp", json={"code": code}).status_code == 200
    assert member.session.provider_of == local.tenant.id
    assert member.session.second_factor == "totp"


def test_nobody_comes_in_uninvited(local: Service, provider: Provider) -> None:
    other = create_tenant(local.built.database, "other", "Other Ltd", by=OPERATOR)
    owner = sign_in(local)
    set_up(owner, provider)
    provider.email = "stranger@example.com"
    with pytest.raises(NotInvited, match="invite you"):
        come_back(local, go(local, provider))
    add_member(local, "owner", other, email="stranger@example.com")
    with pytest.raises(NotInvited):
        come_back(local, go(local, provider))
    ended = add_member(local, "analyst", email="ended@example.com")
    owner.delete(f"/v1/tenants/example/users/{ended.user_id}")
    provider.email = "ended@example.com"
    with pytest.raises(NotInvited):
        come_back(local, go(local, provider))
    assert len(local.rows("sessions")) == 1


def test_a_provider_opens_its_tenant_alone(local: Service, provider: Provider) -> None:
    other = create_tenant(local.built.database, "other", "Other Ltd", by=OPERATOR)
    set_up(sign_in(local), provider)
    member = add_member(local, "auditor", email=provider.email)
    join(member, other, "owner")
    provider.claims = {"amr": ["mfa"]}
    session_of(member, come_back(local, go(local, provider)))
    assert member.get("/v1/tenants/example/users").status_code == 200
    refused = member.get("/v1/tenants/other/users")
    assert refused.status_code == 403
    assert refused.get_json()["error"]["code"] == "own_sign_in_required"
    # Nor does its word change how the user signs in.
    for answer in (
        member.put("/v1/account/password", json={"password": "seven green lorries"}),
        member.post("/v1/account/totp"),
        member.post("/v1/account/passkeys/options"),
        member.post("/v1/account/recovery-codes"),
        member.patch("/v1/account", json={"name": "Somebody else"}),
        member.delete("/v1/account/sessions"),
    ):
        assert answer.get_json()["error"]["code"] == "own_sign_in_required"
    # And it hears nothing of the user's other tenants.
    told = member.get("/v1/account").get_json()["tenants"]
    assert [tenant["slug"] for tenant in told] == ["example"]


def test_where_the_provider_is_required_a_password_opens_nothing(
    local: Service, provider: Provider
) -> None:
    owner = sign_in(local, email=provider.email)
    made = set_up(owner, provider)
    early = set_up(owner, provider, required=True, revision=1)
    assert "Sign in at this provider yourself first" in str(early["error"]["fields"]["required"])
    provider.claims = {"amr": ["mfa"]}
    token = owner.token
    session_of(owner, come_back(local, go(local, provider)))
    assert set_up(owner, provider, required=True, revision=made["revision"])["required"] is True
    assert owner.get(ADDRESS).status_code == 200
    assert token
    owner.client.set_cookie(PLAIN_COOKIE, token)
    assert owner.get(ADDRESS).get_json()["error"]["code"] == "provider_required"


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "x"}, {"aud": "x"}, {"exp": 1}, {"email_verified": False}],
    ids=str,
)
def test_an_answer_that_is_not_right_signs_nobody_in(
    local: Service, provider: Provider, claims: dict[str, Any]
) -> None:
    set_up(sign_in(local), provider)
    add_member(local, "owner", email=provider.email)
    provider.claims = claims
    with pytest.raises(ProviderNotBelieved):
        come_back(local, go(local, provider))
    provider.claims, provider.sign = {}, unsigned
    with pytest.raises(ProviderNotBelieved):
        come_back(local, go(local, provider))
    assert len(local.rows("sessions")) == 1


def test_an_answer_counts_once(local: Service, provider: Provider) -> None:
    set_up(sign_in(local), provider)
    add_member(local, "auditor", email=provider.email)
    back = go(local, provider)
    come_back(local, back)
    for again in (back, Back("made up", back.code, None)):
        with pytest.raises(StepExpired):
            come_back(local, again)


def test_an_answer_of_another_issuer_is_not_believed(local: Service, provider: Provider) -> None:
    owner = sign_in(local)
    set_up(owner, provider)
    add_member(local, "auditor", email=provider.email)
    back = go(local, provider)
    with pytest.raises(ProviderNotBelieved):
        come_back(local, Back(back.state, back.code, "https://other.example.com"))
    # Nor one that was begun at the provider that there was before.
    back = go(local, provider)
    with Provider(email=provider.email) as second:
        assert set_up(owner, second, revision=1)["revision"] == 2
        with pytest.raises(ProviderNotBelieved):
            come_back(local, back)


def test_a_provider_that_is_away_is_said_to_be(local: Service) -> None:
    owner = sign_in(local)
    with Provider() as gone:
        set_up(owner, gone)
        back = go(local, gone)
        checked = owner.post(f"{ADDRESS}/check")
        assert checked.get_json()["authorization_endpoint"] == f"{gone.issuer}/authorize"
    with pytest.raises(ProviderUnavailable):
        go(local, gone)
    with pytest.raises(ProviderUnavailable):
        come_back(local, back)
    checked = owner.post(f"{ADDRESS}/check")
    assert checked.status_code == 502
    assert checked.get_json()["error"]["code"] == "provider_unavailable"


def test_a_tenant_without_a_provider_has_none(local: Service) -> None:
    owner = sign_in(local)
    for answer in (owner.get(ADDRESS), owner.delete(ADDRESS), owner.post(f"{ADDRESS}/check")):
        assert answer.status_code == 404
        assert answer.get_json()["error"]["code"] == "unknown_provider"
    with pytest.raises(UnknownProvider):
        local.use(Providers).begin(local.tenant.id, BACK, "/console/")


def test_the_secret_is_shown_to_nobody_and_stands_nowhere(
    local: Service, provider: Provider
) -> None:
    owner = sign_in(local)
    shown = [set_up(owner, provider), owner.get(ADDRESS).get_json()]
    shown.append(set_up(owner, provider, client_secret=None, client_id="x", revision=1))
    assert shown[1] == {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "required": False,
        "revision": 1,
    }
    owner.delete(ADDRESS)
    events = [r for r in local.rows("audit_events") if r["object_kind"] == "identity_provider"]
    assert [event["action"].partition(".")[2] for event in events] == [
        "created",
        "updated",
        "removed",
    ]
    assert CLIENT_SECRET not in str([shown, events, local.rows("identity_providers")])


def test_a_secret_stays_when_it_is_left_out_but_goes_to_no_other_provider(
    local: Service, provider: Provider
) -> None:
    owner = sign_in(local)
    add_member(local, "auditor", email=provider.email)
    refused = set_up(owner, provider, client_secret=None)
    assert list(refused["error"]["fields"]) == ["client_secret"]
    set_up(owner, provider)
    set_up(owner, provider, client_secret=None, revision=1)
    come_back(local, go(local, provider))
    other = set_up(owner, provider, client_secret=None, revision=2, issuer="http://127.0.0.1:1")
    assert list(other["error"]["fields"]) == ["client_secret"]


def test_two_who_set_it_up_do_not_overwrite_each_other(local: Service, provider: Provider) -> None:
    owner = sign_in(local)
    set_up(owner, provider)
    for revision in (0, 7):
        stale = set_up(owner, provider, revision=revision, client_id="mine")
        assert stale["error"]["code"] == "stale"
        assert stale["current"]["client_id"] == CLIENT_ID
        assert stale["sent"]["client_id"] == "mine"


@pytest.mark.parametrize(
    "issuer", ["http://login.example.com", "https://a.example?x", "login.example.com", "file:///x"]
)
def test_a_provider_is_at_an_https_address(local: Service, provider: Provider, issuer: str) -> None:
    refused = set_up(sign_in(local), provider, issuer=issuer)
    assert list(refused["error"]["fields"]) == ["issuer"]


def test_outside_the_demo_a_provider_on_this_machine_is_none(
    service: Service, provider: Provider
) -> None:
    refused = set_up(sign_in(service), provider)
    assert list(refused["error"]["fields"]) == ["issuer"]


@pytest.mark.parametrize("role", ["dpo", "developer", "analyst", "auditor"])
def test_only_an_owner_sets_it_up(local: Service, provider: Provider, role: str) -> None:
    sign_in(local)
    member = sign_in(local, role)
    refused = set_up(member, provider)
    assert refused["error"]["fields"] == {"permission": ["sign_in:write"]}
    assert member.delete(ADDRESS).status_code == 403
    assert member.post(f"{ADDRESS}/check").status_code == 403


def test_another_tenants_provider_is_as_good_as_not_there(
    local: Service, provider: Provider
) -> None:
    other = create_tenant(local.built.database, "other", "Other Ltd", by=OPERATOR)
    theirs = sign_in(local, "owner", other)
    set_up(theirs, provider, "other")
    owner = sign_in(local)
    assert owner.get("/v1/tenants/other/identity-provider").status_code == 404
    assert set_up(owner, provider, "other")["error"]["code"] == "unknown_tenant"
    assert owner.get(ADDRESS).status_code == 404
    assert theirs.get("/v1/tenants/other/identity-provider").status_code == 200
