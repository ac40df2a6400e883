"""What a backtest promises beside parity: about what it tells of a run, and what it keeps of it."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

import numpy as np
import pytest

from tests.backtest.parity import BacktestRun, engine_differences, market_of, rules_of, run_backtest
from tests.backtest.rules import CuriousConfig, Marked, curious, marked, sma_cross
from tests.backtest.scenes import DAY, HELD, OPEN, SESSIONS, flat, mark, ran
from tests.oracle.harness import CALENDAR, Case, run_engine
from tests.oracle.markets import simulated_bars
from tui_trader.backtest.result import BacktestResult, Trade
from tui_trader.backtest.runner import BacktestRunner
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.events import TradeReason
from tui_trader.core.orders import Role
from tui_trader.core.rule import CandleView
from tui_trader.errors import UsageError
from tui_trader.strategies.base import StrategyConfig

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

# ---- what is told of a run -----------------------------------------------------------------------------


class Keeping(Marked):
    """Does not sell at the end of the day."""

    @property
    def force_close_eod(self) -> bool:
        return False


def test_what_is_still_held_at_the_end_is_told_of() -> None:
    case = Case([*mark(flat("AAA", range(390)), 9), *flat("AAA", range(390), 51.25, day=1)], ("AAA",))
    result = ran(Keeping, case)
    (held,) = result.open_positions
    assert (held.symbol, held.qty) == ("AAA", result.fills[0].qty)
    assert held.entry_time == OPEN + 10 * MINUTE
    assert held.entry_price == Decimal("50.01")
    assert held.stop_price == Decimal("49.00")
    assert held.unrealized_pnl == held.qty * Decimal("1.24")
    assert result.final_equity == result.cash + held.unrealized_pnl
    assert result.trades == []


def test_the_planned_risk_is_the_signals() -> None:
    result = ran(Marked)
    (signal,), (trade,) = result.signals, result.trades
    assert trade.planned_risk == signal.qty * (signal.entry_price - signal.stop_price) > 0
    assert trade.r == pytest.approx(float(trade.pnl / trade.planned_risk))


def test_bars_candles_and_sessions_are_counted() -> None:
    bars = [*flat("AAA", range(390)), *flat("AAA", range(10), day=1), *flat("BBB", [3, 4, 8], day=2)]
    result = ran(Marked, Case(bars, ("AAA", "BBB", "CCC")))
    assert (result.bars, result.candles) == (403, 403)
    assert result.sessions == SESSIONS[:3]
    assert result.symbols == ("AAA", "BBB")
    assert result.notes.absent == ("CCC",)
    assert result.strategy == "marked"


def test_symbols_with_too_little_history_are_told_of() -> None:
    bars = [*flat("AAA", range(390)), *flat("BBB", range(3))]
    rules = sma_cross(sma_fast=2, sma_slow=5, atr_period=2, candle_interval_minutes=1)
    assert run_backtest(Case(bars, ("AAA", "BBB")), rules).result.notes.cold == ("BBB",)


def test_a_run_can_begin_later_than_its_bars() -> None:
    """What was before only warms; counts are those of what was traded."""
    bars = [*mark(flat("AAA", range(390)), 9), *mark(flat("AAA", range(390), day=1), DAY + 9)]
    case = Case(bars, ("AAA",), start=SESSIONS[1].date, warm=True)
    result = ran(Marked, case)
    assert result.sessions == SESSIONS[1:2]
    assert (result.bars, result.candles) == (390, 390)
    assert [signal.candle.date() for signal in result.signals] == [SESSIONS[1].date]


def test_symbols_come_and_go_on_one_account() -> None:
    """AAA trades on the first and the third day, BBB from the second on, CCC on the last only."""
    bars = [
        *flat("AAA", range(390), day=0), *flat("AAA", range(390), day=2),
        *flat("BBB", range(50, 300), day=1), *flat("BBB", range(390), day=2),
        *flat("CCC", range(380, 390), day=2),
    ]  # fmt: skip
    case = Case(mark(bars, 9, DAY + 60, 2 * DAY + 9, 2 * DAY + 100), ("AAA", "BBB", "CCC"))
    run = run_backtest(case, marked)
    assert engine_differences(run_engine(case, marked), run) == ""
    first, second, third = (session.date for session in SESSIONS[:3])
    assert [(trade.symbol, trade.entry_time.date()) for trade in run.result.trades] == [
        ("AAA", first), ("BBB", second), ("AAA", third), ("BBB", third),
    ]  # fmt: skip
    assert run.result.notes.missing == {"AAA": 390, "BBB": 90}


def test_symbols_that_no_strategy_trades_change_nothing() -> None:
    other = mark(flat("BBB", range(390), 30.0), 20)
    market = market_of(Case([*HELD.bars, *other], ("AAA", "BBB")))
    result = BacktestRunner(market, [Marked("AAA", StrategyConfig())], rules_of(HELD)).run()
    alone = ran(Marked)
    for name in ("symbols", "bars", "candles", "signals", "orders", "fills", "trades", "final_equity"):
        assert getattr(result, name) == getattr(alone, name), name


def test_a_position_through_a_night_without_bars_of_it_is_valued_at_its_last_close() -> None:
    bars = [
        *mark(flat("AAA", range(390)), 9),
        *flat("BBB", range(390), day=1),
        *flat("AAA", range(9), 52.0, day=2),
    ]
    result = ran(Keeping, Case(bars, ("AAA", "BBB")))
    qty = result.open_positions[0].qty
    at_close = dict(zip(result.equity.time.tolist(), result.equity.value.tolist(), strict=True))
    assert at_close[SESSIONS[1].close.timestamp()] == pytest.approx(100_000 - qty * 0.01, abs=1e-9)
    assert at_close[SESSIONS[2].close.timestamp()] == pytest.approx(100_000 + qty * 1.99, abs=1e-9)


def test_a_split_drops_the_history_and_nothing_is_asked_until_there_is_one_again() -> None:
    class Warm(Marked):
        asked: ClassVar[list[tuple[datetime, int]]] = []

        @property
        def required_history(self) -> int:
            return 20

        def should_long(self, view: CandleView) -> bool:
            self.asked.append((view.start, view.count))
            return False

    ran(Warm, Case([*flat("AAA", range(30)), *flat("AAA", range(40), 25.0, day=1)], ("AAA",)), jump=False)
    before = [(OPEN + n * MINUTE, n + 1) for n in range(30)]
    after = [(SESSIONS[1].open + n * MINUTE, n + 1) for n in range(19, 40)]
    assert Warm.asked == before + after


def test_nothing_to_trade_is_a_line() -> None:
    market = market_of(HELD)
    with pytest.raises(UsageError, match=r"^there is no symbol to trade$"):
        BacktestRunner(market, [], rules_of(HELD))
    with pytest.raises(UsageError, match=r"^the bars hold no session from 2013-10-08 on$"):
        BacktestRunner(
            market, [Marked("AAA", StrategyConfig())], rules_of(HELD), trade_from=date(2013, 10, 8)
        )


def test_progress_rises_to_the_end() -> None:
    told: list[float] = []
    runner = BacktestRunner(market_of(HELD), [Marked("AAA", StrategyConfig())], rules_of(HELD))
    runner.run(told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


# ---- the curve, and what was seen of a trade -----------------------------------------------------------


@pytest.fixture(scope="module")
def busy() -> BacktestRun:
    """Several symbols, trades within and across days."""
    bars = simulated_bars(("AAPL", "AMD", "LONE"), 2, SESSIONS)
    configs = [CuriousConfig(seed=3, candle_interval_minutes=m, overnight=True) for m in (1, 5, 15)]
    return run_backtest(Case(bars, ("AAPL", "AMD", "LONE"), ticks=2), curious(configs, []))


def test_the_curve_rises_in_time_and_ends_with_the_run(busy: BacktestRun) -> None:
    result = busy.result
    times = result.equity.time
    assert (np.diff(times) > 0).all()
    assert times[0] > SESSIONS[0].open.timestamp()
    assert {int(session.close.timestamp()) for session in SESSIONS} <= set(times.tolist())
    assert result.equity.value[-1] == pytest.approx(float(result.final_equity), abs=1e-6)


def test_the_curve_has_a_point_wherever_the_account_changed(busy: BacktestRun) -> None:
    """At each delivery of what is held, equity is cash and what is held at its last close."""
    result = busy.result
    closes = {(bar.symbol, bar.timestamp): Decimal(repr(bar.close)) for bar in busy.case.bars}
    curve = dict(zip(result.equity.time.tolist(), result.equity.value.tolist(), strict=True))
    cash, held, last = result.cash, dict[str, int](), dict[str, Decimal]()
    stamps = sorted({bar.timestamp for bar in busy.case.bars})
    fills = list(result.fills)
    for stamp in stamps:
        while fills and fills[0].time == stamp:
            fill = fills.pop(0)
            sign = 1 if fill.role is Role.ENTRY else -1
            cash -= sign * fill.qty * fill.price
            held[fill.symbol] = held.get(fill.symbol, 0) + sign * fill.qty
        for symbol in busy.case.symbols:
            last[symbol] = closes.get((symbol, stamp), last.get(symbol, Decimal(0)))
        value = curve.get(int((stamp + MINUTE).timestamp()))
        expected = cash + sum(qty * last[symbol] for symbol, qty in held.items())
        assert value is None or value == pytest.approx(float(expected), abs=1e-6), stamp
        assert value is not None or not any(held.get(s) and (s, stamp) in closes for s in busy.case.symbols)
    assert not fills


def test_what_was_seen_of_a_trade_is_what_its_bars_went_through(busy: BacktestRun) -> None:
    checked = 0
    for trade in busy.result.trades:
        seen = seen_of(trade, busy)
        if seen is not None:
            assert (trade.lowest, trade.highest) == (min(seen), max(seen)), trade
            checked += 1
    assert checked > 30
    assert any(trade.exit_time - trade.entry_time > timedelta(hours=12) for trade in busy.result.trades)


def seen_of(trade: Trade, run: BacktestRun) -> list[float] | None:
    """What the trade's bars went through from its buy to its sale.

    None when all of it happened in one bar, or it was bought by an order at rest.
    """
    bars = [
        bar for bar in run.case.bars
        if bar.symbol == trade.symbol and trade.entry_time <= bar.timestamp <= trade.exit_time
    ]  # fmt: skip
    signal = [s for s in run.result.signals if s.symbol == trade.symbol and s.time <= bars[0].timestamp][-1]
    level = float(signal.entry_price)
    first, last = path(bars[0]), path(bars[-1])
    bought = next((n for n, price in enumerate(first) if price >= level), None)
    reached = max(level, first[0])
    if bought is None or float(trade.entry_price) != pytest.approx(reached + 0.02, abs=1e-9):
        return None
    if len(bars) == 1:
        return None
    seen = [float(trade.entry_price), float(trade.exit_price), reached, *first[bought:]]
    for bar in bars[1:-1]:
        seen += [bar.low, bar.high]
    if trade.reason is not TradeReason.STOP:
        return [*seen, last[0]]
    stop = [
        float(order.stop_price) for order in run.result.orders
        if (order.symbol, order.role) == (trade.symbol, Role.STOP) and order.stop_price is not None
        and order.action != "cancel" and bars[0].timestamp < order.time <= bars[-1].timestamp
    ][-1]  # fmt: skip
    sold = next(n for n, price in enumerate(last) if price <= stop)
    return seen + last[: max(1, sold)]


def path(bar: Bar) -> list[float]:
    """DESIGN §9."""
    middle = [bar.low, bar.high] if bar.close >= bar.open else [bar.high, bar.low]
    return [bar.open, *middle, bar.close]


# ---- what is not kept ----------------------------------------------------------------------------------


def test_nothing_is_kept_of_bars_that_lead_to_nothing() -> None:
    """Four times as many sessions: a point of the curve for each, and little else."""

    def measured(days: int) -> tuple[BacktestResult, int, int]:
        sessions = CALENDAR.sessions(date(2013, 1, 2), date(2013, 7, 1))[:days]
        bars = [
            Bar("AAA", s.open + n * MINUTE, 50.0, 50.0, 50.0, 50.0, 9) for s in sessions for n in range(390)
        ]
        case = Case(bars, ("AAA",))
        market = market_of(case)
        market.candles("AAA", 1)
        runner = BacktestRunner(market, [Marked("AAA", StrategyConfig())], rules_of(case), jump=False)
        gc.collect()
        tracemalloc.start()
        try:
            result = runner.run()
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return result, kept, peak

    measured(2)  # whatever is made once
    few, kept_few, peak_few = measured(10)
    many, kept_many, peak_many = measured(40)
    assert len(few.equity.time) == 10
    assert len(many.equity.time) == 40
    more = 30 * 390
    assert (kept_many - kept_few) / more < 8, "bytes a bar that outlive the run"
    assert (peak_many - peak_few) / more < 16, "bytes a bar at the worst"
