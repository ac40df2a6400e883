"""The last gate: each control at its limit, their order, and sizes worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import OPEN
from tui_trader.core.decide import EnterLong
from tui_trader.core.risk import Approved, Exposure, RiskLimits, RiskManager, RiskRefusal

D = Decimal
LIMITS = RiskLimits(
    max_risk_per_trade_pct=D(1),
    max_risk_per_trade=D(500),
    max_position_pct=D(25),
    max_open_positions=5,
    max_gross_exposure_pct=D(100),
    max_order_value=D(50_000),
    max_entries_per_symbol_per_day=3,
    max_entries_per_day=10,
    max_volume_pct=D(0),
    max_orders_per_minute=30,
    price_collar_pct=D(5),
)
#: 1 % of 100,000 is 1,000, capped at 500 dollars; at 2 dollars a share that is 250 shares.
ORDER = EnterLong(D("50.00"), D("51.00"), D("48.00"))
EXPOSURE = Exposure(equity=D(100_000), available_cash=D(100_000), gross=D(0), open_positions=0)


def review(
    manager: RiskManager | None = None,
    order: EnterLong = ORDER,
    last: str = "50",
    volume: float | None = None,
    exposure: Exposure = EXPOSURE,
    **limits: Any,
) -> Approved | RiskRefusal:
    manager = manager or RiskManager(replace(LIMITS, **limits))
    return manager.review("AAPL", order, exposure, D(last), volume, OPEN)


def rule(answer: Approved | RiskRefusal) -> str:
    return answer.rule if isinstance(answer, RiskRefusal) else ""


# ---- size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exposure", "limits", "qty"),
    [
        ({}, {}, 250),  # 500 / 2
        ({}, {"max_risk_per_trade": D("499.99")}, 249),
        ({"equity": D(40_000)}, {}, 200),  # 1 % of 40,000 = 400
        ({"equity": D("40199.99")}, {}, 200),  # 401.9999 / 2 = 200.99…
        ({}, {"max_position_pct": D(10)}, 200),  # 10,000 / 50
        ({"equity": D("99999")}, {"max_position_pct": D(10)}, 199),
        ({"available_cash": D(5100)}, {}, 100),  # at the limit price of 51
        ({"available_cash": D("5099.99")}, {}, 99),
    ],
)
def test_the_size_is_the_least_of_what_risk_position_and_cash_allow(
    exposure: dict[str, Decimal], limits: dict[str, Any], qty: int
) -> None:
    assert review(exposure=EXPOSURE._replace(**exposure), **limits) == Approved(qty)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("volume", "qty"), [(1000.0, 50), (1019.9, 50), (1020.0, 51), (5000.0, 250), (5001.0, 250)]
)
def test_a_share_of_recent_volume_bounds_the_size_when_asked_for(volume: float, qty: int) -> None:
    assert review(volume=volume, max_volume_pct=D(5)) == Approved(qty)
    assert review(volume=1.0, max_volume_pct=D(0)) == Approved(250), "0 is off"


def test_without_known_volume_the_share_of_it_is_nothing() -> None:
    assert rule(review(volume=None, max_volume_pct=D(5))) == "size"


@pytest.mark.parametrize("cash", ["50.99", "0", "-1000"])
def test_what_does_not_buy_one_share_is_refused_with_the_numbers(cash: str) -> None:
    answer = review(exposure=EXPOSURE._replace(available_cash=D(cash)))
    assert answer == RiskRefusal("size", f"0 shares: 2.00 risk a share, {cash} cash available")


def test_one_share_is_enough() -> None:
    assert review(exposure=EXPOSURE._replace(available_cash=D(51))) == Approved(1)


def test_an_account_in_debt_gets_nothing() -> None:
    assert rule(review(exposure=EXPOSURE._replace(equity=D(-1)))) == "size"


def test_one_r_is_the_lesser_of_the_share_of_equity_and_the_cap() -> None:
    manager = RiskManager(LIMITS)
    assert manager.trade_budget(D(49_999)) == D("499.99")
    assert manager.trade_budget(D(50_001)) == D(500)


prices = st.integers(200, 50_000).map(lambda n: D(n) / 100)


@given(prices, st.integers(1, 199), st.integers(0, 300), st.integers(0, 2 * 10**5), st.integers(0, 2 * 10**5))
def test_no_approved_size_risks_or_costs_more_than_allowed(
    entry: Decimal, risk: int, above: int, equity: int, cash: int
) -> None:
    order = EnterLong(entry, entry + D(above) / 100, entry - D(risk) / 100)
    exposure = Exposure(D(equity), D(cash), D(0), 0)
    answer = review(order=order, exposure=exposure, last=str(entry))
    if isinstance(answer, Approved):
        assert answer.qty >= 1
        assert answer.qty * (order.entry - order.stop_loss) <= min(D(equity) / 100, D(500))
        assert answer.qty * order.entry <= D(equity) / 4
        assert answer.qty * order.limit <= D(cash)


# ---- each control, just below, at and just above its limit --------------------------------------------


@pytest.mark.parametrize(
    ("count", "refused"), [(4, ""), (5, "max_open_positions"), (6, "max_open_positions")]
)
def test_open_positions_and_working_entries_are_bounded(count: int, refused: str) -> None:
    assert rule(review(exposure=EXPOSURE._replace(open_positions=count))) == refused


@pytest.mark.parametrize(("count", "refused"), [(2, ""), (3, "max_entries_per_symbol_per_day")])
def test_entries_in_one_symbol_a_day_are_bounded(count: int, refused: str) -> None:
    manager = RiskManager(LIMITS)
    for _ in range(count):
        manager.count_entry("AAPL")
    assert rule(review(manager)) == refused
    assert rule(manager.review("TSLA", ORDER, EXPOSURE, D(50), None, OPEN)) == ""


@pytest.mark.parametrize(("count", "refused"), [(9, ""), (10, "max_entries_per_day")])
def test_entries_a_day_are_bounded(count: int, refused: str) -> None:
    manager = RiskManager(LIMITS)
    for number in range(count):
        manager.count_entry(f"S{number}")
    assert manager.entries_today == count
    assert rule(review(manager)) == refused


@pytest.mark.parametrize(("count", "refused"), [(29, ""), (30, "max_orders_per_minute")])
def test_orders_in_a_sliding_minute_are_bounded(count: int, refused: str) -> None:
    manager = RiskManager(LIMITS)
    for _ in range(count):
        manager.count_order(OPEN - timedelta(seconds=59, microseconds=999_999))
    assert rule(review(manager)) == refused


def test_an_order_sent_a_whole_minute_ago_no_longer_counts() -> None:
    manager = RiskManager(LIMITS)
    for second in range(3):
        manager.count_order(OPEN + timedelta(seconds=second))
    assert manager.orders_last_minute(OPEN + timedelta(seconds=59)) == 3
    assert manager.orders_last_minute(OPEN + timedelta(seconds=60)) == 2
    assert manager.orders_last_minute(OPEN + timedelta(seconds=62)) == 0


@pytest.mark.parametrize(("stop", "refused"), [("49.99", ""), ("50.00", "stop_side"), ("50.01", "stop_side")])
def test_the_stop_must_be_below_the_entry(stop: str, refused: str) -> None:
    assert rule(review(order=ORDER._replace(stop_loss=D(stop)))) == refused


@pytest.mark.parametrize(
    ("limit", "refused"), [("12750.01", ""), ("12750", ""), ("12749.99", "max_order_value")]
)
def test_the_value_of_an_order_is_its_quantity_at_the_limit_price(limit: str, refused: str) -> None:
    # 250 × 51 = 12,750
    assert rule(review(max_order_value=D(limit))) == refused


@pytest.mark.parametrize(
    ("gross", "refused"), [("87249.99", ""), ("87250", ""), ("87250.01", "max_gross_exposure")]
)
def test_gross_exposure_counts_what_is_held_ordered_and_asked_for(gross: str, refused: str) -> None:
    # 100 % of 100,000 less 12,750
    assert rule(review(exposure=EXPOSURE._replace(gross=D(gross)))) == refused


@pytest.mark.parametrize(
    ("entry", "refused"),
    [("105.00", ""), ("105.01", "price_collar"), ("95.00", ""), ("94.99", "price_collar")],
)
def test_the_entry_stays_near_the_last_close(entry: str, refused: str) -> None:
    order = EnterLong(D(entry), D(entry), D(entry) - 2)
    assert rule(review(order=order, last="100")) == refused


def test_every_refusal_names_its_numbers() -> None:
    answer = review(max_order_value=D(12_000))
    assert answer == RiskRefusal("max_order_value", "order of 12750.00, limit 12000")
    answer = review(last="60")
    assert answer == RiskRefusal("price_collar", "entry 50.00 is 16.67 % from the last close 60, limit 5 %")


def test_the_first_rule_in_the_documented_order_is_the_one_named() -> None:
    """Everything is wrong at once; the causes are put right one by one, in the order of DESIGN §9."""
    manager = RiskManager(replace(LIMITS, max_orders_per_minute=1, max_order_value=D(1)))
    manager.start_session({"AAPL": 3, "TSLA": 7})
    manager.count_order(OPEN)
    order = EnterLong(D(50), D(51), D(50))
    exposure = Exposure(D(100_000), D(0), D(10**9), 9)
    seen = []

    def ask() -> None:
        seen.append(rule(manager.review("AAPL", order, exposure, D(100), None, OPEN)))

    ask()
    exposure = exposure._replace(open_positions=0)
    ask()
    manager.start_session({"TSLA": 10})
    ask()
    manager.start_session()
    ask()
    manager.limits = replace(manager.limits, max_orders_per_minute=2)
    ask()
    order = order._replace(stop_loss=D(48))
    ask()
    exposure = exposure._replace(available_cash=D(100_000))
    ask()
    manager.limits = replace(manager.limits, max_order_value=D(50_000))
    ask()
    exposure = exposure._replace(gross=D(0))
    ask()
    assert seen == [
        "max_open_positions",
        "max_entries_per_symbol_per_day",
        "max_entries_per_day",
        "max_orders_per_minute",
        "stop_side",
        "size",
        "max_order_value",
        "max_gross_exposure",
        "price_collar",
    ]


def test_a_new_session_counts_entries_anew_and_goes_on_with_the_minute() -> None:
    manager = RiskManager(replace(LIMITS, max_orders_per_minute=1))
    manager.count_entry("AAPL")
    manager.count_order(OPEN)
    manager.start_session()
    assert manager.entries_today == 0
    assert rule(review(manager)) == "max_orders_per_minute"
