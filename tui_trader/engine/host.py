"""Hosts an engine on a thread and is the handle by which the rest of the program sees it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import TypeVar

from tui_trader.core.events import ErrorOccurred, Event
from tui_trader.engine.bus import EventBus, QueueSubscription
from tui_trader.engine.driver import Driver
from tui_trader.engine.guard import StrategyGuard, described
from tui_trader.engine.handle import CandleRow, Command, EngineInfo, EngineSnapshot, Shutdown
from tui_trader.engine.inbox import Inbox, Query
from tui_trader.engine.snapshot import candles_of, snapshot_of
from tui_trader.engine.supervisor import Service, Supervisor
from tui_trader.engine.trading_engine import TradingEngine

_T = TypeVar("_T")
_GC_THRESHOLD = 50_000


class EngineHost:
    """An ``EngineHandle``. ``run`` drives the engine on the calling thread; ``start`` on one of its own.

    ``on_end`` is called on the engine's thread when it has ended, however it did, and closes what the engine
    was given (journal, venue); its argument says whether the end was clean. ``services`` run beside the
    engine's loop and are restarted when they fail.
    """

    def __init__(
        self,
        info: EngineInfo,
        engine: TradingEngine,
        driver: Driver,
        inbox: Inbox,
        bus: EventBus,
        on_end: Callable[[bool], None],
        services: Mapping[str, Service] | None = None,
    ) -> None:
        self._info = info
        self._engine = engine
        self._driver = driver
        self._inbox = inbox
        self._bus = bus
        self._on_end = on_end
        self._services = services or {}
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self.failure: BaseException | None = None

    # ---- life ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Drive the engine until it has stopped. An engine that fails is kept in ``failure``."""
        # The hot path makes no reference cycles: the collector need not look at every bar.
        gc.set_threshold(_GC_THRESHOLD, 20, 50)
        guard = StrategyGuard()
        guard.start()
        self._engine.market.guard = guard
        try:
            asyncio.run(self._supervised())
        except BaseException as error:
            self.failure = error
            if not isinstance(error, Exception):
                raise
            self._bus.emit(ErrorOccurred("engine", described(error), None))
        finally:
            guard.stop()
            self._end()

    async def _supervised(self) -> None:
        """The engine's loop beside its services; those of a simulated venue are none."""
        supervisor = Supervisor(self._service_failed, self._service_given_up)
        await supervisor.run(self._driver.run, self._services)

    def _service_failed(self, name: str, error: Exception) -> None:
        self._bus.emit(ErrorOccurred(name, f"{type(error).__name__}: {error}; starting it again", None))

    def _service_given_up(self, name: str) -> None:
        self._inbox.command(Shutdown(f"{name} has failed too often"))

    def _end(self) -> None:
        try:
            self._on_end(self.failure is None and self._engine.stopped)
        finally:
            self._ended.set()
            self._refuse_queries()

    def start(self) -> None:
        """Drive the engine on a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="engine")
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; false when it has not come within ``timeout`` seconds."""
        return self._ended.wait(timeout)

    # ---- the handle ------------------------------------------------------------------------------

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def stopped(self) -> bool:
        return self._ended.is_set()

    @property
    def exit_code(self) -> int:
        return 1 if self.failure is not None else self._engine.exit_code

    def subscribe(
        self, name: str, capacity: int, kinds: Sequence[type[Event]] | None = None
    ) -> QueueSubscription:
        return self._bus.subscribe(name, capacity, kinds)

    def send(self, command: Command) -> None:
        self._inbox.command(command)

    def snapshot(self) -> Future[EngineSnapshot]:
        return self._ask(lambda: snapshot_of(self._engine, self._driver.speed))

    def candles(self, symbol: str) -> Future[tuple[CandleRow, ...]]:
        return self._ask(lambda: candles_of(self._engine, symbol))

    def now(self) -> datetime:
        return self._driver.shown_time()

    def _ask(self, answer: Callable[[], _T]) -> Future[_T]:
        future: Future[_T] = Future()
        if self.stopped:
            # The state no longer changes, so any thread may read it.
            future.set_result(answer())
            return future
        self._inbox.command(Query(answer, future))
        if self.stopped:
            self._refuse_queries()
        return future

    def _refuse_queries(self) -> None:
        """Answer what was asked while the engine ended; nothing changes the state any more."""
        while (message := self._inbox.take()) is not None:
            if isinstance(message, Query) and message.future.set_running_or_notify_cancel():
                message.future.set_result(message.answer())
