"""A small OpenID provider, which tests have err in every way that matters."""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

CLIENT_ID = "consent-service"
CLIENT_SECRET = "the provider's secret"

Key = ECKey | OctKey


@dataclass
class Provider:
    """Serves on a port of its own. What it says can be changed at any time."""

    email: str = "amina@example.com"
    #: Further claims of the ID token; one that is None is left out.
    claims: dict[str, Any] = field(default_factory=dict)
    #: Members that differ in the discovery document.
    discovery: dict[str, Any] = field(default_factory=dict)
    #: What is answered at a path in place of the proper answer.
    instead: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    #: Makes the ID token of its claims; None for the proper way.
    sign: Callable[[dict[str, Any]], str] | None = None
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))

    def __post_init__(self) -> None:
        """Listen; ``with`` begins to answer."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        #: Paths asked for, in turn.
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        """Answer in the background."""
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, call: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = urlsplit(call.path).path
        self.asked.append(path)
        if path in self.instead:
            self.instead[path](call)
            return
        pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
            "/.well-known/openid-configuration": self._discovery,
            "/keys": self._keys,
            "/token": self._token,
            "/userinfo": self._user_info,
        }
        page = pages.get(path)
        if page:
            page(call)
        else:
            reply(call, 404, {})

    def authorize(self, address: str) -> dict[str, str]:
        """Sign the user in as if a browser had come to this address; return the call back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.issuer}/authorize?")
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def _discovery(self, call: BaseHTTPRequestHandler) -> None:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        }
        reply(call, 200, {**document, **self.discovery})

    def _keys(self, call: BaseHTTPRequestHandler) -> None:
        reply(call, 200, KeySet([self.key]).as_dict(private=False))

    def _token(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers["Content-Length"])).decode()
        sent = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self._codes.pop(sent.get("code", ""), None)
        challenge = urlsafe_b64encode(sha256(sent.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or self._client(call, sent) != (CLIENT_ID, CLIENT_SECRET)
            or asked["code_challenge"] != challenge.rstrip(b"=").decode()
            or asked["redirect_uri"] != sent.get("redirect_uri")
        ):
            reply(call, 400, {"error": "invalid_grant"})
            return
        now = int(time.time())
        proper = {
            "iss": self.issuer,
            "sub": "248289761001",
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            "email": self.email,
            "email_verified": True,
            "name": "Amina Juma",
        }
        claims = {
            name: claim for name, claim in (proper | self.claims).items() if claim is not None
        }
        token = self.sign(claims) if self.sign else self.signed(claims)
        reply(
            call,
            200,
            {"access_token": "opaque", "token_type": "Bearer", "id_token": token},
        )

    @staticmethod
    def _client(call: BaseHTTPRequestHandler, sent: dict[str, str]) -> tuple[str, str]:
        kind, _, encoded = call.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return sent.get("client_id", ""), sent.get("client_secret", "")
        name, _, secret = urlsafe_b64decode(encoded).decode().partition(":")
        return unquote(name), unquote(secret)

    def signed(self, claims: dict[str, Any], key: Key | None = None, alg: str = "ES256") -> str:
        """Sign claims as an ID token."""
        return jwt.encode({"alg": alg, "kid": "one"}, claims, key or self.key, algorithms=[alg])

    def _user_info(self, call: BaseHTTPRequestHandler) -> None:
        assert call.headers["Authorization"] == "Bearer opaque"
        said = {"sub": "248289761001", "email": self.email, "email_verified": True}
        reply(call, 200, said)


def unsigned(claims: dict[str, Any]) -> str:
    """Write claims as an ID token that says of itself that nobody signed it."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def reply(call: BaseHTTPRequestHandler, status: int, document: object, **headers: str) -> None:
    """Answer with JSON."""
    body = json.dumps(document).encode()
    call.send_response(status)
    call.send_header("Content-Type", "application/json")
    call.send_header("Content-Length", str(len(body)))
    for name, text in headers.items():
        call.send_header(name, text)
    call.end_headers()
    call.wfile.write(body)
