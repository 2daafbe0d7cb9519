"""Witnesses cosign what only grew; whatever they say or do, nothing unproven is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text

from consent_service import clock
from consent_service.db import Scope
from consent_service.ledger import store, witnesses
from consent_service.ledger.publishing import Publishing, ledger_keys
from consent_service.ledger.service import MOST_BEHIND, prove
from consent_service.ledger.witness_protocol import parse_witnesses
from consent_service.ledger.witnesses import Asking, Patience
from consent_service.signing import rotate
from tests.builders import Service
from tests.ledger.growing import Growing
from tests.ledger.outside import read_checkpoint, read_note, verifier_key
from tests.ledger.witness import Call, Instead, Witness, running
from tests.servers import wait_until

#: Long enough for a busy machine; a test that waits for it to pass says a shorter one.
PATIENT = Patience(30, 30, 30)


@pytest.fixture
def growing(furnished_sqlite_template: Path, tmp_path: Path) -> Iterator[Growing]:
    found = Growing.at(furnished_sqlite_template, tmp_path)
    found.add(3)
    yield found
    found.database.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the end of a round, however busy the machine is."""
    monkeypatch.setattr(witnesses, "ROUND_SECONDS", 30)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again in the next round who has refused in this one."""
    monkeypatch.setattr(witnesses, "REFUSED_SECONDS", 0.0)


@pytest.fixture
def witness(growing: Growing, tmp_path: Path) -> Iterator[Witness]:
    with running(Witness(tmp_path)) as found:
        introduce(growing, found)
        yield found


def introduce(growing: Growing, witness: Witness) -> None:
    """Give a witness the keys of the ledger."""
    keys = ledger_keys(growing.database, growing.keys, growing.tenant_id)
    witness.trust(*(key.text for key in keys))


def asking(growing: Growing, *asked: Witness, patience: Patience = PATIENT) -> Asking:
    lines = "\n".join(each.line for each in asked)
    return Asking(growing.database, parse_witnesses(lines), patience)


def ask(growing: Growing, *asked: Witness, patience: Patience = PATIENT) -> bool:
    """Have a worker that was just started ask, once."""
    return asking(growing, *asked, patience=patience).run([growing.site])


def cosigned(growing: Growing, witness: Witness) -> int | None:
    """Return the largest size that is cosigned; its cosignature is served, and verifies."""
    ledger = growing.ledger()
    with growing.database.reading(growing.tenant_id) as connection:
        size = store.newest_cosigned(connection, ledger, witness.name)
    if size is not None:
        publishing = Publishing(growing.database, growing.keys)
        note = read_note(str(publishing.checkpoint(growing.tenant_id, 1, cosigned=True)).encode())
        assert read_checkpoint(note.text)[1] == size
        assert note.cosigned_at(verifier_key(witness.key))
    return size


def test_a_witness_cosigns_each_head_of_a_growing_ledger(
    growing: Growing, witness: Witness
) -> None:
    worker = asking(growing, witness)
    for size in (3, 4, 256, 300):
        growing.grow_to(size)
        assert worker.run([growing.site]) is True
        assert cosigned(growing, witness) == size
        assert worker.run([growing.site]) is False
    # It was told each time what it knew, and asked no more than needed.
    assert witness.olds == [0, 3, 4, 256]


def test_only_sizes_hashes_and_signatures_leave_the_house(
    growing: Growing, witness: Witness
) -> None:
    ask(growing, witness)
    growing.grow_to(9)
    ask(growing, witness)
    for body in witness.bodies:
        head, _, note = body.decode().partition("\n\n")
        assert note.startswith(f"consent-service/{growing.tenant_id}/1\n")
        assert all(len(line) == 44 for line in head.split("\n")[1:])


def test_a_cosigned_checkpoint_is_served_on_either_database(
    service: Service, tmp_path: Path
) -> None:
    growing = Growing.of(service)
    growing.add(3)
    prefix = f"/v1/ledgers/{growing.tenant_id}/1"
    assert service.client.get(f"{prefix}/checkpoint?cosigned=1").status_code == 404
    with running(Witness(tmp_path)) as first, running(Witness(tmp_path, "another/w")) as second:
        for each in (first, second):
            introduce(growing, each)
        assert ask(growing, first, second)
        growing.add(1)
        head = read_note(service.client.get(f"{prefix}/checkpoint").data)
        note = read_note(service.client.get(f"{prefix}/checkpoint?cosigned=1").data)
        assert [read_checkpoint(each.text)[1] for each in (head, note)] == [4, 3]
        assert len(head.signatures) == 1
        for each in (first, second):
            assert note.cosigned_at(verifier_key(each.key))
        pages = service.client.get(f"{prefix}/checkpoints").get_json()["checkpoints"]
        assert [len(read_note(each["note"].encode()).signatures) for each in pages] == [3, 1]


def test_an_answer_that_is_lost_on_its_way_is_asked_for_again(
    growing: Growing, witness: Witness
) -> None:
    witness.after = hang_up
    assert not ask(growing, witness)
    assert cosigned(growing, witness) is None
    witness.after = None
    # Restarted, it knows what it has cosigned; the ledger's own size counts as well as a smaller.
    assert ask(growing, witness)
    assert witness.olds == [0, 0, 3]
    assert cosigned(growing, witness) == 3
    witness.after = hang_up
    growing.grow_to(5)
    ask(growing, witness)
    growing.grow_to(7)
    witness.after = None
    assert ask(growing, witness)
    assert witness.olds[3:] == [3, 3, 5]
    assert cosigned(growing, witness) == 7


def test_a_witness_goes_on_after_a_restart(growing: Growing, tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    introduce(growing, witness)
    with running(witness):
        assert ask(growing, witness)
    growing.grow_to(8)
    worker = asking(growing, witness)
    assert not worker.run([growing.site])
    with running(witness):
        assert worker.run([growing.site])
    assert witness.olds == [0, 3]


def test_a_witness_that_has_lost_all_is_told_from_the_beginning(
    growing: Growing, witness: Witness
) -> None:
    assert ask(growing, witness)
    witness.forget()
    growing.grow_to(8)
    assert ask(growing, witness)
    assert witness.olds == [0, 3, 0]
    assert cosigned(growing, witness) == 8


def test_the_newest_key_but_one_is_enough_for_a_witness(
    growing: Growing, witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate(tmp_path / "keys.json", "record")
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=2))
    growing.keys.refresh()
    growing.grow_to(4)
    assert ask(growing, witness)
    rotate(tmp_path / "keys.json", "record")
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=4))
    growing.keys.refresh()
    growing.grow_to(5)
    assert not ask(growing, witness)
    introduce(growing, witness)
    assert ask(growing, witness)


def fork(growing: Growing, witness: Witness, size: int, seed: bytes = b"x" * 32) -> None:
    """Have the witness have seen another tree of this size."""
    witness.remember(growing.ledger().origin, size, seed)


@pytest.mark.parametrize(
    ("seen", "grown_to"),
    [
        # A backup older than what was published was restored,
        (5, 3),
        # and has since grown as far, or farther, in another way.
        (5, 5),
        (5, 9),
    ],
)
def test_a_ledger_that_a_witness_contradicts_is_suspended(
    growing: Growing, witness: Witness, caplog: pytest.LogCaptureFixture, seen: int, grown_to: int
) -> None:
    assert ask(growing, witness)
    growing.grow_to(grown_to)
    fork(growing, witness, seen)
    assert not ask(growing, witness)
    assert growing.ledger().suspended_at is not None
    (error,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert error.message.startswith("ledger suspended")
    assert vars(error)["witness"] == witness.name
    # Nothing more is written to it, and nobody asked about it.
    growing.add(1)
    assert growing.ledger().size == grown_to
    asked = len(witness.bodies)
    ask(growing, witness)
    assert len(witness.bodies) == asked


def test_a_witness_that_contradicts_itself_suspends_nothing(
    growing: Growing, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    """It has signed the root for us that it now says it does not know."""
    assert ask(growing, witness)
    growing.grow_to(9)
    fork(growing, witness, 3)
    assert not ask(growing, witness)
    assert growing.ledger().suspended_at is None
    assert "does not go on" in vars(caplog.records[-1])["reason"]
    assert cosigned(growing, witness) == 3


def test_what_another_worker_was_quicker_to_have_cosigned_is_no_contradiction(
    growing: Growing, witness: Witness
) -> None:
    """It adds to the ledger, and has that cosigned, while this one's call is on its way."""

    def overtake(call: Call) -> bool:
        del call
        witness.instead = None
        growing.grow_to(6)
        assert ask(growing, witness)
        return False

    witness.instead = overtake
    assert not ask(growing, witness)
    assert growing.ledger().suspended_at is None
    assert cosigned(growing, witness) == 6


