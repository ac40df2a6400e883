"""Bars to trade: recorded ones, and those of the built-in market."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.oracle import oracle
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.calendar import Session
from tui_trader.venues.sim.market import SimMarket

RECORDING = Path(__file__).parents[3] / "shared/data/us_equities_1min_2013-10-04_2013-10-11.csv.gz"


def recorded_bars(symbols: Sequence[str]) -> list[Bar]:
    """The bars of ``RECORDING``, which must be there."""
    bars = oracle.read_bars([str(RECORDING)], list(symbols))
    return [Bar(b.symbol, b.timestamp, b.open, b.high, b.low, b.close, int(b.volume)) for b in bars]


def simulated_bars(symbols: Sequence[str], seed: int, sessions: Sequence[Session]) -> list[Bar]:
    """What the built-in market would trade in ``sessions``."""
    market = SimMarket(symbols, seed)
    bars: list[Bar] = []
    for number, session in enumerate(sessions):
        made = market.session_bars(number, session)
        columns = (made.open, made.high, made.low, made.close, made.volume, made.present)
        for symbol, *rows in zip(made.symbols, *(column.tolist() for column in columns), strict=True):
            for minute, (o, h, low, c, volume, there) in enumerate(zip(*rows, strict=True)):
                if there:
                    bars.append(Bar(symbol, session.open + minute * MINUTE, o, h, low, c, volume))
    return bars
