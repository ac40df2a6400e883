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
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.account import WorkingEntry
from tui_trader.backtest.candles import GRACE, Candles
from tui_trader.backtest.tape import Column, Tape, minute_of, time_of
from tui_trader.core.events import TradeReason
from tui_trader.core.fills import Fill, Path, WorkingOrder, match, path
from tui_trader.core.indicators import Floats
from tui_trader.core.orders import OrderType, Side
from tui_trader.core.rule import CandleView, Holding
from tui_trader.strategies.base import Strategy

#: Later than any moment.
NEVER: Final = 2**31 - 1
_VOLUME_BARS: Final = 20
_PRICES: Final[tuple[Column, ...]] = ("open", "high", "low", "close")


class ArrayView(CandleView):
    """A ``CandleView`` filled from columns; what costs time is made only when it is asked for."""

    __slots__ = ("_after", "_after_minute", "length", "minute")

    minute: int  # start of the candle
    length: int  # minutes

    def __init__(self, length: int) -> None:
        self.length = length
        self._after: datetime | None = None

    def __getattr__(self, name: str) -> Any:
        # Only slots that were never filled come here.
        if name == "start":
            return time_of(self.minute)
        if name == "end":
            return time_of(self.minute + self.length)
        raise AttributeError(name)

    def ends_after(self, time: datetime) -> bool:
        # Asked about one time again and again, while a position is held.
        if time is not self._after:
            self._after = time
            self._after_minute = minute_of(time)
        return self.minute + self.length > self._after_minute


