"""Runs jobs over bars that are made ready once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Final

import numpy as np

from tui_trader.backtest.market import MarketData
from tui_trader.backtest.metrics import metrics_of
from tui_trader.backtest.result import BacktestResult, DataNotes, EquityCurve
from tui_trader.backtest.runner import BacktestRules, BacktestRunner
from tui_trader.core.calendar import NEW_YORK, Calendar, Session
from tui_trader.strategies.base import Strategy
from tui_trader.strategies.registry import check_strategy
from tui_trader.sweep.jobs import Job, JobResult, Segment, failed, figures_of
from tui_trader.sweep.parameters import config_of
from tui_trader.venues.replay.bars_file import BarTable

#: Jobs come in order of their windows, and those of two windows may be mixed.
_MARKETS_KEPT: Final = 2


class Bench:
    """One strategy and one set of bars; every job finds the bars, and the candles made of them, ready."""

    def __init__(self, strategy: type[Strategy], table: BarTable, calendar: Calendar) -> None:
        self._strategy = strategy
        self._table = table
        self._calendar = calendar
        self._markets: dict[tuple[date, float], MarketData] = {}

    def run(self, job: Job) -> JobResult:
        """What comes of ``job``. Whatever the strategy raises becomes the result's ``error``."""
        try:
            result = self._account(job)
            return JobResult(figures_of(metrics_of(result)), result.final_equity)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a strategy may raise anything, SystemExit included
            return failed(error)

    def _account(self, job: Job) -> BacktestResult:
        """One account through all segments of ``job``."""
        results: list[BacktestResult] = []
        cash = job.segments[0].rules.cash
        for segment in job.segments:
            if segment.config is None:
                results.append(_idle(self._sessions(segment), self._strategy.name, segment.rules, cash))
            else:
                results.append(self._traded(segment, segment.config, replace(segment.rules, cash=cash)))
            cash = results[-1].final_equity
        return results[0] if len(results) == 1 else _joined(results)

    def _traded(self, segment: Segment, text: str, rules: BacktestRules) -> BacktestResult:
        """Indicators run from the first bar. Nothing is traded before the window, nothing known after it."""
        market = self._market(segment)
        config = config_of(self._strategy, text)
        strategies = [
            check_strategy(self._strategy, partial(self._strategy, symbol, config))
            for symbol in market.symbols
        ]
        return BacktestRunner(market, strategies, rules, trade_from=segment.window.first).run()

    def _sessions(self, segment: Segment) -> tuple[Session, ...]:
        return tuple(
            session for session in self._market(segment).sessions if session.date >= segment.window.first
        )

    def _market(self, segment: Segment) -> MarketData:
        """The bars up to the end of the segment's window, made ready when first asked for."""
        key = segment.window.last, segment.max_bar_jump_pct
        if key not in self._markets:
            if len(self._markets) == _MARKETS_KEPT:
                del self._markets[next(iter(self._markets))]
            table = _until(self._table, segment.window.last)
            self._markets[key] = MarketData(table, self._calendar, segment.max_bar_jump_pct)
        return self._markets[key]


def _until(table: BarTable, last: date) -> BarTable:
    """The bars of ``table`` up to the end of that day, without copying any."""
    midnight = datetime.combine(last, time.max, NEW_YORK).astimezone(UTC)
    count = int(np.searchsorted(table.minute, int(midnight.timestamp()) // 60, side="right"))
    return BarTable(
        table.symbols, table.minute[:count], table.symbol_index[:count], table.open[:count],
        table.high[:count], table.low[:count], table.close[:count], table.volume[:count], table.skipped,
    )  # fmt: skip


def _idle(
    sessions: tuple[Session, ...], strategy: str, rules: BacktestRules, cash: Decimal
) -> BacktestResult:
    """The account in sessions in which nothing is traded."""
    time = np.array([int(session.close.timestamp()) for session in sessions], dtype=np.int64)
    equity = EquityCurve(time, np.full(len(sessions), float(cash)))
    return BacktestResult(
        strategy, {}, (), cash, rules.slippage_ticks, sessions, 0, 0, [], [], [], [], [], (), equity, cash,
        DataNotes(), 0.0,
    )  # fmt: skip


def _joined(results: list[BacktestResult]) -> BacktestResult:
    """Results that follow each other as one; its trades and equity are what figures are made of."""
    first, last = results[0], results[-1]
    return replace(
        first,
        config={},
        symbols=tuple(sorted({symbol for result in results for symbol in result.symbols})),
        sessions=tuple(session for result in results for session in result.sessions),
        bars=sum(result.bars for result in results),
        candles=sum(result.candles for result in results),
        signals=[signal for result in results for signal in result.signals],
        orders=[order for result in results for order in result.orders],
        fills=[fill for result in results for fill in result.fills],
        trades=[trade for result in results for trade in result.trades],
        trips=[trip for result in results for trip in result.trips],
        open_positions=last.open_positions,
        equity=EquityCurve(
            np.concatenate([result.equity.time for result in results]),
            np.concatenate([result.equity.value for result in results]),
        ),
        final_equity=last.final_equity,
        notes=DataNotes(),
        elapsed_s=sum(result.elapsed_s for result in results),
    )
