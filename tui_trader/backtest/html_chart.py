"""The HTML report's chart of trades: candles and trades in packed columns, which ``report.js`` draws.

The horizontal axis is trading time: regular session minutes one after the other, so that nights, weekends and
the afternoons of half-days take no room. The page draws a few hundred candles at a time, as coarse as what is
in view demands, so that a run of any length stays quick to look through.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.candles import Candles
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.result import BacktestResult, Trade
from tui_trader.core.calendar import NEW_YORK, Session
from tui_trader.core.candles import INTERVALS
from tui_trader.core.events import TradeReason
from tui_trader.errors import printable

Floats = NDArray[np.float64]

#: What keeps the page of any run below 12 MB, of which plotly.js takes 4.8.
MAX_CANDLES: Final = 150_000
MAX_TRADES: Final = 30_000

_LADDER: Final = (*INTERVALS, 30)
#: As a candle's minutes: the whole session, however long.
SESSION_MINUTES: Final = 24 * 60


class TradingTime:
    """Instants as minutes of trading since the first session's open."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = sessions
        self._opens = np.array([int(session.open.timestamp()) for session in sessions], dtype=np.int64)
        self._lengths = np.array([session.minutes for session in sessions], dtype=np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths

    def places(self, seconds: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """For ``seconds`` since 1970-01-01 UTC: which session began last, and minutes since it did."""
        session: NDArray[np.int64] = np.maximum(np.searchsorted(self._opens, seconds, side="right") - 1, 0)
        return session, (seconds - self._opens[session]) / 60

    def of_seconds(self, seconds: NDArray[np.int64]) -> Floats:
        """What lies between two sessions is put at the end of the first."""
        session, into = self.places(seconds)
        return np.clip(into, 0.0, self._lengths[session].astype(np.float64)) + self._starts[session]

    def of_times(self, times: Iterable[datetime]) -> Floats:
        return self.of_seconds(np.array([int(time.timestamp()) for time in times], dtype=np.int64))

    def within(self, seconds: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of ``seconds`` are in a session."""
        session, into = self.places(seconds)
        inside: NDArray[np.bool_] = (into >= 0) & (into < self._lengths[session])
        return inside

    def candles(self, minutes: int) -> int:
        """How many candles of ``minutes`` minutes a symbol has at most."""
        return int(np.ceil(self._lengths / minutes).sum())

    def axis(self) -> dict[str, object]:
        """What dates are written from: of each session its date, New York opening minute and length."""
        opens = [session.open.astimezone(NEW_YORK) for session in self._sessions]
        return {
            "dates": [session.date.isoformat() for session in self._sessions],
            "opens": [at.hour * 60 + at.minute for at in opens],
            "lengths": self._lengths.tolist(),
        }


@dataclass(frozen=True, slots=True)
class Chart:
    """Candles and trades by symbol, packed for the page, and what had to be left out of them."""

    minutes: int  # of the finest candles, SESSION_MINUTES for whole sessions
    symbols: list[dict[str, object]]
    busiest: int  # the symbol with the most trades, by its place
    left_out: tuple[str, ...]


def chart_of(result: BacktestResult, market: MarketData, time: TradingTime) -> Chart:
    """Candles as fine as the strategy's own, or as fine as the page has room for."""
    notes = []
    trades: dict[str, list[Trade]] = {symbol: [] for symbol in result.symbols}
    for trade in result.trades[-MAX_TRADES:]:
        trades.setdefault(trade.symbol, []).append(trade)
    if (missing := len(result.trades) - MAX_TRADES) > 0:
        notes.append(
            f"The chart holds the last {MAX_TRADES:,} trades; {missing:,} earlier ones are left out."
        )
    own = result.config.get("candle_interval_minutes")
    finest = own if isinstance(own, int) and own in INTERVALS else INTERVALS[0]
    fitting = (step for step in _LADDER if step >= finest and time.candles(step) * len(trades) <= MAX_CANDLES)
    minutes = next(fitting, SESSION_MINUTES)
    if minutes > finest:
        size = "one session" if minutes == SESSION_MINUTES else f"{minutes} minutes"
        notes.append(f"The run is long, so the finest candle of the chart is {size}.")
    room = max(MAX_CANDLES // time.candles(minutes), 1)
    if len(trades) > room:
        notes.append(f"The chart shows {room:,} of {len(trades):,} symbols, those with the most trades.")
    busy = sorted(trades, key=lambda symbol: -len(trades[symbol]))[:room]
    shown = sorted(busy)
    packed = [_packed(symbol, trades[symbol], market, minutes, time) for symbol in shown]
    return Chart(minutes, packed, shown.index(busy[0]), tuple(notes))


def _packed(
    symbol: str, trades: Sequence[Trade], market: MarketData, minutes: int, time: TradingTime
) -> dict[str, object]:
    found: dict[str, object] = {"symbol": printable(symbol), "trades": _trade_columns(trades, time)}
    if symbol in market.symbols:
        base = max(step for step in INTERVALS if minutes % step == 0)
        found["candles"] = _candle_columns(market.candles(symbol, base), minutes, time)
    return found


def _candle_columns(candles: Candles, minutes: int, time: TradingTime) -> dict[str, list[str]]:
    """Prices as float32: to the cent below $131,072."""
    seconds = candles.start.astype(np.int64) * 60
    here = time.within(seconds)
    session, into = time.places(seconds[here])
    before = into % minutes
    window = session * SESSION_MINUTES + ((into - before) // minutes).astype(np.int64)
    first = np.flatnonzero(np.diff(window, prepend=-1))
    prices: dict[str, Floats] = {"open": candles.open[here][first]}
    if len(first):
        prices["high"] = np.maximum.reduceat(candles.high[here], first)
        prices["low"] = np.minimum.reduceat(candles.low[here], first)
        prices["close"] = candles.close[here][np.append(first[1:], len(window)) - 1]
    columns = {name: pack(values, "f4") for name, values in prices.items()}
    return {"x": pack((time.of_seconds(seconds[here]) - before)[first], "i4"), **columns}


def _trade_columns(trades: Sequence[Trade], time: TradingTime) -> dict[str, list[str]]:
    reasons = {reason: number for number, reason in enumerate(TradeReason)}
    return {
        "entered": pack(time.of_times(trade.entry_time for trade in trades), "i4"),
        "left": pack(time.of_times(trade.exit_time for trade in trades), "i4"),
        "bought": pack([float(trade.entry_price) for trade in trades], "f8"),
        "sold": pack([float(trade.exit_price) for trade in trades], "f8"),
        "qty": pack([trade.qty for trade in trades], "f8"),
        "pnl": pack([float(trade.pnl) for trade in trades], "f8"),
        "r": pack([math.nan if trade.r is None else trade.r for trade in trades], "f4"),
        "reason": pack([reasons[trade.reason] for trade in trades], "u1"),
    }


def pack(values: Floats | Sequence[float], kind: str) -> list[str]:
    """A column as its kind and base64 of little-endian numbers."""
    text = base64.b64encode(np.asarray(values).astype(f"<{kind}").tobytes()).decode("ascii")
    return [kind, text]
