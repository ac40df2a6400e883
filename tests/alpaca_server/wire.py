"""The JSON that Alpaca writes: numbers as strings, times in UTC to the nanosecond, every field there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from tests.alpaca_server.account import Account, Holding
from tests.alpaca_server.market import MinuteBar
from tests.alpaca_server.orders import ZERO, Execution, News, Order, Side, Status
from tests.alpaca_server.rules import Asset
from tests.alpaca_server.stamps import utc_text

Json = dict[str, object]


def number(value: Decimal) -> str:
    """Plain, without an exponent or trailing zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text or "0"


def _or_null(value: Decimal | None) -> str | None:
    return None if value is None else number(value)


def _price(value: Decimal) -> str:
    """Averages are told to six decimals."""
    return number(round(value, 6))


def asset_id(symbol: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, symbol))


def order(order: Order) -> Json:
    ticket = order.ticket
    average = order.filled_avg_price
    ended = {
        status: utc_text(order.ended[status]) if status in order.ended else None
        for status in (Status.FILLED, Status.EXPIRED, Status.CANCELED, Status.REJECTED, Status.REPLACED)
    }
    return {
        "id": order.id,
        "client_order_id": ticket.client_order_id,
        "created_at": utc_text(order.created),
        "updated_at": utc_text(order.updated),
        "submitted_at": utc_text(order.created),
        "filled_at": ended[Status.FILLED],
        "expired_at": ended[Status.EXPIRED],
        "expires_at": None,
        "canceled_at": ended[Status.CANCELED],
        "failed_at": ended[Status.REJECTED],
        "replaced_at": ended[Status.REPLACED],
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": asset_id(ticket.symbol),
        "symbol": ticket.symbol,
        "asset_class": "us_equity",
        "notional": _or_null(ticket.notional),
        "qty": _or_null(ticket.qty),
        "filled_qty": number(order.filled_qty),
        "filled_avg_price": None if average is None else _price(average),
        "order_class": "",
        "order_type": ticket.type.value,
        "type": ticket.type.value,
        "side": ticket.side.value,
        "position_intent": order.intent,
        "time_in_force": ticket.time_in_force,
        "limit_price": _or_null(ticket.limit_price),
        "stop_price": _or_null(ticket.stop_price),
        "status": order.status.value,
        "extended_hours": ticket.extended_hours,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
        **order.shape,
    }


def trade_update(news: News) -> Json:
    """The ``data`` of a message on the trade stream."""
    time = utc_text(news.time)
    data: Json = {
        "event": news.event,
        "event_id": f"{news.time:026d}",
        "at": time,
        "timestamp": time,
        "order": order(news.order),
    }
    execution = news.execution
    if execution is not None and news.position_qty is not None:
        data |= {
            "execution_id": execution.id,
            "price": number(execution.price),
            "qty": number(execution.qty),
            "position_qty": number(news.position_qty),
        }
    return data


def activity(execution: Execution) -> Json:
    """A fill in the account's list of activities, which knows it by another id than the stream."""
    return {
        "id": execution.activity_id,
        "activity_type": "FILL",
        "transaction_time": utc_text(execution.time),
        "type": "fill" if execution.leaves == 0 else "partial_fill",
        "price": number(execution.price),
        "qty": number(execution.qty),
        "side": execution.side.value,
        "symbol": execution.symbol,
        "leaves_qty": number(execution.leaves),
        "order_id": execution.order_id,
        "cum_qty": number(execution.cumulative),
        "order_status": execution.order_status.value,
    }


def position(symbol: str, held: Holding, price: Decimal, available: Decimal, exchange: str) -> Json:
    value, cost = held.qty * price, held.qty * held.avg_price
    profit = value - cost
    share = _price(profit / abs(cost)) if cost else "0"
    return {
        "asset_id": asset_id(symbol),
        "symbol": symbol,
        "exchange": exchange,
        "asset_class": "us_equity",
        "asset_marginable": True,
        "qty": number(held.qty),
        "qty_available": number(available),
        "avg_entry_price": _price(held.avg_price),
        "side": "long" if held.qty > 0 else "short",
        "market_value": number(value),
        "cost_basis": _price(cost),
        "unrealized_pl": _price(profit),
        "unrealized_plpc": share,
        "unrealized_intraday_pl": _price(profit),
        "unrealized_intraday_plpc": share,
        "current_price": number(price),
        "lastday_price": number(price),
        "change_today": "0",
    }


def account(
    money: Account, prices: Mapping[str, Decimal], buying_power: Decimal, number_: str, created: str
) -> Json:
    equity = money.equity(prices)
    long_value, short_value = money.long_value(prices), money.short_value(prices)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, number_)),
        "account_number": number_,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "buying_power": number(round(buying_power, 2)),
        "regt_buying_power": number(round(buying_power, 2)),
        "non_marginable_buying_power": number(round(min(money.cash, buying_power), 2)),
        "cash": number(round(money.cash, 4)),
        "accrued_fees": "0",
        "portfolio_value": number(round(equity, 4)),
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "created_at": created,
        "trade_suspended_by_user": False,
        "multiplier": str(money.multiplier),
        "shorting_enabled": money.shorting,
        "equity": number(round(equity, 4)),
        "last_equity": number(round(equity, 4)),
        "long_market_value": number(long_value),
        "short_market_value": number(short_value),
        "position_market_value": number(long_value - short_value),
        "initial_margin": number(long_value),
        "maintenance_margin": number(round(long_value * Decimal("0.3"), 4)),
        "last_maintenance_margin": "0",
        "sma": "0",
    }


def asset(asset: Asset) -> Json:
    return {
        "id": asset.id,
        "class": "us_equity",
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": f"{asset.symbol} Inc. Common Stock",
        "status": asset.status,
        "tradable": asset.tradable,
        "marginable": True,
        "maintenance_margin_requirement": 30,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "shortable": asset.shortable,
        "easy_to_borrow": asset.shortable,
        "fractionable": asset.fractionable,
        "attributes": [],
    }


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def bar(bar: MinuteBar) -> Json:
    """As the data API lists it; the symbol is the key that it stands under."""
    return {
        "t": _minute(bar.time),
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": bar.volume,
        "n": max(1, int(bar.volume) // 100),
        "vw": round((bar.high + bar.low + bar.close) / 3, 6),
    }


def latest_trade(price: Decimal, time: int) -> Json:
    return {"t": utc_text(time), "x": "V", "p": float(price), "s": 100, "c": ["@"], "i": 1, "z": "C"}


def latest_quote(price: Decimal, time: int) -> Json:
    spread = Decimal("0.01")
    return {
        "t": utc_text(time), "ax": "V", "ap": float(price + spread), "as": 2, "bx": "V",
        "bp": float(price - spread), "bs": 2, "c": ["R"], "z": "C",
    }  # fmt: skip


def close_side(held: Holding) -> Side:
    """The side of the order that closes it."""
    return Side.SELL if held.qty > ZERO else Side.BUY
