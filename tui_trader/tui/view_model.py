"""What the screen shows: engine events and snapshots folded into one picture.

Pure: no screen, no clock, no thread. A snapshot is the truth; events keep the picture moving between
snapshots. Figures that only a snapshot holds (exposure, open risk, a new position's plan) ask for the next
one through ``wants_snapshot``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from tui_trader.core.events import BarReceived, CandleClosed, OrderFilled, Published, TradeClosed
from tui_trader.engine.handle import CandleRow, EngineInfo, EngineSnapshot
from tui_trader.tui.alerts import Fired, PriceAlerts
from tui_trader.tui.keys import DEFAULT_NAMES
from tui_trader.tui.log_text import Level, LogEntry, log_entry
from tui_trader.tui.parts import Part
from tui_trader.tui.picture import Picture

_LOG_BACKLOG: Final = 2000  # lines kept for the next flush: a burst beyond it shows its newest
_REPLAY_LIMIT: Final = 20_000
#: Events that add up rather than state a fact: each is folded once, whatever a snapshot already contains.
_COUNTED: Final = frozenset({OrderFilled, TradeClosed, CandleClosed})
_ADDING: Final = _COUNTED | {BarReceived}


class ViewModel:
    """The picture of one engine, its log, and how both follow what the engine says."""

    def __init__(self, info: EngineInfo, now: datetime) -> None:
        self.picture = Picture(info)
        self.now = now
        self.alerts = 0  # warnings and errors since ``clear_alerts``
        self._missed = 0
        self._minute = 0
        self.keys: Mapping[str, str] = DEFAULT_NAMES  # how keys are written, for sentences that name some
        self.price_alerts = PriceAlerts()
        self._fired: list[Fired] = []
        self._log: deque[LogEntry] = deque(maxlen=_LOG_BACKLOG)
        self._since_request: deque[Published] | None = None

    @property
    def wants_snapshot(self) -> bool:
        return self.picture.wants_snapshot and self._since_request is None

    def apply(self, events: Iterable[Published]) -> None:
        """Fold events in. Those that a snapshot already contained only add their log line."""
        for published in events:
            entry = log_entry(published)
            if entry is not None:
                self._log.append(entry)
                if entry.level in ("WARN", "ERROR"):
                    self.alerts += 1
            if self._since_request is not None:
                self._since_request.append(published)
            if self.price_alerts and type(published.event) is BarReceived and self._is_news(published.event):
                self._fire(self.price_alerts.hear(published.event))
            if published.seq > self.picture.seq or type(published.event) in _ADDING:
                self.picture.fold(published)

    def snapshot_requested(self) -> None:
        """From now on remember events: the snapshot may be older than some of them."""
        self.picture.wants_snapshot = self.picture.urgent = False
        self._since_request = deque(maxlen=_REPLAY_LIMIT)

    def resync(self, snapshot: EngineSnapshot) -> None:
        """Take a snapshot as the truth, then fold in again what happened after it."""
        later = self._since_request or ()
        self._since_request = None
        self.picture.take(snapshot)
        wanted = self.picture.wants_snapshot
        for published in later:
            event = published.event
            if published.seq > snapshot.seq and type(event) not in _COUNTED:
                self.picture.fold(published)
            elif published.seq > snapshot.seq and isinstance(event, TradeClosed):
                self.picture.realise(event.pnl)
            self.picture.seq = max(self.picture.seq, published.seq)
        self.picture.wants_snapshot = wanted
        for alert in self.price_alerts.all:
            line = self.picture.lines.get(alert.symbol)
            if line is not None:
                self._fire(self.price_alerts.see(alert.symbol, line.last))

    def snapshot_lost(self) -> None:
        """The snapshot that was asked for will not come."""
        self._since_request = None
        self.picture.wants_snapshot = True

    def note_dropped(self, dropped: int) -> None:
        """The subscription lost ``dropped`` events so far: the picture needs a snapshot to be true again."""
        if dropped > self._missed:
            text = f"{dropped - self._missed} events came too fast to be shown; the engine saw them all"
            self._missed = dropped
            self.picture.wants_snapshot = True
            self._log.append(LogEntry(self.now, "WARN", "SCREEN", "", text))

    def tick(self, now: datetime) -> None:
        """Let time pass on the engine's clock: ages and holding times that read differently become dirty."""
        self.now = now
        for symbol, line in self.picture.lines.items():
            if line.grow_older(now):
                self.picture.touch(symbol)
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self.picture.dirty.add(Part.POSITIONS)
        self._minute = minute

    def take_dirty(self) -> set[Part]:
        """The parts that changed since the last call."""
        dirty, self.picture.dirty = self.picture.dirty, set()
        return dirty

    def take_log(self) -> list[LogEntry]:
        """The log lines since the last call."""
        entries = list(self._log)
        self._log.clear()
        return entries

    def take_candles(self) -> list[tuple[str, CandleRow]]:
        """The candles closed since the last call."""
        candles, self.picture.new_candles = self.picture.new_candles, []
        return candles

    def take_refilled(self) -> set[str]:
        """The symbols whose earlier candles should be asked for anew since the last call."""
        symbols, self.picture.refilled = self.picture.refilled, set()
        return symbols

    def take_dirty_symbols(self) -> set[str]:
        """The symbols whose watchlist line changed since the last call."""
        symbols, self.picture.dirty_symbols = self.picture.dirty_symbols, set()
        return symbols

    def note(self, level: Level, kind: str, symbol: str, text: str) -> None:
        """A line of the log that is the screen's own."""
        self._log.append(LogEntry(self.now, level, kind, symbol, text))
        if level in ("WARN", "ERROR"):
            self.alerts += 1

    def take_fired(self) -> list[Fired]:
        """The price alerts that were reached since the last call."""
        fired, self._fired = self._fired, []
        return fired

    def _is_news(self, bar: BarReceived) -> bool:
        """Whether a bar is of now. One that comes late tells of a time before an alert was set."""
        line = self.picture.lines.get(bar.symbol)
        return line is None or line.last_bar is None or bar.timestamp >= line.last_bar

    def _fire(self, fired: Iterable[Fired]) -> None:
        for one in fired:
            self._fired.append(one)
            self.note("WARN", "ALERT", one.alert.symbol, f"price alert: {one.text}")

    def clear_alerts(self) -> None:
        """The warnings have been seen."""
        self.alerts = 0

    def day_candles(self, symbol: str, candles: Iterable[CandleRow]) -> None:
        """Start a symbol's day line from the candles the engine already holds."""
        line = self.picture.lines.get(symbol)
        if line is None or self.picture.session is None:
            return
        line.begin_day([c.close for c in candles if c.timestamp >= self.picture.session.open])
        self.picture.touch(symbol)
