"""Which result is better, and when a good one was luck."""

from __future__ import annotations

import pytest

from tests.sweep.making import made
from tui_trader.errors import UsageError
from tui_trader.sweep.ranking import best, check_metric, parted, ranking


def test_the_best_comes_first_and_what_says_nothing_last() -> None:
    results = [
        made(error="raised"), made(value=9.0, trades=0), made(value=None), made(value=1.0), made(value=-1.0),
        made(value=2.0),
    ]  # fmt: skip
    assert ranking(results, "sharpe") == [5, 3, 4, 2, 1, 0]
    assert best(results, "sharpe") == 5


def test_equals_stay_in_the_order_of_the_grid() -> None:
    assert ranking([made(value=1.0), made(value=2.0), made(value=1.0)], "sharpe") == [1, 0, 2]


def test_a_set_that_never_traded_is_not_the_best_because_it_never_lost() -> None:
    results = [made("max_drawdown", 0.0, trades=0), made("max_drawdown", -0.2), made("max_drawdown", -0.1)]
    assert ranking(results, "max_drawdown") == [2, 1, 0]


def test_of_the_length_of_a_drawdown_less_is_better() -> None:
    results = [made("max_drawdown_length", days) for days in (5.0, 2.0, 9.0)]
    assert ranking(results, "max_drawdown_length") == [1, 0, 2]


@pytest.mark.parametrize("results", [[made(error="x")], [made(value=None)], [made(value=3.0, trades=0)]])
def test_without_a_figure_none_is_the_best(results: list) -> None:  # type: ignore[type-arg]
    assert best(results, "sharpe") is None


@pytest.mark.parametrize(
    ("inside", "outside", "part"),
    [
        (2.0, 1.0, False),
        (2.0, 0.99, True),
        (2.0, -0.1, True),
        (2.0, 5.0, False),
        (-1.0, -2.0, False),
        (-1.0, -2.1, True),
        (-1.0, 1.0, False),
        (0.0, -0.1, True),
        (None, 1.0, False),
        (1.0, None, False),
    ],
)
def test_figures_part_when_the_later_one_is_less_than_half_as_good(
    inside: float | None, outside: float | None, part: bool
) -> None:
    assert parted(made(value=inside), made(value=outside), "sharpe") is part


def test_a_drawdown_parts_when_it_is_more_than_twice_as_deep_or_long() -> None:
    assert parted(made("max_drawdown", -0.1), made("max_drawdown", -0.21), "max_drawdown")
    assert not parted(made("max_drawdown", -0.1), made("max_drawdown", -0.19), "max_drawdown")
    assert parted(made("max_drawdown_length", 3.0), made("max_drawdown_length", 7.0), "max_drawdown_length")


def test_a_failed_result_parts_from_nothing() -> None:
    assert not parted(made(error="x"), made(value=1.0), "sharpe")


def test_an_unknown_metric_is_answered_with_a_near_one() -> None:
    assert check_metric("profit_factor") == "profit_factor"
    with pytest.raises(UsageError, match=r"--metric sharp: did you mean sharpe\?"):
        check_metric("sharp")
    with pytest.raises(UsageError, match=r"--metric qqq: one of total_return, cagr, sharpe"):
        check_metric("qqq")
    with pytest.raises(UsageError):
        check_metric("by_symbol")
