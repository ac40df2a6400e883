"""A simulated equity market: one-minute bars that are worth watching, the same for the same seed.

Every session of every symbol is a function of (seed, symbol, number of the session, its length) and of
nothing else. The closes of all sessions are a random walk that is drawn first; the minutes of a session are
then drawn freely and bent to run from its open to its close. So any session can be had at once, in any
order, and nothing is kept between two of them but one close per symbol and session.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_trader.core.calendar import Session

Floats = NDArray[np.float64]

_FLOOR = 2.00
"""The lowest price a symbol ever trades at, in dollars."""
_MAX_MINUTE_MOVE = 0.06
"""The largest change of the logarithm of the price in a minute."""
_MAX_WICK = 0.03
"""The furthest a minute's high or low can be from its body, as a logarithm."""

_DAYS_AT_ONCE = 64

# Between sessions, in units of a symbol's daily volatility. Shares drift up overnight and give it back by
# day, as real ones do; and they come back to their usual price, so that a long run stays plausible.
_GAP_DEVIATION = 0.45
_GAP_DRIFT = 0.20
_DAY_DEVIATION = 0.80
_HOMING = 0.03
_MAX_GAP = 0.08
_MAX_DAY = 0.12

# Within a session. Times are in minutes.
_CALM_DECAY = 0.97
_CALM_DEVIATION = 0.35
_BURSTS_PER_MINUTE = 1 / 45
_BURST_STRENGTH = 0.9
_BURST_MINUTES = 8.0
_FADE_MINUTES = 22.0
_FADE_SHARE = 0.45


class Character(NamedTuple):
    """What a symbol is usually like. Volatility and gap are fractions of the price."""

    price: float
    daily_volatility: float
    market_share: float
    """Correlation of its minutes with the market's, 0 to 1."""
    minute_volume: float
    silence: float = 0.001
    """The share of minutes in which it does not trade."""


_KNOWN = {
    "AAPL": Character(230.0, 0.016, 0.45, 130_000),
    "AMD": Character(160.0, 0.030, 0.40, 110_000),
    "AMZN": Character(220.0, 0.019, 0.45, 110_000),
    "AVGO": Character(320.0, 0.026, 0.45, 60_000),
    "BA": Character(215.0, 0.020, 0.35, 20_000),
    "BAC": Character(50.0, 0.015, 0.45, 95_000),
    "COIN": Character(320.0, 0.038, 0.35, 28_000),
    "DIS": Character(115.0, 0.015, 0.40, 24_000),
    "GOOGL": Character(195.0, 0.018, 0.45, 85_000),
    "INTC": Character(24.0, 0.027, 0.35, 190_000),
    "IWM": Character(225.0, 0.014, 0.80, 85_000),
    "JPM": Character(295.0, 0.014, 0.45, 24_000),
    "META": Character(700.0, 0.020, 0.40, 35_000),
    "MSFT": Character(480.0, 0.014, 0.50, 55_000),
    "MU": Character(120.0, 0.030, 0.40, 55_000),
    "NFLX": Character(1150.0, 0.020, 0.35, 10_000),
    "NVDA": Character(170.0, 0.026, 0.45, 450_000),
    "PLTR": Character(150.0, 0.036, 0.35, 190_000),
    "QQQ": Character(560.0, 0.012, 0.90, 110_000),
    "SPY": Character(620.0, 0.010, 0.95, 160_000),
    "TSLA": Character(320.0, 0.035, 0.35, 240_000),
    "UBER": Character(90.0, 0.021, 0.35, 50_000),
    "XOM": Character(110.0, 0.014, 0.35, 40_000),
}


@dataclass(frozen=True, slots=True)
class SessionBars:
    """The one-minute bars of one session: row i is `symbols[i]`, column m the minute m after the open.

    Prices are whole cents. Where `present` is false the symbol did not trade in that minute and there is no
    bar: its prices repeat the last close and its volume is 0. The first minute is always present.
    """

    session: Session
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: NDArray[np.int64]
    present: NDArray[np.bool_]


