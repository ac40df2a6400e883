"""A strategy's candidates make a backtest faster, and can do nothing else to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.backtest.parity import BacktestRun, market_of, result_differences, run_backtest
from tests.oracle.harness import CALENDAR, Case
from tests.oracle.markets import simulated_bars
from tests.oracle.oracle import RiskParams
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.runner import StrategyRaised
from tui_trader.core.indicators import Indicator
from tui_trader.core.money import to_decimal
from tui_trader.core.rule import CandleColumns, CandleView
from tui_trader.errors import UsageError
from tui_trader.strategies.base import Strategy, StrategyConfig

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

Mask = Callable[["Rising", CandleColumns], Any]


class Rising(Strategy):
    """Buys when a candle has risen by a lot; ``mask`` makes its candidates."""

    name: ClassVar[str] = "rising"
    mask: ClassVar[Mask]

    @property
    def candle_interval_minutes(self) -> int:
        return 1

    @property
    def required_history(self) -> int:
        return 2

    @property
    def indicators(self) -> Mapping[str, Indicator]:
        return {"sma_fast": Indicator("sma", 2)}

    def should_long(self, view: CandleView) -> bool:
        return view.close > 1.0005 * view.open

    def entry_candidates(self, candles: CandleColumns) -> Any:
        return type(self).mask(self, candles)

    def entry_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.high)

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.low) * Decimal("0.999")


def signals(rule: Rising, candles: CandleColumns) -> Any:
    """The candles that ``should_long`` takes."""
    return candles.close > 1.0005 * candles.open


@pytest.fixture(scope="module")
def case() -> Case:
    bars = simulated_bars(("AAPL", "LONE"), 1, CALENDAR.sessions(date(2013, 10, 8), date(2013, 10, 9)))
    return Case(bars, ("AAPL", "LONE"), risk=RiskParams(consecutive_loss_pause=10))


@pytest.fixture(scope="module")
def market(case: Case) -> MarketData:
    return market_of(case)


def ran(case: Case, market: MarketData, mask: Mask, *, jump: bool = True) -> BacktestRun:
    kind = type("Rising", (Rising,), {"mask": staticmethod(mask)})
    return run_backtest(
        case, lambda case: [kind(symbol, StrategyConfig()) for symbol in case.symbols],
        jump=jump, market=market,
    )  # fmt: skip


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(signals, id="the signals"),
        pytest.param(lambda rule, candles: candles.close > candles.open, id="more than the signals"),
        pytest.param(lambda rule, candles: np.ones(len(candles), dtype=bool), id="all"),
        pytest.param(lambda rule, candles: None, id="unsaid"),
    ],
)
def test_asking_about_candidates_only_changes_nothing(case: Case, market: MarketData, mask: Mask) -> None:
    run = ran(case, market, mask)
    assert len(run.result.trades) > 10
    assert result_differences(run, ran(case, market, mask, jump=False)) == ""


# ---- masks that are refused ----------------------------------------------------------------------------


def later(column: Any) -> Any:
    """Each candle's next one."""
    return np.append(column[1:], np.nan)


def whole(column: Any) -> Any:
    """The array that ``column`` is a part of, if it is a part of one."""
    return column if column.base is None or len(column.base) == len(column) else column.base


LOOKING_AHEAD: dict[str, Mask] = {
    "the last close": lambda rule, candles: candles.close < candles.close[-1],
    "a mean over the run": lambda rule, candles: candles.close > candles.close.mean(),
    "the next candle": lambda rule, candles: signals(rule, candles) | (later(candles.close) > candles.close),
    "winners only": lambda rule, candles: signals(rule, candles) & (later(candles.close) > candles.close),
    "an hour later": lambda rule, candles: (
        signals(rule, candles) & (np.append(candles.close, [np.nan] * 60)[60:] > candles.close)
    ),
}


@pytest.mark.parametrize("mask", LOOKING_AHEAD.values(), ids=LOOKING_AHEAD)
def test_a_mask_that_looks_ahead_is_refused(case: Case, market: MarketData, mask: Mask) -> None:
    with pytest.raises(UsageError, match=r"^strategy rising: entry_candidates looks ahead") as error:
        ran(case, market, mask)
    assert "\n" not in str(error.value)