def test_two_workers_that_ask_at_once_keep_one_cosignature(
    growing: Growing, witness: Witness
) -> None:
    workers = [asking(growing, witness) for _ in range(4)]
    threads = [Thread(target=worker.run, args=([growing.site],)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert growing.ledger().suspended_at is None
    assert cosigned(growing, witness) == 3


def forged(witness: Witness) -> Instead:
    """Answer with a line that is the witness's in all but the signature."""

    def answer(call: Call) -> bool:
        line = witness.cosign("another text\n")
        call.answer(200, f"{line}\n")
        return True

    return answer


def somebody_elses(witness: Witness) -> Instead:
    """Answer with what another one of the same name has signed."""
    other = Witness(Path(), witness.name)

    def answer(call: Call) -> bool:
        body = witness.bodies[-1].decode().partition("\n\n")[2]
        call.answer(200, f"{other.cosign(read_note(body.encode()).text)}\n")
        return True

    return answer


def saying(
    status: int, body: str = "", kind: str = "text/plain", **more: str
) -> Callable[[Witness], Instead]:
    def answers(_: Witness) -> Instead:
        def answer(call: Call) -> bool:
            call.answer(status, body, kind, **more)
            return True

        return answer

    return answers


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (forged, "does not verify"),
        (somebody_elses, "not signed with the key"),
        (saying(200), "not signed with the key"),
        (saying(200, "— witness.example/w1 AAAA\n\n\0\nno line at all"), "not signed with the key"),
        (saying(200, "—" * 20_000), "not signed with the key"),
        (saying(409, "3\n"), "status 409"),
        (saying(409, "three\n", "text/x.tlog.size"), "status 409"),
        (saying(409, "03\n", "text/x.tlog.size"), "status 409"),
        (saying(409, "9" * 30, "text/x.tlog.size"), "status 409"),
        (saying(409, "0\n", "text/x.tlog.size"), "does not go on"),
        (saying(400), "cannot read"),
        (saying(422), "does not go on"),
        (saying(204), "status 204"),
        (saying(307, Location="/elsewhere"), "status 307"),
    ],
)  # fmt: skip
def test_what_does_not_verify_is_not_kept_and_a_warning_says_why(
    growing: Growing,
    witness: Witness,
    caplog: pytest.LogCaptureFixture,
    lie: Callable[[Witness], Instead],
    reason: str,
) -> None:
    witness.instead = lie(witness)
    worker = asking(growing, witness)
    assert not worker.run([growing.site])
    assert cosigned(growing, witness) is None
    assert growing.ledger().suspended_at is None
    (warning,) = caplog.records
    assert (warning.levelno, warning.message) == (logging.WARNING, "witness does not cosign")
    assert reason in vars(warning)["reason"]
    # It was asked once, at its one address, and is left alone for a while.
    worker.run([growing.site])
    assert len(witness.bodies) == 1


