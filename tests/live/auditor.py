"""Looks at the exchange and at the engine after every step, and notes each invariant that does not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tui_trader.core.events import (
    BarReceived,
    CandleClosed,
    ErrorOccurred,
    OrderStateChanged,
    Published,
    SignalGenerated,
    SignalRejected,
    SymbolState,
    SymbolStateChanged,
)
from tui_trader.core.ids import is_ours
from tui_trader.core.orders import OrderState, Role, Side
from tui_trader.venues.exchange.faults import role_of

if TYPE_CHECKING:
    from tests.live.scene import Scene

_BarPrices = tuple[str, Any, float, float, float, float]


class Auditor:
    """``broken`` has a line for each breach. The letters are those of RELIABILITY, "Invariants"."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.broken: list[str] = []
        #: Whether orders that we call wrong are expected: a broker that contradicts itself.
        self.contradictions_allowed = False
        self.quarantine_allowed = False
        self.short_allowed = False  # somebody else is short
        self._signals = 0
        self._bars: set[_BarPrices] = set()
        self._stops: dict[str, Decimal] = {}  # where each position's stop has been at its highest

    # ---- what the engine says --------------------------------------------------------------------

    def hear(self, published: Published) -> None:
        match published.event:
            case SignalGenerated():
                self._signals += 1
            case SignalRejected():
                self._signals -= 1
            case OrderStateChanged(role=role, state=OrderState.INTENT) as event:
                self._new_order(role, event)
            case BarReceived() as bar:
                self._bars.add((bar.symbol, bar.timestamp, bar.open, bar.high, bar.low, bar.close))
            case CandleClosed() as c:
                if (c.symbol, c.timestamp, c.open, c.high, c.low, c.close) not in self._bars:
                    self.broken.append(f"I: a candle of bars that were not accepted: {c}")
            case SymbolStateChanged(state=SymbolState.QUARANTINED, reason=reason) if (
                not self.quarantine_allowed
            ):
                self.broken.append(f"the engine failed inside a decision: {reason}")
            case ErrorOccurred(component="broker", message=message) if not self.contradictions_allowed:
                self.broken.append(f"a contradiction: {message}")
            case _:
                pass

    def _new_order(self, role: Role, event: OrderStateChanged) -> None:
        engine = self._scene.engine
        if role is Role.ENTRY and not engine.entries_allowed():
            self.broken.append("E: an entry while there may be none")
        if event.side is Side.SELL and event.qty > engine.portfolio.qty(event.symbol):
            self.broken.append(f"F: {event.qty} to be sold of {engine.portfolio.qty(event.symbol)}")

    # ---- what the exchange has -------------------------------------------------------------------

    def look(self) -> None:
        orders = self._scene.server.orders()
        self._one_entry_a_signal(orders)
        self._stops_tighten(orders)
        self._every_order_was_meant(orders)
        self._others_are_left_alone()
        for symbol, qty in self._scene.server.positions().items():
            if qty < 0 and not self.short_allowed:
                self.broken.append(f"F: short {qty} {symbol}")

    def _one_entry_a_signal(self, orders: list[dict[str, Any]]) -> None:
        entries = [o["client_order_id"] for o in orders if role_of(o["client_order_id"]) is Role.ENTRY]
        signals = {identity.rpartition("-")[0] for identity in entries}
        if not len(signals) == len(entries) <= self._signals:
            self.broken.append(f"A: {len(entries)} entries of {self._signals} signals: {entries}")

    def _stops_tighten(self, orders: list[dict[str, Any]]) -> None:
        held = self._scene.server.positions()
        for symbol in self._scene.symbols:
            if not held.get(symbol):
                self._stops.pop(symbol, None)
                continue
            for order in orders:
                ours = order["symbol"] == symbol and role_of(order["client_order_id"]) is Role.STOP
                if ours and order["status"] in ("new", "partially_filled"):
                    price = Decimal(order["stop_price"])
                    highest = self._stops.get(symbol, price)
                    if price < highest:
                        self.broken.append(f"D: the stop of {symbol} loosened from {highest} to {price}")
                    self._stops[symbol] = max(price, highest)

    def _every_order_was_meant(self, orders: list[dict[str, Any]]) -> None:
        registry = self._scene.engine.manager.registry
        for order in orders:
            identity = order["client_order_id"]
            open_now = order["status"] in ("new", "accepted", "partially_filled", "pending_new")
            if open_now and is_ours(identity) and registry.get(identity) is None:
                self.broken.append(f"G: {identity} was never intended")

    def _others_are_left_alone(self) -> None:
        scene = self._scene
        fresh = scene.requests_since_look()
        if scene.flattened:
            return
        theirs = {o["id"] for o in scene.server.orders() if not is_ours(str(o["client_order_id"]))}
        for request in fresh:
            if request.method in ("DELETE", "PATCH") and request.path.rpartition("/")[2] in theirs:
                self.broken.append(f"G: {request.method} of somebody else's order")
            if request.method == "POST" and request.path.endswith("/orders"):
                identity = json.loads(request.body).get("client_order_id", "")
                if not is_ours(identity):
                    self.broken.append(f"G: an order without an id of ours: {request.body}")

    def check(self, condition: Callable[[], bool], breach: str) -> None:
        if not condition():
            self.broken.append(breach)
