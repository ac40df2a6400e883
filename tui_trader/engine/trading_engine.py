"""The trading engine: one writer of trading state.

Everything that changes it comes through ``handle`` (a message), ``work`` (a decision) or ``run_next_timer``
(an alarm), and is carried out to the end, synchronously, on one thread. There is no ``await`` here, no lock,
no wall clock and no randomness: the same messages at the same times lead to the same state and events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Literal, assert_never

from tui_trader.core.bars import Bar
from tui_trader.core.breaker import BreakerLimits, CircuitBreaker
from tui_trader.core.calendar import NEW_YORK, Calendar, CalendarRangeError, Session
from tui_trader.core.events import (
    ConnectionChanged,
    EngineState,
    EngineStateChanged,
    ErrorOccurred,
    Heartbeat,
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
from tui_trader.engine.ledger import Ledger
from tui_trader.engine.market import MarketDesk
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.order_news import OrderNews
from tui_trader.engine.reconciler import Reconciler
from tui_trader.engine.recorder import Recorder, Recovered
from tui_trader.engine.resume import Resumption
from tui_trader.engine.sessions import SessionRules
from tui_trader.engine.shutdown import GracefulShutdown
from tui_trader.engine.timers import Alarm, Timers
from tui_trader.engine.trading_day import TradingDay
from tui_trader.engine.watch import Watch
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
    TradingHalt,
    Unclear,
    VenueCondition,
    VenueNotice,
)

_MISSED: Final = "bars were missed and are asked for"
#: After this, bars that could not be had are asked for once more.
_ASK_AGAIN: Final = timedelta(seconds=30)


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
    stale_after: timedelta | None = None  # how long a symbol may be silent; None: it cannot fail to come
    bars_come_early: bool = False  # a live stream: bars are made while earlier ones are still asked for
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
        self.market.in_the_way = self._in_the_way
        self._resumption = Resumption(
            self.manager, self.market, self.portfolio, self.risk, self.breaker, calendar, clock,
            config.max_bar_jump_pct,
        )  # fmt: skip
        self.market.sending = lambda: self.gateway.queued
        self.ledger = Ledger(self.portfolio, self.breaker, recorder, bus)
        self.ledger.tripped = lambda: self.manager.withdraw_all_entries("circuit breaker")
        self.day = TradingDay(
            config.session, calendar, self.market, self.manager, self.portfolio, self.desks, bus, clock,
            self.timers,
        )  # fmt: skip
        self.day.opened = self._session_opened
        self.day.closed = self._session_closed
        self.day.changed = self._update_state
        self.watch = Watch(self.desks, self.market, self.manager, bus, clock, self.timers, config.stale_after)
        self.shutdown = GracefulShutdown(self.manager, self.portfolio, self.gateway, self.reconciler)
        self.news.trade_closed = self._trade_closed
        self.news.account_changed = self.ledger.say_account
        self.news.brought_in = self.ledger.brought_in
        self.news.disagreement = self._disagreement

        self.state = EngineState.STOPPED
        self.state_reason = ""
        self.exit_code = 0
        self.paused = ""  # why, empty when not
        self.streams: dict[str, StreamState] = {}
        #: Messages that wait, and how late the engine's loop is at its worst (ms); a live driver knows.
        self.load: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
        self.warm_left: set[str] = set()
        self.started = clock.now()
        self._phase: Literal["reconciling", "warming", "trading"] = "reconciling"
        self._recovered: Recovered | None = None
        self._unfilled: set[str] = set()  # symbols whose missed bars could not be had,
        self._asking_for_bars = False  # and whether they will be asked for again
        self._early: list[BarBatch] = []  # bars that came while history was awaited
        self._news_lost = 0  # the request whose answer will make up for order news that was lost
        self._asking_again = False

    # ---- start -----------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        return self.state is EngineState.STOPPED and self.shutdown.begun

    @property
    def shutting_down(self) -> bool:
        return self.shutdown.begun

    def start(self) -> None:
        """Read the journal, ask the broker; the rest follows from the answers."""
        now = self.clock.now()
        self._set_state(EngineState.STARTING, "")
        self.day.find(now)
        schedule = self.day.schedule
        self.ledger.session = self.day.date
        recovered = self._recorder.recover(schedule.session.open if schedule else now)
        self._recovered = recovered
        self.reconciler.rebuild(recovered)
        self.paused = recovered.latches.get("paused", "")
        self.ledger.realized = self._resumption.restore_day(recovered, schedule, self._session_before(now))
        self.timers.set(now + self.config.heartbeat, Alarm.HEARTBEAT)
        self.timers.set(now + self.config.policy.reconcile, Alarm.RECONCILE)
        if self.config.policy.poll is not None:
            self.timers.set(now + self.config.policy.poll, Alarm.POLL)
        self._set_state(EngineState.RECONCILING, "")
        last = self.config.last_session
        if last is not None and self.day.next_session is not None and self.day.next_session.date > last:
            self.shut_down(Shutdown("the last session is over"))
        self.gateway.query_snapshot(schedule.session.open if schedule else None)
        self.gateway.flush()

    def _session_before(self, now: datetime) -> date | None:
        """The session that was over last, as far as the calendar knows."""
        try:
            today = now.astimezone(NEW_YORK).date()
            week = self.calendar.sessions(today - timedelta(days=7), today)
        except CalendarRangeError:
            return None
        return next((session.date for session in reversed(week) if session.close <= now), None)

    def _after_reconciling(self) -> None:
        if self.shutdown.begun:
            self._phase = "trading"
            self.shutdown.close_positions()
            return
        self._phase = "warming"
        if self.paused:
            self.manager.withdraw_all_entries("paused")
        elif self.breaker.trip is not None:
            self.manager.withdraw_all_entries("circuit breaker")
        if not self.config.warmup and not self._resumed_within_session():
            if self.config.bars_come_early:
                self._data.subscribe(sorted(self.desks))
            self._after_warmup()
            return
        self._set_state(EngineState.WARMING_UP, "")
        self.warm_left = set(self.desks)
        if not self.warm_left:
            self._after_warmup()
            return
        if self.config.bars_come_early:
            self._data.subscribe(sorted(self.desks))
        self._data.request_history(sorted(self.desks), self._warmup_minutes())

    def _resumed_within_session(self) -> bool:
        """Whether an earlier run has traded this session: its candles are needed even by a cold start."""
        recovered = self._recovered
        return recovered is not None and bool(recovered.orders or recovered.latches.get("breaker"))

    def _history(self, message: History) -> None:
        desk = self.desks.get(message.symbol)
        if desk is None:
            return
        if message.symbol not in self.warm_left:
            if self._phase == "trading":
                self._missed_bars(desk, message)
            return
        self.warm_left.discard(message.symbol)
        if message.bars is None:
            desk.warm_error = message.error or "no history"
            self.bus.emit(ErrorOccurred("warmup", f"history failed: {desk.warm_error}", desk.symbol))
        self._resumption.take_history(desk, message, self.day.schedule)
        done = len(self.desks) - len(self.warm_left)
        self.bus.emit(WarmupProgress(desk.symbol, desk.candles, desk.required, done, len(self.desks)))
        if not self.warm_left:
            self._after_warmup()

    def _after_warmup(self) -> None:
        self._phase = "trading"
        self._recovered = None
        for desk in self.desks.values():
            self.market.show(desk)
        if not self.config.bars_come_early:
            self._data.subscribe(sorted(self.desks))
        for batch in self._early:
            fresh = [bar for bar in batch.bars if self._is_news(bar)]
            if fresh:
                self._bars(BarBatch(batch.time, fresh))
        self._early.clear()
        if self.day.schedule is not None:
            self.watch.begin()
        self._update_state("")

    def _is_news(self, bar: Bar) -> bool:
        """Whether the history does not have ``bar``."""
        desk = self.desks.get(bar.symbol)
        return desk is None or desk.last_bar is None or bar.timestamp > desk.last_bar

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
            case VenueCondition():
                self.watch.condition(message)
            case VenueNotice():
                self.bus.emit(ErrorOccurred(message.component, message.message, message.symbol))
            case TradingHalt():
                self.watch.halt(message)
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
            if self._phase == "warming" and self.config.bars_come_early:
                self._early.append(batch)
            return
        if len(self.manager.books) > len(self.desks):
            # Positions that no route trades any more are valued all the same.
            for bar in batch.bars:
                if bar.symbol in self.manager.books and bar.symbol not in self.desks:
                    self.portfolio.mark(bar.symbol, bar.close)
        if self.market.bars(batch):
            self.ledger.first_delivery()

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
        self.ledger.cash_known = self.ledger.cash_known or sure
        self.ledger.say_account()
        verdict = self.shutdown.verified(snapshot) if sure else None
        if verdict is not None:
            self._set_state(EngineState.STOPPED, verdict)
            self.gateway.commit()
            return
        if sure and snapshot.request_id >= self._news_lost:
            self._news_lost = 0
        # An entry that the broker does not know may still arrive; waiting for that would hold up everything.
        if not sure or (starting and self.gateway.busy_beyond(self.news.absent)):
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
        if state.stream == "bars" and state.state == "connected" and self._bars_missed(before):
            self._ask_for_missed_bars(sorted(self.desks))

    def _ask_for_missed_bars(self, symbols: Sequence[str]) -> None:
        """Nothing is decided on candles with a hole: no entries in ``symbols`` until their bars are here."""
        for symbol in symbols:
            desk = self.desks[symbol]
            desk.warm_error = desk.warm_error or _MISSED
            self.market.show(desk)
        self._data.request_history(symbols, self._warmup_minutes())

    def _missed_bars(self, desk: SymbolDesk, message: History) -> None:
        """The bars that were missed while no stream was open, or why they could not be had."""
        if message.bars is None:
            if not self._unfilled:
                text = f"bars that were missed could not be had, no entries until they are: {message.error}"
                self.bus.emit(ErrorOccurred("bars", text, desk.symbol))
            self._unfilled.add(desk.symbol)
            if not self._asking_for_bars:
                self._asking_for_bars = True
                self.timers.set(self.clock.now() + _ASK_AGAIN, Alarm.REFILL)
            return
        self._unfilled.discard(desk.symbol)
        self._resumption.refill(desk, message, self.day.schedule)
        desk.warm_error = ""
        self.market.show(desk)

    def _ask_again_for_bars(self) -> None:
        self._asking_for_bars = False
        if self._unfilled:
            self._ask_for_missed_bars(sorted(self._unfilled))

    def _bars_missed(self, before: StreamState | None) -> bool:
        """Whether bars may have passed unseen: the stream is open again, in the middle of a session."""
        return before is not None and self._phase == "trading" and self.day.schedule is not None

    def _warmup_minutes(self) -> int:
        return max(desk.required * desk.aggregator.minutes for desk in self.desks.values())

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
            self.ledger.reset()
        if self.paused:
            self.paused = ""
            self._recorder.latch("paused", None)
        self._update_state("resumed")

    def _flatten(self, symbol: str | None) -> None:
        if symbol is not None:
            if symbol in self.manager.books:
                self._sell_everything_in([symbol])
                self.news.cancel_external(symbol)
            else:
                self.bus.emit(ErrorOccurred("flatten", "no such symbol is traded here", symbol))
            return
        self._pause("flattened: paused until resumed")
        self.news.cancel_external(None)
        self._sell_everything_in(sorted(self.manager.books))

    def _sell_everything_in(self, symbols: Sequence[str]) -> None:
        """Ours and, because the user wants it, what others have bought, be it known yet or not."""
        for symbol in symbols:
            self.manager.close(symbol, TradeReason.FLATTEN)
        self.reconciler.claim(symbols)
        self.gateway.query_snapshot()

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
                self.day.open()
            case Alarm.CUT_OFF:
                self.day.cut_off()
            case Alarm.FLATTEN:
                self.day.close_positions()
            case Alarm.ESCALATE:
                self.day.escalate()
            case Alarm.SESSION_CLOSE:
                self.day.close()
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
            case Alarm.REFILL:
                self._ask_again_for_bars()
            case Alarm.STALE_CHECK:
                self.watch.look()
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
            # Orders of others can stand in the way of ours, so it matters when they have ended.
            quiet = self.manager.flat and not self.manager.presumed and not self.news.external_at_work()
            if quiet or self._phase == "reconciling":
                return
        number = self.gateway.query_snapshot()
        self.shutdown.asked_again(number)
        if self._news_lost:
            self._news_lost = number

    def _next(self, interval: timedelta) -> datetime:
        """When something regular happens next."""
        if self.config.skip_nights and self.day.next_session is not None:
            return self.day.next_session.open + interval
        return self.clock.now() + interval

    def _heartbeat(self) -> None:
        now = self.clock.now()
        self.timers.set(self._next(self.config.heartbeat), Alarm.HEARTBEAT)
        self.bus.emit(Heartbeat((now - self.started).total_seconds(), *self.load()))

    # ---- the day and the account -----------------------------------------------------------------

    def _session_opened(self, session: Session) -> None:
        self.news.forget()
        self.watch.begin()
        self.risk.start_session()
        self._resumption.exits.clear()
        self.ledger.session = session.date
        self.ledger.start_session()

    def _session_closed(self, session: Session) -> bool:
        """Whether there is to be another one."""
        self.ledger.check()
        self.ledger.session = None
        last = self.config.last_session
        if last is not None and session.date >= last:
            self.shut_down(Shutdown("the last session is over"))
            return False
        return True

    def _trade_closed(self, trade: ClosedTrade) -> None:
        self._resumption.exits[trade.symbol] = trade.exit_time
        self.ledger.count(trade)
        self.market.trade_closed(trade.symbol, trade.exit_time)
        self.ledger.check_streak()

    def _keep_closing(self) -> None:
        """What is bought after all was told to close (by an entry that was thought lost) is closed, too."""
        closing_all = self.shutdown.closes_all
        reason = TradeReason.SHUTDOWN if closing_all else TradeReason.END_OF_DAY
        for symbol in sorted(self.portfolio.positions):
            must = closing_all or (self.day.closing and self.day.must_be_flat(symbol))
            if must and self.manager.books[symbol].exit_reason is None:
                self.manager.close(symbol, reason)

    def _in_the_way(self, symbol: str) -> str:
        """Why shares bought now could not be protected; empty when they could."""
        if self.news.blocks_stops(symbol):
            return "a buy order that is not ours would have the stop refused"
        if self.reconciler.external_shares.get(symbol, 0) < 0:
            return "somebody else is short of it in this account"
        return ""

    def entries_allowed(self) -> bool:
        """Whether a new position may be opened now."""
        schedule = self.day.schedule
        return (
            self._phase == "trading"
            and schedule is not None
            and self.clock.now() < schedule.no_entries_from
            and not self.paused
            and not self.day.closing
            and not self.shutdown.begun
            and self.breaker.trip is None
            and not self._news_lost
            and self.gateway.journal_ok
            and self.watch.clear
            and all(s.state == "connected" for s in self.streams.values())
        )

    def end_instant(self) -> None:
        """Everything of this instant has been handled (DESIGN §9): check, publish, make durable."""
        if self._phase == "trading":
            self.ledger.check()
            if self.portfolio.positions:
                self.ledger.say_account()
        if self.manager.touched:
            for symbol in sorted(self.manager.touched):
                desk = self.desks.get(symbol)
                if desk is not None and desk.shown is not None:
                    self.market.show(desk)
            self.manager.touched.clear()
        if self.portfolio.positions and (self.day.closing or self.shutdown.begun):
            self._keep_closing()
        self.gateway.flush()
        self.gateway.commit()
        self.gateway.flush()  # a journal that has just failed takes the entries off
        if self.shutdown.begun and not self.stopped and self._phase != "reconciling":
            self.shutdown.advance()

    # ---- states ----------------------------------------------------------------------------------

    def _update_state(self, reason: str) -> None:
        if self._phase != "trading" or self.shutdown.begun:
            return
        if self.paused:
            self._set_state(EngineState.PAUSED, self.paused)
        elif self.day.schedule is None:
            self._set_state(EngineState.MARKET_CLOSED, reason)
        elif self.day.closing:
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
        if self.shutdown.begun:
            return
        reason = self.shutdown.begin(
            command, self.config.shutdown_positions, market_open=self.day.schedule is not None
        )
        self._set_state(EngineState.SHUTTING_DOWN, reason)
        self.timers.set(self.clock.now() + self.config.shutdown_deadline, Alarm.SHUTDOWN_DEADLINE)
        if self._phase != "reconciling":  # nothing is sold before the broker has said what there is
            self.shutdown.close_positions()

    def _give_up(self) -> None:
        """The shutdown has taken too long: stop, and say exactly what is left for a person to look at."""
        if self.stopped:
            return
        left = self.shutdown.left_behind()
        self.exit_code = 4
        self.bus.emit(ErrorOccurred("shutdown", left, None))
        self._set_state(EngineState.STOPPED, left)
        self.gateway.commit()
