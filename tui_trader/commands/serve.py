"""`tui-trader serve`: the screen in a web page."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_trader.control.address import is_loopback
from tui_trader.errors import RefusedToStart
from tui_trader.serve.listen import parse_listen
from tui_trader.serve.order import PageOrder
from tui_trader.stdout import put

if TYPE_CHECKING:
    from tui_trader.serve.web import PageServer


def run_serve(listen: str, order: PageOrder, *, exposed: bool) -> int:
    """Serve pages until a signal asks to end; the exit code.

    Raises ``UsageError`` for an address that may not be, or without textual-serve, ``RefusedToStart`` when
    the address cannot be had.
    """
    host, port = parse_listen(listen, exposed=exposed)
    from tui_trader.serve.web import frontend  # heavy: not to say that an address is wrong

    static = frontend()
    from tui_trader.serve.door import Door
    from tui_trader.serve.web import MOST_PAGES, PageServer

    listener = _bind(host, port)
    door = Door(host)
    address = door.address(host, listener.getsockname()[1])
    server = PageServer(order, door, static, _tell)

    def ready() -> None:
        put(f"The screen is at {address}\n")
        _tell(
            f"at most {MOST_PAGES} pages at a time; whoever has the address can steer. Ctrl-C closes the"
            " pages; an engine that runs elsewhere goes on"
        )
        if not is_loopback(host):
            _tell("other machines can reach it, and nothing on the way is encrypted")

    asyncio.run(_serve(server, listener, ready))
    return 0


async def _serve(server: PageServer, listener: socket.socket, ready: Callable[[], None]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    await server.run(listener, ready, stopping)


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(32)
    except OSError as error:
        listener.close()
        raise RefusedToStart(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another address with --listen"
        ) from None
    listener.setblocking(False)
    return listener


def _tell(text: str) -> None:
    print(f"tui-trader: {text}", file=sys.stderr, flush=True)
