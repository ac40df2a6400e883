"""The trading engine: one writer of trading state.

Everything that changes it comes through ``handle`` (a message), ``work`` (a decision) or ``run_next_timer``
(an alarm), and is carried out to the end, synchronously, on one thread. There is no ``await`` here, no lock,
no wall clock and no randomness: the same messages at the same times lead to the same state and events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, assert_never

from tui_trader.core.breaker import BreakerLimits, CircuitBreaker, Trip
from tui_trader.core.calendar import Calendar, Session
from tui_trader.core.events import (
    AccountUpdated,
    CircuitBreakerReset,
    CircuitBreakerTripped,
    ConnectionChanged,
    EngineState,
    EngineStateChanged,
    ErrorOccurred,
    Heartbeat,
    SessionChanged,
    TradeReason,
    WarmupProgress,
)
from tui_trader.core.money import ZERO
from tui_trader.core.orders import ClientOrderId, Role
from tui_trader.core.portfolio import ClosedTrade, Portfolio
from tui_trader.core.risk import RiskLimits, RiskManager
from tui_trader.engine.book import ExecutionPolicy, SymbolBook
from tui_trader.engine.bus import EventBus
from tui_trader.engine.clock import Clock
from tui_trader.engine.desk import SymbolDesk
from tui_trader.engine.gateway import InFlight, OrderGateway
from tui_trader.engine.handle import (
    CancelWorkingOrder,
    Flatten,
    Pause,
    PositionsPolicy,
    Resume,
    SetSpeed,
    Shutdown,
)
from tui_trader.engine.inbox import Message, Query
from tui_trader.engine.market import MarketDesk
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.order_news import OrderNews
from tui_trader.engine.reconciler import Reconciler
from tui_trader.engine.recorder import Recorder, Recovered
from tui_trader.engine.resume import Resumption
from tui_trader.engine.sessions import Schedule, SessionRules
from tui_trader.engine.timers import Alarm, Timers
from tui_trader.strategies.base import Strategy
from tui_trader.venues.base import (
    AccountReport,
    Acknowledged,
    BarBatch,
    BrokerAdapter,
    BrokerSnapshot,
    DataStream,
    History,
    NotFound,
    OrderUpdate,
    QuerySnapshot,
    Refused,
    StreamState,
    Unclear,
)

_DONE = (EngineState.STOPPED,)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything an engine is told; nothing in it changes while it runs."""

    risk: RiskLimits
    breaker: BreakerLimits
    session: SessionRules
    max_bar_jump_pct: float
    shutdown_positions: PositionsPolicy = "close"
    warmup: bool = True
    last_session: date | None = None  # stop by itself after this session
    heartbeat: timedelta = timedelta(seconds=60)
    skip_nights: bool = False  # simulated venues: nothing of ours happens while the market is closed
    shutdown_deadline: timedelta = timedelta(minutes=5)
    policy: ExecutionPolicy = field(default_factory=ExecutionPolicy)


