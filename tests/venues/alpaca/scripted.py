"""A WebSocket server that plays a script for each connection, and a loop whose clock makes nobody wait."""

from __future__ import annotations

import asyncio
import functools
import json
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import msgpack  # type: ignore[import-untyped]
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Data

from tui_trader.core.bars import Bar
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.base import BarBatch, StreamState, VenueMessage

KEY_ID = "PKSCRIPTEDKEYID"
SECRET_KEY = "scripted-secret-key"
MINUTE = datetime(2026, 11, 18, 14, 31, tzinfo=UTC)
Message = dict[str, Any]

# Loopback hands over what was written at once, but on a busy machine perhaps not quite.
_REALLY_NOTHING = 0.001


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer it turns its clock on; sockets are real and have the first word."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout is None or timeout <= 0:
            return events
        events = super().select(_REALLY_NOTHING)
        if not events:
            self.now += timeout
        return events


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._selector_with_time = _JumpingSelector()
        super().__init__(self._selector_with_time)

    def time(self) -> float:
        return self._selector_with_time.now


def virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a loop whose hours take no time; one that hangs fails after a virtual week."""

    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(7 * 24 * 3600):
            await test(*args, **kwargs)

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
            runner.run(bounded(*args, **kwargs))

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


def access(url: str) -> AlpacaAccess:
    key_id, secret_key = SecretStr(KEY_ID), SecretStr(SECRET_KEY)
    return AlpacaAccess(key_id, secret_key, True, "iex", "http://127.0.0.1", "http://127.0.0.1", url, url)


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.heard: list[Message] = []

    async def send(self, data: Data) -> None:
        await self.connection.send(data)

    async def say(self, *messages: object) -> None:
        """One market data frame."""
        await self.send(msgpack.packb(list(messages), datetime=True))

    async def tell(self, message: object) -> None:
        """One trade update message: JSON in a binary frame."""
        await self.send(json.dumps(message).encode())

    async def hear(self) -> Message:
        data = await self.connection.recv()
        message: Message = json.loads(data) if isinstance(data, str) else msgpack.unpackb(data)
        self.heard.append(message)
        return message

    async def stay(self) -> None:
        """Say nothing until the client has left."""
        await self.connection.wait_closed()

    def freeze(self) -> None:
        """Take nothing in any more, not even a ping or a goodbye."""
        self.connection.transport.pause_reading()

    # ---- market data -----------------------------------------------------------------------------

    async def greet(self) -> None:
        await self.say({"T": "success", "msg": "connected"})
        await self.hear()

    async def authenticate(self) -> None:
        await self.greet()
        await self.say({"T": "success", "msg": "authenticated"})

    async def grant(self) -> Message:
        """Answer one subscription with all it asks for."""
        asked = await self.hear()
        await self.say({"T": "subscription", **{k: v for k, v in asked.items() if k != "action"}})
        return asked

    async def open_data(self) -> Message:
        await self.authenticate()
        return await self.grant()

    # ---- trade updates ---------------------------------------------------------------------------

    async def open_trade(self) -> None:
        await self.hear()
        await self.tell(
            {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}}
        )
        await self.hear()
        await self.tell({"stream": "listening", "data": {"streams": ["trade_updates"]}})


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """What a test sees of its server."""

    def __init__(self) -> None:
        self.port = 0
        self.peers: list[Peer] = []
        self.times: list[float] = []
        """When each connection was asked for, those refused by HTTP among them."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@asynccontextmanager
async def scripted(
    *scripts: Script, answer: Callable[[ServerConnection, Request], Response | None] | None = None
) -> AsyncIterator[Server]:
    """A server that plays the scripts, one a connection and the last for all further ones.

    ``answer`` may refuse the handshake. A script that has ended closes its connection.
    """
    server = Server()

    def asked(connection: ServerConnection, request: Request) -> Response | None:
        server.times.append(now())
        return None if answer is None else answer(connection, request)

    async def play(connection: ServerConnection) -> None:
        peer = Peer(connection)
        server.peers.append(peer)
        with suppress(ConnectionClosed):
            await scripts[min(len(server.peers), len(scripts)) - 1](peer)

    async with serve(
        play, "127.0.0.1", 0, process_request=asked, ping_interval=None, close_timeout=1, compression=None
    ) as listening:
        server.port = next(iter(listening.sockets)).getsockname()[1]
        yield server


class Seen:
    """Everything a stream has said, in order, and a way to wait for it."""

    def __init__(self) -> None:
        self.states: list[StreamState] = []
        self.batches: list[BarBatch] = []
        self.problems: list[str] = []
        self.fatal: list[str] = []
        self.updated: list[Bar] = []
        self.statuses: list[tuple[str, bool, str]] = []
        self.updates: list[Message] = []
        self._news = asyncio.Event()

    def sink(self, message: VenueMessage) -> None:
        if isinstance(message, StreamState):
            self.states.append(message)
        if isinstance(message, BarBatch):
            self.batches.append(message)
        self._news.set()

    def on_problem(self, line: str) -> None:
        self.problems.append(line)
        self._news.set()

    def on_fatal(self, line: str) -> None:
        self.fatal.append(line)
        self._news.set()

    def on_updated_bar(self, bar: Bar) -> None:
        self.updated.append(bar)
        self._news.set()

    def on_status(self, symbol: str, halted: bool, text: str) -> None:
        self.statuses.append((symbol, halted, text))
        self._news.set()

    def on_update(self, data: Message) -> None:
        self.updates.append(data)
        self._news.set()

    @property
    def names(self) -> list[str]:
        """The states so far, by name."""
        return [state.state for state in self.states]

    @property
    def bars(self) -> list[Bar]:
        return [bar for batch in self.batches for bar in batch.bars]

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def until_connected(self, times: int = 1) -> None:
        await self.until(lambda: self.names.count("connected") >= times)


@asynccontextmanager
async def running(stream: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[asyncio.Task[None]]:
    """A stream's ``run`` as a task that is cancelled at the end, unless it has ended by itself."""
    task = asyncio.create_task(stream())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def cancelled_after(task: asyncio.Task[None]) -> float:
    """Cancel ``task``; the (virtual) seconds it took to end."""
    started = now()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return now() - started
