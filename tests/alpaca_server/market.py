"""Minute bars: what was traded before now, by script or made up when asked for, and the minute under way."""

from __future__ import annotations

import hashlib
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tests.alpaca_server.sessions import Hours
from tests.alpaca_server.stamps import NEW_YORK

MINUTE = timedelta(minutes=1)
#: Prices that a made-up minute goes through after its open.
_STEPS = 4


class MinuteBar(NamedTuple):
    """One minute of one symbol. ``time`` is its aware UTC start, prices are dollars, volume shares."""

    symbol: str
    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 1000

    def path(self) -> tuple[float, ...]:
        """Its prices in a plausible order: down first when it closes up, up first when it closes down."""
        if self.close >= self.open:
            return self.open, self.low, self.high, self.close
        return self.open, self.high, self.low, self.close


#: Makes the bars of a symbol on one day, oldest first; none on a closed day.
DayMaker = Callable[[str, date], Sequence[MinuteBar]]


class Tape:
    """Completed bars by symbol, strictly in order of time, the latest word of each minute."""

    def __init__(self, made_up: DayMaker | None = None) -> None:
        self._bars: dict[str, list[MinuteBar]] = {}
        self._made_up = made_up
        self._made: dict[tuple[str, date], Sequence[MinuteBar]] = {}

    def write(self, bars: Iterable[MinuteBar]) -> None:
        """Add bars; one of a minute already written takes its place."""
        for bar in bars:
            known = self._bars.setdefault(bar.symbol, [])
            if not known or known[-1].time < bar.time:
                known.append(bar)
                continue
            place = bisect_left(known, bar.time, key=_time)
            if place < len(known) and known[place].time == bar.time:
                known[place] = bar
            else:
                known.insert(place, bar)

    def between(self, symbol: str, start: datetime, end: datetime) -> list[MinuteBar]:
        """Bars that start in [start, end]. What was written comes before what is made up."""
        known = self._bars.get(symbol, [])
        written = known[bisect_left(known, start, key=_time) : bisect_right(known, end, key=_time)]
        if self._made_up is None:
            return written
        until = known[0].time - MINUTE if known else end
        made: list[MinuteBar] = []
        day = start.astimezone(NEW_YORK).date()
        while day <= min(end, until).astimezone(NEW_YORK).date():
            made.extend(bar for bar in self._day(symbol, day) if start <= bar.time <= min(end, until))
            day += timedelta(days=1)
        return made + written

    def last(self, symbol: str) -> MinuteBar | None:
        """The latest bar written."""
        known = self._bars.get(symbol)
        return known[-1] if known else None

    def _day(self, symbol: str, day: date) -> Sequence[MinuteBar]:
        bars = self._made.get((symbol, day))
        if bars is None:
            assert self._made_up is not None
            bars = self._made[symbol, day] = self._made_up(symbol, day)
        return bars


class MinuteUnderWay:
    """Trades of the present minute, on their way to become bars."""

    def __init__(self) -> None:
        self._prices: dict[str, list[float]] = {}

    def trade(self, symbol: str, price: float) -> None:
        self._prices.setdefault(symbol, []).append(price)

    def finish(self, start: datetime, volume: Callable[[str], float]) -> list[MinuteBar]:
        """The bars of the minute that began at ``start``, A–Z; the next minute begins."""
        bars = [
            MinuteBar(symbol, start, prices[0], max(prices), min(prices), prices[-1], volume(symbol))
            for symbol, prices in sorted(self._prices.items())
        ]
        self._prices.clear()
        return bars


class RandomWalk:
    """Prices that wander with streaks, so that there is something to trade. The same for the same seed.

    Each day runs from a price that depends on the date alone to the next day's, so that any day can be had
    without those before it.
    """

    def __init__(self, seed: int, prices: dict[str, float], hours: Hours) -> None:
        self._seed = seed
        self._prices = prices
        self._hours = hours

    def opening(self, symbol: str, day: date) -> float:
        """The day's first price, in dollars."""
        around = self._prices.get(symbol, 100.0)
        return round(around * (1.0 + 0.02 * (self._dice(symbol, day.isoformat()).random() - 0.5)), 2)

    def day(self, symbol: str, day: date) -> list[MinuteBar]:
        """All bars of one session."""
        session = self._hours.session(day)
        if session is None:
            return []
        dice = self._dice(symbol, f"{day} minutes")
        minutes = int((session[1] - session[0]) / MINUTE)
        goal = self.opening(symbol, day + timedelta(days=1))
        price, drift = self.opening(symbol, day), 0.0
        bars = []
        for minute in range(minutes):
            drift = self.next_drift(dice, drift)
            ticks = [price]
            for _ in range(_STEPS):
                ticks.append(self.step(dice, ticks[-1], drift, 1 / _STEPS))
            # Bent towards tomorrow's open, a little more each minute.
            ticks[-1] = round(ticks[-1] + (goal - ticks[-1]) / (minutes - minute + 30), 2)
            start = session[0] + minute * MINUTE
            volume = dice.randrange(1_000, 50_000)
            bars.append(MinuteBar(symbol, start, ticks[0], max(ticks), min(ticks), ticks[-1], volume))
            price = ticks[-1]
        return bars

    def price_at(self, symbol: str, time: datetime) -> float:
        """Where the made-up bars before ``time`` end, so that trading goes on from there."""
        today = time.astimezone(NEW_YORK).date()
        for day in (today, *(today - timedelta(days=back) for back in range(1, 10))):
            before = [bar for bar in self.day(symbol, day) if bar.time + MINUTE <= time]
            if before:
                return before[-1].close
        return self.opening(symbol, today)

    @staticmethod
    def next_drift(dice: random.Random, drift: float) -> float:
        """The minute's inclination, as a share of the price; it lasts for some minutes."""
        return 0.9 * drift + dice.gauss(0.0, 0.0003)

    @staticmethod
    def step(dice: random.Random, price: float, drift: float, share: float) -> float:
        """The price after a ``share`` of a minute, to the cent, never under a dollar."""
        change = drift * share + dice.gauss(0.0, 0.0008 * math.sqrt(share))
        return max(1.0, round(price * (1.0 + change), 2))

    def _dice(self, symbol: str, what: str) -> random.Random:
        digest = hashlib.sha256(f"{self._seed} {symbol} {what}".encode()).digest()
        return random.Random(int.from_bytes(digest[:8], "big"))


def _time(bar: MinuteBar) -> datetime:
    return bar.time
