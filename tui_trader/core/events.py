"""Everything the engine says, as frozen values.

An event carries facts only; ``Published`` adds when it was said and its number. ``to_json`` is the one form
used in event files, server-sent events and the journal: prices and money as decimal strings, market data as
numbers, times in ISO 8601 UTC.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

from tui_trader.core.money import plain
from tui_trader.core.orders import OrderState, OrderType, Role, Side


class EngineState(StrEnum):
    STARTING = "STARTING"
    RECONCILING = "RECONCILING"
    WARMING_UP = "WARMING_UP"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CLOSING = "CLOSING"  # end of day: positions are being closed
    MARKET_CLOSED = "MARKET_CLOSED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    STOPPED = "STOPPED"


class SymbolState(StrEnum):
    """What a symbol is doing, in the words of the watchlist."""

    COLD = "cold"
    WARMING = "warming"
    WATCHING = "watching"
    ARMED = "armed"  # an entry order works
    LONG = "long"
    STALE = "stale"
    HALTED = "halted"
    QUARANTINED = "quarantined"


class TradeReason(StrEnum):
    STOP = "stop"
    EXIT = "exit"
    FLATTEN = "flatten"
    END_OF_DAY = "end_of_day"
    SHUTDOWN = "shutdown"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class EngineStateChanged:
    state: EngineState
    previous: EngineState
    reason: str


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A trading session begins: its bounds, and when entries end and positions are closed."""

    date: str
    open: datetime
    close: datetime
    no_entries_from: datetime
    flatten_at: datetime


@dataclass(frozen=True, slots=True)
class SymbolStateChanged:
    symbol: str
    state: SymbolState
    reason: str


@dataclass(frozen=True, slots=True)
class WarmupProgress:
    symbol: str
    candles: int
    required: int
    done_symbols: int
    total_symbols: int


@dataclass(frozen=True, slots=True)
class BarReceived:
    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    adjusted: bool


@dataclass(frozen=True, slots=True)
class BarRejected:
    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    adjusted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CandleClosed:
    symbol: str
    timestamp: datetime
    minutes: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    bars: int
    complete: bool
    sma_fast: float
    sma_slow: float


@dataclass(frozen=True, slots=True)
class SignalGenerated:
    symbol: str
    side: Side
    strategy: str
    entry_price: Decimal
    stop_price: Decimal
    candle: datetime


@dataclass(frozen=True, slots=True)
class SignalRejected:
    symbol: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderStateChanged:
    client_order_id: str
    broker_order_id: str | None
    symbol: str
    role: Role
    side: Side
    order_type: OrderType
    qty: int
    filled_qty: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    state: OrderState
    previous: OrderState | None
    reason: str


@dataclass(frozen=True, slots=True)
class OrderFilled:
    client_order_id: str
    execution_id: str
    symbol: str
    side: Side
    qty: int
    price: Decimal
    position_qty: int
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class StopMoved:
    symbol: str
    stop_price: Decimal
    previous: Decimal


@dataclass(frozen=True, slots=True)
class PositionChanged:
    symbol: str
    qty: int
    avg_entry_price: Decimal
    stop_price: Decimal | None
    unrealized_pnl: Decimal


@dataclass(frozen=True, slots=True)
class TradeClosed:
    symbol: str
    strategy: str
    qty: int
    entry_price: Decimal
    exit_price: Decimal
    entry_time: datetime
    exit_time: datetime
    pnl: Decimal
    reason: TradeReason
    planned_risk: Decimal


@dataclass(frozen=True, slots=True)
class AccountUpdated:
    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    day_pnl: Decimal


@dataclass(frozen=True, slots=True)
class CircuitBreakerTripped:
    rule: str
    value: Decimal
    limit: Decimal


@dataclass(frozen=True, slots=True)
class CircuitBreakerReset:
    rule: str
    value: Decimal
    limit: Decimal


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    stream: Literal["bars", "trade_updates", "rest"]
    state: Literal["connected", "reconnecting", "stale", "disconnected"]
    attempt: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    differences: tuple[str, ...]
    corrections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    uptime_s: float
    inbox_depth: int
    loop_lag_ms: float


@dataclass(frozen=True, slots=True)
class ErrorOccurred:
    component: str
    message: str
    symbol: str | None


Event = (
    EngineStateChanged
    | SessionChanged
    | SymbolStateChanged
    | WarmupProgress
    | BarReceived
    | BarRejected
    | CandleClosed
    | SignalGenerated
    | SignalRejected
    | OrderStateChanged
    | OrderFilled
    | StopMoved
    | PositionChanged
    | TradeClosed
    | AccountUpdated
    | CircuitBreakerTripped
    | CircuitBreakerReset
    | ConnectionChanged
    | Reconciled
    | Heartbeat
    | ErrorOccurred
)

EVENT_TYPES: Final[tuple[type[Event], ...]] = Event.__args__
#: Events so frequent that a listener must want them: they are not built when nobody does.
MARKET_DATA: Final[frozenset[type[Event]]] = frozenset({BarReceived, CandleClosed})


class Published(NamedTuple):
    """An event as published: ``seq`` counts 1, 2, 3, … within a run, ``time`` is the engine clock's."""

    seq: int
    time: datetime
    event: Event


def iso_utc(time: datetime) -> str:
    """ISO 8601 in UTC with a ``Z``."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    kind: tuple(f.name for f in fields(kind)) for kind in EVENT_TYPES
}
_encode: Final[Callable[[object], str]] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_dict(published: Published) -> dict[str, Any]:
    """The public form of an event as plain JSON values; a number that is not finite becomes null."""
    event = published.event
    kind = type(event)
    document: dict[str, Any] = {"type": kind.__name__, "time": iso_utc(published.time), "seq": published.seq}
    for name in _FIELDS[kind]:
        document[name] = _plain_value(getattr(event, name))
    return document


def to_json(published: Published) -> str:
    """``to_dict`` as one line of JSON."""
    return _encode(to_dict(published))
