"""One symbol at the backtest's desk: its columns, its strategy and what is live of it.

A symbol is *live* while an entry works or a position is held; only then are its minute bars looked at. Times
are minutes since 1970 and moments of half a minute (see ``market``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count as counting
from itertools import islice, repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.account import WorkingEntry
from tui_trader.backtest.market import GRACE, Candles, Column, Tape, time_of
from tui_trader.core.events import TradeReason
from tui_trader.core.fills import Fill, Path, WorkingOrder, match, path
from tui_trader.core.indicators import Floats
from tui_trader.core.orders import OrderType, Side
from tui_trader.core.rule import CandleView, Holding
from tui_trader.strategies.base import Strategy

#: Later than any moment.
NEVER: Final = 2**31 - 1
_VOLUME_BARS: Final = 20
#: Candles and bars that become lists at first: most signals come to nothing, or to a short trade.
_STRETCH: Final = 24
_STRETCH_BARS: Final = 48
_PRICES: Final[tuple[Column, ...]] = ("open", "high", "low", "close")

#: Open, high, low, close, volume and start (minute) of candles.
CandleLists = tuple[list[float], list[float], list[float], list[float], list[int], list[int]]


class ArrayView(CandleView):
    """A ``CandleView`` filled from columns; its times are made only when they are asked for."""

    __slots__ = ("length", "minute")

    minute: int  # start of the candle
    length: int  # minutes

    def __getattr__(self, name: str) -> datetime:
        # Only slots that were never filled come here.
        if name == "start":
            return time_of(self.minute)
        if name == "end":
            return time_of(self.minute + self.length)
        raise AttributeError(name)


class Desk:
    """Columns become lists a session at a time, and only in sessions in which they are needed."""

    __slots__ = (
        "_asked",
        "_asked_bounds",
        "_candidates",
        "bar",
        "bars",
        "bars_end",
        "candle",
        "candles",
        "closes",
        "closes_at",
        "columns",
        "delivered",
        "entry",
        "entry_placed",
        "every_candle",
        "exit_base",
        "exit_placed",
        "exit_reason",
        "exit_session",
        "expiry",
        "expiry_windows",
        "first_bar",
        "first_candle",
        "follower",
        "force_close",
        "highs",
        "holding",
        "last",
        "last_candle",
        "lows",
        "next_bar",
        "next_close",
        "now",
        "number",
        "opens",
        "origin",
        "qty",
        "required",
        "seen",
        "seen_from",
        "series",
        "session",
        "stamps",
        "stop",
        "stop_level",
        "strategy",
        "symbol",
        "tape",
        "view",
        "waited",
        "working",
    )  # fmt: skip

    def __init__(self, number: int, strategy: Strategy, tape: Tape, candles: Candles) -> None:
        self.number = number
        self.symbol = strategy.symbol
        self.strategy = strategy
        self.tape = tape
        self.candles = candles
        self.required = strategy.required_history
        self.expiry_windows = strategy.pending_expiry_candles * candles.minutes
        self.force_close = bool(strategy.force_close_eod)
        self.series: dict[str, Floats] = candles.indicators(dict(strategy.indicators))
        self.view = ArrayView()
        self.view.length = candles.minutes
        self._candidates: NDArray[np.bool_] | None = None
        self._asked = np.empty(0, dtype=np.int32)
        self._asked_bounds = [0]
        self.follower: Callable[[], CandleView] | None = None  # the next view, while it is followed
        self.every_candle = True  # whether the strategy is asked about all of them
        # Lists of a stretch of a session: candles from ``first_candle`` on, bars from ``first_bar`` on.
        self.session = self.exit_session = -1
        self.first_candle = self.last_candle = self.first_bar = self.origin = 0
        self.columns: CandleLists = ([], [], [], [], [], [])
        self.now: list[Mapping[str, float]] = []  # indicators, from those of the candle before the first
        self.closes_at: list[int] = []
        self.stamps: list[int] = []
        self.delivered: list[int] = []  # moments
        self.opens: list[float] = []
        self.highs: list[float] = []
        self.lows: list[float] = []
        self.closes: list[float] = []
        self.bars = 0  # so many are listed
        self.bars_end = 0  # end of the session's bars on the tape
        # Where time stands in them, while live.
        self.bar = 0  # the next to be delivered
        self.next_bar = NEVER  # moment of that
        self.candle = 0  # the next to be known
        self.next_close = NEVER  # moment of that
        self.last = 0.0  # last delivered close
        # The entry at work.
        self.entry: WorkingOrder | None = None
        self.working: WorkingEntry | None = None
        self.entry_placed = 0  # moment
        self.expiry = NEVER  # moment at which the clock ends it
        self.waited = 0  # candles since its signal
        # The position.
        self.qty = 0
        self.holding: Holding | None = None
        self.stop: WorkingOrder | None = None  # None while a sale works
        self.stop_level = 0.0
        self.exit_reason: TradeReason | None = None
        self.exit_placed = 0  # moment
        self.seen: list[float] = []  # prices met, but for those of the bars from ``seen_from`` on
        self.seen_from = 0
        self.exit_base: int | None = None  # the candle from which this session's cooldown counts

    @property
    def live(self) -> bool:
        return self.qty != 0 or self.entry is not None

    # ---- which candles may be signals ------------------------------------------------------------

    def plan(self, candidates: NDArray[np.bool_] | None, cut_offs: NDArray[np.int64]) -> None:
        """Ask the strategy about ``candidates`` only (None: about all candles).

        Candles known at their session's moment of ``cut_offs`` or later are no signals, nor are those after a
        split until the history is long enough again.
        """
        candles = self.candles
        self._candidates = candidates
        self.every_candle = candidates is None
        asked = np.ones(len(candles), dtype=bool) if candidates is None else candidates.copy()
        asked &= candles.closes < np.repeat(cut_offs, np.diff(candles.bounds))
        for begin in candles.restarts[1:]:
            asked[begin : begin + self.required - 1] = False
        self._asked = np.flatnonzero(asked).astype(np.int32)
        self._asked_bounds = np.searchsorted(self._asked, candles.bounds).tolist()

    def agenda(self, session: int) -> NDArray[np.int32]:
        """The candles of ``session`` that the strategy is to be asked about."""
        bounds = self._asked_bounds
        return self._asked[bounds[session] : bounds[session + 1]]

    def has_agenda(self, session: int) -> bool:
        bounds = self._asked_bounds
        return bounds[session] != bounds[session + 1]

    def may_signal(self, candle: int) -> bool:
        """Whether the strategy is to be asked about ``candle``, if flat and entries are allowed."""
        begin = self._history(candle)
        if begin and candle < begin + self.required - 1:
            return False
        return self._candidates is None or bool(self._candidates[candle])

    def _history(self, candle: int) -> int:
        """The candle with which the history of ``candle`` begins."""
        restarts = self.candles.restarts
        return restarts[bisect_right(restarts, candle) - 1]

    # ---- a session's lists -----------------------------------------------------------------------

    def _list_candles(self, session: int, candle: int) -> None:
        """Have the lists hold ``candle`` of ``session``: a stretch at first, if more is needed, the rest."""
        candles, series = self.candles, self.series
        end = int(candles.bounds[session + 1])
        begin = self._history(candle) if candle < end else 0
        more = self.session == session and candle == self.last_candle
        self.session = session
        # The candle before is kept: it may be the one that is being decided.
        a, b = candle - more, end if more or self.every_candle else min(end, candle + _STRETCH)
        self.first_candle, self.last_candle = a, b
        self.origin = begin - 1
        if a > begin:
            self.now = _dicts(series, a - 1, b)
        else:
            self.now = [dict.fromkeys(series, float("nan")), *_dicts(series, a, b)]
        self.columns = (
            candles.open[a:b].tolist(), candles.high[a:b].tolist(), candles.low[a:b].tolist(),
            candles.close[a:b].tolist(), candles.volume[a:b].astype(np.int64).tolist(),
            candles.start[a:b].tolist(),
        )  # fmt: skip
        self.closes_at = candles.closes[a:b].tolist()
        if b == end and b > a and candles.at_bell[b - 1]:
            self.closes_at[-1] = NEVER  # the runner asks for it at the bell

    def _list_bars(self, first: int, count: int) -> None:
        """Have the lists hold up to ``count`` bars of the session from ``first`` (on the tape) on."""
        tape = self.tape
        a, b = first, min(first + count, self.bars_end)
        if tape.late:
            b = self.bars_end  # so that bars delivered together are listed together
        self.first_bar, self.bars = a, b - a
        self.stamps = tape.minutes(a, b).tolist()
        self.delivered = (
            (2 * tape.delivered(a, b)).tolist() if tape.late else [2 * m + 2 for m in self.stamps]
        )
        self.opens, self.highs, self.lows, self.closes = (
            tape.column(name, a, b).tolist() for name in _PRICES
        )

    def show(self, candle: int) -> ArrayView:
        """The strategy's view on ``candle``, which the lists hold."""
        at = candle - self.first_candle
        view = self.view
        opens, highs, lows, closes, volumes, minutes = self.columns
        view.open, view.high, view.low, view.close = opens[at], highs[at], lows[at], closes[at]
        view.volume, view.minute = volumes[at], minutes[at]
        view.before, view.now = self.now[at], self.now[at + 1]
        view.count = candle - self.origin
        view.candles_since_exit = None
        if self.exit_session == self.session and self.exit_base is not None:
            view.candles_since_exit = max(0, candle - self.exit_base + 1)
        return view

    def look_at(self, session: int, candle: int) -> ArrayView:
        """The strategy's view on any ``candle`` of ``session``."""
        if self.session != session or not self.first_candle <= candle < self.last_candle:
            self._list_candles(session, candle)
        return self.show(candle)

    def follow(self, session: int, candle: int) -> Iterator[CandleView]:
        """The strategy's view on ``candle`` and, one after the other, on those that follow it in the session.

        The same as ``look_at`` for each, and several times faster: the loop itself fills the view.
        """
        seen = self.look_at(session, candle)
        view = self.view
        skip = candle - self.first_candle
        opens, highs, lows, closes, volumes, minutes = (islice(column, skip, None) for column in self.columns)
        before, now = islice(self.now, skip, None), islice(self.now, skip + 1, None)
        waited: Iterator[int | None] = repeat(None)
        if seen.candles_since_exit is not None and self.exit_base is not None:
            base = self.exit_base
            waited = (max(0, number - base + 1) for number in counting(candle))
        for (
            view.open, view.high, view.low, view.close, view.volume, view.minute, view.before, view.now,
            view.count, view.candles_since_exit,
        ) in zip(
            opens, highs, lows, closes, volumes, minutes, before, now, counting(seen.count), waited,
            strict=False,
        ):  # fmt: skip
            yield view

    # ---- living ----------------------------------------------------------------------------------

    def join(self, session: int, moment: int, candle: int) -> None:
        """Follow what is delivered and known after ``moment``; ``candle`` is the next candle."""
        self.bars_end = int(self.tape.bounds[session + 1])
        self._list_bars(self.tape.known_by(session, moment // 2), _STRETCH_BARS)
        self.bar = 0
        self.next_bar = self.delivered[0] if self.bars else NEVER
        self.await_candle(session, candle)

    def await_candle(self, session: int, candle: int) -> None:
        """``candle`` is the next to be known."""
        self.candle = candle
        if candle < int(self.candles.bounds[session + 1]):
            if self.session != session or not self.first_candle <= candle < self.last_candle:
                self._list_candles(session, candle)
            self.next_close = self.closes_at[candle - self.first_candle]
        else:
            self.next_close = NEVER

    def see_bars(self, bar: int) -> None:
        """``bar`` is the next to be delivered; the one before it was."""
        self.last = self.closes[bar - 1]
        if bar == self.bars and self.bars_left:
            self._keep_seen()
            self._list_bars(self.first_bar + bar, self.bars_end)
            bar = 0
        self.bar = bar
        self.next_bar = self.delivered[bar] if bar < self.bars else NEVER

    @property
    def bars_left(self) -> bool:
        """Whether the session has bars beyond those listed."""
        return self.first_bar + self.bars < self.bars_end

    def last_bar(self, session: int) -> tuple[int, float] | None:
        """Stamp and close of the session's last bar, if it has any."""
        a, b = int(self.tape.bounds[session]), int(self.tape.bounds[session + 1])
        if a == b:
            return None
        return int(self.tape.minutes(b - 1, b)[0]), float(self.tape.column("close", b - 1, b)[0])

    def bell_candle(self, session: int) -> int | None:
        """The candle that only the session's close completes, if it is still to come."""
        ahead = self.candle < int(self.candles.bounds[session + 1])
        return self.candle if ahead and self.candles.at_bell[self.candle] else None

    def average_volume(self, session: int, minute: int) -> float | None:
        """Mean volume of the last 20 bars delivered by ``minute``, shares a minute."""
        last = self.tape.known_by(session, minute)
        restart = max((n for n in self.tape.restarts if n <= session), default=0)
        first = max(int(self.tape.bounds[restart]), last - _VOLUME_BARS)
        volumes = self.tape.column("volume", first, last)
        return float(volumes.sum()) / len(volumes) if len(volumes) else None

    def last_close(self, session: int, candle: int) -> float:
        """Last close delivered when ``candle`` is known."""
        candles = self.candles
        moment = int(candles.closes[candle])
        if moment == 2 * (int(candles.start[candle]) + candles.minutes):
            return float(candles.close[candle])  # on time: by its own last bar, or there is none since
        minute = moment // 2
        last = self.tape.known_by(session, minute)
        return float(self.tape.column("close", last - 1, last)[0])

    # ---- orders ----------------------------------------------------------------------------------

    def arm(self, working: WorkingEntry, moment: int, candle: int) -> None:
        """An entry begins to work at ``moment``, on the signal of ``candle``."""
        terms = working.terms
        self.working = working
        self.entry = WorkingOrder(Side.BUY, OrderType.STOP_LIMIT, terms.entry, terms.limit)
        self.entry_placed = moment
        end = int(self.candles.start[candle]) + self.candles.minutes
        self.expiry = (end + self.expiry_windows) * 2 + GRACE
        self.waited = 0

    def disarm(self) -> None:
        self.entry = self.working = None
        self.expiry = NEVER

    def hold(self, holding: Holding, rest: Path, bar: int) -> WorkingOrder:
        """The entry was filled in ``bar``, whose path goes on with ``rest``; the stop that protects it."""
        self.disarm()
        self.qty = holding.qty
        self.holding = holding
        self.exit_reason = None
        self.seen = list(rest)
        self.seen_from = bar + 1
        return self.protect(holding.stop_price)

    def protect(self, price: Decimal) -> WorkingOrder:
        self.stop = stop = WorkingOrder(Side.SELL, OrderType.STOP, price, None)
        self.stop_level = float(price)
        return stop

    def leave(self, reason: TradeReason, moment: int) -> None:
        """The stop is taken back, a sale at market works instead."""
        self.stop = None
        self.exit_reason = reason
        self.exit_placed = moment

    def flat(self, stamp: int) -> None:
        """The position was sold, by a bar stamped ``stamp``: the cooldown counts from the next candle."""
        self.qty = 0
        self.holding = self.stop = self.exit_reason = None
        base = self.candle
        while base < len(self.candles) and int(self.candles.start[base]) + self.candles.minutes <= stamp:
            base += 1
        self.exit_base = base
        self.exit_session = self.session

    def touch(self, bar: int, ticks: int) -> Fill | None:
        """The fill of what works on ``bar`` (a place in the lists), if it touches it."""
        order, stamp = self.entry, 2 * self.stamps[bar]
        if order is not None:
            if self.entry_placed > stamp or order.stop is None or order.limit is None:
                return None
            if self.highs[bar] < float(order.stop) and not order.triggered:
                return None
        elif self.exit_reason is not None:
            if self.exit_placed > stamp:
                return None
            order = WorkingOrder(Side.SELL, OrderType.MARKET, None, None)
        else:
            order = self.stop
            if order is None or self.lows[bar] > self.stop_level:
                return None
        return match(order, self.path(bar), ticks)

    def path(self, bar: int) -> Path:
        return path(self.opens[bar], self.highs[bar], self.lows[bar], self.closes[bar])

    def prices_until(self, bar: int) -> Sequence[float]:
        """Prices met from the entry to the bar before ``bar``."""
        span = slice(self.seen_from, bar)
        return [*self.seen, *self.lows[span], *self.highs[span]]

    def _keep_seen(self) -> None:
        """The listed bars will go: keep what was seen in them."""
        if self.qty:
            prices = self.prices_until(self.bars)
            self.seen = [min(prices), max(prices)] if prices else []
            self.seen_from = 0

    def end_session(self) -> None:
        self._keep_seen()
        self.bars = self.bar = 0
        self.next_bar = self.next_close = NEVER


def _dicts(series: Mapping[str, Floats], a: int, b: int) -> list[Mapping[str, float]]:
    """The indicators of candles ``a`` to ``b`` (excluded), a table for each."""
    names = list(series)
    columns = [series[name][a:b].tolist() for name in names]
    match names:
        case []:
            return [{} for _ in range(b - a)]
        # Displays are several times faster than the general case.
        case [one, two]:
            return [{one: x, two: y} for x, y in zip(*columns, strict=True)]
        case [one, two, three]:
            return [{one: x, two: y, three: z} for x, y, z in zip(*columns, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
