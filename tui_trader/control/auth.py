"""Who may talk to the control API: callers on this machine who hold the token."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from tui_trader.control.address import is_loopback, split_host_port


class Gate:
    """Knows the token and our port; says who is a stranger and who is foreign."""

    def __init__(self, token: str, port: int) -> None:
        self._token = token.encode()
        self._port = port

    def is_ours(self, hosts: Sequence[str], origins: Sequence[str]) -> bool:
        """Whether the request was meant for this server: one loopback Host, and no other site's Origin.

        A web page that rebinds its name to 127.0.0.1 still says its own name in both.
        """
        return len(hosts) == 1 and self._names_us(hosts[0]) and all(map(self._is_our_origin, origins))

    def holds_token(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header carries the token."""
        scheme, _, given = (authorization or "").partition(" ")
        token = given.strip().encode(errors="surrogateescape")
        return hmac.compare_digest(token, self._token) and scheme.lower() == "bearer"

    def _names_us(self, authority: str) -> bool:
        try:
            host, port = split_host_port(authority)
        except ValueError:
            return False
        return is_loopback(host) and (port or 80) == self._port

    def _is_our_origin(self, origin: str) -> bool:
        scheme, _, authority = origin.partition("://")
        return scheme == "http" and self._names_us(authority)
