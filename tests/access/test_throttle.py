"""Who tries too often waits; nobody can make another wait."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from limits.storage import MemoryStorage, RedisStorage
from redis import Redis

from consent_service.access.throttle import Throttle
from consent_service.errors import TooManyAttempts
from tests import servers
from tests.access.people import PASSWORD, make_person, make_person_with_totp
from tests.access.test_sign_in import error
from tests.builders import Service, make_service

WRONG = "another heron altogether"


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds by which the clock that limits are counted by is ahead."""
    ahead = [0.0]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    return ahead


def waits(throttle: Throttle, *subject: str) -> int:
    """Try, and return for how many seconds it is refused."""
    try:
        throttle.count(*subject)
    except TooManyAttempts as refused:
        return refused.seconds
    return 0


def test_waits_grow_from_a_minute_to_a_day(wall: list[float]) -> None:
    throttle = Throttle(MemoryStorage())
    attempts, pauses = 0, [0]
    while pauses[-1] <= 3600:
        seconds = waits(throttle, "a")
        if seconds:
            pauses.append(seconds)
            wall[0] += seconds
        else:
            attempts += 1
    assert attempts == 20
    longest = [max(pauses[:count]) for count in range(2, len(pauses) + 1)]
    assert 50 <= longest[0] <= 60
    assert [seconds for seconds in longest if 3000 <= seconds <= 3600]
    assert 70_000 <= longest[-1] <= 86_400
    assert waits(throttle, "a") == 0


def test_a_success_forgets_what_was_before(wall: list[float]) -> None:
    assert wall == [0.0]
    throttle = Throttle(MemoryStorage())
    for _ in range(10):
        for _ in range(4):
            assert waits(throttle, "a") == 0
        throttle.forget("a")


def test_after_five_wrong_passwords_the_right_one_waits_too(service: Service) -> None:
    person = make_person(service)
    for _ in range(5):
        assert error(person.sign_in(password=WRONG)) == (403, "wrong_credentials")
    refused = person.sign_in()
    assert error(refused) == (429, "too_many_attempts")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert person.signed_in() is None


def test_who_has_no_account_waits_as_long(service: Service) -> None:
    person = make_person(service)
    answers = [
        [person.sign_in(email=email, password=WRONG) for _ in range(6)]
        for email in (person.member.email, "nobody@example.com")
    ]
    statuses = [[answer.status_code for answer in half] for half in answers]
    assert statuses[0] == statuses[1] == [403] * 5 + [429]


def test_many_guesses_at_once_are_no_way_around(service: Service) -> None:
    person = make_person(service)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: person.sign_in(password=WRONG), range(12)))
    assert sorted(answer.status_code for answer in answers) == [403] * 5 + [429] * 7


def test_somebody_elsewhere_locks_no_one_out(service: Service) -> None:
    person = make_person(service)
    for _ in range(6):
        person.sign_in(address="198.51.100.7", password=WRONG)
    assert person.sign_in(address="198.51.100.7").status_code == 429
    assert person.sign_in(address="203.0.113.9").status_code == 200


def test_somebody_in_the_same_network_does_not_lock_out_a_known_device(service: Service) -> None:
    person = make_person(service)
    person.sign_in()
    person.sign_out()
    known = person.client
    person.another_browser()
    for _ in range(6):
        person.sign_in(password=WRONG)
    assert person.sign_in().status_code == 429
    person.client = person.member.client = known
    assert person.sign_in().status_code == 200


def test_a_device_is_known_for_its_own_user_only(service: Service) -> None:
    person, stranger = make_person(service), make_person(service)
    stranger.sign_in()
    for _ in range(5):
        stranger.sign_in(email=person.member.email, password=WRONG)
    # A device's cookie of one's own is no fresh count against somebody else.
    assert stranger.sign_in(email=person.member.email).status_code == 429
    forged = stranger.client.get_cookie("consent_device")
    assert forged
    _, _, signature = forged.value.rpartition(".")
    stranger.client.set_cookie("consent_device", f"{person.member.user_id}~a.{signature}")
    assert stranger.sign_in(email=person.member.email).status_code == 429


def test_one_address_does_not_try_many_accounts(service: Service) -> None:
    person = make_person(service)
    # Bodies that no password is looked at for: looking takes its time.
    empty = [service.client.post("/v1/sign-in", json={}).status_code for _ in range(60)]
    assert empty == [422] * 60
    assert error(person.sign_in()) == (429, "too_many_requests")
    assert service.client.post("/console/sign-in").status_code == 429
    assert service.client.get("/console/sign-in").status_code == 200
    assert person.sign_in(address="198.51.100.7").status_code == 200


def test_wrong_codes_are_counted_wherever_they_come_from(service: Service) -> None:
    person = make_person_with_totp(service)
    for number in range(5):
        person.another_browser()
        address = f"198.51.{number}.7"
        person.sign_in(address=address)
        wrong = person.sign_in("/totp", address=address, code="000000")
        assert error(wrong) == (403, "wrong_code")
    refused = person.sign_in("/totp", address="198.51.4.7", code=person.code())
    assert error(refused) == (429, "too_many_attempts")
    assert person.events().count("user.sign_in_failed") == 5


def test_attempts_are_counted_over_all_processes(redis_url: str) -> None:
    one, other = (Throttle(RedisStorage(redis_url)) for _ in range(2))
    assert [waits(one, "a") for _ in range(3)] == [0, 0, 0]
    assert [waits(other, "a") for _ in range(2)] == [0, 0]
    assert 1 <= waits(other, "a") <= 60
    assert waits(one, "b") == 0
    one.forget("a")
    assert waits(other, "a") == 0


def test_what_is_counted_by_holds_no_address(
    sqlite_url: str, tmp_path: Path, redis_url: str
) -> None:
    service = make_service(sqlite_url, tmp_path, redis_url=redis_url)
    person = make_person(service)
    person.sign_in(password=WRONG)
    with Redis.from_url(redis_url) as client:
        kept = [key.decode() for key in client.scan_iter()]
    assert kept
    assert not [key for key in kept if person.member.email in key or "192.0.2.1" in key]
    service.built.database.close()


def test_without_its_valkey_each_process_counts_for_itself(sqlite_url: str, tmp_path: Path) -> None:
    with servers.valkey() as url:
        service = make_service(sqlite_url, tmp_path, redis_url=url)
        person = make_person(service)
        assert person.sign_in().status_code == 200
        person.another_browser()
    for _ in range(5):
        assert error(person.sign_in(password=WRONG)) == (403, "wrong_credentials")
    assert error(person.sign_in(password=PASSWORD)) == (429, "too_many_attempts")
    service.built.database.close()
