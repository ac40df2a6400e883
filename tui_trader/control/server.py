"""The control server: its thread, its socket and its endpoint file."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from tui_trader.control.address import parse_listen
from tui_trader.control.auth import Gate
from tui_trader.control.endpoint import Endpoint, remove_endpoint, write_endpoint
from tui_trader.control.limits import Limits
from tui_trader.control.sse import Relay
from tui_trader.core.events import Event
from tui_trader.engine.handle import EngineHandle, Subscription
from tui_trader.errors import RefusedToStart, TuiTraderError

log = logging.getLogger("tui_trader.control")

_START_S = 10.0
_STOP_S = 2.0


class ControlServer:
    """HTTP access to one engine, on a thread and a loop of its own.

    ``listen`` is ``HOST:PORT`` on loopback; port 0 takes a free one. A server starts once.
    """

    def __init__(self, handle: EngineHandle, listen: str, state_dir: Path, limits: Limits | None = None):
        self._handle = handle
        self._listen = listen
        self._state_dir = state_dir
        self._limits = limits or Limits()
        self._token = secrets.token_urlsafe(32)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self.url = ""

    def start(self) -> None:
        """Return once requests are answered and the endpoint file is written.

        Raises ``UsageError`` for an address that is not loopback, ``RefusedToStart`` when it cannot be had,
        ``TuiTraderError`` when the file cannot be written.
        """
        host, port = parse_listen(self._listen)
        listener = _bind(host, port)
        port = listener.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(listener, Gate(self._token, port), ready), name="control", daemon=True
        )
        self._thread.start()
        try:
            ready.result(_START_S)
            write_endpoint(self._state_dir, Endpoint(self.url, self._token, os.getpid()))
        except TuiTraderError:
            self.stop()
            raise
        except Exception as error:
            self.stop()
            raise TuiTraderError(
                f"the control API did not start ({error or type(error).__name__}); try --control off"
            ) from error

    def stop(self) -> None:
        """Send viewers the last events, close every connection and remove the endpoint file."""
        remove_endpoint(self._state_dir, self._token)
        loop, stopping, thread = self._loop, self._stopping, self._thread
        if thread is None:
            return
        if loop is not None and stopping is not None:
            with suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(stopping.set)
        if thread is not threading.current_thread():
            thread.join(_STOP_S)

    def _run(self, listener: socket.socket, gate: Gate, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(listener, gate, ready))
        except Exception as error:
            if ready.done():
                log.exception("the control API ended; trading goes on without it")
            else:
                ready.set_exception(error)
        finally:
            listener.close()
            if ready.done():
                remove_endpoint(self._state_dir, self._token)

    async def _serve(self, listener: socket.socket, gate: Gate, ready: Future[None]) -> None:
        # Heavy, and not needed by a run without the API.
        from tui_trader.control.app import ControlApp

        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()

        def subscribe(kinds: Sequence[type[Event]] | None) -> Subscription:
            return self._handle.subscribe("control", self._limits.subscription_events, kinds)

        app = ControlApp(self._handle, gate, Relay(subscribe, self._limits), self._limits)
        await app.serve(listener, lambda: ready.set_result(None), self._stopping)


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(32)
    except OSError as error:
        listener.close()
        raise RefusedToStart(
            f"the control API cannot listen on {host}:{port}: {error.strerror}"
            " (choose another address with --control HOST:PORT, or --control off)"
        ) from None
    listener.setblocking(False)
    return listener
