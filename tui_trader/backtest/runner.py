"""The backtest's own loop (the seed's decision 8): time, and what happens in it, in the order of DESIGN §9.

The decisions, sizes, refusals and fills are those of the live engine, because they are the same code:
``core.decide``, ``core.risk``, ``core.breaker``, ``core.portfolio``, ``core.fills`` and the strategy. What is
different is how time passes. Candles and indicators exist beforehand, in columns; while nothing is live, time
jumps from one candle that may be a signal to the next; minute bars are looked at only while an entry works or a
position is held. A test holds both loops to the same outcome, event by event.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Context, Decimal, localcontext, setcontext
from itertools import islice
from types import TracebackType
from typing import Final

import numpy as np

from tui_trader.backtest.account import Account
from tui_trader.backtest.candidates import checked_candidates
from tui_trader.backtest.desk import NEVER, Desk
from tui_trader.backtest.market import MarketData, moment_time, time_of
from tui_trader.backtest.result import BacktestResult, EquityCurve, OpenPosition
from tui_trader.core import decide
from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.decide import EnterLong, ExitNow, MoveStop, decide_flat, decide_holding, decide_pending
from tui_trader.core.events import TradeReason
from tui_trader.core.fills import Fill, at_last_close, match
from tui_trader.core.money import ZERO
from tui_trader.core.orders import Role, Side
from tui_trader.core.risk import RiskLimits
from tui_trader.core.rule import Holding
from tui_trader.engine.guard import described
from tui_trader.engine.sessions import SessionRules
from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.strategies.base import Strategy

_PROGRESS_S: Final = 0.1
_FLAT_DIGITS: Final = 6


class StrategyRaised(TuiTraderError):  # noqa: N818 - says whose fault it is
    """A strategy raised, or answered with nonsense; the text names it, the symbol and the candle."""


@dataclass(frozen=True, slots=True)
class BacktestRules:
    """The account and the limits it is traded under; ``cash`` in dollars."""

    risk: RiskLimits
    breaker: BreakerLimits
    session: SessionRules
    cash: Decimal = Decimal(100_000)
    slippage_ticks: int = 1


class BacktestRunner:
    """One strategy instance a symbol over recorded bars; every instance is used for one run only.

    Sessions before ``trade_from`` only warm the indicators. ``jump`` False asks every candle, whatever the
    strategy's ``entry_candidates`` say.
    """

    def __init__(
        self,
        market: MarketData,
        strategies: Sequence[Strategy],
        rules: BacktestRules,
        *,
        trade_from: date | None = None,
        jump: bool = True,
    ) -> None:
        self._market = market
        self._rules = rules
        self._strategies = sorted(strategies, key=lambda strategy: strategy.symbol)
        self._first = market.session_number(trade_from) if trade_from else 0
        if self._first == len(market.sessions):
            raise UsageError(f"the bars hold no session from {trade_from} on")
        self._jump = jump
        self._account = Account(rules.cash, rules.risk, rules.breaker)
        self._live: list[Desk] = []
        self._session = 0
        self._bell = 0  # moments of the session: its close,
        self._cut_off = 0  # the end of entries,
        self._flatten_at = 0  # and of positions
        self._timers: list[int] = []
        self._agenda_times: list[int] = []
        self._agenda_desks: list[Desk] = []
        self._agenda_candles: list[int] = []
        self._at = 0  # the next on the agenda
        self._first_delivery: int | None = None  # minute, while the day's first equity is not known
        self._curve_time = array("q")
        self._curve_value = array("d")
        self._asked: Desk | None = None
        self._context = Context(prec=28)

    def run(self, progress: Callable[[float], None] | None = None) -> BacktestResult:
        """Trade all sessions. ``progress`` is told the share done, from 0 to 1, a few times a second.

        Raises ``StrategyRaised``; nothing else comes out of a strategy.
        """
        begun = time.perf_counter()
        with localcontext(self._context):
            try:
                self._open_desks()
                self._trade_sessions(progress or (lambda share: None))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a strategy does not end the program either
                self._blame_strategy(error)
                raise
            return self._result(time.perf_counter() - begun)

    # ---- before and after ------------------------------------------------------------------------

    def _open_desks(self) -> None:
        market = self._market
        self._desks: list[Desk] = []
        cut_offs = 2 * (market.closes - self._rules.session.no_entries_before_close_min)
        for number, strategy in enumerate(self._strategies):
            candles = market.candles(strategy.symbol, strategy.candle_interval_minutes)
            desk = Desk(number, strategy, market.tapes[strategy.symbol], candles)
            self._asked = desk
            candidates = checked_candidates(strategy, candles, desk.series) if self._jump else None
            desk.plan(candidates, cut_offs)
            self._desks.append(desk)
        self._asked = None

    def _trade_sessions(self, progress: Callable[[float], None]) -> None:
        total = len(self._market.sessions) - self._first
        said = time.perf_counter()
        for number in range(self._first, len(self._market.sessions)):
            self._trade_session(number)
            now = time.perf_counter()
            if now - said >= _PROGRESS_S:
                said = now
                progress((number + 1 - self._first) / total)
        progress(1.0)

    def _blame_strategy(self, error: BaseException) -> None:
        """Raise ``StrategyRaised`` when ``error`` came out of a strategy's own code."""
        if isinstance(error, TuiTraderError) or not _came_from_strategy(error.__traceback__):
            return
        desk = self._asked
        where = ""
        if desk is not None:
            candle = desk.view.start if hasattr(desk.view, "minute") else None
            where = f" on {desk.symbol}" + (f", candle of {candle:%Y-%m-%d %H:%M} UTC" if candle else "")
        name = self._strategies[0].name
        raise StrategyRaised(f"strategy {name} failed{where}: {described(error)}") from error

    def _result(self, elapsed: float) -> BacktestResult:
        account, market, rules = self._account, self._market, self._rules
        sessions = market.sessions[self._first :]
        strategy = self._strategies[0]
        candles = bars = 0
        for desk in self._desks:
            candles += len(desk.candles) - int(desk.candles.bounds[self._first])
            bars += len(desk.tape) - int(desk.tape.bounds[self._first])
        cold = tuple(desk.symbol for desk in self._desks if len(desk.candles) < desk.required)
        return BacktestResult(
            strategy.name,
            strategy.config.model_dump(),
            tuple(desk.symbol for desk in self._desks),
            rules.cash,
            rules.slippage_ticks,
            sessions,
            bars,
            candles,
            account.signals,
            account.orders,
            account.fills,
            account.trades,
            account.trips,
            tuple(self._open_positions()),
            EquityCurve(np.array(self._curve_time), np.array(self._curve_value)),
            account.portfolio.equity(),
            replace(market.notes, cold=cold),
            elapsed,
        )

    def _open_positions(self) -> list[OpenPosition]:
        found = []
        for desk in self._desks:
            position = self._account.portfolio.positions.get(desk.symbol)
            if position is not None and desk.holding is not None:
                unrealized = position.unrealized_pnl(desk.last)
                found.append(
                    OpenPosition(
                        desk.symbol, position.qty, position.entry_time, position.avg_entry_price,
                        desk.holding.stop_price, unrealized,
                    )
                )  # fmt: skip
        return found

    # ---- a session -------------------------------------------------------------------------------

    def _trade_session(self, number: int) -> None:
        opened, closed = int(self._market.opens[number]), int(self._market.closes[number])
        rules = self._rules.session
        self._session = number
        self._bell = 2 * closed
        self._cut_off = 2 * (closed - rules.no_entries_before_close_min)
        self._flatten_at = 2 * (closed - rules.flatten_before_close_min)
        self._timers = [self._cut_off, self._flatten_at, self._bell]
        self._plan_agenda()
        if self._agenda_times or self._live:
            account = self._account
            account.start_session()
            if self._live:
                self._first_delivery = self._first_bar()
                for desk in self._live:
                    desk.join(number, 2 * opened, int(desk.candles.bounds[number]))
            else:
                account.first_delivery()
            self._pass_time()
        self._note_equity(self._bell)

    def _plan_agenda(self) -> None:
        """What the strategies are to be asked about in this session, in order of time, then A–Z."""
        session = self._session
        self._at = 0
        asked = [desk for desk in self._desks if desk.has_agenda(session)]
        if not asked:
            self._agenda_times, self._agenda_desks, self._agenda_candles = [], [], []
            return
        parts = [desk.agenda(session) for desk in asked]
        if len(parts) == 1:
            desk, part = asked[0], parts[0]
            self._agenda_times = desk.candles.closes[part].tolist()
            self._agenda_desks, self._agenda_candles = [desk] * len(part), part.tolist()
            return
        times = np.concatenate([desk.candles.closes[part] for desk, part in zip(asked, parts, strict=True)])
        owners = np.repeat(np.arange(len(asked)), [len(part) for part in parts])
        # Stable, and the parts are A–Z with rising candles, so equal times stay in that order.
        order = np.argsort(times, kind="stable")
        self._agenda_times = times[order].tolist()
        self._agenda_desks = [asked[owner] for owner in owners[order].tolist()]
        self._agenda_candles = np.concatenate(parts)[order].tolist()

    def _first_bar(self) -> int:
        """The minute of the session's first delivery."""
        number, minutes = self._session, []
        for desk in self._desks:
            a, b = int(desk.tape.bounds[number]), int(desk.tape.bounds[number + 1])
            if b > a:
                minutes.append(int(desk.tape.delivered(a, a + 1)[0]))
        return min(minutes, default=NEVER)

    def _pass_time(self) -> None:
        bell = self._bell
        while True:
            if not self._live:
                if self._account.breaker.trip is not None or not self._scan():
                    return
                continue
            if len(self._live) == 1 and self._ride(self._live[0]):
                continue
            moment = self._next_moment()
            self._instant(moment)
            if moment == bell:
                return

    def _next_moment(self) -> int:
        moment = self._timers[0]
        if self._at < len(self._agenda_times):
            moment = min(moment, self._agenda_times[self._at])
        for desk in self._live:
            moment = min(moment, 2 * desk.next_bar, desk.next_close, desk.expiry)
        return moment

    # ---- while nothing is live -------------------------------------------------------------------

    def _scan(self) -> bool:
        """Ask about the agenda's candles, in turn, until an entry works; false when there are no more."""
        if self._desks[0].every_candle:
            return self._scan_one(self._desks[0]) if len(self._desks) == 1 else self._scan_many()
        desks, candles, session = self._agenda_desks, self._agenda_candles, self._session
        for at in range(self._at, len(candles)):
            desk = self._asked = desks[at]
            order = decide_flat(desk.strategy, desk.look_at(session, candles[at]))
            if order is not None and self._signal_on_agenda(at, order):
                return True
        self._at = len(candles)
        return False

    def _scan_many(self) -> bool:
        """``_scan`` when every candle of several symbols is asked about."""
        desks, candles, session = self._agenda_desks, self._agenda_candles, self._session
        for desk in self._desks:
            desk.follower = None
        for at in range(self._at, len(candles)):
            desk = self._asked = desks[at]
            if (follower := desk.follower) is None:
                follower = desk.follower = desk.follow(session, candles[at]).__next__
            order = decide_flat(desk.strategy, follower())
            if order is not None and self._signal_on_agenda(at, order):
                return True
        self._at = len(candles)
        return False

    def _scan_one(self, desk: Desk) -> bool:
        """``_scan`` when every candle of a run's only symbol is asked about: the loop that must be quick."""
        candles, strategy = self._agenda_candles, desk.strategy
        self._asked = desk
        while self._at < len(candles):
            first = candles[self._at]
            order = None
            for view in islice(desk.follow(self._session, first), len(candles) - self._at):
                order = decide_flat(strategy, view)
                if order is not None:
                    break
            if order is None:
                break
            at = self._at + desk.view.count + desk.origin - first
            if self._signal_on_agenda(at, order):
                return True
            self._at = at + 1
        self._at = len(candles)
        return False

    def _signal_on_agenda(self, at: int, order: EnterLong) -> bool:
        """Take the signal of an agenda's candle; whether an entry works now."""
        moment = self._agenda_times[at]
        self._signal(self._agenda_desks[at], self._agenda_candles[at], order, moment)
        if not self._live:
            return False
        self._at = at + 1
        self._rest_of_instant(moment)
        return True

    def _rest_of_instant(self, moment: int) -> None:
        """An entry works since ``moment``: the other symbols' decisions of that very moment follow."""
        times = self._agenda_times
        while self._at < len(times) and times[self._at] == moment:
            desk, candle = self._agenda_desks[self._at], self._agenda_candles[self._at]
            self._at += 1
            if not desk.live:
                self._ask_flat(desk, candle, moment)

    def _ask_flat(self, desk: Desk, candle: int, moment: int) -> None:
        if self._account.breaker.trip is not None or moment >= self._cut_off:
            return
        self._asked = desk
        order = decide_flat(desk.strategy, desk.look_at(self._session, candle))
        if order is not None:
            self._signal(desk, candle, order, moment)

    def _signal(self, desk: Desk, candle: int, order: EnterLong, moment: int) -> None:
        self._own_arithmetic()
        start = time_of(int(desk.candles.start[candle]))
        last = desk.last_close(self._session, candle)
        share = self._rules.risk.max_volume_pct > ZERO
        volume = desk.average_volume(self._session, moment // 2) if share else None
        entry = self._account.review(desk.symbol, order, start, last, volume, moment_time(moment))
        if entry is None:
            return
        was_live = desk in self._live
        desk.arm(entry, moment, candle)
        if not was_live:
            desk.join(self._session, moment, candle + 1)
            self._live.append(desk)
            self._live.sort(key=_number)

    # ---- while something is live -----------------------------------------------------------------

    def _ride(self, desk: Desk) -> bool:
        """Carry a lone, protected position along while nothing but its own candles and closes can matter.

        Whether time has passed; what happens next is for ``_instant`` to say.
        """
        holding = desk.holding
        if holding is None or desk.stop is None or desk.tape.late or self._first_delivery is not None:
            return False
        limit = self._timers[0]
        alone = len(self._desks) == 1
        if not alone and self._at < len(self._agenda_times):
            limit = min(limit, self._agenda_times[self._at])
        account, strategy = self._account, desk.strategy
        lows, closes, delivered = desk.lows, desk.closes, desk.delivered
        closes_at, first = desk.closes_at, desk.first_candle
        stop, qty, cash, floor = desk.stop_level, desk.qty, account.cash, account.loss_floor
        add_time, add_value = self._curve_time.append, self._curve_value.append
        bar, bars, candle, rode = desk.bar, desk.bars, desk.candle, False
        listed = desk.last_candle
        while True:
            known = closes_at[candle - first] if candle < listed else desk.next_close
            until = known if known < limit else limit - 1
            while bar < bars and 2 * delivered[bar] <= until:
                equity = cash + qty * closes[bar]
                if lows[bar] <= stop or equity <= floor:
                    until = NEVER
                    break
                add_time(60 * delivered[bar])
                add_value(equity)
                bar += 1
                rode = True
            if until == NEVER or known >= limit or (bar == bars and desk.bars_left):
                break
            self._asked = desk
            decision = decide_holding(strategy, desk.show(candle), holding)
            candle += 1
            rode = True
            if isinstance(decision, MoveStop):
                holding = self._move_stop(desk, decision.price, known)
                stop = desk.stop_level
            elif decision is not None:
                self._exit(desk, TradeReason.EXIT, known)
                break
            if candle == listed:
                break
        if rode:
            desk.await_candle(self._session, candle)
            if bar != desk.bar:
                desk.see_bars(bar)
            account.portfolio.mark(desk.symbol, desk.last)
            if alone:
                self._skip_agenda(min(2 * desk.next_bar, desk.next_close, limit))
        return rode

    def _skip_agenda(self, before: int) -> None:
        times = self._agenda_times
        while self._at < len(times) and times[self._at] < before:
            self._at += 1

    def _instant(self, moment: int) -> None:
        """Everything that happens at ``moment``: matching, decisions, timers, then the breaker."""
        fills = len(self._account.fills)
        if not moment & 1:
            self._deliver(moment // 2)
        self._decide(moment)
        for desk in self._live:
            if desk.expiry == moment and desk.entry is not None:
                self._cancel_entry(desk, moment)
        while self._timers and self._timers[0] == moment:
            self._timers.pop(0)
            self._timer(moment)
        self._end_instant(moment, traded=len(self._account.fills) > fills)

    def _timer(self, moment: int) -> None:
        if moment == self._bell and not self._timers:
            self._ring_bell(moment)
        elif moment == self._flatten_at and len(self._timers) == 1:
            for desk in self._live:
                if desk.qty and desk.force_close:
                    self._exit(desk, TradeReason.END_OF_DAY, moment)
        else:
            self._cancel_entries(moment)

    def _end_instant(self, moment: int, *, traded: bool) -> None:
        held = [desk for desk in self._live if desk.qty]
        if held or traded:
            account = self._account
            equity = account.cash + sum(desk.qty * desk.last for desk in held)
            if equity <= account.loss_floor:
                self._own_arithmetic()
                if account.check(moment_time(moment)):
                    self._cancel_entries(moment)
            if not moment & 1:
                self._curve_time.append(30 * moment)
                self._curve_value.append(equity)
        if any(not desk.live for desk in self._live):
            self._live = [desk for desk in self._live if desk.live]

    def _note_equity(self, moment: int) -> None:
        """A point at the session's close, unless its last instant made one."""
        if not self._curve_time or self._curve_time[-1] != 30 * moment:
            account = self._account
            equity = account.cash + sum(desk.qty * desk.last for desk in self._live)
            self._curve_time.append(30 * moment)
            self._curve_value.append(equity)

    # ---- bars ------------------------------------------------------------------------------------

    def _deliver(self, minute: int) -> None:
        """Match the bars delivered now: first those that had been withheld, then every symbol's newest."""
        account = self._account
        first = self._first_delivery
        if first is not None and minute > first:
            self._first_delivery = None
            account.first_delivery()
        due = [desk for desk in self._live if desk.next_bar == minute]
        if due:
            withheld = [
                (desk, desk.bar)
                for desk in due
                if desk.bar + 1 < desk.bars and desk.delivered[desk.bar + 1] == minute
            ]
            self._match(withheld, minute)
            newest = [(desk, desk.bar + 1 if (desk, desk.bar) in withheld else desk.bar) for desk in due]
            self._match(newest, minute)
            for desk, bar in newest:
                desk.see_bars(bar + 1)
                account.portfolio.mark(desk.symbol, desk.last)
        if first is not None and minute == first:
            self._first_delivery = None
            account.first_delivery()

    def _match(self, bars: Sequence[tuple[Desk, int]], minute: int) -> None:
        """Fills of these bars A–Z, then what the rest of their paths does to the stops that answered them."""
        ticks = self._rules.slippage_ticks
        fills = [(desk, bar, fill) for desk, bar in bars if (fill := desk.touch(bar, ticks)) is not None]
        if not fills:
            return
        self._own_arithmetic()
        now = time_of(minute)
        for desk, _, _ in fills:
            desk.entry = None  # filled already, should the breaker trip meanwhile
        stopped: list[tuple[Desk, int, Fill]] = []
        for desk, bar, fill in fills:
            if desk.qty:
                self._sold(desk, bar, fill, now)
            elif (stop_fill := self._bought(desk, bar, fill, now)) is not None:
                stopped.append((desk, bar, stop_fill))
        for desk, bar, fill in stopped:
            self._sold(desk, bar, fill, now)

    def _bought(self, desk: Desk, bar: int, fill: Fill, now: datetime) -> Fill | None:
        """Book an entry's fill and protect it; the stop's own fill on the rest of the path, if there is one."""
        working = desk.working
        if working is None:
            raise RuntimeError(f"{desk.symbol}: a fill of no entry")  # a bug of ours
        stamp = time_of(desk.stamps[bar])
        account = self._account
        account.bought(desk.symbol, desk.strategy.name, working, fill.price, stamp)
        stop_price = working.terms.stop_loss
        desk.hold(Holding(working.qty, fill.price, stamp, stop_price), fill.rest, bar)
        account.placed(now, desk.symbol, Role.STOP, working.qty, stop_price)
        if desk.stop is None:
            return None
        return match(desk.stop, fill.rest, self._rules.slippage_ticks, fill.price)

    def _sold(self, desk: Desk, bar: int, fill: Fill, now: datetime) -> None:
        # The path up to the fill was seen, too; at the open that is the open alone.
        if desk.seen_from > bar:  # sold in the bar that bought: what was seen ends with this fill
            seen: Sequence[float] = desk.seen[: max(1, len(desk.seen) - len(fill.rest) + 1)]
        else:
            walked = desk.path(bar)
            seen = [*desk.prices_until(bar), *walked[: max(1, 5 - len(fill.rest))]]
        role = Role.EXIT if desk.exit_reason is not None else Role.STOP
        self._close(desk, role, fill.price, desk.stamps[bar], seen, now)

    def _close(
        self, desk: Desk, role: Role, price: Decimal, stamp: int, seen: Sequence[float], now: datetime
    ) -> None:
        reason = desk.exit_reason or TradeReason.STOP
        tripped = self._account.sold(desk.symbol, role, price, time_of(stamp), reason, seen, now)
        desk.flat(stamp)
        self._asked = desk
        desk.strategy.on_position_closed()
        self._own_arithmetic()
        if tripped:
            self._cancel_entries(2 * (int(now.timestamp()) // 60))

    # ---- candles ---------------------------------------------------------------------------------

    def _decide(self, moment: int) -> None:
        """The decisions of this moment: live symbols' candles and the agenda's, A–Z."""
        todo = []
        for desk in self._live:
            while desk.next_close == moment:
                todo.append((desk.number, desk.candle, desk))
                desk.await_candle(self._session, desk.candle + 1)
        live = set(map(_number, self._live)) if todo or self._at < len(self._agenda_times) else set()
        times = self._agenda_times
        while self._at < len(times) and times[self._at] <= moment:
            desk, candle = self._agenda_desks[self._at], self._agenda_candles[self._at]
            if times[self._at] == moment and desk.number not in live:
                todo.append((desk.number, candle, desk))
            self._at += 1
        if len(todo) > 1:
            todo.sort(key=_place)
        for _, candle, desk in todo:
            if desk.number in live:
                self._candle_of_live(desk, candle, moment)
            elif not desk.live:
                self._ask_flat(desk, candle, moment)
            else:
                # Two candles at one moment: the first armed the symbol, this is the next of its candles.
                desk.await_candle(self._session, candle + 1)
                self._candle_of_live(desk, candle, moment)

    def _candle_of_live(self, desk: Desk, candle: int, moment: int) -> None:
        holding = desk.holding
        if holding is not None:
            if desk.exit_reason is None:
                self._asked = desk
                self._manage(desk, candle, holding, moment)
        elif desk.entry is not None:
            desk.waited += 1
            self._asked = desk
            if decide_pending(desk.strategy, desk.show(candle), desk.waited) is not None:
                self._cancel_entry(desk, moment)
        elif desk.may_signal(candle):
            self._ask_flat(desk, candle, moment)

    def _manage(self, desk: Desk, candle: int, holding: Holding, moment: int) -> None:
        decision = decide_holding(desk.strategy, desk.show(candle), holding)
        if isinstance(decision, MoveStop):
            self._move_stop(desk, decision.price, moment)
        elif isinstance(decision, ExitNow):
            self._exit(desk, TradeReason.EXIT, moment)

    def _move_stop(self, desk: Desk, price: Decimal, moment: int) -> Holding:
        self._own_arithmetic()
        holding = desk.holding
        if holding is None:
            raise RuntimeError(f"{desk.symbol}: a stop of no position")  # a bug of ours
        self._account.moved(moment_time(moment), desk.symbol, desk.qty, price)
        desk.protect(price)
        holding = Holding(holding.qty, holding.avg_entry_price, holding.entry_time, price)
        desk.holding = holding
        return holding

    # ---- orders ----------------------------------------------------------------------------------

    def _exit(self, desk: Desk, reason: TradeReason, moment: int) -> None:
        """The stop off, and a sale at market on; while one works, the first reason stays."""
        if desk.exit_reason is not None or desk.holding is None:
            return
        self._own_arithmetic()
        now, account = moment_time(moment), self._account
        account.cancelled(now, desk.symbol, Role.STOP, desk.qty, desk.holding.stop_price)
        account.placed(now, desk.symbol, Role.EXIT, desk.qty)
        desk.leave(reason, moment)

    def _cancel_entries(self, moment: int) -> None:
        for desk in self._live:
            self._cancel_entry(desk, moment)

    def _cancel_entry(self, desk: Desk, moment: int) -> None:
        working = desk.working
        if working is not None and desk.entry is not None:
            terms = working.terms
            self._account.cancelled(
                moment_time(moment), desk.symbol, Role.ENTRY, working.qty, terms.entry, terms.limit
            )
            del self._account.entries[desk.symbol]
            desk.disarm()

    # ---- the close -------------------------------------------------------------------------------

    def _ring_bell(self, moment: int) -> None:
        """Sales that met no bar get the session's last close; then the candles that waited are decided."""
        now = moment_time(moment)
        for desk in self._live:
            if desk.exit_reason is None:
                continue
            last = desk.last_bar(self._session)
            if last is not None:
                price = at_last_close(last[1], Side.SELL, self._rules.slippage_ticks)
                self._close(desk, Role.EXIT, price, last[0], desk.prices_until(desk.bars), now)
            else:
                # A day order ends with its day; the sale is tried again at the next open.
                self._account.cancelled(now, desk.symbol, Role.EXIT, desk.qty)
                self._account.placed(now, desk.symbol, Role.EXIT, desk.qty)
                desk.exit_placed = moment
        for desk in self._live:
            candle = desk.bell_candle(self._session)
            if candle is not None:
                desk.await_candle(self._session, candle + 1)
                self._candle_of_live(desk, candle, moment)
            desk.end_session()

    # ---- strategies are guests -------------------------------------------------------------------

    def _own_arithmetic(self) -> None:
        """A strategy may have changed the precision of ``Decimal``: not for our sums."""
        setcontext(self._context.copy())


def _number(desk: Desk) -> int:
    return desk.number


def _place(item: tuple[int, int, Desk]) -> tuple[int, int]:
    return item[0], item[1]


def _came_from_strategy(trace: TracebackType | None) -> bool:
    """Whether an exception passed through a question to a strategy."""
    asks = {decide.__file__, checked_candidates.__code__.co_filename}
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in asks or code.co_name == "on_position_closed":
            return True
        trace = trace.tb_next
    return False


__all__ = ["BacktestRules", "BacktestRunner", "StrategyRaised"]
