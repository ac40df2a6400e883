"""The contract, put to the Alpaca adapter: over loopback, against a server that speaks Alpaca's protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from tests.alpaca_server import AlpacaServer, Hours
from tests.contract.broker_contract import BrokerContract, Prices, S, entry, stop
from tui_trader.core.orders import OrderState
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.broker import AlpacaBroker
from tui_trader.venues.alpaca.budget import RequestBudget
from tui_trader.venues.alpaca.lanes import RestLanes
from tui_trader.venues.base import (
    Acknowledged,
    BrokerAdapter,
    BrokerRequest,
    NotFound,
    OrderUpdate,
    Refusal,
    Refused,
    StreamState,
    SubmitOrder,
    Unclear,
    VenueMessage,
)

PATIENCE_S = 20.0
MORNING = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # a Wednesday, 10:00 in New York


class ServerTime:
    def __init__(self, server: AlpacaServer) -> None:
        self._server = server

    def now(self) -> datetime:
        return self._server.now


class Asked:
    """The broker, with a list of what was asked of it."""

    def __init__(self, broker: AlpacaBroker) -> None:
        self.inner = broker
        self.numbers: list[int] = []

    @property
    def account_id(self) -> str:
        return self.inner.account_id

    def request(self, request: BrokerRequest) -> None:
        self.numbers.append(request.request_id)
        self.inner.request(request)


class AlpacaDriver:
    """Trade updates are handed over when the suite settles, as a stream would."""

    broker: BrokerAdapter
    asked: Asked
    _lanes: RestLanes

    def __init__(self, server: AlpacaServer) -> None:
        self.server = server
        self.deaf = False  # the stream tells nothing
        self._access = AlpacaAccess(
            SecretStr(server.key_id), SecretStr(server.secret_key), paper=True, feed="iex",
            trading_url=server.trading_url, data_url=server.data_url,
            data_stream_url=server.data_stream_url, trading_stream_url=server.trading_stream_url,
        )  # fmt: skip
        self._news = threading.Condition()
        self._told = 0
        self.heard: list[VenueMessage] = []
        self._open()

    def _open(self) -> None:
        self._lanes = RestLanes(self._access, RequestBudget())
        self.broker = self.asked = Asked(
            AlpacaBroker("PA3TEST12345", self._lanes, self._hear, ServerTime(self.server))
        )

    def _hear(self, message: VenueMessage) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def settle(self) -> None:
        with self._news:
            assert self._news.wait_for(self._all_answered, PATIENCE_S)
        updates = self.server.updates
        for update in [] if self.deaf else updates[self._told :]:
            self.asked.inner.take_trade_update(json.loads(json.dumps(update)))
        self._told = len(updates)

    def _all_answered(self) -> bool:
        answered = {getattr(message, "request_id", None) for message in self.heard}
        return answered.issuperset(self.asked.numbers)

    def bar(self, prices: Prices) -> None:
        self.server.play_minute({S: prices})
        self.settle()

    def close(self) -> None:
        self.server.now = MORNING.replace(hour=21)
        self.settle()

    def reopen(self) -> None:
        self._lanes.close()
        self._open()

    def end(self) -> None:
        self._lanes.close()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaDriver]:
    monkeypatch.setenv("NO_PROXY", "*")
    with AlpacaServer({S: 100.0}, now=MORNING, hours=Hours.regular(), cash=50_000.0) as server:
        running = AlpacaDriver(server)
        yield running
        running.end()


class TestAlpacaBroker(BrokerContract):
    """The contract, and what is Alpaca's own."""

    # ---- answers that are lost -------------------------------------------------------------------

    @pytest.mark.parametrize("fault", ["gateway_timeout", "html_502", "garbage", "reset"])
    def test_an_order_whose_answer_was_lost_is_found_by_asking(
        self, driver: AlpacaDriver, fault: str
    ) -> None:
        getattr(driver.server.rest_faults, fault)("POST", done=True)
        assert isinstance(self.submit(driver, entry("a-E1")), Unclear)
        assert self.report(driver, "a-E1").state is OrderState.ACCEPTED
        assert len(driver.server.requests_of("POST", "/orders")) == 1

    def test_an_order_that_arrives_late_is_unknown_first_and_a_duplicate_later(
        self, driver: AlpacaDriver
    ) -> None:
        driver.server.rest_faults.late("POST")
        assert isinstance(self.submit(driver, entry("a-E1")), Unclear)
        assert isinstance(self.query(driver, "a-E1"), NotFound)
        driver.server.carry_out_late()
        answer = self.submit(driver, entry("a-E1"))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.DUPLICATE_ID
        assert len(self.snapshot(driver).orders) == 1

    def test_a_429_is_certainly_not_done(self, driver: AlpacaDriver) -> None:
        driver.server.rest_faults.rate_limited("POST")
        answer = self.submit(driver, stop("a-S1"))
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.RATE_LIMITED
        assert not driver.server.orders()

    def test_a_page_of_a_proxy_that_says_404_is_not_taken_for_an_unknown_order(
        self, driver: AlpacaDriver
    ) -> None:
        self.submit(driver, entry("a-E1"))
        driver.server.rest_faults.status(404, "<html>nothing here</html>", "GET")
        assert isinstance(self.query(driver, "a-E1"), Unclear)

    def test_a_request_that_hangs_holds_up_no_other(self, driver: AlpacaDriver) -> None:
        driver.server.rest_faults.hang("POST", times=3)
        for number, name in enumerate(("a", "b", "c"), start=1_000_000):
            driver.asked.inner.request(SubmitOrder(number, entry(f"{name}-E1", qty=1)))
        assert driver.server.wait_until(lambda: len(driver.server.requests_of("POST")) == 3)
        assert isinstance(self.submit(driver, entry("d-E1", qty=1)), Acknowledged)
        driver.server.release_hanging()

    def test_revoked_keys_are_told_as_a_disconnection_and_refuse_everything(
        self, driver: AlpacaDriver
    ) -> None:
        self.submit(driver, entry("a-E1"))
        driver.server.revoke_keys()
        assert isinstance(self.cancel(driver, "a-E1"), Refused)
        states = [m.state for m in driver.heard if isinstance(m, StreamState)]
        assert states == ["connected", "disconnected"]

    # ---- replaces --------------------------------------------------------------------------------

    def test_a_replace_whose_answer_was_lost_is_found_by_asking(self, driver: AlpacaDriver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1", "99.50"))
        driver.server.rest_faults.gateway_timeout("PATCH", done=True)
        assert isinstance(self.replace(driver, "b-S1", stop("b-S2", "99.80")), Unclear)
        assert self.report(driver, "b-S2").state is OrderState.ACCEPTED
        assert self.report(driver, "b-S1").replaced_by == "b-S2"

    def test_the_old_order_counts_until_the_replacement_has_taken_its_place(
        self, driver: AlpacaDriver
    ) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1", "99.50"))
        driver.server.order_faults.slow_replace()
        assert self.replace(driver, "b-S1", stop("b-S2", "99.80")) == Acknowledged(driver.asked.numbers[-1])
        [working] = self.snapshot(driver).orders
        assert working.client_order_id == "b-S1"
        driver.server.release_replaces()
        driver.settle()
        [working] = self.snapshot(driver).orders
        assert working.client_order_id == "b-S2"

    def test_a_replace_that_loses_the_race_against_a_fill_is_rejected(self, driver: AlpacaDriver) -> None:
        self.buy(driver)
        self.submit(driver, stop("b-S1", "99.50"))
        driver.server.order_faults.slow_replace()
        self.replace(driver, "b-S1", stop("b-S2", "99.80"))
        driver.bar((99.9, 99.9, 99.4, 99.4))
        driver.server.release_replaces()
        driver.settle()
        assert self.report(driver, "b-S1").state is OrderState.FILLED
        assert self.report(driver, "b-S2").state is OrderState.REJECTED

    # ---- cancels ---------------------------------------------------------------------------------

    def test_a_cancel_that_sticks_leaves_the_order_working(self, driver: AlpacaDriver) -> None:
        self.submit(driver, entry("a-E1"))
        driver.server.order_faults.stick_cancel()
        assert isinstance(self.cancel(driver, "a-E1"), Acknowledged)
        assert self.report(driver, "a-E1").state is OrderState.ACCEPTED
        driver.server.release_cancels()
        assert self.report(driver, "a-E1").state is OrderState.CANCELED

    # ---- fills -----------------------------------------------------------------------------------

    def test_a_fill_that_the_stream_kept_to_itself_is_found_by_asking(self, driver: AlpacaDriver) -> None:
        driver.deaf = True
        self.buy(driver)
        assert not [m for m in driver.heard if isinstance(m, OrderUpdate)]
        answer = self.query(driver, "b-E1")
        assert isinstance(answer, Acknowledged)
        assert [execution.qty for execution in answer.executions] == [100]
        assert self.snapshot(driver).executions == answer.executions

    def test_a_partial_fill_is_told_by_each_source_as_the_same_execution(self, driver: AlpacaDriver) -> None:
        driver.server.order_faults.fill_only(40)
        self.buy(driver)
        driver.server.release_fills()
        driver.settle()
        streamed = [m.execution for m in driver.heard if isinstance(m, OrderUpdate) and m.execution]
        assert [execution.qty for execution in streamed] == [40, 60]
        driver.reopen()  # what the stream told is forgotten
        assert self.snapshot(driver).executions == tuple(streamed)

    # ---- other people ----------------------------------------------------------------------------

    def test_orders_of_others_are_seen_and_break_nothing(self, driver: AlpacaDriver) -> None:
        server = driver.server
        server.foreign_order(S, "buy", "market", 1.5, client_order_id="fraction")
        server.foreign_order(S, "buy", "market", None, notional=25.0, client_order_id="dollars")
        server.foreign_order(
            S, "buy", "limit", 5, limit_price=90.0, client_order_id="strange",
            shape={"status": "levitating", "type": "sideways", "order_class": "knot"},
        )  # fmt: skip
        server.foreign_order(
            S, "buy", "limit", 5, limit_price=90.0, client_order_id="bracket",
            shape={"legs": [{"id": "leg", "symbol": S, "side": None}, None]},
        )  # fmt: skip
        driver.settle()
        after = self.snapshot(driver)
        assert [report.client_order_id for report in after.orders] == ["bracket"]
        assert [(position.symbol, position.qty) for position in after.positions] == [(S, 1)]
        assert [(e.client_order_id, e.qty) for e in after.executions] == [("fraction", 1)]
