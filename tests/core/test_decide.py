"""The rule applied to one closed candle."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.core.making import view
from tui_trader.core.decide import (
    CancelPending,
    EnterLong,
    ExitNow,
    MoveStop,
    StrategyNonsense,
    decide_flat,
    decide_holding,
    decide_pending,
)
from tui_trader.core.rule import CandleView, Holding

D = Decimal
CANDLE = view(10.0, 10.5, 9.5, 10.2)
ENTRY, STOP, LIMIT = D("10.501"), D("9.499"), D("11.006")


@dataclass
class Says:
    """A rule that answers what it is told to, and remembers what it was asked."""

    long: bool = True
    entry: Any = ENTRY
    stop: Any = STOP
    limit: Any = LIMIT
    target: Any = None
    out: bool = False
    expired: bool = False
    asked: list[str] = field(default_factory=list)

    def should_long(self, view: CandleView) -> bool:
        return self.long

    def entry_price(self, view: CandleView) -> Decimal:
        return self.entry  # type: ignore[no-any-return]

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return self.stop  # type: ignore[no-any-return]

    def limit_price(self, entry: Decimal, stop_loss: Decimal) -> Decimal:
        self.asked.append(f"limit for {entry} {stop_loss}")
        return self.limit  # type: ignore[no-any-return]

    def should_cancel_pending(self, view: CandleView, candles_waited: int) -> bool:
        self.asked.append(f"waited {candles_waited}")
        return self.expired

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        self.asked.append("trail")
        return self.target  # type: ignore[no-any-return]

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        self.asked.append("exit")
        return self.out


def holding(stop: str = "9.00", *, minutes_before_end: int = 1) -> Holding:
    return Holding(10, D("10.00"), CANDLE.end - timedelta(minutes=minutes_before_end), D(stop))


def test_a_signal_becomes_prices_on_the_tick_each_rounded_its_own_way() -> None:
    rule = Says()
    assert decide_flat(rule, CANDLE) == EnterLong(D("10.51"), D("11.00"), D("9.49"))
    assert rule.asked == ["limit for 10.51 9.49"], "the limit is worked out from the rounded prices"


def test_the_limit_is_never_below_the_entry() -> None:
    assert decide_flat(Says(limit=D("3")), CANDLE) == EnterLong(D("10.51"), D("10.51"), D("9.49"))


def test_below_a_dollar_the_tick_is_finer() -> None:
    cheap = Says(entry=D("0.50001"), stop=D("0.48009"), limit=D("0.51019"))
    assert decide_flat(cheap, CANDLE) == EnterLong(D("0.5001"), D("0.5101"), D("0.4800"))


def test_no_signal_is_no_order() -> None:
    assert decide_flat(Says(long=False), CANDLE) is None


@pytest.mark.parametrize("nonsense", [D("NaN"), D("Infinity"), D(0), D(-1), 10.5, None, "10"])
@pytest.mark.parametrize(
    ("answer", "what"), [("entry", "an entry"), ("stop", "a stop"), ("limit", "a limit")]
)
def test_an_answer_that_is_no_price_is_nonsense(answer: str, what: str, nonsense: object) -> None:
    with pytest.raises(StrategyNonsense, match=f"{what} of .* (is not a price|return a Decimal)"):
        decide_flat(Says(**{answer: nonsense}), CANDLE)


@pytest.mark.parametrize("stop", [D("0.00009"), D("0.000001")])
def test_a_stop_that_rounds_to_nothing_is_nonsense(stop: Decimal) -> None:
    with pytest.raises(StrategyNonsense, match=r"a stop of .* (is not a price|return a Decimal)"):
        decide_flat(Says(stop=stop), CANDLE)


def test_a_stop_above_the_entry_is_passed_on_for_the_risk_gate_to_refuse() -> None:
    assert decide_flat(Says(stop=D(40), limit=D("-4.2")), CANDLE) == EnterLong(D("10.51"), D("10.51"), D(40))


def test_trail_and_exit_are_both_asked_in_this_order_even_when_the_first_answers() -> None:
    rule = Says(target=D("9.5"), out=True)
    assert decide_holding(rule, CANDLE, holding()) == ExitNow()
    assert rule.asked == ["trail", "exit"]


@pytest.mark.parametrize("minutes", [0, -1])
def test_candles_that_do_not_end_after_the_fill_ask_nothing(minutes: int) -> None:
    rule = Says(target=D("9.5"), out=True)
    assert decide_holding(rule, CANDLE, holding(minutes_before_end=minutes)) is None
    assert rule.asked == []


@pytest.mark.parametrize(
    ("target", "decision"),
    [
        ("9.019", MoveStop(D("9.01"))),
        ("9.009", None),
        ("9.00", None),
        ("8.00", None),
        ("10.19", MoveStop(D("10.19"))),
        ("10.199", MoveStop(D("10.19"))),
        ("10.20", ExitNow()),
        ("10.21", ExitNow()),
    ],
)
def test_a_stop_only_moves_up_and_at_or_above_the_close_it_is_an_exit(target: str, decision: object) -> None:
    assert decide_holding(Says(target=D(target)), CANDLE, holding()) == decision


def test_without_a_new_stop_the_exit_alone_decides() -> None:
    assert decide_holding(Says(out=True), CANDLE, holding()) == ExitNow()
    assert decide_holding(Says(), CANDLE, holding()) is None


@pytest.mark.parametrize("nonsense", [D("NaN"), D(-1), 9.5])
def test_a_trailed_stop_that_is_no_price_is_nonsense(nonsense: object) -> None:
    with pytest.raises(StrategyNonsense, match="a stop of"):
        decide_holding(Says(target=nonsense), CANDLE, holding())


def test_a_pending_entry_is_given_up_when_the_rule_says_so() -> None:
    rule = Says(expired=True)
    assert decide_pending(rule, CANDLE, 2) == CancelPending()
    assert decide_pending(Says(), CANDLE, 2) is None
    assert rule.asked == ["waited 2"]
