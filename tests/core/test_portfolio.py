"""Cash, positions and trades, from fills alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import minute
from tui_trader.core.orders import BrokerProtocolError, ClientOrderId, Execution, ExecutionId, Side
from tui_trader.core.portfolio import ClosedTrade, Portfolio

D = Decimal


def fill(side: Side, qty: int, price: str | Decimal, at: int = 0, symbol: str = "AAPL") -> Execution:
    return Execution(ExecutionId(f"x{at}"), ClientOrderId("o"), symbol, side, qty, D(price), minute(at))


def apply(portfolio: Portfolio, *fills: Execution) -> ClosedTrade | None:
    closed = None
    for one in fills:
        closed = portfolio.apply(one, "velez", D("0.50"))
    return closed


def test_a_purchase_moves_cash_into_a_position() -> None:
    portfolio = Portfolio(D(1000))
    assert apply(portfolio, fill(Side.BUY, 10, "20.05")) is None
    assert portfolio.cash == D("799.50")
    position = portfolio.positions["AAPL"]
    assert (position.qty, position.avg_entry_price, position.planned_risk) == (10, D("20.05"), D("5.00"))
    assert portfolio.qty("AAPL") == 10
    assert portfolio.qty("TSLA") == 0


def test_the_closing_sale_makes_the_trade() -> None:
    portfolio = Portfolio(D(1000))
    trade = apply(portfolio, fill(Side.BUY, 10, "20.05", 3), fill(Side.SELL, 10, "21", 7))
    assert trade == ClosedTrade(
        "AAPL", "velez", 10, D("20.05"), D(21), minute(3), minute(7), D("9.50"), D("5.00")
    )
    assert portfolio.cash == D("1009.50")
    assert not portfolio.positions


def test_partial_fills_average_and_the_trade_is_one() -> None:
    portfolio = Portfolio(D(10_000))
    trade = apply(
        portfolio,
        fill(Side.BUY, 10, "20", 0),
        fill(Side.BUY, 30, "22", 1),
        fill(Side.SELL, 15, "23", 2),
        fill(Side.SELL, 25, "24", 3),
    )
    assert trade is not None
    assert (trade.qty, trade.entry_price, trade.exit_price) == (40, D("21.5"), D("23.625"))
    assert (trade.entry_time, trade.exit_time) == (minute(0), minute(3))
    assert (trade.pnl, trade.planned_risk) == (D(85), D(20))


def test_a_partial_exit_leaves_the_rest_at_the_same_entry_price() -> None:
    portfolio = Portfolio(D(1000))
    assert apply(portfolio, fill(Side.BUY, 10, "20", 0), fill(Side.SELL, 4, "25", 1)) is None
    position = portfolio.positions["AAPL"]
    assert (position.qty, position.avg_entry_price, position.exit_time) == (6, D(20), minute(1))
    assert position.unrealized_pnl(21.5) == D("9.0")


@pytest.mark.parametrize("held", [0, 9])
def test_selling_more_than_is_held_is_refused_and_changes_nothing(held: int) -> None:
    portfolio = Portfolio(D(1000))
    if held:
        apply(portfolio, fill(Side.BUY, held, "20"))
    cash = portfolio.cash
    with pytest.raises(BrokerProtocolError, match=f"sold 10 of {held} held"):
        apply(portfolio, fill(Side.SELL, 10, "20"))
    assert (portfolio.cash, portfolio.qty("AAPL")) == (cash, held)


def test_equity_is_cash_and_positions_at_their_last_close() -> None:
    portfolio = Portfolio(D(1000))
    apply(portfolio, fill(Side.BUY, 10, "20"), fill(Side.BUY, 5, "30", symbol="TSLA"))
    assert portfolio.equity() == D(1000), "before the first close a position counts at its entry price"
    portfolio.mark("AAPL", 20.1)
    portfolio.mark("AMD", 7.0)
    assert (portfolio.equity(), portfolio.market_value()) == (D("1001.0"), D("351.0"))
    assert (portfolio.last("AAPL"), portfolio.last("MSFT")) == (20.1, None)


def test_positions_rebuilt_from_earlier_fills_leave_cash_as_the_broker_told_it() -> None:
    portfolio = Portfolio(D(500))
    portfolio.adopt([(fill(Side.BUY, 10, "20"), "velez", D(1)), (fill(Side.SELL, 4, "21"), "velez", D(1))])
    assert (portfolio.cash, portfolio.qty("AAPL")) == (D(500), 6)


cents = st.integers(1, 100_000).map(lambda n: D(n) / 100)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50), cents), max_size=30))
def test_what_trades_earned_is_what_cash_gained_once_flat(steps: list[tuple[bool, int, Decimal]]) -> None:
    portfolio = Portfolio(D(10**6))
    earned = D(0)
    at = 0
    for buying, qty, price in [*steps, (False, 10**6, D("5.55"))]:
        at += 1
        held = portfolio.qty("AAPL")
        if not buying and not held:
            continue
        side = Side.BUY if buying else Side.SELL
        trade = apply(portfolio, fill(side, qty if buying else min(qty, held), price, at))
        if trade is not None:
            earned += trade.pnl
            assert abs((trade.exit_price - trade.entry_price) * trade.qty - trade.pnl) < D("1e-15")
            assert trade.exit_time - trade.entry_time >= timedelta(0)
    assert portfolio.cash - D(10**6) == earned
    assert portfolio.equity() == portfolio.cash


def test_times_are_those_of_the_fills() -> None:
    portfolio = Portfolio(D(1000))
    apply(portfolio, fill(Side.BUY, 1, "1", 5), fill(Side.BUY, 1, "1", 6))
    entered: datetime = portfolio.positions["AAPL"].entry_time
    assert entered == minute(5)
