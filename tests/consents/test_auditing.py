"""The audit of a tenant's ledger finds nothing where nothing is wrong, and each kind of damage.

Damage is done as the owner of the tables, past the triggers that refuse it, and undone with its
transaction: the audit reads through the same connection.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copy
from typing import Any, cast
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, text, update

from consent_service import clock, key_file, signing
from consent_service.access.actor import OPERATOR
from consent_service.consents import auditing as consents_auditing
from consent_service.consents.auditing import MEANINGS, Audit
from consent_service.consents.models import RecordRow, TombstoneRow
from consent_service.db import Database
from consent_service.ledger import auditing
from consent_service.ledger.auditing import Finding, Report, VerifyingKey, public_keys
from consent_service.ledger.checkpoint import (
    ED25519,
    ED25519_COSIGNATURE,
    Checkpoint,
    NoteKey,
    NoteSignature,
    SignedNote,
    cosigned_text,
)
from consent_service.ledger.models import (
    CheckpointRow,
    CosignatureRow,
    LeafRow,
    LedgerRow,
    NodeRow,
    PendingLeafRow,
)
from consent_service.signing import Keyring, canonical_json, sha256
from consent_service.tenants.service import all_sites, create_tenant
from tests.builders import Service, make_service
from tests.databases import PostgresDatabases

_TABLES = (RecordRow, TombstoneRow, PendingLeafRow, LedgerRow, LeafRow, NodeRow, CheckpointRow)
_records, _tombstones = RecordRow.__table__.c, TombstoneRow.__table__.c
_leaves, _nodes = LeafRow.__table__.c, NodeRow.__table__.c
_checkpoints, _ledgers = CheckpointRow.__table__.c, LedgerRow.__table__.c

_VISITORS = 25

#: Enough for a node of 256 and some leaves after it.
_INVENTED = 150

_WAITING = 10


@dataclass
class Ground:
    """A service with a ledger, and a connection of its owner's to damage it with."""

    service: Service
    keys: Keyring
    connection: Connection

    @property
    def tenant_id(self) -> UUID:
        """The tenant who is audited."""
        return self.service.tenant.id

    def audited(
        self, *, witnesses: tuple[NoteKey, ...] = (), keys: Mapping[str, VerifyingKey] | None = None
    ) -> tuple[list[Finding], Report]:
        """Audit what the connection sees, damage included."""
        found: list[Finding] = []
        report = Report(found.append)
        sites = [
            site
            for site in all_sites(self.service.built.database)
            if site.tenant_id == self.tenant_id
        ]
        known = public_keys(self.keys) if keys is None else keys
        database = cast("Database", _Through(self.connection))
        run = Audit(database, self.tenant_id, sites, known, witnesses, report)
        assert sum(run.run()) >= 0
        return found, report

    def leaf(self, index: int) -> Any:  # noqa: ANN401
        """Return a leaf of the tenant's."""
        query = select(LeafRow.__table__).where(_leaves.leaf_index == index)
        return self.connection.execute(query.where(_leaves.tenant_id == self.tenant_id)).one()

    def record(self, index: int) -> Any:  # noqa: ANN401
        """Return the record of a leaf."""
        query = select(RecordRow.__table__).where(_records.id == self.leaf(index).record_id)
        return self.connection.execute(query).one()

    def change(self, index: int, **values: object) -> None:
        """Change the record of a leaf."""
        self.connection.execute(
            update(RecordRow).where(_records.id == self.leaf(index).record_id).values(values)
        )

    def buried(self) -> Any:  # noqa: ANN401
        """Return a tombstone."""
        return self.connection.execute(select(TombstoneRow.__table__)).first()

    @property
    def ledger(self) -> Any:  # noqa: ANN401
        """The tenant's ledger."""
        query = select(LedgerRow.__table__).where(_ledgers.tenant_id == self.tenant_id)
        return self.connection.execute(query).one()


