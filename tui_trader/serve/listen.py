"""Where pages are served: this machine's loopback, or elsewhere only by an explicit word."""

from __future__ import annotations

from tui_trader.control.address import is_loopback, split_host_port
from tui_trader.errors import UsageError


def parse_listen(text: str, *, exposed: bool) -> tuple[str, int]:
    """The address and port (0 = any free one) of ``HOST:PORT``.

    Raises ``UsageError`` when it is none, and when it is not loopback unless ``exposed``.
    """
    try:
        host, port = split_host_port(text)
    except ValueError:
        host, port = "", None
    if port is None:
        raise UsageError(f"--listen {text!r} is not HOST:PORT (for example 127.0.0.1:8080)")
    if not is_loopback(host) and not exposed:
        raise UsageError(
            f"--listen {text} is open to other machines, unencrypted: whoever reads the traffic can see the"
            f" account and steer the engine. Safer: ssh -L {port or 8080}:127.0.0.1:{port or 8080} to this"
            " machine; or add --expose if you mean it"
        )
    return ("127.0.0.1" if host == "localhost" else host), port