@pytest.mark.parametrize("ahead", [-3600, 3600, 2**40])
def test_a_cosignature_of_another_time_is_not_kept(
    growing: Growing, witness: Witness, caplog: pytest.LogCaptureFixture, ahead: int
) -> None:
    witness.ahead = ahead
    assert not ask(growing, witness)
    assert cosigned(growing, witness) is None
    assert "its clock is wrong, or ours" in vars(caplog.records[-1])["reason"]


def test_clocks_may_differ_a_little(growing: Growing, witness: Witness) -> None:
    witness.ahead = -120
    assert ask(growing, witness)
    witness.ahead = 120
    growing.add(1)
    assert ask(growing, witness)


@pytest.mark.parametrize(
    ("unknown", "status"), [("origin", "does not know this ledger"), ("key", "trusts none")]
)
@pytest.mark.usefixtures("impatience")
def test_a_witness_that_was_not_told_of_the_ledger_is_named_with_what_to_do(
    growing: Growing,
    witness: Witness,
    caplog: pytest.LogCaptureFixture,
    unknown: str,
    status: str,
) -> None:
    ((origin, keys),) = witness.logs.items()
    witness.logs = {} if unknown == "origin" else {origin: []}
    worker = asking(growing, witness)
    for _ in range(2):
        assert not worker.run([growing.site])
    # Both times it was asked; it is news once.
    assert len(witness.bodies) == 2
    (warning,) = caplog.records
    assert status in vars(warning)["reason"]
    assert "consent-service ledger keys" in vars(warning)["reason"]
    witness.logs = {origin: keys}
    assert worker.run([growing.site])


def hang_up(call: Call) -> bool:
    call.connection.close()
    call.close_connection = True
    return True


