"""A scripted backtest process for the screen, and results that are the same every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from tests.backtest.making import MINUTE, at, curve, result, sessions, signal, trade
from tests.tui.fake_engine import wave
from tui_trader.backtest.result import DataNotes, Trade
from tui_trader.backtest.worker.digest import portions, summary_of
from tui_trader.backtest.worker.messages import (
    Answer,
    ChartCandle,
    Described,
    Finished,
    Parameter,
    Progress,
    Request,
    RunSummary,
    StopStep,
    StrategyName,
    TradeChart,
)
from tui_trader.core.events import TradeReason

BARS = Path("/data/us_equities_1min.csv.gz")
NAMES = (StrategyName("velez", "built in"), StrategyName("sma_cross", "built in"))
VELEZ = Described(
    NAMES,
    "velez",
    "A strong candle above two tight, parting averages is bought at its high; pullbacks are trailed.",
    (
        Parameter("sma_fast", "20", "20", "5–50", "candles"),
        Parameter("sma_slow", "200", "200", "100–500", "candles"),
        Parameter("candle_interval_minutes", "2", "2", choices=("1", "2", "5", "10")),
        Parameter("stop_buffer_pct", "0.1", "0.1", "0.05–1", "% of the low"),
    ),
)
SMA_CROSS = Described(NAMES, "sma_cross", "", (Parameter("atr_period", "14", "14", "2–100", "candles"),))


class FakeWorker:
    """What it was asked, and a way to have it answer."""

    def __init__(self, on_answer: Callable[[Answer], None]) -> None:
        self.asked: list[Request] = []
        self.closed = False
        self._on_answer = on_answer

    def send(self, request: Request) -> None:
        self.asked.append(request)

    def close(self) -> None:
        self.closed = True

    def say(self, *answers: Answer) -> None:
        for answer in answers:
            self._on_answer(answer)

    def finish(self, number: int, summary: RunSummary, trades: Sequence[Trade]) -> None:
        self.say(Progress(number, "adding up"), *portions(number, list(trades)), Finished(number, summary))


class FakeWorkers:
    """Opens fake processes and keeps them."""

    def __init__(self) -> None:
        self.opened: list[FakeWorker] = []

    def __call__(self, on_answer: Callable[[Answer], None]) -> FakeWorker:
        self.opened.append(FakeWorker(on_answer))
        return self.opened[-1]

    @property
    def last(self) -> FakeWorker:
        return self.opened[-1]

    @property
    def asked(self) -> list[Request]:
        """What the latest was asked, checks of the form aside."""
        return [request for request in self.last.asked if type(request).__name__ != "Check"]


_REASONS = (TradeReason.STOP, TradeReason.EXIT, TradeReason.STOP, TradeReason.END_OF_DAY)


def some_trades() -> list[Trade]:
    """Two dozen trades of three symbols on twenty days, in order of exit."""
    trades = []
    for number in range(24):
        symbol = ("AAPL", "MSFT", "NVDA")[number % 3]
        pnl = round(160 * math.sin(number * 1.7) + 25, 2)
        began = at(20 + number * 7, day=number * 20 // 24)
        trades.append(
            trade(
                pnl, symbol=symbol, qty=40 + number, entry_price=100 + 50 * (number % 3) + number / 4,
                entry_time=began, exit_time=began + (6 + number * 3) * MINUTE,
                reason=_REASONS[number % 4], planned_risk=120,
                lowest=99.0 + 50 * (number % 3), highest=109.5 + 50 * (number % 3),
            )
        )  # fmt: skip
    return trades


def some_summary(trades: Sequence[Trade]) -> RunSummary:
    """What a run with these trades is summed up to; the curve swings between them."""
    days = sessions(20)
    points = []
    total = 100_000.0
    for number, day in enumerate(days):
        for step in range(13):
            total += 90 * math.sin(number * 0.9 + step * 0.7) + 12
            points.append((day.open + step * timedelta(minutes=30), round(total, 2)))
    notes = DataNotes(missing={"NVDA": 12}, outside=1024, absent=("TSLA",), adjusted=2)
    found = result(
        trades,
        days=days,
        signals=[signal() for _ in trades] + [signal("size", "0 shares"), signal("price_collar", "6.1 %")],
        equity=curve(points),
        notes=notes,
    )
    return summary_of(found, 201)


def no_trade_summary() -> RunSummary:
    refused = [signal("price_collar", "6.1 % from the last close") for _ in range(3)]
    return summary_of(result(signals=refused, days=sessions(2)), 201)


def some_chart(number: int, found: Trade) -> TradeChart:
    """Candles around a trade, with a stop that moved once."""
    rows = wave(found.symbol, float(found.entry_price), 160)
    begin = int(found.entry_time.timestamp()) - 120 * 100
    candles = tuple(ChartCandle(begin + 120 * place, *row[1:]) for place, row in enumerate(rows))
    entry = float(found.entry_price)
    moved = found.entry_time + (found.exit_time - found.entry_time) / 2
    stops = (StopStep(found.entry_time, entry * 0.995), StopStep(moved, entry * 0.998))
    return TradeChart(number, found.symbol, 2, candles, stops, ("SMA 20", "SMA 200"))
