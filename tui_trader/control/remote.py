"""An engine in another process, seen and steered through its control API as if it were in this one."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tui_trader.control.client import ControlClient, EngineStoppedError
from tui_trader.control.decode import NotUnderstoodError, read_candles, read_event, read_info, read_snapshot
from tui_trader.control.endpoint import NoEngineError
from tui_trader.core.events import (
    MARKET_DATA,
    EngineState,
    EngineStateChanged,
    ErrorOccurred,
    Event,
    Published,
)
from tui_trader.engine.handle import (
    CancelWorkingOrder,
    CandleRow,
    Command,
    EngineInfo,
    EngineSnapshot,
    Flatten,
    Pause,
    Resume,
    SetSpeed,
    Shutdown,
)
from tui_trader.errors import TuiTraderError
from tui_trader.venues.base import Mode

#: A stream is opened anew so often: one that has silently died is found out by it.
_STREAM_S: Final = 60.0
_RETRY_S: Final = 1.0
_CANDLE_TRIES: Final = 5
_CANDLE_RETRY_S: Final = 0.3
_GONE: Final = "its process has gone without a word: look at the account"


class RemoteEngine:
    """The engine on a state folder, as an ``EngineHandle``.

    ``attach`` makes one. What happened before, as far as the engine remembers it, is told to subscriptions as
    well, so that a log begins filled; bars and candles only from now on. Closing it leaves the engine alone.
    """

    def __init__(self, client: ControlClient, info: EngineInfo, snapshot: EngineSnapshot) -> None:
        self.info = info
        self.exit_code = 0
        self._client = client
        self._clock = _MarketTime(info.mode)
        self._clock.take(snapshot.time, snapshot.speed)
        self._began = snapshot.seq  # what is older has no part in what is lost
        self._seq = 0
        self._stopped = snapshot.state is EngineState.STOPPED
        self._closed = threading.Event()
        self._subscriptions: tuple[RemoteSubscription, ...] = ()
        self._changing = threading.Lock()
        self._reader: threading.Thread | None = None
        self._commands = ThreadPoolExecutor(1, "viewer-commands")
        self._snapshots = ThreadPoolExecutor(1, "viewer-snapshots")
        self._histories = ThreadPoolExecutor(1, "viewer-candles")
        self._last_command: Future[None] | None = None

    @classmethod
    def attach(cls, state_dir: Path) -> RemoteEngine:
        """The engine that runs on ``state_dir``.

        Raises ``NoEngineError`` when none does, ``TuiTraderError`` when it cannot be talked to.
        """
        client = ControlClient.connect(state_dir)
        status = client.status()
        return cls(client, read_info(status, str(state_dir)), read_snapshot(status))

    # ---- EngineHandle ----------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        return self._stopped

    def subscribe(
        self, name: str, capacity: int, kinds: Sequence[type[Event]] | None = None
    ) -> RemoteSubscription:
        subscription = RemoteSubscription(capacity, kinds, self._forget)
        with self._changing:
            self._subscriptions = (*self._subscriptions, subscription)
            if self._reader is None:
                self._reader = threading.Thread(target=self._follow, name="viewer-events", daemon=True)
                self._reader.start()
        return subscription

    def send(self, command: Command) -> None:
        """Hand a command over; a refusal arrives as an ``ErrorOccurred``."""
        self._last_command = self._commands.submit(self._post, command)

    def snapshot(self) -> Future[EngineSnapshot]:
        return self._snapshots.submit(self._ask, self._last_command)

    def candles(self, symbol: str) -> Future[tuple[CandleRow, ...]]:
        return self._histories.submit(self._history, symbol)

    def now(self) -> datetime:
        return self._clock.now()

    def close(self) -> None:
        """Look no longer. What is under way is left to end by itself."""
        self._closed.set()
        for lane in (self._commands, self._snapshots, self._histories):
            lane.shutdown(wait=False, cancel_futures=True)

    # ---- asking ----------------------------------------------------------------------------------------

    def _post(self, command: Command) -> None:
        name, fields = _request(command)
        try:
            self._client.command(name, fields)
        except EngineStoppedError:
            pass  # what it was asked has become meaningless, and the screen says that it has stopped
        except TuiTraderError as error:
            self._say(ErrorOccurred("control", f"{name} was not accepted: {error}", None))

    def _ask(self, after: Future[None] | None) -> EngineSnapshot:
        if after is not None:
            with suppress(Exception):
                after.result()
        snapshot = read_snapshot(self._client.status())
        self._clock.take(snapshot.time, snapshot.speed)
        return snapshot

    def _history(self, symbol: str) -> tuple[CandleRow, ...]:
        # A screen asks for all its symbols at once; several screens can be more than the engine likes.
        for _ in range(_CANDLE_TRIES - 1):
            try:
                return read_candles(self._client.candles(symbol))
            except NoEngineError:
                raise
            except TuiTraderError:
                if self._closed.wait(_CANDLE_RETRY_S):
                    raise
        return read_candles(self._client.candles(symbol))

    # ---- hearing ---------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Relay the engine's events until it has stopped or nobody looks."""
        said = ""
        while not self._closed.is_set():
            try:
                for document in self._client.events(self._seq, time.monotonic() + _STREAM_S):
                    said = ""
                    self._take(document)
                    if self._closed.is_set():
                        return
                problem = ""
            except NoEngineError:
                self._end()
                return
            except TuiTraderError as error:
                problem = str(error)
            if self._stopped:
                return
            if problem:
                if problem != said:
                    self._say(ErrorOccurred("control", problem, None))
                said = problem
                self._closed.wait(_RETRY_S)

    def _take(self, document: dict[str, Any]) -> None:
        if document.get("type") == "gap":
            self._lose(document["next"] - 1 - max(document["after"], self._began))
            return
        try:
            published = read_event(document)
        except NotUnderstoodError:
            self._lose(1)
            published = None
        if published is None:
            self._seq = max(self._seq, document["seq"])
            return
        self._seq = published.seq
        if published.seq <= self._began:
            if type(published.event) not in MARKET_DATA:
                self._publish(published, counted=False)
            return
        self._clock.heard(published.time)
        self._publish(published)
        if isinstance(published.event, EngineStateChanged):
            self._stopped = self._stopped or published.event.state is EngineState.STOPPED

    def _lose(self, count: int) -> None:
        for subscription in self._subscriptions:
            subscription.lose(max(0, count))

    def _end(self) -> None:
        """Nothing listens any more."""
        if not self._stopped:
            self._publish(Published(self._seq + 1, self.now(), ErrorOccurred("engine", _GONE, None)))
        self._stopped = True

    def _say(self, event: Event) -> None:
        """A word of our own among the engine's: it has no number of its own."""
        self._publish(Published(self._seq, self.now(), event))

    def _publish(self, published: Published, *, counted: bool = True) -> None:
        for subscription in self._subscriptions:
            subscription.put(published, counted=counted)

    def _forget(self, subscription: RemoteSubscription) -> None:
        with self._changing:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)


