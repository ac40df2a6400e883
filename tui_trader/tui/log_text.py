"""What each event reads like as one line of the log. Frequent events that say nothing new have no line."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, NamedTuple

from tui_trader.core.events import (
    BarRejected,
    CircuitBreakerReset,
    CircuitBreakerTripped,
    ConnectionChanged,
    EngineStateChanged,
    ErrorOccurred,
    Event,
    OrderFilled,
    OrderStateChanged,
    Published,
    Reconciled,
    SessionChanged,
    SignalGenerated,
    SignalRejected,
    StopMoved,
    SymbolState,
    SymbolStateChanged,
    TradeClosed,
)
from tui_trader.core.orders import OrderState
from tui_trader.engine.handle import StreamView
from tui_trader.tui.formats import breaker_cause, clock, multiple, price, signed

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]


class LogEntry(NamedTuple):
    """One line of the log. ``text`` may hold words from outside: data, never markup."""

    time: datetime
    level: Level
    kind: str
    symbol: str
    text: str


_TROUBLED_SYMBOL: Final = frozenset({SymbolState.STALE, SymbolState.HALTED, SymbolState.QUARANTINED})
_ORDER_LEVELS: Final[dict[OrderState, Level]] = {
    OrderState.INTENT: "DEBUG",
    OrderState.SUBMITTED: "DEBUG",
    OrderState.FILLED: "DEBUG",
    OrderState.PARTIALLY_FILLED: "DEBUG",
    OrderState.REPLACED: "DEBUG",
    OrderState.DENIED: "WARN",
    OrderState.UNKNOWN: "WARN",
    OrderState.REJECTED: "WARN",
}


def log_entry(published: Published) -> LogEntry | None:
    """The line of an event, or None when it has none."""
    told = _tell(published.event)
    return None if told is None else LogEntry(published.time, *told)


def _tell(event: Event) -> tuple[Level, str, str, str] | None:
    match event:
        case EngineStateChanged():
            return "INFO", "STATE", "", _with_reason(f"{event.state}", event.reason)
        case SessionChanged():
            times = f"{clock(event.open)[:5]} to {clock(event.close)[:5]} ET"
            return "INFO", "SESSION", "", f"{event.date}, {times}, flat by {clock(event.flatten_at)[:5]}"
        case SymbolStateChanged():
            level: Level = "WARN" if event.state in _TROUBLED_SYMBOL else "DEBUG"
            return level, "SYMBOL", event.symbol, _with_reason(event.state.value, event.reason)
        case BarRejected():
            return "WARN", "BAR", event.symbol, f"bar {clock(event.timestamp)[:5]} refused: {event.reason}"
        case SignalGenerated():
            levels = f"entry {price(event.entry_price)}, stop {price(event.stop_price)}"
            return "INFO", "SIGNAL", event.symbol, f"{event.strategy}: {event.side} {levels}"
        case SignalRejected():
            return "INFO", "REFUSED", event.symbol, f"{event.rule}: {event.reason}"
        case OrderStateChanged():
            return _ORDER_LEVELS.get(event.state, "INFO"), "ORDER", event.symbol, _order_text(event)
        case OrderFilled():
            done = "bought" if event.side == "buy" else "sold"
            text = f"{done} {event.qty} @ {price(event.price)}, now {event.position_qty}"
            return "INFO", "FILL", event.symbol, text
        case StopMoved():
            text = f"stop {price(event.previous)} → {price(event.stop_price)}"
            return "INFO", "STOP", event.symbol, text
        case TradeClosed():
            return "INFO", "TRADE", event.symbol, _trade_text(event)
        case CircuitBreakerTripped():
            cause = breaker_cause(event.rule, event.value, event.limit)
            return "ERROR", "BREAKER", "", f"tripped: {cause}; no entries until the next session"
        case CircuitBreakerReset():
            return "INFO", "BREAKER", "", "reset: entries are possible again"
        case ConnectionChanged():
            attempt = f", attempt {event.attempt}" if event.attempt else ""
            return _connection_level(event), "FEED", "", f"{event.stream} {connection(event)}{attempt}"
        case Reconciled():
            if not event.differences:
                return None
            return "WARN", "RECONCILE", "", "; ".join((*event.differences, *event.corrections))
        case ErrorOccurred():
            return "ERROR", "ERROR", event.symbol or "", f"{event.component}: {event.message}"
        case _:
            return None


def connection(view: ConnectionChanged | StreamView) -> str:
    """A stream's state in one word. One that was never lost is not *re*connecting."""
    return "connecting" if (view.state, view.attempt) == ("reconnecting", 0) else view.state


def _connection_level(event: ConnectionChanged) -> Level:
    if event.state == "connected":
        return "INFO"
    if event.state == "reconnecting" and (
        event.attempt == 0 or (event.attempt > 1 and event.stream != "rest")
    ):
        return "DEBUG"  # the first loss is said; the line at the top counts the attempts
    return "WARN"


def _order_text(event: OrderStateChanged) -> str:
    at = event.limit_price if event.limit_price is not None else event.stop_price
    what = f"{event.role.value.lower()} {event.side} {event.qty}"
    if at is not None:
        what += f" @ {price(at)}"
    return _with_reason(f"{what} {event.state.value.lower().replace('_', ' ')}", event.reason)


def _trade_text(event: TradeClosed) -> str:
    text = f"{event.reason.value.replace('_', ' ')}: {event.qty} closed @ {price(event.exit_price)}"
    text += f", {signed(event.pnl)}"
    if event.planned_risk > 0:
        text += f" ({multiple(event.pnl / event.planned_risk)}R)"
    return text


def _with_reason(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text
