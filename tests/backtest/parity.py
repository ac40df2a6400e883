"""The backtest's story of a case, to lay beside the engine's and the oracle's."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np

from tests.oracle.harness import (
    BREAKER_RULES,
    CALENDAR,
    REFUSAL_REASONS,
    Case,
    EngineRun,
    Line,
    Story,
    Strategies,
    breaker_limits,
    by_time_and_symbol,
    compare,
    engine_story,
    oracle_story,
    risk_limits,
    session_rules,
    table_of,
    velez_of,
)
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.result import BacktestResult
from tui_trader.backtest.runner import BacktestRules, BacktestRunner
from tui_trader.backtest.tape import time_of
from tui_trader.core.events import AccountUpdated, BarRejected, CircuitBreakerTripped, SignalRejected
from tui_trader.strategies.base import Strategy

#: What an account may differ by from the curve, which is float64: dollars.
_EXACT = 1e-6


@dataclass(frozen=True)
class BacktestRun:
    case: Case
    market: MarketData
    strategies: Sequence[Strategy]
    result: BacktestResult

    @property
    def first(self) -> int:
        """The number of the first session that was traded."""
        return self.market.session_number(self.case.start) if self.case.start else 0

    @property
    def begin(self) -> datetime:
        return self.market.sessions[self.first].open


def market_of(case: Case) -> MarketData:
    """The case's bars as the engine gets them: from its first session on, or with those before to warm up."""
    bars = [bar for bar in case.bars if bar.symbol in case.symbols]
    if case.start is not None and not case.warm:
        opened = CALENDAR.sessions(case.start, case.start)[0].open
        bars = [bar for bar in bars if bar.timestamp >= opened]
    return MarketData(table_of(bars), CALENDAR, float(case.risk.max_bar_jump_pct), tuple(case.symbols))


def rules_of(case: Case) -> BacktestRules:
    return BacktestRules(risk_limits(case), breaker_limits(case), session_rules(case), case.cash, case.ticks)


def run_backtest(
    case: Case, strategies: Strategies = velez_of, *, jump: bool = True, market: MarketData | None = None
) -> BacktestRun:
    """``market`` is the case's, if it has been made before; ``jump`` False asks about every candle."""
    market = market or market_of(case)
    traded = [strategy for strategy in strategies(case) if strategy.symbol in market.symbols]
    runner = BacktestRunner(market, traded, rules_of(case), trade_from=case.start, jump=jump)
    return BacktestRun(case, market, traded, runner.run())


def engine_differences(run: EngineRun, backtest: BacktestRun) -> str:
    """Where the live engine and the backtest tell different stories of one case; empty when they agree."""
    told = engine_story(run)
    engine = {
        **told,
        "rejected": sorted((bar.symbol, bar.timestamp, bar.reason) for _, bar in run.of(BarRejected)),
        "adjusted": sorted(told["adjusted"]),
        "splits": sorted((symbol, _session_open(time)) for symbol, time in run.splits),
        "candles": _by_start(told["candles"]),
        "refusals": [(time, no.symbol, no.rule, no.reason) for time, no in run.of(SignalRejected)],
        "trips": [(time, trip.rule, trip.value, trip.limit) for time, trip in run.of(CircuitBreakerTripped)],
        "equity": [],
        "open": _held(run),
    }
    ours = {
        **backtest_story(backtest),
        "errors": [],
        "refusals": [(s.time, s.symbol, s.refused, s.reason) for s in backtest.result.signals if s.refused],
        "trips": list(backtest.result.trips),
        "equity": _wrong_equity(run, backtest.result),
        "open": [
            (o.symbol, o.qty, o.entry_time, o.entry_price, o.stop_price, o.unrealized_pnl)
            for o in backtest.result.open_positions
        ],
    }
    return compare(ours, engine, ("backtest", "engine"))


def oracle_differences(backtest: BacktestRun) -> str:
    """Where the backtest and the independent reading of DESIGN §5 and §9 differ; empty when they agree."""
    told = dict(oracle_story(backtest.case))
    told["candles"] = _by_start(told["candles"])
    told["adjusted"] = sorted(told["adjusted"])
    told["rejected"] = sorted((symbol, stamp, reason) for _, symbol, stamp, reason in told["rejected"])
    del told["errors"]
    ours = dict(backtest_story(backtest))
    ours["rejected"] = [
        (symbol, stamp, REFUSAL_REASONS[reason]) for symbol, stamp, reason in ours["rejected"]
    ]
    return compare(ours, told, ("backtest", "oracle"))


