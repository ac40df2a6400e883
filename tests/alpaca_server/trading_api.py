"""Alpaca's trading API v2: account, clock, calendar, assets, positions, orders, fills."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from tests.alpaca_server import wire
from tests.alpaca_server.errors import ApiError, malformed, not_found, unprocessable
from tests.alpaca_server.exchange import Exchange
from tests.alpaca_server.orders import OPEN, Side, Ticket, Type
from tests.alpaca_server.routing import Answer, Call, Router
from tests.alpaca_server.stamps import NEW_YORK, eastern_text, parse, time_of

C = TypeVar("C", Side, Type)

_DAY = dt.timedelta(days=1)
_NO_BODY = Answer(204)


class TradingApi:
    """``clock_skew`` is added to the time that ``/clock`` tells."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._book = exchange.book
        self.clock_skew = dt.timedelta()
        self.router = Router(
            {
                ("GET", "/account"): self._account,
                ("GET", "/account/activities"): self._activities,
                ("GET", "/account/activities/FILL"): self._fills,
                ("GET", "/clock"): self._clock,
                ("GET", "/calendar"): self._calendar,
                ("GET", "/assets"): self._assets,
                ("GET", "/assets/([^/]+)"): self._asset,
                ("GET", "/positions"): self._positions,
                ("DELETE", "/positions"): self._close_positions,
                ("GET", "/positions/([^/]+)"): self._position,
                ("DELETE", "/positions/([^/]+)"): self._close_position,
                ("GET", "/orders"): self._orders,
                ("POST", "/orders"): self._submit,
                ("DELETE", "/orders"): self._cancel_all,
                ("GET", "/orders:by_client_order_id"): self._order_by_client_id,
                ("GET", "/orders/([^/]+)"): self._order,
                ("PATCH", "/orders/([^/]+)"): self._replace,
                ("DELETE", "/orders/([^/]+)"): self._cancel,
            }
        )

    # ---- account and market ----------------------------------------------------------------------

    def _account(self, _: Call) -> Answer:
        return Answer(200, self._exchange.account_json())

    def _clock(self, _: Call) -> Answer:
        now, hours = self._exchange.now(), self._exchange.hours
        return Answer(
            200,
            {
                "timestamp": eastern_text(now + self.clock_skew),
                "is_open": hours.is_open(now),
                "next_open": _to_the_second(hours.next_change(now, opens=True)),
                "next_close": _to_the_second(hours.next_change(now, opens=False)),
            },
        )

    def _calendar(self, call: Call) -> Answer:
        today = self._exchange.now().astimezone(NEW_YORK).date()
        day = _date(call.query.get("start"), today - 365 * _DAY)
        end = _date(call.query.get("end"), today + 365 * _DAY)
        days = []
        while day <= end:
            times = self._exchange.hours.times(day)
            if times is not None:
                days.append(
                    {
                        "date": day.isoformat(),
                        "open": f"{times[0]:%H:%M}",
                        "close": f"{times[1]:%H:%M}",
                        "session_open": "0400",
                        "session_close": "2000",
                        "settlement_date": (day + _DAY).isoformat(),
                    }
                )
            day += _DAY
        return Answer(200, days)

    def _assets(self, call: Call) -> Answer:
        status = call.query.get("status")
        if call.query.get("asset_class", "us_equity") != "us_equity":
            return Answer(200, [])
        assets = self._exchange.assets.values()
        return Answer(200, [wire.asset(asset) for asset in assets if status in (None, "", asset.status)])

    def _asset(self, _: Call, name: str) -> Answer:
        for asset in self._exchange.assets.values():
            if name in (asset.symbol, asset.id):
                return Answer(200, wire.asset(asset))
        raise not_found(f"asset not found for {name}")

    # ---- fills -----------------------------------------------------------------------------------

    def _activities(self, call: Call) -> Answer:
        wanted = call.listed("activity_types")
        return self._fills(call) if not wanted or "FILL" in wanted else Answer(200, [])

    def _fills(self, call: Call) -> Answer:
        size = _whole(call.query.get("page_size"), 100, most=100)
        after, until = _instant(call.query.get("after")), _instant(call.query.get("until"))
        day = call.query.get("date")
        found = [
            execution
            for execution in self._book.executions
            if (after is None or execution.time > after)
            and (until is None or execution.time < until)
            and (not day or time_of(execution.time).astimezone(NEW_YORK).date().isoformat() == day)
        ]
        if call.query.get("direction", "desc") == "desc":
            found.reverse()
        token = call.query.get("page_token")
        if token:
            places = [place for place, execution in enumerate(found) if execution.activity_id == token]
            if not places:
                raise malformed("invalid page_token")
            found = found[places[0] + 1 :]
        return Answer(200, [wire.activity(execution) for execution in found[:size]])

    # ---- positions -------------------------------------------------------------------------------

    def _positions(self, _: Call) -> Answer:
        return Answer(200, [self._exchange.position_json(s) for s in sorted(self._book.account.holdings)])

    def _position(self, _: Call, symbol: str) -> Answer:
        found = self._exchange.position_json(symbol)
        if found is None:
            raise not_found("position does not exist")
        return Answer(200, found)

    def _close_position(self, call: Call, symbol: str) -> Answer:
        held = self._book.account.holdings.get(symbol)
        if held is None:
            raise not_found("position does not exist")
        qty = abs(held.qty)
        if call.query.get("qty"):
            qty = _decimal("qty", call.query["qty"])
        elif call.query.get("percentage"):
            qty = round(qty * _decimal("percentage", call.query["percentage"]) / 100, 9)
        return Answer(200, self._close(symbol, qty))

    def _close_positions(self, call: Call) -> Answer:
        if call.flag("cancel_orders"):
            for order in self._book.open_orders():
                self._book.cancel(order.id)
        answers: list[wire.Json] = []
        for symbol, held in sorted(self._book.account.holdings.items()):
            try:
                body, status = self._close(symbol, abs(held.qty)), 200
            except ApiError as refusal:
                body, status = refusal.body(), refusal.status
            answers.append({"symbol": symbol, "status": status, "body": body})
        return Answer(207, answers)

    def _close(self, symbol: str, qty: Decimal) -> wire.Json:
        side = wire.close_side(self._book.account.holdings[symbol])
        identity = self._book.new_client_order_id()
        return self._said(Ticket(symbol, side, Type.MARKET, qty, identity))

    def _said(self, ticket: Ticket) -> wire.Json:
        """Submit; the order as it is before it meets the market."""
        said: list[wire.Json] = []
        self._book.submit(ticket, lambda order: said.append(wire.order(order)))
        return said[0]

    # ---- orders ----------------------------------------------------------------------------------

    def _orders(self, call: Call) -> Answer:
        """``after`` and ``until`` are exclusive, by the time of submission."""
        status = call.query.get("status", "open")
        limit = _whole(call.query.get("limit"), 50, most=500)
        after, until = _instant(call.query.get("after")), _instant(call.query.get("until"))
        symbols, side = call.listed("symbols"), call.query.get("side")
        found = [
            order
            for order in self._book.orders.values()
            if (status == "all" or (order.status in OPEN) == (status == "open"))
            and (after is None or order.created > after)
            and (until is None or order.created < until)
            and (not symbols or order.ticket.symbol in symbols)
            and side in (None, "", order.ticket.side)
        ]
        if call.query.get("direction", "desc") == "desc":
            found.reverse()
        return Answer(200, [wire.order(order) for order in found[:limit]])

    def _order(self, _: Call, order_id: str) -> Answer:
        return Answer(200, wire.order(self._book.order(order_id)))

    def _order_by_client_id(self, call: Call) -> Answer:
        return Answer(200, wire.order(self._book.order_of(call.query.get("client_order_id", ""))))

    def _submit(self, call: Call) -> Answer:
        body = call.body
        if body.get("order_class") not in (None, "", "simple"):
            raise unprocessable("this exchange takes simple orders only")
        ticket = Ticket(
            str(body.get("symbol", "")),
            _choice(Side, "side", body),
            _choice(Type, "type", body),
            _optional(body, "qty"),
            str(body.get("client_order_id") or self._book.new_client_order_id()),
            str(body.get("time_in_force", "")),
            _optional(body, "limit_price"),
            _optional(body, "stop_price"),
            _optional(body, "notional"),
            body.get("extended_hours") is True,
        )
        return Answer(200, self._said(ticket))

    def _replace(self, call: Call, order_id: str) -> Answer:
        body = call.body
        terms = {name: _optional(body, name) for name in ("qty", "limit_price", "stop_price")}
        identity, tif = body.get("client_order_id"), body.get("time_in_force")
        said: list[wire.Json] = []
        self._book.replace(
            order_id, terms, None if identity is None else str(identity), None if tif is None else str(tif),
            lambda order: said.append(wire.order(order)),
        )  # fmt: skip
        return Answer(200, said[0])

    def _cancel(self, _: Call, order_id: str) -> Answer:
        self._book.cancel(order_id)
        return _NO_BODY

    def _cancel_all(self, _: Call) -> Answer:
        answers: list[wire.Json] = []
        for order in self._book.open_orders():
            self._book.cancel(order.id)
            answers.append({"id": order.id, "status": 200})
        return Answer(207, answers)


def _choice(kind: type[C], name: str, body: Mapping[str, object]) -> C:
    try:
        return kind(str(body.get(name, "")))
    except ValueError:
        raise malformed(f"invalid {name}") from None


def _optional(body: Mapping[str, object], name: str) -> Decimal | None:
    value = body.get(name)
    return None if value is None else _decimal(name, value)


def _decimal(name: str, value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise malformed(f"invalid {name}") from None


def _whole(text: str | None, default: int, *, most: int) -> int:
    if not text:
        return default
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise malformed(f"limit must be between 1 and {most}")
    return int(text)


def _instant(text: str | None) -> int | None:
    if not text:
        return None
    try:
        return parse(text)
    except ValueError:
        raise malformed(f"invalid time {text!r}") from None


def _date(text: str | None, default: dt.date) -> dt.date:
    if not text:
        return default
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        raise malformed(f"invalid date {text!r}") from None


def _to_the_second(time: dt.datetime) -> str:
    return time.astimezone(NEW_YORK).isoformat(timespec="seconds")
