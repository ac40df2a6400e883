"""The REST client against a server that misbehaves: each answer becomes JSON or a problem of a known kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pydantic import SecretStr

from tests.venues.alpaca.canned import (
    KEY,
    SECRET,
    Answer,
    Canned,
    access_to,
    canned,
    free_port,
    html,
    order_json,
    said,
)
from tui_trader.core.orders import ClientOrderId, OrderSpec, OrderType, Role, Side, TimeInForce
from tui_trader.venues.alpaca.budget import Priority, RequestBudget
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.alpaca.rest import AlpacaRest

ORDER = "904837e3-0000-4000-8000-000000000001"
START, END = datetime(2026, 11, 18, 14, 30, tzinfo=UTC), datetime(2026, 11, 18, 21, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def server() -> Iterator[Canned]:
    with canned() as running:
        yield running


@pytest.fixture
def heard() -> list[ProblemKind | None]:
    return []


@pytest.fixture
def rest(server: Canned, heard: list[ProblemKind | None]) -> Iterator[AlpacaRest]:
    client = AlpacaRest(server.access(), RequestBudget(), heard.append, timeouts_s=(2.0, 2.0))
    yield client
    client.close()


def entry(identity: str = "tt-E1", limit: str = "100.40", stop: str = "100.10") -> OrderSpec:
    return OrderSpec(
        ClientOrderId(identity), "AAPL", Role.ENTRY, Side.BUY, OrderType.STOP_LIMIT, 10, Decimal(limit),
        Decimal(stop),
    )  # fmt: skip


def stop(identity: str = "tt-S1", price: str = "99.50") -> OrderSpec:
    return OrderSpec(
        ClientOrderId(identity), "AAPL", Role.STOP, Side.SELL, OrderType.STOP, 10, None, Decimal(price),
        TimeInForce.GTC,
    )  # fmt: skip


def problem(call: Callable[[], object]) -> RestProblem:
    with pytest.raises(RestProblem) as caught:
        call()
    return caught.value


# ---- orders as they go out ---------------------------------------------------------------------------


def test_an_entry_goes_out_exactly_as_specified(server: Canned, rest: AlpacaRest) -> None:
    server.will(said(order_json()))
    rest.submit(entry())
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/v2/orders")
    body = asked.json
    assert Decimal(body.pop("qty")) == 10
    assert body == {
        "symbol": "AAPL",
        "side": "buy",
        "type": "stop_limit",
        "time_in_force": "day",
        "client_order_id": "tt-E1",
        "limit_price": "100.4",
        "stop_price": "100.1",
    }


def test_a_stop_goes_out_good_till_cancelled_and_can_only_close(server: Canned, rest: AlpacaRest) -> None:
    server.will(said(order_json()))
    rest.submit(stop())
    body = server.asked[0].json
    assert (body["type"], body["time_in_force"], body["side"]) == ("stop", "gtc", "sell")
    assert body["position_intent"] == "sell_to_close"
    assert "limit_price" not in body


@pytest.mark.parametrize(
    "price", ["0.0001", "0.1234", "0.9999", "1.01", "19.99", "100.10", "4999.95", "123456.78", "999999.99"]
)
def test_a_price_goes_out_as_the_very_decimal(server: Canned, rest: AlpacaRest, price: str) -> None:
    server.will(said(order_json()), said(order_json()))
    rest.submit(entry(limit=price, stop=price))
    rest.replace(ORDER, stop(price=price))
    for asked in server.asked:
        assert Decimal(asked.json["stop_price"]) == Decimal(price)
    assert Decimal(server.asked[0].json["limit_price"]) == Decimal(price)


@pytest.mark.parametrize(
    ("order_type", "limit", "stop_price"),
    [
        (OrderType.MARKET, None, None),
        (OrderType.LIMIT, Decimal("1.23"), None),
        (OrderType.STOP, None, Decimal("1.23")),
        (OrderType.STOP_LIMIT, Decimal("1.24"), Decimal("1.23")),
    ],
)
def test_every_type_of_order_can_be_sent(
    server: Canned, rest: AlpacaRest, order_type: OrderType, limit: Decimal | None, stop_price: Decimal | None
) -> None:
    server.will(said(order_json()))
    rest.submit(replace(entry(), order_type=order_type, limit_price=limit, stop_price=stop_price))
    body = server.asked[0].json
    assert body["type"] == order_type.value
    assert ("limit_price" in body, "stop_price" in body) == (limit is not None, stop_price is not None)


def test_a_replace_names_quantity_price_and_the_new_id(server: Canned, rest: AlpacaRest) -> None:
    server.will(said(order_json()))
    rest.replace(ORDER, stop("tt-S2", "99.80"))
    [asked] = server.asked
    assert (asked.method, asked.path) == ("PATCH", f"/v2/orders/{ORDER}")
    assert asked.json == {"qty": "10", "stop_price": "99.8", "client_order_id": "tt-S2"}


def test_a_cancel_is_answered_by_nothing_and_that_is_enough(server: Canned, rest: AlpacaRest) -> None:
    server.will(Answer(204))
    rest.cancel(ORDER)
    assert (server.asked[0].method, server.asked[0].path) == ("DELETE", f"/v2/orders/{ORDER}")


def test_an_order_that_cannot_be_made_is_refused_before_it_is_sent(server: Canned, rest: AlpacaRest) -> None:
    assert problem(lambda: rest.replace("no uuid", stop())).kind is ProblemKind.REFUSED
    assert not server.asked


# ---- answers that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        html(502),
        html(503),
        html(404),
        html(200),
        Answer(504),
        said({"code": 50010000, "message": "internal server error"}, 500),
        Answer(200),
        Answer(200, b"   "),
        Answer(200, b'{"id": '),
        Answer(200, b"null"),
        said([]),
        said("ok"),
        Answer(302, b"", {"Location": "http://127.0.0.1:9/elsewhere"}),
        Answer(307, b"{}", {"Location": "http://127.0.0.1:9/elsewhere"}),
        Answer(fault="reset"),
        Answer(fault="close"),
        Answer(200, b'{"id":', fault="cut"),
    ],
    ids=lambda a: f"{a.status} {a.fault} {a.body[:12]!r}",
)
def test_an_answer_that_says_nothing_is_unclear_and_the_order_is_sent_once(
    server: Canned, rest: AlpacaRest, answer: Answer
) -> None:
    server.will(answer)
    assert problem(lambda: rest.submit(entry())).kind is ProblemKind.UNCLEAR
    assert [asked.method for asked in server.asked] == ["POST"]


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_with_an_empty_body_is_not_taken_for_a_cancel(
    server: Canned, rest: AlpacaRest, status: int
) -> None:
    server.will(Answer(status, b"", {"Location": "/elsewhere"}))
    assert problem(lambda: rest.cancel(ORDER)).kind is ProblemKind.UNCLEAR
    assert len(server.asked) == 1


def test_a_504_is_unclear_and_never_sent_again(server: Canned, rest: AlpacaRest) -> None:
    server.will(html(504), html(504))
    assert problem(lambda: rest.submit(entry())).kind is ProblemKind.UNCLEAR
    assert len(server.asked) == 1


def test_a_429_is_certainly_not_done_and_never_sent_again(server: Canned, rest: AlpacaRest) -> None:
    server.will(said({"code": 42910000, "message": "too many requests."}, 429))
    answer = problem(lambda: rest.submit(entry()))
    assert (answer.kind, answer.status, answer.code) == (ProblemKind.RATE_LIMITED, 429, 42910000)
    assert len(server.asked) == 1


def test_a_hanging_answer_is_unclear_after_the_timeout(server: Canned) -> None:
    impatient = AlpacaRest(server.access(), timeouts_s=(2.0, 0.05))
    server.will(Answer(fault="hang"))
    assert problem(lambda: impatient.submit(entry())).kind is ProblemKind.UNCLEAR
    assert server.arrived.is_set()
    impatient.close()


def test_a_server_that_is_not_there_is_unreachable() -> None:
    rest = AlpacaRest(access_to(f"http://127.0.0.1:{free_port()}"))
    assert problem(rest.account).kind is ProblemKind.UNREACHABLE


def test_the_connection_is_used_again_after_a_refusal(server: Canned, rest: AlpacaRest) -> None:
    server.will(said({"code": 40410000, "message": "order not found for x"}, 404), said({"cash": "1"}))
    assert problem(lambda: rest.order_by_client_id("x")).kind is ProblemKind.NOT_FOUND
    assert rest.account() == {"cash": "1"}


def test_numbers_that_are_none_arrive_as_null(server: Canned, rest: AlpacaRest) -> None:
    server.will(Answer(200, b'{"cash": NaN, "equity": Infinity, "id": -Infinity}'))
    assert rest.account() == {"cash": None, "equity": None, "id": None}


def test_every_request_to_the_trading_api_is_heard_of(
    server: Canned, rest: AlpacaRest, heard: list[ProblemKind | None]
) -> None:
    server.will(said({}), html(502), said({"bars": {}}))
    rest.account()
    problem(rest.account)
    rest.bars_page(["AAPL"], START, END, "iex", None)
    assert heard == [None, ProblemKind.UNCLEAR]


# ---- secrets -----------------------------------------------------------------------------------------


def test_keys_go_out_in_headers_and_come_back_in_no_message(server: Canned, rest: AlpacaRest) -> None:
    echo = {"code": 40110000, "message": f"key {KEY} with {SECRET} is wrong", "key": SECRET}
    server.will(said(echo, 401))
    answer = problem(rest.account)
    assert answer.kind is ProblemKind.UNAUTHORIZED
    headers = server.asked[0].headers
    assert (headers["APCA-API-KEY-ID"], headers["APCA-API-SECRET-KEY"]) == (KEY, SECRET)
    assert not any(secret in f"{answer!r} {answer.details}" for secret in (KEY, SECRET))


def test_keys_that_cannot_be_a_header_are_not_quoted(server: Canned) -> None:
    secret = "line\r\nbreak"
    rest = AlpacaRest(replace(server.access(), secret_key=SecretStr(secret)))
    answer = problem(rest.account)
    assert not server.asked
    assert "break" not in str(answer)
    assert "break" not in repr(server.access())


# ---- the budget --------------------------------------------------------------------------------------


def test_what_the_budget_holds_back_is_not_sent(server: Canned) -> None:
    rest = AlpacaRest(server.access(), RequestBudget(limit=2, reserve=2))
    server.will(Answer(204), Answer(204))
    answer = problem(lambda: rest.submit(entry()))
    assert answer.kind is ProblemKind.RATE_LIMITED
    assert not server.asked
    rest.cancel(ORDER)
    rest.cancel(ORDER)
    assert problem(lambda: rest.cancel(ORDER)).kind is ProblemKind.RATE_LIMITED
    rest.close()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "86400"}, 60.0),
        ({"Retry-After": "nan"}, 1.0),
        ({"Retry-After": "-5"}, 1.0),
        ({"X-RateLimit-Reset": "1"}, 1.0),
        ({"X-RateLimit-Reset": "soon"}, 2.0),
        ({}, 2.0),
    ],
)
def test_after_a_429_questions_wait_as_long_as_the_server_says(
    server: Canned, headers: dict[str, str], seconds: float
) -> None:
    now = [0.0]
    rest = AlpacaRest(server.access(), RequestBudget(monotonic=lambda: now[0]))
    server.will(replace(said({"message": "too many requests"}, 429), headers=headers), said({}))
    problem(rest.account)
    now[0] = seconds - 0.001
    assert "not sent" in problem(rest.account).message
    now[0] = seconds
    assert rest.account() == {}
    rest.close()


def test_a_429_of_the_market_data_holds_up_no_order(server: Canned, rest: AlpacaRest) -> None:
    server.will(said({"message": "too many requests"}, 429), said(order_json()))
    assert problem(lambda: rest.bars_page(["A"], START, END, "iex", None)).kind is ProblemKind.RATE_LIMITED
    assert rest.submit(entry())["id"] == ORDER


# ---- pages and parameters ----------------------------------------------------------------------------


def test_orders_are_listed_page_by_page_and_each_once(server: Canned, rest: AlpacaRest) -> None:
    def order(n: int) -> dict[str, object]:
        return order_json(id=f"id-{n}", submitted_at=f"2026-11-18T14:31:00.{n:06d}999Z")

    server.will(said([order(n) for n in range(500)]), said([order(n) for n in (499, 500)]))
    found = rest.orders("all", START, ["AAPL", "MSFT"])
    assert [row["id"] for row in found] == [f"id-{n}" for n in range(501)]
    first, second = (asked.query for asked in server.asked)
    assert first == {
        "status": "all",
        "limit": "500",
        "after": "2026-11-18T14:30:00+00:00",
        "direction": "asc",
        "nested": "True",
        "symbols": "AAPL,MSFT",
    }
    assert second["after"] == "2026-11-18T14:31:00.000499+00:00"


def test_pages_of_orders_that_bring_nothing_new_end(server: Canned, rest: AlpacaRest) -> None:
    page = [order_json(id=f"id-{n}") for n in range(500)]
    server.will(said(page), said(page))
    assert len(rest.orders("open")) == 500
    assert len(server.asked) == 2


def test_fills_are_listed_page_by_page(server: Canned, rest: AlpacaRest) -> None:
    rows = [{"id": f"a{n}", "order_id": "x"} for n in range(101)]
    server.will(said(rows[:100]), said(rows[100:]))
    assert rest.fills(START) == rows
    first, second = (asked.query for asked in server.asked)
    assert first == {"after": "2026-11-18T14:30:00Z", "direction": "asc", "page_size": "100"}
    assert second["page_token"] == "a99"


def test_fills_of_one_order_are_those_even_when_the_server_knows_no_such_filter(
    server: Canned, rest: AlpacaRest
) -> None:
    server.will(said([{"id": "1", "order_id": "x"}, {"id": "2", "order_id": "y"}]))
    assert rest.fills(START, "y") == [{"id": "2", "order_id": "y"}]
    assert server.asked[0].query["order_id"] == "y"


def test_a_page_of_bars_comes_with_the_token_of_the_next(server: Canned, rest: AlpacaRest) -> None:
    bar = {"t": "2026-11-18T14:30:00Z", "o": 1.5, "h": 2, "l": 1, "c": 1.25, "v": 100}
    server.will(said({"bars": {"AAPL": [bar]}, "next_page_token": "more"}), said({"bars": None}))
    assert rest.bars_page(["AAPL", "MSFT"], START, END, "iex", None) == ({"AAPL": [bar]}, "more")
    assert rest.bars_page(["AAPL"], START, END, "iex", "more") == ({}, None)
    assert server.asked[0].path == "/v2/stocks/bars"
    assert server.asked[0].query == {
        "symbols": "AAPL,MSFT",
        "timeframe": "1Min",
        "start": "2026-11-18T14:30:00Z",
        "end": "2026-11-18T21:00:00Z",
        "limit": "10000",
        "adjustment": "split",
        "feed": "iex",
    }
    assert server.asked[1].query["page_token"] == "more"


def test_the_other_questions_go_where_they_belong(server: Canned, rest: AlpacaRest) -> None:
    server.will(
        said({"is_open": True}), said([{"date": "2026-11-18"}]), said([{"symbol": "AAPL"}]),
        said({"symbol": "AAPL"}), said([]), said(order_json()),
        said([{"symbol": "AAPL", "status": 200}], 207), said({"trades": {"AAPL": {"p": 1.5}, "BAD": None}}),
    )  # fmt: skip
    rest.clock()
    rest.calendar(date(2026, 11, 1), date(2026, 11, 30))
    rest.assets()
    rest.asset("AAPL")
    assert rest.positions() == []
    assert rest.order(ORDER)["id"] == ORDER
    assert rest.close_all(cancel_orders=True)[0]["status"] == 200
    assert rest.latest_trade(["AAPL", "BAD"]) == {"AAPL": {"p": 1.5}}
    assert [(asked.method, asked.path, asked.query) for asked in server.asked] == [
        ("GET", "/v2/clock", {}),
        ("GET", "/v2/calendar", {"start": "2026-11-01", "end": "2026-11-30"}),
        ("GET", "/v2/assets", {"status": "active", "asset_class": "us_equity"}),
        ("GET", "/v2/assets/AAPL", {}),
        ("GET", "/v2/positions", {}),
        ("GET", f"/v2/orders/{ORDER}", {}),
        ("DELETE", "/v2/positions", {"cancel_orders": "True"}),
        ("GET", "/v2/stocks/trades/latest", {"symbols": "AAPL,BAD", "feed": "iex"}),
    ]


def test_a_client_id_is_a_parameter_whatever_is_in_it(server: Canned, rest: AlpacaRest) -> None:
    server.will(said(order_json()))
    rest.order_by_client_id("a&b=c/../d", Priority.EXIT)
    assert server.asked[0].path == "/v2/orders:by_client_order_id"
    assert server.asked[0].query == {"client_order_id": "a&b=c/../d"}


# ---- cost --------------------------------------------------------------------------------------------


def test_alpaca_py_is_not_imported_before_the_first_request() -> None:
    code = (
        "import sys, tui_trader.venues.alpaca.broker, tui_trader.venues.alpaca.lanes;"
        "sys.exit(any(name.split('.')[0] in ('alpaca', 'requests', 'pandas') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
