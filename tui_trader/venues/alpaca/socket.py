"""A WebSocket that comes back: it connects, lets a dialogue use the connection, and connects again.

What is said on a connection belongs to a ``Dialogue``; this module knows only when to try, when to wait and
when to give up, and tells the engine where things stand. All waiting is on the loop's clock.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from tui_trader.venues.base import Sink, StreamState

#: Seconds.
OPEN_TIMEOUT: Final = 10.0
STEP_TIMEOUT: Final = 10.0
PING_EVERY: Final = 10.0
PONG_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 0.5
FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 30.0
LIMIT_DELAY: Final = 30.0
HEALTHY_AFTER: Final = 30.0

#: The bars of ten thousand symbols are about 1 MB.
_MAX_MESSAGE: Final = 8 * 2**20
#: A longer message goes out in several frames; Alpaca's own client does the same.
_MAX_FRAME_OUT: Final = 2**15
_MAX_DOUBLINGS: Final = 10

# The library would log whole frames at DEBUG, the keys among them, and print lost pings over the screen.
_SILENT: Final = logging.Logger("websockets", logging.CRITICAL + 1)

Stream = Literal["bars", "trade_updates"]


class FatalError(Exception):
    """The server will not have us, and asking again will not change that. The text says what to do."""


class ConnectionLimitError(Exception):
    """The server has all the connections it allows us. Asking again soon would only keep it that way."""


class BrokenConnectionError(Exception):
    """This connection is of no use any more; another one may be."""


class MuteError(BrokenConnectionError):
    """The connection is open, but what must come does not come."""


class _Connector(connect):
    """``connect`` without redirects: the keys go to the configured host or nowhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Wire:
    """One open connection, as a dialogue sees it. Every method ends in bounded time."""

    def __init__(self, connection: ClientConnection, on_ready: Callable[[], None]) -> None:
        self._connection = connection
        self._waiting: asyncio.Timeout | None = None
        self.ready = on_ready
        """To be called once the server has agreed to everything."""

    async def send(self, message: str | bytes) -> None:
        """Raises ``BrokenConnectionError`` when the connection is closed, or stuck."""
        whole = len(message) <= _MAX_FRAME_OUT
        frames = [message[at : at + _MAX_FRAME_OUT] for at in range(0, len(message), _MAX_FRAME_OUT)]
        try:
            async with asyncio.timeout(STEP_TIMEOUT):
                await self._connection.send(message if whole else frames)
        except TimeoutError:
            raise BrokenConnectionError("the server takes nothing any more") from None
        except ConnectionClosed as closed:
            raise BrokenConnectionError(_how_it_closed(closed)) from closed

    async def receive(self, seconds: float) -> str | bytes | None:
        """The next message; None when ``seconds`` have passed or ``interrupt`` was called.

        Raises ``BrokenConnectionError`` when the connection is closed.
        """
        try:
            async with asyncio.timeout(seconds) as self._waiting:
                return await self._connection.recv()
        except TimeoutError:
            return None
        except ConnectionClosed as closed:
            raise BrokenConnectionError(_how_it_closed(closed)) from closed
        finally:
            self._waiting = None

    async def receive_until(self, accepts: Callable[[str | bytes], bool], what: str) -> None:
        """Receive until ``accepts`` a message; ``BrokenConnectionError`` if ``what`` takes over 10 s."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STEP_TIMEOUT
        while (left := deadline - loop.time()) > 0:
            message = await self.receive(left)
            if message is not None and accepts(message):
                return
        raise BrokenConnectionError(f"no {what} within {STEP_TIMEOUT:.0f} s")

    def interrupt(self) -> None:
        """Make a ``receive`` that waits return at once, without a message."""
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Say goodbye, but not for longer than half a second."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.close()
        except TimeoutError:
            pass  # a server that does not even take our goodbye is left without one
        finally:
            self._connection.transport.abort()


class Dialogue(Protocol):
    """What is said on one connection after another."""

    async def converse(self, wire: Wire) -> None:
        """Agree with the server, call ``wire.ready``, and then take what comes until the connection ends.

        Ends by raising one of this module's errors, or by being cancelled.
        """


class Backoff:
    """How long to wait before which attempt. ``jitter`` gives a number from 0 up to 1."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self.attempt = 0

    def reset(self) -> None:
        self.attempt = 0

    def next_delay(self, *, limited: bool) -> float:
        """Seconds before the next attempt: 0.5 doubling to 30, and over 30 where connections are counted."""
        self.attempt += 1
        if limited:
            return LIMIT_DELAY * (1.0 + self._jitter())
        doublings = min(self.attempt - 1, _MAX_DOUBLINGS)
        return min(FIRST_DELAY * 2.0**doublings, MAX_DELAY) * (0.5 + self._jitter() / 2.0)


