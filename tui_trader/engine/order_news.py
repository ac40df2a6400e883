"""What the broker says, booked: answers to requests, order updates and executions."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tui_trader.core.events import (
    AccountUpdated,
    ErrorOccurred,
    OrderFilled,
    OrderStateChanged,
    PositionChanged,
    TradeClosed,
    TradeReason,
)
from tui_trader.core.money import ZERO
from tui_trader.core.orders import (
    BrokerProtocolError,
    ClientOrderId,
    Execution,
    ExecutionId,
    Order,
    OrderReport,
    OrderState,
    Role,
    Side,
)
from tui_trader.core.portfolio import ClosedTrade, Portfolio
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.gateway import InFlight, OrderGateway
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.recorder import FillRecord, Recorder
from tui_trader.engine.timers import Alarm, Timers
from tui_trader.venues.base import (
    Acknowledged,
    NotFound,
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
        timers: Timers,
    ) -> None:
        self._manager = manager
        self._portfolio = portfolio
        self._gateway = gateway
        self._recorder = recorder
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self._seen: set[ExecutionId] = set()
        self.external_orders: dict[ClientOrderId, OrderReport] = {}
        self.trade_closed: Callable[[ClosedTrade], None] = lambda trade: None
        self.account_changed: Callable[[], None] = lambda: None
        self.disagreement: Callable[[str], None] = lambda what: None
        manager.positions_changed = self.say_position

    def remember(self, fills: tuple[FillRecord, ...]) -> None:
        """Executions that an earlier run has booked."""
        self._seen.update(record.execution.execution_id for record in fills)

    # ---- answers ---------------------------------------------------------------------------------

    def acknowledged(self, message: Acknowledged) -> None:
        item = self._gateway.answered(message.request_id)
        self._manager.rest_failing = False
        for execution in message.executions:
            self.book(execution)
        if message.report is not None:
            self.take_report(message.report)
        if item is not None and isinstance(item.request, ReplaceOrder):
            self._replaced(item)

    def _replaced(self, item: InFlight) -> None:
        """The new stop works, so the old one does not, whether or not its own news has come."""
        old = self._manager.registry.get(item.request.client_order_id)  # type: ignore[union-attr]
        new = item.order
        if old is None or new is None or not new.live or new.state is OrderState.SUBMITTED:
            return
        if old.live:
            spec = old.spec
            report = OrderReport(
                spec.client_order_id, old.broker_order_id or "", spec.symbol, spec.side, spec.order_type,  # type: ignore[arg-type]
                spec.qty, old.filled_qty, OrderState.REPLACED,
                replaced_by=new.spec.client_order_id,
            )  # fmt: skip
            self._manager.absorb(old, report)
        self._manager.steer(old.spec.symbol)

    def refused(self, message: Refused) -> None:
        item = self._gateway.answered(message.request_id)
        self._manager.rest_failing = False
        if item is None or item.order is None:
            return
        order = item.order
        match item.request:
            case SubmitOrder():
                self._submit_refused(order, message)
            case ReplaceOrder():
                self._replace_refused(item, message)
            case _:
                # A cancel of an order that no longer works, or a question that was turned away.
                order.cancel_requested = False
                if message.refusal is Refusal.NOT_WORKING and order.live:
                    self._gateway.query(order)
                else:
                    self._ask_later(order)
        self._manager.steer(order.spec.symbol)

    def _submit_refused(self, order: Order, message: Refused) -> None:
        if message.refusal is Refusal.DUPLICATE_ID:
            # Then an earlier send of this very order got through: it is ours, adopt it.
            self._manager.mark_unknown(order, message.message)
            self._gateway.query(order)
            return
        book = self._manager.books[order.spec.symbol]
        role = order.spec.role
        self._manager.refuse(order, message.message)
        book.refused[role] = book.refused.get(role, 0) + 1
        if role is Role.STOP:
            if message.refusal is Refusal.PRICE_THROUGH_STOP:
                book.exit_reason = book.exit_reason or TradeReason.STOP
            else:
                self._manager.hold_back(book)
        elif role is Role.EXIT:
            self._bus.emit(ErrorOccurred("orders", f"the sale was refused: {message.message}", book.symbol))
            self._manager.exit_refused(book)

    def _replace_refused(self, item: InFlight, message: Refused) -> None:
        order = item.order
        if order is None or not isinstance(item.request, ReplaceOrder):
            return
        book = self._manager.books[order.spec.symbol]
        if message.refusal is Refusal.DUPLICATE_ID:
            self._manager.mark_unknown(order, message.message)
            self._gateway.query(order)
            return
        self._manager.refuse(order, message.message)
        book.refused[Role.STOP] = book.refused.get(Role.STOP, 0) + 1
        if message.refusal is Refusal.PRICE_THROUGH_STOP:
            book.exit_reason = book.exit_reason or TradeReason.STOP
            return
        self._manager.hold_back(book)
        old = self._manager.registry.get(item.request.client_order_id)
        if message.refusal is Refusal.NOT_WORKING and old is not None and old.live:
            self._ask_later(old)

    def lost(self, item: InFlight, reason: str) -> None:
        """No answer came: only the broker knows. Ask; never send a second order for it."""
        self._manager.rest_failing = True
        order = item.order
        if order is None:
            return
        match item.request:
            case SubmitOrder() | ReplaceOrder():
                self._manager.mark_unknown(order, reason)
                self._gateway.query(order)
            case QueryOrder():
                self._ask_later(order)
            case _:
                order.cancel_requested = False
                self._gateway.query(order)

    def not_found(self, message: NotFound) -> None:
        """The broker does not know the order (yet).

        A lost stop or exit is sent again under its own id, which a broker takes at most once; a lost entry is
        only asked for again, for it may still arrive, and nothing is at risk without it.
        """
        item = self._gateway.answered(message.request_id)
        if item is None or item.order is None:
            return
        order = item.order
        self._manager.rest_failing = False
        if order.state is not OrderState.UNKNOWN:
            if order.live:
                self.disagreement(f"order {order.spec.client_order_id} is not at the broker")
            return
        book = self._manager.books[order.spec.symbol]
        if order is book.replacement:
            # Sent as a replace, it cannot be sent alone beside the stop it was to replace.
            self._manager.refuse(order, "the broker never received the replacement")
            self._manager.hold_back(book)
            self._manager.steer(book.symbol)
        elif order.spec.role is Role.ENTRY:
            self._ask_later(order)
        else:
            self._gateway.submit(order)

    def _ask_later(self, order: Order) -> None:
        if order.live:
            self._timers.set(
                self._clock.now() + self._manager.policy.retry_delay,
                Alarm.ORDER_FOLLOW_UP,
                order.spec.client_order_id,
            )

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
        try:
            self._manager.absorb(order, report)
        except BrokerProtocolError as error:
            self._bus.emit(ErrorOccurred("broker", str(error), report.symbol))
            self.disagreement(str(error))
        self._manager.steer(report.symbol)

    def _external(self, report: OrderReport) -> None:
        """An order that is not ours: seen, shown, and left alone."""
        known = self.external_orders.get(report.client_order_id)
        if known == report:
            return
        self.external_orders[report.client_order_id] = report
        self._bus.emit(
            OrderStateChanged(
                report.client_order_id, report.broker_order_id, report.symbol, Role.EXTERNAL, report.side,
                report.order_type, report.qty, report.filled_qty, report.limit_price, report.stop_price,
                report.state, known.state if known else None, report.reason,
            )
        )  # fmt: skip

    # ---- executions ------------------------------------------------------------------------------

    def book(self, execution: Execution) -> None:
        """Book one execution, once, however often it is told."""
        if execution.execution_id in self._seen:
            return
        order = self._manager.registry.get(execution.client_order_id)
        if order is None:
            self.disagreement(f"an execution of {execution.symbol} belongs to no order of ours")
            return
        self._seen.add(execution.execution_id)
        book = self._manager.books[execution.symbol]
        try:
            order.count_fill(execution.qty)
            closed = self._portfolio.apply(execution, order.strategy, book.unit_risk)
        except BrokerProtocolError as error:
            self._bus.emit(ErrorOccurred("broker", str(error), execution.symbol))
            self.disagreement(str(error))
            return
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

    def closed_elsewhere(self, symbol: str, price: Decimal, qty: int) -> None:
        """``qty`` shares of ours were sold by somebody else: book it at ``price`` as an external close."""
        position = self._portfolio.positions.get(symbol)
        if position is None:
            return
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


def account_event(portfolio: Portfolio, buying_power: Decimal, day_pnl: Decimal) -> AccountUpdated:
    """The account as the engine sees it now."""
    return AccountUpdated(portfolio.equity(), portfolio.cash, buying_power, day_pnl)
