"""The line between the screen and a running engine: drains what it says, asks for what it does not say."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final

from tui_trader.core.events import EngineState
from tui_trader.engine.handle import CandleRow, Command, EngineHandle, EngineSnapshot
from tui_trader.tui.view_model import ViewModel

_CAPACITY: Final = 8192
#: Polls between two snapshots, and day lines asked for a poll: the engine has better things to do.
_SNAPSHOT_EVERY: Final = 4
_DAYS_A_POLL: Final = 5


class EngineLink:
    """One engine and the model of it. ``poll`` never waits."""

    def __init__(self, handle: EngineHandle) -> None:
        self.handle = handle
        self._subscription = handle.subscribe("screen", _CAPACITY)
        self.model = ViewModel(handle.info, handle.now())
        self._snapshot: Future[EngineSnapshot] | None = None
        self._polls_since = _SNAPSHOT_EVERY
        self._shown = ""  # the symbol on the chart
        self._chart: tuple[str, Future[tuple[CandleRow, ...]]] | None = None
        self._days: dict[str, None] = dict.fromkeys(handle.info.symbols)  # a set that keeps its order
        self._day_answers: list[tuple[str, Future[tuple[CandleRow, ...]]]] = []
        self.history: tuple[str, tuple[CandleRow, ...]] | None = None  # candles that came for the chart

    @property
    def stopped(self) -> bool:
        return self.handle.stopped

    def send(self, command: Command) -> None:
        """Queue a command and look soon at what it did."""
        self.handle.send(command)
        self.ask_again()
        self._polls_since = _SNAPSHOT_EVERY

    def ask_again(self) -> None:
        """Have a snapshot taken soon, whether or not an event asks for one."""
        self.model.picture.wants_snapshot = True

    def ask_candles(self, symbol: str) -> None:
        """Have ``history`` filled with the candles of a symbol."""
        self._shown = symbol
        self.history = None
        self._chart = (symbol, self.handle.candles(symbol))

    def poll(self) -> None:
        """Take in whatever has arrived."""
        model = self.model
        model.note_dropped(self._subscription.dropped)
        model.apply(self._subscription.drain())
        self._poll_snapshot()
        self._poll_candles()
        model.tick(self.handle.now())
        if self.stopped and model.picture.state is not EngineState.STOPPED:
            model.picture.state = EngineState.STOPPED

    def close(self) -> None:
        """Listen no more."""
        self._subscription.close()

    def _poll_snapshot(self) -> None:
        model = self.model
        self._polls_since += 1
        if self._snapshot is not None and self._snapshot.done():
            answer, self._snapshot = self._snapshot, None
            if _failed(answer):
                model.snapshot_lost()
            else:
                model.resync(answer.result())
        due = model.picture.urgent or self._polls_since >= _SNAPSHOT_EVERY
        if self._snapshot is None and model.wants_snapshot and due and not self.stopped:
            model.snapshot_requested()
            self._snapshot = self.handle.snapshot()
            self._polls_since = 0

    def _poll_candles(self) -> None:
        if self._chart is not None and self._chart[1].done():
            (symbol, answer), self._chart = self._chart, None
            self.history = (symbol, () if _failed(answer) else answer.result())
        refilled = self.model.take_refilled()
        self._days.update(dict.fromkeys(sorted(refilled)))
        if self._shown in refilled:
            self.ask_candles(self._shown)
        if self.model.picture.session is None:
            return
        for symbol, answer in [entry for entry in self._day_answers if entry[1].done()]:
            self._day_answers.remove((symbol, answer))
            if not _failed(answer):
                self.model.day_candles(symbol, answer.result())
        while self._days and len(self._day_answers) < _DAYS_A_POLL and not self.stopped:
            symbol = next(iter(self._days))
            del self._days[symbol]
            self._day_answers.append((symbol, self.handle.candles(symbol)))


def _failed(answer: Future[Any]) -> bool:
    return answer.cancelled() or answer.exception() is not None
