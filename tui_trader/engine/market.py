"""From bars to decisions: the market half of the engine (DESIGN §9, "Candles" and "At a candle close")."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.candles import CANDLE_GRACE, Candle
from tui_trader.core.decide import (
    EnterLong,
    ExitNow,
    MoveStop,
    decide_flat,
    decide_holding,
    decide_pending,
)
from tui_trader.core.events import (
    BarReceived,
    BarRejected,
    CandleClosed,
    ErrorOccurred,
    SignalGenerated,
    SignalRejected,
    SymbolState,
    SymbolStateChanged,
    TradeReason,
)
from tui_trader.core.money import ZERO, to_decimal
from tui_trader.core.orders import Side
from tui_trader.core.portfolio import Portfolio
from tui_trader.core.risk import Approved, Exposure, RiskManager
from tui_trader.core.rule import CandleView, Holding
from tui_trader.engine.bus import EventBus
from tui_trader.engine.clock import Clock
from tui_trader.engine.desk import SymbolDesk
from tui_trader.engine.guard import Guard, StrategyFailed, unguarded
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.sessions import Schedule
from tui_trader.engine.timers import Alarm, Timers
from tui_trader.venues.base import BarBatch


class MarketDesk:
    """All symbols' desks. ``entries_allowed`` is asked when candles have closed, never before."""

    def __init__(
        self,
        desks: dict[str, SymbolDesk],
        manager: OrderManager,
        portfolio: Portfolio,
        risk: RiskManager,
        bus: EventBus,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self.desks = desks
        self._manager = manager
        self._portfolio = portfolio
        self._risk = risk
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self._schedule: Schedule | None = None
        self._timeouts: set[datetime] = set()
        self.entries_allowed: Callable[[], bool] = lambda: False
        self._may_enter: bool | None = None  # what it answered last; None: not asked yet
        self.in_the_way: Callable[[str], str] = lambda symbol: ""  # why an entry could not be protected
        self.guard: Guard = unguarded
        self.split_seen: Callable[[SymbolDesk], None] = lambda desk: None
        self._todo: deque[tuple[SymbolDesk, Bar | Candle]] = deque()
        self.sending: Callable[[], bool] = lambda: False  # whether a request waits to be sent

    # ---- sessions --------------------------------------------------------------------------------

    def start_session(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._timeouts.clear()
        for desk in self.desks.values():
            desk.start_session(schedule.session.open)

    def end_session(self) -> None:
        """At the close: withheld bars are refused, then unfinished candles close."""
        self._may_enter = None
        for symbol in sorted(self.desks):
            desk = self.desks[symbol]
            for refused in desk.filter.end_session().refused:
                self._say_refused(refused.bar, refused.reason)
        for symbol in sorted(self.desks):
            desk = self.desks[symbol]
            candle = desk.aggregator.end_session()
            if candle is not None:
                self._candle(desk, candle)
        self._schedule = None

    @property
    def in_session(self) -> bool:
        return self._schedule is not None

    # ---- bars ------------------------------------------------------------------------------------

    def bars(self, batch: BarBatch) -> bool:
        """Take the bars delivered at one instant; whether any was accepted.

        All their closes are known before the first decision (DESIGN §9), which ``work`` takes.
        """
        schedule = self._schedule
        if schedule is None:
            return False
        now = self._clock.now()
        session_open, session_close = schedule.session.open, schedule.session.close
        wanted = self._bus.wants(BarReceived)
        mark = self._portfolio.mark
        accepted = False
        for offered in batch.bars:
            desk = self.desks.get(offered.symbol)
            if desk is None or not session_open <= offered.timestamp < session_close:
                continue
            verdict = desk.filter.offer(offered, session_open, now)
            if verdict.refused:
                for refused in verdict.refused:
                    self._say_refused(refused.bar, refused.reason)
            if verdict.split:
                self._split(desk)
            for bar in verdict.accepted:
                close = bar.close
                desk.last = close
                desk.last_bar = bar.timestamp
                if desk.stale:
                    desk.stale = False
                    self.show(desk)
                desk.volumes.append(bar.volume)
                mark(bar.symbol, close)
                if wanted:
                    self._bus.emit_data(BarReceived, bar)
                else:
                    self._bus.count_unheard()
                accepted = True
                self._todo.append((desk, bar))
        return accepted

    def work(self) -> bool:
        """Candles and decisions, A–Z, until something is to be sent; false when nothing is left to do.

        Whoever calls it sends that and handles the answers first, so each decision finds what the ones before
        it led to.
        """
        todo, sending = self._todo, self.sending
        if not todo:
            return False
        now = self._clock.now()
        fresh = now - MINUTE - CANDLE_GRACE  # a bar with this stamp or a later one is in time for any candle
        self._may_enter = None
        armed: datetime | None = None
        while todo:
            desk, item = todo.popleft()
            if isinstance(item, Candle):
                self._candle(desk, item)
            elif item.timestamp >= fresh or not desk.too_late(item, now):
                closed = desk.aggregator.add(item)
                end = desk.aggregator.window_end
                if end is not None and end != armed:
                    armed = end
                    self._arm_timeout(desk)
                if not closed:
                    continue
                todo.extendleft((desk, candle) for candle in closed[:0:-1])
                self._candle(desk, closed[0])
            if sending():
                break
        return True

    def _arm_timeout(self, desk: SymbolDesk) -> None:
        end = desk.aggregator.window_end
        if end is not None and end not in self._timeouts:
            self._timeouts.add(end)
            self._timers.set(end + CANDLE_GRACE, Alarm.CANDLE_TIMEOUT)

    def resume(self, desk: SymbolDesk, views: Sequence[CandleView]) -> None:
        """Go on after a restart; ``views`` are the session's candles that closed before it."""
        self._arm_timeout(desk)
        entry = self._manager.books[desk.symbol].entry
        if entry is None or desk.session_open is None:
            return
        # The entry's decision was made within a window's length of its candle's end.
        window = desk.aggregator.minutes * MINUTE
        desk.signal_end = entry.created - (entry.created - desk.session_open) % window
        desk.waited = sum(1 for view in views if view.end > desk.signal_end)
        try:
            if desk.waited and self.guard(decide_pending, desk.strategy, views[-1], desk.waited) is not None:
                self._manager.withdraw_entry(desk.symbol, "expired")
        except StrategyFailed as error:
            self.quarantine(desk, str(error))
        self._arm_expiry(desk)

    def _arm_expiry(self, desk: SymbolDesk) -> None:
        """The pending entry ends by the clock, should no candle end it."""
        if desk.signal_end is not None:
            windows = desk.expiry_candles * desk.aggregator.minutes * MINUTE
            moment = max(desk.signal_end + windows + CANDLE_GRACE, self._clock.now())
            self._timers.set(moment, Alarm.ENTRY_EXPIRY, desk.symbol)

    def candle_timeout(self) -> None:
        """Close every candle whose window ended 90 s ago, A–Z."""
        now = self._clock.now()
        self._timeouts = {end for end in self._timeouts if end + CANDLE_GRACE > now}
        for symbol in sorted(self.desks):
            desk = self.desks[symbol]
            candle = desk.aggregator.expire(now)
            if candle is not None:
                self._todo.append((desk, candle))

    def entry_expiry(self, symbol: str) -> None:
        """No candle came for a pending entry: the clock expires it."""
        desk = self.desks[symbol]
        book = self._manager.books[symbol]
        if book.entry is None or desk.signal_end is None:
            return
        windows = desk.expiry_candles * desk.aggregator.minutes * MINUTE
        if self._clock.now() >= desk.signal_end + windows + CANDLE_GRACE:
            self._manager.withdraw_entry(symbol, "expired")

    def _say_refused(self, bar: Bar, reason: str) -> None:
        self._bus.emit(BarRejected(*bar, reason))

    def _split(self, desk: SymbolDesk) -> None:
        desk.reset_history()
        desk.warm_error = "a split: the history before it was dropped"
        self.split_seen(desk)
        self.show(desk)

    # ---- candles ---------------------------------------------------------------------------------

    def _candle(self, desk: SymbolDesk, candle: Candle) -> None:
        view = desk.take_candle(candle)
        if self._bus.wants(CandleClosed):
            self._bus.emit_data(
                CandleClosed,
                (
                    candle.symbol, candle.start, candle.minutes, candle.open, candle.high, candle.low,
                    candle.close, candle.volume, candle.bars, candle.complete,
                    view.now.get("sma_fast", math.nan), view.now.get("sma_slow", math.nan),
                ),
            )  # fmt: skip
        else:
            self._bus.count_unheard()
        book = self._manager.books[desk.symbol]
        book.anchor = candle.start
        if view.count == desk.required:
            desk.warm_error = ""
            self.show(desk)
        if not desk.quarantine:
            try:
                self._decide(desk, view)
            except StrategyFailed as error:
                self.quarantine(desk, str(error))

    def _decide(self, desk: SymbolDesk, view: CandleView) -> None:
        symbol = desk.symbol
        book = self._manager.books[symbol]
        position = self._portfolio.positions.get(symbol)
        if position is not None:
            if book.exit_reason is not None or book.protect_at is None:
                return
            holding = Holding(position.qty, position.avg_entry_price, position.entry_time, book.protect_at)
            decision = self.guard(decide_holding, desk.strategy, view, holding)
            if isinstance(decision, ExitNow):
                self._manager.close(symbol, TradeReason.EXIT)
            elif isinstance(decision, MoveStop):
                self._manager.move_stop(symbol, decision.price)
        elif book.entry is not None:
            if view.end > (desk.signal_end or view.start):
                desk.waited += 1
            if self.guard(decide_pending, desk.strategy, view, desk.waited) is not None:
                self._manager.withdraw_entry(symbol, "expired")
        elif book.idle and self._entries_allowed() and not (desk.warm_error or desk.halted or desk.stale):
            order = self.guard(decide_flat, desk.strategy, view)
            if order is not None:
                self._signal(desk, view, order)

    def _entries_allowed(self) -> bool:
        """Asked once for many candles: what could change it is a request or a message, and ends ``work``."""
        if self._may_enter is None:
            self._may_enter = self.entries_allowed()
        return self._may_enter

    def _signal(self, desk: SymbolDesk, view: CandleView, order: EnterLong) -> None:
        symbol = desk.symbol
        self._bus.emit(
            SignalGenerated(symbol, Side.BUY, desk.strategy.name, order.entry, order.stop_loss, view.start)
        )
        obstacle = self.in_the_way(symbol)
        if obstacle:
            self._bus.emit(SignalRejected(symbol, "external", obstacle))
            return
        answer = self._risk.review(
            symbol,
            order,
            self.exposure(),
            to_decimal(desk.last if desk.last is not None else view.close),
            desk.average_volume(),
            self._clock.now(),
        )
        if not isinstance(answer, Approved):
            self._bus.emit(SignalRejected(symbol, answer.rule, answer.reason))
            return
        if self._manager.sent_before(symbol):
            self._bus.emit(SignalRejected(symbol, "duplicate", "this signal's order was sent before"))
            return
        self._manager.enter(symbol, order, answer.qty)
        desk.signal_end = view.end
        desk.waited = 0
        self._arm_expiry(desk)
        self.show(desk)

    def exposure(self) -> Exposure:
        """The account as the risk gate sees it now."""
        working: Decimal = ZERO
        count = 0
        for entry in self._manager.pending_entries():
            count += 1
            limit = entry.spec.limit_price
            if limit is not None:
                working += limit * entry.open_qty
        held = self._portfolio.market_value()
        return Exposure(
            self._portfolio.cash + held,
            self._portfolio.cash - working,
            held + working,
            len(self._portfolio.positions) + count,
        )

    # ---- states ----------------------------------------------------------------------------------

    def quarantine(self, desk: SymbolDesk, reason: str) -> None:
        """The strategy's stops stay, it gets no new candles, the user is told."""
        desk.quarantine = reason
        self._manager.withdraw_entry(desk.symbol, "strategy quarantined")
        self._bus.emit(
            ErrorOccurred("strategy", f"{desk.strategy.name} is quarantined: {desk.quarantine}", desk.symbol)
        )
        self.show(desk)

    def trade_closed(self, symbol: str, stamp: datetime) -> None:
        desk = self.desks.get(symbol)
        if desk is None:
            return
        desk.trade_closed(stamp)
        try:
            self.guard(desk.strategy.on_position_closed)
        except StrategyFailed as error:
            self.quarantine(desk, str(error))

    def state_of(self, desk: SymbolDesk) -> SymbolState:
        if desk.quarantine:
            return SymbolState.QUARANTINED
        if desk.halted:
            return SymbolState.HALTED
        if desk.stale:
            return SymbolState.STALE
        if desk.symbol in self._portfolio.positions:
            return SymbolState.LONG
        if self._manager.books[desk.symbol].entry is not None:
            return SymbolState.ARMED
        if desk.candles < desk.required or desk.warm_error:
            return SymbolState.COLD
        return SymbolState.WATCHING

    def show(self, desk: SymbolDesk) -> None:
        """Publish the symbol's state if it changed."""
        state = self.state_of(desk)
        if state is not desk.shown:
            desk.shown = state
            reason = desk.quarantine or desk.halted or desk.warm_error
            self._bus.emit(SymbolStateChanged(desk.symbol, state, reason))
