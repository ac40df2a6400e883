"""The market data stream: minute bars as they are made, their late corrections, and trading halts.

What is wanted is a set of symbols; after every connection the server is asked for exactly those, and what it
says it will stream is compared with them. Nothing is replayed after a gap: the bars between two connections
are the business of whoever asks for history.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgpack  # type: ignore[import-untyped]

from tui_trader.core.bars import Bar
from tui_trader.engine.clock import Clock
from tui_trader.venues.alpaca.frames import Control, read_frame
from tui_trader.venues.alpaca.redaction import Tally, masked
from tui_trader.venues.alpaca.socket import (
    BrokenConnectionError,
    ConnectionLimitError,
    FatalError,
    MuteError,
    ReconnectingSocket,
    Wire,
)
from tui_trader.venues.base import BarBatch, Sink

if TYPE_CHECKING:
    from tui_trader.venues.alpaca.access import AlpacaAccess

#: Seconds without a message, while some must come, after which the stream is stale. Any one busy symbol has a
#: bar every 60 s; where all are thin, the limit doubles with every reconnect that changed nothing.
MUTE_LIMIT: Final = 90.0
MAX_MUTE_LIMIT: Final = 360.0
_LOOK_EVERY: Final = 5.0

_HEADERS: Final = {"Content-Type": "application/msgpack"}
_BARS: Final = ("bars",)
_BESIDES: Final = ("updatedBars", "statuses")
_NAMED_AT_MOST: Final = 10

_ALREADY_AUTHENTICATED: Final = 403
_SYMBOL_LIMIT: Final = 405
_CONNECTION_LIMIT: Final = 406
_DROPPING_US: Final = {404: "authentication took too long", 407: "we were too slow to take what it sends"}
_FATAL: Final = {
    401: "Alpaca did not take the keys: check them",
    402: "Alpaca refused the keys: check them, and that they are still valid",
    408: "this account has no access to the market data stream",
    409: "the subscription does not include this feed: choose feed = iex, or subscribe",
}


class BarStream:
    """Bars of the subscribed symbols as ``BarBatch`` messages in ``sink``, one per frame, as they come.

    All of it belongs to the loop that ``run`` runs in. ``expects_data`` says whether bars are due at all
    (market hours). ``on_status`` gets a symbol, whether it is halted, and the exchange's words for it.
    ``on_problem`` and ``on_fatal`` get lines to show; after ``on_fatal`` the stream has ended. ``jitter``
    gives a number from 0 up to 1.
    """

    def __init__(
        self,
        access: AlpacaAccess,
        sink: Sink,
        clock: Clock,
        *,
        expects_data: Callable[[], bool],
        on_updated_bar: Callable[[Bar], None],
        on_status: Callable[[str, bool, str], None],
        on_problem: Callable[[str], None],
        on_fatal: Callable[[str], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._key_id, self._secret_key = access.secrets
        self._sink = sink
        self._clock = clock
        self._expects_data = expects_data
        self._on_updated_bar = on_updated_bar
        self._on_status = on_status
        self._tell = masked(on_problem, access.secrets)
        self._socket = ReconnectingSocket(
            "bars",
            access.data_stream_url,
            self,
            sink,
            on_problem=self._tell,
            on_fatal=masked(on_fatal, access.secrets),
            headers=_HEADERS,
            jitter=jitter,
        )
        self._wire: Wire | None = None
        self._wanted: frozenset[str] = frozenset()
        self._asked: frozenset[str] = frozenset()
        self._streamed: frozenset[str] = frozenset()
        self._missing: frozenset[str] = frozenset()
        self._unreadable = Tally()
        self._quiet_since = 0.0
        self._mute_limit = MUTE_LIMIT

    @property
    def streamed(self) -> frozenset[str]:
        """The symbols whose bars the server says it streams now."""
        return self._streamed

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Stream the bars of exactly these symbols from now on. Any time, from the loop's thread."""
        wanted = frozenset(symbols)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if self._wire is not None:
            self._wire.interrupt()

    async def run(self) -> None:
        """Stream until cancelled, which takes less than a second. Returns only after a fatal error."""
        await self._socket.run()

    # ---- one connection --------------------------------------------------------------------------

    async def converse(self, wire: Wire) -> None:
        """See ``socket.Dialogue``."""
        self._wire = wire
        try:
            await wire.receive_until(lambda data: self._agreed(data, "connected"), "greeting")
            await self._send(wire, action="auth", key=self._key_id, secret=self._secret_key)
            await wire.receive_until(lambda data: self._agreed(data, "authenticated"), "answer to the keys")
            await self._subscribe(wire)
            wire.ready()
            self._quiet_since = asyncio.get_running_loop().time()
            while True:
                await self._next(wire)
        finally:
            self._wire = None
            self._streamed = frozenset()

    async def _next(self, wire: Wire) -> None:
        if self._asked is not self._wanted:
            await self._subscribe(wire)
        data = await wire.receive(_LOOK_EVERY)
        if data is None:
            self._check_mute()
            return
        for control in self._take(data):
            self._obey(control)

    async def _send(self, wire: Wire, **message: object) -> None:
        await wire.send(msgpack.packb(message))

    def _agreed(self, data: bytes | str, answer: str) -> bool:
        agreed = False
        for control in self._take(data):
            if control.kind == "error":
                if control.code != _ALREADY_AUTHENTICATED:
                    raise _ended_by(control)
                agreed |= answer == "authenticated"
            else:
                agreed |= control.kind == "success" and control.message == answer
        return agreed

    def _obey(self, control: Control) -> None:
        """The server, unasked, about a connection in use."""
        match control.kind:
            case "error":
                error = _ended_by(control)
                if type(error) is BrokenConnectionError and control.code not in _DROPPING_US:
                    self._tell(f"bars: {error}")  # it did not end the connection over it, nor do we
                else:
                    raise error
            case "subscription":
                self._compare(control.bars)

    # ---- subscription ----------------------------------------------------------------------------

    async def _subscribe(self, wire: Wire) -> None:
        wanted = self._asked = self._wanted
        if wanted and not await self._request(wire, (*_BARS, *_BESIDES), wanted):
            await self._request_what_fits(wire, sorted(wanted))
        self._compare(self._streamed)

    async def _request_what_fits(self, wire: Wire, symbols: list[str]) -> None:
        """A request over the symbol limit is refused whole: halve it until what fits is in, bars first."""
        at, size = 0, len(symbols)
        while size and at < len(symbols):
            if await self._request(wire, _BARS, symbols[at : at + size]):
                at += size
            else:
                size //= 2
        if at and not await self._request(wire, _BESIDES, symbols[:at]):
            self._tell("bars: the symbol limit leaves no room for trading halts and corrected bars")

    async def _request(self, wire: Wire, channels: Iterable[str], symbols: Iterable[str]) -> bool:
        """Ask for ``symbols`` on ``channels`` and wait for the answer; False when they are too many."""
        fits = True

        def answered(data: bytes | str) -> bool:
            nonlocal fits
            answer = False
            for control in self._take(data):
                if control.kind == "subscription":
                    self._streamed = control.bars
                    answer = True
                elif control.kind == "error" and control.code == _SYMBOL_LIMIT:
                    fits = False
                    answer = True
                elif control.kind == "error":
                    raise _ended_by(control)
            return answer

        await self._send(wire, action="subscribe", **dict.fromkeys(channels, sorted(symbols)))
        await wire.receive_until(answered, "answer to the subscription")
        return fits

    def _compare(self, streamed: frozenset[str]) -> None:
        self._streamed = streamed
        missing = self._asked - streamed
        if missing and missing != self._missing:
            named = ", ".join(sorted(missing)[:_NAMED_AT_MOST])
            more = len(missing) - _NAMED_AT_MOST
            self._tell(f"bars: not streamed by Alpaca: {named}{f' and {more} more' if more > 0 else ''}")
        self._missing = missing

    # ---- data ------------------------------------------------------------------------------------

    def _take(self, data: bytes | str) -> list[Control]:
        """Pass on everything of value in a frame; what the server says about the connection is returned."""
        frame = read_frame(data, self._wanted)
        if frame.bars:
            self._sink(BarBatch(self._clock.now(), frame.bars))
        for bar in frame.updated:
            self._on_updated_bar(bar)
        for status in frame.statuses:
            self._on_status(*status)
        self._quiet_since = asyncio.get_running_loop().time()
        if frame.bars or frame.updated or frame.statuses:
            self._mute_limit = MUTE_LIMIT
        for reason in frame.unreadable:
            if self._unreadable.one_more():
                self._tell(f"bars: passed over {reason} ({self._unreadable.count} so far)")
        return frame.controls

    def _check_mute(self) -> None:
        now = asyncio.get_running_loop().time()
        if not (self._wanted and self._expects_data()):
            self._quiet_since = now
        elif now - self._quiet_since >= self._mute_limit:
            limit, self._mute_limit = self._mute_limit, min(2.0 * self._mute_limit, MAX_MUTE_LIMIT)
            raise MuteError(f"no message for {limit:.0f} s although the market is open")


def _ended_by(control: Control) -> Exception:
    """What an error of the server's means for the connection."""
    said = f"{control.message or 'error'} ({control.code})"
    if control.code in _FATAL:
        return FatalError(f"{_FATAL[control.code]}; the server says: {said}")
    if control.code == _CONNECTION_LIMIT:
        return ConnectionLimitError(
            f"this account streams market data elsewhere, and only one connection is allowed: {said}"
        )
    if control.code in _DROPPING_US:
        return BrokenConnectionError(f"the server drops us: {_DROPPING_US[control.code]}: {said}")
    return BrokenConnectionError(f"the server says: {said}")
