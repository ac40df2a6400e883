"""The backtest's own loop (the seed's decision 8): time, and what happens in it, in the order of DESIGN §9.

The decisions, sizes, refusals and fills are those of the live engine, because they are the same code:
``core.decide``, ``core.risk``, ``core.breaker``, ``core.portfolio``, ``core.fills`` and the strategy. What
is different is how time passes. Candles and indicators exist beforehand, in columns; while nothing is live,
time jumps from one candle that may be a signal to the next (here); minute bars are looked at only while an
entry works or a position is held (``floor``). A test holds both loops to the same outcome, event by event.
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from tui_trader.backtest.account import Account
from tui_trader.backtest.agenda import Agenda
from tui_trader.backtest.candidates import checked_candidates
from tui_trader.backtest.candles import Candles
from tui_trader.backtest.desk import NEVER, ArrayView, Desk
from tui_trader.backtest.floor import (
    CONTEXT,
    ArithmeticChanged,
    Floor,
    Hours,
    arithmetic_changed,
    own_arithmetic,
    tell_closed,
)
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.result import BacktestResult, EquityCurve, OpenPosition
from tui_trader.backtest.tape import Tape, time_of
from tui_trader.core import decide
from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.decide import EnterLong, decide_flat
from tui_trader.core.money import ZERO
from tui_trader.core.risk import RiskLimits
from tui_trader.core.rule import CandleView
from tui_trader.engine.guard import described
from tui_trader.engine.sessions import SessionRules
from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.strategies.base import Strategy

_PROGRESS_S: Final = 0.1
_GC_THRESHOLD: Final = 50_000


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

    def as_settings(self) -> dict[str, dict[str, object]]:
        """The limits by their names in the configuration."""
        breaker = self.breaker
        return {
            "risk": {
                **asdict(self.risk),
                "max_daily_loss_pct": breaker.max_daily_loss_pct,
                "consecutive_loss_pause": breaker.consecutive_losses,
                "consecutive_loss_min_r": breaker.min_r,
            },
            "session": asdict(self.session),
        }


class BacktestRunner:
    """One strategy instance a symbol over recorded bars; every instance is used for one run only.

    Sessions before ``trade_from`` only warm the indicators. ``jump`` False asks every candle, whatever the
    strategy's ``entry_candidates`` say. Raises ``UsageError`` when nothing is left to trade.
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
        if not self._strategies:
            raise UsageError("there is no symbol to trade")
        self._name = self._strategies[0].name
        self._symbols = [(strategy, strategy.symbol) for strategy in self._strategies]
        self._first = market.session_number(trade_from) if trade_from else 0
        if self._first == len(market.sessions):
            raise UsageError(f"the bars hold no session from {trade_from} on")
        self._jump = jump
        self._account = Account(rules.cash, rules.risk, rules.breaker)
        self._desks: list[Desk] = []
        self._agenda = Agenda(self._desks)
        self._floor = Floor(
            self._account, self._agenda, rules.slippage_ticks,
            share_volume=rules.risk.max_volume_pct > ZERO, alone=len(self._strategies) == 1,
        )  # fmt: skip

    def run(self, progress: Callable[[float], None] | None = None) -> BacktestResult:
        """Trade all sessions. ``progress`` is told the share done, from 0 to 1, a few times a second.

        Raises ``StrategyRaised``; nothing else comes out of a strategy.
        """
        begun = time.perf_counter()
        with localcontext(CONTEXT), _seldom_collecting():
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
        cut_offs = 2 * (market.closes - self._rules.session.no_entries_before_close_min)
        for number, strategy in enumerate(self._strategies):
            candles = market.candles(strategy.symbol, strategy.candle_interval_minutes)
            desk = open_desk(number, strategy, market.tapes[strategy.symbol], candles)
            candidates = checked_candidates(strategy, candles, desk.series) if self._jump else None
            desk.plan(candidates, cut_offs)
            self._desks.append(desk)

    def _trade_sessions(self, progress: Callable[[float], None]) -> None:
        count = len(self._market.sessions)
        opens, closes = self._market.opens.tolist(), self._market.closes.tolist()
        busy = self._agenda.busy(count)
        said = time.perf_counter()
        for number in range(self._first, count):
            if busy[number] or self._floor.live:
                self._trade_session(number, opens[number], closes[number])
            self._floor.note_equity(2 * closes[number])
            now = time.perf_counter()
            if now - said >= _PROGRESS_S:
                said = now
                progress((number + 1 - self._first) / (count - self._first))
        own_arithmetic(thoroughly=True)
        progress(1.0)

    def _blame_strategy(self, error: BaseException) -> None:
        """Raise ``StrategyRaised`` when ``error`` came out of a strategy's own code, or of what it did."""
        if isinstance(error, ArithmeticChanged) or arithmetic_changed():
            raise StrategyRaised(
                f"strategy {self._name} changes the precision, rounding or traps of Decimal "
                f"for everyone: do that within decimal.localcontext()"
            ) from None
        culprit = _culprit(error.__traceback__)
        if culprit is None or isinstance(error, TuiTraderError):
            return
        strategy, view = culprit
        # What the strategy can have changed is not asked: its symbol, its name, the view.
        symbol = next((own for mine, own in self._symbols if mine is strategy), "?")
        candle = ""
        if isinstance(view, ArrayView) and isinstance(view.minute, int):
            candle = f", candle of {time_of(view.minute):%Y-%m-%d %H:%M} UTC"
        where = f"strategy {self._name} failed on {symbol}{candle}"
        raise StrategyRaised(f"{where}: {described(error)}{_line_of(error, strategy)}") from error

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
            EquityCurve(np.array(self._floor.curve_time), np.array(self._floor.curve_value)),
            account.portfolio.equity(),
            replace(market.notes, cold=cold),
            elapsed,
            rules.as_settings(),
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

    def _trade_session(self, number: int, opened: int, closed: int) -> None:
        """Session ``number``, from minute ``opened`` to minute ``closed``."""
        rules, floor = self._rules.session, self._floor
        self._agenda.plan(number)
        hours = Hours(
            number, 2 * (closed - rules.no_entries_before_close_min),
            2 * (closed - rules.flatten_before_close_min), 2 * closed,
        )  # fmt: skip
        floor.open(hours, opened, self._first_bar(number) if floor.live else NEVER)
        while floor.pass_time() and self._account.breaker.trip is None and self._scan(number):
            pass

    def _first_bar(self, session: int) -> int:
        """The minute of the session's first delivery."""
        minutes = []
        for desk in self._desks:
            a, b = int(desk.tape.bounds[session]), int(desk.tape.bounds[session + 1])
            if b > a:
                minutes.append(int(desk.tape.delivered(a, a + 1)[0]))
        return min(minutes, default=NEVER)

    # ---- while nothing is live -------------------------------------------------------------------

    def _scan(self, session: int) -> bool:
        """Ask about the agenda's candles, in turn, until an entry works; false when there are no more."""
        if not self._desks[0].every_candle:
            return self._scan_candidates()
        return self._scan_one(session) if len(self._desks) == 1 else self._scan_many(session)

    def _scan_candidates(self) -> bool:
        agenda = self._agenda
        desks, candles = agenda.desks, agenda.candles
        for at in range(agenda.at, len(candles)):
            desk = desks[at]
            order = decide_flat(desk.strategy, desk.show(candles[at]))
            if order is not None and self._signal(at, order):
                return True
        agenda.at = len(candles)
        return False

    def _scan_many(self, session: int) -> bool:
        """``_scan`` when every candle of several symbols is asked about."""
        agenda = self._agenda
        desks, candles = agenda.desks, agenda.candles
        for desk in self._desks:
            desk.follower = None
        for at in range(agenda.at, len(candles)):
            desk = desks[at]
            if (follower := desk.follower) is None:
                follower = desk.follower = desk.follow(session, candles[at]).__next__
            order = decide_flat(desk.strategy, follower())
            if order is not None and self._signal(at, order):
                return True
        agenda.at = len(candles)
        return False

    def _scan_one(self, session: int) -> bool:
        """``_scan`` when every candle of a run's only symbol is asked about: the loop that must be quick."""
        agenda, desk = self._agenda, self._desks[0]
        candles, strategy = agenda.candles, desk.strategy
        while agenda.at < len(candles):
            first = candles[agenda.at]
            order = None
            views = zip(range(agenda.at, len(candles)), desk.follow(session, first), strict=False)
            for at, view in views:  # noqa: B007 - where the loop ended matters
                order = decide_flat(strategy, view)
                if order is not None:
                    break
            if order is None:
                break
            if self._signal(at, order):
                return True
            agenda.at = at + 1
        agenda.at = len(candles)
        return False

    def _signal(self, at: int, order: EnterLong) -> bool:
        """Take the signal of an agenda's candle; whether an entry works now."""
        agenda, floor = self._agenda, self._floor
        moment = agenda.times[at]
        floor.signal(agenda.desks[at], agenda.candles[at], order, moment)
        if not floor.live:
            return False
        agenda.at = at + 1
        floor.decide(moment)  # what else is known at that very moment
        return True


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """What a run makes it keeps, and no cycles are among it: the collector need not look so often."""
    before = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def open_desk(number: int, strategy: Strategy, tape: Tape, candles: Candles) -> Desk:
    """The desk of ``strategy``, which is asked what it needs."""
    return Desk(number, strategy, tape, candles)


def _line_of(error: BaseException, strategy: Strategy) -> str:
    """Where in the strategy's own file it was, if it was there."""
    file = getattr(sys.modules.get(type(strategy).__module__), "__file__", None)
    at = 0
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            at = line
    return f" ({Path(file).name} line {at})" if file and at else ""


def _culprit(trace: TracebackType | None) -> tuple[Strategy, CandleView | None] | None:
    """The strategy that an exception came out of, and the candle that it was asked about."""
    while trace is not None:
        code, names = trace.tb_frame.f_code, trace.tb_frame.f_locals
        if code.co_filename == decide.__file__:
            return names["rule"], names["view"]
        if code is checked_candidates.__code__:
            return names["strategy"], None
        if code is open_desk.__code__:
            return names["strategy"], None
        if code is tell_closed.__code__:
            return names["strategy"], None
        trace = trace.tb_next
    return None
