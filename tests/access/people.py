"""People who sign in over HTTP, with a password, an authenticator app and a browser's cookies."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyotp
from werkzeug.test import Client, TestResponse

from consent_service import clock
from consent_service.access import passwords
from consent_service.access.mfa import STEP_SECONDS
from tests.builders import Service
from tests.members import Member, add_member

PASSWORD = "a heron on the lagoon"


@cache
def password_hash(password: str = PASSWORD) -> str:
    """Hash a password once for all tests: it takes its time."""
    return passwords.hash_of(password)


@dataclass
class Person:
    """Somebody with an account and a browser."""

    member: Member
    client: Client = field(init=False)
    #: Of the authenticator app, once there is one.
    secret: str = ""
    recovery_codes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the browser."""
        self.client = self.member.client

    def another_browser(self) -> None:
        """Go on with a browser that holds nothing."""
        self.client = self.member.client = Client(self.member.service.built.wsgi)

    def sign_in(self, path: str = "", address: str = "192.0.2.1", **body: Any) -> TestResponse:  # noqa: ANN401
        """Call a step of signing in; the first one sends the right password unless told."""
        if not path:
            body = {"email": self.member.email, "password": PASSWORD, **body}
        return self.client.post(
            f"/v1/sign-in{path}", json=body, environ_base={"REMOTE_ADDR": address}
        )

    def signed_in(self) -> dict[str, Any] | None:
        """Return what the account page says, or None if nobody is signed in."""
        response = self.member.get("/v1/account")
        return response.get_json() if response.status_code == 200 else None

    def code(self, *, steps: int = 0) -> str:
        """Read the authenticator app; of a time step before or after this one."""
        at = int(clock.now().timestamp()) + steps * STEP_SECONDS
        return pyotp.TOTP(self.secret).at(at)

    def set_up_totp(self) -> None:
        """Set up an authenticator app and recovery codes."""
        told = self.member.post("/v1/account/totp").get_json()
        self.secret = told["secret"]
        # The code before this one, so that a test can use this one.
        confirmed = self.member.put(
            "/v1/account/totp", json={"step": told["step"], "code": self.code(steps=-1)}
        )
        assert confirmed.status_code == 204, confirmed.get_json()
        made = self.member.post("/v1/account/recovery-codes")
        self.recovery_codes = made.get_json()["codes"]

    def sign_out(self) -> None:
        """Sign out."""
        assert self.member.post("/v1/sign-out").status_code == 204

    def events(self) -> list[str]:
        """Return what the tenant's audit log tells of accounts, oldest first."""
        rows = self.member.service.rows("audit_events")
        return [row["action"] for row in rows if row["object_kind"] == "user"]


def make_person(service: Service, role: str = "owner", **options: Any) -> Person:  # noqa: ANN401
    """Make somebody with a password, who is not signed in."""
    return Person(add_member(service, role, password_hash=password_hash(), **options))


def make_person_with_totp(service: Service, role: str = "owner") -> Person:
    """Make somebody with a password, an authenticator app and recovery codes, not signed in."""
    person = make_person(service, role)
    assert person.sign_in().status_code == 200
    person.set_up_totp()
    person.sign_out()
    person.another_browser()
    return person
