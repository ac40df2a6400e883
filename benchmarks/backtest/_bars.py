"""Recorded bars made up from a seed: sessions, gaps and half-days as on the New York Stock Exchange."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_trader.core.calendar import Session
from tui_trader.engine.nyse import NyseCalendar

FIRST_DAY = dt.date(2012, 1, 3)
_LAST_DAY = dt.date(2025, 12, 31)
_PRICE = 100.0
_MINUTE_SD = 0.0005
_OVERNIGHT_SD = 0.005
_SEED = 20_250_103

Floats = NDArray[np.float64]


def write_bars(path: Path, bars: int, symbols: int = 1) -> None:
    """``bars`` one-minute bars of each of ``symbols`` symbols, one row a bar, sorted by minute, then symbol.

    Prices are dollars in whole cents: a random walk that ends where it began, livelier at the open and the
    close. ``bars`` is rounded up to a whole two-minute candle.
    """
    bars += bars % 2
    minute, age, length = _minutes(bars)
    columns = [_walk(np.random.default_rng([_SEED, number]), age, length) for number in range(symbols)]
    open_, high, low, close, volume = (
        np.stack(column, axis=1).ravel() for column in zip(*columns, strict=True)
    )
    np.savez(
        path,
        symbols=np.array([f"S{number:03d}" for number in range(symbols)]),
        minute=np.repeat(minute, symbols),
        symbol_index=np.tile(np.arange(symbols, dtype=np.int32), len(minute)),
        open=open_, high=high, low=low, close=close, volume=volume.astype(np.int64),
    )  # fmt: skip


def _minutes(bars: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Each bar's minute since 1970, the minutes since its session's open, and that session's minutes."""
    sessions: list[Session] = []
    left = bars
    for session in NyseCalendar().sessions(FIRST_DAY, _LAST_DAY):
        if left <= 0:
            break
        sessions.append(session)
        left -= session.minutes
    if left > 0:
        raise SystemExit(f"at most {bars - left} bars a symbol: name more symbols instead")
    age = np.concatenate([np.arange(session.minutes) for session in sessions])[:bars]
    first = np.repeat(
        [int(session.open.timestamp()) // 60 for session in sessions],
        [session.minutes for session in sessions],
    )[:bars]
    length = np.repeat([session.minutes for session in sessions], [session.minutes for session in sessions])[
        :bars
    ]
    return first + age, age, length


def _walk(
    random: np.random.Generator, age: NDArray[np.int64], length: NDArray[np.int64]
) -> tuple[Floats, ...]:
    count = len(age)
    mood = 1.0 + 1.5 * np.abs(2.0 * age / length - 1.0) ** 3
    steps = random.normal(0.0, _MINUTE_SD, count) * mood
    gaps = np.where(age == 0, random.normal(0.0, _OVERNIGHT_SD, count), 0.0)
    path = np.cumsum(steps + gaps)
    drift = np.linspace(path[0], path[-1], count)
    close = _PRICE * np.exp(path - drift)
    open_ = close * np.exp(-steps)
    reach = np.abs(random.normal(0.0, _MINUTE_SD / 2, (2, count))) * mood
    close, open_ = np.round(close, 2), np.round(open_, 2)
    high = np.round(np.maximum(open_, close) * (1.0 + reach[0]), 2)
    low = np.round(np.minimum(open_, close) * (1.0 - reach[1]), 2)
    volume = np.floor(random.gamma(2.0, 5_000.0, count) * mood) + 100.0
    return open_, high, low, close, volume