class TradingEngine:
    """Wires the components and leads them through the life of a session (DESIGN §7)."""

    def __init__(
        self,
        config: EngineConfig,
        strategies: Sequence[Strategy],
        broker: BrokerAdapter,
        data: DataStream,
        calendar: Calendar,
        clock: Clock,
        recorder: Recorder,
        bus: EventBus,
    ) -> None:
        self.config = config
        self.bus = bus
        self.clock = clock
        self.calendar = calendar
        self._recorder = recorder
        self._data = data
        self.timers = Timers()
        self.portfolio = Portfolio(ZERO)
        self.risk = RiskManager(config.risk)
        self.breaker = CircuitBreaker(config.breaker)
        self.gateway = OrderGateway(broker, recorder, bus, clock, self.timers, config.policy.request_timeout)
        self.manager = OrderManager(
            broker.account_id, self.portfolio, self.risk, self.gateway, recorder, bus, clock, self.timers,
            config.policy,
        )  # fmt: skip
        self.news = OrderNews(self.manager, self.portfolio, self.gateway, recorder, bus, clock)
        self.reconciler = Reconciler(self.manager, self.news, self.portfolio, self.gateway, bus, clock)
        self.desks = {
            s.symbol: SymbolDesk(s.symbol, s, config.max_bar_jump_pct)
            for s in sorted(strategies, key=lambda s: s.symbol)
        }
        for desk in self.desks.values():
            self.manager.books[desk.symbol] = SymbolBook(desk.symbol, desk.strategy.name)
        self.market = MarketDesk(self.desks, self.manager, self.portfolio, self.risk, bus, clock, self.timers)
        self.market.entries_allowed = self.entries_allowed
        self._resumption = Resumption(
            self.manager, self.market, self.portfolio, self.risk, self.breaker, calendar, clock,
            config.max_bar_jump_pct,
        )  # fmt: skip
        self.market.sending = lambda: self.gateway.queued
        self.news.trade_closed = self._trade_closed
        self.news.account_changed = self._say_account
        self.news.disagreement = self._disagreement

        self.state = EngineState.STOPPED
        self.state_reason = ""
        self.exit_code = 0
        self.paused = ""  # why, empty when not
        self.schedule: Schedule | None = None
        self.next_session: Session | None = None
        self.streams: dict[str, StreamState] = {}
        self.realized = ZERO
        self.warm_left: set[str] = set()
        self.started = clock.now()
        self._phase: Literal["reconciling", "warming", "trading"] = "reconciling"
        self._closing = False
        self._shutdown: Shutdown | None = None
        self._final_check: int | None = None
        self._recovered: Recovered | None = None
        self._said_account: AccountUpdated | None = None
        self._cash_known = False
        self._news_lost = 0  # the request whose answer will make up for order news that was lost
        self._asking_again = False

    # ---- start -----------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        return self.state in _DONE and self._shutdown is not None

    @property
    def shutting_down(self) -> bool:
        return self._shutdown is not None

    def start(self) -> None:
        """Read the journal, ask the broker; the rest follows from the answers."""
        now = self.clock.now()
        self._set_state(EngineState.STARTING, "")
        self._find_session(now)
        recovered = self._recorder.recover(self.schedule.session.open if self.schedule else now)
        self._recovered = recovered
        self.reconciler.rebuild(recovered)
        self.paused = recovered.latches.get("paused", "")
        self.realized = self._resumption.restore_day(recovered, self.schedule, self._session_before(now))
        self.timers.set(now + self.config.heartbeat, Alarm.HEARTBEAT)
        self.timers.set(now + self.config.policy.reconcile, Alarm.RECONCILE)
        if self.config.policy.poll is not None:
            self.timers.set(now + self.config.policy.poll, Alarm.POLL)
        self._set_state(EngineState.RECONCILING, "")
        last = self.config.last_session
        if last is not None and self.next_session is not None and self.next_session.date > last:
            self.shut_down(Shutdown("the last session is over"))
        self.gateway.query_snapshot(self.schedule.session.open if self.schedule else None)
        self.gateway.flush()

    def _session_before(self, now: datetime) -> date | None:
        """The session that was over last, as far as the calendar knows."""
        week = self.calendar.sessions(now.date() - timedelta(days=7), now.date())
        return next((session.date for session in reversed(week) if session.close <= now), None)

    def _after_reconciling(self) -> None:
        if self._shutdown is not None:
            self._phase = "trading"
            self._begin_closing()
            return
        self._phase = "warming"
        if self.paused:
            self.manager.withdraw_all_entries("paused")
        elif self.breaker.trip is not None:
            self.manager.withdraw_all_entries("circuit breaker")
        if not self.config.warmup and not self._resumed_within_session():
            self._after_warmup()
            return
        self._set_state(EngineState.WARMING_UP, "")
        self.warm_left = set(self.desks)
        minutes = max(desk.required * desk.aggregator.minutes for desk in self.desks.values())
        if not self.warm_left:
            self._after_warmup()
            return
        self._data.request_history(sorted(self.desks), minutes)

    def _resumed_within_session(self) -> bool:
        """Whether an earlier run has traded this session: its candles are needed even by a cold start."""
        recovered = self._recovered
        return recovered is not None and bool(recovered.orders or recovered.latches.get("breaker"))

    def _history(self, message: History) -> None:
        desk = self.desks.get(message.symbol)
        if desk is None or message.symbol not in self.warm_left:
            return
        self.warm_left.discard(message.symbol)
        if message.bars is None:
            desk.warm_error = message.error or "no history"
            self.bus.emit(ErrorOccurred("warmup", f"history failed: {desk.warm_error}", desk.symbol))
        self._resumption.take_history(desk, message, self.schedule)
        done = len(self.desks) - len(self.warm_left)
        self.bus.emit(WarmupProgress(desk.symbol, desk.candles, desk.required, done, len(self.desks)))
        if not self.warm_left:
            self._after_warmup()

    def _after_warmup(self) -> None:
        self._phase = "trading"
        self._recovered = None
        for desk in self.desks.values():
            self.market.show(desk)
        self._data.subscribe(sorted(self.desks))
        self._update_state("")

    # ---- messages --------------------------------------------------------------------------------

    def handle(self, message: Message) -> None:
        """Handle one message to the end; afterwards everything decided is durable and sent."""
        match message:
            case BarBatch():
                self._bars(message)
            case OrderUpdate():
                self.news.updated(message)
            case Acknowledged():
                self.news.acknowledged(message)
            case Refused():
                self._refused(message)
            case Unclear():
                self._unclear(message)
            case NotFound():
                item = self.gateway.answered(message.request_id)
                if item is not None and item.order is not None:
                    self.news.not_found(item.order)
            case BrokerSnapshot():
                self._snapshot(message)
            case AccountReport():
                self.reconciler.buying_power = message.buying_power
            case History():
                self._history(message)
            case StreamState():
                self._stream(message)
            case Query():
                self._answer(message)
            case Pause() | Resume() | Flatten() | CancelWorkingOrder() | Shutdown() | SetSpeed():
                self._command(message)
            case _:
                assert_never(message)
        self.gateway.flush()

    def work(self) -> bool:
        """Take the next decisions on what was delivered; false when there are none left.

        Answers to what they sent are handled before the next call, new bars only after the last.
        """
        if not self.market.work():
            return False
        self.gateway.flush()
        return True

    def _bars(self, batch: BarBatch) -> None:
        if self._phase != "trading":
            return
        if len(self.manager.books) > len(self.desks):
            # Positions that no route trades any more are valued all the same.
            for bar in batch.bars:
                if bar.symbol in self.manager.books and bar.symbol not in self.desks:
                    self.portfolio.mark(bar.symbol, bar.close)
        if self.market.bars(batch) and self.breaker.day_start_equity is None:
            self.breaker.first_delivery(self.portfolio.equity())
            self._save_breaker()

    def _answer(self, query: Query) -> None:
        if not query.future.set_running_or_notify_cancel():
            return
        try:
            query.future.set_result(query.answer())
        except Exception as error:  # noqa: BLE001 - the asker gets it
            query.future.set_exception(error)

    def _refused(self, message: Refused) -> None:
        item = self.gateway.answered(message.request_id)
        if item is None:
            return
        if isinstance(item.request, QuerySnapshot):
            self._ask_snapshot_again()
        else:
            self.news.refused(item, message)

    def _unclear(self, message: Unclear) -> None:
        self._lost(self.gateway.answered(message.request_id), message.message)

    def _lost(self, item: InFlight | None, reason: str) -> None:
        """A request without an answer, or with one that says nothing."""
        if item is None:
            return
        if isinstance(item.request, QuerySnapshot):
            self._ask_snapshot_again()
        else:
            self.news.lost(item, reason)

    def _ask_snapshot_again(self) -> None:
        """In a moment, not at once: what is asked for in answer to an answer must not go round and round."""
        if not self._asking_again:
            self._asking_again = True
            delay = self.config.policy.retry_delay
            self.timers.set(self.clock.now() + delay, Alarm.RECONCILE, "again")

    def _snapshot(self, snapshot: BrokerSnapshot) -> None:
        self.gateway.answered(snapshot.request_id)
        starting = self._phase == "reconciling"
        sure = self.reconciler.compare(snapshot, starting=starting)
        self._cash_known = self._cash_known or sure
        self._say_account()
        if self._final_check == snapshot.request_id and sure:
            self._stop(snapshot)
            return
        if sure and snapshot.request_id >= self._news_lost:
            self._news_lost = 0
        if not sure or (starting and self.gateway.busy):
            self._ask_snapshot_again()
        elif starting:
            self._after_reconciling()

    def order_news_lost(self) -> None:
        """The inbox had to refuse news of orders: no entries until a reconciliation."""
        self.bus.emit(ErrorOccurred("inbox", "order news was lost: entries are off, reconciling", None))
        self.manager.withdraw_all_entries("order news was lost")
        self._news_lost = self.gateway.query_snapshot()
        self.gateway.flush()

    def _stream(self, state: StreamState) -> None:
        before = self.streams.get(state.stream)
        self.streams[state.stream] = state
        if before == state:
            return
        self.bus.emit(ConnectionChanged(state.stream, state.state, state.attempt))
        if state.state == "connected" and before is not None and state.stream != "bars":
            self._news_lost = self.gateway.query_snapshot()  # nobody knows what was said meanwhile

    def _disagreement(self, what: str) -> None:
        self.bus.emit(ErrorOccurred("reconcile", what, None))
        self._ask_snapshot_again()

    # ---- commands --------------------------------------------------------------------------------

    def _command(self, command: Pause | Resume | Flatten | CancelWorkingOrder | Shutdown | SetSpeed) -> None:
        match command:
            case Pause():
                self._pause(command.reason)
            case Resume():
                self._resume(command)
            case Flatten():
                self._flatten(command.symbol)
            case CancelWorkingOrder():
                self._cancel_order(command.client_order_id)
            case Shutdown():
                self.shut_down(command)
            case SetSpeed():
                pass  # the venue's driver takes it; nothing of it is trading state
            case _:
                assert_never(command)

    def _pause(self, reason: str) -> None:
        if not self.paused:
            self.paused = reason or "paused"
            self._recorder.latch("paused", self.paused)
        self.manager.withdraw_all_entries("paused")
        self._update_state(self.paused)

    def _resume(self, command: Resume) -> None:
        if command.reset_breaker:
            trip = self.breaker.reset()
            if trip is not None:
                self._say_reset(trip)
                self._save_breaker()
        if self.paused:
            self.paused = ""
            self._recorder.latch("paused", None)
        self._update_state("resumed")

    def _flatten(self, symbol: str | None) -> None:
        if symbol is not None:
            if symbol in self.manager.books:
                self.manager.close(symbol, TradeReason.FLATTEN)
                self.news.cancel_external(symbol)
            else:
                self.bus.emit(ErrorOccurred("flatten", "no such symbol is traded here", symbol))
            return
        self._pause("flattened: paused until resumed")
        self.news.cancel_external(None)
        for name in sorted(self.manager.books):
            self.manager.close(name, TradeReason.FLATTEN)

    def _cancel_order(self, identity: str) -> None:
        order = self.manager.registry.get(ClientOrderId(identity))
        if order is None or not order.live:
            self.bus.emit(ErrorOccurred("orders", f"no such working order: {identity}", None))
        elif order.spec.role is not Role.ENTRY:
            self.bus.emit(ErrorOccurred("orders", "only entries are cancelled by hand", order.spec.symbol))
        else:
            self.manager.withdraw_entry(order.spec.symbol, "cancelled by the user")

    # ---- alarms ----------------------------------------------------------------------------------

    def run_next_timer(self) -> bool:
        """The next alarm that is due by now, to its end; false when none is."""
        timer = self.timers.pop_due(self.clock.now())
        if timer is None:
            return False
        self._alarm(timer.alarm, timer.key)
        self.gateway.flush()
        return True

    def _alarm(self, alarm: Alarm, key: str | int) -> None:
        match alarm:
            case Alarm.CANDLE_TIMEOUT:
                self.market.candle_timeout()
            case Alarm.ENTRY_EXPIRY:
                self.market.entry_expiry(str(key))
            case Alarm.SESSION_OPEN:
                self._open_session()
            case Alarm.CUT_OFF:
                self.manager.withdraw_all_entries("no entries before the close")
            case Alarm.FLATTEN:
                self._close_day()
            case Alarm.ESCALATE:
                self._escalate()
            case Alarm.SESSION_CLOSE:
                self._close_session()
            case Alarm.REQUEST_TIMEOUT:
                self._request_timed_out(int(key))
            case Alarm.ORDER_FOLLOW_UP:
                self.manager.follow_up(str(key))
            case Alarm.PARTIAL_GRACE:
                self.manager.partial_grace_over(str(key))
            case Alarm.PROTECT_DEADLINE:
                self.manager.protect_deadline(str(key))
            case Alarm.RETRY:
                self.manager.steer(str(key))
            case Alarm.POLL:
                self._poll()
            case Alarm.RECONCILE:
                self._reconcile(again=key == "again")
            case Alarm.SHUTDOWN_DEADLINE:
                self._give_up()
            case Alarm.HEARTBEAT:
                self._heartbeat()
            case _:
                assert_never(alarm)

    def _request_timed_out(self, request_id: int) -> None:
        self._lost(self.gateway.timed_out(request_id), "no answer in time")

    def _poll(self) -> None:
        """Updates can go missing on a healthy socket: working orders are asked about, too."""
        policy = self.config.policy
        if policy.poll is None:
            return
        unsettled = self.manager.unsettled()
        for order in unsettled:
            self.gateway.query(order)
        upcoming = self.clock.now() + policy.poll if unsettled else self._next(policy.poll)
        self.timers.set(upcoming, Alarm.POLL)

    def _reconcile(self, *, again: bool) -> None:
        if again:
            self._asking_again = False
        else:
            self.timers.set(self._next(self.config.policy.reconcile), Alarm.RECONCILE)
            quiet = self.manager.flat and not self.manager.presumed
            if quiet or self._phase == "reconciling":
                return
        number = self.gateway.query_snapshot()
        if self._final_check is not None:
            self._final_check = number
        if self._news_lost:
            self._news_lost = number

    def _next(self, interval: timedelta) -> datetime:
        """When something regular happens next."""
        if self.config.skip_nights and self.schedule is None and self.next_session is not None:
            return self.next_session.open + interval
        return self.clock.now() + interval

    def _heartbeat(self) -> None:
        now = self.clock.now()
        self.timers.set(self._next(self.config.heartbeat), Alarm.HEARTBEAT)
        self.bus.emit(Heartbeat((now - self.started).total_seconds(), 0, 0.0))

    # ---- the day ---------------------------------------------------------------------------------

    def _find_session(self, now: datetime) -> None:
        today = self.calendar.session_on(now.date())
        if today is not None and today.contains(now):
            self._enter_session(today)
            return
        self.next_session = (
            today if today is not None and now < today.open else self.calendar.next_session(now.date())
        )
        self.manager.start_session(self.next_session.date)
        self.timers.set(self.next_session.open, Alarm.SESSION_OPEN)

    def _enter_session(self, session: Session) -> None:
        schedule = Schedule.of(session, self.config.session)
        self.schedule, self.next_session = schedule, None
        self.manager.start_session(session.date)
        for moment, alarm in (
            (schedule.no_entries_from, Alarm.CUT_OFF),
            (schedule.flatten_at, Alarm.FLATTEN),
            (schedule.escalate_at, Alarm.ESCALATE),
            (session.close, Alarm.SESSION_CLOSE),
        ):
            # What an earlier run has done already is done again at once: it may have been interrupted.
            self.timers.set(max(moment, self.clock.now()), alarm)
        self.market.start_session(schedule)
        self.bus.emit(
            SessionChanged(
                session.date.isoformat(), session.open, session.close, schedule.no_entries_from,
                schedule.flatten_at,
            )
        )  # fmt: skip

    def _open_session(self) -> None:
        session, self.next_session = self.next_session, None
        if session is None:
            return
        self.manager.forget_ended()
        self.news.forget()
        self._enter_session(session)
        self.risk.start_session()
        self._resumption.exits.clear()
        self.realized = ZERO
        trip = self.breaker.start_session()
        if trip is not None:
            self._say_reset(trip)
        self._recorder.latch("breaker", None)
        self._update_state("the session has opened")

    def _close_day(self) -> None:
        """Before the close: every position whose strategy wants it is sold."""
        self._closing = True
        self._update_state("end of day")
        for symbol in sorted(self.manager.books):
            if self._must_be_flat(symbol):
                self.manager.close(symbol, TradeReason.END_OF_DAY)

    def _keep_closing(self) -> None:
        """What is bought after all was told to close (by an entry that was thought lost) is closed, too."""
        closing_all = self._shutdown is not None and self._shutdown.positions == "close"
        reason = TradeReason.SHUTDOWN if closing_all else TradeReason.END_OF_DAY
        for symbol in sorted(self.portfolio.positions):
            must = closing_all or (self._closing and self._must_be_flat(symbol))
            if must and self.manager.books[symbol].exit_reason is None:
                self.manager.close(symbol, reason)

    def _escalate(self) -> None:
        """One minute left: whatever has not been sold is tried again at once, and said aloud."""
        left = [s for s in sorted(self.portfolio.positions) if self._must_be_flat(s)]
        if left:
            self.bus.emit(
                ErrorOccurred(
                    "end of day", f"still open one minute before the close: {', '.join(left)}", None
                )
            )
            self._close_day()
            self.manager.push()

    def _must_be_flat(self, symbol: str) -> bool:
        desk, position = self.desks.get(symbol), self.portfolio.positions.get(symbol)
        if desk is None or desk.force_close_eod:
            return True
        # A strategy that leaves positions overnight cannot say so for another's.
        return position is not None and position.strategy != desk.strategy.name

    def _close_session(self) -> None:
        self.market.end_session()
        self._check_breaker()
        self._closing = False
        schedule, self.schedule = self.schedule, None
        left = [s for s in sorted(self.portfolio.positions) if self._must_be_flat(s)]
        if left:
            self.bus.emit(ErrorOccurred("end of day", f"open after the close: {', '.join(left)}", None))
        if schedule is None:
            return
        last = self.config.last_session
        if last is not None and schedule.session.date >= last:
            self.shut_down(Shutdown("the last session is over"))
            return
        self.next_session = self.calendar.next_session(schedule.session.date)
        self.manager.start_session(self.next_session.date)
        self.timers.set(self.next_session.open, Alarm.SESSION_OPEN)
        self._update_state("the session has closed")

    # ---- breaker and account ---------------------------------------------------------------------

    def _trade_closed(self, trade: ClosedTrade) -> None:
        self.realized += trade.pnl
        self._resumption.exits[trade.symbol] = trade.exit_time
        self.breaker.count(trade)
        self._save_breaker()
        self.market.trade_closed(trade.symbol, trade.exit_time)
        # The day's loss is judged when the instant is over, and with it every symbol's new close is known.
        self._tripped(self.breaker.check_streak())

    def _check_breaker(self) -> None:
        self._tripped(self.breaker.check(self.portfolio.equity()))

    def _tripped(self, trip: Trip | None) -> None:
        if trip is not None:
            self._save_breaker()
            self.bus.emit(CircuitBreakerTripped(trip.rule, trip.value, trip.limit))
            self.manager.withdraw_all_entries("circuit breaker")

    def _say_reset(self, trip: Trip) -> None:
        self.bus.emit(CircuitBreakerReset(trip.rule, trip.value, trip.limit))

    def _save_breaker(self) -> None:
        if self.schedule is not None:
            self._recorder.latch("breaker", self.breaker.dump(self.schedule.session.date.isoformat()))

    def _say_account(self) -> None:
        if not self._cash_known:
            return
        equity = self.portfolio.equity()
        event = AccountUpdated(equity, self.portfolio.cash, self.buying_power, self.breaker.day_pnl(equity))
        if event != self._said_account:
            self._said_account = event
            self.bus.emit(event)

    @property
    def buying_power(self) -> Decimal:
        """The broker's figure where it gives one that moves with each fill, else our cash."""
        return self.portfolio.cash

    def entries_allowed(self) -> bool:
        """Whether a new position may be opened now."""
        schedule = self.schedule
        return (
            self._phase == "trading"
            and schedule is not None
            and self.clock.now() < schedule.no_entries_from
            and not self.paused
            and not self._closing
            and self._shutdown is None
            and self.breaker.trip is None
            and not self._news_lost
            and self.gateway.journal_ok
            and all(s.state == "connected" for s in self.streams.values())
        )

    def end_instant(self) -> None:
        """Everything of this instant has been handled (DESIGN §9): check, publish, make durable."""
        if self._phase == "trading":
            if self.breaker.trip is None and self.schedule is not None:
                self._check_breaker()
            if self.portfolio.positions:
                self._say_account()
        if self.manager.touched:
            for symbol in sorted(self.manager.touched):
                desk = self.desks.get(symbol)
                if desk is not None and desk.shown is not None:
                    self.market.show(desk)
            self.manager.touched.clear()
        if self.portfolio.positions and (self._closing or self._shutdown is not None):
            self._keep_closing()
        self.gateway.flush()
        self.gateway.commit()
        self.gateway.flush()  # a journal that has just failed takes the entries off
        if self._shutdown is not None and self.state is not EngineState.STOPPED:
            self._advance_shutdown()

    # ---- states ----------------------------------------------------------------------------------

    def _update_state(self, reason: str) -> None:
        if self._phase != "trading" or self._shutdown is not None:
            return
        if self.paused:
            self._set_state(EngineState.PAUSED, self.paused)
        elif self.schedule is None:
            self._set_state(EngineState.MARKET_CLOSED, reason)
        elif self._closing:
            self._set_state(EngineState.CLOSING, reason)
        else:
            self._set_state(EngineState.RUNNING, reason)

    def _set_state(self, state: EngineState, reason: str) -> None:
        if state is self.state:
            return
        previous, self.state, self.state_reason = self.state, state, reason
        self.bus.emit(EngineStateChanged(state, previous, reason))

    # ---- shutdown --------------------------------------------------------------------------------

    def shut_down(self, command: Shutdown) -> None:
        """Begin the graceful shutdown; a second command changes nothing."""
        if self._shutdown is not None:
            return
        policy = command.positions or self.config.shutdown_positions
        reason = command.reason
        if self.schedule is None and self.portfolio.positions and policy == "close":
            policy = "keep"
            reason = f"{reason}; the market is closed, positions are kept with their stops"
        self._shutdown = Shutdown(command.reason, policy)
        self._set_state(EngineState.SHUTTING_DOWN, reason)
        self.timers.set(self.clock.now() + self.config.shutdown_deadline, Alarm.SHUTDOWN_DEADLINE)
        if self._phase != "reconciling":  # nothing is sold before the broker has said what there is
            self._begin_closing()

    def _begin_closing(self) -> None:
        self.manager.withdraw_all_entries("shutting down")
        if self._shutdown is not None and self._shutdown.positions == "close":
            for symbol in sorted(self.manager.books):
                self.manager.close(symbol, TradeReason.SHUTDOWN)

    def _advance_shutdown(self) -> None:
        """Once everything is closed, or kept safely, ask the broker a last time."""
        if self._final_check is not None or self.gateway.busy or self._phase == "reconciling":
            return
        if self.settled:
            self._final_check = self.gateway.query_snapshot()
            self.gateway.flush()

    @property
    def settled(self) -> bool:
        """Whether nothing of ours is under way and every share that stays is protected."""
        if self._shutdown is not None and self._shutdown.positions == "keep":
            entries = any(True for _ in self.manager.pending_entries())
            return not entries and not any(True for _ in self.manager.unprotected())
        return self.manager.flat

    def _stop(self, snapshot: BrokerSnapshot) -> None:
        kept = self._shutdown is not None and self._shutdown.positions == "keep"
        held = {position.symbol for position in snapshot.positions} - set(self.reconciler.external_shares)
        if held and not (kept and self.settled):
            self._final_check = None  # something came in between: go on closing
            return
        if kept and held:
            self.state_reason = f"positions kept with their stops: {', '.join(sorted(held))}"
        self._set_state(EngineState.STOPPED, self.state_reason if kept and held else "")
        self.gateway.commit()

    def _give_up(self) -> None:
        """The shutdown has taken too long: stop, and say exactly what is left for a person to look at."""
        left = [f"{p.qty} {p.symbol}" for p in self.portfolio.positions.values()]
        left += [f"order {o.spec.client_order_id}" for o in self.manager.registry.live()]
        self.exit_code = 4
        self.bus.emit(ErrorOccurred("shutdown", f"left behind: {', '.join(left) or 'unverified'}", None))
        self._set_state(EngineState.STOPPED, f"left behind: {', '.join(left) or 'unverified'}")
        self.gateway.commit()
