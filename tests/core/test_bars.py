"""Which bars are believed."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import NEXT_OPEN, OPEN, bar, minute
from tui_trader.core.bars import MINUTE, SPLIT_RATIOS, Bar, BarFilter, Verdict, malformed, split_ratio

GOOD = bar(0, 100.0, 101.0, 99.0, 100.5)


def offer(judge: BarFilter, offered: Bar) -> Verdict:
    """At the time of its delivery."""
    day = OPEN if offered.timestamp < NEXT_OPEN else NEXT_OPEN
    return judge.offer(offered, day, offered.timestamp + MINUTE)


def after(*bars: Bar, jump: float = 20.0) -> BarFilter:
    judge = BarFilter(jump)
    for one in bars:
        offer(judge, one)
    return judge


def reasons(verdict: Verdict) -> list[str]:
    return [refused.reason for refused in verdict.refused]


@pytest.mark.parametrize("field", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_price_that_is_not_finite_is_refused(field: str, value: float) -> None:
    assert malformed(GOOD._replace(**{field: value})) == "a value is not finite"


@pytest.mark.parametrize("field", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_price_that_is_not_positive_is_refused(field: str, value: float) -> None:
    assert malformed(GOOD._replace(**{field: value})) == "a price is not positive"


@pytest.mark.parametrize("changes", [{"high": 100.4}, {"low": 100.1}, {"high": 98.0}, {"low": 102.0}])
def test_a_high_or_low_that_does_not_contain_the_body_is_refused(changes: dict[str, float]) -> None:
    assert malformed(GOOD._replace(**changes)) == "high and low do not contain open and close"


def test_a_negative_volume_is_refused_and_none_is_not() -> None:
    assert malformed(GOOD._replace(volume=-1)) == "volume is negative"
    assert malformed(GOOD._replace(volume=0)) is None


@pytest.mark.parametrize("off", [timedelta(seconds=1), timedelta(microseconds=1)])
def test_a_timestamp_between_minutes_is_refused(off: timedelta) -> None:
    assert malformed(GOOD._replace(timestamp=GOOD.timestamp + off)) == "the timestamp is not on a minute"


def test_a_bar_of_one_price_is_a_bar() -> None:
    assert malformed(bar(0, 5.0, volume=0)) is None


def test_a_refused_bar_leaves_no_trace() -> None:
    judge = after(bar(0, 100.0))
    assert reasons(offer(judge, bar(1, math.nan))) == ["a value is not finite"]
    assert offer(judge, bar(1, 100.0)).accepted == (bar(1, 100.0),)


def test_the_same_minute_twice_is_a_duplicate_and_an_earlier_one_out_of_order() -> None:
    judge = after(bar(0, 100.0), bar(2, 100.0))
    assert reasons(offer(judge, bar(2, 101.0))) == ["duplicate"]
    assert reasons(offer(judge, bar(1, 100.0))) == ["out of order"]
    assert offer(judge, bar(3, 100.0)).accepted


def test_a_repetition_of_a_withheld_bar_is_a_duplicate_and_confirms_nothing() -> None:
    judge = after(bar(0, 100.0), bar(1, 150.0))
    assert reasons(offer(judge, bar(1, 150.0))) == ["duplicate"]
    assert reasons(offer(judge, bar(0, 150.0))) == ["out of order"]
    assert judge.withheld == bar(1, 150.0)


@pytest.mark.parametrize(("ahead", "fine"), [(120, True), (121, False)])
def test_a_bar_may_be_two_minutes_in_the_future_and_no_more(ahead: int, fine: bool) -> None:
    verdict = BarFilter(20).offer(bar(5, 100.0), OPEN, minute(5) - timedelta(seconds=ahead))
    assert bool(verdict.accepted) is fine
    assert reasons(verdict) == ([] if fine else ["more than 2 minutes in the future"])


@pytest.mark.parametrize(
    "jumping",
    [bar(1, 100.0, close=120.01), bar(1, 120.01, close=100.0), bar(1, 79.99), bar(1, 100.0, close=79.99)],
)
def test_a_bar_whose_open_or_close_jumps_is_withheld(jumping: Bar) -> None:
    judge = after(bar(0, 100.0))
    assert offer(judge, jumping) == Verdict()
    assert judge.withheld == jumping


@pytest.mark.parametrize("base", [100.0, 0.35, 7.77, 33.33, 1234.56])
@pytest.mark.parametrize("factor", [1.2, 0.8])
def test_a_jump_of_exactly_the_limit_is_within_it(base: float, factor: float) -> None:
    judge = after(bar(0, base))
    assert offer(judge, bar(1, base, close=round(base * factor, 6))).accepted


def test_a_jump_that_the_next_open_confirms_is_accepted_in_order() -> None:
    judge = after(bar(0, 100.0), bar(1, 150.0))
    assert offer(judge, bar(2, 150.0, close=151.0)).accepted == (bar(1, 150.0), bar(2, 150.0, close=151.0))
    assert judge.withheld is None


def test_the_confirming_open_may_be_exactly_the_limit_away_from_the_withheld_close() -> None:
    assert len(offer(after(bar(0, 100.0), bar(1, 150.0)), bar(2, 120.0)).accepted) == 2
    assert len(offer(after(bar(0, 100.0), bar(1, 150.0)), bar(2, 180.0)).accepted) == 2


def test_the_open_alone_confirms_wherever_its_own_bar_closes() -> None:
    judge = after(bar(0, 100.0), bar(1, 150.0))
    second = bar(2, 150.0, close=90.0)
    assert offer(judge, second).accepted == (bar(1, 150.0), second)
    assert offer(judge, bar(3, 90.0)).accepted, "the last accepted close is now 90"


def test_a_jump_that_the_next_open_does_not_confirm_is_refused() -> None:
    judge = after(bar(0, 100.0), bar(1, 150.0))
    verdict = offer(judge, bar(2, 101.0))
    assert verdict.accepted == (bar(2, 101.0),)
    assert reasons(verdict) == ["a jump the next bar did not confirm"]


def test_a_bar_that_refutes_one_jump_with_another_is_withheld_itself() -> None:
    judge = after(bar(0, 100.0), bar(1, 150.0))
    verdict = offer(judge, bar(2, 50.0))
    assert (verdict.accepted, reasons(verdict)) == ((), ["a jump the next bar did not confirm"])
    assert judge.withheld == bar(2, 50.0)


def test_at_the_close_a_withheld_bar_is_refused_once() -> None:
    judge = after(bar(0, 100.0), bar(1, 150.0))
    assert reasons(judge.end_session()) == ["a jump with no bar after it to confirm it"]
    assert judge.end_session() == Verdict()


def test_a_withheld_bar_never_waits_into_the_next_session() -> None:
    judge = after(bar(0, 100.0), bar(1, 150.0))
    verdict = offer(judge, bar(0, 150.0, opened=NEXT_OPEN))
    assert verdict.accepted == (bar(0, 150.0, opened=NEXT_OPEN),)
    assert reasons(verdict) == ["a jump with no bar after it to confirm it"]


def test_a_wick_beyond_the_limit_is_cut_back_to_the_body_and_marked() -> None:
    judge = after(bar(0, 100.0))
    (up,) = offer(judge, bar(1, 101.0, 120.01, 99.0, 102.0)).accepted
    assert up == bar(1, 101.0, 102.0, 99.0, 102.0)._replace(adjusted=True)
    (down,) = offer(judge, bar(2, 101.0, 103.0, 79.0, 102.0)).accepted
    assert down == bar(2, 101.0, 103.0, 101.0, 102.0)._replace(adjusted=True)


def test_a_wick_of_exactly_the_limit_stays() -> None:
    (kept,) = offer(after(bar(0, 100.0)), bar(1, 100.0, 120.0, 80.0, 100.0)).accepted
    assert kept == bar(1, 100.0, 120.0, 80.0, 100.0)


def test_the_limit_is_a_setting() -> None:
    assert offer(after(bar(0, 100.0), jump=5), bar(1, 106.0)) == Verdict()
    assert offer(after(bar(0, 100.0), jump=50), bar(1, 149.0)).accepted


def test_the_first_bar_of_a_session_is_compared_with_nothing_of_the_day_before() -> None:
    judge = after(bar(0, 100.0))
    gap = bar(0, 140.0, 200.0, 100.0, 140.0, opened=NEXT_OPEN)
    assert offer(judge, gap) == Verdict((gap,))
    assert offer(judge, bar(1, 100.0, opened=NEXT_OPEN)) == Verdict(), "but the next is, with today's"


def test_the_very_first_bar_is_no_split() -> None:
    assert offer(BarFilter(20), bar(0, 100.0)) == Verdict((bar(0, 100.0),))


@pytest.mark.parametrize("count", SPLIT_RATIOS)
@pytest.mark.parametrize("off", [0.97, 1.0, 1.03])
def test_a_price_within_3_percent_of_a_split_is_one_both_ways(count: int, off: float) -> None:
    assert split_ratio(60.0 * count, 60.0 * off) == count
    assert split_ratio(60.0, 60.0 * count * off) == count


@pytest.mark.parametrize("count", SPLIT_RATIOS)
@pytest.mark.parametrize("off", [0.969, 1.031])
def test_a_price_further_from_a_split_is_none(count: int, off: float) -> None:
    assert split_ratio(60.0 * count, 60.0 * off) is None
    assert split_ratio(60.0, 60.0 * count * off) is None


@pytest.mark.parametrize("ratio", [1.0, 1.5, 1.9, 9.0, 12.0, 35.0, 60.0])
def test_other_ratios_are_no_splits(ratio: float) -> None:
    assert split_ratio(100.0 * ratio, 100.0) is None
    assert split_ratio(100.0, 100.0 * ratio) is None


def test_a_split_is_seen_between_sessions_only_and_its_bar_is_accepted() -> None:
    judge = after(bar(0, 100.0))
    assert offer(judge, bar(0, 50.0, opened=NEXT_OPEN)) == Verdict(
        (bar(0, 50.0, opened=NEXT_OPEN),), (), True
    )
    assert offer(after(bar(0, 100.0)), bar(1, 50.0)) == Verdict()


def test_a_resumed_filter_goes_on_where_the_bars_judged_elsewhere_ended() -> None:
    judge = BarFilter(20)
    judge.resume(100.0, minute(3), OPEN)
    assert reasons(offer(judge, bar(3, 100.0))) == ["duplicate"]
    assert offer(judge, bar(4, 150.0)) == Verdict()
    assert reasons(offer(judge, bar(5, 100.0))) == ["a jump the next bar did not confirm"]


prices = st.sampled_from([40.0, 50.0, 79.0, 80.0, 100.0, 119.0, 120.0, 150.0])
days = st.lists(st.builds(bar, st.integers(0, 12), prices, close=prices), max_size=25)


@given(days)
def test_every_bar_is_accepted_or_refused_exactly_once_and_accepted_in_order(offered: list[Bar]) -> None:
    judge = BarFilter(20)
    verdicts = [offer(judge, one) for one in offered] + [judge.end_session()]
    accepted = [one for verdict in verdicts for one in verdict.accepted]
    refused = [one.bar for verdict in verdicts for one in verdict.refused]
    assert sorted(accepted + refused) == sorted(offered)
    times = [one.timestamp for one in accepted]
    assert times == sorted(set(times))
