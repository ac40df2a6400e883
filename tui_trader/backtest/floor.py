"""The trading floor: what happens while an entry works or a position is held, instant by instant (DESIGN §9).

Matching comes first, then the decisions A–Z, then what the clock says, then the breaker.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import datetime
from decimal import Context, Decimal, getcontext
from typing import Final, NamedTuple

from tui_trader.backtest.account import Account
from tui_trader.backtest.agenda import Agenda
from tui_trader.backtest.desk import Desk, sell_stop
from tui_trader.backtest.tape import moment_time, time_of
from tui_trader.core.decide import (
    EnterLong,
    ExitNow,
    MoveStop,
    decide_flat,
    decide_held,
    decide_holding,
    decide_pending,
)
from tui_trader.core.events import TradeReason
from tui_trader.core.fills import Fill, at_last_close, match
from tui_trader.core.orders import Role, Side
from tui_trader.core.rule import Holding
from tui_trader.strategies.base import Strategy

#: What our own sums are done in, whatever a strategy does to the context it is called in.
CONTEXT: Final = Context(prec=28)
_PATH: Final = 4  # prices of a bar


class ArithmeticChanged(Exception):  # noqa: N818 - says what happened
    """A strategy left ``Decimal`` with another precision, rounding or other traps than it found."""


def own_arithmetic(*, thoroughly: bool = False) -> None:
    """Make sure that our sums are done in ``CONTEXT``. Raises ``ArithmeticChanged`` when they would not be.

    Live, every call of a strategy has a context of its own; for a backtest that would cost too much.
    """
    now = getcontext()
    if now.prec != CONTEXT.prec or now.rounding != CONTEXT.rounding or (thoroughly and arithmetic_changed()):
        raise ArithmeticChanged


def arithmetic_changed() -> bool:
    """Whether the present context is not as ``CONTEXT``."""
    now = getcontext()
    mine, theirs = (
        (context.prec, context.rounding, context.traps, context.Emin, context.Emax, context.clamp)
        for context in (CONTEXT, now)
    )
    return mine != theirs


def tell_closed(strategy: Strategy) -> None:
    """``strategy``'s position is gone."""
    strategy.on_position_closed()


class Hours(NamedTuple):
    """A session's number, and its moments: the end of entries, the end of positions, the close."""

    number: int
    cut_off: int
    flatten_at: int
    bell: int


