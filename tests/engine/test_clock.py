"""Where time comes from: it never goes back, and its pace is real seconds times the speed."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from tests.core.making import OPEN, minute
from tui_trader.engine import clock as clock_module
from tui_trader.engine.clock import AcceleratedClock, SystemClock, VirtualClock


class Real:
    """Real seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_virtual_clock_stands_still_until_it_is_moved_and_never_goes_back() -> None:
    clock = VirtualClock(OPEN)
    assert clock.now() == OPEN
    clock.advance_to(minute(5))
    clock.advance_to(minute(5))
    assert clock.now() == minute(5)
    with pytest.raises(ValueError, match="time cannot go back"):
        clock.advance_to(minute(4))
    assert clock.now() == minute(5)


def test_the_system_clock_is_utc_and_follows_the_monotonic_clock_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Real()
    monkeypatch.setattr(clock_module, "_elapsed", real)
    clock = SystemClock()
    first = clock.now()
    assert first.tzinfo is UTC
    assert clock.now() == first
    real.seconds += 90
    assert clock.now() - first == timedelta(seconds=90)


def test_an_accelerated_clock_runs_so_many_market_seconds_a_real_one() -> None:
    real = Real()
    clock = AcceleratedClock(OPEN, 60.0, real)
    assert clock.now() == OPEN
    real.seconds += 1.5
    assert clock.now() == OPEN + timedelta(seconds=90)


def test_it_says_how_long_to_wait_in_real_seconds() -> None:
    real = Real()
    clock = AcceleratedClock(OPEN, 60.0, real)
    assert clock.seconds_until(minute(2)) == 2.0
    real.seconds += 1.5
    assert clock.seconds_until(minute(2)) == pytest.approx(0.5)
    real.seconds += 5
    assert clock.seconds_until(minute(2)) == 0.0, "what is overdue is not waited for"


def test_a_change_of_pace_counts_from_then_on() -> None:
    real = Real()
    clock = AcceleratedClock(OPEN, 60.0, real)
    real.seconds += 1
    clock.set_speed(10.0)
    assert clock.now() == minute(1)
    real.seconds += 6
    assert clock.now() == minute(2)
    assert clock.seconds_until(minute(3)) == pytest.approx(6.0)


def test_a_jump_skips_the_night() -> None:
    real = Real()
    clock = AcceleratedClock(OPEN, 60.0, real)
    real.seconds += 100
    clock.jump_to(OPEN + timedelta(days=1))
    assert clock.now() == OPEN + timedelta(days=1)
    real.seconds += 1
    assert clock.now() == OPEN + timedelta(days=1, minutes=1)


def test_an_unpaced_clock_never_waits() -> None:
    real = Real()
    clock = AcceleratedClock(OPEN, None, real)
    real.seconds += 100
    assert clock.seconds_until(OPEN + timedelta(days=300)) == 0.0


def test_a_clock_that_is_paced_again_goes_on_from_where_the_market_is() -> None:
    real = Real()
    clock = AcceleratedClock(OPEN, 60.0, real)
    clock.set_speed(None)
    for number in range(1, 301):  # the market runs five hours in no time
        assert clock.seconds_until(minute(number)) == 0.0
    clock.set_speed(60.0)
    assert clock.seconds_until(minute(301)) == pytest.approx(1.0)
    clock.set_speed(None)
    assert clock.now() >= minute(300)