def result_differences(run: BacktestRun, other: BacktestRun) -> str:
    """In what two backtests of one case differ, to the last point of the curve; empty when they are equal."""
    one, two = run.result, other.result
    wrong = [
        field.name
        for field in fields(BacktestResult)
        if field.name not in ("equity", "elapsed_s") and getattr(one, field.name) != getattr(two, field.name)
    ]
    wrong += [
        f"equity.{name}"
        for name in ("time", "value")
        if not np.array_equal(getattr(one.equity, name), getattr(two.equity, name))
    ]
    if not wrong:
        return ""
    told = compare(backtest_story(run), backtest_story(other), ("backtest", "other backtest"))
    return f"two backtests differ in {', '.join(wrong)}\n{told}"


def backtest_story(run: BacktestRun) -> Story:
    result, begin = run.result, run.begin
    return {
        "rejected": sorted(
            (bar.symbol, bar.timestamp, bar.reason)
            for bar in run.market.notes.refused
            if bar.timestamp >= begin
        ),
        "adjusted": sorted(line for line in _adjusted(run.market) if line[1] >= begin),
        "splits": sorted((symbol, time) for symbol, time in run.market.notes.splits if time >= begin),
        "candles": _by_start(_candles(run)),
        "signals": [
            (s.time, s.symbol, s.candle, s.entry_price, s.stop_price, s.refused or None)
            for s in result.signals
        ],
        "orders": sorted(_orders(result), key=by_time_and_symbol),
        "fills": [(f.time, f.symbol, str(f.side), f.qty, f.price) for f in result.fills],
        "trades": [
            (t.symbol, t.qty, t.entry_time, t.entry_price, t.exit_time, t.exit_price, t.pnl, str(t.reason))
            for t in result.trades
        ],
        "breaker": [(trip.time, BREAKER_RULES[trip.rule]) for trip in result.trips],
        "end": [(0, result.final_equity)],
    }


def _by_start(candles: Sequence[Line]) -> list[Line]:
    return sorted(candles, key=lambda candle: (candle[1], candle[0]))


def _adjusted(market: MarketData) -> Iterator[Line]:
    for symbol, tape in market.tapes.items():
        for number, (high, low) in tape.patched.items():
            yield symbol, time_of(int(tape.minutes(number, number + 1)[0])), high, low


def _candles(run: BacktestRun) -> list[Line]:
    found: list[Line] = []
    for strategy in run.strategies:
        candles = run.market.candles(strategy.symbol, strategy.candle_interval_minutes)
        series = candles.indicators(strategy.indicators)
        columns = (
            candles.start, candles.open, candles.high, candles.low, candles.close, candles.volume,
            candles.bars, candles.complete,
        )  # fmt: skip
        unknown = [math.nan] * len(candles)
        averages = [series[name].tolist() if name in series else unknown for name in ("sma_fast", "sma_slow")]
        rows = list(zip(*(column.tolist() for column in columns), *averages, strict=True))
        for start, *prices, volume, bars, complete, fast, slow in rows[int(candles.bounds[run.first]) :]:
            found.append((strategy.symbol, time_of(start), *prices, int(volume), bars, complete, fast, slow))
    return found


def _orders(result: BacktestResult) -> Iterator[Line]:
    for order in result.orders:
        action = "end" if order.action == "cancel" else order.action
        about = (order.time, order.symbol, str(order.role), action)
        if action == "move":
            yield *about, None, order.stop_price, None
        else:
            yield *about, order.qty, order.stop_price, order.limit_price


def _held(run: EngineRun) -> list[Line]:
    """What the engine holds when the bars have ended."""
    engine, found = run.engine, []
    for symbol, position in sorted(engine.portfolio.positions.items()):
        last = engine.portfolio.last(symbol)
        assert last is not None
        about = (symbol, position.qty, position.entry_time, position.avg_entry_price)
        found.append((*about, engine.manager.books[symbol].protect_at, position.unrealized_pnl(last)))
    return found


def _wrong_equity(run: EngineRun, result: BacktestResult) -> list[Line]:
    """Where the engine's account, as last published in an instant, is not on the curve: time and both."""
    latest = {time: float(account.equity) for time, account in run.of(AccountUpdated)}
    times, values = result.equity.time.tolist(), [float(result.cash), *result.equity.value.tolist()]
    curve = [values[bisect_right(times, int(time.timestamp()))] for time in latest]
    return [
        (time, equity, ours)
        for (time, equity), ours in zip(latest.items(), curve, strict=True)
        if abs(ours - equity) > _EXACT
    ]


def _session_open(time: datetime) -> datetime:
    session = CALENDAR.session_on(time.date())
    if session is None:
        raise ValueError(f"{time} is in no session")
    return session.open