class Floor:
    """The live symbols, their orders, and the equity curve."""

    def __init__(
        self, account: Account, agenda: Agenda, ticks: int, *, share_volume: bool, alone: bool
    ) -> None:
        self._account = account
        self._agenda = agenda
        self._ticks = ticks
        self._share_volume = share_volume  # whether sizes depend on the volume traded
        self._alone = alone  # whether the run has one symbol only
        self._hours = Hours(0, 0, 0, 0)
        self._timers: list[int] = []
        self._first_bar: int | None = None  # its minute, while the day's first equity is not known
        self.live: list[Desk] = []  # A–Z
        self.curve_time = array("q")
        self.curve_value = array("d")

    # ---- sessions --------------------------------------------------------------------------------

    def open(self, hours: Hours, opened: int, first_bar: int) -> None:
        """The session opens at minute ``opened``; its first delivery will be at minute ``first_bar``."""
        self._hours = hours
        self._timers = [hours.cut_off, hours.flatten_at, hours.bell]
        self._account.start_session()
        if not self.live:
            self._account.first_delivery()
            return
        self._first_bar = first_bar
        for desk in self.live:
            desk.join(hours.number, 2 * opened, int(desk.candles.bounds[hours.number]))

    def pass_time(self) -> bool:
        """Go on until nothing is live; false when the session has ended before."""
        while self.live:
            if len(self.live) == 1:
                desk = self.live[0]
                if self._wait(desk) if desk.entry is not None else self._ride(desk):
                    continue
            moment = min(self._timers[0], self._agenda.next_time)
            for desk in self.live:
                moment = min(moment, desk.next_bar, desk.next_close, desk.expiry)
            self._instant(moment)
            if moment == self._hours.bell:
                return False
        return True

    def note_equity(self, moment: int) -> None:
        """A point at the session's close, unless its last instant made one."""
        if not self.curve_time or self.curve_time[-1] != 30 * moment:
            self._add_point(moment, self._equity())

    def _equity(self) -> float:
        cash, live = self._account.cash, self.live
        if len(live) == 1:
            return cash + live[0].qty * live[0].last
        return cash + sum(desk.qty * desk.last for desk in live) if live else cash

    def _add_point(self, moment: int, equity: float) -> None:
        self.curve_time.append(30 * moment)
        self.curve_value.append(equity)

    # ---- signals ---------------------------------------------------------------------------------

    def entries_allowed(self, moment: int) -> bool:
        return self._account.breaker.trip is None and moment < self._hours.cut_off

    def signal(self, desk: Desk, candle: int, order: EnterLong, moment: int) -> None:
        """A strategy wants to enter: the risk rules have the word, then the entry works."""
        own_arithmetic()
        session = self._hours.number
        entry = self._account.review(
            desk.symbol,
            order,
            time_of(int(desk.candles.start[candle])),
            desk.last_close(session, candle),
            desk.average_volume(session, moment // 2) if self._share_volume else None,
            moment_time(moment),
        )
        if entry is None:
            return
        desk.arm(entry, moment, candle)
        if desk not in self.live:
            desk.join(session, moment, candle + 1)
            self.live.append(desk)
            self.live.sort(key=_number)

    def _ask_flat(self, desk: Desk, candle: int, moment: int) -> None:
        if self.entries_allowed(moment):
            order = decide_flat(desk.strategy, desk.show(candle))
            if order is not None:
                self.signal(desk, candle, order, moment)

    # ---- one symbol alone ------------------------------------------------------------------------

    def _wait(self, desk: Desk) -> bool:
        """Carry a lone entry along to where its stop price is touched, a candle is known or its time is up.

        Whether time has passed; what happens next is for ``_instant`` to say. So does ``_ride``.
        """
        entry = desk.entry
        if (
            entry is None
            or entry.stop is None
            or entry.triggered
            or desk.tape.late
            or self._first_bar is not None
        ):
            return False
        limit = min(self._limit(), desk.expiry)
        highs, delivered, level = desk.highs, desk.delivered, float(entry.stop)
        begin = bar = desk.bar
        while True:
            known = desk.next_close
            until = known if known < limit else limit - 1
            while bar < desk.bars and delivered[bar] <= until and highs[bar] < level:
                bar += 1
            if (bar < desk.bars and delivered[bar] <= until) or known >= limit:
                break
            # The candle is known, and nothing was filled before.
            candle = desk.candle
            desk.waited += 1
            over = decide_pending(desk.strategy, desk.show(candle), desk.waited) is not None
            desk.await_candle(self._hours.number, candle + 1)
            if over:
                self._cancel_entry(desk, known)
                self.live.clear()
                if self._alone:
                    self._agenda.skip(known + 1)
                return True
            begin = -1
        if bar != desk.bar:
            desk.see_bars(bar)
        if self._alone:
            self._agenda.skip(min(desk.next_bar, desk.next_close, limit))
        return bar != begin

    def _ride(self, desk: Desk) -> bool:
        """Carry a lone, protected position along while nothing but candles and closes can matter."""
        holding = desk.holding
        if holding is None or desk.stop is None or desk.tape.late or self._first_bar is not None:
            return False
        account, agenda, alone, timer = self._account, self._agenda, self._alone, self._timers[0]
        lows, closes, delivered, strategy = desk.lows, desk.closes, desk.delivered, desk.strategy
        show, await_candle = desk.show, desk.await_candle
        stop, qty, cash = desk.stop_level, desk.qty, account.cash
        alarm = (account.loss_floor - cash) / qty  # a close that may be the breaker's affair
        first = bar = desk.bar
        bars, session, rode, counts = desk.bars, self._hours.number, False, False
        while True:
            known = desk.next_close if alone else min(desk.next_close, agenda.next_time)
            until = known if known < timer else timer - 1
            while bar < bars and delivered[bar] <= until and lows[bar] > stop and closes[bar] > alarm:
                bar += 1
            if (bar < bars and delivered[bar] <= until) or known >= timer:
                break  # a bar that matters, or the clock
            rode = True
            if not alone:
                if bar != desk.bar:
                    desk.see_bars(bar)
                    account.portfolio.mark(desk.symbol, desk.last)
                self.decide(known)
                if desk.stop is None or len(self.live) > 1:
                    break
                stop = desk.stop_level
                continue
            candle = desk.candle
            view = show(candle)
            counts = counts or view.ends_after(holding.entry_time)
            decision = decide_held(strategy, view, holding) if counts else None
            await_candle(session, candle + 1)
            if decision is None:
                continue
            if isinstance(decision, MoveStop):
                holding = self._move_stop(desk, decision.price, known)
                stop = desk.stop_level
            else:
                self._exit(desk, TradeReason.EXIT, known)
                break
        if bar > first:
            rode = True
            self.curve_time.extend([30 * moment for moment in delivered[first:bar]])
            self.curve_value.extend([cash + qty * close for close in closes[first:bar]])
            desk.see_bars(bar)
            account.portfolio.mark(desk.symbol, desk.last)
        if rode and alone:
            agenda.skip(min(desk.next_bar, desk.next_close, timer))
        return rode

    def _limit(self) -> int:
        """The next moment at which more than one symbol's own affairs happen."""
        return self._timers[0] if self._alone else min(self._timers[0], self._agenda.next_time)

    # ---- an instant ------------------------------------------------------------------------------

    def _instant(self, moment: int) -> None:
        fills = len(self._account.fills)
        marked = not moment & 1 and self._deliver(moment)
        self.decide(moment)
        for desk in self.live:
            if desk.expiry == moment:
                self._cancel_entry(desk, moment)
        while self._timers and self._timers[0] == moment:
            self._timers.pop(0)
            self._timer(moment)
        self._end_instant(moment, changed=marked or len(self._account.fills) > fills)

    def _timer(self, moment: int) -> None:
        match len(self._timers):
            case 2:
                self._cancel_entries(moment)
            case 1:
                for desk in self.live:
                    if desk.qty and desk.force_close:
                        self._exit(desk, TradeReason.END_OF_DAY, moment)
            case _:
                self._ring_bell(moment)

    def _end_instant(self, moment: int, *, changed: bool) -> None:
        live = self.live
        if changed:
            equity = self._equity()
            if equity <= self._account.loss_floor:
                own_arithmetic()
                if self._account.check(moment_time(moment)):
                    self._cancel_entries(moment)
            self._add_point(moment, equity)
        if len(live) == 1:
            if not live[0].live:
                self.live = []
        elif not all(desk.live for desk in live):
            self.live = [desk for desk in live if desk.live]

    # ---- bars ------------------------------------------------------------------------------------

    def _deliver(self, moment: int) -> bool:
        """Match the bars delivered now: first those that had been withheld, then every symbol's newest.

        Whether a position has a new price.
        """
        account, first = self._account, self._first_bar
        if first is not None and moment > 2 * first:
            self._first_bar = first = None
            account.first_delivery()
        due = [desk for desk in self.live if desk.next_bar == moment]
        if due:
            newest = []
            withheld = []
            for desk in due:
                bar = desk.bar
                if bar + 1 < desk.bars and desk.delivered[bar + 1] == moment:
                    withheld.append((desk, bar))
                    bar += 1
                newest.append((desk, bar))
            if withheld:
                self._match(withheld, moment)
            self._match(newest, moment)
            for desk, bar in newest:
                desk.see_bars(bar + 1)
                account.portfolio.mark(desk.symbol, desk.last)
        if first is not None and moment == 2 * first:
            self._first_bar = None
            account.first_delivery()
        return any(desk.qty for desk in due)

    def _match(self, bars: Sequence[tuple[Desk, int]], moment: int) -> None:
        """Fills of these bars A–Z, then what the rest of their paths does to the stops that answered them."""
        ticks = self._ticks
        fills = [(desk, bar, fill) for desk, bar in bars if (fill := desk.touch(bar, ticks)) is not None]
        if not fills:
            return
        own_arithmetic()
        now = moment_time(moment)
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
        """Book an entry's fill and protect it; the stop's own fill on the rest of the path, if any."""
        working = desk.working
        if working is None:
            raise RuntimeError(f"{desk.symbol}: a fill of no entry")  # a bug of ours
        stamp = time_of(desk.stamps[bar])
        self._account.bought(desk.symbol, desk.strategy.name, working, fill.price, stamp)
        stop_price = working.terms.stop_loss
        desk.hold(Holding(working.qty, fill.price, stamp, stop_price), fill.rest, bar)
        self._account.placed(now, desk.symbol, Role.STOP, working.qty, stop_price)
        return match(sell_stop(stop_price), fill.rest, self._ticks, fill.price)

    def _sold(self, desk: Desk, bar: int, fill: Fill, now: datetime) -> None:
        # What was seen of the bar ends with this fill; its first price was seen in any case.
        if desk.seen_from > bar:  # the bar that bought sells, too
            seen: Sequence[float] = desk.seen[: max(1, len(desk.seen) - len(fill.rest) + 1)]
        else:
            walked = desk.path(bar)[: max(1, _PATH - len(fill.rest) + 1)]
            seen = [*desk.prices_until(bar), *walked]
        role = Role.EXIT if desk.exit_reason is not None else Role.STOP
        self._close(desk, role, fill.price, desk.stamps[bar], seen, now)

    def _close(
        self, desk: Desk, role: Role, price: Decimal, stamp: int, seen: Sequence[float], now: datetime
    ) -> None:
        reason = desk.exit_reason or TradeReason.STOP
        tripped = self._account.sold(desk.symbol, role, price, time_of(stamp), reason, seen, now)
        desk.flat(stamp)
        tell_closed(desk.strategy)
        own_arithmetic()
        if tripped:
            self._cancel_entries(2 * (int(now.timestamp()) // 60))

    # ---- candles ---------------------------------------------------------------------------------

    def decide(self, moment: int) -> None:
        """The decisions of this moment: live symbols' candles and the agenda's, A–Z."""
        if self._alone:
            self._decide_alone(moment)
            return
        live = self.live
        todo: list[tuple[int, int, Desk]] = []
        for desk in live:
            while desk.next_close == moment:
                todo.append((desk.number, desk.candle, desk))
                desk.await_candle(self._hours.number, desk.candle + 1)
        before = set(map(_number, live))
        todo += [
            (desk.number, candle, desk)
            for desk, candle in self._agenda.take(moment)
            if desk.number not in before
        ]
        todo.sort()  # no two have the same number and candle, so desks are never compared
        asked: dict[int, int] = {}  # the next candle of symbols that were armed at this moment
        for number, candle, desk in todo:
            if number in before:
                self._candle_of_live(desk, candle, moment)
            elif candle >= asked.get(number, 0):
                self._ask_flat(desk, candle, moment)
                if desk.live:
                    self._follow_up(desk, moment)
                    asked[number] = desk.candle

    def _decide_alone(self, moment: int) -> None:
        """``decide`` of a run with one symbol."""
        if self.live:
            self._agenda.skip(moment + 1)
            self._follow_up(self.live[0], moment)
            return
        asked = 0
        for desk, candle in self._agenda.take(moment):
            if candle >= asked:
                self._ask_flat(desk, candle, moment)
                if desk.live:
                    self._follow_up(desk, moment)
                    asked = desk.candle

    def _follow_up(self, desk: Desk, moment: int) -> None:
        """The candles of a live ``desk`` that are known at this moment; there can be two."""
        while desk.next_close == moment:
            candle = desk.candle
            desk.await_candle(self._hours.number, candle + 1)
            self._candle_of_live(desk, candle, moment)

    def _candle_of_live(self, desk: Desk, candle: int, moment: int) -> None:
        holding = desk.holding
        if holding is not None:
            if desk.exit_reason is None:
                decision = decide_holding(desk.strategy, desk.show(candle), holding)
                if isinstance(decision, MoveStop):
                    self._move_stop(desk, decision.price, moment)
                elif isinstance(decision, ExitNow):
                    self._exit(desk, TradeReason.EXIT, moment)
        elif desk.entry is not None:
            desk.waited += 1
            if decide_pending(desk.strategy, desk.show(candle), desk.waited) is not None:
                self._cancel_entry(desk, moment)
        elif desk.may_signal(candle):
            self._ask_flat(desk, candle, moment)

    # ---- orders ----------------------------------------------------------------------------------

    def _move_stop(self, desk: Desk, price: Decimal, moment: int) -> Holding:
        holding = desk.holding
        if holding is None:
            raise RuntimeError(f"{desk.symbol}: a stop of no position")  # a bug of ours
        self._account.moved(moment_time(moment), desk.symbol, desk.qty, price)
        desk.protect(price)
        desk.holding = moved = Holding(holding.qty, holding.avg_entry_price, holding.entry_time, price)
        return moved

    def _exit(self, desk: Desk, reason: TradeReason, moment: int) -> None:
        """The stop off, and a sale at market on; while one works, the first reason stays."""
        if desk.exit_reason is not None or desk.holding is None:
            return
        own_arithmetic()
        now, account = moment_time(moment), self._account
        account.cancelled(now, desk.symbol, Role.STOP, desk.qty, desk.holding.stop_price)
        account.placed(now, desk.symbol, Role.EXIT, desk.qty)
        desk.leave(reason, moment)

    def _cancel_entries(self, moment: int) -> None:
        for desk in self.live:
            self._cancel_entry(desk, moment)

    def _cancel_entry(self, desk: Desk, moment: int) -> None:
        working = desk.working
        if working is not None and desk.entry is not None:
            now, terms = moment_time(moment), working.terms
            self._account.cancelled(now, desk.symbol, Role.ENTRY, working.qty, terms.entry, terms.limit)
            del self._account.entries[desk.symbol]
            desk.disarm()

    # ---- the close -------------------------------------------------------------------------------

    def _ring_bell(self, moment: int) -> None:
        """Sales that met no bar get the session's last close; then the candles that waited are decided."""
        session, now = self._hours.number, moment_time(moment)
        for desk in self.live:
            if desk.exit_reason is None:
                continue
            last = desk.last_bar(session)
            if last is not None:
                price = at_last_close(last[1], Side.SELL, self._ticks)
                self._close(desk, Role.EXIT, price, last[0], desk.prices_until(desk.bars), now)
            else:
                # A day order ends with its day; the sale is tried again at the next open.
                self._account.cancelled(now, desk.symbol, Role.EXIT, desk.qty)
                self._account.placed(now, desk.symbol, Role.EXIT, desk.qty)
                desk.exit_placed = moment
        for desk in self.live:
            candle = desk.bell_candle(session)
            if candle is not None:
                desk.await_candle(session, candle + 1)
                self._candle_of_live(desk, candle, moment)
            desk.end_session()


def _number(desk: Desk) -> int:
    return desk.number
