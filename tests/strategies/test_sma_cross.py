"""The second built-in rule."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.core.making import OPEN, view
from tests.strategies.columns import PRICES, Row, columns_of, views_of
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


# ---- candidates ----------------------------------------------------------------------------------------


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A candle whose averages are equal, apart by exactly the tolerance, or a little more or less."""
    open_, high, low, close = draw(PRICES)
    spread = draw(st.sampled_from((0.0, 1e-9 * close, 1e-9 * close, 0.01)))
    spread += draw(st.sampled_from((0.0, 0.0, 1e-13, -1e-13)))
    slow = draw(st.sampled_from((10.0, 0.0)))  # what is added to 0 stays exact
    fast = slow + draw(st.sampled_from((spread, -spread)))
    return Row(open_, high, low, close, {"sma_fast": fast, "sma_slow": slow, "atr": 0.5})


@given(candles=st.lists(rows(), min_size=1, max_size=30), unknown=st.integers(0, 8))
def test_candidates_are_the_candles_that_should_long_takes(candles: list[Row], unknown: int) -> None:
    """Prices leave room for a stop."""
    made = rule(sma_fast=3, sma_slow=8, atr_period=5)
    nothing = dict.fromkeys(("sma_fast", "sma_slow", "atr"), math.nan)
    history = [Row(10.0, 10.5, 10.0, 10.5, nothing)] * unknown + candles
    mask = made.entry_candidates(columns_of(history))
    assert mask.tolist() == [made.should_long(shown) for shown in views_of(history)]


def test_a_cross_is_a_candidate() -> None:
    """So that the equality above is not one of masks that are empty."""
    below = Row(10.0, 10.5, 10.0, 10.5, {"sma_fast": 9.9, "sma_slow": 10.0, "atr": 0.5})
    above = below._replace(now={**below.now, "sma_fast": 10.1})
    made = rule(sma_fast=3, sma_slow=8, atr_period=5)
    mask = made.entry_candidates(columns_of([below, above] * 3 + [below] * 2 + [above, above, below, above]))
    assert np.flatnonzero(mask).tolist() == [8, 11], "the first after a whole history, then each cross"
