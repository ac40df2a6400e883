"""The broker is the truth: compares what it says with what we think, and puts us right.

At start everything is rebuilt from the journal first, so that a restart is only a reconciliation with more
differences. A difference in shares is believed only when two snapshots in a row show it, a moment apart,
for a fill may be on the wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tui_trader.core.events import ErrorOccurred, Reconciled, TradeReason
from tui_trader.core.money import ZERO
from tui_trader.core.orders import (
    WORKING,
    ClientOrderId,
    Execution,
    ExecutionId,
    Order,
    OrderState,
    Role,
)
from tui_trader.core.portfolio import Portfolio
from tui_trader.engine.book import SymbolBook, unit_risk
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.gateway import OrderGateway
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.order_news import OrderNews
from tui_trader.engine.recorder import FillRecord, OrderRecord, Recovered
from tui_trader.venues.base import BrokerSnapshot


class Reconciler:
    def __init__(
        self,
        manager: OrderManager,
        news: OrderNews,
        portfolio: Portfolio,
        gateway: OrderGateway,
        bus: Publisher,
        clock: Clock,
    ) -> None:
        self._manager = manager
        self._news = news
        self._portfolio = portfolio
        self._gateway = gateway
        self._bus = bus
        self._clock = clock
        self._suspected: dict[str, int] = {}
        self._suspected_since = clock.now()
        self.external_shares: dict[str, int] = {}  # negative: somebody else is short
        self._claimed: set[str] = set()  # symbols whose external shares the user wants sold
        self._average: dict[str, Decimal] = {}  # what the broker says shares have cost
        self.buying_power: Decimal | None = None

    # ---- from the journal ------------------------------------------------------------------------

    def rebuild(self, recovered: Recovered) -> None:
        """Orders, positions and protective prices as the journal has them."""
        booked: dict[ExecutionId, FillRecord] = {}
        for known in (*recovered.open_fills, *recovered.fills):
            booked[known.execution.execution_id] = known
        filled: Counter[ClientOrderId] = Counter()
        for known in booked.values():
            filled[known.execution.client_order_id] += known.execution.qty
        for record in recovered.orders:
            self._adopt(record, filled[record.spec.client_order_id])
        for symbol, left in self._manager.books.items():
            reason = recovered.latches.get(f"exit {symbol}")
            if reason is not None:
                left.exit_reason = left.exit_saved = TradeReason(reason)
        fills: list[tuple[Execution, str, Decimal]] = []
        for fill in recovered.open_fills:
            order = self._manager.registry.get(fill.execution.client_order_id)
            book = self._manager.books.get(fill.execution.symbol)
            if order is not None:
                fills.append((fill.execution, order.strategy, unit_risk(order)))
            elif book is not None:
                fills.append((fill.execution, book.strategy, ZERO))  # sold elsewhere, and booked as that
        self._portfolio.adopt(fills)
        self._news.remember(recovered.open_fills)
        self._news.remember(recovered.fills)

    def _adopt(self, record: OrderRecord, filled: int) -> None:
        spec = record.spec
        book = self._manager.books.get(spec.symbol)
        if book is None:
            # No route trades the symbol any more; its position is protected and closed all the same.
            book = self._manager.books[spec.symbol] = SymbolBook(spec.symbol, record.strategy)
        order = Order(spec, record.strategy, record.created, record.planned_stop)
        order.state = record.state
        order.broker_order_id = record.broker_order_id
        # What was booked; an order's own row is written only when its state changes.
        order.filled_qty = max(record.filled_qty, filled)
        order.reason = record.reason
        self._manager.registry.add(order)
        # Whether it was sent is not known, or whether its answer was about to come.
        self._manager.remember_given_up(order)
        self._manager.mark_unknown(order, "the program ended before the broker's answer")
        book.made[spec.role] = book.made.get(spec.role, 0) + 1
        if record.state is OrderState.REJECTED:
            book.refused[spec.role] = book.refused.get(spec.role, 0) + 1
        match spec.role:
            case Role.ENTRY:
                if record.planned_stop is not None:
                    book.protect_at = record.planned_stop
                if order.live:
                    book.entry = order
            case Role.STOP:
                self._adopt_stop(book, order)
            case Role.EXIT:
                if order.live:
                    book.exit = order

    @staticmethod
    def _adopt_stop(book: SymbolBook, order: Order) -> None:
        price = order.spec.stop_price
        worked = order.state not in (OrderState.REJECTED, OrderState.DENIED)
        if price is not None and worked and (book.protect_at is None or price > book.protect_at):
            book.protect_at = price
        if order.live:
            if book.stop is None:
                book.stop = order
            else:
                book.replacement = order

    # ---- shares of others ------------------------------------------------------------------------

    def claim(self, symbols: Iterable[str]) -> None:
        """The user wants everything in ``symbols`` sold, whoever bought it: what is known now, and what the
        next snapshot shows."""
        self._claimed.update(symbols)
        self._take_over()

    def _take_over(self) -> None:
        for symbol in sorted(self._claimed):
            qty = self.external_shares.get(symbol, 0)
            if qty > 0:
                del self.external_shares[symbol]
                self._news.taken_over(symbol, qty, self._average.get(symbol, ZERO))
                self._manager.close(symbol, TradeReason.FLATTEN)
            elif qty < 0:
                text = f"{-qty} shares short that are not ours: not bought back"
                self._bus.emit(ErrorOccurred("flatten", text, symbol))

    # ---- against the broker ----------------------------------------------------------------------

    def compare(self, snapshot: BrokerSnapshot, *, starting: bool) -> bool:
        """Take the broker's word; false when another snapshot is needed to be sure."""
        differences: list[str] = []
        corrections: list[str] = []
        # Asked for before our latest fill, it may have been taken before it, too.
        fresh = snapshot.request_id > self._news.booked_at
        for execution in snapshot.executions:
            before = self._portfolio.qty(execution.symbol)
            self._news.book(execution)
            after = self._portfolio.qty(execution.symbol)
            if after != before:
                differences.append(f"{execution.symbol}: a fill of {execution.qty} was not in the journal")
                corrections.append(f"{execution.symbol}: position is {after}")
        reported = {report.client_order_id for report in snapshot.orders}
        for report in snapshot.orders:
            self._news.take_report(report)
        self._news.forget_external(reported, snapshot.request_id)
        self._ask_for_missing(reported, differences, corrections)
        self.buying_power = snapshot.account.buying_power
        sure = fresh and self._compare_shares(snapshot, differences, corrections)
        self._average = {p.symbol: p.avg_entry_price for p in snapshot.positions}
        if sure:
            self._portfolio.cash = snapshot.account.cash
            self._take_over()
            self._claimed.clear()
        if differences or starting:
            self._bus.emit(Reconciled(tuple(differences), tuple(corrections)))
        self._manager.steer_all()
        return sure

    def _ask_for_missing(
        self, reported: set[ClientOrderId], differences: list[str], corrections: list[str]
    ) -> None:
        for order in self._manager.unsettled():
            identity = order.spec.client_order_id
            if identity in reported or order.state in (OrderState.INTENT, OrderState.SUBMITTED):
                continue  # one whose answer is under way is asked about when it does not come
            differences.append(f"{order.spec.symbol}: order {identity} is not open at the broker")
            corrections.append(f"{order.spec.symbol}: asked what became of {identity}")
            self._gateway.query(order)

    def _compare_shares(
        self, snapshot: BrokerSnapshot, differences: list[str], corrections: list[str]
    ) -> bool:
        gaps = self._gaps({position.symbol: position.qty for position in snapshot.positions})
        now = self._clock.now()
        if gaps != self._suspected:
            self._suspected, self._suspected_since = gaps, now
        if not gaps:
            return True
        for symbol, gap in gaps.items():
            book = self._manager.books.get(symbol)
            if gap < 0 and book is not None:
                self._manager.hold_back(book)  # what would be sold may not be there
        if now - self._suspected_since < self._manager.policy.retry_delay or self._fill_is_due(gaps):
            return False
        for symbol, gap in gaps.items():
            self._believe(symbol, gap, differences, corrections)
        self._suspected = {}
        return True

    def _fill_is_due(self, gaps: Mapping[str, int]) -> bool:
        """Whether orders of ours may explain the difference once more is heard of them."""
        doubtful = {order.spec.symbol for order in self._manager.unsettled() if order.state not in WORKING}
        return any(gap > 0 and symbol in doubtful for symbol, gap in gaps.items())

    def _believe(self, symbol: str, gap: int, differences: list[str], corrections: list[str]) -> None:
        if gap > 0:
            differences.append(f"{symbol}: the broker holds {gap} shares that are not ours")
            corrections.append(f"{symbol}: {gap} shares marked EXTERNAL and left alone")
            self.external_shares[symbol] = self.external_shares.get(symbol, 0) + gap
            return
        ours = self._portfolio.qty(symbol)
        short = max(0, -gap - ours)
        if ours:
            differences.append(f"{symbol}: {-gap - short} of our {ours} shares are gone from the broker")
            corrections.append(f"{symbol}: position booked as closed elsewhere")
            self._news.closed_elsewhere(symbol, -gap - short)
        if short:
            differences.append(f"{symbol}: the account is short {short} shares more than we know of")
            corrections.append(f"{symbol}: marked EXTERNAL and left alone")
            self.external_shares[symbol] = self.external_shares.get(symbol, 0) - short

    def _gaps(self, theirs: Mapping[str, int]) -> dict[str, int]:
        """Shares at the broker beyond what we know of, by symbol."""
        symbols = set(theirs) | set(self._portfolio.positions) | set(self.external_shares)
        gaps: dict[str, int] = {}
        for symbol in sorted(symbols):
            known = self._portfolio.qty(symbol) + self.external_shares.get(symbol, 0)
            gap = theirs.get(symbol, 0) - known
            if gap < 0 and self.external_shares.get(symbol, 0) > 0:
                # Shares that were not ours are sold first: nobody but their owner did that.
                self.external_shares[symbol] = max(0, self.external_shares[symbol] + gap)
                gap = theirs.get(symbol, 0) - self._portfolio.qty(symbol) - self.external_shares[symbol]
            if gap:
                gaps[symbol] = gap
        return gaps
