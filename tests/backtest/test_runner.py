"""What the backtest promises beside parity: guests that misbehave, what is told of a run, and nothing kept."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, Inexact, getcontext, localcontext
from typing import Any

import numpy as np
import pytest

from tests.backtest.parity import BacktestRun, engine_differences, market_of, rules_of, run_backtest
from tests.backtest.rules import MARK, CuriousConfig, Marked, curious, marked, overnight
from tests.oracle.harness import CALENDAR, Case, run_engine, simulated_bars
from tests.oracle.oracle import RiskParams
from tui_trader.backtest.result import BacktestResult, Trade
from tui_trader.backtest.runner import BacktestRunner, StrategyRaised
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.events import TradeReason
from tui_trader.core.orders import Role
from tui_trader.core.rule import CandleColumns, CandleView, Holding
from tui_trader.errors import UsageError
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.strategies.sma_cross import SmaCrossConfig

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

SESSIONS = CALENDAR.sessions(date(2013, 10, 7), date(2013, 10, 11))
OPEN = SESSIONS[0].open


def flat(symbol: str, minutes: Sequence[int], price: float = 50.0, *, day: int = 0) -> list[Bar]:
    """Bars in which nothing moves."""
    opened = SESSIONS[day].open
    return [Bar(symbol, opened + m * MINUTE, price, price, price, price, 1000) for m in minutes]


def mark(bars: list[Bar], *minutes: int) -> list[Bar]:
    """``bars``, of which those of ``minutes`` are to be bought."""
    return [b._replace(volume=MARK) if (b.timestamp - OPEN) // MINUTE in minutes else b for b in bars]


#: Bought at 09:40 in New York, held to the end of the day.
HELD = Case(mark(flat("AAA", range(390)), 9), ("AAA",))
#: The entry is not reached, and withdrawn.
MISSED = Case([*mark(flat("AAA", range(10)), 9), *flat("AAA", range(10, 390), 49.5)], ("AAA",))


# ---- strategies are guests -----------------------------------------------------------------------------


def guest(question: str, deed: Callable[[], Any]) -> type[Marked]:
    """A rule that does ``deed`` when it should answer ``question``."""
    return type("Guest", (Marked,), {question: lambda self, *args: deed(), "name": "guest"})


def ran(kind: type[Strategy], case: Case = HELD, **options: Any) -> BacktestResult:
    made = [kind(symbol, StrategyConfig()) for symbol in case.symbols]
    return run_backtest(case, lambda case: made, **options).result


def raising(error: BaseException) -> Callable[[], Any]:
    def deed() -> Any:
        raise error

    return deed


def said(error: pytest.ExceptionInfo[StrategyRaised]) -> str:
    text = str(error.value)
    assert text.isprintable(), "one line, and nothing that a terminal would obey"
    return text


QUESTIONS = [
    ("should_long", HELD, "candle of 2013-10-07 13:39 UTC"),
    ("entry_price", HELD, "candle of 2013-10-07 13:39 UTC"),
    ("stop_loss_price", HELD, "candle of 2013-10-07 13:39 UTC"),
    ("limit_price", HELD, "candle of 2013-10-07 13:39 UTC"),
    ("should_update_stop", HELD, "candle of 2013-10-07 13:40 UTC"),
    ("should_exit", HELD, "candle of 2013-10-07 13:40 UTC"),
    ("should_cancel_pending", MISSED, "candle of 2013-10-07 13:40 UTC"),
]


@pytest.mark.parametrize(
    ("question", "case", "candle"), QUESTIONS, ids=[question[0] for question in QUESTIONS]
)
def test_a_strategy_that_raises_ends_the_run_in_a_line(question: str, case: Case, candle: str) -> None:
    kind = guest(question, raising(ValueError("what\x1b[2J\nnow?")))
    with pytest.raises(StrategyRaised) as error:
        ran(kind, case)
    assert said(error) == f"strategy guest failed on AAA, {candle}: ValueError: what?[2J?now?"


@pytest.mark.parametrize("question", ["on_position_closed", "entry_candidates"])
def test_so_does_one_that_raises_where_no_candle_is_asked_about(question: str) -> None:
    with pytest.raises(StrategyRaised) as error:
        ran(guest(question, raising(ValueError("what now?"))))
    assert said(error) == "strategy guest failed on AAA: ValueError: what now?"


def test_so_does_one_that_can_be_made_only_once() -> None:
    """Candidates are made by another instance."""
    made: list[Strategy] = []

    class Once(Marked):
        name = "once"

        def __init__(self, symbol: str, config: StrategyConfig) -> None:
            if made:
                raise RuntimeError("a second one")
            super().__init__(symbol, config)
            made.append(self)

    with pytest.raises(StrategyRaised) as error:
        ran(Once)
    assert said(error) == "strategy once failed on AAA: RuntimeError: a second one"
    made.clear()
    assert ran(Once, jump=False).trades, "nobody else is made when every candle is asked about"


class Unspeakable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), Unspeakable()], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("question", ["should_long", "on_position_closed"])
def test_whatever_a_strategy_raises_it_does_not_end_the_program(question: str, error: BaseException) -> None:
    with pytest.raises(StrategyRaised, match=f"strategy guest failed on AAA.*: {type(error).__name__}"):
        ran(guest(question, raising(error)))


@pytest.mark.parametrize("question", ["should_long", "should_exit", "on_position_closed", "entry_candidates"])
def test_the_user_ends_a_run_at_once(question: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        ran(guest(question, raising(KeyboardInterrupt())))


NONSENSE = [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal(-1), Decimal(0), 50.5, None, "50"]


@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
@pytest.mark.parametrize("question", ["entry_price", "stop_loss_price", "limit_price", "should_update_stop"])
def test_what_is_no_price_ends_the_run_in_a_line(question: str, answer: Any) -> None:
    if question == "should_update_stop" and answer is None:
        assert ran(guest(question, lambda: answer)).trades, "leave the stop where it is"
        return
    with pytest.raises(
        StrategyRaised, match=r"strategy guest failed on AAA, candle of .* is not a price"
    ) as error:
        ran(guest(question, lambda: answer))
    said(error)


@pytest.mark.parametrize("answer", [Decimal("1E+40"), Decimal("1E-40")], ids=str)
@pytest.mark.parametrize("question", ["entry_price", "stop_loss_price", "limit_price", "should_update_stop"])
def test_a_price_beyond_all_measure_is_no_traceback(question: str, answer: Decimal) -> None:
    try:
        ran(guest(question, lambda: answer))
    except StrategyRaised as error:
        assert "strategy guest failed on AAA" in str(error)


# ---- the arithmetic of strategies is their own ---------------------------------------------------------


def coarse() -> None:
    getcontext().prec = 3


def trapped() -> None:
    getcontext().traps[Inexact] = True


class Meddling(Marked):
    """Changes the arithmetic in every answer; its prices need more than three digits."""

    name = "meddling"
    deed: Callable[[], None] = staticmethod(lambda: None)

    def should_long(self, view: CandleView) -> bool:
        self.deed()
        return super().should_long(view)

    def should_cancel_pending(self, view: CandleView, candles_waited: int) -> bool:
        self.deed()
        return super().should_cancel_pending(view, candles_waited)

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        self.deed()
        return False

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        stop = holding.stop_price * Decimal("1.00012345")
        self.deed()
        return stop

    def on_position_closed(self) -> None:
        self.deed()


@pytest.mark.parametrize("deed", [coarse, trapped])
@pytest.mark.parametrize("jump", [True, False], ids=["candidates", "every candle"])
@pytest.mark.parametrize("symbols", [("AAA",), ("AAA", "BBB")], ids=["alone", "several"])
def test_a_strategy_that_changes_the_precision_changes_its_own_alone(
    deed: Callable[[], None], jump: bool, symbols: tuple[str, ...]
) -> None:
    """AAA's rule meddles; in the live engine every answer begins in the engine's arithmetic."""
    bars = simulated_bars(("AAPL", "AMD"), 1, SESSIONS[:2])
    names = dict(zip(("AAPL", "AMD"), ("AAA", "BBB"), strict=True))
    made = [bar._replace(symbol=names[bar.symbol]) for bar in bars]
    kept = [bar for bar in mark(made, *range(5, 390, 7)) if bar.symbol in symbols]

    def rules(case: Case) -> list[Strategy]:
        found: list[Strategy] = []
        for symbol in case.symbols:
            rule = Meddling(symbol, StrategyConfig())
            rule.deed = deed if symbol == "AAA" else lambda: None
            found.append(rule)
        return found

    case = Case(kept, symbols, risk=RiskParams(consecutive_loss_pause=10))
    with localcontext() as context:
        context.prec = 11
        run = run_backtest(case, rules, jump=jump)
        assert context.prec == getcontext().prec == 11, "the caller's is as it was"
        assert not context.traps[Inexact]
    assert engine_differences(run_engine(case, rules), run) == ""
    assert len(run.result.trades) > 10