class _Through:
    """Reads through one connection, instead of a database's own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def reading(self, _scope: object) -> Iterator[Connection]:
        yield self._connection


@pytest.fixture(autouse=True, scope="module")
def remembered() -> Iterator[None]:
    """Verify each signature once: these tests audit the same records again and again."""
    with pytest.MonkeyPatch.context() as patch:
        verifies, known = VerifyingKey.verifies, dict[tuple[bytes, ...], bool]()

        def remembering(key: VerifyingKey, message: bytes, signature: bytes) -> bool:
            asked = (key.public, message, signature)
            if asked not in known:
                known[asked] = verifies(key, message, signature)
            return known[asked]

        patch.setattr(VerifyingKey, "verifies", remembering)
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Database]]:
    """A service whose ledger has records, erasures, linked visitors and two keys' signatures."""
    folder = tmp_path_factory.mktemp("audited")
    with ExitStack() as stack:
        if request.param == "sqlite":
            file = request.getfixturevalue("furnished_sqlite_template")
            served = owner = f"sqlite:///{copy(file, folder / 'consent.db')}"
        else:
            databases: PostgresDatabases = request.getfixturevalue("postgresql_databases")
            name = request.getfixturevalue("furnished_postgresql_template")
            urls = stack.enter_context(databases.fresh(name))
            served, owner = urls.served, urls.owner
        service = make_service(served, folder)
        stack.callback(service.built.database.close)
        _write(service)
        database = Database(owner)
        stack.callback(database.close)
        yield service, database


def _write(service: Service) -> None:
    keys = service.use(Keyring)
    sequencer = service.sequencer
    tokens = [service.token() for _ in range(_VISITORS)]
    _invent(service, keys, 100 - _VISITORS)
    assert sequencer.sequence(service.tenant.id) == 100
    _add_key(service.settings.keys_file)
    keys.refresh()
    for index in range(5):
        tokens[index] = service.token(token=tokens[index], analytics=False)
    for token in tokens[5:8]:
        assert service.link(token=token).status_code == 200
    assert _erase(service, tokens[5]) == 200
    assert _erase(service, tokens[9]) == 200
    assert sequencer.sequence(service.tenant.id) > 5
    _invent(service, keys, _INVENTED)
    assert sequencer.sequence(service.tenant.id) > 100
    # Of another tenant, who has nothing to do with it.
    other = create_tenant(service.built.database, "other", "Other Ltd", by=OPERATOR)
    service.add_site("site_other", other)
    service.choose(site_key="site_other")
    assert sequencer.sequence(other.id) == 1
    # These wait: records, and the tombstone of another.
    _invent(service, keys, _WAITING - 2)
    service.token(token=tokens[20])
    assert _erase(service, tokens[10]) == 200


def _invent(service: Service, keys: Keyring, number: int) -> None:
    """Put in more records that are like those there are: calls would take longer."""
    database, tenant_id = service.built.database, service.tenant.id
    with database.transaction(tenant_id) as connection:
        like = connection.execute(select(RecordRow.__table__).limit(1)).one()
        rows = [_like(keys, like._asdict()) for _ in range(number)]
        connection.execute(insert(RecordRow), rows)


def _like(keys: Keyring, row: dict[str, Any], *, spaced: bool = False, **said: object) -> Any:  # noqa: ANN401
    """Return another record that is like one, signed with our key."""
    record_id = clock.new_id()
    named = {"id": str(record_id), "visitor_id": clock.new_visitor_id()}
    document = json.loads(row["document"]) | named | said
    return row | {
        "id": record_id,
        "visitor_id": document["visitor_id"],
        "idempotency_hash": None,
        **_signed(keys, document, spaced=spaced),
    }


def _erase(service: Service, token: str) -> int:
    return service.client.delete(
        f"/v1/sites/{service.site.site_key}/consents/me",
        headers={"X-Consent-Token": token, "Origin": "https://app.example.com"},
    ).status_code


def _add_key(path: Path) -> None:
    """Rotate the record key, and have it sign at once."""
    signing.rotate(path, "record")
    keys = key_file.read(path)
    record = keys.of["record"]
    record[-1] = replace(record[-1], active_from=clock.now())
    key_file.write(path, keys)


