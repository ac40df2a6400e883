"""Every figure of a backtest against its plain definition, and against examples worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.making import MINUTE, at, curve, result, session, sessions, trade
from tui_trader.backtest.metrics import metrics_of
from tui_trader.backtest.result import BacktestResult, OpenPosition, Trade
from tui_trader.core.calendar import Session
from tui_trader.core.events import TradeReason

# ---- the definitions, in plain loops -----------------------------------------------------------------


def points(run: BacktestResult) -> list[tuple[int, float]]:
    """The curve as the JSON has it: it begins with the cash."""
    begin = (int(run.start.timestamp()), float(run.cash))
    return [begin, *zip(run.equity.time.tolist(), run.equity.value.tolist(), strict=True)]


def equity_at(run: BacktestResult, moment: datetime) -> float:
    value = float(run.cash)
    for second, level in points(run):
        if second <= moment.timestamp():
            value = level
    return value


def returns_of(run: BacktestResult) -> list[float]:
    before, found = float(run.cash), []
    for day in run.sessions:
        after = equity_at(run, day.close)
        found.append((after - before) / before)
        before = after
    return found


def plain_mean(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def plain_sharpe(returns: Sequence[float]) -> float | None:
    if len(returns) < 2:
        return None
    mean = plain_mean(returns)
    variance = 0.0
    for value in returns:
        variance += (value - mean) ** 2
    deviation = math.sqrt(variance / (len(returns) - 1))
    return mean / deviation * math.sqrt(252) if deviation > 1e-12 else None


def plain_sortino(returns: Sequence[float]) -> float | None:
    if len(returns) < 2:
        return None
    short = 0.0
    for value in returns:
        if value < 0:
            short += value**2
    downside = math.sqrt(short / len(returns))
    return plain_mean(returns) / downside * math.sqrt(252) if downside > 1e-12 else None


def plain_drawdown(run: BacktestResult) -> tuple[float, float]:
    """Point by point against the highest before it; then forward until that is reached again."""
    levels = points(run)
    deepest, peak, trough, highest = 0.0, 0, 0, 0
    for later, (_, value) in enumerate(levels):
        if value >= levels[highest][1]:
            highest = later
        fall = value / levels[highest][1] - 1
        if fall < deepest:
            deepest, peak, trough = fall, highest, later
    if deepest == 0:
        return 0.0, 0.0
    back = trough
    while back < len(levels) - 1 and levels[back][1] < levels[peak][1]:
        back += 1
    return deepest, (levels[back][0] - levels[peak][0]) / 86_400


def plain_exposure(run: BacktestResult) -> float:
    """Minute by minute."""
    held = total = 0
    for day in run.sessions:
        stamp = day.open
        while stamp < day.close:
            total += 1
            in_trade = any(t.entry_time <= stamp <= t.exit_time for t in run.trades)
            held += in_trade or any(p.entry_time <= stamp for p in run.open_positions)
            stamp += MINUTE
    return held / total


def plain_profit_factor(trades: Sequence[Trade]) -> float | None:
    gained = lost = 0.0
    for item in trades:
        if item.pnl > 0:
            gained += float(item.pnl)
        else:
            lost -= float(item.pnl)
    return gained / lost if lost else None


def plain_median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def same(found: float | None, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)


# ---- random runs -------------------------------------------------------------------------------------

# Levels a tenth of a percent apart at least, so that "no deviation" is exactly none.
LEVELS = st.integers(500, 2000).map(lambda tenths: tenths * 100.0)


@st.composite
def curves(draw: st.DrawFn) -> BacktestResult:
    days = sessions(draw(st.integers(1, 12)))
    moments: list[tuple[datetime, float]] = []
    for day in days:
        minutes = draw(st.lists(st.integers(1, 389), unique=True, max_size=4))
        moments += [(day.open + minute * MINUTE, draw(LEVELS)) for minute in sorted(minutes)]
        moments.append((day.close, draw(LEVELS)))
    return result(days=days, equity=curve(moments))


@st.composite
def traded(draw: st.DrawFn, some: int = 0) -> BacktestResult:
    days = sessions(draw(st.integers(1, 3)))
    trades = []
    for _ in range(draw(st.integers(some, 8))):
        into = draw(st.integers(0, len(days) - 1))
        out = draw(st.integers(into, len(days) - 1))
        start = draw(st.integers(0, 389))
        end = draw(st.integers(start if out == into else 0, 389))
        low, high = draw(st.integers(80, 100)), draw(st.integers(100, 120))
        trades.append(
            trade(
                draw(st.integers(-5000, 5000)) / Decimal(100),
                symbol=draw(st.sampled_from(["A", "B", "C"])),
                qty=draw(st.sampled_from([1, 5, 20])),
                entry_time=at(start, into),
                exit_time=at(end, out),
                reason=draw(st.sampled_from([TradeReason.STOP, TradeReason.EXIT])),
                planned_risk=draw(st.sampled_from([0, 25, 50])),
                lowest=float(low),
                highest=float(high),
            )
        )
    return result(trades, days=days, symbols=("A", "B", "C"))


@given(curves())
def test_ratios_of_returns_are_their_definitions(run: BacktestResult) -> None:
    found, returns = metrics_of(run), returns_of(run)
    assert same(found.total_return, points(run)[-1][1] / float(run.cash) - 1)
    assert same(found.sharpe, plain_sharpe(returns))
    assert same(found.sortino, plain_sortino(returns))


@given(curves())
def test_drawdown_and_its_length_are_their_definitions(run: BacktestResult) -> None:
    found = metrics_of(run)
    depth, length = plain_drawdown(run)
    assert same(found.max_drawdown, depth)
    assert same(found.max_drawdown_length, length)


@given(curves())
def test_growth_a_year_is_the_logarithm_spread_over_the_years(run: BacktestResult) -> None:
    yearly = math.log(points(run)[-1][1] / float(run.cash)) / (run.span / timedelta(days=365.25))
    wanted = math.expm1(yearly) if yearly < math.log(1e308) else None
    rate = metrics_of(run).cagr
    assert (rate is None) == (wanted is None)
    assert rate is None or rate == pytest.approx(wanted, rel=1e-6)


@given(traded())
def test_exposure_counts_every_minute_held_once(run: BacktestResult) -> None:
    assert same(metrics_of(run).exposure, plain_exposure(run))


@given(traded(some=1))
def test_figures_of_trades_are_their_definitions(run: BacktestResult) -> None:
    found, trades = metrics_of(run), run.trades
    pnls = [float(item.pnl) for item in trades]
    assert found.trades == len(trades)
    assert same(found.win_rate, len([pnl for pnl in pnls if pnl > 0]) / len(trades))
    assert same(found.profit_factor, plain_profit_factor(trades))
    assert same(found.expectancy, plain_mean(pnls))
    assert same(
        found.avg_trade,
        plain_mean([float(item.pnl) / (float(item.entry_price) * item.qty) for item in trades]),
    )
    assert (found.best_trade, found.worst_trade) == (max(pnls), min(pnls))
    held = [(item.exit_time - item.entry_time).total_seconds() / 60 for item in trades]
    assert same(found.avg_holding_minutes, plain_mean(held))


@given(traded(some=1))
def test_excursions_and_multiples_of_risk_are_their_definitions(run: BacktestResult) -> None:
    found, trades = metrics_of(run), run.trades
    adverse = [(item.lowest - float(item.entry_price)) * item.qty for item in trades]
    favourable = [(item.highest - float(item.entry_price)) * item.qty for item in trades]
    assert same(found.avg_mae, plain_mean(adverse))
    assert same(found.median_mae, plain_median(adverse))
    assert same(found.avg_mfe, plain_mean(favourable))
    assert same(found.median_mfe, plain_median(favourable))
    risked = [item for item in trades if item.planned_risk > 0]
    if not risked:
        assert found.expectancy_r is found.avg_mae_r is found.median_mfe_r is None
        return
    of_risk = [float(item.pnl) / float(item.planned_risk) for item in risked]
    adverse_r = [(t.lowest - float(t.entry_price)) * t.qty / float(t.planned_risk) for t in risked]
    favourable_r = [(t.highest - float(t.entry_price)) * t.qty / float(t.planned_risk) for t in risked]
    assert same(found.expectancy_r, plain_mean(of_risk))
    assert same(found.avg_mae_r, plain_mean(adverse_r))
    assert same(found.median_mae_r, plain_median(adverse_r))
    assert same(found.avg_mfe_r, plain_mean(favourable_r))
    assert same(found.median_mfe_r, plain_median(favourable_r))


@given(traded())
def test_every_breakdown_adds_up_to_the_whole(run: BacktestResult) -> None:
    found = metrics_of(run)
    for slices in (found.by_symbol, found.by_hour, found.by_month, found.by_reason):
        assert sum(part.trades for part in slices) == len(run.trades)
        assert same(sum(part.pnl for part in slices), float(sum(item.pnl for item in run.trades)))
    for part in found.by_symbol:
        own = [item for item in run.trades if item.symbol == part.name]
        assert part.trades == len(own)
        assert same(part.profit_factor, plain_profit_factor(own))
        assert same(part.expectancy, plain_mean([float(item.pnl) for item in own]) if own else None)


@given(st.one_of(curves(), traded()))
def test_no_figure_is_infinite_or_nan(run: BacktestResult) -> None:
    json.dumps(asdict(metrics_of(run)), allow_nan=False)


# ---- by hand -----------------------------------------------------------------------------------------


def closing_at(*levels: float, days: tuple[Session, ...] | None = None) -> BacktestResult:
    days = days or sessions(len(levels))
    return result(
        days=days, equity=curve([(day.close, level) for day, level in zip(days, levels, strict=True)])
    )


def test_three_sessions_worked_out_by_hand() -> None:
    """+10 %, −10 %, +10 %: mean 1/30; sample variance 2/150; of the shortfall only 0.1² / 3."""
    found = metrics_of(closing_at(110_000, 99_000, 108_900))
    assert found.total_return == pytest.approx(0.089, abs=1e-12)
    assert found.sharpe == pytest.approx((1 / 30) / math.sqrt(2 / 150) * math.sqrt(252))
    assert found.sortino == pytest.approx((1 / 30) / math.sqrt(0.01 / 3) * math.sqrt(252))
    assert found.max_drawdown == pytest.approx(-0.1)
    assert found.max_drawdown_length == 2.0  # from the first close to the end: it never came back


def test_a_year_that_doubles_grows_by_a_hundred_percent() -> None:
    first = session(date(2026, 6, 1))
    opened = first.open
    last = Session(date(2027, 6, 1), opened + timedelta(days=365), opened + timedelta(days=365.25))
    assert metrics_of(closing_at(100_000, 200_000, days=(first, last))).cagr == pytest.approx(1.0)


def test_a_lucky_day_has_no_yearly_rate_when_that_is_beyond_a_number() -> None:
    assert metrics_of(closing_at(200_000)).cagr is None


def test_drawdown_counts_from_the_cash_and_inside_the_day() -> None:
    (day,) = sessions(1)
    run = result(equity=curve([(at(10), 80_000.0), (at(20), 90_000.0), (day.close, 100_000.0)]))
    found = metrics_of(run)
    assert found.max_drawdown == pytest.approx(-0.2)
    assert found.max_drawdown_length == pytest.approx(390 / 1440)
    assert found.total_return == 0


def test_the_length_of_a_drawdown_ends_when_the_peak_is_regained() -> None:
    found = metrics_of(closing_at(110_000, 88_000, 110_000, 120_000, 119_000))
    assert found.max_drawdown == pytest.approx(-0.2)
    assert found.max_drawdown_length == 2.0  # Monday's close to Wednesday's


def test_curves_that_say_nothing_about_risk_have_no_ratio() -> None:
    flat, rising, single = closing_at(100_000, 100_000), closing_at(100_001, 100_003), closing_at(100_500)
    assert (metrics_of(flat).sharpe, metrics_of(flat).sortino) == (None, None)
    assert metrics_of(rising).sharpe is not None
    assert metrics_of(rising).sortino is None
    assert (metrics_of(single).sharpe, metrics_of(single).sortino) == (None, None)
    assert (metrics_of(flat).max_drawdown, metrics_of(flat).max_drawdown_length) == (0, 0)


def test_equal_returns_every_day_are_no_deviation() -> None:
    """Rounding alone leaves a deviation of about 1e-17 here, which would make a Sharpe of 1e15."""
    levels = [100_000 * 1.001**number for number in range(1, 21)]
    assert metrics_of(closing_at(*levels)).sharpe is None


def test_money_that_is_gone_gives_no_return() -> None:
    found = metrics_of(closing_at(0, 0, 0))
    assert (found.total_return, found.max_drawdown) == (-1, -1)
    assert (found.sharpe, found.sortino) == (None, None)
    assert found.cagr == -1
    assert metrics_of(closing_at(-5, 10, 20)).sharpe is None  # there is no return on a debt
    assert metrics_of(closing_at(-5, 10)).cagr is not None
    assert metrics_of(closing_at(10, -5)).cagr is None


def test_no_trades_leave_their_figures_undefined() -> None:
    found = metrics_of(result(days=sessions(2)))
    assert (found.trades, found.exposure, found.total_return) == (0, 0, 0)
    undefined = (
        found.win_rate, found.profit_factor, found.expectancy, found.expectancy_r, found.avg_trade,
        found.avg_mae, found.median_mae, found.avg_mfe_r, found.best_trade, found.worst_trade,
        found.avg_holding_minutes,
    )  # fmt: skip
    assert set(undefined) == {None}
    assert [(part.name, part.trades, part.win_rate) for part in found.by_symbol] == [("AAPL", 0, None)]
    assert found.by_hour == found.by_month == found.by_reason == ()


def test_winners_alone_have_no_profit_factor_and_losers_one_of_zero() -> None:
    assert metrics_of(result([trade(5), trade(0)])).profit_factor is None
    assert metrics_of(result([trade(-5), trade(0)])).profit_factor == 0
    assert metrics_of(result([trade(30), trade(-5), trade(-5)])).profit_factor == 3


def test_a_trade_without_profit_is_no_win() -> None:
    assert metrics_of(result([trade(5), trade(0)])).win_rate == 0.5


def test_trades_by_hand() -> None:
    """100 and −50 dollars, each on 10 × 100 dollars bought and 50 dollars risked."""
    found = metrics_of(result([trade(100, lowest=98, highest=112), trade(-50, lowest=95, highest=101)]))
    assert found.expectancy == 25
    assert found.expectancy_r == 0.5
    assert found.avg_trade == pytest.approx(0.025)
    assert found.avg_mae == -35
    assert found.avg_mae_r == pytest.approx(-0.7)
    assert found.avg_mfe == 65
    assert (found.best_trade, found.worst_trade) == (100, -50)
    assert found.avg_holding_minutes == 10


def test_a_trade_inside_one_bar_was_held_for_that_minute() -> None:
    run = result([trade(1, entry_time=at(10), exit_time=at(10))])
    assert metrics_of(run).exposure == 1 / 390
    assert metrics_of(run).avg_holding_minutes == 0


def test_minutes_outside_sessions_are_no_exposure() -> None:
    """From 15:00 on one day to 10:30 on the next: 60 minutes and 61, the night does not count."""
    run = result([trade(1, entry_time=at(330), exit_time=at(60, 1))], days=sessions(2))
    assert metrics_of(run).exposure == 121 / 780


def test_a_half_day_counts_its_own_minutes() -> None:
    half = session(date(2026, 11, 27), closes=time(13))
    run = result([trade(1, entry_time=half.open, exit_time=half.open + 20 * MINUTE)], days=(half,))
    assert metrics_of(run).exposure == 21 / 210


def test_what_is_still_held_at_the_end_is_exposed_to_it() -> None:
    held = OpenPosition("AAPL", 10, at(380), Decimal(100), Decimal(95), Decimal(5))
    assert metrics_of(result(open_positions=[held])).exposure == 10 / 390


def test_hours_are_those_of_entry_and_months_those_of_exit_in_new_york() -> None:
    winter = (session(date(2026, 1, 30)), session(date(2026, 2, 2)))
    over_month = trade(7, entry_time=winter[0].open, exit_time=winter[1].open)
    late = trade(3, entry_time=winter[1].close - MINUTE)
    found = metrics_of(result([over_month, late], days=winter))
    assert [(part.name, part.trades) for part in found.by_hour] == [("09", 1), ("15", 1)]
    assert [(part.name, part.pnl) for part in found.by_month] == [("2026-02", 10.0)]
    assert [part.name for part in found.by_reason] == ["stop"]


def test_a_months_return_is_from_its_predecessors_last_close() -> None:
    days = (session(date(2026, 1, 29)), session(date(2026, 1, 30)), session(date(2026, 2, 2)))
    found = metrics_of(closing_at(90_000, 110_000, 99_000, days=days))
    assert [month for month, _ in found.monthly_returns] == ["2026-01", "2026-02"]
    assert [change for _, change in found.monthly_returns] == pytest.approx([0.1, -0.1])


def test_the_curve_counts_where_no_point_is_at_the_close_itself() -> None:
    """Equity that did not change in a session is what it was before."""
    run = result(days=sessions(3), equity=curve([(at(30), 110_000.0), (sessions(3)[2].close, 99_000.0)]))
    assert metrics_of(run).sharpe == pytest.approx(plain_sharpe([0.1, 0.0, -0.1]), abs=1e-12)