def test_the_columns_a_mask_is_made_of_hide_nothing_behind_them(case: Case, market: MarketData) -> None:
    def peek(rule: Rising, candles: CandleColumns) -> Any:
        ahead = whole(candles.close)
        return signals(rule, candles) & (ahead[-1] > candles.close)

    with pytest.raises(UsageError, match="entry_candidates looks ahead"):
        ran(case, market, peek)


LEAVING_OUT: dict[str, Mask] = {
    "everything": lambda rule, candles: np.zeros(len(candles), dtype=bool),
    "the second day": lambda rule, candles: signals(rule, candles) & (np.arange(len(candles)) < 390),
    "large signals": lambda rule, candles: signals(rule, candles) & (candles.close < 1.001 * candles.open),
}


@pytest.mark.parametrize("mask", LEAVING_OUT.values(), ids=LEAVING_OUT)
def test_a_mask_that_leaves_out_signals_is_refused(case: Case, market: MarketData, mask: Mask) -> None:
    with pytest.raises(UsageError, match=r"^strategy rising: entry_candidates leaves out a candle") as error:
        ran(case, market, mask)
    assert "AAPL, 2013-10-0" in str(error.value), "which symbol, which candle"
    assert "\n" not in str(error.value)


NO_MASKS: dict[str, Mask] = {
    "a list": lambda rule, candles: signals(rule, candles).tolist(),
    "numbers": lambda rule, candles: signals(rule, candles).astype(int),
    "positions": lambda rule, candles: np.flatnonzero(signals(rule, candles)),
    "one short": lambda rule, candles: signals(rule, candles)[1:],
    "one long": lambda rule, candles: np.append(signals(rule, candles), True),
    "a table": lambda rule, candles: signals(rule, candles)[:, None],
    "one truth for all": lambda rule, candles: np.True_,
}


@pytest.mark.parametrize("mask", NO_MASKS.values(), ids=NO_MASKS)
def test_what_is_no_mask_is_refused(case: Case, market: MarketData, mask: Mask) -> None:
    with pytest.raises(UsageError, match=r"^strategy rising: .* must return \d+ booleans") as error:
        ran(case, market, mask)
    assert "\n" not in str(error.value)


def test_a_mask_that_is_there_only_sometimes_is_refused(case: Case, market: MarketData) -> None:
    with pytest.raises(UsageError, match=r"^strategy rising: entry_candidates"):
        ran(case, market, lambda rule, candles: signals(rule, candles) if len(candles) > 500 else None)


def test_a_strategy_that_raises_over_its_candidates_is_blamed(case: Case, market: MarketData) -> None:
    def broken(rule: Rising, candles: CandleColumns) -> Any:
        raise LookupError("no such column")

    with pytest.raises(StrategyRaised, match=r"strategy rising failed on AAPL: LookupError: no such column"):
        ran(case, market, broken)


# ---- what making candidates cannot do to a run ---------------------------------------------------------


def test_the_instance_that_trades_has_never_seen_the_columns(case: Case, market: MarketData) -> None:
    """Or it could remember what comes, and look it up when it is asked about a candle."""
    knew: list[bool] = []

    class Remembering(Rising):
        seen: CandleColumns | None = None

        def entry_candidates(self, candles: CandleColumns) -> Any:
            self.seen = candles
            return signals(self, candles)

        def entry_price(self, view: CandleView) -> Decimal:
            knew.append(self.seen is not None)
            return super().entry_price(view)

    run_backtest(
        case, lambda case: [Remembering(symbol, StrategyConfig()) for symbol in case.symbols], market=market
    )
    assert knew
    assert not any(knew)


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume", "sma_fast"])
def test_the_columns_cannot_be_written_to(case: Case, market: MarketData, name: str) -> None:
    """They are the market's own, or another run's indicators."""

    def scribble(rule: Rising, candles: CandleColumns) -> Any:
        column = candles.value(name) if name == "sma_fast" else getattr(candles, name)
        column *= 2.0
        return signals(rule, candles)

    before = ran(case, market, signals)
    with pytest.raises(StrategyRaised, match=r"strategy rising failed on AAPL: ValueError: .*read-only"):
        ran(case, market, scribble)
    assert result_differences(before, ran(case, market, signals)) == ""