class RemoteSubscription:
    """A bounded queue between the stream's reader and the screen; the oldest gives way."""

    def __init__(
        self,
        capacity: int,
        kinds: Sequence[type[Event]] | None,
        forget: Callable[[RemoteSubscription], None],
    ) -> None:
        self._kinds = frozenset(kinds) if kinds is not None else None
        self._queue: deque[Published] = deque()
        self._capacity = capacity
        self._forget = forget
        self._lock = threading.Lock()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        return self._dropped

    def put(self, published: Published, *, counted: bool) -> None:
        """Queue an event; whether one that gives way to it counts as dropped."""
        if self._kinds is not None and type(published.event) not in self._kinds:
            return
        with self._lock:
            if len(self._queue) >= self._capacity:
                self._queue.popleft()
                self._dropped += counted
            self._queue.append(published)

    def lose(self, count: int) -> None:
        """Events were lost on their way here."""
        with self._lock:
            self._dropped += count

    def drain(self) -> list[Published]:
        with self._lock:
            events = list(self._queue)
            self._queue.clear()
        return events

    def close(self) -> None:
        self._forget(self)


class _MarketTime:
    """What the engine's clock shows, told by its events; a simulated market runs on between them."""

    def __init__(self, mode: Mode) -> None:
        self._real = mode in (Mode.PAPER, Mode.LIVE)
        self._lock = threading.Lock()
        self._anchor = (datetime.min.replace(tzinfo=UTC), time.monotonic())
        self._latest = self._anchor[0]
        self._speed: float | None = None

    def now(self) -> datetime:
        if self._real:
            return datetime.now(UTC)
        with self._lock:
            return self._shown()

    def take(self, moment: datetime, speed: float | None) -> None:
        """A snapshot says what time it was at the latest event, and the pace."""
        with self._lock:
            if speed != self._speed:
                self._anchor = (self._shown(), time.monotonic())
                self._speed = speed
        self.heard(moment)

    def heard(self, moment: datetime) -> None:
        """It is ``moment`` now."""
        with self._lock:
            if moment > self._latest:
                self._latest = moment
                self._anchor = (moment, time.monotonic())

    def _shown(self) -> datetime:
        moment, since = self._anchor
        if self._speed is None or not math.isfinite(self._speed):
            return moment
        return moment + timedelta(seconds=(time.monotonic() - since) * self._speed)


def _request(command: Command) -> tuple[str, dict[str, object]]:
    """A command in the words of the control API."""
    match command:
        case Pause():
            return "pause", {}
        case Resume(reset_breaker):
            return "resume", {"reset_breaker": True} if reset_breaker else {}
        case Flatten(symbol):
            return "flatten", {} if symbol is None else {"symbol": symbol}
        case CancelWorkingOrder(client_order_id):
            return "cancel", {"client_order_id": client_order_id}
        case SetSpeed(speed):
            return "speed", {"speed": speed}
        case Shutdown(_, positions):
            return "shutdown", {} if positions is None else {"positions": positions}
