"""After a restart: the day's counters, candles, strategies and pending entries as they were.

Orders and positions are the reconciler's. What is rebuilt here is everything else that a decision depends on,
so that a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from tui_trader.core.bars import BarFilter
from tui_trader.core.breaker import CircuitBreaker
from tui_trader.core.calendar import NEW_YORK, Calendar
from tui_trader.core.decide import ExitNow, MoveStop, decide_holding
from tui_trader.core.events import TradeReason
from tui_trader.core.money import ZERO
from tui_trader.core.orders import Role
from tui_trader.core.portfolio import Portfolio
from tui_trader.core.risk import RiskManager
from tui_trader.core.rule import CandleView, Holding
from tui_trader.engine.clock import Clock
from tui_trader.engine.desk import SymbolDesk
from tui_trader.engine.guard import StrategyFailed
from tui_trader.engine.market import MarketDesk
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.recorder import Recovered
from tui_trader.engine.sessions import Schedule
from tui_trader.engine.warmup import warm
from tui_trader.venues.base import History


class Resumption:
    """Used between an engine's start and its first delivery. ``exits``: each symbol's last exit today."""

    def __init__(
        self,
        manager: OrderManager,
        market: MarketDesk,
        portfolio: Portfolio,
        risk: RiskManager,
        breaker: CircuitBreaker,
        calendar: Calendar,
        clock: Clock,
        max_bar_jump_pct: float,
    ) -> None:
        self._manager = manager
        self._market = market
        self._portfolio = portfolio
        self._risk = risk
        self._breaker = breaker
        self._calendar = calendar
        self._clock = clock
        self._max_jump = max_bar_jump_pct
        self.exits: dict[str, datetime] = {}

    def restore_day(self, recovered: Recovered, schedule: Schedule | None, after: date | None) -> Decimal:
        """Latches and counters of the day; the profit realised in it. ``after``: a session over by now."""
        for trade in recovered.trades:
            self.exits[trade.symbol] = max(trade.exit_time, self.exits.get(trade.symbol, trade.exit_time))
        saved = recovered.latches.get("breaker")
        day = schedule.session.date if schedule is not None else after
        if saved is not None and day is not None:
            self._breaker.restore(saved, day.isoformat())
        entries: Counter[str] = Counter()
        if schedule is not None:
            for record in recovered.orders:
                if record.spec.role is Role.ENTRY and record.created >= schedule.session.open:
                    entries[record.spec.symbol] += 1
        self._risk.start_session(entries)
        # Stop moves are not told apart here and count, too: for a minute that errs on the safe side.
        minute_ago = self._clock.now() - timedelta(minutes=1)
        for created in sorted(r.created for r in recovered.orders if r.created > minute_ago):
            self._risk.count_order(created)
        return sum((trade.pnl for trade in recovered.trades), ZERO)

    def take_history(self, desk: SymbolDesk, message: History, schedule: Schedule | None) -> None:
        """Earlier bars into candles and indicators, then whatever those candles meant to the open day."""
        views = self._warm(desk, message, schedule)
        if schedule is None:
            return
        stamp = self.exits.get(desk.symbol)
        if stamp is not None:
            desk.exit_stamp = stamp
            desk.since_exit = sum(1 for view in views if view.end > stamp)
        self._lead_strategy(desk, views)
        self._market.resume(desk, views)

    def refill(self, desk: SymbolDesk, message: History, schedule: Schedule | None) -> bool:
        """Bars that were missed while no stream was open; whether there were any.

        The candles are made anew, and nothing is decided on those that closed meanwhile, except what they
        mean to a position.
        """
        bars, last = message.bars, desk.last_bar
        if bars is None or not len(bars) or schedule is None:
            return False
        if last is not None and int(bars.minute[-1]) * 60 <= last.timestamp():
            return False
        desk.reset_history()
        desk.filter = BarFilter(self._max_jump)  # the one before would take these bars for repetitions
        reference, exit_stamp, since_exit = desk.reference, desk.exit_stamp, desk.since_exit
        missed = [view for view in self._warm(desk, message, schedule) if last is None or view.start > last]
        # The session has not begun anew.
        desk.reference, desk.exit_stamp, desk.since_exit = reference, exit_stamp, since_exit
        desk.since_exit += sum(1 for view in missed if desk.exit_stamp and view.end > desk.exit_stamp)
        self._lead_strategy(desk, missed)
        self._market.resume(desk, missed)
        return True

    def _warm(self, desk: SymbolDesk, message: History, schedule: Schedule | None) -> list[CandleView]:
        bars = message.bars
        if bars is None or not len(bars):
            return []
        now = self._clock.now()
        current = schedule.session if schedule else None
        first = datetime.fromtimestamp(int(bars.minute[0]) * 60, tz=NEW_YORK).date()
        today = now.astimezone(NEW_YORK).date()
        sessions = [s for s in self._calendar.sessions(first, today) if s.open <= now]
        views = warm(desk, bars, sessions, current, now, self._max_jump)
        if current is not None and desk.session_open != current.open:
            desk.start_session(current.open)
        elif current is not None:
            desk.reference = desk.reference if desk.reference is not None else desk.last
        if desk.last is not None:
            self._portfolio.mark(desk.symbol, desk.last)
        return views

    def _lead_strategy(self, desk: SymbolDesk, views: Sequence[CandleView]) -> None:
        """Lead the strategy of an open position through the candles that it has seen or missed."""
        position = self._portfolio.positions.get(desk.symbol)
        book = self._manager.books[desk.symbol]
        if position is None:
            return
        for view in views:
            if book.protect_at is None or book.exit_reason is not None:
                return
            holding = Holding(position.qty, position.avg_entry_price, position.entry_time, book.protect_at)
            try:
                decision = self._market.guard(decide_holding, desk.strategy, view, holding)
            except StrategyFailed as error:
                self._market.quarantine(desk, str(error))
                return
            if isinstance(decision, MoveStop):
                self._manager.move_stop(desk.symbol, decision.price)
            elif isinstance(decision, ExitNow):
                self._manager.close(desk.symbol, TradeReason.EXIT)
