"""What every broker adapter must do: one suite, put to each venue by a small driver."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Protocol, TypeVar

from tui_trader.core.orders import (
    ClientOrderId,
    OrderReport,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
    TimeInForce,
)
from tui_trader.venues.base import (
    Acknowledged,
    BrokerAdapter,
    BrokerRequest,
    BrokerSnapshot,
    CancelOrder,
    NotFound,
    OrderUpdate,
    QueryOrder,
    QuerySnapshot,
    Refusal,
    Refused,
    ReplaceOrder,
    SubmitOrder,
    VenueMessage,
)

S = "AAA"
Prices = tuple[float, float, float, float]
M = TypeVar("M")


class Driver(Protocol):
    """A venue in the hands of the suite. The market stands at 100 until ``bar`` moves it."""

    broker: BrokerAdapter
    heard: list[VenueMessage]

    def settle(self) -> None:
        """Until everything asked so far is answered and told."""

    def bar(self, prices: Prices) -> None:
        """Trade one minute: open, high, low, close."""

    def close(self) -> None:
        """End the session."""

    def reopen(self) -> None:
        """The program ends and another goes on with the same account."""


class BrokerContract:
    """Subclass it with a fixture ``driver``."""

    _numbers = count(1)

    # ---- short ways to say things ----------------------------------------------------------------

    def ask(self, driver: Driver, request: Callable[[int], BrokerRequest]) -> VenueMessage:
        """The one answer to a request."""
        number = next(self._numbers)
        before = len(driver.heard)
        driver.broker.request(request(number))
        driver.settle()
        answers = [m for m in driver.heard[before:] if getattr(m, "request_id", None) == number]
        assert len(answers) == 1
        return answers[0]

    def submit(self, driver: Driver, spec: OrderSpec) -> VenueMessage:
        return self.ask(driver, lambda number: SubmitOrder(number, spec))

    def query(self, driver: Driver, identity: str) -> VenueMessage:
        return self.ask(driver, lambda number: QueryOrder(number, ClientOrderId(identity)))

    def cancel(self, driver: Driver, identity: str) -> VenueMessage:
        return self.ask(driver, lambda number: CancelOrder(number, ClientOrderId(identity), None))

    def replace(self, driver: Driver, identity: str, spec: OrderSpec) -> VenueMessage:
        return self.ask(driver, lambda number: ReplaceOrder(number, ClientOrderId(identity), None, spec))

    def snapshot(self, driver: Driver) -> BrokerSnapshot:
        answer = self.ask(driver, lambda number: QuerySnapshot(number, None))
        assert isinstance(answer, BrokerSnapshot)
        return answer

    def report(self, driver: Driver, identity: str) -> OrderReport:
        answer = self.query(driver, identity)
        assert isinstance(answer, Acknowledged)
        assert answer.report is not None
        return answer.report

    def buy(self, driver: Driver, identity: str = "b-E1", qty: int = 100) -> None:
        """Shares at about 100.10, by an entry that triggers."""
        self.submit(driver, entry(identity, qty))
        driver.bar((100.0, 100.5, 100.0, 100.4))
        driver.settle()

    # ---- submit ----------------------------------------------------------------------------------

    def test_a_submitted_order_is_acknowledged_and_works(self, driver: Driver) -> None:
        answer = self.submit(driver, entry("a-E1"))
        assert isinstance(answer, Acknowledged)
        assert answer.report is not None
        assert answer.report.state is OrderState.ACCEPTED
        assert answer.report.broker_order_id
        assert (answer.report.qty, answer.report.filled_qty) == (100, 0)
        assert [order.client_order_id for order in self.snapshot(driver).orders] == ["a-E1"]

    def test_an_id_is_taken_only_once(self, driver: Driver) -> None:
        self.submit(driver, entry("a-E1"))
        answer = self.submit(driver, entry("a-E1"))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.DUPLICATE_ID
        assert len(self.snapshot(driver).orders) == 1

    def test_an_id_stays_taken_when_its_order_has_ended(self, driver: Driver) -> None:
        self.submit(driver, entry("a-E1"))
        self.cancel(driver, "a-E1")
        answer = self.submit(driver, entry("a-E1"))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.DUPLICATE_ID

    def test_more_than_the_cash_buys_nothing(self, driver: Driver) -> None:
        answer = self.submit(driver, entry("a-E1", qty=1_000_000))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.BUYING_POWER
        assert not self.snapshot(driver).orders

    def test_sells_beyond_holdings_are_refused(self, driver: Driver) -> None:
        answer = self.submit(driver, market("a-X1", 1))
        assert isinstance(answer, Refused)
        self.buy(driver)
        answer = self.submit(driver, market("a-X2", 101))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.SHARES_HELD

    def test_shares_that_a_working_stop_would_sell_are_held(self, driver: Driver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1"))
        answer = self.submit(driver, market("b-X1", 100))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.SHARES_HELD
        self.cancel(driver, "b-S1")
        assert isinstance(self.submit(driver, market("b-X2", 100)), Acknowledged)

    # ---- query -----------------------------------------------------------------------------------

    def test_an_unknown_order_is_not_found(self, driver: Driver) -> None:
        assert isinstance(self.query(driver, "nobody-E1"), NotFound)

    def test_an_order_can_be_asked_for_by_our_id_with_all_its_fills(self, driver: Driver) -> None:
        self.buy(driver)
        answer = self.query(driver, "b-E1")
        assert isinstance(answer, Acknowledged)
        assert answer.report is not None
        assert answer.report.state is OrderState.FILLED
        assert answer.report.filled_qty == 100
        assert sum(execution.qty for execution in answer.executions) == 100

    # ---- cancel ----------------------------------------------------------------------------------

    def test_a_cancelled_order_no_longer_works(self, driver: Driver) -> None:
        self.submit(driver, entry("a-E1"))
        assert isinstance(self.cancel(driver, "a-E1"), Acknowledged)
        assert self.report(driver, "a-E1").state is OrderState.CANCELED
        driver.bar((100.0, 101.0, 100.0, 101.0))
        assert not self.snapshot(driver).positions

    def test_a_filled_order_cannot_be_cancelled(self, driver: Driver) -> None:
        self.buy(driver)
        answer = self.cancel(driver, "b-E1")
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.NOT_WORKING
        assert self.report(driver, "b-E1").state is OrderState.FILLED

    # ---- replace ---------------------------------------------------------------------------------

    def test_a_replace_leaves_exactly_the_new_order(self, driver: Driver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1", "99.50"))
        answer = self.replace(driver, "b-S1", stop("b-S2", "99.80"))
        assert isinstance(answer, Acknowledged)
        [working] = self.snapshot(driver).orders
        assert (working.client_order_id, working.stop_price) == ("b-S2", Decimal("99.80"))
        old = self.report(driver, "b-S1")
        assert (old.state, old.replaced_by) == (OrderState.REPLACED, "b-S2")

    def test_a_refused_replace_leaves_exactly_the_old_order(self, driver: Driver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1", "99.50"))
        assert isinstance(self.replace(driver, "b-S1", stop("b-S2", "99.80", qty=101)), Refused)
        [working] = self.snapshot(driver).orders
        assert (working.client_order_id, working.stop_price) == ("b-S1", Decimal("99.50"))
        assert isinstance(self.query(driver, "b-S2"), NotFound)

    def test_an_order_that_has_filled_cannot_be_replaced(self, driver: Driver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1", "99.50"))
        driver.bar((100.4, 100.4, 99.0, 99.0))
        driver.bar((99.0, 99.0, 98.9, 98.9))
        answer = self.replace(driver, "b-S1", stop("b-S2", "99.80"))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.NOT_WORKING

    # ---- fills -----------------------------------------------------------------------------------

    def test_a_fill_is_told_once_with_its_execution(self, driver: Driver) -> None:
        self.buy(driver)
        told = [m for m in driver.heard if isinstance(m, OrderUpdate) and m.execution is not None]
        [update] = told
        assert update.report.state is OrderState.FILLED
        assert update.execution is not None
        assert (update.execution.qty, update.execution.side) == (100, Side.BUY)
        [position] = self.snapshot(driver).positions
        assert (position.symbol, position.qty) == (S, 100)
        assert position.avg_entry_price == update.execution.price

    def test_a_stop_limit_entry_waits_for_its_stop_price(self, driver: Driver) -> None:
        self.submit(driver, entry("a-E1"))
        driver.bar((100.0, 100.05, 99.9, 100.0))
        assert not self.snapshot(driver).positions
        driver.bar((100.0, 100.2, 100.0, 100.2))
        driver.settle()
        [execution] = self.snapshot(driver).executions
        assert Decimal("100.10") <= execution.price <= Decimal("100.40")

    def test_a_stop_limit_entry_pays_no_more_than_its_limit(self, driver: Driver) -> None:
        self.submit(driver, entry("a-E1"))
        driver.bar((102.0, 102.5, 101.5, 102.0))
        driver.bar((102.0, 102.5, 101.5, 102.0))
        assert not self.snapshot(driver).positions

    def test_a_protective_stop_sells_when_price_reaches_it(self, driver: Driver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1", "99.50"))
        driver.bar((100.4, 100.4, 99.6, 99.6))
        assert self.snapshot(driver).positions
        driver.bar((99.6, 99.6, 99.4, 99.4))
        driver.bar((99.4, 99.4, 99.4, 99.4))
        assert not self.snapshot(driver).positions
        assert self.report(driver, "b-S1").state is OrderState.FILLED

    def test_cash_and_shares_change_hands_together(self, driver: Driver) -> None:
        before = self.snapshot(driver).account.cash
        self.buy(driver)
        after = self.snapshot(driver)
        paid = sum(execution.qty * execution.price for execution in after.executions)
        assert after.account.cash == before - paid

    # ---- the end of the day, and of the program --------------------------------------------------

    def test_a_day_order_expires_at_the_close_and_is_told(self, driver: Driver) -> None:
        self.submit(driver, entry("a-E1"))
        driver.close()
        states = [m.report.state for m in driver.heard if isinstance(m, OrderUpdate)]
        assert states[-1] is OrderState.EXPIRED
        assert not self.snapshot(driver).orders

    def test_a_stop_that_is_good_till_cancelled_outlives_the_close(self, driver: Driver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1"))
        driver.close()
        [working] = self.snapshot(driver).orders
        assert working.client_order_id == "b-S1"

    def test_everything_survives_the_end_of_the_program(self, driver: Driver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1"))
        before = self.snapshot(driver)
        driver.reopen()
        after = self.snapshot(driver)
        assert after.account == before.account
        assert after.positions == before.positions
        assert after.orders == before.orders
        assert after.executions == before.executions
        answer = self.submit(driver, stop("b-S1"))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.DUPLICATE_ID


def entry(identity: str, qty: int = 100) -> OrderSpec:
    return OrderSpec(
        ClientOrderId(identity), S, Role.ENTRY, Side.BUY, OrderType.STOP_LIMIT, qty, Decimal("100.40"),
        Decimal("100.10"),
    )  # fmt: skip


def stop(identity: str, price: str = "99.50", qty: int = 100) -> OrderSpec:
    return OrderSpec(
        ClientOrderId(identity), S, Role.STOP, Side.SELL, OrderType.STOP, qty, stop_price=Decimal(price),
        time_in_force=TimeInForce.GTC,
    )  # fmt: skip


def market(identity: str, qty: int) -> OrderSpec:
    return OrderSpec(ClientOrderId(identity), S, Role.EXIT, Side.SELL, OrderType.MARKET, qty)
