"""Both streams over real sockets, in a loop whose time is the test's.

What they say is kept here until ``collect``, which waits until everything that the exchange has sent is here:
it has the exchange send one more message and waits for that. So the engine hears the same in the same order
in every run, and nobody waits for a clock.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.alpaca_server import AlpacaServer, MinuteBar, Stream
from tui_trader.core.orders import ClientOrderId
from tui_trader.engine.clock import VirtualClock
from tui_trader.venues.alpaca.venue import AlpacaVenue
from tui_trader.venues.base import BarBatch, OrderUpdate, StreamState, VenueMessage

#: Real seconds after which the test is broken; nothing in a good run takes so long.
_PATIENCE_S = 20.0
#: Turns of the loop in which whatever a timer sets off comes to rest, or to waiting for the exchange.
_TURNS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARK = "mark-"
_TICK = timedelta(microseconds=1)

_STREAM_OF = {"bars": Stream.DATA, "trade_updates": Stream.TRADE}


class ScenicLoop(asyncio.SelectorEventLoop):
    """Timers go off when the test's clock has got there."""

    def __init__(self, clock: VirtualClock) -> None:
        self._scene, self._begin = clock, clock.now()
        self._lock = threading.Lock()
        self._whens: list[float] = []
        #: Told when the next timer that is set will go off, once.
        self.tell_next: Callable[[datetime], None] | None = None
        super().__init__()

    def time(self) -> float:
        return (self._scene.now() - self._begin).total_seconds()

    def call_at(  # type: ignore[override, unused-ignore]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        tell, self.tell_next = self.tell_next, None
        if tell is not None:
            tell(self._begin + timedelta(seconds=when) + _TICK)
        with self._lock:
            heapq.heappush(self._whens, when)
        return super().call_at(when, callback, *args, context=context)

    def any_due(self) -> bool:
        """Whether a timer was to go off since the last time this was asked."""
        any_due = False
        with self._lock:
            while self._whens and self._whens[0] <= self.time():
                heapq.heappop(self._whens)
                any_due = True
        return any_due


@dataclass
class _Line:
    """One stream as far as it is known here."""

    state: str = "reconnecting"
    retry_at: datetime | None = None  # when it will try again; None while it tries
    mute: bool = False
    wanted: bool = True  # whether anything is subscribed to
    marks_sent: int = 0
    marks_seen: int = 0
    said: list[VenueMessage] = field(default_factory=list)

    @property
    def all_here(self) -> bool:
        return self.marks_seen >= self.marks_sent

    def at_rest(self, now: datetime) -> bool:
        """Whether nothing will happen before the exchange or the clock does something."""
        if self.state in ("connected", "disconnected"):
            return True
        return self.retry_at is not None and self.retry_at > now


class Streams:
    """The services of one venue, beside the test's thread. ``post`` is that venue's sink in the loop."""

    def __init__(self, server: AlpacaServer, clock: VirtualClock) -> None:
        self._server = server
        self._clock = clock
        self._change = threading.Condition()
        self._lines = {"trade_updates": _Line(), "bars": _Line(wanted=False)}
        self._loop = ScenicLoop(clock)
        self._thread = threading.Thread(target=self._loop.run_forever, name="streams", daemon=True)
        self._tasks: list[asyncio.Task[None]] = []
        self._symbols: tuple[str, ...] = ()

    # ---- its life --------------------------------------------------------------------------------

    def start(self, venue: AlpacaVenue, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._thread.start()
        self._do(lambda: self._begin(venue))

    def _begin(self, venue: AlpacaVenue) -> None:
        async def run(service: Callable[[], Awaitable[None]]) -> None:
            await service()

        for name, service in venue.services(self._symbols).items():
            self._tasks.append(self._loop.create_task(run(service), name=name))

    def stop(self) -> None:
        """Gone without a word, as far as the exchange can tell."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()
        gone = lambda: not any(self._server.connected(stream) for stream in Stream)  # noqa: E731
        assert self._server.wait_until(gone, _PATIENCE_S)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- what the venue says in the loop ---------------------------------------------------------

    @property
    def here(self) -> bool:
        """Whether this is the streams' thread."""
        return threading.current_thread() is self._thread

    def post(self, message: VenueMessage) -> None:
        with self._change:
            match message:
                case StreamState(stream=name) if name in self._lines:
                    self._turn_of_a_line(self._lines[name], message)
                case OrderUpdate(report=report) if report.client_order_id.startswith(_MARK):
                    self._lines["trade_updates"].marks_seen = int(report.client_order_id[len(_MARK) :])
                case BarBatch(bars=[bar]) if bar.timestamp.year == _EPOCH.year:
                    self._lines["bars"].marks_seen = (bar.timestamp - _EPOCH) // timedelta(minutes=1)
                case OrderUpdate():
                    self._lines["trade_updates"].said.append(message)
                case _:
                    self._lines["bars"].said.append(message)
            self._change.notify_all()

    def _turn_of_a_line(self, line: _Line, message: StreamState) -> None:
        line.state = message.state
        line.retry_at = None
        line.mute = line.mute and message.state == "connected"
        line.said.append(message)
        if message.state == "reconnecting" and message.attempt:
            self._loop.tell_next = lambda when: setattr(line, "retry_at", when)

    # ---- what the test uses ----------------------------------------------------------------------

    def state(self, name: str) -> str:
        with self._change:
            return self._lines[name].state

    def mute(self, name: str) -> None:
        """It says nothing more until it has connected anew."""
        self._lines[name].mute = True
        self._server.mute(_STREAM_OF[name])

    def next_time(self) -> datetime | None:
        """When one of them tries again."""
        with self._change:
            times = [line.retry_at for line in self._lines.values() if line.retry_at is not None]
        return min(times, default=None)

    def subscribe(self, venue: AlpacaVenue, symbols: Sequence[str]) -> None:
        self._do(lambda: venue.subscribe(symbols))
        self._lines["bars"].wanted = True
        if self.state("bars") == "connected":
            assert self._server.wait_until(lambda: self._server.subscribed() >= set(symbols), _PATIENCE_S)

    def collect(self) -> list[VenueMessage]:
        """Everything they have said since the last time, once they are at rest: updates first, then data."""
        self._run_due()
        for name in self._lines:
            self._await(name)
        news: list[VenueMessage] = []
        with self._change:
            for line in self._lines.values():
                news += line.said
                line.said.clear()
        return news

    def idle(self) -> bool:
        """Whether they are at rest and have said nothing, unless the exchange has just sent something."""
        if self._loop.any_due():
            self._run_due()
        with self._change:
            now = self._clock.now()
            return all(line.at_rest(now) and not line.said for line in self._lines.values())

    def _run_due(self) -> None:
        asyncio.run_coroutine_threadsafe(_turns(), self._loop).result(_PATIENCE_S)

    def _await(self, name: str) -> None:
        """Until the stream is at rest and everything sent on it is here."""
        line = self._lines[name]
        while True:
            self._wait(lambda: line.at_rest(self._clock.now()), f"{name} neither connects nor fails")
            if line.state != "connected" or line.mute or not line.wanted:
                return
            line.marks_sent += 1
            self._send_mark(name, line.marks_sent)
            self._wait(lambda: line.all_here or line.state != "connected", f"{name} is silent")
            if line.all_here:
                return

    def _send_mark(self, name: str, mark: int) -> None:
        if name == "bars":
            bar = MinuteBar(self._symbols[0], _EPOCH + timedelta(minutes=mark), 1.0, 1.0, 1.0, 1.0)
            message = {
                "T": "u", "S": bar.symbol, "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 1,
                "t": mark * 60 * 1_000_000_000,
            }  # fmt: skip
            self._server.send_data([message])
        else:
            order = {
                "id": f"{_MARK}id", "client_order_id": ClientOrderId(f"{_MARK}{mark}"), "symbol": "MARK",
                "side": "buy", "type": "market", "qty": "1", "filled_qty": "0", "status": "canceled",
            }  # fmt: skip
            self._server.send_update({"event": "canceled", "order": order})

    def _wait(self, condition: Callable[[], bool], problem: str) -> None:
        with self._change:
            assert self._change.wait_for(condition, _PATIENCE_S), problem

    def _do(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(_PATIENCE_S)


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
