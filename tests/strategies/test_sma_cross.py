"""The second built-in rule."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from tests.core.making import OPEN, view
from tui_trader.core.rule import CandleView, Holding
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig

D = Decimal


def rule(**settings: Any) -> SmaCross:
    return SmaCross("AAPL", SmaCrossConfig(**settings))


def at(fast: float, slow: float, fast_before: float, slow_before: float, **changes: Any) -> CandleView:
    made = view(
        99.0, 101.0, 98.5, 100.0, count=31,
        now={"sma_fast": fast, "sma_slow": slow, "atr": 1.5},
        before={"sma_fast": fast_before, "sma_slow": slow_before, "atr": 1.5},
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    return made


CROSSED = (100.0, 99.0, 98.0, 99.0)


def test_the_fast_average_crossing_above_the_slow_one_is_a_signal() -> None:
    assert rule().should_long(at(*CROSSED))
    assert rule().should_long(at(100.0, 99.0, 99.0, 99.0)), "from equal counts"


@pytest.mark.parametrize(
    "averages",
    [
        (100.0, 99.0, 99.5, 99.0),
        (98.0, 99.0, 98.0, 99.0),
        (99.0, 99.0, 98.0, 99.0),
        (100.0, 99.0, math.nan, 99.0),
    ],
)
def test_anything_else_is_none(averages: tuple[float, float, float, float]) -> None:
    assert not rule().should_long(at(*averages))


def test_history_comes_first() -> None:
    assert rule().required_history == 31
    assert not rule().should_long(at(*CROSSED, count=30))
    assert rule(sma_slow=20, atr_period=40).required_history == 41


def test_a_stop_that_would_be_below_nothing_is_no_signal() -> None:
    assert not rule().should_long(at(*CROSSED, close=2.9))


def test_the_stop_is_two_true_ranges_below_the_close() -> None:
    assert rule().stop_loss_price(at(*CROSSED)) == D("97.0")
    assert rule(atr_stop_multiple=4).stop_loss_price(at(*CROSSED)) == D("94.0")
    assert rule().entry_price(at(*CROSSED)) == D("101.0")
    assert rule().limit_price(D(101), D(97)) == D("103.0")


@pytest.mark.parametrize(("stop", "target"), [("96.99", D("97.0")), ("97", None), ("98", None)])
def test_the_stop_follows_upward_only(stop: str, target: Decimal | None) -> None:
    assert rule().should_update_stop(at(*CROSSED), Holding(1, D(100), OPEN, D(stop))) == target


def test_it_leaves_when_the_averages_cross_back() -> None:
    held = Holding(1, D(100), OPEN, D(90))
    assert rule().should_exit(at(98.0, 99.0, 100.0, 99.0), held)
    assert not rule().should_exit(at(99.0, 99.0, 100.0, 99.0), held)


def test_the_fast_average_must_be_the_faster() -> None:
    with pytest.raises(ValidationError, match=r"sma_fast \(30\) must be less than sma_slow \(30\)"):
        SmaCrossConfig(sma_fast=30)
