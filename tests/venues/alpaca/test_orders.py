"""Alpaca's order JSON, and what the engine is told of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.venues.alpaca.canned import order_json
from tui_trader.core.orders import BrokerOrderId, ClientOrderId, OrderReport, OrderState, OrderType, Side
from tui_trader.venues.alpaca.orders import AlpacaOrder, decimal_of, order_of, orders_of, shares_of, time_of


def read(**fields: object) -> AlpacaOrder:
    order = order_of(order_json(**fields))
    assert order is not None
    return order


def test_an_order_is_reported_with_all_its_fields() -> None:
    order = read(filled_qty="4", filled_avg_price="194.5", status="partially_filled", limit_price="194.00")
    assert order.report() == OrderReport(
        ClientOrderId("tt-S1"), BrokerOrderId("904837e3-0000-4000-8000-000000000001"), "AAPL", Side.SELL,
        OrderType.STOP, 10, 4, OrderState.PARTIALLY_FILLED, Decimal("194.00"), Decimal("195"),
    )  # fmt: skip
    assert order.average == Decimal("194.5")
    assert order.submitted == datetime(2026, 11, 18, 14, 31, 0, 123456, UTC)


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        *(
            (status, "0", OrderState.ACCEPTED)
            for status in (
                "new", "accepted", "pending_new", "accepted_for_bidding", "pending_cancel",
                "pending_replace", "pending_review", "held", "stopped", "suspended", "calculated",
            )
        ),
        ("new", "3", OrderState.PARTIALLY_FILLED),
        ("pending_cancel", "3", OrderState.PARTIALLY_FILLED),
        ("partially_filled", "3", OrderState.PARTIALLY_FILLED),
        ("partially_filled", None, OrderState.PARTIALLY_FILLED),
        ("filled", "10", OrderState.FILLED),
        ("canceled", "3", OrderState.CANCELED),
        ("expired", "0", OrderState.EXPIRED),
        ("rejected", "0", OrderState.REJECTED),
        ("replaced", "0", OrderState.REPLACED),
    ],
)  # fmt: skip
def test_every_status_has_its_state(status: str, filled: str | None, state: OrderState) -> None:
    assert read(status=status, filled_qty=filled).state is state


def test_a_status_nobody_knows_is_not_guessed_at() -> None:
    order = read(status="quantum_superposition")
    assert order.state is None
    assert order.report() is None
    assert not order.works


def test_done_for_the_day_is_the_end_of_a_day_order_only() -> None:
    assert read(status="done_for_day", time_in_force="day").state is OrderState.EXPIRED
    assert read(status="done_for_day", time_in_force="gtc").state is OrderState.ACCEPTED
    assert read(status="done_for_day", filled_qty="2").state is OrderState.PARTIALLY_FILLED


@pytest.mark.parametrize(
    ("status", "waits"),
    [("pending_new", True), ("accepted", True), ("new", False), ("rejected", False), ("filled", False)],
)
def test_a_replacement_counts_once_the_older_order_has_made_way(status: str, waits: bool) -> None:
    assert read(status=status, replaces="904837e3-0000-4000-8000-000000000000").waits_for_another is waits
    assert not read(status=status).waits_for_another


@pytest.mark.parametrize(
    ("fields", "qty", "filled"),
    [
        ({"qty": "0.75", "filled_qty": "0.5"}, 0, 0),
        ({"qty": "10.9", "filled_qty": "3.999999999"}, 10, 3),
        ({"qty": None, "notional": "100", "filled_qty": "2.5"}, 2, 2),
        ({"qty": None, "notional": "100", "filled_qty": None}, 0, 0),
        ({"qty": 12, "filled_qty": 3.0}, 12, 3),
    ],
)
def test_fractions_of_shares_are_cut_off(fields: dict[str, object], qty: int, filled: int) -> None:
    order = read(**fields)
    assert (order.qty, order.filled) == (qty, filled)


@pytest.mark.parametrize(
    ("fields", "order_type"),
    [
        ({"type": "trailing_stop", "order_type": "trailing_stop"}, OrderType.STOP),
        ({"type": None, "order_type": "limit"}, OrderType.LIMIT),
        ({"type": "newfangled", "limit_price": "1", "stop_price": "2"}, OrderType.STOP_LIMIT),
        ({"type": "newfangled", "limit_price": "1", "stop_price": None}, OrderType.LIMIT),
        ({"type": "newfangled", "limit_price": None, "stop_price": None}, OrderType.MARKET),
    ],
)
def test_a_type_we_do_not_use_is_shown_as_the_nearest(
    fields: dict[str, object], order_type: OrderType
) -> None:
    assert read(**fields).order_type is order_type


@pytest.mark.parametrize(
    "fields",
    [
        {"id": None},
        {"symbol": ""},
        {"status": 7},
        {"side": "sideways"},
        {"side": None},
        {"filled_qty": "NaN"},
        {"filled_qty": "many"},
        {"filled_qty": "-1"},
        {"filled_qty": "1e400"},
    ],
)
def test_an_order_without_its_essentials_is_none(fields: dict[str, object]) -> None:
    assert order_of(order_json(**fields)) is None


@pytest.mark.parametrize("data", [None, [], "order", 7, {}])
def test_what_is_no_order_is_none(data: object) -> None:
    assert order_of(data) is None


def test_an_order_without_an_id_of_its_owner_goes_by_the_brokers() -> None:
    order = read(client_order_id=None)
    assert str(order.client_order_id) == str(order.order_id)


def test_legs_are_orders_and_one_bad_row_costs_no_other() -> None:
    rows: list[dict[str, Any]] = [
        order_json(id="bad", side=None),
        order_json(id="parent", legs=[order_json(id="leg", status="held"), "nonsense", {"id": 1}]),
        order_json(id="none", legs="nonsense"),
    ]
    assert [order.order_id for order in orders_of(rows)] == ["parent", "leg", "none"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(order_json())), json_values, max_size=6))
def test_whatever_a_field_holds_reading_an_order_never_fails(fields: dict[str, object]) -> None:
    order = order_of(order_json(**fields))
    if order is not None:
        order.report()
        assert order.filled >= 0


@given(json_values)
def test_whatever_comes_reading_a_value_never_fails(value: object) -> None:
    number, shares = decimal_of(value), shares_of(value)
    assert number is None or number.is_finite()
    assert (number is None) is (shares is None)
    time = time_of(value)
    assert time is None or time.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-18T14:31:00.123456789Z", datetime(2026, 11, 18, 14, 31, 0, 123456, UTC)),
        ("2026-11-18T09:31:00-05:00", datetime(2026, 11, 18, 14, 31, tzinfo=UTC)),
        ("2026-11-18T14:31:00", datetime(2026, 11, 18, 14, 31, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
    ],
)
def test_times_become_utc(text: str, time: datetime | None) -> None:
    assert time_of(text) == time
