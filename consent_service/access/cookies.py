"""The cookies of the console: session, step of signing in, device, and trip to a provider.

Over TLS their names begin with ``__Host-``, so that no other host and no plain page can set them.
"""

from __future__ import annotations

from datetime import timedelta

from flask import request
from werkzeug.wrappers import Response

from consent_service.access import one_time, sessions
from consent_service.access.auth import PLAIN_COOKIE
from consent_service.access.sign_in import SignedIn

_SESSION = PLAIN_COOKIE
_STEP = "consent_step"
_DEVICE = "consent_device"
_PROVIDER = "consent_provider"

#: The most that Chromium keeps a cookie for.
_DEVICE_LIFE = timedelta(days=400)


def step() -> str | None:
    """Return what the cookie of a step of signing in holds."""
    return _get(_STEP)


def device() -> str | None:
    """Return what the device is recognised by."""
    return _get(_DEVICE)


def begin(response: Response, signed_in: SignedIn) -> None:
    """Have the browser hold a session that has begun, and be recognised from now on."""
    keep_session(response, signed_in.token)
    _set(response, _DEVICE, signed_in.device, _DEVICE_LIFE)
    _delete(response, _STEP)


def keep_session(response: Response, token: str) -> None:
    """Have the browser hold a session's newest token."""
    _set(response, _SESSION, token, sessions.LONGEST)


def keep_step(response: Response, value: str) -> None:
    """Have the browser hold a step of signing in."""
    _set(response, _STEP, value, one_time.LIFE)


def drop_step(response: Response) -> None:
    """Have the browser forget a step of signing in."""
    _delete(response, _STEP)


def provider() -> str | None:
    """Return the state of the trip to an identity provider that this browser is on."""
    return _get(_PROVIDER)


def keep_provider(response: Response, state: str) -> None:
    """Have the browser hold the state that it has to come back from a provider with."""
    _set(response, _PROVIDER, state, one_time.LIFE)


def drop_provider(response: Response) -> None:
    """Have the browser forget a trip to a provider."""
    _delete(response, _PROVIDER)


def end(response: Response) -> None:
    """Have the browser forget the session; the device stays recognised."""
    _delete(response, _SESSION)
    _delete(response, _STEP)


def _name(name: str) -> str:
    return f"__Host-{name}" if request.is_secure else name


def _get(name: str) -> str | None:
    return request.cookies.get(_name(name))


def _set(response: Response, name: str, value: str, life: timedelta) -> None:
    response.set_cookie(
        _name(name),
        value,
        max_age=life,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )


def _delete(response: Response, name: str) -> None:
    response.delete_cookie(_name(name), secure=request.is_secure, httponly=True, samesite="Lax")
