"""What the broker says, booked: answers to requests, order updates and executions."""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import datetime
from decimal import Decimal

from tui_trader.core.events import (
    ErrorOccurred,
    OrderFilled,
    OrderStateChanged,
    PositionChanged,
    TradeClosed,
    TradeReason,
)
from tui_trader.core.money import ZERO, to_decimal
from tui_trader.core.orders import (
    WORKING,
    BrokerProtocolError,
    ClientOrderId,
    Execution,
    ExecutionId,
    Order,
    OrderReport,
    OrderSpec,
    OrderState,
    Role,
    Side,
)
from tui_trader.core.portfolio import ClosedTrade, Portfolio
from tui_trader.engine.book import SymbolBook, unit_risk
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.gateway import InFlight, OrderGateway
from tui_trader.engine.order_manager import NEVER_RECEIVED, NO_LONGER_KNOWN, OrderManager
from tui_trader.engine.recorder import FillRecord, Recorder
from tui_trader.venues.base import (
    Acknowledged,
    OrderUpdate,
    QueryOrder,
    Refusal,
    Refused,
    ReplaceOrder,
    SubmitOrder,
)


class OrderNews:
    """Books the broker's messages. ``trade_closed`` is called for every trade, in the order of closing."""

    def __init__(
        self,
        manager: OrderManager,
        portfolio: Portfolio,
        gateway: OrderGateway,
        recorder: Recorder,
        bus: Publisher,
        clock: Clock,
    ) -> None:
        self._manager = manager
        self._portfolio = portfolio
        self._gateway = gateway
        self._recorder = recorder
        self._bus = bus
        self._clock = clock
        self._seen: set[ExecutionId] = set()
        self._seen_before: set[ExecutionId] = set()  # of the session before
        self._absent: dict[ClientOrderId, datetime] = {}  # since when the broker says it knows no such order
        self._foreign_sales: dict[str, Decimal] = {}  # prices of sales that were not ours, by symbol
        self.booked_at = 0  # the latest request when the latest execution was booked
        self.external_orders: dict[ClientOrderId, OrderReport] = {}
        self._external_heard = 0  # the latest request when news of one of them came last
        self.trade_closed: Callable[[ClosedTrade], None] = lambda trade: None
        self.account_changed: Callable[[], None] = lambda: None
        self.disagreement: Callable[[str], None] = lambda what: None
        self.brought_in: Callable[[Decimal], None] = lambda value: None
        manager.positions_changed = self.say_position

    def remember(self, fills: tuple[FillRecord, ...]) -> None:
        """Executions that an earlier run has booked."""
        self._seen.update(record.execution.execution_id for record in fills)

    def forget(self) -> None:
        """A new session begins: a broker tells today's executions, hardly yesterday's, and no older ones."""
        self._seen_before, self._seen = self._seen, set()

    # ---- answers ---------------------------------------------------------------------------------

    def acknowledged(self, message: Acknowledged) -> None:
        self._gateway.answered(message.request_id)
        for execution in message.executions:
            self.book(execution)
        if message.report is not None:
            self.take_report(message.report)

    def refused(self, item: InFlight, message: Refused) -> None:
        """A request was turned away, so it has certainly done nothing."""
        order = item.order
        if order is None:
            return
        match item.request:
            case SubmitOrder() | ReplaceOrder():
                self._placing_refused(item.request, order, message)
            case _:
                # A cancel of an order that no longer works, or a question that was turned away.
                if message.refusal is Refusal.NOT_WORKING:
                    self._gateway.query(order)
                else:
                    self._manager.maker.ask_later(order)
        self._manager.steer(order.spec.symbol)

    def _placing_refused(self, request: SubmitOrder | ReplaceOrder, order: Order, message: Refused) -> None:
        if order.state not in (OrderState.SUBMITTED, OrderState.UNKNOWN):
            return  # an earlier send of it has got through meanwhile
        again = order.state is OrderState.UNKNOWN
        if message.refusal is Refusal.DUPLICATE_ID:
            # Then an earlier send of this very order got through: it is ours, adopt it.
            self._manager.mark_unknown(order, message.message)
            self._gateway.query(order)
        elif again and message.refusal in (Refusal.RATE_LIMITED, Refusal.NOT_WORKING):
            # This says nothing about the earlier send, which may have done it.
            self._manager.maker.ask_later(order)
        else:
            book = self._manager.books[order.spec.symbol]
            self._manager.refuse(order, message.message)
            book.refused[order.spec.role] = book.refused.get(order.spec.role, 0) + 1
            self._after_refusal(book, order, message)
        if isinstance(request, ReplaceOrder) and message.refusal is Refusal.NOT_WORKING:
            old = self._manager.registry.get(request.client_order_id)
            if old is not None and old.live:
                self._gateway.query(old)

    def _after_refusal(self, book: SymbolBook, order: Order, message: Refused) -> None:
        if order.spec.side is Side.SELL:
            book.turned_away += 1
        match order.spec.role:
            case Role.STOP if message.refusal is Refusal.PRICE_THROUGH_STOP:
                book.exit_reason = book.exit_reason or TradeReason.STOP
            case Role.STOP:
                self._manager.hold_back(book)
            case Role.EXIT:
                self._sale_failed(book, message.message)
            case _:
                pass
        if message.refusal is Refusal.SHARES_HELD:
            self.disagreement(f"{book.symbol}: the broker holds fewer free shares than we think")

    def _sale_failed(self, book: SymbolBook, reason: str) -> None:
        self._bus.emit(ErrorOccurred("orders", f"the sale was refused: {reason}", book.symbol))
        self._manager.exit_refused(book)

    def lost(self, item: InFlight, reason: str) -> None:
        """No answer came: only the broker knows. Ask; never send a second order for it."""
        self._manager.answer_lost()
        order = item.order
        if order is None:
            return
        match item.request:
            case SubmitOrder() | ReplaceOrder():
                self._manager.mark_unknown(order, reason)
                self._gateway.query(order)
            case QueryOrder():
                self._manager.maker.ask_later(order)
            case _:
                self._gateway.query(order)

    def not_found(self, order: Order) -> None:
        """The broker does not know the order (yet).

        A lost stop or exit is sent again under its own id, which a broker takes at most once; a lost entry is
        only asked for again, for it may still arrive, and nothing is at risk without it.
        """
        identity = order.spec.client_order_id
        if self._manager.registry.get(identity) is not order or not order.live:
            return
        now, policy = self._clock.now(), self._manager.policy
        if self._gateway.placing(order):
            return
        since = self._absent.setdefault(identity, now)
        if order.state in WORKING:
            if now - since >= 2 * policy.retry_delay:
                self._manager.give_up(order, NO_LONGER_KNOWN)
        elif order.spec.role is Role.ENTRY:
            if now - since >= policy.lost_after:
                self._manager.give_up(order, NEVER_RECEIVED)
        elif now - since >= policy.retry_delay:
            del self._absent[identity]  # so that it is not sent more often than once in a while
            self._send_again(order)
        self._manager.maker.ask_later(order)
        self._manager.steer(order.spec.symbol)

    def absent(self, order: Order) -> bool:
        """Whether the broker has said that it does not know ``order``, and nothing else of it since."""
        return order.spec.client_order_id in self._absent

    def _send_again(self, order: Order) -> None:
        book = self._manager.books[order.spec.symbol]
        if order is not book.replacement:
            self._gateway.submit(order)
        elif book.stop is not None and book.stop.state is not OrderState.REPLACED:
            self._gateway.replace(book.stop, order)
        else:
            # The stop that it was to replace has ended otherwise: it can take no order's place any more.
            self._manager.refuse(order, "the broker never received the replacement")

    # ---- news ------------------------------------------------------------------------------------

    def updated(self, message: OrderUpdate) -> None:
        if message.execution is not None:
            self.book(message.execution)
        self.take_report(message.report)

    def take_report(self, report: OrderReport) -> None:
        order = self._manager.registry.get(report.client_order_id)
        if order is None:
            self._external(report)
            return
        self._absent.pop(report.client_order_id, None)
        before = order.state
        try:
            self._manager.absorb(order, report)
        except BrokerProtocolError as error:
            self._bus.emit(ErrorOccurred("broker", str(error), report.symbol))
            self.disagreement(str(error))
        if order.state is OrderState.REJECTED and before is not OrderState.REJECTED:
            self._rejected_late(order)
        self._manager.steer(report.symbol)

    def _rejected_late(self, order: Order) -> None:
        """The broker has taken an order and rejected it afterwards."""
        book = self._manager.books[order.spec.symbol]
        match order.spec.role:
            case Role.STOP:
                book.turned_away += 1
                self._manager.stop_failed(book, order)
            case Role.EXIT:
                book.turned_away += 1
                self._sale_failed(book, order.reason)
            case _:
                pass

    def _external(self, report: OrderReport) -> None:
        """An order that is not ours: seen, shown, and left alone."""
        known = self.external_orders.get(report.client_order_id)
        if known == report:
            return
        self.external_orders[report.client_order_id] = report
        self._external_heard = self._gateway.latest
        self._bus.emit(
            OrderStateChanged(
                report.client_order_id, report.broker_order_id, report.symbol, Role.EXTERNAL, report.side,
                report.order_type, report.qty, report.filled_qty, report.limit_price, report.stop_price,
                report.state, known.state if known else None, report.reason,
            )
        )  # fmt: skip
        if report.state not in WORKING:
            self._manager.obstacle_gone(report.symbol)

    def forget_external(self, reported: Set[ClientOrderId], request_id: int) -> None:
        """The broker's list of open orders: those of others that are not in it have ended."""
        if request_id > self._external_heard:
            ended = [
                identity
                for identity, report in self.external_orders.items()
                if report.state in WORKING and identity not in reported
            ]
            for identity in ended:
                del self.external_orders[identity]

    def external_at_work(self) -> bool:
        """Whether orders of others work, as far as we know."""
        return any(report.state in WORKING for report in self.external_orders.values())

    def blocks_stops(self, symbol: str) -> bool:
        """Whether somebody else's order would have our stop refused: the two could trade with each other."""
        return any(
            report.symbol == symbol and report.side is Side.BUY and report.state in WORKING
            for report in self.external_orders.values()
        )

    def cancel_external(self, symbol: str | None) -> None:
        """Flatten: orders of others that stand in the way of ours, in the symbols we trade."""
        for report in self.external_orders.values():
            book = self._manager.books.get(report.symbol)
            if book is None or report.state not in WORKING or symbol not in (None, report.symbol):
                continue
            spec = OrderSpec(
                report.client_order_id, report.symbol, Role.EXTERNAL, report.side, report.order_type,
                report.qty, report.limit_price, report.stop_price,
            )  # fmt: skip
            order = Order(spec, book.strategy, self._clock.now())
            order.broker_order_id = report.broker_order_id
            self._gateway.cancel(order)

    # ---- executions ------------------------------------------------------------------------------

    def book(self, execution: Execution) -> None:
        """Book one execution, once, however often it is told."""
        if execution.execution_id in self._seen or execution.execution_id in self._seen_before:
            return
        self._seen.add(execution.execution_id)
        order = self._manager.registry.get(execution.client_order_id)
        if order is None:
            if execution.side is Side.SELL:
                self._foreign_sales[execution.symbol] = execution.price
            self.disagreement(f"an execution of {execution.symbol} belongs to no order of ours")
            return
        self.booked_at = self._gateway.latest
        try:
            order.count_fill(execution.qty)
            closed = self._portfolio.apply(execution, order.strategy, unit_risk(order))
        except BrokerProtocolError as error:
            self._bus.emit(ErrorOccurred("broker", str(error), execution.symbol))
            self.disagreement(str(error))
        else:
            self._booked(order, execution, closed)
        if order.filled_qty:
            self._manager.executed(order)

    def _booked(self, order: Order, execution: Execution, closed: ClosedTrade | None) -> None:
        qty = self._portfolio.qty(execution.symbol)
        self._recorder.fill(FillRecord(execution, qty))
        self._bus.emit(
            OrderFilled(
                execution.client_order_id, execution.execution_id, execution.symbol, execution.side,
                execution.qty, execution.price, qty, execution.time,
            )
        )  # fmt: skip
        reason = self._reason(order)
        self._manager.filled(order)
        self.say_position(execution.symbol)
        self.account_changed()
        if closed is not None:
            self._close_trade(closed, reason)

    def _reason(self, order: Order) -> TradeReason:
        if order.spec.role is Role.EXIT:
            return self._manager.books[order.spec.symbol].exit_reason or TradeReason.EXIT
        return TradeReason.STOP

    def _close_trade(self, closed: ClosedTrade, reason: TradeReason) -> None:
        trade = TradeClosed(
            closed.symbol, closed.strategy, closed.qty, closed.entry_price, closed.exit_price,
            closed.entry_time, closed.exit_time, closed.pnl, reason, closed.planned_risk,
        )  # fmt: skip
        self._recorder.trade(trade, self._clock.now())
        self._bus.emit(trade)
        self.trade_closed(closed)

    def closed_elsewhere(self, symbol: str, qty: int) -> None:
        """``qty`` shares of ours were sold by somebody else: book it as an external close.

        The price is that of a sale we have heard of, else the last close.
        """
        position = self._portfolio.positions.get(symbol)
        if position is None:
            return
        last = self._portfolio.last(symbol)
        price = self._foreign_sales.pop(symbol, None)
        if price is None:
            price = to_decimal(last) if last is not None else position.avg_entry_price
        now = self._clock.now()
        execution = Execution(
            ExecutionId(f"external-{symbol}-{now.isoformat()}"),
            ClientOrderId(""), symbol, Side.SELL, qty, price, now,
        )  # fmt: skip
        closed = self._portfolio.apply(execution, position.strategy, ZERO)
        self._recorder.fill(FillRecord(execution, self._portfolio.qty(symbol)))
        self.say_position(symbol)
        self.account_changed()
        if closed is not None:
            self._close_trade(closed, TradeReason.EXTERNAL)

    def taken_over(self, symbol: str, qty: int, average: Decimal) -> None:
        """``qty`` shares that were not ours are now, so that they can be sold.

        They count from the present price on, else from the ``average`` they have cost: what they have won or
        lost before is no result of today's trading.
        """
        last = self._portfolio.last(symbol)
        price = to_decimal(last) if last is not None else average
        now = self._clock.now()
        execution = Execution(
            ExecutionId(f"adopted-{symbol}-{now.isoformat()}"),
            ClientOrderId(""), symbol, Side.BUY, qty, price, now,
        )  # fmt: skip
        self._portfolio.adopt([(execution, self._manager.books[symbol].strategy, ZERO)])
        self._recorder.fill(FillRecord(execution, self._portfolio.qty(symbol)))
        self.brought_in(price * qty)
        self._bus.emit(ErrorOccurred("flatten", f"{qty} shares that were not ours are sold, too", symbol))
        self.say_position(symbol)
        self.account_changed()

    # ---- what follows ----------------------------------------------------------------------------

    def say_position(self, symbol: str) -> None:
        position = self._portfolio.positions.get(symbol)
        if position is None:
            self._bus.emit(PositionChanged(symbol, 0, ZERO, None, ZERO))
            return
        last = self._portfolio.last(symbol)
        stop = self._manager.books[symbol].stop
        self._bus.emit(
            PositionChanged(
                symbol,
                position.qty,
                position.avg_entry_price,
                stop.spec.stop_price if stop is not None else None,
                position.unrealized_pnl(last) if last is not None else ZERO,
            )
        )