class SimMarket:
    """A seeded market of any symbols. A symbol's bars do not depend on which others are simulated with it."""

    def __init__(self, symbols: Sequence[str], seed: int) -> None:
        self.symbols = tuple(sorted(set(symbols)))
        self._seed = seed
        characters = [character_of(symbol) for symbol in self.symbols]
        self._price = _column(characters, "price")
        self._volatility = _column(characters, "daily_volatility")
        self._share = _column(characters, "market_share")
        self._volume = _column(characters, "minute_volume")
        self._silence = _column(characters, "silence")
        self._market_days = _generator(seed, "market", "days")
        self._symbol_days = [_generator(seed, "symbol", symbol, "days") for symbol in self.symbols]
        # The logarithm of price at the open and the close of each session: (symbols, sessions drawn so far).
        self._opens = np.empty((len(self.symbols), 0))
        self._closes = np.empty((len(self.symbols), 0))

    def session_bars(self, index: int, session: Session) -> SessionBars:
        """The bars of `session`, the `index`-th of this market counted from 0, history included.

        Raises `ValueError` when `index` is negative.
        """
        if index < 0:
            raise ValueError(f"the sessions of a simulated market count from 0, not {index}")
        while index >= self._closes.shape[1]:
            self._draw_days()
        minutes = session.minutes
        normals = np.empty((len(self.symbols), 4, minutes))
        uniforms = np.empty((len(self.symbols), 4, minutes))
        for row, symbol in enumerate(self.symbols):
            generator = _generator(self._seed, "symbol", symbol, str(index))
            generator.standard_normal(out=normals[row])
            generator.random(out=uniforms[row])
        market = _generator(self._seed, "market", str(index)).standard_normal((2, 1, minutes))
        return self._minutes(session, index, normals, uniforms, market)

    def _minutes(
        self, session: Session, index: int, normals: Floats, uniforms: Floats, market: Floats
    ) -> SessionBars:
        shape = _intraday_shape(session.minutes)
        present = uniforms[:, 0] >= self._silence
        present[:, 0] = True

        # Volatility comes in clusters, the market's and each symbol's own.
        unrest = _CALM_DEVIATION * _cluster(normals[:, 0])
        market_move = np.exp(_CALM_DEVIATION * _cluster(market[0])) * market[1]
        own_move = np.exp(unrest) * normals[:, 1]
        scale = self._volatility / np.sqrt(session.minutes) * shape
        free = scale * (
            self._share * market_move + np.sqrt(1 - self._share**2) * own_move + _bursts(uniforms[:, 1])
        )

        # Bent, in proportion to variance, so that the session ends at the close drawn for it.
        first = self._opens[:, index, None]
        free = np.clip(free, -_MAX_MINUTE_MOVE, _MAX_MINUTE_MOVE) * present
        weight = (scale * np.exp(unrest)) ** 2 * present
        weight /= weight.sum(axis=1, keepdims=True)
        gap_to_close = self._closes[:, index, None] - first - free.sum(axis=1, keepdims=True)
        moves = np.clip(free + gap_to_close * weight, -_MAX_MINUTE_MOVE, _MAX_MINUTE_MOVE) * present

        closes = first + np.cumsum(moves, axis=1)
        opens = np.concatenate((first, closes[:, :-1]), axis=1)
        opens[:, 1:] += (0.1 * scale * normals[:, 2])[:, 1:] * present[:, 1:]
        spread = scale * np.exp(unrest)
        high = opens + np.minimum(_reach(closes - opens, spread, uniforms[:, 2]), _wick_limit(closes - opens))
        low = opens - np.minimum(_reach(opens - closes, spread, uniforms[:, 3]), _wick_limit(opens - closes))

        open_, close = _cents(opens), _cents(closes)
        body_high, body_low = np.maximum(open_, close), np.minimum(open_, close)
        activity = np.exp(0.9 * unrest + 0.35 * normals[:, 3]) * (0.6 + 0.4 * np.abs(moves) / spread)
        volume = np.maximum(np.rint(self._volume * shape**1.5 * activity), 100.0)
        return SessionBars(
            session,
            self.symbols,
            open_,
            np.where(present, np.maximum(_cents(high), body_high), close),
            np.where(present, np.minimum(_cents(low), body_low), close),
            close,
            np.where(present, volume, 0.0).astype(np.int64),
            present,
        )

    def _draw_days(self) -> None:
        count = _DAYS_AT_ONCE
        market = self._market_days.standard_normal((count, 2))
        own = np.empty((len(self.symbols), count, 2))
        for row, generator in enumerate(self._symbol_days):
            generator.standard_normal(out=own[row])
        news = self._share[..., None] * market + np.sqrt(1 - self._share[..., None] ** 2) * own
        gaps = np.clip(self._volatility * (_GAP_DRIFT + _GAP_DEVIATION * news[..., 0]), -_MAX_GAP, _MAX_GAP)
        days = np.clip(self._volatility * (_DAY_DEVIATION * news[..., 1] - _GAP_DRIFT), -_MAX_DAY, _MAX_DAY)
        usual = np.log(self._price[:, 0])
        last = self._closes[:, -1] if self._closes.shape[1] else usual
        opens, closes = np.empty_like(gaps), np.empty_like(days)
        for day in range(count):
            opens[:, day] = last + gaps[:, day]
            last = opens[:, day] + days[:, day] - _HOMING * (last - usual)
            closes[:, day] = last
        self._opens = np.concatenate((self._opens, opens), axis=1)
        self._closes = np.concatenate((self._closes, closes), axis=1)


