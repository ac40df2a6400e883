"""Records as rows of the journal's tables, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tui_trader.core.events import Published, TradeClosed, TradeReason, to_json
from tui_trader.core.money import plain
from tui_trader.core.orders import (
    TERMINAL,
    BrokerOrderId,
    ClientOrderId,
    Execution,
    ExecutionId,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
    TimeInForce,
)
from tui_trader.engine.recorder import FillRecord, OrderRecord

Row = tuple[Any, ...]


def stamp(time: datetime) -> str:
    """UTC text of fixed width: ``…:00Z`` would sort after ``…:00.5Z``, so microseconds are always there."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: a broker's JSON may carry half a surrogate pair, which it cannot."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _price(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def order_row(book: int, record: OrderRecord, time: datetime) -> Row:
    spec = record.spec
    return (
        book,
        storable(spec.client_order_id),
        stamp(record.created),
        stamp(time),
        storable(spec.symbol),
        storable(record.strategy),
        spec.role,
        spec.side,
        spec.order_type,
        spec.time_in_force,
        spec.qty,
        record.filled_qty,
        _price(spec.limit_price),
        _price(spec.stop_price),
        _price(record.planned_stop),
        record.state,
        int(record.state not in TERMINAL),
        None if record.broker_order_id is None else storable(record.broker_order_id),
        storable(record.reason),
    )


def order_event_row(book: int, record: OrderRecord, time: datetime) -> Row:
    return (
        book,
        storable(record.spec.client_order_id),
        stamp(time),
        record.state,
        record.filled_qty,
        None if record.broker_order_id is None else storable(record.broker_order_id),
        storable(record.reason),
    )


def read_order(row: Row) -> OrderRecord:
    (
        client_order_id,
        created,
        symbol,
        strategy,
        role,
        side,
        order_type,
        time_in_force,
        qty,
        filled_qty,
        limit_price,
        stop_price,
        planned_stop,
        state,
        broker_order_id,
        reason,
    ) = row
    return OrderRecord(
        spec=OrderSpec(
            client_order_id=ClientOrderId(client_order_id),
            symbol=symbol,
            role=Role(role),
            side=Side(side),
            order_type=OrderType(order_type),
            qty=qty,
            limit_price=_decimal(limit_price),
            stop_price=_decimal(stop_price),
            time_in_force=TimeInForce(time_in_force),
        ),
        strategy=strategy,
        created=datetime.fromisoformat(created),
        state=OrderState(state),
        broker_order_id=None if broker_order_id is None else BrokerOrderId(broker_order_id),
        filled_qty=filled_qty,
        planned_stop=_decimal(planned_stop),
        reason=reason,
    )


def fill_row(book: int, record: FillRecord) -> Row:
    execution = record.execution
    return (
        book,
        storable(execution.execution_id),
        storable(execution.client_order_id),
        stamp(execution.time),
        storable(execution.symbol),
        execution.side,
        execution.qty,
        plain(execution.price),
        record.position_qty,
    )


def read_fill(row: Row) -> FillRecord:
    execution_id, client_order_id, time, symbol, side, qty, price, position_qty = row
    return FillRecord(
        Execution(
            execution_id=ExecutionId(execution_id),
            client_order_id=ClientOrderId(client_order_id),
            symbol=symbol,
            side=Side(side),
            qty=qty,
            price=Decimal(price),
            time=datetime.fromisoformat(time),
        ),
        position_qty,
    )


def trade_row(book: int, trade: TradeClosed, time: datetime) -> Row:
    return (
        book,
        stamp(time),
        storable(trade.symbol),
        storable(trade.strategy),
        trade.qty,
        plain(trade.entry_price),
        plain(trade.exit_price),
        stamp(trade.entry_time),
        stamp(trade.exit_time),
        plain(trade.pnl),
        trade.reason,
        plain(trade.planned_risk),
    )


def read_trade(row: Row) -> TradeClosed:
    symbol, strategy, qty, entry_price, exit_price, entry_time, exit_time, pnl, reason, planned_risk = row
    return TradeClosed(
        symbol=symbol,
        strategy=strategy,
        qty=qty,
        entry_price=Decimal(entry_price),
        exit_price=Decimal(exit_price),
        entry_time=datetime.fromisoformat(entry_time),
        exit_time=datetime.fromisoformat(exit_time),
        pnl=Decimal(pnl),
        reason=TradeReason(reason),
        planned_risk=Decimal(planned_risk),
    )


def event_row(book: int, published: Published) -> Row:
    return (
        book,
        stamp(published.time),
        published.seq,
        type(published.event).__name__,
        storable(to_json(published)),
    )
