"""The life of an order: the whole table, and what a broker's word may do to it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import OPEN
from tui_trader.core.orders import (
    TERMINAL,
    TRANSITIONS,
    WORKING,
    BrokerOrderId,
    BrokerProtocolError,
    ClientOrderId,
    EngineBug,
    Order,
    OrderReport,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
)

S = OrderState
WORKING_ENDS = {S.FILLED, S.CANCELED, S.EXPIRED, S.REPLACED}
#: DESIGN §6, written out by hand. A broker may accept first and reject later.
TABLE = {
    S.INTENT: {S.SUBMITTED, S.UNKNOWN, S.DENIED},
    S.SUBMITTED: {S.ACCEPTED, S.REJECTED, S.UNKNOWN, S.PARTIALLY_FILLED} | WORKING_ENDS,
    S.UNKNOWN: {S.ACCEPTED, S.REJECTED, S.PARTIALLY_FILLED} | WORKING_ENDS,
    S.ACCEPTED: {S.PARTIALLY_FILLED, S.REJECTED} | WORKING_ENDS,
    S.PARTIALLY_FILLED: {S.PARTIALLY_FILLED} | WORKING_ENDS,
    S.DENIED: set(),
    S.FILLED: set(),
    S.CANCELED: set(),
    S.EXPIRED: set(),
    S.REJECTED: set(),
    S.REPLACED: set(),
}
ROADS = {
    S.INTENT: (),
    S.DENIED: (S.DENIED,),
    S.SUBMITTED: (S.SUBMITTED,),
    S.UNKNOWN: (S.UNKNOWN,),
    **{s: (S.SUBMITTED, s) for s in (S.ACCEPTED, S.PARTIALLY_FILLED, S.REJECTED, *WORKING_ENDS)},
}
IDENTITY = ClientOrderId("tt-velez-AAPL-0123456789ab-E1")


def order_in(state: OrderState) -> Order:
    order = Order(
        OrderSpec(
            IDENTITY, "AAPL", Role.ENTRY, Side.BUY, OrderType.STOP_LIMIT, 10, Decimal("10.5"), Decimal(10)
        ),
        "velez",
        OPEN,
    )
    for step in ROADS[state]:
        order.advance(step)
    return order


def said(state: OrderState, filled: int = 0, reason: str = "") -> OrderReport:
    return OrderReport(
        IDENTITY,
        BrokerOrderId("b-1"),
        "AAPL",
        Side.BUY,
        OrderType.STOP_LIMIT,
        10,
        filled,
        state,
        reason=reason,
    )


@pytest.mark.parametrize("following", S)
@pytest.mark.parametrize("state", S)
def test_only_the_steps_of_the_table_can_be_taken(state: OrderState, following: OrderState) -> None:
    order = order_in(state)
    if following in TABLE[state]:
        order.advance(following, "why")
        assert (order.state, order.reason) == (following, "why")
    else:
        with pytest.raises(EngineBug, match="is not in the table"):
            order.advance(following)
        assert order.state is state


def test_the_states_that_end_and_those_that_work_are_what_the_table_says() -> None:
    assert {state for state, following in TABLE.items() if not following} == TERMINAL
    assert {S.ACCEPTED, S.PARTIALLY_FILLED} == WORKING
    assert set(TRANSITIONS) == set(S)


@pytest.mark.parametrize("state", S)
def test_only_an_order_that_may_still_fill_has_open_shares(state: OrderState) -> None:
    order = order_in(state)
    order.filled_qty = 4
    assert order.live is (state not in TERMINAL)
    assert order.open_qty == (6 if order.live else 0)


BROKER_STATES = [s for s in S if s not in (S.INTENT, S.DENIED, S.SUBMITTED, S.UNKNOWN)]
RANK = {S.INTENT: 0, S.SUBMITTED: 1, S.UNKNOWN: 1, S.ACCEPTED: 2, S.PARTIALLY_FILLED: 3} | dict.fromkeys(
    TERMINAL, 4
)


@pytest.mark.parametrize("news", BROKER_STATES)
@pytest.mark.parametrize("state", [s for s in S if s is not S.INTENT])
def test_a_report_moves_an_order_on_or_changes_nothing(state: OrderState, news: OrderState) -> None:
    order = order_in(state)
    if (state, news) == (S.PARTIALLY_FILLED, S.REJECTED):
        with pytest.raises(BrokerProtocolError, match="PARTIALLY_FILLED → REJECTED reported"):
            order.absorb(said(news))
        return
    moved = order.absorb(said(news, reason="news"))
    assert moved is (RANK[news] > RANK[state])
    assert order.state is (news if moved else state)
    assert not order.absorb(said(news)), "the same news again changes nothing"


@pytest.mark.parametrize("state", [S.SUBMITTED, S.UNKNOWN])
def test_an_order_the_broker_has_not_passed_on_yet_stays_what_it_is(state: OrderState) -> None:
    order = order_in(state)
    assert not order.absorb(said(S.SUBMITTED))
    assert order.state is state


def test_a_report_on_an_order_never_sent_is_a_broker_mistake() -> None:
    with pytest.raises(BrokerProtocolError, match="INTENT → FILLED reported"):
        order_in(S.INTENT).absorb(said(S.FILLED))


@pytest.mark.parametrize("wrong", [{"symbol": "TSLA"}, {"side": Side.SELL}])
def test_a_report_that_contradicts_the_order_is_a_broker_mistake(wrong: dict[str, object]) -> None:
    order = order_in(S.ACCEPTED)
    with pytest.raises(BrokerProtocolError, match="reported as"):
        order.absorb(replace(said(S.FILLED), **wrong))  # type: ignore[arg-type]
    assert order.state is S.ACCEPTED


def test_the_brokers_own_id_is_kept_once_known() -> None:
    order = order_in(S.SUBMITTED)
    order.absorb(said(S.ACCEPTED))
    order.absorb(replace(said(S.FILLED), broker_order_id=BrokerOrderId("")))
    assert order.broker_order_id == "b-1"


HISTORIES = st.sampled_from(
    [
        [*middle, end]
        for middle in ([], [S.ACCEPTED], [S.PARTIALLY_FILLED], [S.ACCEPTED, S.PARTIALLY_FILLED])
        for end in (*sorted(WORKING_ENDS), S.REJECTED)
        if not (end is S.REJECTED and S.PARTIALLY_FILLED in middle)
    ]
    + [[S.ACCEPTED], [S.PARTIALLY_FILLED], [S.ACCEPTED, S.PARTIALLY_FILLED]]
)


@given(st.data(), st.sampled_from([S.SUBMITTED, S.UNKNOWN]))
def test_reports_in_any_order_and_number_lead_to_the_same_state_and_never_back(
    data: st.DataObject, state: OrderState
) -> None:
    history = data.draw(HISTORIES)
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=6))
    shuffled = data.draw(st.permutations(history + repeated))
    order = order_in(state)
    ranks = [RANK[order.state]]
    for news in shuffled:
        before = order.state
        assert order.absorb(said(news)) is (order.state is not before)
        ranks.append(RANK[order.state])
    assert order.state is history[-1]
    assert ranks == sorted(ranks)


@given(st.lists(st.integers(-2, 6), max_size=12))
def test_filled_shares_only_grow_and_never_beyond_the_order(fills: list[int]) -> None:
    order = order_in(S.ACCEPTED)
    for qty in fills:
        before = order.filled_qty
        if 0 < qty <= 10 - before:
            order.count_fill(qty)
            assert order.filled_qty == before + qty
        else:
            with pytest.raises(BrokerProtocolError, match=f"fill of {qty} on {before}/10"):
                order.count_fill(qty)
            assert order.filled_qty == before
