"""The graceful shutdown: one path, whoever asks, however often (DESIGN §7)."""

from __future__ import annotations

from tui_trader.core.events import TradeReason
from tui_trader.core.portfolio import Portfolio
from tui_trader.engine.gateway import OrderGateway
from tui_trader.engine.handle import PositionsPolicy, Shutdown
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.reconciler import Reconciler
from tui_trader.venues.base import BrokerSnapshot


class GracefulShutdown:
    """Closes positions, or sees that they are protected, and asks the broker a last time."""

    def __init__(
        self, manager: OrderManager, portfolio: Portfolio, gateway: OrderGateway, reconciler: Reconciler
    ) -> None:
        self._manager = manager
        self._portfolio = portfolio
        self._gateway = gateway
        self._reconciler = reconciler
        self.begun = False
        self.positions: PositionsPolicy = "close"
        self._final_check: int | None = None

    def begin(self, command: Shutdown, policy: PositionsPolicy, *, market_open: bool) -> str:
        """Decide what becomes of positions; the reason to show. Nothing is sent yet."""
        self.begun = True
        self.positions = command.positions or policy
        if not market_open and self._portfolio.positions and self.positions == "close":
            self.positions = "keep"
            return f"{command.reason}; the market is closed, positions are kept with their stops"
        return command.reason

    def close_positions(self) -> None:
        """Entries off, and unless positions are kept, everything sold."""
        self._manager.withdraw_all_entries("shutting down")
        if self.positions == "close":
            for symbol in sorted(self._manager.books):
                self._manager.close(symbol, TradeReason.SHUTDOWN)

    @property
    def closes_all(self) -> bool:
        return self.begun and self.positions == "close"

    def advance(self) -> None:
        """Once everything is closed, or kept safely, ask the broker a last time."""
        if self._final_check is None and not self._gateway.busy and self.settled:
            self._final_check = self._gateway.query_snapshot()
            self._gateway.flush()

    def asked_again(self, request_id: int) -> None:
        """The last question had no sure answer and was asked once more."""
        if self._final_check is not None:
            self._final_check = request_id

    @property
    def settled(self) -> bool:
        """Whether nothing of ours is under way and every share that stays is protected."""
        if self.positions == "close":
            return self._manager.flat
        entries = next(self._manager.pending_entries(), None)
        return entries is None and next(self._manager.unprotected(), None) is None

    def verified(self, snapshot: BrokerSnapshot) -> str | None:
        """Whether ``snapshot`` is the last answer and all is well: what to say of it, else None."""
        if self._final_check != snapshot.request_id:
            return None
        theirs = self._reconciler.external_shares
        held = {p.symbol for p in snapshot.positions if p.qty != theirs.get(p.symbol, 0)}
        if not held:
            return ""
        if self.positions == "keep" and self.settled:
            return f"positions kept with their stops: {', '.join(sorted(held))}"
        self._final_check = None  # something came in between: go on closing
        return None

    def left_behind(self) -> str:
        """Exactly what a person must look at."""
        left = [f"{p.qty} {p.symbol}" for p in self._portfolio.positions.values()]
        left += [f"order {order.spec.client_order_id}" for order in self._manager.registry.live()]
        return f"left behind: {', '.join(left) or 'unverified'}"
