"""Alpaca's order JSON, read with care: what cannot be understood is left out, never guessed at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any, Final

from tui_trader.core.orders import (
    WORKING,
    BrokerOrderId,
    ClientOrderId,
    OrderReport,
    OrderState,
    OrderType,
    Side,
)

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}
_TYPES: Final = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
    "trailing_stop": OrderType.STOP,
}
_ENDED: Final = {
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    "replaced": OrderState.REPLACED,
}
_AT_WORK: Final = frozenset(
    {
        "new",
        "partially_filled",
        "accepted",
        "pending_new",
        "accepted_for_bidding",
        "pending_cancel",  # until it is cancelled it can fill
        "pending_replace",
        "pending_review",
        "held",
        "stopped",
        "suspended",
        "calculated",
    }
)
#: A replacement in one of these waits for the order it replaces, and may yet be rejected.
_NOT_YET: Final = frozenset({"pending_new", "accepted", "pending_review", "held"})

_BEYOND_REASON: Final = 10**15  # of dollars or of shares


@dataclass(frozen=True, slots=True)
class AlpacaOrder:
    """An order as Alpaca tells it. Fractions of shares, which only other people's orders have, are cut off.

    ``average`` is the average price of what was filled, None when nothing was or it cannot be read.
    """

    order_id: BrokerOrderId
    client_order_id: ClientOrderId
    symbol: str
    side: Side
    order_type: OrderType
    qty: int
    filled: int
    status: str
    good_for_day: bool
    average: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    replaces: BrokerOrderId | None = None
    replaced_by: BrokerOrderId | None = None
    submitted: datetime | None = None
    changed: datetime | None = None
    reason: str = ""

    @property
    def state(self) -> OrderState | None:
        """None for a status that we do not know: only the broker knows what it means."""
        if self.status == "done_for_day":
            # A day order has no other day to go on.
            return OrderState.EXPIRED if self.good_for_day else self._working
        return self._working if self.status in _AT_WORK else _ENDED.get(self.status)

    @property
    def _working(self) -> OrderState:
        part = self.filled > 0 or self.status == "partially_filled"
        return OrderState.PARTIALLY_FILLED if part else OrderState.ACCEPTED

    @property
    def works(self) -> bool:
        return self.state in WORKING

    @property
    def waits_for_another(self) -> bool:
        """Whether it is a replacement that may not have taken the place of the older order yet."""
        return self.replaces is not None and self.status in _NOT_YET

    def report(self, replaced_by: ClientOrderId | None = None) -> OrderReport | None:
        """The broker's word for the engine; None when there is nothing certain to say."""
        state = self.state
        if state is None:
            return None
        return OrderReport(
            self.client_order_id, self.order_id, self.symbol, self.side, self.order_type, self.qty,
            self.filled, state, self.limit_price, self.stop_price, self.reason, replaced_by,
        )  # fmt: skip


def order_of(data: object) -> AlpacaOrder | None:
    """The order that ``data`` describes; None when it is none, or its essential fields cannot be read."""
    if not isinstance(data, Mapping):
        return None
    order_id, symbol, status = text_of(data, "id"), text_of(data, "symbol"), text_of(data, "status")
    side = _SIDES.get(text_of(data, "side"))
    filled = shares_of(data.get("filled_qty") or "0")
    if not order_id or not symbol or not status or side is None or filled is None or filled < 0:
        return None
    # An order for dollars has no quantity before it has filled.
    qty = shares_of(data.get("qty"))
    limit, stop = decimal_of(data.get("limit_price")), decimal_of(data.get("stop_price"))
    return AlpacaOrder(
        BrokerOrderId(order_id),
        ClientOrderId(text_of(data, "client_order_id") or order_id),
        symbol,
        side,
        _TYPES.get(text_of(data, "type") or text_of(data, "order_type")) or _type_by_prices(limit, stop),
        qty if qty is not None else filled,
        filled,
        status,
        text_of(data, "time_in_force") == "day",
        decimal_of(data.get("filled_avg_price")),
        limit,
        stop,
        _id_of(data, "replaces"),
        _id_of(data, "replaced_by"),
        time_of(data.get("submitted_at")) or time_of(data.get("created_at")),
        time_of(data.get("filled_at")) or time_of(data.get("updated_at")),
        text_of(data, "reject_reason"),
    )


def orders_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[AlpacaOrder]:
    """All orders that can be read, the legs of each after it."""
    for row in rows:
        order = order_of(row)
        if order is not None:
            yield order
        legs = row.get("legs")
        if isinstance(legs, list):
            yield from orders_of(leg for leg in legs if isinstance(leg, Mapping))


def _type_by_prices(limit: Decimal | None, stop: Decimal | None) -> OrderType:
    if stop is not None:
        return OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if limit is None else OrderType.LIMIT


def _id_of(data: Mapping[str, Any], name: str) -> BrokerOrderId | None:
    text = text_of(data, name)
    return BrokerOrderId(text) if text else None


# ---- fields ------------------------------------------------------------------------------------------


def text_of(data: Mapping[str, Any], name: str) -> str:
    """A field's text, empty when it is missing or something else."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def decimal_of(value: object) -> Decimal | None:
    """A number, told as text or as a JSON number; None when it is none, or beyond all reason."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < _BEYOND_REASON else None


def shares_of(value: object) -> int | None:
    """Whole shares, a fraction cut off towards zero."""
    number = decimal_of(value)
    return None if number is None else int(number.to_integral_value(ROUND_DOWN))


def time_of(value: object) -> datetime | None:
    """An ISO time as aware UTC, cut to microseconds."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
