"""After a new data key, everything can be encrypted anew, and the key before it may go."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from consent_service import clock, signing
from consent_service.access import invitations, mfa, one_time, reencryption, users
from consent_service.access.actor import OPERATOR
from consent_service.access.providers import Providers, Wanted
from consent_service.access.reencryption import Reencryption
from consent_service.cli import main
from consent_service.db import Database, Scope
from consent_service.errors import CannotDecrypt
from consent_service.signing import Keyring
from consent_service.tenants.service import create_tenant
from tests.builders import Service, make_service
from tests.members import add_member

SECRET = "the provider's secret"


def fill(service: Service, count: int = 3) -> None:
    """Have something in every column that is encrypted, of two tenants."""
    database, keys = service.use(Database), service.use(Keyring)
    other = create_tenant(database, "other", "Other Ltd", by=OPERATOR)
    for number in range(count):
        member = add_member(service, email=f"user{number}@example.com", name=f"User {number}")
        with database.transaction(Scope.ACCOUNTS) as connection:
            mfa.keep_totp(connection, keys, member.user_id, f"SECRET{number}")
    with database.transaction(Scope.ACCOUNTS) as connection:
        one_time.leave(connection, keys, "test", value="a step", content={"left": "here"})
    for tenant in (service.tenant, other):
        invitations.invite(database, keys, tenant.id, "new@example.com", "dpo", by=OPERATOR)
        wanted = Wanted("https://login.example.com", "us", SECRET, required=False, revision=0)
        service.use(Providers).save(tenant.id, wanted, proven=False, by=OPERATOR)


def read_all(service: Service, keys: Keyring) -> list[str]:
    """Return all that is encrypted."""
    database = service.use(Database)
    with database.reading(Scope.ACCOUNTS) as connection:
        found = [users.get(connection, keys, _uuid(row["id"])) for row in service.rows("users")]
        texts = [text for user in found if user for text in (user.email, user.name)]
        texts += [
            str(mfa.totp_secret(connection, keys, user.id)) for user in found if user is not None
        ]
        left = one_time.look(connection, keys, "test", "a step")
    assert left is not None
    texts.append(left.content["left"])
    for row in service.rows("invitations"):
        texts.append(keys.decrypt(row["email"], f"invitations.email {_uuid(row['id'])}"))
    for row in service.rows("identity_providers"):
        context = f"identity_providers.client_secret {_uuid(row['tenant_id'])}"
        texts.append(keys.decrypt(row["client_secret"], context))
    return sorted(texts)


def _uuid(value: UUID | str) -> UUID:
    """Return an id as PostgreSQL's driver gives it; SQLite's gives 32 hexadecimal digits."""
    return value if isinstance(value, UUID) else UUID(value)


def rotate(service: Service, *, at_once: bool = True) -> str:
    """Make a new data key; by rights it is used a minute later."""
    path = service.settings.keys_file
    made = signing.rotate(path, "data")
    if at_once:
        document = json.loads(path.read_text())
        document["data"][-1]["active_from"] = clock.rfc3339(clock.now())
        path.write_text(json.dumps(document))
    return made.id


def drop_older_keys(service: Service) -> None:
    path = service.settings.keys_file
    document = json.loads(path.read_text())
    document["data"] = document["data"][-1:]
    path.write_text(json.dumps(document))


def run(service: Service) -> Result:
    environ = {
        "CONSENT_DATABASE_URL": service.settings.database_url,
        "CONSENT_KEYS_FILE": str(service.settings.keys_file),
    }
    return CliRunner(env=environ).invoke(main, ["key", "re-encrypt"])


def test_afterwards_the_older_key_may_go(service: Service) -> None:
    fill(service)
    before = read_all(service, service.use(Keyring))
    assert len(before) == 3 * 3 + 1 + 2 + 2
    newest = rotate(service)
    done = run(service)
    assert done.exit_code == 0, done.output
    assert newest in done.stdout
    drop_older_keys(service)
    assert read_all(service, Keyring(service.settings.keys_file)) == before


def test_it_can_be_broken_off_and_run_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reencryption, "BATCH", 2)
    fill(service)
    before = read_all(service, service.use(Keyring))
    rotate(service)
    keys = Keyring(service.settings.keys_file)
    first = Reencryption(service.use(Database), keys)
    total = first.remaining()
    assert total == len(before)
    broken_off = sum(islice(first.run(), 2))
    assert 0 < first.remaining() == total - broken_off
    rest = Reencryption(service.use(Database), keys)
    assert sum(rest.run()) == total - broken_off
    assert rest.remaining() == 0
    assert list(rest.run()) == []
    drop_older_keys(service)
    assert read_all(service, Keyring(service.settings.keys_file)) == before


def test_a_value_that_changes_meanwhile_is_not_put_back(service: Service) -> None:
    member = add_member(service, name="Before")
    rotate(service)
    keys, database = Keyring(service.settings.keys_file), service.use(Database)
    run = Reencryption(database, keys)
    steps = run.run()
    next(steps)
    (batch,) = run._batches(reencryption.OF_ACCOUNTS[1])  # noqa: SLF001 - as it was read
    with database.transaction(Scope.ACCOUNTS) as connection:
        users.set_name(connection, service.use(Keyring), member.user_id, "After")
        run._renew(connection, reencryption.OF_ACCOUNTS[1], batch)  # noqa: SLF001
        found = users.get(connection, keys, member.user_id)
    assert found is not None
    assert found.name == "After"


def test_a_value_that_cannot_be_read_is_named_and_keeps_nothing_back(service: Service) -> None:
    fill(service)
    path = service.settings.keys_file
    rotate(service)
    # Somebody took the first key out too early, and has encrypted with the second since.
    whole = json.loads(path.read_text())
    drop_older_keys(service)
    add_member(service, name="Later")
    rotate(service)
    failed = run(service)
    assert failed.exit_code == 2
    assert "users.email " in failed.stderr
    assert "Keep every data key" in failed.stderr
    document = json.loads(path.read_text())
    document["data"].insert(0, whole["data"][0])
    path.write_text(json.dumps(document))
    assert run(service).exit_code == 0
    drop_older_keys(service)
    assert "Later" in read_all(service, Keyring(path))


def test_a_key_that_not_everybody_may_know_yet_is_waited_for(
    sqlite_url: str, tmp_path: Path
) -> None:
    service = make_service(sqlite_url, tmp_path)
    add_member(service)
    rotate(service, at_once=False)
    early = run(service)
    assert early.exit_code == 2
    assert "Run this again then" in early.stderr
    service.built.database.close()


def test_without_it_the_older_key_is_still_needed(service: Service) -> None:
    fill(service, count=1)
    rotate(service)
    drop_older_keys(service)
    with pytest.raises(CannotDecrypt):
        read_all(service, Keyring(service.settings.keys_file))
