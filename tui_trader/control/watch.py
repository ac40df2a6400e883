"""Follows a running engine from outside until something is so: its state, what it holds, what works."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tui_trader.control.client import ControlClient, EngineSilentError
from tui_trader.control.endpoint import NoEngineError
from tui_trader.core.orders import TERMINAL, WORKING, Role
from tui_trader.errors import TuiTraderError

# Before these are over the engine does not know what it holds.
_BLIND: Final = frozenset({"STARTING", "RECONCILING"})
_RETRY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """An order that may still fill; ``qty`` and ``filled_qty`` in shares."""

    symbol: str
    role: str
    side: str
    order_type: str
    qty: int
    filled_qty: int
    state: str

    def __str__(self) -> str:
        open_qty = self.qty - self.filled_qty
        return f"{self.symbol} {self.side} {open_qty} {self.order_type} ({self.role}, {self.state})"


class Picture:
    """What an engine is known to be doing, from its status and the events after it."""

    def __init__(self, status: dict[str, Any]) -> None:
        try:
            self.seq = int(status["seq"])
            self.state = str(status["state"])
            self.reason = str(status["state_reason"])
            self.breaker_rule = str(status["breaker"]["rule"]) if status["breaker"]["tripped"] else ""
            self.positions = {str(held["symbol"]): int(held["qty"]) for held in status["positions"]}
            self.orders: dict[str, WorkingOrder] = {}
            for order in status["orders"]:
                self._note_order(order)
        except (KeyError, TypeError, ValueError):
            raise _not_understood() from None

    def apply(self, event: dict[str, Any]) -> None:
        """Bring the picture up to date by one event."""
        try:
            kind = event["type"]
            self.seq = int(event["seq"])
            if kind == "EngineStateChanged":
                self.state, self.reason = str(event["state"]), str(event["reason"])
            elif kind == "PositionChanged":
                self.positions[str(event["symbol"])] = int(event["qty"])
            elif kind == "OrderStateChanged":
                self._note_order(event)
            elif kind == "CircuitBreakerTripped":
                self.breaker_rule = str(event["rule"])
            elif kind == "CircuitBreakerReset":
                self.breaker_rule = ""
        except (KeyError, TypeError, ValueError):
            raise _not_understood() from None

    @property
    def knows_its_holdings(self) -> bool:
        return self.state not in _BLIND

    def held(self, symbol: str | None = None) -> dict[str, int]:
        """Shares by symbol, of one symbol or of all."""
        return {name: qty for name, qty in self.positions.items() if qty and symbol in (None, name)}

    def working(self, symbol: str | None = None) -> list[WorkingOrder]:
        """Orders that may still fill, of one symbol or of all."""
        return [order for order in self.orders.values() if symbol in (None, order.symbol)]

    def left(self, symbol: str | None = None) -> list[str]:
        """Every position and order that remains, in words."""
        held = [f"{name} {qty} shares" for name, qty in self.held(symbol).items()]
        return held + [f"order {order}" for order in self.working(symbol)]

    def only_protected(self) -> bool:
        """Whether nothing remains but positions with a working stop behind every share."""
        stopped: dict[str, int] = {}
        for order in self.orders.values():
            if order.role != Role.STOP or order.state not in WORKING:
                return False
            stopped[order.symbol] = stopped.get(order.symbol, 0) + order.qty - order.filled_qty
        return stopped == self.held()

    def _note_order(self, order: dict[str, Any]) -> None:
        key, state = str(order["client_order_id"]), str(order["state"])
        if state in TERMINAL or order["role"] == Role.EXTERNAL:  # of somebody else: nothing of ours remains
            self.orders.pop(key, None)
            return
        self.orders[key] = WorkingOrder(
            symbol=str(order["symbol"]),
            role=str(order["role"]),
            side=str(order["side"]),
            order_type=str(order["order_type"]),
            qty=int(order["qty"]),
            filled_qty=int(order["filled_qty"]),
            state=state,
        )


@dataclass(slots=True)
class Outcome:
    """``picture`` is the last one seen, if any; ``gone`` when the engine's process no longer answers."""

    picture: Picture | None = None
    gone: bool = False


def watch(client: ControlClient, until: Callable[[Picture], bool], timeout_s: float) -> Outcome:
    """Follow the engine until ``until`` is true of it, it is gone, or ``timeout_s`` seconds have passed.

    An engine that is silent for a while is asked again. Raises ``TuiTraderError`` for any other failure.
    """
    outcome = Outcome()
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            outcome.picture = Picture(client.status())
            if until(outcome.picture) or _follow(client, outcome.picture, until, deadline):
                return outcome
        except NoEngineError:
            outcome.gone = True
            return outcome
        except EngineSilentError:
            pass
        left = deadline - time.monotonic()
        if left <= 0:
            return outcome
        time.sleep(min(_RETRY_S, left))


def _follow(
    client: ControlClient, picture: Picture, until: Callable[[Picture], bool], deadline: float
) -> bool:
    """Whether ``until`` came true before the stream ended, had a gap or ran out of time."""
    for event in client.events(picture.seq, deadline):
        if event.get("type") == "gap":
            return False
        picture.apply(event)
        if until(picture):
            return True
    return False


def _not_understood() -> TuiTraderError:
    return TuiTraderError("the engine's answer is not understood: is it of another version?")
