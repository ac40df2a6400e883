"""Judging happens on sessions after those that chose, and never on the same."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.making import sessions
from tui_trader.core.calendar import Session
from tui_trader.errors import UsageError
from tui_trader.sweep.jobs import Window
from tui_trader.sweep.windows import Walk, hold_out, parse_walk, steps

YEAR = sessions(250, date(2024, 1, 2))


def inside(days: tuple[Session, ...], window: Window) -> list[date]:
    return [day.date for day in days if window.first <= day.date <= window.last]


@given(count=st.integers(1, 250), train=st.integers(1, 120), test=st.integers(1, 60))
def test_steps_never_overlap_or_look_ahead_and_judge_every_later_session_once(
    count: int, train: int, test: int
) -> None:
    days = YEAR[:count]
    if count <= train:
        with pytest.raises(UsageError):
            steps(days, Walk(train, test))
        return
    found = steps(days, Walk(train, test))
    judged = [day for step in found for day in inside(days, step.test)]
    assert judged == [day.date for day in days[train:]]
    for step in found:
        assert len(inside(days, step.train)) == train
        assert 1 <= len(inside(days, step.test)) <= test
        assert step.train.last < step.test.first
        between = [day for day in days if step.train.last < day.date < step.test.first]
        assert not between


@given(count=st.integers(10, 250))
def test_the_last_three_of_ten_sessions_are_held_out(count: int) -> None:
    days = YEAR[:count]
    chosen_on, held_out = hold_out(days)
    assert held_out is not None
    assert inside(days, chosen_on) + inside(days, held_out) == [day.date for day in days]
    assert len(inside(days, held_out)) == count * 3 // 10


@pytest.mark.parametrize("count", [1, 9])
def test_with_fewer_than_ten_sessions_none_is_held_out(count: int) -> None:
    assert hold_out(YEAR[:count]) == (Window(YEAR[0].date, YEAR[count - 1].date), None)


def test_train_and_test_are_read_in_either_order() -> None:
    assert parse_walk("train=60d,test=20d") == Walk(60, 20)
    assert parse_walk(" test=1d , train=2d ") == Walk(2, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train=60d",
        "60,20",
        "train=60,test=20",
        "train=0d,test=1d",
        "train=1d,train=2d",
        "train=1d,test=2d,x",
    ],
)
def test_anything_else_is_answered_with_the_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"write train=60d,test=20d, both in sessions"):
        parse_walk(text)


def test_too_few_sessions_are_an_error_that_counts_them() -> None:
    with pytest.raises(UsageError, match=r"the bars have 60 sessions, at least 61 are needed"):
        steps(YEAR[:60], Walk(60, 20))
