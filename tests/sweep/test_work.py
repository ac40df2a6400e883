"""A job trades its window, with warm indicators, and cannot know what comes after it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from tests.sweep.making import CONFIG, DAYS, RULES, bars, calendar, job, window
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.metrics import metrics_of
from tui_trader.backtest.runner import BacktestRunner
from tui_trader.core.calendar import FixedCalendar
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig
from tui_trader.sweep.jobs import Job, Segment, figures_of
from tui_trader.sweep.work import Bench
from tui_trader.venues.replay.bars_file import BarTable

TABLE = bars()


def bench(table: BarTable = TABLE) -> Bench:
    return Bench(SmaCross, table, calendar())


def test_a_job_over_all_sessions_is_the_backtest_itself() -> None:
    market = MarketData(TABLE, calendar(), 20.0)
    config = SmaCrossConfig.model_validate_json(CONFIG)
    result = BacktestRunner(market, [SmaCross(symbol, config) for symbol in market.symbols], RULES).run()
    found = bench().run(job())
    assert found.trades > 50
    assert found.figures == figures_of(metrics_of(result))
    assert found.final_equity == result.final_equity


def _changed_after(session: int) -> BarTable:
    """Prices double with the session after ``session``."""
    later = int(DAYS[session + 1].open.timestamp()) // 60 <= TABLE.minute
    factor = np.where(later, 2.0, 1.0)
    return replace(
        TABLE,
        open=TABLE.open * factor,
        high=TABLE.high * factor,
        low=TABLE.low * factor,
        close=TABLE.close * factor,
    )


def test_nothing_after_the_window_can_change_a_result() -> None:
    work = job(window(3, 6))
    assert bench(_changed_after(6)).run(work) == bench().run(work)
    assert bench(_changed_after(5)).run(work) != bench().run(work)


def test_indicators_are_warm_when_the_window_begins() -> None:
    config = CONFIG.replace('"sma_slow":20', '"sma_slow":300')  # more candles than a session has
    first_session, second_session = job(window(0, 0), config=config), job(window(1, 1), config=config)
    assert bench().run(first_session).trades == 0
    assert bench().run(second_session).trades > 0


def test_a_symbol_that_comes_later_does_not_disturb_an_earlier_window() -> None:
    here = (TABLE.symbol_index == 0) | (int(DAYS[6].open.timestamp()) // 60 <= TABLE.minute)
    columns = ("minute", "symbol_index", "open", "high", "low", "close", "volume")
    table = replace(TABLE, **{name: getattr(TABLE, name)[here] for name in columns})
    alone = bars(symbols=("AAA",))
    alone = replace(alone, **{n: getattr(TABLE, n)[TABLE.symbol_index == 0] for n in columns})
    assert bench(table).run(job(window(0, 4))) == bench(alone).run(job(window(0, 4)))
    assert bench(table).run(job(window(0, 8))) != bench(alone).run(job(window(0, 8)))


def test_an_account_goes_from_segment_to_segment_with_what_the_last_one_left() -> None:
    whole = bench().run(job(window(2, 5), window(6, 8)))
    first = bench().run(job(window(2, 5)))
    second = bench().run(job(window(6, 8), rules=replace(RULES, cash=first.final_equity)))
    assert whole.final_equity == second.final_equity != first.final_equity
    assert whole.trades == first.trades + second.trades
    growth = float(second.final_equity / Decimal(100_000)) - 1
    assert whole.figures["total_return"] == pytest.approx(growth, abs=1e-12)


def test_in_a_segment_without_parameters_the_account_rests() -> None:
    parts = [window(2, 5), window(6, 7), window(8, 9)]
    segments = [Segment(part, CONFIG, RULES, 20.0) for part in parts]
    segments[1] = replace(segments[1], config=None)
    rested = bench().run(Job(tuple(segments)))
    before = bench().run(job(parts[0]))
    after = bench().run(job(parts[2], rules=replace(RULES, cash=before.final_equity)))
    assert rested.final_equity == after.final_equity
    assert rested.trades == before.trades + after.trades
    only = bench().run(job(parts[1], config=None))
    assert only.final_equity == RULES.cash
    assert only.figures["total_return"] == 0


class Raising(SmaCross):
    raises: BaseException = ValueError("no")

    def should_long(self, view: object) -> bool:
        raise self.raises


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), MemoryError()])
def test_whatever_a_strategy_raises_becomes_the_jobs_error(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Raising, "raises", error)
    result = Bench(Raising, TABLE, calendar()).run(job())
    assert type(error).__name__ in result.error
    assert result.trades == 0


def test_an_interrupt_is_not_taken_for_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Raising, "raises", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Bench(Raising, TABLE, calendar()).run(job())


def test_results_do_not_depend_on_the_jobs_before() -> None:
    used = bench()
    windows = [window(0, 11), window(2, 4), window(5, 9), window(0, 1)]
    assert [used.run(job(part)) for part in windows * 2] == [bench().run(job(part)) for part in windows] * 2


def test_a_calendar_of_the_bars_alone_is_enough() -> None:
    small = FixedCalendar(DAYS[2:9])
    keep = (int(DAYS[2].open.timestamp()) // 60 <= TABLE.minute) & (
        int(DAYS[9].open.timestamp()) // 60 > TABLE.minute
    )
    columns = ("minute", "symbol_index", "open", "high", "low", "close", "volume")
    table = replace(TABLE, **{name: getattr(TABLE, name)[keep] for name in columns})
    work = job(window(4, 8))
    assert Bench(SmaCross, table, small).run(work) == Bench(SmaCross, table, calendar()).run(work)
