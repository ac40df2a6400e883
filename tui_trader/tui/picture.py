"""The picture of an engine: one snapshot, moved on by events. Everything that changes it lives here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tui_trader.core.events import (
    AccountUpdated,
    BarReceived,
    CandleClosed,
    CircuitBreakerReset,
    CircuitBreakerTripped,
    ConnectionChanged,
    EngineState,
    EngineStateChanged,
    ErrorOccurred,
    OrderFilled,
    OrderStateChanged,
    PositionChanged,
    Published,
    SessionChanged,
    StopMoved,
    SymbolStateChanged,
    TradeClosed,
    WarmupProgress,
)
from tui_trader.core.money import ZERO, to_decimal
from tui_trader.core.orders import TERMINAL, OrderState, Role
from tui_trader.engine.handle import (
    ASKED_TO_STOP,
    AccountView,
    BreakerView,
    CandleRow,
    EngineInfo,
    EngineSnapshot,
    OrderView,
    PositionView,
    SessionView,
    StreamView,
)
from tui_trader.tui.day import EquityDay, Scorecard, SymbolLine
from tui_trader.tui.flatten_plan import FlattenPlan, flatten_plan
from tui_trader.tui.parts import Part
from tui_trader.venues.base import Mode

_BAR_LENGTH: Final = timedelta(minutes=1)
_FINISHED_SHOWN: Final = 30
_NO_MONEY: Final = AccountView(*(ZERO,) * 9)
_NO_BREAKER: Final = BreakerView(False, "", ZERO, ZERO, 0, 0)


class Picture:
    """The state of one engine as the screen knows it, and what of it changed since it was painted."""

    def __init__(self, info: EngineInfo) -> None:
        self.info = info
        self.seq = 0
        self.synced = False
        self.wants_snapshot = True
        self.urgent = False  # whether that snapshot should not wait its turn
        self.stop_was_asked_for = False  # from outside, by `tui-trader stop`
        self.failure = ""  # what ended the engine, if it did not end by itself
        self.state = EngineState.STARTING
        self.state_reason = ""
        self.speed: float | None = None
        self.session: SessionView | None = None
        self.next_open: datetime | None = None
        self.account = _NO_MONEY
        self.breaker = _NO_BREAKER
        self.warmup = (0, len(info.symbols))
        self.max_positions = 0
        self.hindrances: tuple[str, ...] = ()  # why there are no entries although it runs
        self.external_shares: tuple[tuple[str, int], ...] = ()
        self.warmup_began: datetime | None = None
        self.streams: dict[str, StreamView] = {}
        self.lines = {symbol: SymbolLine(symbol) for symbol in info.symbols}
        self.positions: dict[str, PositionView] = {}
        self.orders: dict[str, OrderView] = {}
        self.equity = EquityDay()
        self.scores: dict[str, Scorecard] = {}
        self.last_bar_heard: datetime | None = None
        self.dirty: set[Part] = set(Part)
        self.dirty_symbols: set[str] = set(self.lines)
        self.new_candles: list[tuple[str, CandleRow]] = []
        #: Symbols whose earlier candles the engine has had anew, and those that may have missed some.
        self.refilled: set[str] = set()
        self._cut: set[str] = set()
        self.fills: deque[OrderFilled] = deque(maxlen=500)
        self._folds: Final[dict[type, Callable[[Any, datetime], None]]] = {
            EngineStateChanged: self._on_state,
            SessionChanged: self._on_session,
            SymbolStateChanged: self._on_symbol,
            WarmupProgress: self._on_warmup,
            BarReceived: self._on_bar,
            CandleClosed: self._on_candle,
            OrderStateChanged: self._on_order,
            OrderFilled: self._on_fill,
            StopMoved: self._on_stop_moved,
            PositionChanged: self._on_position,
            TradeClosed: self._on_trade,
            AccountUpdated: self._on_account,
            CircuitBreakerTripped: self._on_tripped,
            CircuitBreakerReset: self._on_reset,
            ConnectionChanged: self._on_connection,
            ErrorOccurred: self._on_error,
        }

    @property
    def live_orders(self) -> list[OrderView]:
        """The orders that may still fill, oldest first."""
        return [order for order in self.orders.values() if order.state not in TERMINAL]

    @property
    def finished_orders(self) -> list[OrderView]:
        """The latest orders that are over, newest first."""
        done = [order for order in self.orders.values() if order.state in TERMINAL]
        return done[: -_FINISHED_SHOWN - 1 : -1]

    @property
    def live(self) -> bool:
        """Whether the money is real."""
        return self.info.mode is Mode.LIVE

    @property
    def paced(self) -> bool:
        """Whether the market's speed can be set."""
        return self.info.mode in (Mode.SIM, Mode.REPLAY)

    @property
    def paused(self) -> bool:
        return self.state is EngineState.PAUSED

    @property
    def over(self) -> bool:
        """Whether the engine is past taking commands."""
        return self.state in (EngineState.SHUTTING_DOWN, EngineState.STOPPED)

    @property
    def flat(self) -> bool:
        """Whether we hold nothing and no order of ours can still fill."""
        return not self.positions and not self.own_orders

    @property
    def own_orders(self) -> list[OrderView]:
        """The live orders but those that somebody else has placed in the account."""
        return [order for order in self.live_orders if order.role is not Role.EXTERNAL]

    @property
    def unprotected(self) -> list[str]:
        """The symbols held without a working stop."""
        return [position.symbol for position in self.positions.values() if not position.stop_working]

    @property
    def exposure(self) -> Decimal:
        """What the positions are worth at their last prices, in dollars."""
        values = (abs(p.qty) * p.avg_entry_price + p.unrealized_pnl for p in self.positions.values())
        return sum(values, ZERO)

    @property
    def open_pnl(self) -> Decimal:
        return sum((position.unrealized_pnl for position in self.positions.values()), ZERO)

    @property
    def open_multiple(self) -> Decimal:
        """Open profit in R, over the positions that have a planned risk."""
        planned = [position for position in self.positions.values() if position.planned_risk > 0]
        return sum((position.unrealized_pnl / position.planned_risk for position in planned), ZERO)

    def plan(self, symbol: str | None = None) -> FlattenPlan:
        """What closing one symbol, or everything, would do now."""
        # Of others, a flatten takes what is in the symbols traded here.
        orders = [o for o in self.live_orders if o.role is not Role.EXTERNAL or o.symbol in self.lines]
        others = {
            name: (qty, self.lines[name].last)
            for name, qty in self.external_shares
            if qty > 0 and name in self.lines
        }
        return flatten_plan(self.positions.values(), orders, symbol, others)

    def feed_age(self, now: datetime) -> float | None:
        """Seconds since any bar arrived, on the engine's clock; None before the first."""
        if self.last_bar_heard is None:
            return None
        return max(0.0, (now - self.last_bar_heard).total_seconds())

    # ---- snapshots -----------------------------------------------------------------------------------

    def take(self, snapshot: EngineSnapshot) -> None:
        """Take a snapshot as the truth."""
        self.seq = snapshot.seq
        self.synced = True
        if (snapshot.state, snapshot.warmup_done) != (self.state, self.warmup[0]):
            self.dirty |= {Part.WATCH, Part.POSITIONS}
            self.dirty_symbols |= set(self.lines)
        self.state, self.state_reason = snapshot.state, snapshot.state_reason
        self.speed = snapshot.speed
        self.max_positions, self.hindrances = snapshot.max_positions, snapshot.hindrances
        self.session, self.next_open = snapshot.session, snapshot.next_open
        self.breaker = snapshot.breaker
        self.warmup = (snapshot.warmup_done, snapshot.warmup_total)
        self.streams = {stream.stream: stream for stream in snapshot.streams}
        if snapshot.account != self.account:
            self.account = snapshot.account
            if snapshot.account.equity:  # before the broker has spoken it is 0
                self.equity.add(float(snapshot.account.equity))
            self.dirty |= {Part.RISK, Part.EQUITY}
        finished = {o.client_order_id: o for o in reversed(self.finished_orders)}
        orders = finished | {order.client_order_id: order for order in snapshot.orders}
        for key, order in orders.items():
            if order.role is Role.EXTERNAL and key in self.orders:  # only we know since when it is known
                orders[key] = replace(order, created=self.orders[key].created)
        if snapshot.external_shares != self.external_shares:
            self.external_shares = snapshot.external_shares
            self.dirty.add(Part.POSITIONS)
        positions = {position.symbol: position for position in snapshot.positions if position.qty}
        if orders != self.orders:
            self.orders = orders
            self.dirty.add(Part.ORDERS)
        if positions != self.positions:
            self.positions = positions
            self.dirty |= {Part.POSITIONS, Part.CHART, Part.ROUTES}
        for view in snapshot.symbols:
            line = self.lines.setdefault(view.symbol, SymbolLine(view.symbol))
            if line.take(view):
                self.touch(view.symbol)
                self.dirty.add(Part.ROUTES)
            if view.last_bar is not None:
                self._heard(view.last_bar + _BAR_LENGTH)

    def _heard(self, time: datetime) -> None:
        if self.last_bar_heard is None or time > self.last_bar_heard:
            self.last_bar_heard = time

    # ---- events --------------------------------------------------------------------------------------

    def realise(self, pnl: Decimal) -> None:
        """A trade that no snapshot contains yet has been closed."""
        self.account = replace(self.account, realized_pnl=self.account.realized_pnl + pnl)

    def fold(self, published: Published) -> None:
        """Fold one event in."""
        if published.seq > self.seq and isinstance(published.event, TradeClosed):
            self.realise(published.event.pnl)
        self.seq = max(self.seq, published.seq)
        fold_event = self._folds.get(type(published.event))
        if fold_event is not None:
            fold_event(published.event, published.time)

    def touch(self, symbol: str) -> None:
        """A symbol reads differently."""
        self.dirty_symbols.add(symbol)
        self.dirty.add(Part.WATCH)

    def _on_state(self, event: EngineStateChanged, time: datetime) -> None:
        if event.state is EngineState.SHUTTING_DOWN:
            # `tui-trader stop` means the program, and the screen is part of it.
            self.stop_was_asked_for = event.reason.startswith(ASKED_TO_STOP)
        self.state, self.state_reason = event.state, event.reason
        if event.state is EngineState.WARMING_UP:
            self.warmup_began = time
        self.wants_snapshot = True
        self.dirty |= {Part.WATCH, Part.POSITIONS, Part.ROUTES}

    def _on_session(self, event: SessionChanged, time: datetime) -> None:
        self.session = SessionView(
            event.date, event.open, event.close, event.no_entries_from, event.flatten_at
        )
        self.scores.clear()
        self.account = replace(self.account, realized_pnl=ZERO)
        self.equity = EquityDay()
        for line in self.lines.values():
            line.begin_day([])
        self.dirty_symbols |= set(self.lines)
        self.wants_snapshot = True
        self.dirty |= {Part.WATCH, Part.EQUITY, Part.ROUTES, Part.RISK}

    def _on_symbol(self, event: SymbolStateChanged, time: datetime) -> None:
        line = self.lines.setdefault(event.symbol, SymbolLine(event.symbol))
        line.state, line.reason = event.state, event.reason
        self.touch(event.symbol)
        self.dirty |= {Part.ROUTES, Part.POSITIONS}

    def _on_warmup(self, event: WarmupProgress, time: datetime) -> None:
        self.warmup = (event.done_symbols, event.total_symbols)
        self.warmup_began = self.warmup_began or time
        line = self.lines.setdefault(event.symbol, SymbolLine(event.symbol))
        line.candles, line.required = event.candles, event.required
        self.refilled.add(event.symbol)
        self.dirty.add(Part.POSITIONS)
        self.touch(event.symbol)

    def _on_bar(self, event: BarReceived, time: datetime) -> None:
        line = self.lines.setdefault(event.symbol, SymbolLine(event.symbol))
        self._heard(time)
        line.bars.add(event)
        if not line.bar(event.timestamp, event.close):
            return
        self.touch(event.symbol)
        position = self.positions.get(event.symbol)
        if position is not None:
            pnl = (to_decimal(event.close) - position.avg_entry_price) * position.qty
            self.positions[event.symbol] = replace(position, last=event.close, unrealized_pnl=pnl)
            self.dirty.add(Part.POSITIONS)
            self.wants_snapshot = True

    def _on_candle(self, event: CandleClosed, time: datetime) -> None:
        row = CandleRow(
            event.timestamp, event.open, event.high, event.low, event.close, event.volume, event.sma_fast,
            event.sma_slow,
        )  # fmt: skip
        self.new_candles.append((event.symbol, row))
        if event.symbol in self._cut:
            # The engine has fetched what was missed meanwhile, and says nothing more of it.
            self._cut.discard(event.symbol)
            self.refilled.add(event.symbol)
            self.lines[event.symbol].bars.clear()  # of those that were missed nothing is heard

    def _on_order(self, event: OrderStateChanged, time: datetime) -> None:
        known = self.orders.get(event.client_order_id)
        self.orders[event.client_order_id] = OrderView(
            event.client_order_id,
            event.broker_order_id,
            known.created if known else time,
            event.symbol,
            event.role,
            event.side,
            event.order_type,
            event.qty,
            event.filled_qty,
            event.limit_price,
            event.stop_price,
            event.state,
            event.reason,
        )
        if event.state in TERMINAL:
            self._forget_finished()
        if event.role is Role.STOP:
            self._note_stop_order(event)
        self.wants_snapshot = True
        self.dirty.add(Part.ORDERS)

    def _note_stop_order(self, event: OrderStateChanged) -> None:
        # REPLACED says nothing about protection: the order in its place reports for itself.
        position = self.positions.get(event.symbol)
        if position is None or event.state is OrderState.REPLACED:
            return
        working = event.state in (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)
        self.positions[event.symbol] = replace(position, stop_working=working)
        self.dirty.add(Part.POSITIONS)

    def _forget_finished(self) -> None:
        finished = [order_id for order_id, order in self.orders.items() if order.state in TERMINAL]
        for order_id in finished[:-_FINISHED_SHOWN]:
            del self.orders[order_id]

    def _on_fill(self, event: OrderFilled, time: datetime) -> None:
        self.fills.append(event)
        self.wants_snapshot = self.urgent = True
        self.dirty.add(Part.CHART)

    def _on_stop_moved(self, event: StopMoved, time: datetime) -> None:
        position = self.positions.get(event.symbol)
        if position is not None:
            self.positions[event.symbol] = replace(position, stop_price=event.stop_price)
            self.dirty |= {Part.POSITIONS, Part.CHART}

    def _on_position(self, event: PositionChanged, time: datetime) -> None:
        self.dirty |= {Part.POSITIONS, Part.CHART, Part.ROUTES, Part.RISK}
        self.wants_snapshot = self.urgent = True
        if not event.qty:
            self.positions.pop(event.symbol, None)
            return
        known = self.positions.get(event.symbol)
        if known is None:
            line = self.lines.setdefault(event.symbol, SymbolLine(event.symbol))
            known = PositionView(
                symbol=event.symbol,
                strategy=line.strategy,
                qty=event.qty,
                avg_entry_price=event.avg_entry_price,
                last=line.last,
                stop_price=event.stop_price,
                stop_working=False,
                planned_risk=ZERO,
                entry_time=time,
                unrealized_pnl=event.unrealized_pnl,
                closing="",
            )
        self.positions[event.symbol] = replace(
            known,
            qty=event.qty,
            avg_entry_price=event.avg_entry_price,
            stop_price=event.stop_price,
            unrealized_pnl=event.unrealized_pnl,
        )

    def _on_trade(self, event: TradeClosed, time: datetime) -> None:
        self.scores.setdefault(event.strategy, Scorecard()).add(event)
        self.wants_snapshot = self.urgent = True
        self.dirty |= {Part.ROUTES, Part.RISK}

    def _on_account(self, event: AccountUpdated, time: datetime) -> None:
        self.account = replace(
            self.account,
            equity=event.equity,
            cash=event.cash,
            buying_power=event.buying_power,
            day_pnl=event.day_pnl,
        )
        self.equity.add(float(event.equity))
        self.dirty |= {Part.EQUITY, Part.RISK}

    def _on_tripped(self, event: CircuitBreakerTripped, time: datetime) -> None:
        self.breaker = replace(
            self.breaker, tripped=True, rule=event.rule, value=event.value, limit=event.limit
        )
        self.dirty.add(Part.RISK)

    def _on_reset(self, event: CircuitBreakerReset, time: datetime) -> None:
        self.breaker = replace(self.breaker, tripped=False)
        self.dirty.add(Part.RISK)

    def _on_connection(self, event: ConnectionChanged, time: datetime) -> None:
        self.streams[event.stream] = StreamView(event.stream, event.state, event.attempt)
        self.wants_snapshot = True  # it may forbid entries
        if event.stream == "bars" and event.state != "connected":
            self._cut = set(self.lines)

    def _on_error(self, event: ErrorOccurred, time: datetime) -> None:
        self.wants_snapshot = True
        if event.component == "engine":
            self.failure = event.message
