"""Backtest results made by hand for tests: sessions from Monday 1 June 2026 on, trades, equity curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np

from tui_trader.backtest.result import (
    BacktestResult,
    DataNotes,
    EquityCurve,
    FillRecord,
    OpenPosition,
    OrderRecord,
    SignalRecord,
    Trade,
    TripRecord,
)
from tui_trader.core.calendar import NEW_YORK, Session
from tui_trader.core.events import TradeReason

FIRST_DAY = date(2026, 6, 1)
MINUTE = timedelta(minutes=1)
CASH = Decimal(100_000)
CONFIG: Mapping[str, object] = {
    "sma_fast": 20,
    "sma_slow": 200,
    "candle_interval_minutes": 2,
    "stop_buffer_pct": Decimal("0.1"),
}


def session(day: date, closes: time = time(16)) -> Session:
    """The session of ``day``, 09:30 to ``closes`` in New York."""
    opened, closed = (datetime.combine(day, at, NEW_YORK).astimezone(UTC) for at in (time(9, 30), closes))
    return Session(day, opened, closed)


def sessions(count: int, first: date = FIRST_DAY) -> tuple[Session, ...]:
    """``count`` full sessions on the weekdays from ``first`` on."""
    days = (first + timedelta(days=number) for number in range(count * 7 // 5 + 7))
    return tuple(session(day) for day in days if day.weekday() < 5)[:count]


def at(number: int, day: int = 0) -> datetime:
    """The start of minute ``number`` of session ``day``, both from 0."""
    return sessions(day + 1)[day].open + number * MINUTE


def trade(
    pnl: Decimal | float | str = 100,
    *,
    symbol: str = "AAPL",
    strategy: str = "velez",
    qty: int = 10,
    entry_price: Decimal | float | str = 100,
    entry_time: datetime | None = None,
    exit_time: datetime | None = None,
    reason: TradeReason = TradeReason.STOP,
    planned_risk: Decimal | float | str = 50,
    lowest: float | None = None,
    highest: float | None = None,
) -> Trade:
    """A trade that made ``pnl`` dollars; 09:40 to 09:50 of the first day unless told."""
    profit, entry = Decimal(str(pnl)), Decimal(str(entry_price))
    leaving = entry + profit / qty
    began = entry_time or at(10)
    return Trade(
        symbol, strategy, qty, began, entry, exit_time or began + 10 * MINUTE, leaving, profit, reason,
        Decimal(str(planned_risk)),
        float(min(entry, leaving)) if lowest is None else lowest,
        float(max(entry, leaving)) if highest is None else highest,
    )  # fmt: skip


def signal(
    refused: str = "",
    reason: str = "",
    *,
    symbol: str = "AAPL",
    time: datetime | None = None,
    qty: int = 10,
) -> SignalRecord:
    """A signal to buy at 100 with its stop at 95."""
    decided = time or at(10)
    return SignalRecord(
        decided, symbol, decided - 2 * MINUTE, Decimal("100.00"), Decimal("102.50"), Decimal("95.00"),
        0 if refused else qty, refused, reason,
    )  # fmt: skip


def curve(points: Sequence[tuple[datetime, float]]) -> EquityCurve:
    """An equity curve through ``points``, which are in order of time."""
    return EquityCurve(
        np.array([int(time.timestamp()) for time, _ in points], dtype=np.int64),
        np.array([value for _, value in points], dtype=np.float64),
    )


def curve_of(trades: Sequence[Trade], days: Sequence[Session], cash: Decimal = CASH) -> EquityCurve:
    """Equity as those trades leave it: a point at each exit's delivery and at every session's close."""
    moments = {item.exit_time + MINUTE for item in trades} | {day.close for day in days}
    return curve(
        [
            (moment, float(cash + sum(item.pnl for item in trades if item.exit_time < moment)))
            for moment in sorted(moments)
        ]
    )


def result(
    trades: Sequence[Trade] = (),
    *,
    strategy: str = "velez",
    config: Mapping[str, object] = CONFIG,
    symbols: tuple[str, ...] | None = None,
    cash: Decimal = CASH,
    slippage_ticks: int = 1,
    days: tuple[Session, ...] | None = None,
    bars: int | None = None,
    candles: int | None = None,
    signals: Sequence[SignalRecord] = (),
    orders: Sequence[OrderRecord] = (),
    fills: Sequence[FillRecord] = (),
    trips: Sequence[TripRecord] = (),
    open_positions: Sequence[OpenPosition] = (),
    equity: EquityCurve | None = None,
    final_equity: Decimal | None = None,
    notes: DataNotes | None = None,
    elapsed_s: float = 0.5,
) -> BacktestResult:
    """A result of those trades; what is not told follows from them (one session, 390 bars a symbol)."""
    days = sessions(1) if days is None else days
    symbols = symbols or tuple(sorted({item.symbol for item in trades})) or ("AAPL",)
    bars = sum(day.minutes for day in days) * len(symbols) if bars is None else bars
    if equity is None:
        equity = curve_of(trades, days, cash)
        exact = cash + sum((item.pnl for item in trades), Decimal(0))
        final_equity = exact if final_equity is None else final_equity
    return BacktestResult(
        strategy, config, symbols, cash, slippage_ticks, days, bars,
        bars // 2 if candles is None else candles,
        list(signals), list(orders), list(fills), sorted(trades, key=lambda item: item.exit_time),
        list(trips), tuple(open_positions), equity,
        Decimal(repr(float(equity.value[-1]))) if final_equity is None else final_equity,
        notes or DataNotes(), elapsed_s,
    )  # fmt: skip
