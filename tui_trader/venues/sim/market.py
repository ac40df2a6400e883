"""A simulated equity market: one-minute bars that are worth watching, the same for the same seed.

Every session of every symbol is a function of (seed, symbol, number of the session, its length) and of
nothing else. The opens and closes of the sessions are a walk that is drawn first; the minutes of a session
are then drawn freely and bent to run from its open to its close. So any session can be had at once, in any
order, and all that is kept between two of them is one open and one close per symbol and session.
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

# From session to session, in units of a symbol's daily volatility. Most days are mildly good and a few are
# bad, as real ones are; and a symbol comes back to its usual price, so that a long run stays plausible.
_DAYS_AT_ONCE = 64
_GAP_DEVIATION = 0.15
_GAP_SURPRISE = 0.25
_GAP_DRIFT = 0.20
_MAX_GAP = 0.08
_DAY_DEVIATION = 0.30
_GOOD_DAY = 0.70
_BAD_DAY = -1.75
_BAD_DAY_BELOW = -0.58
"""A day is bad when a standard normal falls below this: 28 % of days, so that good and bad cancel out."""
_MAX_DAY = 0.12
_HOMING = 0.03

# Within a session, in minutes and in units of a symbol's volatility in an average minute. These were set by
# simulation so that the built-in strategy finds a lively session: entries soon after the open, pullbacks to
# trail, and about as much to lose as to win.
_OPENING_RUSH = 1.2
_OPENING_MINUTES = 18.0
_CLOSING_RUSH = 0.5
_CLOSING_MINUTES = 20.0
_CLUSTER_DECAY = 0.97
_CLUSTER_DEVIATION = 0.5
_WANDER = 0.35
_HAGGLE = 0.75
_HAGGLE_MINUTES = 10.0
_WAVE_MINUTES = 42.0
_WAVE_HEIGHT = 15.0
_WAVE_RISE = 0.72
_BURSTS_PER_MINUTE = 1 / 45
_BURST_STRENGTH = 0.6
_BURST_MINUTES = 5.0
_FADE_MINUTES = 12.0
_FADE_SHARE = 0.5
_BOUNCE = 0.1
_RESTLESSNESS = 0.5
"""How far a price strays within its minute, as a share of how far it moves from minute to minute."""


class Character(NamedTuple):
    """What a symbol is usually like."""

    price: float
    """In dollars."""
    daily_volatility: float
    """As a fraction of the price."""
    market_share: float
    """Correlation of its moves with the market's, 0 to 1."""
    minute_volume: float
    """Shares traded in an average minute."""
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

    Prices are whole cents, in dollars; volume is in shares. Where `present` is false the symbol did not trade
    in that minute and there is no bar: its prices repeat the last close and its volume is 0. The first minute
    is always present.
    """

    session: Session
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: NDArray[np.int64]
    present: NDArray[np.bool_]


class _Draws:
    """The raw random numbers of one session, a row for each source. Each row depends on its own key only."""

    def __init__(self, keys: Sequence[str], minutes: int) -> None:
        normals = np.empty((len(keys), 6, minutes))
        uniforms = np.empty((len(keys), 4, minutes))
        self.wave = np.empty((len(keys), 2))
        for row, key in enumerate(keys):
            generator = _generator(key)
            generator.standard_normal(out=normals[row])
            generator.random(out=uniforms[row])
            generator.random(out=self.wave[row])
        self.unrest, self.wander, self.haggle, self.tempo, self.bounce, self.interest = np.moveaxis(
            normals, 1, 0
        )
        self.silence, self.burst, self.high, self.low = np.moveaxis(uniforms, 1, 0)


class SimMarket:
    """A seeded market of any symbols. A symbol's bars do not depend on which others are simulated with it.

    `symbols` are the given ones, sorted and each once: the rows of every `SessionBars`.
    """

    def __init__(self, symbols: Sequence[str], seed: int) -> None:
        self.symbols = tuple(sorted(set(symbols)))
        self._sources = ["market", *(f"symbol|{symbol}" for symbol in self.symbols)]
        self._seed = seed
        characters = [character_of(symbol) for symbol in self.symbols]
        table = np.array(characters, dtype=np.float64).reshape(-1, len(Character._fields))
        price, self._volatility, self._share, self._volume, self._silence = table.T[..., None]
        self._usual = np.log(price[:, 0])
        self._days = [_generator(f"{seed}|{source}|days") for source in self._sources]
        # The logarithm of the price at each session's open and close: (symbols, sessions drawn so far).
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
        draws = _Draws([f"{self._seed}|{source}|{index}" for source in self._sources], minutes)
        unrest = _CLUSTER_DEVIATION * _cluster(draws.unrest)
        shape = _intraday_shape(minutes)
        scale = self._volatility / np.sqrt(minutes) * shape
        free = scale * self._mixed(_moves(draws, unrest))

        # From here on a row is a symbol; the market's own row, the first, has done its work.
        unrest = unrest[1:]
        spread = scale * np.exp(unrest)
        present = draws.silence[1:] >= self._silence
        present[:, 0] = True
        first, last = self._opens[:, index, None], self._closes[:, index, None]
        moves = _bent(free * present, spread**2 * present, last - first)

        closes = first + np.cumsum(moves, axis=1)
        opens = np.concatenate((first, closes[:, :-1]), axis=1)
        opens[:, 1:] += (_BOUNCE * scale * draws.bounce[1:] * present)[:, 1:]
        strays = _RESTLESSNESS * spread
        highs = opens + _reach(closes - opens, strays, draws.high[1:])
        lows = opens - _reach(opens - closes, strays, draws.low[1:])

        open_, close = _cents(opens), _cents(closes)
        interest = np.exp(0.9 * unrest + 0.35 * draws.interest[1:]) * (0.6 + 0.4 * np.abs(moves) / spread)
        volume = np.maximum(np.rint(self._volume * shape**1.5 * interest), 100.0)
        return SessionBars(
            session=session,
            symbols=self.symbols,
            open=open_,
            high=np.where(present, np.maximum(_cents(highs), np.maximum(open_, close)), close),
            low=np.where(present, np.minimum(_cents(lows), np.minimum(open_, close)), close),
            close=close,
            volume=np.where(present, volume, 0.0).astype(np.int64),
            present=present,
        )

    def _mixed(self, moves: Floats) -> Floats:
        """Each symbol's moves from the market's, in the first row, and its own, in the others."""
        return np.asarray(self._share * moves[:1] + np.sqrt(1 - self._share**2) * moves[1:])

    def _draw_days(self) -> None:
        news = np.empty((len(self._sources), _DAYS_AT_ONCE, 3))
        for row, generator in enumerate(self._days):
            generator.standard_normal(out=news[row])
        # Cubed, so that most gaps are small and now and then one is a headline.
        surprise = self._mixed(news[..., 0])
        gap = _GAP_DRIFT + _GAP_DEVIATION * (surprise + _GAP_SURPRISE * surprise**3)
        mood = np.where(news[1:, :, 2] < _BAD_DAY_BELOW, _BAD_DAY, _GOOD_DAY)
        # What drifts up overnight is given back by day, as it is in real markets.
        day = mood - _GAP_DRIFT + _DAY_DEVIATION * self._mixed(news[..., 1])
        gap = np.clip(self._volatility * gap, -_MAX_GAP, _MAX_GAP)
        day = np.clip(self._volatility * day, -_MAX_DAY, _MAX_DAY)
        opens, closes = np.empty_like(gap), np.empty_like(day)
        last = self._closes[:, -1] if self._closes.shape[1] else self._usual
        for number in range(_DAYS_AT_ONCE):
            opens[:, number] = last + gap[:, number]
            last = opens[:, number] + day[:, number] - _HOMING * (last - self._usual)
            closes[:, number] = last
        self._opens = np.concatenate((self._opens, opens), axis=1)
        self._closes = np.concatenate((self._closes, closes), axis=1)


def character_of(symbol: str) -> Character:
    """What a symbol is like: from a table for those many people know, otherwise from a hash of its name."""
    if symbol in _KNOWN:
        return _KNOWN[symbol]
    price, volatility, share, volume, silence = _generator(f"character|{symbol}").random(5).tolist()
    thin = silence < 0.1
    return Character(
        price=round(9.0 * (420 / 9) ** price, 2),
        daily_volatility=0.013 + 0.025 * volatility,
        market_share=0.25 + 0.30 * share,
        minute_volume=(2_500 if thin else 8_000) * 15.0**volume,
        silence=0.20 + 3.0 * silence if thin else 0.001,
    )


def _generator(key: str) -> np.random.Generator:
    # Python's own hash() of a string is another one in every process.
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def _intraday_shape(minutes: int) -> Floats:
    """Volatility through the session, high at both ends, with a mean square of 1: (minutes,)."""
    since_open = np.arange(minutes, dtype=np.float64)
    opening = _OPENING_RUSH * np.exp(-since_open / _OPENING_MINUTES)
    closing = _CLOSING_RUSH * np.exp(-since_open[::-1] / _CLOSING_MINUTES)
    shape = 1 + opening + closing
    return np.asarray(shape / np.sqrt(np.mean(shape**2)))


def _moves(draws: _Draws, unrest: Floats) -> Floats:
    """Each source's moves, in units of its volatility in an average minute: (sources, minutes).

    The sum of a wandering value, haggling around it that soon reverts, waves, and bursts of momentum.
    """
    heat = np.exp(unrest)
    wander = _WANDER * heat * draws.wander
    offers = _decaying(_HAGGLE * heat * draws.haggle, np.exp(-1 / _HAGGLE_MINUTES))
    haggle = np.diff(offers, axis=1, prepend=0.0)
    return wander + haggle + _waves(draws.wave, draws.tempo) + _bursts(draws.burst)


def _waves(draws: Floats, tempo: Floats) -> Floats:
    """Slow rises and faster falls of uneven length. A session opens early in a rise."""
    minutes = _WAVE_MINUTES * (0.7 + 0.6 * draws[:, :1]) * np.exp(0.4 * _cluster(tempo))
    phase = (0.6 * _WAVE_RISE * draws[:, 1:] + np.cumsum(1 / minutes, axis=1)) % 1
    return _WAVE_HEIGHT / minutes * np.where(phase < _WAVE_RISE, 1 / _WAVE_RISE, -1 / (1 - _WAVE_RISE))


def _bursts(uniforms: Floats) -> Floats:
    """Runs that die down, then give back a part of their gain.

    One uniform decides both whether a burst begins and, stretched, its direction and strength.
    """
    draw = 2 * uniforms / _BURSTS_PER_MINUTE - 1
    push = np.where(draw < 1, np.sign(draw) * (0.5 + np.abs(draw)) * _BURST_STRENGTH, 0.0)
    run = _decaying(push, np.exp(-1 / _BURST_MINUTES))
    fade = _decaying(push, np.exp(-1 / _FADE_MINUTES))
    return run - _FADE_SHARE * _BURST_MINUTES / _FADE_MINUTES * fade


def _cluster(normals: Floats) -> Floats:
    """Standard normals that resemble their neighbours in time: (rows, minutes)."""
    news = np.sqrt(1 - _CLUSTER_DECAY**2)
    scaled = news * normals
    scaled[:, 0] = normals[:, 0]
    return _decaying(scaled, _CLUSTER_DECAY)


def _decaying(impulses: Floats, decay: float) -> Floats:
    """Each row's running sum of impulses, of which `decay` is left a minute later: (rows, minutes)."""
    result = impulses.copy()
    for minute in range(1, result.shape[1]):
        result[:, minute] += decay * result[:, minute - 1]
    return result


def _bent(moves: Floats, variance: Floats, total: Floats) -> Floats:
    """The moves, none too large, shifted in proportion to their variance so that each row has its total."""
    moves = np.clip(moves, -_MAX_MINUTE_MOVE, _MAX_MINUTE_MOVE)
    missing = total - moves.sum(axis=1, keepdims=True)
    moves += missing * variance / variance.sum(axis=1, keepdims=True)
    return np.clip(moves, -_MAX_MINUTE_MOVE, _MAX_MINUTE_MOVE)


def _reach(change: Floats, spread: Floats, uniforms: Floats) -> Floats:
    """How far a walk that ended at `change` got: the maximum of a Brownian bridge, within the wick limit."""
    chance = np.log(np.maximum(uniforms, 1e-12))
    furthest = (change + np.sqrt(change**2 - 2 * spread**2 * chance)) / 2
    return np.minimum(furthest, np.maximum(change, 0.0) + _MAX_WICK)


def _cents(logarithms: Floats) -> Floats:
    return np.maximum(np.round(np.exp(logarithms), 2), _FLOOR)
