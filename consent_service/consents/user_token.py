"""The token by which a site's server says who is signed in: a JWT, read by RFC 8725's rules. Pure.

``docs/linking.md`` tells the site's developers how to make one.
"""

from __future__ import annotations

import json
import re
from typing import Any

from joserfc import jws
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jwk import OctKey
from joserfc.jwt import JWTClaimsRegistry

from consent_service.errors import InvalidUserToken

ALGORITHM = "HS256"
TYPE = "consent-link+jwt"

#: Seconds from ``iat`` to ``exp``. A token is made for one page, and serves until it expires.
LONGEST_LIFE = 3600

#: Seconds by which the site's clock may differ from ours.
LEEWAY = 60

LONGEST_SUBJECT = 255


_EXPLAINED = {
    "aud": "aud must be the site's key.",
    "sub": f"sub must be the user's id: text of 1 to {LONGEST_SUBJECT} characters.",
    "iat": "iat must be seconds since 1970, and not in the future.",
    "exp": f"exp must be seconds since 1970, at most {LONGEST_LIFE} after iat.",
    "nbf": "nbf must be seconds since 1970, and not in the future.",
}

#: Half a character, which JSON can name and UTF-8 cannot.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# Members of the header that we do not know are ignored (RFC 7515, section 4).
_REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)


def named_key(token: str) -> str:
    """Return the id of the key that the token says it is signed with.

    Nothing is verified yet.

    :raises InvalidUserToken: when it is not a token for linking, whoever signed it
    """
    try:
        header: Any = jws.extract_compact(token.encode()).headers()
        said = {member: header.get(member) for member in ("alg", "typ", "kid")}
    except (AttributeError, JoseError, TypeError, ValueError) as error:
        raise InvalidUserToken("It must be a JWT: a JWS in compact form.") from error
    # The token does not choose how it is checked (RFC 8725, sections 3.1 and 3.11).
    for member, wanted in (("alg", ALGORITHM), ("typ", TYPE)):
        if said[member] != wanted:
            raise InvalidUserToken(f"Its header must say {member}: {wanted}.")
    if not isinstance(said["kid"], str):
        raise InvalidUserToken("Its header must say kid: the id of the link key, as text.")
    return said["kid"]


def subject(token: str, *, secret: str, site_key: str, now: int) -> str:
    """Return the site's id of the user who is signed in.

    :param secret: the link key that :func:`named_key` told of
    :param now: seconds since 1970
    :raises InvalidUserToken: when the token is not signed with it, or not for this site or time
    """
    try:
        key = OctKey.import_key(secret)
        payload = jws.deserialize_compact(token, key, registry=_REGISTRY).payload
    except (JoseError, ValueError) as error:
        raise InvalidUserToken("It is not signed with the link key that kid names.") from error
    try:
        claims = json.loads(payload)
    except (RecursionError, ValueError) as error:
        raise InvalidUserToken("Its payload must be JSON.") from error
    if not isinstance(claims, dict):
        raise InvalidUserToken("Its payload must be a JSON object.")
    _check(claims, site_key, now)
    user: str = claims["sub"]
    return user


def _check(claims: dict[str, Any], site_key: str, now: int) -> None:
    registry = JWTClaimsRegistry(
        now=now,
        leeway=LEEWAY,
        aud={"essential": True, "value": site_key},
        sub={"essential": True},
        iat={"essential": True},
        exp={"essential": True},
    )
    try:
        registry.validate(claims)
    except MissingClaimError as error:
        raise InvalidUserToken(f"It must say {error.claim}.") from error
    except ExpiredTokenError as error:
        raise InvalidUserToken("It has expired. Make a new one for each page.") from error
    except InvalidClaimError as error:
        explained = _EXPLAINED.get(error.claim, f"{error.claim} is not as RFC 7519 has it.")
        raise InvalidUserToken(explained) from error
    if len(claims["sub"]) > LONGEST_SUBJECT or _LONE_SURROGATE.search(claims["sub"]):
        raise InvalidUserToken(_EXPLAINED["sub"])
    if claims["exp"] > claims["iat"] + LONGEST_LIFE:
        raise InvalidUserToken(_EXPLAINED["exp"])