def test_a_hanging_witness_keeps_nobody_waiting(
    growing: Growing, witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = Event()

    def hang(call: Call) -> bool:
        over.wait(30)
        return hang_up(call)

    with running(Witness(tmp_path, "slow/w")) as slow:
        introduce(growing, slow)
        slow.instead = hang
        worker = asking(growing, slow, witness)
        monkeypatch.setattr(witnesses, "ROUND_SECONDS", 0.05)
        worker.run([growing.site])
        # The round is over for the worker; the other witness is not behind the one that hangs.
        wait_until(lambda: cosigned(growing, witness) == 3, "the other one did not cosign")
        worker.run([growing.site])
        assert len(slow.bodies) == 1
        over.set()
        slow.instead = None
        monkeypatch.setattr(witnesses, "ROUND_SECONDS", 30)
        wait_until(
            lambda: worker.run([growing.site]) or cosigned(growing, slow) == 3,
            "the slow one did not cosign",
        )


def trickle(call: Call) -> bool:
    call.send_response(200)
    call.end_headers()
    for _ in range(100):
        call.wfile.write(b"x")
        call.wfile.flush()
        Event().wait(0.02)
    return hang_up(call)


def flood(call: Call) -> bool:
    call.send_response(200)
    call.end_headers()
    for _ in range(100):
        call.wfile.write(b"x" * 65536)
    return hang_up(call)


@pytest.mark.parametrize(
    ("misbehaves", "patience"),
    [
        (trickle, Patience(30, 30, 0.1)),
        (flood, PATIENT),
        (hang_up, PATIENT),
        # Late, it would have been right.
        (lambda _: Event().wait(0.5), Patience(30, 0.05, 30)),
    ],
    ids=["trickles", "floods", "hangs up", "is late"],
)
def test_an_answer_that_does_not_end_is_given_up(
    growing: Growing,
    witness: Witness,
    caplog: pytest.LogCaptureFixture,
    misbehaves: Instead,
    patience: Patience,
) -> None:
    def answer(call: Call) -> bool:
        try:
            return misbehaves(call)
        except OSError:
            return True

    witness.instead = answer
    worker = asking(growing, witness, patience=patience)
    for _ in range(2):
        assert not worker.run([growing.site])
    assert len(witness.bodies) == 2
    # That it is away is news once, and that it is back.
    assert [each.message for each in caplog.records] == ["witness does not answer"]
    witness.instead = None
    assert worker.run([growing.site])


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_witness_in_trouble_is_asked_again_in_the_next_round(
    growing: Growing, witness: Witness, status: int
) -> None:
    witness.instead = saying(status)(witness)
    worker = asking(growing, witness)
    assert not worker.run([growing.site])
    witness.instead = None
    assert worker.run([growing.site])


def test_a_ledger_that_does_not_hold_together_is_shown_to_no_witness(
    growing: Growing, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    with growing.database.transaction(Scope.NONE) as connection:
        connection.execute(text("DROP TRIGGER leaves_stay_as_they_are"))
        connection.execute(text("UPDATE leaves SET commitment = zeroblob(32)"))
    assert not ask(growing, witness)
    assert witness.bodies == []
    assert "a witness could not be asked" in caplog.text


def test_a_proof_leads_to_what_a_witness_has_cosigned_if_that_is_not_long_ago(
    growing: Growing, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (early,) = growing.add(1)
    assert ask(growing, witness)
    (late,) = growing.add(1)

    def proved_with(record_id: object) -> int:
        proof = prove(growing.database, growing.tenant_id, record_id)  # type: ignore[arg-type]
        assert proof is not None
        return proof.checkpoint.size

    assert (proved_with(early), proved_with(late)) == (4, 5)
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + MOST_BEHIND - timedelta(minutes=1))
    growing.add(1)
    assert (proved_with(early), proved_with(late)) == (4, 6)
    monkeypatch.setattr(clock, "now", lambda: now() + MOST_BEHIND + timedelta(minutes=1))
    growing.add(1)
    assert (proved_with(early), proved_with(late)) == (7, 7)


def test_a_proof_carries_the_cosignatures_of_its_checkpoint(
    growing: Growing, witness: Witness
) -> None:
    (record_id,) = growing.add(1)
    ask(growing, witness)
    growing.add(1)
    proof = prove(growing.database, growing.tenant_id, record_id)
    note = read_note(str(proof).partition("\n\n")[2].encode())
    assert note.cosigned_at(verifier_key(witness.key))
