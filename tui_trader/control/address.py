"""Where the control API may listen: this machine's loopback, and nowhere else."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from tui_trader.errors import UsageError


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a loopback address or the name ``localhost``; nothing is resolved."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def split_host_port(text: str) -> tuple[str, int | None]:
    """``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT`` in its parts; raises ``ValueError`` for anything else."""
    parts = urlsplit(f"//{text}")
    if parts.netloc != text or "@" in text or not parts.hostname:
        raise ValueError(text)
    return parts.hostname, parts.port


def parse_listen(text: str) -> tuple[str, int]:
    """The loopback address and port (0 = any free one) to listen on; raises ``UsageError``."""
    try:
        host, port = split_host_port(text)
    except ValueError:
        host, port = "", None
    if port is None:
        raise UsageError(f"control address {text!r} is not HOST:PORT (for example 127.0.0.1:0, or off)")
    if not is_loopback(host):
        raise UsageError(
            f"control address {text!r} is not on this machine's loopback: use 127.0.0.1:{port}, or off"
        )
    return ("127.0.0.1" if host == "localhost" else host), port
