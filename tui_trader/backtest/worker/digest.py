"""A result cut down to what a screen shows, and the candles around one of its trades."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import islice, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.candles import Candles
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.metrics import metrics_of
from tui_trader.backtest.result import BacktestResult, Trade
from tui_trader.backtest.statements import breaker_trips, refusals, still_open, warnings, why_no_trades
from tui_trader.backtest.worker.catalogue import as_text
from tui_trader.backtest.worker.messages import (
    ChartCandle,
    CurvePoint,
    RunSummary,
    SomeTrades,
    StopStep,
    TradeChart,
)
from tui_trader.core.candles import INTERVALS
from tui_trader.core.indicators import Indicator
from tui_trader.core.orders import Role

_MOST_STEPS: Final = 2_000
_PORTION: Final = 250
_MOST_CANDLES: Final = 1_500
#: A trade longer than this is shown in larger candles.
_MOST_HELD: Final = 600
_BEFORE: Final = 400
_AFTER: Final = 200
_MINUTE: Final = timedelta(minutes=1)


def summary_of(result: BacktestResult, required_history: int) -> RunSummary:
    """``result`` without its trades, in bounded size; ``required_history`` is the strategy's, in candles."""
    return RunSummary(
        strategy=result.strategy,
        config=tuple((name, as_text(value)) for name, value in result.config.items()),
        symbols=result.symbols,
        cash=result.cash,
        slippage_ticks=result.slippage_ticks,
        start=result.start,
        end=result.end,
        sessions=len(result.sessions),
        bars=result.bars,
        candles=result.candles,
        signals=len(result.signals),
        trades=len(result.trades),
        final_equity=result.final_equity,
        curve=tuple(curve_points(result)),
        metrics=metrics_of(result),
        remarks=(
            ("Refused signals", tuple(refusals(result))),
            ("Circuit breaker", tuple(breaker_trips(result.trips))),
            ("Still open at the end", tuple(still_open(result.open_positions))),
            ("About the data", tuple(warnings(result, required_history))),
        ),
        why_no_trades=why_no_trades(result) or "",
        elapsed_s=result.elapsed_s,
    )


def portions(number: int, trades: list[Trade]) -> Iterator[SomeTrades]:
    """All ``trades``, a few at a time."""
    left = iter(trades)
    first = 0
    while portion := tuple(islice(left, _PORTION)):
        yield SomeTrades(number, first, portion)
        first += len(portion)


def curve_points(result: BacktestResult) -> Iterator[CurvePoint]:
    """Equity at steps of equal trading time, each with the worst fall from the peak that it saw."""
    opens = np.array([int(session.open.timestamp()) for session in result.sessions], dtype=np.int64)
    lengths = np.array([session.minutes for session in result.sessions], dtype=np.int64)
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    count = min(_MOST_STEPS, total)
    passed = (np.arange(1, count + 1) * total) // count  # trading minutes at the end of each step
    session = np.searchsorted(ends, passed, side="left")
    times = opens[session] + (passed - (ends[session] - lengths[session])) * 60
    levels = np.append(float(result.cash), result.equity.value)
    falls = levels / np.maximum.accumulate(levels) - 1
    known = np.searchsorted(result.equity.time, times, side="right")
    known[-1] = len(levels) - 1
    yield CurvePoint(int(opens[0]), float(result.cash), 0.0)
    for time, (before, now) in zip(times.tolist(), pairwise([0, *known.tolist()]), strict=True):
        yield CurvePoint(time, float(levels[now]), float(falls[before : now + 1].min()))


# ---- one trade ---------------------------------------------------------------------------------------


def trade_chart(
    result: BacktestResult, number: int, market: MarketData, minutes: int, averages: Mapping[str, Indicator]
) -> TradeChart:
    """The candles around trade ``number``, of ``minutes`` minutes or, for a long trade, more."""
    trade = result.trades[number]
    interval = _interval(trade, minutes)
    candles = market.candles(trade.symbol, interval)
    first, last = _span(trade, candles)
    drawn = {name: averages[name] for name in ("sma_fast", "sma_slow") if name in averages}
    rows = _rows(candles, first, last, drawn)
    names = tuple(_named(drawn.get(name)) for name in ("sma_fast", "sma_slow"))
    return TradeChart(number, trade.symbol, interval, rows, tuple(_stops(result, trade)), names)


def _interval(trade: Trade, minutes: int) -> int:
    held = (trade.exit_time - trade.entry_time) / _MINUTE
    larger = [interval for interval in INTERVALS if interval >= minutes]
    return next((interval for interval in larger if held / interval <= _MOST_HELD), larger[-1])


def _span(trade: Trade, candles: Candles) -> tuple[int, int]:
    entry, leaving = (
        int(np.searchsorted(candles.start, time.timestamp() // 60, side="right")) - 1
        for time in (trade.entry_time, trade.exit_time)
    )
    last = min(len(candles), leaving + 1 + _AFTER)
    return max(0, entry - _BEFORE, last - _MOST_CANDLES), last


def _rows(candles: Candles, first: int, last: int, drawn: Mapping[str, Indicator]) -> tuple[ChartCandle, ...]:
    series = candles.indicators(drawn)
    blank = np.full(len(candles), np.nan)
    columns = (
        candles.start.astype(np.int64) * 60, candles.open, candles.high, candles.low, candles.close,
        candles.volume.astype(np.int64), series.get("sma_fast", blank), series.get("sma_slow", blank),
    )  # fmt: skip
    return tuple(ChartCandle(*row) for row in zip(*(_cut(c, first, last) for c in columns), strict=True))


def _cut(column: NDArray[np.generic], first: int, last: int) -> list[float]:
    values: list[float] = column[first:last].tolist()
    return values


def _stops(result: BacktestResult, trade: Trade) -> Iterator[StopStep]:
    """The protective stop from the entry on. Without a record of it, where the signal wanted it."""
    placed = False
    for order in result.orders:
        if (
            order.symbol == trade.symbol
            and order.role is Role.STOP
            and order.action != "cancel"
            and order.stop_price is not None
            and trade.entry_time <= order.time <= trade.exit_time + _MINUTE
        ):
            # In force from the fill on: the bar that filled the entry is tested against it, too.
            yield StopStep(order.time if placed else trade.entry_time, float(order.stop_price))
            placed = True
    if not placed and trade.planned_risk > 0:
        yield StopStep(trade.entry_time, float(trade.entry_price - trade.planned_risk / trade.qty))


def _named(indicator: Indicator | None) -> str:
    return "" if indicator is None else f"{indicator.kind.upper()} {indicator.period}"
