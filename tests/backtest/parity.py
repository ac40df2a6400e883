"""The backtest's story of a case, to lay beside the engine's and the oracle's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime

from tests.oracle.harness import (
    CALENDAR,
    Case,
    EngineRun,
    Line,
    Story,
    _by_time_and_symbol,
    engine_story,
    table_of,
    velez_of,
)
from tui_trader.backtest.market import MarketData, moment_time, time_of
from tui_trader.backtest.result import BacktestResult
from tui_trader.backtest.runner import BacktestRules, BacktestRunner
from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.events import AccountUpdated
from tui_trader.core.risk import RiskLimits
from tui_trader.engine.sessions import SessionRules
from tui_trader.strategies.base import Strategy

_BREAKER = {"max_daily_loss_pct": "daily_loss", "consecutive_loss_pause": "consecutive_losses"}


def rules_of(case: Case) -> BacktestRules:
    risk, session = case.risk, case.session
    return BacktestRules(
        RiskLimits(
            risk.max_risk_per_trade_pct, risk.max_risk_per_trade, risk.max_position_pct,
            risk.max_open_positions, risk.max_gross_exposure_pct, risk.max_order_value,
            risk.max_entries_per_symbol_per_day, risk.max_entries_per_day, risk.max_volume_pct,
            risk.max_orders_per_minute, risk.price_collar_pct,
        ),
        BreakerLimits(risk.max_daily_loss_pct, risk.consecutive_loss_pause, risk.consecutive_loss_min_r),
        SessionRules(session.no_entries_before_close_min, session.flatten_before_close_min),
        case.cash,
        case.ticks,
    )  # fmt: skip


def market_of(case: Case) -> MarketData:
    """The case's bars as the engine gets them: from its first session on, or with those before to warm up."""
    bars = [b for b in case.bars if b.symbol in case.symbols]
    if case.start is not None and not case.warm:
        bars = [b for b in bars if b.timestamp >= CALENDAR.sessions(case.start, case.start)[0].open]
    return MarketData(table_of(bars), CALENDAR, float(case.risk.max_bar_jump_pct), tuple(case.symbols))


def run_backtest(
    case: Case,
    strategies: Callable[[Case], Sequence[Strategy]] = velez_of,
    *,
    jump: bool = True,
    market: MarketData | None = None,
) -> tuple[MarketData, BacktestResult]:
    market = market or market_of(case)
    traded = [strategy for strategy in strategies(case) if strategy.symbol in market.symbols]
    runner = BacktestRunner(market, traded, rules_of(case), trade_from=case.start, jump=jump)
    return market, runner.run()


def backtest_story(case: Case, market: MarketData, result: BacktestResult, minutes: int) -> Story:
    first = market.session_number(case.start) if case.start else 0
    return {
        "rejected": sorted((bar.symbol, bar.timestamp, bar.reason) for bar in market.notes.refused),
        "candles": sorted(_candles(market, result, minutes, first), key=lambda c: (c[1], c[0])),
        "signals": [
            (s.time, s.symbol, s.candle, s.entry_price, s.stop_price, s.refused or None) for s in result.signals
        ],
        "orders": sorted(_orders(result), key=_by_time_and_symbol),
        "fills": [(f.time, f.symbol, str(f.side), f.qty, f.price) for f in result.fills],
        "trades": [
            (t.symbol, t.qty, t.entry_time, t.entry_price, t.exit_time, t.exit_price, t.pnl, str(t.reason))
            for t in result.trades
        ],
        "breaker": [(trip.time, _BREAKER[trip.rule]) for trip in result.trips],
        "end": [(result.final_equity,)],
    }


def comparable(story: Story, *, warm: bool = False) -> Story:
    """A story of the engine's or the oracle's, as far as a backtest can tell it."""
    told = dict(story)
    del told["errors"], told["adjusted"]
    told["rejected"] = sorted((s, t, r) for _, s, t, r in story["rejected"])
    told["candles"] = sorted(story["candles"], key=lambda c: (c[1], c[0]))
    told["end"] = [(equity,) for _, equity in story["end"]]
    return told


def _candles(market: MarketData, result: BacktestResult, minutes: int, first: int) -> list[Line]:
    lines: list[Line] = []
    from tui_trader.core.indicators import Indicator

    for symbol in market.symbols:
        candles = market.candles(symbol, minutes)
        begin = int(candles.bounds[first])
        for n in range(begin, len(candles)):
            lines.append(
                (symbol, time_of(int(candles.start[n])), candles.open[n], candles.high[n], candles.low[n],
                 candles.close[n], int(candles.volume[n]), int(candles.bars[n]), bool(candles.complete[n]))
            )
    return lines


def _orders(result: BacktestResult) -> list[Line]:
    names = {"cancel": "end"}
    lines: list[Line] = []
    for o in result.orders:
        about = (o.time, o.symbol, str(o.role), names.get(o.action, o.action))
        if o.action == "move":
            lines.append((*about, None, o.stop_price, None))
        else:
            lines.append((*about, o.qty, o.stop_price, o.limit_price))
    return lines


def equity_differences(run: EngineRun, result: BacktestResult) -> list[tuple[datetime, float, float]]:
    """Where the engine's account, as published at the end of an instant, differs from the backtest's curve."""
    latest = {time: float(account.equity) for time, account in run.of(AccountUpdated)}
    times, values = result.equity.time.tolist(), result.equity.value.tolist()
    wrong = []
    for time, equity in latest.items():
        at = bisect_right(times, int(time.timestamp()))
        ours = values[at - 1] if at else float(result.cash)
        if abs(ours - equity) > 1e-6:
            wrong.append((time, equity, ours))
    return wrong


__all__ = ["backtest_story", "comparable", "engine_story", "equity_differences", "market_of", "moment_time", "run_backtest"]
