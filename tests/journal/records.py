"""Short ways to write down orders, fills, trades and events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tui_trader.core.events import ErrorOccurred, Published, TradeClosed, TradeReason
from tui_trader.core.orders import (
    ClientOrderId,
    Execution,
    ExecutionId,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
)
from tui_trader.engine.recorder import FillRecord, OrderRecord

OPEN = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def minute(count: float) -> datetime:
    return OPEN + timedelta(minutes=count)


def order(
    identity: str,
    state: OrderState = OrderState.INTENT,
    *,
    symbol: str = "AAPL",
    created: datetime = OPEN,
    filled: int = 0,
    reason: str = "",
) -> OrderRecord:
    spec = OrderSpec(
        client_order_id=ClientOrderId(identity),
        symbol=symbol,
        role=Role.ENTRY,
        side=Side.BUY,
        order_type=OrderType.STOP_LIMIT,
        qty=100,
        limit_price=Decimal("190.50"),
        stop_price=Decimal("190.10"),
    )
    return OrderRecord(spec, "velez", created, state, None, filled, Decimal("188.9900"), reason)


def fill(
    execution: str, position: int, *, order_id: str = "a", symbol: str = "AAPL", time: datetime = OPEN
) -> FillRecord:
    side = Side.BUY if position else Side.SELL
    return FillRecord(
        Execution(
            ExecutionId(execution), ClientOrderId(order_id), symbol, side, 100, Decimal("190.1234"), time
        ),
        position,
    )


def trade(exit_time: datetime, *, symbol: str = "AAPL") -> TradeClosed:
    return TradeClosed(
        symbol=symbol,
        strategy="velez",
        qty=100,
        entry_price=Decimal("190.10"),
        exit_price=Decimal("191.00"),
        entry_time=OPEN,
        exit_time=exit_time,
        pnl=Decimal("90.00"),
        reason=TradeReason.EXIT,
        planned_risk=Decimal("111.00"),
    )


def error(seq: int, message: str = "something", time: datetime = OPEN) -> Published:
    return Published(seq, time, ErrorOccurred("bars", message, None))