class Desk:
    """Everything a symbol's decisions and fills are made of. Bars are looked up a session at a time."""

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
        self.view = ArrayView(candles.minutes)
        self._candidates: NDArray[np.bool_] | None = None
        self._asked = np.empty(0, dtype=np.int32)
        self._asked_bounds = [0]
        self._asked_list: list[int] = []
        self._asked_times: list[int] = []
        self.follower: Callable[[], CandleView] | None = None  # the next view, while it is followed
        self.every_candle = True  # whether the strategy is asked about all of them
        # Columns as memory views: numbers come out of them almost as fast as out of lists, and no copy is
        # made. Those of the candles are of the whole run, those of the bars of one session.
        self._opens, self._highs = _view(candles.open), _view(candles.high)
        self._lows, self._closes = _view(candles.low), _view(candles.close)
        self._volumes, self._starts = _view(candles.volume), _view(candles.start)
        self._known = _view(candles.closes)
        self._table_of = _table_reader(self.series)
        self._shown = -2  # the candle shown last,
        self._table: dict[str, float] = {}  # and its indicators
        self._at_bell = frozenset(np.flatnonzero(candles.at_bell).tolist())
        self._histories = frozenset(candles.restarts)
        self._one_history = len(candles.restarts) == 1
        self._unknown = dict.fromkeys(self.series, float("nan"))
        self._candle_bounds: list[int] = candles.bounds.tolist()
        self._bar_bounds: list[int] = tape.bounds.tolist()
        self._whole = tape.whole
        self._listed = -1  # the session whose candles are in ``_lists``
        self._lists: tuple[Sequence[Any], ...] = ()
        self.session = -1
        # Bars are counted from ``first_bar`` on the tape; the session's end before ``bars``.
        self.first_bar = self.bars = 0
        self.stamps: Sequence[int] = ()
        self.delivered: Sequence[int] = ()  # moments
        self.opens: Sequence[float] = ()
        self.highs: Sequence[float] = ()
        self.lows: Sequence[float] = ()
        self.closes: Sequence[float] = ()
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
        self.stop: Decimal | None = None  # its price; None while a sale works
        self.stop_level = 0.0
        self.exit_reason: TradeReason | None = None
        self.exit_placed = 0  # moment
        self.seen: list[float] = []  # prices met, but for those of the bars from ``seen_from`` on
        self.seen_from = 0
        self.exit_base: int | None = None  # the candle from which the cooldown counts,
        self.exit_end = 0  # up to this one (excluded), the session's last

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
        if candidates is not None:  # there are few
            self._asked_list, self._asked_times = self._asked.tolist(), candles.closes[self._asked].tolist()

    def agenda(self, session: int) -> NDArray[np.int32]:
        """The candles of ``session`` that the strategy is to be asked about."""
        bounds = self._asked_bounds
        return self._asked[bounds[session] : bounds[session + 1]]

    def agenda_lists(self, session: int) -> tuple[list[int], list[int]]:
        """``agenda`` as a list, and the moments at which those candles are known."""
        first, last = self._asked_bounds[session], self._asked_bounds[session + 1]
        if self.every_candle:
            part = self._asked[first:last]
            return part.tolist(), self.candles.closes[part].tolist()
        return self._asked_list[first:last], self._asked_times[first:last]

    def busy(self) -> NDArray[np.bool_]:
        """For each session, whether the strategy is to be asked about any candle."""
        return np.diff(self._asked_bounds) > 0

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

    def _load_bars(self, session: int) -> None:
        """Have the views show the bars of ``session``; of a tape that is a whole table they show all."""
        if self.session == session:
            return
        self.session = session
        a, b = self._bar_bounds[session], self._bar_bounds[session + 1]
        if self._whole:
            self.bars = b
            if self.stamps:
                return
            a, b = 0, len(self.tape)
        else:
            self.first_bar, self.bars = a, b - a
        tape = self.tape
        stamps = tape.minutes(a, b)
        self.stamps = _view(stamps)
        self.delivered = _view(2 * (tape.delivered(a, b) if tape.late else stamps + np.int32(1)))
        self.opens, self.highs, self.lows, self.closes = (_view(tape.column(name, a, b)) for name in _PRICES)

    def show(self, candle: int) -> ArrayView:
        """The strategy's view on ``candle``."""
        view = self.view
        view.open, view.high = self._opens[candle], self._highs[candle]
        view.low, view.close = self._lows[candle], self._closes[candle]
        view.volume, view.minute = int(self._volumes[candle]), self._starts[candle]
        if candle in self._histories:
            view.before = self._unknown
        elif candle == self._shown + 1:
            view.before = self._table
        else:
            view.before = self._table_of(candle - 1)
        self._shown = candle
        view.now = self._table = self._table_of(candle)
        view.count = candle + 1 if self._one_history else candle + 1 - self._history(candle)
        base = self.exit_base
        if base is None or candle >= self.exit_end:
            view.candles_since_exit = None
        else:
            view.candles_since_exit = max(0, candle - base + 1)
        return view

    def follow(self, session: int, candle: int) -> Iterator[CandleView]:
        """The strategy's view on ``candle`` and, one after the other, on those that follow it in ``session``.

        The same as ``show`` for each, and several times faster: the loop itself fills the view.
        """
        seen, view = self.show(candle), ArrayView(self.candles.minutes)
        if self._listed != session:
            self._list_candles(session)
        skip = candle - self._candle_bounds[session]
        waited: Iterator[int | None] = repeat(None)
        if seen.candles_since_exit is not None and self.exit_base is not None:
            base = self.exit_base
            waited = (max(0, number - base + 1) for number in counting(candle))
        columns = (islice(column, skip, None) for column in self._lists)
        for (
            view.open,
            view.high,
            view.low,
            view.close,
            view.volume,
            view.minute,
            view.before,
            view.now,
            view.count,
            view.candles_since_exit,
        ) in zip(*columns, counting(seen.count), waited, strict=False):
            yield view

    def _list_candles(self, session: int) -> None:
        """A session's candles and indicators as lists, which are quicker to go through."""
        self._listed = session
        a, b = self._candle_bounds[session], self._candle_bounds[session + 1]
        candles, begins = self.candles, a in self._histories
        tables = _tables(self.series, a if begins else a - 1, b)
        if begins:
            tables.insert(0, self._unknown)
        self._lists = (
            candles.open[a:b].tolist(),
            candles.high[a:b].tolist(),
            candles.low[a:b].tolist(),
            candles.close[a:b].tolist(),
            candles.volume[a:b].astype(np.int64).tolist(),
            candles.start[a:b].tolist(),
            tables,
            tables[1:],
        )

    # ---- living ----------------------------------------------------------------------------------

    def join(self, session: int, moment: int, candle: int) -> None:
        """Follow what is delivered and known after ``moment``; ``candle`` is the next candle."""
        self._load_bars(session)
        self.seen_from = first = self._bar_bounds[session] - self.first_bar
        self.see_bars(bisect_right(self.delivered, moment, first, self.bars))
        self.await_candle(session, candle)

    def await_candle(self, session: int, candle: int) -> None:
        """``candle`` is the next to be known."""
        self.candle = candle
        ahead = candle < self._candle_bounds[session + 1] and candle not in self._at_bell
        self.next_close = self._known[candle] if ahead else NEVER  # at the bell, the floor asks for it

    def see_bars(self, bar: int) -> None:
        """``bar`` is the next to be delivered; the one before it was."""
        self.bar = bar
        if bar:
            self.last = self.closes[bar - 1]
        self.next_bar = self.delivered[bar] if bar < self.bars else NEVER

    def last_bar(self, session: int) -> tuple[int, float] | None:
        """Stamp and close of the session's last bar, if it has any."""
        a, b = int(self.tape.bounds[session]), int(self.tape.bounds[session + 1])
        if a == b:
            return None
        return int(self.tape.minutes(b - 1, b)[0]), float(self.tape.column("close", b - 1, b)[0])

    def bell_candle(self, session: int) -> int | None:
        """The candle that only the session's close completes, if it is still to come."""
        ahead = self.candle < self._candle_bounds[session + 1]
        return self.candle if ahead and self.candle in self._at_bell else None

    def average_volume(self, session: int, minute: int) -> float | None:
        """Mean volume of the last 20 bars delivered by ``minute``, shares a minute."""
        last = self.tape.known_by(session, minute)
        restart = max((n for n in self.tape.restarts if n <= session), default=0)
        first = max(int(self.tape.bounds[restart]), last - _VOLUME_BARS)
        volumes = self.tape.column("volume", first, last)
        return float(volumes.sum()) / len(volumes) if len(volumes) else None

    def last_close(self, session: int, candle: int) -> float:
        """Last close delivered when ``candle`` is known."""
        moment = self._known[candle]
        if moment == 2 * (self._starts[candle] + self.candles.minutes):
            return float(self._closes[candle])  # on time: by its own last bar, or there is none since
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
        end = self._starts[candle] + self.candles.minutes
        self.expiry = (end + self.expiry_windows) * 2 + GRACE
        self.waited = 0

    def disarm(self) -> None:
        self.entry = self.working = None
        self.expiry = NEVER

    def hold(self, holding: Holding, rest: Path, bar: int) -> None:
        """The entry was filled in ``bar``, whose path goes on with ``rest``; its stop works at once."""
        self.disarm()
        self.qty = holding.qty
        self.holding = holding
        self.exit_reason = None
        self.seen = list(rest)
        self.seen_from = bar + 1
        self.protect(holding.stop_price)

    def protect(self, price: Decimal) -> None:
        self.stop = price
        self.stop_level = float(price)

    def leave(self, reason: TradeReason, moment: int) -> None:
        """The stop is taken back, a sale at market works instead."""
        self.stop = None
        self.exit_reason = reason
        self.exit_placed = moment

    def flat(self, stamp: int) -> None:
        """The position was sold, by a bar stamped ``stamp``: the cooldown counts from the next candle."""
        self.qty = 0
        self.holding = self.stop = self.exit_reason = None
        base, minutes = self.candle, self.candles.minutes
        while base < len(self._starts) and self._starts[base] + minutes <= stamp:
            base += 1
        self.exit_base = base
        self.exit_end = self._candle_bounds[self.session + 1]

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
            if self.stop is None or self.lows[bar] > self.stop_level:
                return None
            order = sell_stop(self.stop)
        return match(order, self.path(bar), ticks)

    def path(self, bar: int) -> Path:
        return path(self.opens[bar], self.highs[bar], self.lows[bar], self.closes[bar])

    def prices_until(self, bar: int) -> Sequence[float]:
        """Prices met from the entry to the bar before ``bar``: at least the extremes of them."""
        span = slice(self.seen_from, bar)
        if bar <= self.seen_from:
            return self.seen
        return [*self.seen, min(self.lows[span]), max(self.highs[span])]

    def end_session(self) -> None:
        """The session's bars will go: keep what was seen of them."""
        if self.qty:
            prices = self.prices_until(self.bars)
            self.seen = [min(prices), max(prices)] if prices else []
        self.next_bar = self.next_close = NEVER


def sell_stop(price: Decimal) -> WorkingOrder:
    """A protective stop, as matching wants it."""
    return WorkingOrder(Side.SELL, OrderType.STOP, price, None)


def _view(column: NDArray[Any]) -> Sequence[Any]:
    """``column`` as a memory view."""
    return column.data


def _table_reader(series: Mapping[str, Floats]) -> Callable[[int], dict[str, float]]:
    """What gives the indicators of a candle, by its number."""
    columns = [(name, _view(values)) for name, values in series.items()]
    match columns:
        # Displays are several times faster than the general case.
        case [(a, x), (b, y)]:
            return lambda candle: {a: x[candle], b: y[candle]}
        case [(a, x), (b, y), (c, z)]:
            return lambda candle: {a: x[candle], b: y[candle], c: z[candle]}
    return lambda candle: {name: column[candle] for name, column in columns}


def _tables(series: Mapping[str, Floats], a: int, b: int) -> list[Mapping[str, float]]:
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
