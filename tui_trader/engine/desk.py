"""One symbol's desk: its bars, candles, indicators and strategy."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from tui_trader.core.bars import MINUTE, Bar, BarFilter
from tui_trader.core.candles import CANDLE_GRACE, Candle, CandleAggregator
from tui_trader.core.events import SymbolState
from tui_trader.core.indicators import IndicatorCalculator
from tui_trader.core.rule import CandleView
from tui_trader.engine.chart import ChartCandles
from tui_trader.engine.handle import CandleRow
from tui_trader.strategies.base import Strategy

_NAN = float("nan")
_VOLUME_BARS = 20


class SymbolDesk:
    """What one symbol's decisions are made of. Changed by ``MarketDesk`` alone."""

    __slots__ = (
        "aggregator", "calculator", "chart", "exit_stamp", "expiry_candles", "filter", "force_close_eod",
        "halted", "last", "last_bar", "quarantine", "reference", "required", "session_open", "shown",
        "signal_end", "since_exit", "stale", "strategy", "symbol", "view", "volumes", "waited", "warm_error",
    )  # fmt: skip

    def __init__(self, symbol: str, strategy: Strategy, max_jump_pct: float) -> None:
        self.symbol = symbol
        self.strategy = strategy
        self.required = strategy.required_history
        # Read once: a strategy that misbehaves later must still be closed at the end of the day.
        self.force_close_eod = bool(strategy.force_close_eod)
        self.expiry_candles = strategy.pending_expiry_candles
        self.filter = BarFilter(max_jump_pct)
        self.session_open: datetime | None = None
        self.volumes: deque[int] = deque(maxlen=_VOLUME_BARS)
        self.last: float | None = None
        self.last_bar: datetime | None = None
        self.reference: float | None = None  # the previous session's last close
        self.chart = ChartCandles()
        self.quarantine = ""
        self.warm_error = ""
        self.halted = ""  # why trading of it is halted
        self.stale = False  # whether its bars fail to come
        self.shown: SymbolState | None = None
        self.signal_end: datetime | None = None  # window end of the candle that gave the pending entry
        self.waited = 0  # candles closed since
        self.exit_stamp: datetime | None = None
        self.since_exit = 0
        self.reset_history()

    def reset_history(self) -> None:
        """Forget candles and indicators (a split made them incomparable)."""
        self.aggregator = CandleAggregator(self.symbol, self.strategy.candle_interval_minutes)
        if self.session_open is not None:
            self.aggregator.start_session(self.session_open)
        self.calculator = IndicatorCalculator(dict(self.strategy.indicators))
        self.view = CandleView()
        self.chart.clear()
        self.volumes.clear()

    @property
    def candles(self) -> int:
        return self.calculator.count

    def start_session(self, open_time: datetime) -> None:
        """A new session: the cooldown starts anew; indicators run on."""
        self.session_open = open_time
        self.aggregator.start_session(open_time)
        self.reference = self.last
        self.exit_stamp = None
        self.since_exit = 0

    def too_late(self, bar: Bar, now: datetime) -> bool:
        """Whether the time-out has closed the candle that ``bar``, delivered late, would join."""
        if self.session_open is None:
            return True
        interval = self.aggregator.minutes * MINUTE
        start = bar.timestamp - (bar.timestamp - self.session_open) % interval
        return now > start + interval + CANDLE_GRACE

    def average_volume(self) -> float | None:
        """Mean volume of the last 20 delivered bars, shares a minute."""
        return sum(self.volumes) / len(self.volumes) if self.volumes else None

    def trade_closed(self, stamp: datetime) -> None:
        self.exit_stamp = stamp
        self.since_exit = 0

    def take_candle(self, candle: Candle) -> CandleView:
        """Feed the indicators; the view on this candle."""
        calculator = self.calculator
        _, start, end, _, open_, high, low, close, volume, _, _ = candle
        calculator.update(high, low, close, volume, self.session_open)
        view = self.view
        view.start, view.end = start, end
        view.open, view.high, view.low, view.close, view.volume = open_, high, low, close, volume
        view.count = calculator.count
        now = view.now = calculator.now
        view.before = calculator.before
        if self.exit_stamp is None:
            view.candles_since_exit = None
        else:
            if end > self.exit_stamp:
                self.since_exit += 1
            view.candles_since_exit = self.since_exit
        self.chart.append(
            CandleRow(
                start, open_, high, low, close, volume, now.get("sma_fast", _NAN), now.get("sma_slow", _NAN)
            )
        )
        return view

    def preload(
        self,
        starts: Sequence[datetime],
        opens: Sequence[float],
        highs: Sequence[float],
        lows: Sequence[float],
        closes: Sequence[float],
        volumes: Sequence[int],
        sessions: Sequence[datetime],
    ) -> None:
        """Feed the indicators many candles at once; ``sessions`` are the opens of the candles' sessions."""
        series = self.calculator.preload(highs, lows, closes, volumes, sessions)
        unknown = [_NAN] * len(closes)
        fast, slow = series.get("sma_fast", unknown), series.get("sma_slow", unknown)
        rows = zip(starts, opens, highs, lows, closes, volumes, fast, slow, strict=True)
        for row in rows:
            self.chart.append(CandleRow(*row))