class ReconnectingSocket:
    """Keeps ``dialogue`` connected to ``url``, and says by ``StreamState`` how that goes.

    ``on_problem`` gets a line when a connection is lost or refused, but not again for the same reason until
    one has lasted 30 s. ``on_fatal`` gets the line that says why there will be no further attempt.
    """

    def __init__(
        self,
        stream: Stream,
        url: str,
        dialogue: Dialogue,
        sink: Sink,
        *,
        on_problem: Callable[[str], None],
        on_fatal: Callable[[str], None],
        headers: Mapping[str, str] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._stream = stream
        self._url = url
        self._dialogue = dialogue
        self._sink = sink
        self._on_problem = on_problem
        self._on_fatal = on_fatal
        self._headers = headers
        self._backoff = Backoff(jitter)
        # Made here because it reads all root certificates, some 30 ms that no reconnect should cost the loop.
        self._tls = ssl.create_default_context() if url.startswith("wss:") else None
        self._running = False
        self._ready_since: float | None = None

    async def run(self) -> None:
        """Stay connected until cancelled. Returns only after ``on_fatal``. One at a time."""
        if self._running:
            raise RuntimeError(f"the {self._stream} stream runs already")
        self._running = True
        try:
            await self._stay_connected()
        finally:
            self._running = False

    async def _stay_connected(self) -> None:
        told = None
        while True:
            limited = False
            self._ready_since = None
            try:
                await self._one_connection()
                reason = "the connection was left"
            except FatalError as error:
                self._sink(StreamState(self._stream, "disconnected"))
                self._on_fatal(f"{self._stream}: {error}")
                return
            except ConnectionLimitError as error:
                limited = True
                reason = str(error)
            except MuteError as error:
                self._sink(StreamState(self._stream, "stale"))
                reason = str(error)
            except BrokenConnectionError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - whatever broke this connection, the next is tried
                reason = f"the connection was given up after {type(error).__name__}: {error}"
            if self._was_healthy():
                self._backoff.reset()
                told = None
            delay = self._backoff.next_delay(limited=limited)
            self._sink(StreamState(self._stream, "reconnecting", self._backoff.attempt))
            if reason != told:
                told = reason
                self._on_problem(f"{self._stream}: {reason}")
            await asyncio.sleep(delay)

    def _was_healthy(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._ready_since is not None and now - self._ready_since >= HEALTHY_AFTER

    async def _one_connection(self) -> None:
        wire = Wire(await self._open(), self._ready)
        try:
            await self._dialogue.converse(wire)
        finally:
            await wire.close()

    def _ready(self) -> None:
        self._ready_since = asyncio.get_running_loop().time()
        self._sink(StreamState(self._stream, "connected"))

    async def _open(self) -> ClientConnection:
        try:
            return await _Connector(
                self._url,
                ssl=self._tls,
                # A proxy that the environment names is used, as it is for REST; never to reach this machine.
                proxy=True if self._tls is not None else None,
                additional_headers=self._headers,
                # Half a dozen frames a minute: inflating them would only delay the bars.
                compression=None,
                open_timeout=OPEN_TIMEOUT,
                ping_interval=PING_EVERY,
                ping_timeout=PONG_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                max_size=_MAX_MESSAGE,
                logger=_SILENT,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status == 429:
                raise ConnectionLimitError(
                    "the server refused the connection with HTTP 429: too many connections"
                ) from error
            raise BrokenConnectionError(f"the server refused the connection with HTTP {status}") from error
        except TimeoutError as error:
            raise BrokenConnectionError(f"no connection within {OPEN_TIMEOUT:.0f} s") from error
        # ImportError: a SOCKS proxy is configured, and the package it takes is not installed.
        except (OSError, WebSocketException, ImportError, ValueError) as error:
            raise BrokenConnectionError(f"cannot connect: {error or type(error).__name__}") from error


def _how_it_closed(closed: ConnectionClosed) -> str:
    if closed.rcvd is not None:
        reason = f": {closed.rcvd.reason}" if closed.rcvd.reason else ""
        return f"the server closed the connection with code {closed.rcvd.code}{reason}"
    if closed.sent is not None:
        return f"the connection was closed: {closed.sent.reason or closed.sent.code}"
    return "the connection was lost"
