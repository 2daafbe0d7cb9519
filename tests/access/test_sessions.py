"""Sessions begin, are renewed and end, and only their hashes are stored."""

from __future__ import annotations

from datetime import datetime, timedelta

from consent_service.access import sessions
from consent_service.access.sessions import IDLE, LONGEST, find_session
from consent_service.db import Database, Scope
from consent_service.signing import sha256
from tests.access.conftest import Clock
from tests.builders import Service
from tests.members import CLIENT, NETWORK, Member, sign_in


def alive(member: Member) -> bool:
    """Say whether the member is still signed in."""
    assert member.token
    return find_session(member.service.use(Database), member.token) is not None


def test_whoever_holds_the_token_is_the_user(service: Service) -> None:
    member = sign_in(service, second_factor="passkey")
    assert member.session.user_id == member.user_id
    assert member.session.second_factor == "passkey"
    assert find_session(service.use(Database), "another") is None


def test_the_database_cannot_give_a_session_away(service: Service) -> None:
    member = sign_in(service)
    (row,) = service.rows("sessions")
    assert member.token
    assert len(member.token) >= 43
    assert member.token not in str(dict(row))
    assert bytes(row["token_hash"]) == sha256(member.token.encode())


def test_a_session_that_nobody_uses_ends(service: Service, move: Clock) -> None:
    member = sign_in(service)
    move(IDLE - timedelta(minutes=2))
    assert alive(member)
    move(2 * IDLE - timedelta(minutes=5))
    assert alive(member)
    move(3 * IDLE)
    assert not alive(member)


def test_a_session_ends_however_much_it_is_used(service: Service, move: Clock) -> None:
    member = sign_in(service)
    step = timedelta(hours=11)
    passed = step
    while passed < LONGEST:
        move(passed)
        assert alive(member)
        passed += step
    move(LONGEST + timedelta(minutes=1))
    assert not alive(member)


def test_proving_again_gives_another_token_and_the_old_one_opens_nothing(service: Service) -> None:
    member = sign_in(service, second_factor=None)
    before = member.session
    member.prove_long_ago()
    with service.use(Database).transaction(Scope.ACCOUNTS) as connection:
        token = sessions.renew(connection, before, "totp")
    assert not alive(member)
    now = find_session(service.use(Database), token)
    assert now is not None
    assert now.id == before.id
    assert now.second_factor == "totp"
    assert now.authenticated_at >= before.authenticated_at


def test_a_user_sees_their_own_sessions_and_no_address(service: Service) -> None:
    member, other = sign_in(service), sign_in(service)
    (seen,) = sessions.of_user(service.use(Database), member.user_id)
    assert seen.id == member.session.id != other.session.id
    assert (seen.network, seen.client) == (NETWORK, CLIENT)
    assert isinstance(seen.created_at, datetime)


def test_nobody_ends_the_session_of_somebody_else(service: Service) -> None:
    member, other = sign_in(service), sign_in(service)
    with service.use(Database).transaction(Scope.ACCOUNTS) as connection:
        assert not sessions.end(connection, member.user_id, other.session.id)
        sessions.end_others(connection, member.session)
    assert alive(other)
    assert alive(member)
