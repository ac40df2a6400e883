"""Warm-up: earlier minute bars into candles and indicators, without a single decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.calendar import Session
from tui_trader.core.candles import Candle
from tui_trader.core.rule import CandleView
from tui_trader.engine.desk import SymbolDesk
from tui_trader.venues.base import BarColumns

_SETTLING_CANDLES = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_minute(time: datetime) -> int:
    """Whole minutes since 1970 UTC."""
    return int(time.timestamp()) // 60


def from_epoch_minute(minute: int) -> datetime:
    return _EPOCH + timedelta(minutes=minute)


def bars_of(symbol: str, columns: BarColumns, start: int = 0) -> list[Bar]:
    """``columns`` from row ``start`` on as bars."""
    rows = zip(
        columns.minute[start:].tolist(),
        columns.open[start:].tolist(),
        columns.high[start:].tolist(),
        columns.low[start:].tolist(),
        columns.close[start:].tolist(),
        columns.volume[start:].tolist(),
        strict=True,
    )
    return [Bar(symbol, from_epoch_minute(m), o, h, low, c, v) for m, o, h, low, c, v in rows]


def suspicious(columns: BarColumns, session: NDArray[np.int64], max_jump_pct: float) -> bool:
    """Whether any bar might be refused, withheld, cut back or taken for a split, so that each must be judged.

    ``session`` numbers the session of every bar. The test is a little stricter than ``BarFilter``.
    """
    if not len(columns):
        return False
    o, h, low, c = columns.open, columns.high, columns.low, columns.close
    fine = (low > 0) & (low <= o) & (low <= c) & (h >= o) & (h >= c) & np.isfinite(h) & (columns.volume >= 0)
    if not fine.all() or (np.diff(columns.minute) <= 0).any():
        return True
    before, same = c[:-1], session[1:] == session[:-1]
    reach = before * (max_jump_pct / 100.0) * (1.0 - 1e-6)
    jumped = (h[1:] - before > reach) | (before - low[1:] > reach)
    if (jumped & same).any():
        return True
    ratio = np.maximum(before / o[1:], o[1:] / before)
    return bool(((ratio > 1.9) & ~same).any())


def warm(
    desk: SymbolDesk,
    columns: BarColumns,
    sessions: Sequence[Session],
    current: Session | None,
    now: datetime,
    max_jump_pct: float,
) -> list[CandleView]:
    """Feed ``desk`` the regular-session bars of ``columns``; views (copies) on the candles of ``current``.

    Bars of windows of the current session that may still grow are left in the aggregator.
    """
    opens = np.array([epoch_minute(s.open) for s in sessions], dtype=np.int64)
    closes = np.array([epoch_minute(s.close) for s in sessions], dtype=np.int64)
    if not len(opens) or not len(columns):
        return []
    index = np.searchsorted(opens, columns.minute, side="right") - 1
    inside = (index >= 0) & (columns.minute < closes[index]) & (columns.minute < epoch_minute(now))
    kept = BarColumns(
        columns.minute[inside], columns.open[inside], columns.high[inside], columns.low[inside],
        columns.close[inside], columns.volume[inside],
    )  # fmt: skip
    index = index[inside]
    if not len(kept):
        return []
    live = len(sessions) - 1 if current is not None and sessions[-1].date == current.date else -1
    if suspicious(kept, index, max_jump_pct):
        return _one_by_one(desk, kept, index, sessions, live, now)
    # Whole earlier sessions go through arrays; the running one bar by bar, for its last window may be open.
    split = int(np.searchsorted(index, live)) if live >= 0 else len(index)
    _in_arrays(desk, kept, index, split, sessions, opens)
    if split == len(index):
        return []
    rest = BarColumns(*(getattr(kept, name)[split:] for name in BarColumns.__slots__))
    return _one_by_one(desk, rest, index[split:], sessions, live, now)


def _in_arrays(
    desk: SymbolDesk,
    columns: BarColumns,
    index: NDArray[np.int64],
    end: int,
    sessions: Sequence[Session],
    opens: NDArray[np.int64],
) -> None:
    if end == 0:
        return
    minutes = desk.aggregator.minutes
    minute, session = columns.minute[:end], index[:end]
    start = minute - (minute - opens[session]) % minutes
    first = np.flatnonzero(np.concatenate(([True], start[1:] != start[:-1])))
    last = np.concatenate((first[1:], [end])) - 1
    high = np.maximum.reduceat(columns.high[:end], first)
    low = np.minimum.reduceat(columns.low[:end], first)
    volume = np.add.reduceat(columns.volume[:end], first)
    # More than the slowest indicator needs: averages that never quite forget have settled by then.
    skip = max(0, len(first) - desk.required - _SETTLING_CANDLES)
    first, last = first[skip:], last[skip:]
    numbers = session[first].tolist()
    stamps = {number: sessions[number].open for number in set(numbers)}
    for number in sorted(stamps):
        desk.start_session(stamps[number])
        desk.last = float(columns.close[int(last[np.searchsorted(numbers, number, side="right") - 1])])
    since_open = (start[first] - opens[numbers]).tolist()
    desk.preload(
        [stamps[n] + timedelta(minutes=m) for n, m in zip(numbers, since_open, strict=True)],
        columns.open[first].tolist(), high[skip:].tolist(), low[skip:].tolist(), columns.close[last].tolist(),
        volume[skip:].tolist(), [stamps[n] for n in numbers],
    )  # fmt: skip
    for volume_of_bar in columns.volume[max(0, end - 20) : end].tolist():
        desk.volumes.append(volume_of_bar)
    final = from_epoch_minute(int(minute[-1]))
    desk.filter.resume(float(columns.close[end - 1]), final, sessions[int(session[-1])].open)


def _one_by_one(
    desk: SymbolDesk,
    columns: BarColumns,
    index: NDArray[np.int64],
    sessions: Sequence[Session],
    live: int,
    now: datetime,
) -> list[CandleView]:
    views: list[CandleView] = []
    shown = -1

    def candles(closed: Sequence[Candle], number: int) -> None:
        for candle in closed:
            view = desk.take_candle(candle)
            if number == live:
                views.append(copy_of(view))

    def end(number: int) -> None:
        desk.filter.end_session()
        last = desk.aggregator.end_session()
        if last is not None:
            candles([last], number)

    for bar, number in zip(bars_of(desk.symbol, columns), index.tolist(), strict=True):
        if number != shown:
            if shown >= 0:
                end(shown)
            desk.start_session(sessions[number].open)
            shown = number
        delivered = bar.timestamp + MINUTE
        verdict = desk.filter.offer(bar, sessions[number].open, delivered)
        if verdict.split:
            desk.reset_history()
        for accepted in verdict.accepted:
            desk.last = accepted.close
            desk.last_bar = accepted.timestamp
            desk.volumes.append(accepted.volume)
            # As in a live session: a jump confirmed after its candle's time-out joins none.
            if not desk.too_late(accepted, delivered):
                candles(desk.aggregator.add(accepted), number)
    if shown == live:
        expired = desk.aggregator.expire(now)
        if expired is not None:
            candles([expired], shown)
    else:
        end(shown)
    return views


def copy_of(view: CandleView) -> CandleView:
    """A view that stays as it is when the desk goes on."""
    copy = CandleView()
    for name in CandleView.__slots__:
        setattr(copy, name, getattr(view, name))
    copy.now, copy.before = dict(view.now), dict(view.before)
    return copy
