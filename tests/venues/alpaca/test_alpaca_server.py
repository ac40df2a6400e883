"""The test exchange speaks Alpaca's language: alpaca-py itself is the judge of that."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.enums import DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import StockBarsRequest, StockLatestTradeRequest, StockSnapshotRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
)
from alpaca.trading.stream import TradingStream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.alpaca_server import AlpacaServer, Hours, MinuteBar, Stream
from tests.alpaca_server.account import Account
from tests.alpaca_server.book import Book
from tests.alpaca_server.errors import ApiError
from tests.alpaca_server.market import RandomWalk
from tests.alpaca_server.order_faults import OrderFaults
from tests.alpaca_server.orders import News, Side, Ticket, Type
from tests.alpaca_server.rules import Asset
from tests.alpaca_server.stamps import nanos_of, parse, utc_text

NOON = datetime(2026, 11, 18, 17, 0, tzinfo=UTC)
S = "AAA"
ROOT = Path(__file__).parents[3]
MINUTE = timedelta(minutes=1)
#: alpaca-py's methods return models or plain JSON; which of them, a type checker cannot know.
Client = Any


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer({S: 100.0, "BBB": 50.0, "CCC": 20.0}, now=NOON) as running:
        yield running


@pytest.fixture
def client(server: AlpacaServer) -> Client:
    return trading_client(server)


@pytest.fixture
def data(server: AlpacaServer) -> Client:
    client = StockHistoricalDataClient(server.key_id, server.secret_key, url_override=server.data_url)
    client._retry = 0
    return client


def trading_client(server: AlpacaServer) -> Client:
    client = TradingClient(server.key_id, server.secret_key, url_override=server.trading_url)
    client._retry = 0
    return client


def entry(identity: str = "a-E1", qty: int = 100, stop: float = 100.1, limit: float = 100.4) -> Any:
    return StopLimitOrderRequest(
        symbol=S, qty=qty, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, stop_price=stop,
        limit_price=limit, client_order_id=identity,
    )  # fmt: skip


def stop(identity: str = "a-S1", qty: int = 100, price: float = 99.5) -> Any:
    return StopOrderRequest(
        symbol=S, qty=qty, side=OrderSide.SELL, time_in_force=TimeInForce.GTC, stop_price=price,
        client_order_id=identity,
    )  # fmt: skip


def market(identity: str = "a-X1", qty: int = 100, side: OrderSide = OrderSide.SELL) -> Any:
    return MarketOrderRequest(
        symbol=S, qty=qty, side=side, time_in_force=TimeInForce.DAY, client_order_id=identity
    )


def bought(server: AlpacaServer, client: Client, qty: int = 100) -> None:
    """Shares at 100.10."""
    client.submit_order(entry("b-E1", qty))
    server.play_minute({S: (100.0, 100.5, 100.0, 100.4)})


def refusal(ask: Callable[[], object]) -> tuple[int, int, str]:
    """Status, code and message of what the server refuses."""
    with pytest.raises(APIError) as caught:
        ask()
    return caught.value.status_code, caught.value.code, caught.value.message


def events(server: AlpacaServer) -> list[object]:
    return [update["event"] for update in server.updates]


# ---- account, clock, calendar, assets ------------------------------------------------------------------


def test_the_official_client_reads_account_clock_and_assets(client: Client) -> None:
    account = client.get_account()
    assert (account.cash, account.buying_power, account.status) == ("100000", "100000", "ACTIVE")
    clock = client.get_clock()
    assert clock.is_open
    assert clock.timestamp == NOON
    assert [asset.symbol for asset in client.get_all_assets()] == [S, "BBB", "CCC"]
    assert client.get_asset("BBB").tradable
    assert refusal(lambda: client.get_asset("ZZZ"))[0] == 404


def test_the_calendar_lists_half_days_and_leaves_closed_days_out() -> None:
    thanksgiving, friday = date(2026, 11, 26), date(2026, 11, 27)
    half = (clock_time(9, 30), clock_time(13, 0))
    hours = Hours.regular({thanksgiving: None, friday: half})
    with AlpacaServer({S: 100.0}, now=NOON, hours=hours) as server:
        client = trading_client(server)
        days = client.get_calendar(GetCalendarRequest(start=date(2026, 11, 25), end=date(2026, 11, 30)))
        assert [day.date.day for day in days] == [25, 27, 30]
        assert [day.close.hour for day in days] == [16, 13, 16]
        server.now = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
        clock = client.get_clock()
        assert not clock.is_open
        assert clock.next_open == datetime(2026, 11, 30, 14, 30, tzinfo=UTC)


def test_wrong_and_revoked_keys_are_refused(server: AlpacaServer, client: Client) -> None:
    stranger = TradingClient("PKNOBODY", "nothing", url_override=server.trading_url)
    assert refusal(stranger.get_account)[:2] == (401, 40110000)
    server.revoke_keys()
    assert refusal(client.get_account)[0] == 401
    server.revoke_keys(revoked=False)
    assert client.get_account().status == "ACTIVE"


def test_an_account_can_be_told_as_blocked(server: AlpacaServer, client: Client) -> None:
    server.shape_account(trading_blocked=True)
    assert client.get_account().trading_blocked


# ---- orders --------------------------------------------------------------------------------------------


def test_an_order_is_pending_in_the_answer_and_new_right_after(client: Client) -> None:
    order = client.submit_order(entry())
    assert (order.status, order.qty, order.stop_price) == (OrderStatus.PENDING_NEW, "100", "100.1")
    assert client.get_order_by_client_id("a-E1").status is OrderStatus.NEW
    assert client.get_order_by_id(order.id).client_order_id == "a-E1"


def test_order_json_has_every_field_as_text_with_nanoseconds(client: Client) -> None:
    client.submit_order(entry())
    raw = TradingClient(
        client._api_key, client._secret_key, raw_data=True, url_override=str(client._base_url)
    ).get_order_by_client_id("a-E1")
    assert isinstance(raw, dict)
    assert {*raw} == {
        "id", "client_order_id", "created_at", "updated_at", "submitted_at", "filled_at", "expired_at",
        "expires_at", "canceled_at", "failed_at", "replaced_at", "replaced_by", "replaces", "asset_id",
        "symbol", "asset_class", "notional", "qty", "filled_qty", "filled_avg_price", "order_class",
        "order_type", "type", "side", "position_intent", "time_in_force", "limit_price", "stop_price",
        "status", "extended_hours", "legs", "trail_percent", "trail_price", "hwm", "subtag", "source",
    }  # fmt: skip
    assert (raw["qty"], raw["filled_qty"], raw["limit_price"], raw["legs"]) == ("100", "0", "100.4", None)
    assert raw["order_class"] == ""
    assert len(raw["created_at"]) == len("2026-11-18T17:00:00.000000000Z")


def test_a_stop_limit_entry_fills_where_the_path_reaches_its_stop(
    server: AlpacaServer, client: Client
) -> None:
    bought(server, client)
    order = client.get_order_by_client_id("b-E1")
    assert (order.status, order.filled_qty, order.filled_avg_price) == (OrderStatus.FILLED, "100", "100.1")
    [position] = client.get_all_positions()
    assert (position.symbol, position.qty, position.avg_entry_price) == (S, "100", "100.1")
    assert server.cash == Decimal(100_000) - 100 * Decimal("100.1")
    assert events(server) == ["pending_new", "new", "fill"]


def test_a_stop_limit_entry_pays_no_more_than_its_limit(server: AlpacaServer, client: Client) -> None:
    client.submit_order(entry())
    server.play_minute({S: (102.0, 102.5, 101.5, 102.0)})
    assert not server.positions()
    server.play_minute({S: (101.0, 101.0, 100.0, 100.2)})
    assert client.get_order_by_client_id("a-E1").filled_avg_price == "100.4"


def test_a_sell_stop_sells_at_the_price_that_gaps_through_it(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    client.submit_order(stop())
    server.trade(S, 97.0)
    assert client.get_order_by_client_id("a-S1").filled_avg_price == "97"
    assert not server.positions()


def test_a_market_order_fills_at_once_at_the_last_price(server: AlpacaServer, client: Client) -> None:
    client.submit_order(market("a-E1", 10, OrderSide.BUY))
    assert client.get_order_by_client_id("a-E1").filled_avg_price == "100"


def test_an_id_is_unique_even_after_its_order_has_ended(client: Client) -> None:
    order = client.submit_order(entry())
    client.cancel_order_by_id(order.id)
    wanted = (422, 40010001, "client_order_id must be unique")
    assert refusal(lambda: client.submit_order(entry())) == wanted
    assert refusal(lambda: client.submit_order(entry("x" * 129)))[0] == 422


@pytest.mark.parametrize(
    ("ask", "status", "code", "words"),
    [
        (lambda: entry(stop=100.101), 422, 42210000, "sub-penny increment"),
        (lambda: entry(qty=100_000), 403, 40310000, "insufficient buying power"),
        (lambda: market(qty=101), 403, 40310000, "(requested: 101, available: 100)"),
        (lambda: stop(price=100.5), 422, 42210000, "stop price must be less than current price"),
    ],
)
def test_the_desk_refuses_with_alpacas_words(
    server: AlpacaServer, client: Client, ask: Callable[[], Any], status: int, code: int, words: str
) -> None:
    bought(server, client)
    told_status, told_code, message = refusal(lambda: client.submit_order(ask()))
    assert (told_status, told_code) == (status, code)
    assert words in message


def test_unknown_orders_and_positions_are_not_found(client: Client) -> None:
    assert refusal(lambda: client.get_order_by_client_id("nobody"))[:2] == (404, 40410000)
    wanted = (404, 40410000, "position does not exist")
    assert refusal(lambda: client.get_open_position(S)) == wanted


def test_nothing_can_be_sold_that_is_not_held(client: Client) -> None:
    assert refusal(lambda: client.submit_order(market()))[:2] == (403, 40310000)


def test_a_working_stop_reserves_its_shares(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    order = client.submit_order(stop())
    assert refusal(lambda: client.submit_order(market()))[:2] == (403, 40310000)
    assert refusal(lambda: client.close_position(S))[:2] == (403, 40310000)
    assert client.get_open_position(S).qty_available == "0"
    client.cancel_order_by_id(order.id)
    assert client.submit_order(market("a-X2")).status is OrderStatus.PENDING_NEW


def test_a_stop_and_an_opposite_order_are_a_wash(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    client.submit_order(stop())
    message = refusal(lambda: client.submit_order(entry("c-E1", 1, 101.0, 101.5)))[2]
    assert message == "potential wash trade detected. use complex orders"


def test_two_limits_clash_only_when_they_could_meet(server: AlpacaServer, client: Client) -> None:
    bought(server, client)

    def limit(side: OrderSide, price: float) -> Any:
        return LimitOrderRequest(symbol=S, qty=1, side=side, time_in_force=TimeInForce.DAY, limit_price=price)

    client.submit_order(limit(OrderSide.SELL, 105.0))
    client.submit_order(limit(OrderSide.BUY, 99.0))
    assert "wash trade" in refusal(lambda: client.submit_order(limit(OrderSide.BUY, 105.0)))[2]


def test_a_filled_order_cannot_be_cancelled(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    filled = client.get_order_by_client_id("b-E1")
    wanted = (422, 42210000, 'order is already in "filled" state')
    assert refusal(lambda: client.cancel_order_by_id(filled.id)) == wanted


def test_a_replace_makes_a_new_order_that_points_to_the_old(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    old = client.submit_order(stop())
    new = client.replace_order_by_id(old.id, ReplaceOrderRequest(stop_price=99.8, client_order_id="a-S2"))
    assert (new.replaces, new.stop_price, new.qty) == (old.id, "99.8", "100")
    before = client.get_order_by_id(old.id)
    assert (before.status, before.replaced_by) == (OrderStatus.REPLACED, new.id)
    assert [order["client_order_id"] for order in server.working()] == ["a-S2"]
    assert events(server)[-2:] == ["replaced", "new"]
    same = ReplaceOrderRequest(stop_price=99.8, client_order_id="a-S3")
    wanted = (422, 42210000, "order parameters are not changed")
    assert refusal(lambda: client.replace_order_by_id(new.id, same)) == wanted


def test_after_a_partial_fill_a_replace_asks_for_the_whole_quantity_again(
    server: AlpacaServer, client: Client
) -> None:
    client.submit_order(entry())
    server.order_faults.fill_only(40)
    server.trade(S, 100.2)
    old = client.get_order_by_client_id("a-E1")
    assert (old.status, old.filled_qty) == (OrderStatus.PARTIALLY_FILLED, "40")
    new = client.replace_order_by_id(old.id, ReplaceOrderRequest(limit_price=100.5))
    assert (new.qty, new.filled_qty) == ("100", "0")


def test_orders_are_listed_by_status_direction_symbol_and_time(server: AlpacaServer, client: Client) -> None:
    for number in range(4):
        client.submit_order(entry(f"a-E{number}", 1))
    client.cancel_order_by_id(client.get_order_by_client_id("a-E1").id)

    def listed(**wanted: Any) -> list[str]:
        orders = client.get_orders(GetOrdersRequest(**wanted))
        return [order.client_order_id for order in orders]

    assert listed() == ["a-E3", "a-E2", "a-E0"]
    assert listed(status=QueryOrderStatus.ALL, direction="asc", limit=2) == ["a-E0", "a-E1"]
    assert listed(status=QueryOrderStatus.CLOSED) == ["a-E1"]
    assert listed(symbols=["BBB"]) == []
    assert listed(status=QueryOrderStatus.ALL, after=NOON + MINUTE) == []
    server.advance(60)
    client.submit_order(entry("a-E9", 1))
    assert listed(status=QueryOrderStatus.ALL, after=NOON + MINUTE - timedelta(seconds=1)) == ["a-E9"]


def test_fills_are_paged_as_activities(server: AlpacaServer, client: Client) -> None:
    for number in range(5):
        client.submit_order(market(f"a-E{number}", 1, OrderSide.BUY))
    seen: list[dict[str, Any]] = []
    page = client.get("/account/activities/FILL", {"direction": "asc", "page_size": 2})
    while page:
        seen += page
        token = {"direction": "asc", "page_size": 2, "page_token": seen[-1]["id"]}
        page = client.get("/account/activities/FILL", token)
    order_ids = [order["id"] for order in server.orders()]
    assert [fill["order_id"] for fill in seen] == order_ids
    first = seen[0]
    assert (first["type"], first["qty"], first["cum_qty"], first["leaves_qty"]) == ("fill", "1", "1", "0")
    assert (first["activity_type"], first["order_status"], first["side"]) == ("FILL", "filled", "buy")
    last = client.get("/account/activities/FILL", {"after": seen[-2]["transaction_time"]})
    assert [fill["id"] for fill in last] == [seen[-1]["id"]]


def test_everything_can_be_closed_at_once(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    client.submit_order(stop())
    [refused] = client.close_all_positions(cancel_orders=False)
    assert refused.status == 403
    [closed] = client.close_all_positions(cancel_orders=True)
    assert (closed.symbol, closed.status) == (S, 200)
    assert not server.positions()


def test_part_of_a_position_can_be_closed(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    client.close_position(S, ClosePositionRequest(qty="30"))
    client.close_position(S, ClosePositionRequest(percentage="50"))
    assert server.positions() == {S: Decimal(35)}


def test_cancelling_all_orders_tells_of_each(client: Client) -> None:
    orders = {str(client.submit_order(entry(f"a-E{n}", 1)).id) for n in range(2)}
    assert {str(answer.id) for answer in client.cancel_orders()} == orders
    assert client.get_orders() == []


# ---- sessions ------------------------------------------------------------------------------------------


def test_at_the_close_day_orders_expire_and_the_others_stay() -> None:
    with AlpacaServer({S: 100.0, "BBB": 50.0}, now=NOON, hours=Hours.regular()) as server:
        client = trading_client(server)
        bought(server, client, 10)
        client.submit_order(stop(qty=10))
        day = LimitOrderRequest(
            symbol="BBB", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=49.0,
            client_order_id="day",
        )  # fmt: skip
        client.submit_order(day)
        server.now = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)
        assert not client.get_clock().is_open
        assert client.get_order_by_client_id("day").status is OrderStatus.EXPIRED
        assert [order["client_order_id"] for order in server.working()] == ["a-S1"]


def test_an_order_of_the_night_waits_for_the_open() -> None:
    night = datetime(2026, 11, 19, 3, 0, tzinfo=UTC)
    with AlpacaServer({S: 100.0}, now=night, hours=Hours.regular()) as server:
        client = trading_client(server)
        order = client.submit_order(market("a-E1", 1, OrderSide.BUY))
        assert order.status is OrderStatus.ACCEPTED
        server.trade(S, 101.0)
        assert not server.positions()
        server.now = datetime(2026, 11, 19, 14, 30, tzinfo=UTC)
        assert events(server) == ["accepted", "new", "fill"]
        assert client.get_order_by_client_id("a-E1").filled_avg_price == "101"


def test_a_jump_over_the_night_closes_and_opens_on_the_way() -> None:
    with AlpacaServer({S: 100.0}, now=NOON, hours=Hours.regular()) as server:
        trading_client(server).submit_order(entry())
        server.now = NOON + timedelta(days=1)
        assert events(server)[-1] == "expired"
        assert server.order("a-E1")["expired_at"] == "2026-11-18T21:00:00.000000000Z"


# ---- market data by REST -------------------------------------------------------------------------------


def bars_of(symbol: str, count: int) -> list[MinuteBar]:
    """Minutes up to noon."""
    start = NOON - count * MINUTE
    return [MinuteBar(symbol, start + n * MINUTE, 10.0, 11.0, 9.0, 10.5, 100 + n) for n in range(count)]


def test_the_official_client_pages_through_all_bars(server: AlpacaServer, data: Client) -> None:
    server.write_history([*bars_of(S, 30), *bars_of("BBB", 20)])
    wanted = StockBarsRequest(
        symbol_or_symbols=["BBB", S, "CCC"], timeframe=TimeFrame.Minute, start=NOON - timedelta(hours=1),
        end=NOON, feed=DataFeed.IEX,
    )  # fmt: skip
    found = data.get_stock_bars(wanted)
    assert {symbol: len(bars) for symbol, bars in found.data.items()} == {S: 30, "BBB": 20}
    first = found[S][0]
    assert (first.timestamp, first.volume, first.close) == (NOON - 30 * MINUTE, 100, 10.5)


def test_a_limit_counts_all_symbols_together(server: AlpacaServer) -> None:
    server.write_history([*bars_of(S, 3), *bars_of("BBB", 3)])
    query: dict[str, str] = {
        "symbols": "BBB,AAA", "timeframe": "1Min", "start": (NOON - timedelta(hours=1)).isoformat(),
        "limit": "2",
    }  # fmt: skip
    pages = []
    while True:
        page = get(server, "/stocks/bars", query)
        pages.append({symbol: len(bars) for symbol, bars in page["bars"].items()})
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert pages == [{S: 2}, {S: 1, "BBB": 1}, {"BBB": 2}]


def test_a_bar_is_known_when_its_minute_is_over(server: AlpacaServer) -> None:
    server.write_history([MinuteBar(S, NOON, 10.0, 10.0, 10.0, 10.0)])
    query = {"symbols": S, "timeframe": "1Min", "start": NOON.isoformat()}
    assert get(server, "/stocks/bars", query)["bars"] == {}
    server.advance(60)
    assert get(server, "/stocks/bars", query)["bars"][S][0]["t"] == "2026-11-18T17:00:00Z"


def test_recent_sip_data_needs_a_subscription(data: Client) -> None:
    wanted = StockBarsRequest(
        symbol_or_symbols=S, timeframe=TimeFrame.Minute, start=NOON - timedelta(hours=1), feed=DataFeed.SIP
    )
    with pytest.raises(APIError, match="subscription does not permit querying recent SIP data") as caught:
        data.get_stock_bars(wanted)
    assert caught.value.status_code == 403


def test_the_latest_of_everything(server: AlpacaServer, data: Client) -> None:
    server.play_minute({S: (100.0, 101.0, 99.0, 100.5)})
    trades = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=[S, "ZZZ"]))
    assert {symbol: trade.price for symbol, trade in trades.items()} == {S: 100.5}
    snapshot = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=S))[S]
    assert snapshot.minute_bar.close == snapshot.daily_bar.close == 100.5
    assert snapshot.latest_quote.ask_price > snapshot.latest_quote.bid_price
    assert get(server, "/stocks/bars/latest", {"symbols": S})["bars"][S]["h"] == 101.0


def get(server: AlpacaServer, path: str, query: dict[str, str]) -> Any:
    headers = {"APCA-API-KEY-ID": server.key_id, "APCA-API-SECRET-KEY": server.secret_key}
    return requests.get(f"{server.data_url}/v2{path}", params=query, headers=headers, timeout=5).json()


# ---- faults of requests --------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [True, False])
def test_a_504_hides_whether_the_order_was_taken(server: AlpacaServer, client: Client, done: bool) -> None:
    server.rest_faults.gateway_timeout("POST", "/orders", done=done)
    with pytest.raises(APIError) as caught:
        client.submit_order(entry())
    assert caught.value.status_code == 504
    assert len(server.orders()) == done
    [asked] = server.requests_of("POST", "/orders")
    assert (asked.outcome, asked.carried_out) == ("504", done)


@pytest.mark.parametrize("done", [True, False])
def test_a_reset_hides_whether_the_order_was_taken(server: AlpacaServer, client: Client, done: bool) -> None:
    server.rest_faults.reset("POST", "/orders", done=done)
    with pytest.raises(requests.ConnectionError):
        client.submit_order(entry())
    assert len(server.orders()) == done
    assert client.submit_order(entry("a-E2")).status is OrderStatus.PENDING_NEW


def test_an_order_can_be_carried_out_after_it_was_not_found(server: AlpacaServer, client: Client) -> None:
    server.rest_faults.late("POST", "/orders")
    with pytest.raises(APIError):
        client.submit_order(entry())
    assert refusal(lambda: client.get_order_by_client_id("a-E1"))[0] == 404
    server.carry_out_late()
    assert client.get_order_by_client_id("a-E1").status is OrderStatus.NEW


def test_html_garbage_429_and_any_status_can_be_answered(server: AlpacaServer, client: Client) -> None:
    server.rest_faults.html_502("GET", "/account")
    with pytest.raises(APIError) as caught:
        client.get_account()
    assert (caught.value.status_code, str(caught.value)[:6]) == (502, "<html>")
    server.rest_faults.garbage("GET", "/account")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.get_account()
    server.rest_faults.rate_limited(path="/account")
    assert refusal(client.get_account)[:2] == (429, 42910000)
    server.rest_faults.status(403, '{"code": 40310100, "message": "no"}', "GET", "/account")
    assert refusal(client.get_account) == (403, 40310100, "no")
    assert client.get_account().status == "ACTIVE"


def test_an_answer_can_be_older_than_what_happened_since(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    server.rest_faults.hang("GET", "/positions", done=True)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(trading_client(server).get_all_positions)
        assert server.wait_until(lambda: bool(server.requests_of("GET", "/positions")))
        client.submit_order(market())
        server.release_hanging()
        [position] = asked.result(5)
    assert position.qty == "100"
    assert not server.positions()


def test_the_network_can_be_gone_for_a_while(server: AlpacaServer, client: Client) -> None:
    client.get_clock()
    server.unplug()
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            client.get_clock()
    server.plug_in()
    assert client.get_clock().is_open


def test_more_requests_than_the_limit_get_429() -> None:
    with AlpacaServer({S: 100.0}, now=NOON, rate_limit=3) as server:
        client = trading_client(server)
        for _ in range(3):
            client.get_clock()
        assert refusal(client.get_clock) == (429, 42910000, "rate limit exceeded")
        assert server.max_requests_per_minute() == 4


# ---- faults of orders ----------------------------------------------------------------------------------


def test_a_partial_fill_stays_until_it_is_released(server: AlpacaServer, client: Client) -> None:
    server.order_faults.fill_only(30, side="buy")
    bought(server, client)
    server.trade(S, 100.2)
    assert server.positions() == {S: Decimal(30)}
    server.release_fills()
    assert client.get_order_by_client_id("b-E1").status is OrderStatus.FILLED
    fills = [update for update in server.updates if "execution_id" in update]
    assert [(fill["event"], fill["qty"], fill["position_qty"]) for fill in fills] == [
        ("partial_fill", "30", "30"),
        ("fill", "70", "100"),
    ]


def test_a_stuck_cancel_can_still_fill(server: AlpacaServer, client: Client) -> None:
    server.order_faults.stick_cancel(times=2)
    for identity in ("a-E1", "a-E2"):
        client.cancel_order_by_id(client.submit_order(entry(identity, 10)).id)
    assert client.get_order_by_client_id("a-E1").status is OrderStatus.PENDING_CANCEL
    server.order_faults.fill_only(10)
    server.trade(S, 100.2)
    assert client.get_order_by_client_id("a-E1").status is OrderStatus.FILLED


def test_a_stuck_cancel_goes_through_when_released(server: AlpacaServer, client: Client) -> None:
    server.order_faults.stick_cancel()
    client.cancel_order_by_id(client.submit_order(entry()).id)
    server.release_cancels()
    assert events(server) == ["pending_new", "new", "pending_cancel", "canceled"]


def test_a_stop_can_be_taken_and_then_rejected(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    server.order_faults.reject(kind="stop")
    assert client.submit_order(stop()).status is OrderStatus.PENDING_NEW
    assert client.get_order_by_client_id("a-S1").status is OrderStatus.REJECTED
    assert events(server)[-1] == "rejected"


def test_a_slow_replace_is_rejected_when_the_old_order_fills_first(
    server: AlpacaServer, client: Client
) -> None:
    bought(server, client)
    old = client.submit_order(stop())
    server.order_faults.slow_replace()
    client.replace_order_by_id(old.id, ReplaceOrderRequest(stop_price=99.8, client_order_id="a-S2"))
    assert client.get_order_by_id(old.id).status is OrderStatus.PENDING_REPLACE
    wanted = (422, 42210000, 'cannot replace order in "pending_replace" state')
    assert refusal(lambda: client.replace_order_by_id(old.id, ReplaceOrderRequest(stop_price=99.9))) == wanted
    server.trade(S, 99.0)
    server.release_replaces()
    assert client.get_order_by_id(old.id).status is OrderStatus.FILLED
    assert client.get_order_by_client_id("a-S2").status is OrderStatus.REJECTED
    assert events(server)[-2:] == ["fill", "order_replace_rejected"]


def test_a_slow_replace_goes_through_when_released(server: AlpacaServer, client: Client) -> None:
    bought(server, client)
    old = client.submit_order(stop())
    server.order_faults.slow_replace()
    client.replace_order_by_id(old.id, ReplaceOrderRequest(stop_price=99.8, client_order_id="a-S2"))
    server.release_replaces()
    assert [order["client_order_id"] for order in server.working()] == ["a-S2"]


def test_a_halted_symbol_does_not_match(server: AlpacaServer, client: Client) -> None:
    client.submit_order(entry())
    server.halt(S)
    server.trade(S, 100.2)
    assert not server.positions()
    server.resume(S)
    assert server.positions() == {S: Decimal(100)}


def test_foreign_orders_and_shares_of_any_shape_can_appear(server: AlpacaServer, client: Client) -> None:
    server.hold("BBB", 7.5, 48.0)
    leg = {"order_class": "bracket", "status": "held", "legs": None}
    server.foreign_order(S, "buy", "limit", 3, limit_price=90.0, client_order_id="hand", shape=leg)
    server.foreign_order("CCC", "buy", "market", None, notional=50.0)
    assert client.get_order_by_client_id("hand").status is OrderStatus.HELD
    held = {position.symbol: position.qty for position in client.get_all_positions()}
    assert held == {"BBB": "7.5", "CCC": "2.5"}
    server.cancel_order("hand")
    assert server.working(S) == []


# ---- the audit -----------------------------------------------------------------------------------------


def test_it_counts_the_seconds_that_shares_go_unprotected(server: AlpacaServer, client: Client) -> None:
    client.submit_order(entry())
    server.trade(S, 100.2)
    server.advance(3)
    assert server.unprotected_since(S) == 3.0
    client.submit_order(stop(qty=60))
    server.advance(1)
    assert server.unprotected_since(S) == 4.0
    client.submit_order(stop("a-S2", 40))
    server.advance(60)
    assert (server.unprotected_since(S), server.longest_unprotected(S)) == (0.0, 4.0)


def test_a_replaced_stop_leaves_no_gap(server: AlpacaServer, client: Client) -> None:
    client.submit_order(entry())
    server.trade(S, 100.2)
    order = client.submit_order(stop())
    server.advance(60)
    client.replace_order_by_id(order.id, ReplaceOrderRequest(stop_price=99.8))
    server.advance(60)
    assert server.longest_unprotected(S) == 0.0


# ---- the data stream -----------------------------------------------------------------------------------


@asynccontextmanager
async def joined(server: AlpacaServer, *, text: bool = False) -> AsyncIterator[ClientConnection]:
    """A data stream connection that has been let in."""
    headers = {} if text else {"Content-Type": "application/msgpack"}
    async with connect(server.data_stream_url, additional_headers=headers) as socket:
        assert await heard(socket) == [{"T": "success", "msg": "connected"}]
        await tell(socket, {"action": "auth", "key": server.key_id, "secret": server.secret_key}, text=text)
        assert await heard(socket) == [{"T": "success", "msg": "authenticated"}]
        yield socket


async def tell(socket: ClientConnection, message: object, *, text: bool = False) -> None:
    await socket.send(json.dumps(message) if text else msgpack.packb(message))


async def heard(socket: ClientConnection) -> Any:
    frame = await asyncio.wait_for(socket.recv(), 5)
    return json.loads(frame) if isinstance(frame, str) else msgpack.unpackb(frame, timestamp=3)


async def subscribed(socket: ClientConnection, **channels: list[str]) -> Any:
    await tell(socket, {"action": "subscribe", **channels})
    [answer] = await heard(socket)
    return answer


async def until(condition: Callable[[], bool], server: AlpacaServer) -> None:
    assert await asyncio.to_thread(server.wait_until, condition)


async def test_the_official_stream_delivers_bars(server: AlpacaServer) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()
    stream = StockDataStream(server.key_id, server.secret_key, url_override=server.data_stream_url)
    stream.subscribe_bars(told.put, S, "BBB")
    stream.subscribe_updated_bars(told.put, S)
    running = asyncio.create_task(run_forever(stream))
    await until(lambda: server.subscribed() == {S, "BBB"}, server)
    server.play_minute({S: (100.0, 101.0, 99.0, 100.5, 700), "CCC": (20.0, 20.0, 20.0, 20.0)})
    bar = await asyncio.wait_for(told.get(), 5)
    assert (bar.symbol, bar.timestamp, bar.high, bar.volume) == (S, NOON, 101.0, 700)
    server.send_bars([MinuteBar(S, NOON, 100.0, 101.5, 99.0, 100.5)], updated=True)
    assert (await asyncio.wait_for(told.get(), 5)).high == 101.5
    await end(stream, running)


def run_forever(stream: Any) -> Coroutine[Any, Any, None]:
    """There is no public coroutine."""
    running: Coroutine[Any, Any, None] = stream._run_forever()
    return running


async def end(stream: StockDataStream | TradingStream, running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stream.close()


async def test_five_hundred_bars_come_in_one_frame(server: AlpacaServer) -> None:
    symbols = [f"S{number:03d}" for number in range(500)]
    async with joined(server) as socket:
        answer = await subscribed(socket, bars=symbols)
        assert answer["bars"] == symbols
        server.send_bars([MinuteBar(symbol, NOON, 1.0, 2.0, 0.5, 1.5) for symbol in symbols])
        frame = await heard(socket)
    assert [message["S"] for message in frame] == symbols
    assert frame[0]["t"] == NOON


async def test_without_the_msgpack_header_it_speaks_json(server: AlpacaServer) -> None:
    async with joined(server, text=True) as socket:
        await tell(socket, {"action": "subscribe", "bars": [S], "statuses": ["*"]}, text=True)
        assert (await heard(socket))[0]["statuses"] == ["*"]
        server.halt(S)
        [status] = await heard(socket)
        assert (status["T"], status["sc"], status["t"]) == ("s", "H", "2026-11-18T17:00:00.000000000Z")


async def test_the_stream_refuses_with_alpacas_codes(server: AlpacaServer) -> None:
    async with joined(server) as socket:
        for said, code in (
            (b"\xc1", 400),
            (msgpack.packb({"action": "dance"}), 410),
            (msgpack.packb({"action": "auth", "key": "", "secret": ""}), 403),
        ):
            await socket.send(said)
            assert (await heard(socket))[0]["code"] == code
        async with connect(server.data_stream_url) as second:
            await heard(second)
            await tell(second, {"action": "subscribe", "bars": [S]}, text=True)
            assert (await heard(second))[0]["code"] == 401
            keys = {"action": "auth", "key": server.key_id, "secret": server.secret_key}
            await tell(second, keys, text=True)
            assert (await heard(second))[0]["code"] == 406
            with pytest.raises(ConnectionClosed):
                await heard(second)
    async with connect(server.data_stream_url) as stranger:
        await heard(stranger)
        await tell(stranger, {"action": "auth", "key": "PKNOBODY", "secret": "x"}, text=True)
        assert (await heard(stranger))[0] == {"T": "error", "code": 402, "msg": "auth failed"}


async def test_beyond_the_symbol_limit_nothing_is_subscribed(server: AlpacaServer) -> None:
    server.limit_symbols(2)
    async with joined(server) as socket:
        await subscribed(socket, bars=[S])
        assert (await subscribed(socket, bars=["BBB", "CCC"]))["code"] == 405
        assert server.subscribed() == {S}
        assert (await subscribed(socket, bars=["BBB"], statuses=["BBB"]))["bars"] == [S, "BBB"]


async def test_who_does_not_say_who_they_are_is_shown_out() -> None:
    with AlpacaServer({S: 100.0}, now=NOON, auth_seconds=0.05) as server:
        async with connect(server.data_stream_url) as socket:
            await heard(socket)
            assert (await heard(socket))[0]["code"] == 404


async def test_sip_needs_a_subscription() -> None:
    with AlpacaServer({S: 100.0}, now=NOON, feed="sip") as server:
        async with connect(server.data_stream_url) as socket:
            await heard(socket)
            keys = {"action": "auth", "key": server.key_id, "secret": server.secret_key}
            await tell(socket, keys, text=True)
            assert (await heard(socket))[0]["code"] == 409


async def test_a_mute_connection_answers_pings_and_nothing_else(server: AlpacaServer) -> None:
    async with joined(server) as socket:
        await subscribed(socket, bars=[S])
        server.mute(Stream.DATA)
        server.play_minute({S: (100.0, 100.0, 100.0, 100.0)})
        await asyncio.wait_for(await socket.ping(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)
    await until(lambda: not server.connected(Stream.DATA), server)
    async with joined(server):
        assert server.connected(Stream.DATA)


@pytest.mark.parametrize("code", [None, 1011])
async def test_a_connection_can_be_dropped(server: AlpacaServer, code: int | None) -> None:
    async with joined(server) as socket:
        server.drop(Stream.DATA, code)
        with pytest.raises(ConnectionClosed) as caught:
            await heard(socket)
        assert (caught.value.rcvd.code if caught.value.rcvd else None) == code
    [connection] = server.connections
    assert connection.authenticated
    await until(lambda: connection.closed is not None, server)


async def test_connections_can_be_refused_left_ungreeted_or_told_406(server: AlpacaServer) -> None:
    server.refuse(Stream.DATA, 503)
    with pytest.raises(InvalidStatus, match="503"):
        await connect(server.data_stream_url)
    server.skip_greetings(Stream.DATA)
    async with connect(server.data_stream_url) as socket:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)
    server.fill_up()
    server.fail_auth(Stream.DATA)
    for code in (402, 406):
        async with connect(server.data_stream_url) as socket:
            await heard(socket)
            keys = {"action": "auth", "key": server.key_id, "secret": server.secret_key}
            await tell(socket, keys, text=True)
            assert (await heard(socket))[0]["code"] == code


async def test_any_nonsense_can_be_sent(server: AlpacaServer) -> None:
    async with joined(server) as socket:
        await subscribed(socket, bars=[S])
        nan = MinuteBar(S, NOON, float("nan"), -1.0, 0.0, 5.0)
        server.send_bars([nan, MinuteBar(S, NOON - MINUTE, 1.0, 0.5, 2.0, 1.0)])
        first, second = await heard(socket)
        assert first["o"] != first["o"]
        assert second["h"] < second["l"]
        server.send_data([{"T": "error", "code": 407, "msg": "slow client"}, {"T": "?"}])
        assert [message["T"] for message in await heard(socket)] == ["error", "?"]
        server.send_raw(Stream.DATA, b"\xff\xff")
        assert await asyncio.wait_for(socket.recv(), 5) == b"\xff\xff"


async def test_a_symbol_can_fall_silent_while_it_trades(server: AlpacaServer) -> None:
    async with joined(server) as socket:
        await subscribed(socket, bars=[S, "BBB"])
        still = (100.0, 100.0, 100.0, 100.0)
        server.play_minute({S: still, "BBB": still}, silent=[S])
        assert [message["S"] for message in await heard(socket)] == ["BBB"]
        server.silence("BBB")
        server.play_minute({S: still, "BBB": still})
        assert [message["S"] for message in await heard(socket)] == [S]
    query = {"symbols": S, "timeframe": "1Min", "start": NOON.isoformat()}
    assert len(get(server, "/stocks/bars", query)["bars"][S]) == 2


async def test_trades_of_a_minute_become_its_bar(server: AlpacaServer) -> None:
    async with joined(server) as socket:
        await subscribed(socket, bars=[S])
        for price in (100.0, 103.0, 99.0, 101.0):
            server.trade(S, price)
        server.end_minute()
        [bar] = await heard(socket)
    assert (bar["o"], bar["h"], bar["l"], bar["c"], bar["t"]) == (100.0, 103.0, 99.0, 101.0, NOON)
    assert server.now == NOON + MINUTE


# ---- the trade stream ----------------------------------------------------------------------------------


@asynccontextmanager
async def listening(server: AlpacaServer) -> AsyncIterator[ClientConnection]:
    """A trade stream connection that hears updates."""
    async with connect(server.trading_stream_url) as socket:
        keys = {"key_id": server.key_id, "secret_key": server.secret_key}
        await tell(socket, {"action": "authenticate", "data": keys}, text=True)
        answer = await told(socket)
        assert (answer["stream"], answer["data"]["status"]) == ("authorization", "authorized")
        await tell(socket, {"action": "listen", "data": {"streams": ["trade_updates"]}}, text=True)
        assert await told(socket) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        yield socket


async def told(socket: ClientConnection) -> Any:
    frame = await asyncio.wait_for(socket.recv(), 5)
    assert isinstance(frame, bytes)
    return json.loads(frame)


async def test_the_official_stream_tells_of_fills(server: AlpacaServer) -> None:
    updates: asyncio.Queue[Any] = asyncio.Queue()
    stream = TradingStream(server.key_id, server.secret_key, url_override=server.trading_stream_url)
    stream.subscribe_trade_updates(updates.put)
    running = asyncio.create_task(run_forever(stream))
    await until(server.listening, server)
    server.foreign_order(S, "buy", "market", 10, client_order_id="hand")
    seen = [await asyncio.wait_for(updates.get(), 5) for _ in range(3)]
    assert [update.event for update in seen] == ["pending_new", "new", "fill"]
    fill = seen[-1]
    assert (fill.price, fill.qty, fill.position_qty) == (100.0, 10.0, 10.0)
    assert (fill.order.client_order_id, fill.order.status) == ("hand", OrderStatus.FILLED)
    assert fill.execution_id is not None
    assert seen[0].execution_id is None
    await end(stream, running)


async def test_a_second_trade_stream_is_refused(server: AlpacaServer) -> None:
    async with listening(server):
        with pytest.raises(InvalidStatus, match="429"):
            await connect(server.trading_stream_url)
    await until(lambda: not server.listening(), server)
    async with listening(server):
        pass


async def test_wrong_keys_are_not_authorized(server: AlpacaServer) -> None:
    async with connect(server.trading_stream_url) as socket:
        await tell(socket, {"action": "authenticate", "data": {"key_id": "?", "secret_key": "?"}}, text=True)
        assert (await told(socket))["data"]["status"] == "unauthorized"
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_updates_can_go_missing_come_twice_and_in_the_wrong_order(server: AlpacaServer) -> None:
    async with listening(server) as socket:
        server.update_faults.drop("pending_new")
        server.update_faults.swap("new")
        server.update_faults.duplicate("fill")
        server.foreign_order(S, "buy", "market", 1)
        seen = [(await told(socket))["data"]["event"] for _ in range(3)]
    assert seen == ["fill", "fill", "new"]
    assert events(server) == ["pending_new", "new", "fill"]


async def test_any_update_can_be_sent(server: AlpacaServer) -> None:
    async with listening(server) as socket:
        server.send_update(None)
        assert await told(socket) == {"stream": "trade_updates", "data": None}
        server.foreign_order(S, "buy", "market", 1)
        first = await told(socket)
        server.send_update({**server.updates[0], "event": "eaten"})
        for _ in range(2):
            await told(socket)
        assert (await told(socket))["data"]["event"] == "eaten"
        assert first["data"]["order"]["symbol"] == S


async def test_updates_can_come_before_and_long_after_the_answer(server: AlpacaServer) -> None:
    server.rest_faults.delay(0.2, "POST", "/orders")
    async with listening(server) as socket:
        posting = asyncio.create_task(asyncio.to_thread(trading_client(server).submit_order, entry()))
        assert (await told(socket))["data"]["event"] == "pending_new"
        assert not posting.done()
        await posting
        assert (await told(socket))["data"]["event"] == "new"
        server.delay_updates(0.05)
        server.cancel_order("a-E1")
        assert (await told(socket))["data"]["event"] == "canceled"


# ---- the engine by itself ------------------------------------------------------------------------------


def test_whatever_is_ordered_shares_and_money_add_up() -> None:
    dice = random.Random(7)
    account = Account(Decimal(100_000))
    ticks = iter(range(1, 1_000_000))
    published: list[News] = []
    book = Book(
        account, {S: Asset(S, "id")}, OrderFaults(), lambda: next(ticks), published.append, slippage_ticks=1
    )
    book.prices[S] = Decimal(100)
    for number in range(1500):
        price = Decimal(dice.randrange(9_000, 11_000)) / 100
        kind, side = dice.choice(list(Type)), dice.choice(list(Side))
        terms = (
            price if kind in (Type.LIMIT, Type.STOP_LIMIT) else None,
            price if kind in (Type.STOP, Type.STOP_LIMIT) else None,
        )
        working = book.open_orders()
        try:
            match dice.randrange(4):
                case 0:
                    ticket = Ticket(S, side, kind, Decimal(dice.randrange(1, 50)), str(number), "gtc", *terms)
                    book.submit(ticket)
                case 1 if working:
                    book.cancel(dice.choice(working).id)
                case 2 if working:
                    book.replace(dice.choice(working).id, {"limit_price": price}, None, None)
                case _:
                    book.move(S, price, price + 1, price - 1)
        except ApiError:
            continue
        signed = sum((e.side.sign * e.qty for e in book.executions), Decimal(0))
        spent = sum((e.side.sign * e.qty * e.price for e in book.executions), Decimal(0))
        assert account.qty(S) == signed >= 0
        assert account.cash == Decimal(100_000) - spent
        assert sum(o.open_qty for o in book.open_orders() if o.ticket.side is Side.SELL) <= signed
        assert all(order.filled_qty <= order.ticket.qty for order in book.orders.values() if order.ticket.qty)
    assert len(book.executions) > 50
    stamps = [news.time for news in published]
    assert stamps == sorted(stamps)


def test_times_keep_their_nanoseconds() -> None:
    nanos = nanos_of(NOON) + 123_456_789
    assert utc_text(nanos) == "2026-11-18T17:00:00.123456789Z"
    assert parse(utc_text(nanos)) == nanos
    assert parse("2026-11-18T12:00:00-05:00") == nanos_of(NOON)
    assert parse("2026-11-18") == nanos_of(datetime(2026, 11, 18, tzinfo=UTC))


def test_clearing_all_faults_lets_everything_through(server: AlpacaServer, client: Client) -> None:
    server.random_faults(seed=3, rate=1.0)
    with pytest.raises((APIError, requests.ConnectionError)):
        client.submit_order(entry())
    server.clear_faults()
    order = client.submit_order(entry("a-E2", 1))
    client.cancel_order_by_id(order.id)
    assert client.get_order_by_id(order.id).status is OrderStatus.CANCELED


def test_the_made_up_market_is_the_same_for_the_same_seed() -> None:
    walks = [RandomWalk(seed, {S: 100.0}, Hours.regular()) for seed in (1, 1, 2)]
    one, same, other = (walk.day(S, NOON.date()) for walk in walks)
    assert one == same != other
    assert len(one) == 390
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in one)
    assert walks[0].day(S, date(2026, 11, 22)) == []


def test_made_up_bars_are_told_by_rest_and_give_way_to_those_that_were_traded() -> None:
    walk = RandomWalk(1, {S: 100.0}, Hours())
    with AlpacaServer({S: 100.0}, now=NOON, made_up=walk.day) as server:
        server.play_minute({S: (100.0, 101.0, 99.0, 100.5)})
        query = {"symbols": S, "timeframe": "1Min", "start": (NOON - 3 * MINUTE).isoformat()}
        bars = get(server, "/stocks/bars", query)["bars"][S]
    assert [bar["t"][11:16] for bar in bars] == ["16:57", "16:58", "16:59", "17:00"]
    assert bars[-1]["c"] == 100.5


def test_it_runs_as_a_program_with_a_market_that_moves() -> None:
    command = [sys.executable, "-m", "tests.alpaca_server", "--symbols", "3", "--minute-seconds", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as program:
        assert program.stdout is not None
        urls = json.loads(program.stdout.readline())
        client = TradingClient(
            "PKTESTKEY0000000000", "test-secret-of-the-exchange", url_override=urls["trading_url"]
        )
        assert len(client.get_all_assets()) == 3
        program.terminate()
        assert program.wait(10) == 0


def test_it_stops_with_clients_still_connected() -> None:
    with AlpacaServer({S: 100.0}, now=NOON) as server:
        client = trading_client(server)
        client.get_clock()
    assert not server.running
    with pytest.raises(requests.ConnectionError):
        client.get_clock()


def test_a_mistake_of_its_own_is_not_taken_for_a_fault() -> None:
    def broken(symbol: str, day: date) -> list[MinuteBar]:
        raise ZeroDivisionError

    def ask(server: AlpacaServer) -> None:
        query = {"symbols": S, "timeframe": "1Min", "start": (NOON - 3 * MINUTE).isoformat()}
        with pytest.raises(requests.exceptions.JSONDecodeError):
            get(server, "/stocks/bars", query)

    with pytest.raises(ZeroDivisionError), AlpacaServer({S: 100.0}, now=NOON, made_up=broken) as server:
        ask(server)
