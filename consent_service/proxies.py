"""Believe forwarding headers from the operator's own proxies, and from nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from consent_service.config import Network

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class TrustedProxies:
    """WSGI layer that puts the visitor's address, scheme and host where they belong.

    Behind a trusted peer the visitor is the right-most address in ``X-Forwarded-For`` that is not
    itself a trusted proxy: everything left of it was written by somebody else. From any other
    peer the headers are dropped, so that nothing further in can be misled by them. (Nothing
    further in reads them: without trusted proxies this layer is not needed.)
    """

    def __init__(self, app: WSGIApplication, trusted: Sequence[Network], country: str) -> None:
        """Wrap ``app``; ``country`` is the name of the CDN's country header, or empty."""
        self._app = app
        self._trusted = trusted
        self._country = f"HTTP_{country.upper().replace('-', '_')}" if country else ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Rewrite the environment, then pass it on."""
        forwarded = environ.pop("HTTP_X_FORWARDED_FOR", "")
        scheme = environ.pop("HTTP_X_FORWARDED_PROTO", "")
        host = environ.pop("HTTP_X_FORWARDED_HOST", "")
        country = environ.pop(self._country, "") if self._country else ""
        if self._is_trusted(environ.get("REMOTE_ADDR", "")):
            for address in reversed([part.strip() for part in forwarded.split(",") if part]):
                environ["REMOTE_ADDR"] = address
                if not self._is_trusted(address):
                    break
            if scheme in {"http", "https"}:
                environ["wsgi.url_scheme"] = scheme
            if host:
                environ["HTTP_HOST"] = host
            if country:
                environ["consent.country"] = country
        return self._app(environ, start_response)

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        # A listener for both kinds writes ::ffff:10.0.0.1 for 10.0.0.1.
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((plain or address) in network for network in self._trusted)
