"""Minute bars into candles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import NEXT_OPEN, OPEN, bar, minute
from tui_trader.core.candles import CANDLE_GRACE, INTERVALS, Candle, CandleAggregator


def aggregator(minutes: int, opened: datetime = OPEN) -> CandleAggregator:
    made = CandleAggregator("AAPL", minutes)
    made.start_session(opened)
    return made


def feed(candles: CandleAggregator, numbers: list[int], opened: datetime = OPEN) -> list[Candle]:
    return [c for n in numbers for c in candles.add(bar(n, 100.0 + n, opened=opened))]


@pytest.mark.parametrize("minutes", [0, 3, 4, 7, 20, -1])
def test_an_interval_that_is_not_offered_is_refused(minutes: int) -> None:
    with pytest.raises(ValueError, match=f"candle interval of {minutes} minutes"):
        CandleAggregator("AAPL", minutes)


@pytest.mark.parametrize("minutes", INTERVALS)
@pytest.mark.parametrize("length", [390, 210])
def test_a_full_session_makes_complete_candles_aligned_to_its_open(minutes: int, length: int) -> None:
    candles = aggregator(minutes)
    made = feed(candles, list(range(length)))
    assert [c.start for c in made] == [minute(n) for n in range(0, length, minutes)]
    assert all(c.complete and c.bars == c.minutes == minutes for c in made)
    assert made[-1].end == minute(length)
    assert candles.end_session() is None


def test_windows_follow_the_open_in_winter_and_in_summer_and_at_an_odd_open() -> None:
    for opened in (
        datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
        datetime(2026, 6, 1, 13, 30, tzinfo=UTC),
        datetime(2026, 6, 1, 14, 7, tzinfo=UTC),
    ):
        (candle,) = feed(aggregator(10, opened), list(range(10, 20)), opened)
        assert (candle.start, candle.end) == (minute(10, opened), minute(20, opened))


def test_a_candle_has_the_first_open_the_last_close_the_extremes_and_the_sum() -> None:
    candles = aggregator(5)
    candles.add(bar(0, 10.0, 11.0, 9.5, 10.5, 100))
    candles.add(bar(1, 10.4, 12.0, 10.0, 11.0, 200))
    candles.add(bar(2, 11.0, 11.5, 9.0, 9.2, 300))
    candles.add(bar(3, 9.2, 9.9, 9.1, 9.9, 0))
    (candle,) = candles.add(bar(4, 9.9, 10.0, 9.8, 9.85, 50))
    assert candle == Candle("AAPL", OPEN, minute(5), 5, 10.0, 12.0, 9.0, 9.85, 650, 5, True)


def test_a_candle_whose_last_minute_came_is_emitted_at_once_but_is_not_complete_when_one_is_missing() -> None:
    (candle,) = feed(aggregator(5), [0, 2, 4])
    assert (candle.bars, candle.complete) == (3, False)


def test_a_short_candle_closes_with_the_next_windows_bar_before_that_joins() -> None:
    candles = aggregator(2)
    assert feed(candles, [0]) == []
    (short,) = feed(candles, [2])
    assert (short.start, short.bars, short.complete, short.close) == (minute(0), 1, False, 100.0)
    (whole,) = feed(candles, [3])
    assert (whole.start, whole.open, whole.complete) == (minute(2), 102.0, True)


def test_one_bar_can_close_the_short_candle_before_it_and_its_own() -> None:
    candles = aggregator(2)
    feed(candles, [0])
    short, own = feed(candles, [3])
    assert (short.start, short.complete) == (minute(0), False)
    assert (own.start, own.bars, own.complete) == (minute(2), 1, False)


def test_a_window_without_bars_makes_no_candle() -> None:
    assert [c.start for c in feed(aggregator(1), [0, 5, 6])] == [minute(0), minute(5), minute(6)]
    made = feed(aggregator(5), [0, 1, 2, 3, 4, 15, 16, 17, 18, 19])
    assert [c.start for c in made] == [minute(0), minute(15)]


def test_a_candle_waits_90_seconds_for_its_late_bar_and_no_longer() -> None:
    candles = aggregator(2)
    feed(candles, [0])
    due = minute(2) + timedelta(seconds=90)
    assert due - CANDLE_GRACE == candles.window_end == minute(2)
    assert candles.expire(due - timedelta(microseconds=1)) is None
    expired = candles.expire(due)
    assert expired is not None
    assert (expired.start, expired.bars, expired.complete) == (minute(0), 1, False)
    assert candles.expire(due) is None
    assert candles.window_end is None


def test_a_bar_of_a_window_whose_candle_is_out_joins_nothing() -> None:
    candles = aggregator(2)
    feed(candles, [0])
    candles.expire(minute(4))
    assert feed(candles, [1]) == []
    assert candles.end_session() is None
    (after,) = feed(candles, [2, 3])
    assert (after.start, after.open, after.complete) == (minute(2), 102.0, True)


def test_at_the_close_the_unfinished_candle_comes_out_short() -> None:
    candles = aggregator(15)
    feed(candles, [195, 196])
    last = candles.end_session()
    assert last is not None
    assert (last.start, last.bars, last.complete) == (minute(195), 2, False)
    assert candles.end_session() is None


def test_a_new_session_forgets_an_unfinished_candle_and_the_old_windows() -> None:
    candles = aggregator(2)
    feed(candles, [388])
    candles.start_session(NEXT_OPEN)
    assert (candles.window_end, candles.latest_window_end) == (None, None)
    (candle,) = feed(candles, [0, 1], NEXT_OPEN)
    assert (candle.start, candle.open) == (NEXT_OPEN, 100.0)


def test_a_bar_before_any_session_is_our_mistake() -> None:
    with pytest.raises(RuntimeError, match="before start_session"):
        CandleAggregator("AAPL", 2).add(bar(0, 100.0))


@given(st.sampled_from(INTERVALS), st.sets(st.integers(0, 60)))
def test_every_bar_joins_the_one_candle_of_its_window(minutes: int, numbers: set[int]) -> None:
    candles = aggregator(minutes)
    made = feed(candles, sorted(numbers))
    rest = candles.end_session()
    if rest is not None:
        made.append(rest)
    windows = sorted({n // minutes for n in numbers})
    assert [c.start for c in made] == [minute(w * minutes) for w in windows]
    for candle, window in zip(made, windows, strict=True):
        inside = sorted(n for n in numbers if n // minutes == window)
        assert candle.bars == len(inside)
        assert candle.complete is (len(inside) == minutes)
        assert (candle.open, candle.close) == (100.0 + inside[0], 100.0 + inside[-1])
        assert (candle.low, candle.high) == (100.0 + inside[0], 100.0 + inside[-1])
        assert candle.volume == 100 * len(inside)
