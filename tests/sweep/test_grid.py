"""What can be typed after --set, and how many parameter sets it makes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trader.errors import UsageError
from tui_trader.sweep.grid import MOST_SETS, parse_grid

CENTS = st.decimals(min_value=-1000, max_value=1000, places=2)


def failure(*sets: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_grid(sets)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_range_has_both_its_ends_in_decimal_arithmetic() -> None:
    assert parse_grid(["x=0.1..0.3:0.1"]).axes == {"x": ("0.1", "0.2", "0.3")}


def test_a_range_ends_before_a_last_value_that_no_step_meets() -> None:
    assert parse_grid(["x=10..24:5"]).axes == {"x": ("10", "15", "20")}


def test_whole_numbers_need_no_step() -> None:
    assert parse_grid(["x=3..5"]).axes == {"x": ("3", "4", "5")}


def test_lists_ranges_and_single_values_mix_and_what_comes_twice_counts_once() -> None:
    assert parse_grid(["x= a, 1..3 ,2,b"]).axes == {"x": ("a", "1", "2", "3", "b")}


def test_every_combination_comes_once_with_the_last_key_fastest() -> None:
    grid = parse_grid(["x=1,2", "y=a", "risk.z=7..8"])
    assert list(grid) == [
        {"x": "1", "y": "a", "risk.z": "7"},
        {"x": "1", "y": "a", "risk.z": "8"},
        {"x": "2", "y": "a", "risk.z": "7"},
        {"x": "2", "y": "a", "risk.z": "8"},
    ]
    assert len(grid) == 4
    assert grid.swept == ("x", "risk.z")


def test_without_parameters_there_is_one_set() -> None:
    assert list(parse_grid([])) == [{}]


@given(first=CENTS, step=st.decimals(min_value="0.01", max_value=50, places=2), count=st.integers(1, 200))
def test_a_range_has_exactly_the_values_that_its_steps_reach(
    first: Decimal, step: Decimal, count: int
) -> None:
    last = first + step * (count - 1)
    (values,) = parse_grid([f"x={first}..{last}:{step}"]).axes.values()
    assert [Decimal(value) for value in values] == [first + step * number for number in range(count)]


@given(st.text(max_size=30), st.text(alphabet="0123456789.,:-+eE", max_size=20))
def test_no_text_does_more_harm_than_one_line(key: str, values: str) -> None:
    message = ""
    try:
        assert 1 <= len(parse_grid([f"{key}={values}"])) <= MOST_SETS
    except UsageError as error:
        message = str(error)
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "write key=value"),
        ("x=", "write key=value"),
        ("x=1,,2", "a value is missing beside a comma"),
        ("x=a..b", "not a range: write first..last:step"),
        ("x=1..2..3", "not a range"),
        ("x=0.1..0.3", "the step is missing"),
        ("x=3..1", "write 1..3:1"),
        ("x=1..3:0", "the step must be more than 0"),
        ("x=1..3:-1", "the step must be more than 0"),
        ("x=1..1000000000000", "1,000,000,000,000 values; at most 100,000"),
        ("x=0.0000000000000000000000001..1:1", "longer than 20 characters"),
    ],
)
def test_a_mistake_is_named_with_its_cure(text: str, words: str) -> None:
    message = failure(text)
    assert words in message
    assert text.partition("=")[0] in message


def test_a_grid_of_too_many_sets_is_refused_with_the_counts() -> None:
    message = failure("x=1..1000", "y=1..1000")
    assert message.startswith("--set: 1,000,000 combinations (x 1,000 × y 1,000); at most 100,000 are run")


def test_a_key_given_twice_is_refused() -> None:
    assert failure("x=1", "x=2") == "--set x: given twice"
