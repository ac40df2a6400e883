"""Alarms go off in order of time, kind and name, and never after they were cancelled."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import OPEN
from tui_trader.engine.timers import Alarm, Timer, Timers

SECOND = timedelta(seconds=1)
FAR = OPEN + timedelta(days=1)


def due(timers: Timers, now: object = FAR) -> list[tuple[Alarm, str | int]]:
    popped = []
    while (timer := timers.pop_due(now)) is not None:  # type: ignore[arg-type]
        popped.append((timer.alarm, timer.key))
    return popped


def test_an_alarm_goes_off_at_its_time_and_not_before() -> None:
    timers = Timers()
    timers.set(OPEN, Alarm.FLATTEN)
    assert timers.next_time() == OPEN
    assert due(timers, OPEN - timedelta(microseconds=1)) == []
    assert due(timers, OPEN) == [(Alarm.FLATTEN, "")]
    assert (timers.next_time(), due(timers)) == (None, [])


def test_at_one_instant_kinds_go_off_in_their_order_and_symbols_from_a_to_z() -> None:
    timers = Timers()
    for symbol in ("TSLA", "AAPL", "AMD"):
        timers.set(OPEN, Alarm.ENTRY_EXPIRY, symbol)
    for alarm in reversed(Alarm):
        timers.set(OPEN, alarm)
    popped = due(timers)
    assert [alarm for alarm, _ in popped] == sorted(alarm for alarm, _ in popped)
    assert [key for alarm, key in popped if alarm is Alarm.ENTRY_EXPIRY] == ["", "AAPL", "AMD", "TSLA"]


def test_at_one_instant_the_candle_comes_first_then_the_entrys_clock() -> None:
    assert sorted(Alarm)[:2] == [Alarm.CANDLE_TIMEOUT, Alarm.ENTRY_EXPIRY]
    assert Alarm.CUT_OFF < Alarm.FLATTEN < Alarm.ESCALATE < Alarm.SESSION_CLOSE


def test_equal_alarms_go_off_each_in_the_order_they_were_set() -> None:
    timers = Timers()
    made = [timers.set(OPEN, Alarm.RETRY, "AAPL") for _ in range(3)]
    assert [timers.pop_due(OPEN) for _ in range(3)] == made


def test_request_numbers_are_keys_too() -> None:
    timers = Timers()
    for request in (10, 9, 100):
        timers.set(OPEN, Alarm.REQUEST_TIMEOUT, request)
    assert [key for _, key in due(timers)] == [9, 10, 100]


def test_a_cancelled_alarm_is_as_if_it_had_not_been_set() -> None:
    timers = Timers()
    first, second = timers.set(OPEN, Alarm.POLL), timers.set(OPEN + SECOND, Alarm.POLL)
    timers.cancel(first)
    timers.cancel(None)
    assert timers.next_time() == OPEN + SECOND
    timers.cancel(second)
    assert (timers.next_time(), due(timers)) == (None, [])


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Alarm), st.booleans()), max_size=30))
def test_what_is_left_goes_off_in_order(plan: list[tuple[int, Alarm, bool]]) -> None:
    timers = Timers()
    kept: list[Timer] = []
    for seconds, alarm, cancelled in plan:
        timer = timers.set(OPEN + seconds * SECOND, alarm)
        if cancelled:
            timers.cancel(timer)
        else:
            kept.append(timer)
    popped = []
    while (timer_due := timers.pop_due(FAR)) is not None:
        popped.append(timer_due)
    assert popped == sorted(kept)
