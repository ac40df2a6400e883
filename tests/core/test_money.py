"""The border between float64 prices and decimal money."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trader.core.money import plain, round_down_to_tick, round_up_to_tick, tick_size, to_decimal

prices = st.decimals("0.0001", "1000000", places=8)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_becomes_the_decimal_that_people_read(value: float) -> None:
    assert float(to_decimal(value)) == value
    assert to_decimal(value) == Decimal(repr(value))


def test_numpy_numbers_and_whole_numbers_are_floats_too() -> None:
    assert to_decimal(np.float64(0.1)) == Decimal("0.1")
    assert to_decimal(3) == Decimal(3)


@pytest.mark.parametrize(
    ("price", "tick"),
    [("0.0001", "0.0001"), ("0.9999", "0.0001"), ("1", "0.01"), ("1.00", "0.01"), ("5000", "0.01")],
)
def test_the_tick_is_a_cent_from_a_dollar_up(price: str, tick: str) -> None:
    assert tick_size(Decimal(price)) == Decimal(tick)


@pytest.mark.parametrize(
    ("price", "down", "up"),
    [
        ("10.001", "10.00", "10.01"),
        ("10.01", "10.01", "10.01"),
        ("0.12345", "0.1234", "0.1235"),
        ("0.99995", "0.9999", "1"),
        ("1.0001", "1", "1.01"),
    ],
)
def test_prices_are_rounded_to_the_tick_each_way(price: str, down: str, up: str) -> None:
    assert round_down_to_tick(Decimal(price)) == Decimal(down)
    assert round_up_to_tick(Decimal(price)) == Decimal(up)


@given(prices)
def test_rounding_goes_its_way_by_less_than_a_tick_and_once(price: Decimal) -> None:
    down, up = round_down_to_tick(price), round_up_to_tick(price)
    assert down <= price <= up
    assert price - down < tick_size(price)
    assert up - price < tick_size(price)
    for rounded in (down, up):
        if rounded:
            assert rounded % tick_size(rounded) == 0
        assert round_down_to_tick(rounded) == round_up_to_tick(rounded) == rounded


@pytest.mark.parametrize(
    ("value", "text"), [("1E+3", "1000"), ("1E-7", "0.0000001"), ("-5.10", "-5.10"), ("0", "0")]
)
def test_money_is_written_without_an_exponent(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text
