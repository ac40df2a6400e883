"""The circuit breaker: when it trips, and what it takes to trade again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.core.making import minute
from tui_trader.core.breaker import BreakerLimits, CircuitBreaker, Trip
from tui_trader.core.portfolio import ClosedTrade

D = Decimal
START = D(100_000)


def breaker(pct: str = "3", losses: int = 3, min_r: str = "0.25") -> CircuitBreaker:
    made = CircuitBreaker(BreakerLimits(D(pct), losses, D(min_r)))
    made.first_delivery(START)
    return made


def trade(pnl: str, risk: str = "100") -> ClosedTrade:
    return ClosedTrade("AAPL", "velez", 10, D(10), D(10), minute(0), minute(1), D(pnl), D(risk))


def streak(made: CircuitBreaker, *pnls: str) -> int:
    for pnl in pnls:
        made.count(trade(pnl))
    return made.losses_in_a_row


@pytest.mark.parametrize(
    ("equity", "trips"),
    [("97000.01", False), ("97000", True), ("96999.99", True), ("100000", False), ("1e6", False)],
)
def test_the_days_loss_trips_at_its_limit(equity: str, trips: bool) -> None:
    made = breaker()
    trip = made.check(D(equity))
    assert trip == (Trip("max_daily_loss_pct", START - D(equity), D(3000)) if trips else None)
    assert made.trip == trip


def test_the_limit_is_a_share_of_the_equity_at_the_first_delivery_alone() -> None:
    made = breaker()
    made.first_delivery(D(1))
    assert (made.day_start_equity, made.loss_limit) == (START, D(3000))
    assert made.day_pnl(D(100_500)) == D(500)


def test_before_the_first_delivery_nothing_trips() -> None:
    made = CircuitBreaker(BreakerLimits(D(3), 2, D(0)))
    assert (made.loss_limit, made.day_pnl(D(5))) == (D(0), D(0))
    assert made.check(D(0)) is None


def test_losses_in_a_row_trip_at_their_number() -> None:
    made = breaker()
    assert streak(made, "-50", "-50") == 2
    assert made.check(START) is None
    assert streak(made, "-50") == 3
    assert made.check(START) == Trip("consecutive_loss_pause", D(3), D(3))


def test_both_rules_at_once_name_the_days_loss() -> None:
    made = breaker()
    streak(made, "-50", "-50", "-50")
    trip = made.check(D(90_000))
    assert trip is not None
    assert trip.rule == "max_daily_loss_pct"


@pytest.mark.parametrize(("loss", "counts"), [("-24.99", False), ("-25", True), ("-25.01", True)])
def test_a_loss_counts_from_a_quarter_of_its_planned_risk_and_a_smaller_one_changes_nothing(
    loss: str, counts: bool
) -> None:
    made = breaker()
    assert streak(made, "-50", loss) == (2 if counts else 1)


@pytest.mark.parametrize("pnl", ["0", "0.01", "1000"])
def test_a_trade_that_does_not_lose_ends_the_streak(pnl: str) -> None:
    assert streak(breaker(), "-50", "-50", pnl) == 0


def test_with_no_least_loss_every_loss_counts() -> None:
    assert streak(breaker(min_r="0"), "-0.01", "-0.01") == 2


def test_it_is_latched_until_a_new_session_which_starts_everything_anew() -> None:
    made = breaker()
    streak(made, "-50", "-50", "-50")
    trip = made.check(START)
    assert made.check(D(1)) is None, "it trips once"
    assert streak(made, "1000") == 0
    assert made.trip is trip, "a gain does not lift it"
    assert made.start_session() is trip
    assert (made.trip, made.losses_in_a_row, made.day_start_equity) == (None, 0, None)
    assert made.start_session() is None


def test_a_person_lifts_it_and_the_streak_starts_anew() -> None:
    made = breaker()
    streak(made, "-50", "-50", "-50")
    trip = made.check(START)
    assert made.reset() is trip
    assert made.check(START) is None
    assert streak(made, "-50", "-50") == 2
    assert made.check(START) is None


def test_lifting_a_breaker_that_has_not_tripped_changes_nothing() -> None:
    made = breaker()
    streak(made, "-50", "-50")
    made.check(D(98_000))
    before = made.dump("s")
    assert made.reset() is None
    assert made.dump("s") == before


def test_a_person_who_lifts_it_after_a_bad_day_allows_the_days_loss_once_more() -> None:
    made = breaker()
    assert made.check(D(96_500)) is not None
    made.reset()
    assert made.check(D(96_400)) is None, "it must not trip again at once"
    assert made.check(D("93400.01")) is None
    assert made.check(D(93_400)) == Trip("max_daily_loss_pct", D(3000), D(3000))
    assert made.day_pnl(D(93_400)) == D(-6600), "the day's loss is still the whole day's"
    made.start_session()
    made.first_delivery(D(93_400))
    assert made.check(D(93_000)) is None


@pytest.mark.parametrize("lifted", [False, True])
def test_it_survives_a_restart_within_the_session(lifted: bool) -> None:
    made = breaker()
    streak(made, "-50", "-50")
    made.check(D(96_500))
    if lifted:
        made.reset()
        made.check(D(96_400))
    again = CircuitBreaker(made.limits)
    assert again.restore(made.dump("2026-06-01"), "2026-06-01")
    for attribute in ("trip", "losses_in_a_row", "day_start_equity"):
        assert getattr(again, attribute) == getattr(made, attribute)
    assert again.dump("x") == made.dump("x")
    assert again.check(D(93_500)) == made.check(D(93_500))


def test_a_breaker_of_another_session_is_not_taken_over() -> None:
    made = breaker()
    made.check(D(1))
    again = CircuitBreaker(made.limits)
    assert not again.restore(made.dump("2026-06-01"), "2026-06-02")
    assert (again.trip, again.day_start_equity) == (None, None)


def test_a_breaker_that_has_seen_nothing_survives_too() -> None:
    again = breaker()
    fresh = CircuitBreaker(again.limits)
    assert again.restore(fresh.dump("s"), "s")
    assert (again.trip, again.losses_in_a_row, again.day_start_equity) == (None, 0, None)