def character_of(symbol: str) -> Character:
    """What a symbol is like: from a table for those many people know, otherwise from a hash of its name."""
    if symbol in _KNOWN:
        return _KNOWN[symbol]
    price, volatility, share, volume, silence = _generator(0, "character", symbol).random(5).tolist()
    thin = silence < 0.1
    return Character(
        price=float(np.exp(np.interp(price, (0, 1), np.log((9, 420))))),
        daily_volatility=0.013 + 0.025 * volatility,
        market_share=0.25 + 0.30 * share,
        minute_volume=float(np.exp(np.interp(volume, (0, 1), np.log((8_000, 120_000)))))
        * (0.3 if thin else 1),
        silence=0.20 + 3.0 * silence if thin else 0.001,
    )


def _generator(seed: int, *words: str) -> np.random.Generator:
    text = "|".join((str(seed), *words))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def _column(characters: list[Character], field: str) -> Floats:
    return np.array([getattr(character, field) for character in characters], dtype=np.float64)[:, None]


def _intraday_shape(minutes: int) -> Floats:
    """Volatility through the session, high at both ends, with a mean square of 1: (minutes,)."""
    minute = np.arange(minutes)
    shape = 1 + 1.3 * np.exp(-minute / 18) + 0.5 * np.exp(-(minutes - 1 - minute) / 20)
    return np.asarray(shape / np.sqrt(np.mean(shape**2)))


def _decaying(impulses: Floats, decay: float, level: Floats | float = 0.0) -> Floats:
    """Each row's running sum of impulses, of which `decay` is left a minute later: (rows, minutes)."""
    result = np.empty_like(impulses)
    for minute in range(impulses.shape[1]):
        level = decay * level + impulses[:, minute]
        result[:, minute] = level
    return result


def _cluster(normals: Floats) -> Floats:
    """Standard normals that resemble their neighbours in time: (rows, minutes)."""
    innovation = np.sqrt(1 - _CALM_DECAY**2)
    return _decaying(innovation * normals, _CALM_DECAY, (1 - innovation) * normals[:, 0])


def _bursts(uniforms: Floats) -> Floats:
    """Drift in units of a minute's volatility: runs that die down, then give back a part of their gain.

    One uniform decides both whether a burst begins and, scaled up, its direction and strength.
    """
    begins = uniforms < _BURSTS_PER_MINUTE
    draw = 2 * uniforms / _BURSTS_PER_MINUTE - 1
    push = np.where(begins, np.sign(draw) * (0.5 + np.abs(draw)) * _BURST_STRENGTH, 0.0)
    run = _decaying(push, np.exp(-1 / _BURST_MINUTES))
    fade = _decaying(push, np.exp(-1 / _FADE_MINUTES))
    return run - _FADE_SHARE * _BURST_MINUTES / _FADE_MINUTES * fade


def _reach(change: Floats, spread: Floats, uniforms: Floats) -> Floats:
    """How far above its start a walk got that ended at `change`: the maximum of a Brownian bridge."""
    chance = np.log(np.maximum(uniforms, 1e-12))
    return np.asarray((change + np.sqrt(change**2 - 2 * spread**2 * chance)) / 2)


def _wick_limit(change: Floats) -> Floats:
    return np.maximum(change, 0.0) + _MAX_WICK


def _cents(logarithms: Floats) -> Floats:
    return np.maximum(np.round(np.exp(logarithms), 2), _FLOOR)
