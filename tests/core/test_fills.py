"""Simulated fills, sentence by sentence of DESIGN §9, with numbers worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import bar
from tui_trader.core.bars import Bar
from tui_trader.core.fills import Fill, Path, WorkingOrder, at_last_close, match, path_of, slipped
from tui_trader.core.orders import OrderType, Side

D = Decimal
UP = bar(0, 10.0, 10.6, 9.5, 10.3)  # 10.0 → 9.5 → 10.6 → 10.3
DOWN = bar(0, 10.0, 10.6, 9.5, 9.8)  # 10.0 → 10.6 → 9.5 → 9.8


def entry(stop: str, limit: str, *, triggered: bool = False) -> WorkingOrder:
    return WorkingOrder(Side.BUY, OrderType.STOP_LIMIT, D(stop), D(limit), triggered)


def protect(stop: str) -> WorkingOrder:
    return WorkingOrder(Side.SELL, OrderType.STOP, D(stop), None)


def market(side: Side) -> WorkingOrder:
    return WorkingOrder(side, OrderType.MARKET, None, None)


def fill(order: WorkingOrder, on: Bar | Path, ticks: int = 1, bought_at: str | None = None) -> Fill | None:
    path = path_of(on) if isinstance(on, Bar) else on
    return match(order, path, ticks, D(bought_at) if bought_at else None)


# ---- the path ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("walked", "path"),
    [
        (UP, (10.0, 9.5, 10.6, 10.3)),
        (DOWN, (10.0, 10.6, 9.5, 9.8)),
        (bar(0, 10.0, 10.6, 9.5, 10.0), (10.0, 9.5, 10.6, 10.0)),
    ],
    ids=["up", "down", "unchanged counts as up"],
)
def test_a_rising_bar_goes_low_first_and_a_falling_one_high_first(walked: Bar, path: Path) -> None:
    assert path_of(walked) == path


@pytest.mark.parametrize(
    ("price", "side", "ticks", "slippage"),
    [
        ("10", Side.BUY, 1, "10.01"),
        ("10", Side.SELL, 1, "9.99"),
        ("10", Side.BUY, 3, "10.03"),
        ("10", Side.SELL, 0, "10"),
        ("1", Side.SELL, 1, "0.99"),
        ("0.9999", Side.BUY, 1, "1.0000"),
        ("0.5", Side.SELL, 2, "0.4998"),
        ("10.0051", Side.BUY, 1, "10.0151"),
    ],
)
def test_slippage_is_whole_ticks_against_the_trader_and_rounds_nothing(
    price: str, side: Side, ticks: int, slippage: str
) -> None:
    assert slipped(D(price), side, ticks) == D(slippage)


# ---- market orders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "10.01"), (Side.SELL, "9.99")])
def test_a_market_order_fills_at_the_open(side: Side, price: str) -> None:
    assert fill(market(side), DOWN) == Fill(D(price), (10.0, 10.6, 9.5, 9.8))


def test_without_a_further_bar_it_fills_at_the_last_close_less_slippage() -> None:
    assert at_last_close(9.87, Side.SELL, 1) == D("9.86")
    assert at_last_close(0.5, Side.SELL, 2) == D("0.4998")


# ---- protective stops ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("stop", "price"), [("10.50", "9.99"), ("10.00", "9.99"), ("10.01", "9.99")])
def test_a_stop_at_or_above_the_open_fills_at_the_open(stop: str, price: str) -> None:
    assert fill(protect(stop), UP) == Fill(D(price), path_of(UP))


def test_a_stop_below_the_open_fills_at_its_own_price_where_the_path_reaches_it() -> None:
    assert fill(protect("9.80"), UP) == Fill(D("9.79"), (9.8, 9.5, 10.6, 10.3))
    assert fill(protect("9.80"), DOWN) == Fill(D("9.79"), (9.8, 9.5, 9.8))


def test_a_stop_at_the_low_is_touched_and_one_below_it_is_not() -> None:
    assert fill(protect("9.50"), DOWN) == Fill(D("9.49"), (9.5, 9.5, 9.8))
    assert fill(protect("9.49"), DOWN) is None


def test_a_stop_can_be_reached_on_the_way_from_the_high_to_the_close() -> None:
    later = (10.6, 10.3)  # what is left of the rising bar's path after its high
    assert fill(protect("10.40"), later) == Fill(D("10.39"), (10.4, 10.3))
    assert fill(protect("10.20"), later) is None


# ---- entries -------------------------------------------------------------------------------------------


def test_an_entry_fills_at_its_stop_where_the_path_first_reaches_it() -> None:
    assert fill(entry("10.50", "10.60"), DOWN) == Fill(D("10.51"), (10.5, 10.6, 9.5, 9.8))
    assert fill(entry("10.50", "10.60"), UP) == Fill(D("10.51"), (10.5, 10.6, 10.3))


def test_an_entry_at_the_high_is_touched_and_one_above_it_is_not() -> None:
    assert fill(entry("10.60", "10.70"), UP) == Fill(D("10.61"), (10.6, 10.6, 10.3))
    order = entry("10.61", "10.70")
    assert fill(order, UP) is None
    assert not order.triggered


@pytest.mark.parametrize("stop", ["10.00", "9.70"])
def test_an_open_at_or_above_the_stop_triggers_at_the_open(stop: str) -> None:
    assert fill(entry(stop, "10.05"), UP) == Fill(D("10.01"), path_of(UP))


def test_the_fill_with_its_slippage_may_reach_the_limit_exactly() -> None:
    assert fill(entry("10.50", "10.51"), UP) == Fill(D("10.51"), (10.5, 10.6, 10.3))


def test_beyond_its_limit_an_entry_rests_and_fills_at_the_limit_when_the_path_comes_down() -> None:
    order = entry("10.50", "10.50")
    assert fill(order, UP) == Fill(D("10.50"), (10.5, 10.3)), "10.6 → 10.3 comes down through 10.50"
    assert order.triggered


def test_an_entry_triggered_on_the_way_up_is_not_filled_by_the_way_up() -> None:
    order = entry("10.50", "10.50")
    assert fill(order, bar(0, 10.0, 10.6, 9.5, 10.55)) is None, "after 10.6 it ends at 10.55, above the limit"
    assert order.triggered


def test_a_downward_move_that_ends_exactly_at_the_limit_fills() -> None:
    assert fill(entry("10.50", "10.50"), bar(0, 10.0, 10.6, 9.5, 10.5)) == Fill(D("10.50"), (10.5, 10.5))


def test_a_gap_above_the_limit_rests_at_once_and_fills_later_in_the_bar() -> None:
    order = entry("9.90", "9.95")
    assert fill(order, UP) == Fill(D("9.95"), (9.95, 9.5, 10.6, 10.3)), "10.0 → 9.5 comes down through 9.95"
    order = entry("9.90", "9.95")
    assert fill(order, bar(0, 10.0, 10.6, 9.96, 10.3)) is None
    assert order.triggered


def test_a_resting_entry_fills_at_its_limit_in_a_later_bar() -> None:
    order = entry("9.00", "9.70", triggered=True)
    assert fill(order, DOWN) == Fill(D("9.70"), (9.7, 9.5, 9.8))
    assert fill(entry("9.00", "9.40", triggered=True), DOWN) is None


@pytest.mark.parametrize(
    ("limit", "price"), [("10.50", "10.01"), ("10.01", "10.01"), ("10.005", "10.005"), ("10.00", "10.00")]
)
def test_a_resting_entry_fills_at_a_lower_open_with_slippage_at_most_its_limit(
    limit: str, price: str
) -> None:
    assert fill(entry("9.00", limit, triggered=True), UP) == Fill(D(price), path_of(UP))


def test_a_resting_entry_no_longer_needs_its_stop() -> None:
    assert fill(entry("99.00", "99.50", triggered=True), UP) == Fill(D("10.01"), path_of(UP))


# ---- a stop in answer to a fill in the bar -------------------------------------------------------------


def test_a_stop_placed_after_a_fill_in_the_bar_meets_only_what_follows_it() -> None:
    bought = fill(entry("10.50", "10.60"), UP)
    assert bought is not None
    assert fill(protect("9.60"), bought.rest, bought_at="10.51") is None, "the low came before the fill"
    bought = fill(entry("10.50", "10.60"), DOWN)
    assert bought is not None
    assert fill(protect("9.60"), bought.rest, bought_at="10.51") == Fill(D("9.59"), (9.6, 9.5, 9.8))


def test_an_entry_filled_below_its_own_stop_loss_is_sold_at_that_price_less_slippage() -> None:
    order = entry("10.00", "10.00", triggered=True)
    bought = fill(order, (9.0, 8.5, 9.5, 9.2))
    assert bought == Fill(D("9.01"), (9.0, 8.5, 9.5, 9.2))
    assert fill(protect("9.50"), bought.rest, bought_at="9.01") == Fill(D("9.00"), bought.rest)


def test_an_entry_filled_at_its_own_stop_loss_is_sold_where_the_path_stands() -> None:
    assert fill(protect("9.01"), (9.0, 8.5, 9.5, 9.2), bought_at="9.01") == Fill(
        D("8.99"), (9.0, 8.5, 9.5, 9.2)
    )


def test_an_order_that_the_simulation_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fill buy limit orders"):
        fill(WorkingOrder(Side.BUY, OrderType.LIMIT, None, D(1)), UP)
    with pytest.raises(ValueError, match="needs both prices"):
        fill(WorkingOrder(Side.BUY, OrderType.STOP_LIMIT, D(1), None), UP)


# ---- whatever the bar and the order --------------------------------------------------------------------

cents = st.integers(50, 400)
bars = st.lists(cents, min_size=4, max_size=4).map(
    lambda p: bar(0, p[0] / 100, max(p) / 100, min(p) / 100, p[1] / 100)
)
orders = st.one_of(
    st.builds(market, st.sampled_from(Side)),
    cents.map(lambda c: protect(str(D(c) / 100))),
    st.builds(
        lambda stop, above, triggered: entry(
            str(D(stop) / 100), str(D(stop + above) / 100), triggered=triggered
        ),
        cents,
        st.integers(0, 30),
        st.booleans(),
    ),
)


@given(bars, orders, st.integers(0, 5))
def test_no_fill_lies_outside_the_bar_by_more_than_the_slippage(
    on: Bar, order: WorkingOrder, ticks: int
) -> None:
    made = fill(order, on, ticks)
    if made is None:
        return
    slippage = D("0.01") * ticks
    low, high = D(repr(on.low)), D(repr(on.high))
    if order.side is Side.BUY:
        assert low <= made.price <= high + slippage
    else:
        assert low - slippage <= made.price <= high
    if order.limit is not None:
        assert made.price <= order.limit
    assert all(on.low <= price <= on.high or price == float(order.limit or 0) for price in made.rest)
    assert made.rest[-1] == on.close


@given(bars, cents, st.integers(1, 30), st.integers(0, 5))
def test_a_bar_that_fills_an_entry_reached_its_stop_and_one_that_reached_it_triggered_it(
    on: Bar, stop: int, above: int, ticks: int
) -> None:
    order = entry(str(D(stop) / 100), str(D(stop + above) / 100))
    made = fill(order, on, ticks)
    reached = on.high >= stop / 100
    assert (made is not None or order.triggered) is reached


@given(bars, cents)
def test_a_stop_fills_exactly_when_the_bar_reached_it(on: Bar, stop: int) -> None:
    assert (fill(protect(str(D(stop) / 100)), on) is not None) is (on.low <= stop / 100)


@pytest.mark.parametrize(
    ("price", "ticks", "left"),
    [("5.30", 1000, "0.01"), ("5.30", 100, "4.30"), ("0.05", 1000, "0.0001"), ("0.00005", 1, "0.00005")],
)
def test_nothing_is_sold_for_less_than_a_tick(price: str, ticks: int, left: str) -> None:
    assert slipped(Decimal(price), Side.SELL, ticks) == Decimal(left)
