"""Who may open a page: a browser on an address of ours that has shown the token."""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from tui_trader.control.address import is_loopback, split_host_port

COOKIE: Final = "tui-trader-page"
_BYTES: Final = 32  # 256 bits


class Door:
    """Knows the token of the printed address, the cookie that takes its place, and the hosts we answer for.

    ``room`` is the folder that every page lives in. Browsers send a cookie to all ports of a host, so one of
    the whole host would be shown to whatever else is served here; that of a folder nobody can guess is not.
    """

    def __init__(self, listen_host: str) -> None:
        self._token = secrets.token_urlsafe(_BYTES)
        self._pass = secrets.token_urlsafe(_BYTES)
        self._loopback = is_loopback(listen_host)
        self._names = {"localhost"}
        if not self._loopback:
            self._names |= {listen_host.lower(), socket.gethostname().lower()}
        self.room = f"/{secrets.token_urlsafe(12)}/"

    def address(self, host: str, port: int) -> str:
        """The address to open, token and all; who listens everywhere is found by the machine's name."""
        shown = f"[{host}]" if ":" in host else host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - not listened on here
            shown = socket.gethostname()
        return f"http://{shown}:{port}/?token={self._token}"

    @property
    def cookie(self) -> str:
        """What a browser is given once it has shown the token."""
        return self._pass

    def is_ours(self, hosts: Sequence[str]) -> bool:
        """Whether a request was meant for this server: one Host that is an address, or a name of ours.

        A web page that has its own name resolve to us still says that name. Any port will do, so that an SSH
        tunnel may begin at another one.
        """
        if len(hosts) != 1:
            return False
        try:
            name, _ = split_host_port(hosts[0])
        except ValueError:
            return False
        if name.lower() in self._names:
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback

    @staticmethod
    def is_own_page(host: str, origins: Sequence[str]) -> bool:
        """Whether a request comes from a page of this very address, not from one of another site or port."""
        return len(origins) == 1 and origins[0].lower() == f"http://{host.lower()}"

    def holds_token(self, given: str | None) -> bool:
        """Whether ``given`` is the token of the printed address."""
        return _same(given, self._token)

    def holds_cookie(self, given: str | None) -> bool:
        """Whether ``given`` is the cookie that was handed out."""
        return _same(given, self._pass)


def _same(given: str | None, wanted: str) -> bool:
    """Compares in a time that says nothing of how much is right."""
    return hmac.compare_digest((given or "").encode(errors="surrogateescape"), wanted.encode())