@pytest.fixture
def ground(written: tuple[Service, Database]) -> Iterator[Ground]:
    """The same, with the triggers off, until the test ends."""
    service, owner = written
    with owner.transaction(service.tenant.id) as connection:
        if connection.dialect.name == "postgresql":
            for row in _TABLES:
                table = row.__tablename__
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        else:
            named = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for name in connection.execute(named).scalars().all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        yield Ground(service, service.use(Keyring), connection)
        connection.rollback()


def test_an_audit_of_what_was_never_touched_finds_nothing(ground: Ground) -> None:
    found, report = ground.audited()
    assert found == []
    counts = report.counts
    assert counts["leaves"] == ground.ledger.size
    assert counts["waiting"] == _WAITING
    # Each record is a leaf or waits, and so is each tombstone.
    assert counts["records"] + counts["erased"] == counts["leaves"] + _WAITING
    assert counts["erased"] == counts["tombstones"] > 3
    assert (counts["ledgers"], counts["nodes"], counts["checkpoints"]) == (1, 1, 3)


def test_it_is_the_same_in_small_steps(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = ground.audited()
    for module in (auditing, consents_auditing):
        # So many wait that the last step of those is full.
        monkeypatch.setattr(module, "STEP", _WAITING)
    found, report = ground.audited()
    assert found == []
    assert report.counts == whole.counts


def test_what_was_erased_before_there_was_a_ledger_is_counted_apart(ground: Ground) -> None:
    ground.connection.execute(
        insert(RecordRow),
        {
            "id": clock.new_id(),
            "tenant_id": ground.tenant_id,
            "site_id": ground.service.site.id,
            "created_at": clock.now(),
            "erased_at": clock.now(),
        },
    )
    found, report = ground.audited()
    assert found == []
    assert report.counts["erased_before"] == 1


# How each kind of damage is done.

#: Of a visitor who made one choice, in the first node; and one that stands after the node.
_ONE, _ANOTHER, _LATE = 30, 31, 257

#: Of a visitor who has changed the choice since.
_FOLLOWED = 0


def _change_document(ground: Ground) -> None:
    document = ground.record(_ONE).document
    assert '"analytics":true' in document
    ground.change(_ONE, document=document.replace('"analytics":true', '"analytics":false'))


def _change_signature(ground: Ground) -> None:
    ground.change(_ONE, signature=bytes(64))


def _name_another_key(ground: Ground) -> None:
    ground.change(_ONE, key_id="nobody's")


def _swap_salts(ground: Ground) -> None:
    one, another = ground.record(_ONE).salt, ground.record(_ANOTHER).salt
    ground.change(_ONE, salt=another)
    ground.change(_ANOTHER, salt=one)


def _change_salt_and_commitment(ground: Ground) -> None:
    salt = secrets.token_bytes(32)
    said = ground.record(_ONE).document.encode()
    ground.change(_ONE, salt=salt, commitment=sha256(salt + said))


def _delete_record(ground: Ground, index: int = _ONE) -> None:
    ground.connection.execute(delete(RecordRow).where(_records.id == ground.record(index).id))


def _delete_followed(ground: Ground) -> None:
    _delete_record(ground, _FOLLOWED)


def _delete_leaf(ground: Ground) -> None:
    ground.connection.execute(delete(LeafRow).where(_is_leaf(ground, _ONE)))


def _change_leaf(ground: Ground) -> None:
    ground.connection.execute(
        update(LeafRow).where(_is_leaf(ground, _ONE)).values(commitment=secrets.token_bytes(32))
    )


def _swap_leaves(ground: Ground, one: int = _ONE, another: int = _ANOTHER) -> None:
    rows = [ground.leaf(one)._asdict(), ground.leaf(another)._asdict()]
    for row in rows:
        ground.connection.execute(delete(LeafRow).where(_is_leaf(ground, row["leaf_index"])))
    rows[0]["leaf_index"], rows[1]["leaf_index"] = another, one
    ground.connection.execute(insert(LeafRow), rows)


def _swap_late_leaves(ground: Ground) -> None:
    _swap_leaves(ground, _LATE, _LATE + 1)


def _change_node(ground: Ground) -> None:
    ground.connection.execute(
        update(NodeRow).where(_nodes.ledger_id == ground.ledger.id).values(hash=bytes(32))
    )


def _delete_node(ground: Ground) -> None:
    ground.connection.execute(delete(NodeRow).where(_nodes.ledger_id == ground.ledger.id))


def _add_node(ground: Ground) -> None:
    row = _of_ledger(ground) | {"level": 1, "node_index": 1, "hash": bytes(32)}
    ground.connection.execute(insert(NodeRow), row)


def _change_checkpoint(ground: Ground) -> None:
    note = SignedNote.parse(_first_note(ground))
    said = replace(Checkpoint.parse(note.text), root=bytes(32))
    _put_checkpoint(ground, SignedNote(said.text, note.signatures))


def _sign_another_root(ground: Ground) -> None:
    said = replace(Checkpoint.parse(SignedNote.parse(_first_note(ground)).text), root=bytes(32))
    signatures = []
    for public, value in ground.keys.sign_for_log(said.text.encode()):
        key = NoteKey(said.origin, ED25519, public)
        signatures.append(NoteSignature(key.name, key.id, value))
    _put_checkpoint(ground, SignedNote(said.text, tuple(signatures)))


def _sign_as_a_stranger(ground: Ground) -> None:
    note = SignedNote.parse(_first_note(ground))
    private = Ed25519PrivateKey.generate()
    key = NoteKey(ground.ledger.origin, ED25519, private.public_key().public_bytes_raw())
    signature = NoteSignature(key.name, key.id, private.sign(note.text.encode()))
    _put_checkpoint(ground, SignedNote(note.text, (signature,)))


def _spoil_one_signature(ground: Ground) -> None:
    """Of the two under the newest checkpoint."""
    query = select(_checkpoints.note).where(_checkpoints.size == ground.ledger.size)
    note = SignedNote.parse(ground.connection.execute(query).scalar_one())
    first, second = note.signatures
    spoilt = SignedNote(note.text, (first, second._replace(value=bytes(64))))
    ground.connection.execute(
        update(CheckpointRow)
        .where(_checkpoints.size == ground.ledger.size)
        .values(note=str(spoilt))
    )


def _garble_checkpoint(ground: Ground) -> None:
    _put_checkpoint(ground, "not a note")


def _delete_head(ground: Ground) -> None:
    ground.connection.execute(delete(CheckpointRow).where(_checkpoints.size == ground.ledger.size))


def _move_head(ground: Ground, by: int = 0, **values: object) -> None:
    moved = {"size": ground.ledger.size + by, **values}
    ground.connection.execute(
        update(LedgerRow).where(_ledgers.id == ground.ledger.id).values(moved)
    )


def _turn_head(ground: Ground) -> None:
    _move_head(ground, root=bytes(32))


def _move_head_back(ground: Ground) -> None:
    _move_head(ground, -1)


def _move_head_on(ground: Ground) -> None:
    _move_head(ground, 2)


def _move_head_out_of_sight(ground: Ground) -> None:
    _move_head(ground, 1 << 40)


def _rename_ledger(ground: Ground) -> None:
    _move_head(ground, origin="consent-service/another/1")


def _renumber_ledger(ground: Ground) -> None:
    _move_head(ground, number=2)


def _add_leaf(ground: Ground) -> None:
    row = _of_ledger(ground) | {
        "leaf_index": ground.ledger.size,
        "record_id": clock.new_id(),
        "tombstone": False,
        "commitment": bytes(32),
    }
    ground.connection.execute(insert(LeafRow), row)


def _make_wait_again(ground: Ground) -> None:
    leaf = ground.leaf(_ONE)
    _make_wait(ground, leaf.record_id, leaf.commitment)


def _add_record(ground: Ground) -> None:
    _put_record(ground, waiting=False)


def _write_another_tenant(ground: Ground) -> None:
    _put_record(ground, tenant_id=str(clock.new_id()))


def _write_it_otherwise(ground: Ground) -> None:
    _put_record(ground, spaced=True)


def _skip_a_number(ground: Ground) -> None:
    before = json.loads(ground.record(_ONE).document)
    _put_record(ground, visitor_id=before["visitor_id"], previous_id=before["id"], sequence=3)


def _go_on_from_another(ground: Ground) -> None:
    _put_record(ground, previous_id=str(ground.record(_ONE).id), sequence=2)


def _bury_alive(ground: Ground) -> None:
    record = ground.record(_ONE)
    row = ground.buried()._asdict()
    said = json.loads(row["document"])
    said["record_id"], said["commitment"] = str(record.id), record.commitment.hex()
    said["created_at"] = clock.rfc3339(record.created_at)
    row = row | {"record_id": record.id, "site_id": record.site_id} | _signed(ground.keys, said)
    ground.connection.execute(insert(TombstoneRow), row)
    _make_wait(ground, record.id, row["commitment"], tombstone=True)


def _empty(ground: Ground, **left: object) -> None:
    columns = ("visitor_id", "document", "signature", "key_id", "salt", "after_ms")
    ground.change(_ONE, **dict.fromkeys(columns), erased_at=clock.now(), **left)


def _delete_tombstone(ground: Ground) -> None:
    leaf = select(_leaves.record_id).where(_leaves.tombstone)
    found = ground.connection.execute(leaf).scalars().first()
    ground.connection.execute(delete(TombstoneRow).where(_tombstones.record_id == found))


def _change_tombstone(ground: Ground) -> None:
    row = ground.buried()
    changed = row.document.replace("visitor_request", "retention_time")
    _put_tombstone(ground, document=changed)


def _turn_tombstone(ground: Ground) -> None:
    """Have it say that another record was erased: signed, but not by whoever erased."""
    said = json.loads(ground.buried().document) | {"commitment": "00" * 32}
    _put_tombstone(ground, **_signed(ground.keys, said))


def _leave_the_salt(ground: Ground) -> None:
    found = ground.buried().record_id
    ground.connection.execute(update(RecordRow).where(_records.id == found).values(salt=bytes(32)))


def _is_leaf(ground: Ground, index: int) -> Any:  # noqa: ANN401
    return (_leaves.ledger_id == ground.ledger.id) & (_leaves.leaf_index == index)


def _of_ledger(ground: Ground) -> dict[str, Any]:
    return {"ledger_id": ground.ledger.id, "tenant_id": ground.tenant_id}


def _first_note(ground: Ground) -> str:
    query = select(_checkpoints.note).where(_checkpoints.ledger_id == ground.ledger.id)
    return str(ground.connection.execute(query.order_by(_checkpoints.size)).scalars().first())


def _put_checkpoint(ground: Ground, note: SignedNote | str) -> None:
    ground.connection.execute(
        update(CheckpointRow).where(_checkpoints.size == 100).values(note=str(note))
    )


def _put_tombstone(ground: Ground, **values: object) -> None:
    where = _tombstones.record_id == ground.buried().record_id
    ground.connection.execute(update(TombstoneRow).where(where).values(values))


def _signed(keys: Keyring, said: dict[str, Any], *, spaced: bool = False) -> dict[str, Any]:
    document = json.dumps(said) if spaced else canonical_json(said).decode()
    signature, salt = keys.sign(document.encode()), secrets.token_bytes(32)
    return {
        "document": document,
        "signature": signature.value,
        "key_id": signature.key_id,
        "salt": salt,
        "commitment": sha256(salt + document.encode()),
    }


def _put_record(
    ground: Ground,
    *,
    waiting: bool = True,
    spaced: bool = False,
    **said: object,
) -> None:
    """Put in a record that is like another one, signed with our key."""
    row = _like(ground.keys, ground.record(_ONE)._asdict(), spaced=spaced, **said)
    ground.connection.execute(insert(RecordRow), row)
    if waiting:
        _make_wait(ground, row["id"], row["commitment"])


def _make_wait(
    ground: Ground, record_id: UUID, commitment: bytes, *, tombstone: bool = False
) -> None:
    row = {
        "tenant_id": ground.tenant_id,
        "record_id": record_id,
        "tombstone": tombstone,
        "commitment": commitment,
        "added_at": clock.now(),
    }
    ground.connection.execute(insert(PendingLeafRow), row)


_TREE = {"node_wrong", "checkpoint_root"}

DAMAGES: list[tuple[Callable[[Ground], None], set[str]]] = [
    (_change_document, {"signature_wrong", "commitment_wrong"}),
    (_change_signature, {"signature_wrong"}),
    (_name_another_key, {"key_unknown"}),
    (_swap_salts, {"commitment_wrong"}),
    (_change_salt_and_commitment, {"leaf_differs"}),
    (_delete_record, {"record_missing"}),
    (_delete_followed, {"record_missing", "chain_broken"}),
    (_delete_leaf, {"leaf_missing", "record_unledgered", *_TREE}),
    (_change_leaf, {"leaf_differs", *_TREE}),
    (_swap_leaves, _TREE),
    (_swap_late_leaves, {"checkpoint_root"}),
    (_change_node, {"node_wrong"}),
    (_delete_node, {"node_missing"}),
    (_add_node, {"node_extra"}),
    (_change_checkpoint, {"checkpoint_root", "checkpoint_signature"}),
    (_sign_another_root, {"checkpoint_root"}),
    (_sign_as_a_stranger, {"checkpoint_signature"}),
    (_spoil_one_signature, {"checkpoint_signature"}),
    (_garble_checkpoint, {"checkpoint_malformed"}),
    (_delete_head, {"head_unsigned"}),
    (_turn_head, {"head_wrong"}),
    (_move_head_back, {"head_wrong", "head_unsigned", "leaf_extra", "checkpoint_extra"}),
    (_move_head_on, {"head_wrong", "head_unsigned", "leaf_missing"}),
    (_move_head_out_of_sight, {"head_wrong", "head_unsigned", "leaf_missing"}),
    (_rename_ledger, {"ledger_misnamed", "checkpoint_malformed", "checkpoint_signature"}),
    (_renumber_ledger, {"ledger_missing", "ledger_misnamed"}),
    (_add_leaf, {"leaf_extra"}),
    (_make_wait_again, {"record_twice"}),
    (_add_record, {"record_unledgered"}),
    (_write_another_tenant, {"document_foreign"}),
    (_write_it_otherwise, {"document_malformed"}),
    (_skip_a_number, {"chain_broken"}),
    (_go_on_from_another, {"chain_broken"}),
    (_bury_alive, {"tombstone_without_erasure"}),
    (_empty, {"erasure_without_tombstone"}),
    (_leave_the_salt, {"erasure_incomplete"}),
    (_delete_tombstone, {"erasure_without_tombstone", "tombstone_missing"}),
    (_change_tombstone, {"commitment_wrong", "signature_wrong"}),
    (_turn_tombstone, {"leaf_differs", "tombstone_foreign"}),
]


@pytest.mark.parametrize(("damage", "kinds"), DAMAGES)
def test_damage_is_found_and_named(
    ground: Ground, damage: Callable[[Ground], None], kinds: set[str]
) -> None:
    damage(ground)
    found, report = ground.audited()
    assert set(report.kinds) == kinds, [(each.where, each.message) for each in found]
    for each in found:
        assert MEANINGS[each.kind]
        assert each.where


def test_each_kind_of_finding_is_tried() -> None:
    tried = set[str]().union(*(kinds for _, kinds in DAMAGES))
    apart = {
        "commitment_missing",
        "cosignature_stray",
        "cosignature_wrong",
        "tombstone_twice",
        "tombstone_unledgered",
    }
    assert tried | apart == set(MEANINGS)


def test_a_finding_says_where(ground: Ground) -> None:
    _change_leaf(ground)
    found, _ = ground.audited()
    where = {each.kind: each for each in found}
    origin, record = ground.ledger.origin, ground.leaf(_ONE).record_id
    assert where["leaf_differs"].where == f"ledger {origin}, leaf {_ONE}, record {record}"
    assert "over leaves 0 to 255" in where["node_wrong"].message
    # One line for all that follow from it, and up to where all is well.
    assert [each.size for each in found if each.kind == "checkpoint_root"] == [100]
    assert f"as have all up to {ground.ledger.size}" in where["checkpoint_root"].message


def test_what_held_before_the_damage_is_told(ground: Ground) -> None:
    _swap_late_leaves(ground)
    [finding], _ = ground.audited()
    assert finding.size == ground.ledger.size
    assert "that of size 1" in finding.message
    assert finding.message.endswith("still holds")


def test_a_key_that_is_gone_from_the_file_is_missed(ground: Ground) -> None:
    keys = public_keys(ground.keys)
    del keys[min(keys, key=lambda id_: id_ == ground.keys.sign(b"").key_id)]
    found, _ = ground.audited(keys=keys)
    assert {each.kind for each in found} == {"key_unknown", "checkpoint_signature"}


def test_checkpoints_that_only_stolen_keys_have_signed_are_counted(ground: Ground) -> None:
    keys = public_keys(ground.keys)
    newest = ground.keys.sign(b"").key_id
    # The first checkpoint is from before there was a second key.
    for stolen, number in ((keys.keys() - {newest}, 1), ({newest}, 0), (keys.keys(), 3)):
        known = {id_: replace(key, stolen=id_ in stolen) for id_, key in keys.items()}
        found, report = ground.audited(keys=known)
        assert found == []
        assert report.counts["checkpoints_stolen"] == number


def test_cosignatures_are_held_against_the_keys_of_witnesses(ground: Ground) -> None:
    private = Ed25519PrivateKey.generate()
    key = NoteKey("witness.example", ED25519_COSIGNATURE, private.public_key().public_bytes_raw())

    def put(size: int, signed: str) -> None:
        value = (1000).to_bytes(8) + private.sign(cosigned_text(signed, 1000))
        row = {
            "size": size,
            "witness": key.name,
            "line": NoteSignature(key.name, key.id, value).line,
            "made_at": clock.now(),
        }
        ground.connection.execute(insert(CosignatureRow), _of_ledger(ground) | row)

    put(100, SignedNote.parse(_first_note(ground)).text)
    found, report = ground.audited(witnesses=(key,))
    assert found == []
    assert report.counts["cosignatures"] == 1
    # Of others, whose keys nobody gave, nothing can be said.
    found, report = ground.audited()
    assert found == []
    assert report.counts["cosignatures_unchecked"] == 1

    put(ground.ledger.size, "another text\n")
    put(101, "of no checkpoint\n")
    found, _ = ground.audited(witnesses=(key,))
    assert [(each.kind, each.size) for each in found] == [
        ("cosignature_stray", 101),
        ("cosignature_wrong", ground.ledger.size),
    ]


def test_what_is_right_when_it_is_read_again_is_no_finding(ground: Ground) -> None:
    """As when a visitor has records erased between two reads."""
    times = 0

    class Flickering(_Through):
        @contextmanager
        def reading(self, _scope: object) -> Iterator[Connection]:
            nonlocal times
            times += 1
            # The heads, the leaves, and then the records: once they are wrong, and never again.
            if times != 3:
                yield ground.connection
                return
            with ground.connection.begin_nested() as nested:
                _change_document(ground)
                yield ground.connection
                nested.rollback()

    found: list[Finding] = []
    run = Audit(
        cast("Database", Flickering(ground.connection)),
        ground.tenant_id,
        [ground.service.site],
        public_keys(ground.keys),
        (),
        Report(found.append),
    )
    list(run.run())
    assert found == []


def test_the_service_may_serve_meanwhile(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each read of the audit somebody records, somebody erases, and leaves are made."""
    for module in (auditing, consents_auditing):
        monkeypatch.setattr(module, "STEP", 4)
    database, keys = service.built.database, service.use(Keyring)
    sequencer = service.sequencer
    tokens = [service.token() for _ in range(12)]
    sequencer.sequence(service.tenant.id)

    class Busy(_Through):
        def __init__(self) -> None:
            self.turn = 0

        @contextmanager
        def reading(self, scope: Any) -> Iterator[Connection]:  # noqa: ANN401
            self.turn += 1
            if tokens:
                service.token(token=service.token())
                _erase(service, tokens.pop())
            if self.turn % 2:
                sequencer.sequence(service.tenant.id)
            with database.reading(scope) as connection:
                yield connection

    found: list[Finding] = []
    report = Report(found.append)
    busy = cast("Database", Busy())
    list(Audit(busy, service.tenant.id, [service.site], public_keys(keys), (), report).run())
    assert found == []
    assert tokens == []
    assert report.counts["leaves"] >= 12
