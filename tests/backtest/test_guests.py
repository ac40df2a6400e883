"""Strategies are guests in a backtest: what they do wrong ends it in a line that says whose doing it was."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, Inexact, getcontext, localcontext
from typing import Any

import pytest

from tests.backtest.parity import engine_differences, run_backtest
from tests.backtest.rules import Marked
from tests.backtest.scenes import HELD, SESSIONS, flat, mark, ran
from tests.oracle.harness import Case, run_engine
from tests.oracle.markets import simulated_bars
from tests.oracle.oracle import RiskParams
from tui_trader.backtest.runner import StrategyRaised
from tui_trader.core.money import to_decimal
from tui_trader.core.rule import CandleView, Holding
from tui_trader.strategies.base import Strategy, StrategyConfig

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

#: The entry is not reached, and withdrawn.
MISSED = Case([*mark(flat("AAA", range(10)), 9), *flat("AAA", range(10, 390), 49.5)], ("AAA",))


def guest(question: str, deed: Callable[[], Any]) -> type[Marked]:
    """A rule that does ``deed`` when it should answer ``question``."""
    return type("Guest", (Marked,), {question: lambda self, *args: deed(), "name": "guest"})


def raising(error: BaseException) -> Callable[[], Any]:
    def deed() -> Any:
        raise error

    return deed


def said(error: pytest.ExceptionInfo[StrategyRaised]) -> str:
    text = str(error.value)
    assert text.isprintable(), "one line, and nothing that a terminal would obey"
    return text


QUESTIONS = [
    ("should_long", HELD, "candle of 2013-10-07 13:30 UTC"),
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
        ran(kind, case, jump=False)
    assert said(error).startswith(f"strategy guest failed on AAA, {candle}: ValueError: what?[2J?now?")


@pytest.mark.parametrize("question", ["on_position_closed", "entry_candidates"])
def test_so_does_one_that_raises_where_no_candle_is_asked_about(question: str) -> None:
    with pytest.raises(StrategyRaised) as error:
        ran(guest(question, raising(ValueError("what now?"))))
    assert said(error).startswith("strategy guest failed on AAA: ValueError: what now?")


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
    assert said(error).startswith("strategy once failed on AAA: RuntimeError: a second one")
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
        StrategyRaised, match=r"strategy guest failed on AAA, candle of .* (is not a price|return a Decimal)"
    ) as error:
        ran(guest(question, lambda: answer))
    said(error)


@pytest.mark.parametrize("answer", [Decimal("1E+40"), Decimal("1E-40")], ids=str)
@pytest.mark.parametrize("question", ["entry_price", "stop_loss_price", "limit_price"])
def test_a_price_beyond_all_measure_is_the_strategys_mistake_or_refused(
    question: str, answer: Decimal
) -> None:
    kind = guest(question, lambda: answer)
    if answer > 1 or question == "stop_loss_price":
        with pytest.raises(
            StrategyRaised, match="strategy guest failed on AAA, candle of 2013-10-07 13:39 UTC"
        ):
            ran(kind)
    else:
        assert all(signal.refused for signal in ran(kind).signals) or question == "limit_price"


# ---- the arithmetic of strategies is their own ---------------------------------------------------------


def coarse() -> None:
    getcontext().prec = 3


def trapped() -> None:
    getcontext().traps[Inexact] = True


class Meddling(Marked):
    """Does ``deed`` in answers that lead to no sums; its other answers need more than three digits."""

    name = "meddling"
    deed: Callable[[], None] = staticmethod(lambda: None)

    def should_long(self, view: CandleView) -> bool:
        wanted = super().should_long(view)
        if not wanted:
            self.deed()
        return wanted

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.low) * Decimal("0.99876543")

    def should_cancel_pending(self, view: CandleView, candles_waited: int) -> bool:
        self.deed()
        return super().should_cancel_pending(view, candles_waited)

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        if view.count % 2:
            return holding.stop_price * Decimal("1.00056789")
        self.deed()
        return None

    def on_position_closed(self) -> None:
        self.deed()


def within(deed: Callable[[], None]) -> Callable[[], None]:
    """``deed``, as a strategy should do it."""

    def done() -> None:
        with localcontext():
            deed()

    return done


def meddled(deed: Callable[[], None], jump: bool, symbols: tuple[str, ...]) -> str:
    """AAA's rule does ``deed``; in what the run then differs from the live engine's."""
    names = {"AAPL": "AAA", "AMD": "BBB"}
    bars = [bar._replace(symbol=names[bar.symbol]) for bar in simulated_bars(tuple(names), 1, SESSIONS[:2])]
    kept = [bar for bar in mark(bars, *range(5, 390, 7)) if bar.symbol in symbols]

    def rules(case: Case) -> list[Strategy]:
        made = [Meddling(symbol, StrategyConfig()) for symbol in case.symbols]
        made[0].deed = deed
        return [*made]

    case = Case(kept, symbols, risk=RiskParams(consecutive_loss_pause=10))
    with localcontext() as context:
        context.prec = 11
        try:
            run = run_backtest(case, rules, jump=jump)
        finally:
            assert getcontext().prec == 11, "the caller's is as it was"
            assert not getcontext().traps[Inexact]
    assert len(run.result.trades) > 5
    return engine_differences(run_engine(case, rules), run)


RUNS = [(jump, symbols) for jump in (True, False) for symbols in (("AAA",), ("AAA", "BBB"))]


@pytest.mark.parametrize(("jump", "symbols"), RUNS)
@pytest.mark.parametrize("deed", [coarse, trapped])
def test_a_strategy_may_change_the_arithmetic_for_itself(
    deed: Callable[[], None], jump: bool, symbols: tuple[str, ...]
) -> None:
    assert meddled(within(deed), jump, symbols) == ""


@pytest.mark.parametrize(("jump", "symbols"), RUNS)
@pytest.mark.parametrize("deed", [coarse, trapped])
def test_one_that_changes_it_for_everyone_gets_no_result(
    deed: Callable[[], None], jump: bool, symbols: tuple[str, ...]
) -> None:
    """Live, each of its answers begins in the engine's own; here that would cost every run its speed."""
    with pytest.raises(StrategyRaised, match=r"^strategy meddling ") as error:
        meddled(deed, jump, symbols)
    said(error)
