"""Bars made to find fault: paths that trade a lot, and everything that goes wrong with recorded bars."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import assume
from hypothesis import strategies as st

from tests.oracle import oracle
from tests.oracle.harness import CALENDAR, Case
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.calendar import Session

#: First and last day: a half-day after a holiday, both changes of the clocks, plain weeks.
_SPANS = (
    (date(2013, 11, 27), date(2013, 11, 29)),
    (date(2013, 11, 29), date(2013, 12, 2)),
    (date(2013, 11, 1), date(2013, 11, 4)),
    (date(2014, 3, 7), date(2014, 3, 10)),
    (date(2014, 3, 6), date(2014, 3, 10)),
    (date(2013, 10, 8), date(2013, 10, 9)),
    (date(2013, 10, 9), date(2013, 10, 9)),
)
_SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
#: Price of the first bar, and the grid on which all prices lie: a coarse one puts many on thresholds.
_LEVELS = (
    (50.0, "0.01"), (50.0, "0.05"), (20.0, "0.25"), (3.0, "0.01"), (1.02, "0.0025"), (0.6, "0.0001"),
    (0.08, "0.0005"), (0.025, "0.0001"), (180.0, "0.01"), (8.0, "0.001"),
)  # fmt: skip
_SPLITS = (2, 3, 4, 5, 10, 50)


@dataclass(frozen=True)
class Mishap:
    """Something that befalls a symbol's bars from ``minute`` of its session number ``session`` on."""

    kind: str
    symbol: int
    session: int
    minute: int
    size: float
    length: int


_MISHAPS = (
    "jump that stays", "jump that stays", "jump for a while", "late jump", "late jump", "bad bar",
    "high wick", "low wick", "missing", "missing bar", "flat", "end of data", "outside hours", "nonsense",
    "twice",
)  # fmt: skip
#: Those that no recording can hold.
_IMPOSSIBLE = ("nonsense", "twice")
_SIZES = (0.5, 0.79, 0.8, 0.805, 0.97, 1.02, 1.15, 1.195, 1.2, 1.21, 1.5, 3.0)


class _Walk:
    """One symbol's prices: rises with pullbacks, falls and lulls, minute by minute."""

    def __init__(self, rng: random.Random, price: float, grid: str) -> None:
        self._rng = rng
        self.price = price
        self._grid = Decimal(grid)
        self._left = 0
        self._drift = 0.0
        self._nerves = rng.choice((0.2, 0.4, 0.8))
        self._calm = rng.choice((0.0004, 0.0008, 0.0015, 0.003))
        self._thin = rng.choice((0.0, 0.0, 0.02, 0.3))

    def on_grid(self, price: float) -> float:
        """The nearest price on the grid, a step of it at least."""
        steps = max(1, round(Decimal(repr(price)) / self._grid))
        return float(steps * self._grid)

    def next(self, symbol: str, stamp: datetime) -> Bar | None:
        """The next minute's bar, or none."""
        rng = self._rng
        if self._left == 0:
            self._left = rng.randint(2, 14)
            self._drift = rng.choice((1.0, 1.0, 0.7, -0.8, -0.5, 0.0))
        self._left -= 1
        before = self.price
        opened = self.on_grid(
            before * (1 + (0.3 * self._calm * rng.gauss(0, 1) if rng.random() < 0.3 else 0))
        )
        move = self._calm * (self._drift + self._nerves * rng.gauss(0, 1))
        closed = self.on_grid(opened * (1 + move))
        reach = self._calm * self._nerves
        high = max(opened, closed, self.on_grid(max(opened, closed) * (1 + reach * abs(rng.gauss(0, 0.7)))))
        low = min(opened, closed, self.on_grid(min(opened, closed) * (1 - reach * abs(rng.gauss(0, 0.7)))))
        self.price = closed
        if rng.random() < self._thin:
            return None
        return Bar(symbol, stamp, opened, high, low, closed, rng.randint(0, 5000))


def _scaled(bar: Bar | None, factor: float, walk: _Walk) -> Bar | None:
    if bar is None:
        return None
    opened, high, low, closed = (walk.on_grid(x * factor) for x in (bar.open, bar.high, bar.low, bar.close))
    return bar._replace(open=opened, high=high, low=low, close=closed)


def _befall(bars: list[Bar | None], mishap: Mishap, walk: _Walk) -> list[Bar]:
    """Do what ``mishap`` says to the minutes of one session (None: no bar); bars that come on top."""
    at, size = min(mishap.minute, len(bars) - 1), mishap.size
    until = min(at + mishap.length, len(bars))
    bar = bars[at]
    match mishap.kind:
        case "jump that stays":
            bars[at:] = [_scaled(b, size, walk) for b in bars[at:]]
        case "jump for a while":
            bars[at:until] = [_scaled(b, size, walk) for b in bars[at:until]]
        case "late jump":
            bars[at:] = [_scaled(b, size, walk) for b in bars[at:]]
            bars[at + 1 : until] = [None] * len(bars[at + 1 : until])
        case "bad bar":
            bars[at] = _scaled(bar, size, walk)
        case "high wick" if bar is not None:
            bars[at] = bar._replace(high=max(bar.high, walk.on_grid(bar.high * max(size, 1 / size))))
        case "low wick" if bar is not None:
            bars[at] = bar._replace(low=min(bar.low, walk.on_grid(bar.low * min(size, 1 / size))))
        case "missing":
            bars[at:until] = [None] * (until - at)
        case "missing bar":
            bars[at] = None
        case "flat" if bar is not None:
            price = bar.close
            bars[at:until] = [
                b and b._replace(open=price, high=price, low=price, close=price) for b in bars[at:until]
            ]
        case "end of data":
            bars[at:] = [None] * (len(bars) - at)
        case "nonsense" if bar is not None:
            bars[at] = _nonsense(bar, mishap.length)
        case "twice" if bar is not None:
            return [bar._replace(close=bar.low, volume=bar.volume + 1)]
    return []


def _nonsense(bar: Bar, number: int) -> Bar:
    wrong = (
        bar._replace(close=math.nan), bar._replace(high=math.inf), bar._replace(low=0.0),
        bar._replace(open=-bar.open), bar._replace(high=bar.low * 0.99), bar._replace(volume=-1),
        bar._replace(timestamp=bar.timestamp + timedelta(seconds=1)),
    )  # fmt: skip
    return wrong[number % len(wrong)]


def _outside(name: str, session: Session, price: float) -> list[Bar]:
    """Bars before the open and after the close."""
    before = [session.open - n * MINUTE for n in (1, 2, 5)]
    after = [session.close + n * MINUTE for n in (0, 1, 7)]
    return [Bar(name, stamp, price, price, price, price, 1000) for stamp in before + after]


def _symbol_bars(
    number: int, walk: _Walk, sessions: Sequence[Session], mishaps: Sequence[Mishap], nights: Sequence[float]
) -> list[Bar]:
    """All bars of one symbol; its price is multiplied by one of ``nights`` between two sessions."""
    name = _SYMBOLS[number]
    found: dict[datetime, list[Bar]] = {}
    for at, session in enumerate(sessions):
        if at:
            walk.price = walk.on_grid(walk.price * nights[at - 1])
        bars = [walk.next(name, session.open + minute * MINUTE) for minute in range(session.minutes)]
        extra: list[Bar] = []
        # Nonsense comes last: nothing can be computed from it.
        for mishap in sorted(mishaps, key=lambda mishap: mishap.kind in _IMPOSSIBLE):
            if (mishap.symbol, mishap.session) == (number, at):
                if mishap.kind == "outside hours":
                    for bar in _outside(name, session, walk.on_grid(walk.price * mishap.size)):
                        found.setdefault(bar.timestamp, [bar])
                else:
                    extra += _befall(bars, mishap, walk)
        for one in [*bars, *extra]:
            if one is not None:
                found.setdefault(one.timestamp, []).append(one)
    return [bar for stamp in sorted(found) for bar in found[stamp]]


_FACTORS = st.sampled_from(
    (1.0, 1.0, 1.0, 1.03, 0.96, 1.3, 0.7, *(float(n) for n in _SPLITS), *(1 / n for n in _SPLITS),
     0.5 * 0.971, 0.5 * 1.0305, 0.5 * 0.9705, 3 * 1.029, 3 * 0.9701)
)  # fmt: skip

_D = Decimal
_VELEZ = st.builds(
    oracle.VelezParams,
    sma_fast=st.sampled_from((5, 8)),
    sma_slow=st.just(100),
    candle_interval_minutes=st.sampled_from((1, 1, 1, 2)),
    tightness_threshold_pct=st.sampled_from((2.0, 5.0, 5.0)),
    strong_candle_body_pct=st.sampled_from((50.0, 30.0, 30.0, 80.0)),
    doji_threshold_pct=st.sampled_from((10.0, 1.0, 30.0)),
    stop_buffer_pct=st.sampled_from((_D("0.1"), _D("0.05"), _D(1))),
    stop_buffer_min=st.sampled_from((_D("0.02"), _D("0.01"))),
    buy_stop_expiry_candles=st.integers(1, 3),
    max_run_candles=st.sampled_from((3, 2, 4)),
    cooldown_candles=st.sampled_from((1, 0, 3)),
    max_entry_slippage_r=st.sampled_from((_D("0.5"), _D(0), _D("0.1"), _D(2))),
)
_RISK = st.builds(
    oracle.RiskParams,
    max_risk_per_trade_pct=st.sampled_from((_D("1.0"), _D(5))),
    max_risk_per_trade=st.sampled_from((_D(500), _D(500), _D(5000), _D(10))),
    max_position_pct=st.sampled_from((_D("5.0"), _D(25), _D(1))),
    max_open_positions=st.sampled_from((5, 5, 2, 1)),
    max_gross_exposure_pct=st.sampled_from((_D(100), _D(30), _D(200))),
    max_daily_loss_pct=st.sampled_from((_D("3.0"), _D(1))),
    consecutive_loss_pause=st.sampled_from((10, 3, 2)),
    consecutive_loss_min_r=st.sampled_from((_D("0.25"), _D(0), _D(1))),
    max_order_value=st.sampled_from((_D(50_000), _D(50_000), _D(50_000), _D(4_000))),
    max_entries_per_symbol_per_day=st.sampled_from((20, 20, 20, 3)),
    max_entries_per_day=st.sampled_from((100, 100, 100, 5)),
    max_volume_pct=st.sampled_from((_D(0), _D(0), _D(0), _D(1), _D(100))),
    max_orders_per_minute=st.sampled_from((30, 30, 1, 2)),
    price_collar_pct=st.sampled_from((_D("5.0"), _D("5.0"), _D("5.0"), _D("0.1"))),
    max_bar_jump_pct=st.sampled_from((_D(20), _D(20), _D(20), _D(5), _D(1))),
)
_SESSION = st.sampled_from(
    (oracle.SessionParams(), oracle.SessionParams(15, 1), oracle.SessionParams(2, 2),
     oracle.SessionParams(60, 30), oracle.SessionParams())
)  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A market of a few symbols, with mishaps, and settings under which it is traded."""
    sessions = CALENDAR.sessions(*draw(st.sampled_from(_SPANS)))
    count = draw(st.integers(2, len(_SYMBOLS)))
    later = len(sessions) > 1 and draw(st.booleans())
    warm = later and draw(st.booleans())
    mishaps = draw(
        st.lists(
            st.builds(
                Mishap,
                # History comes from a recording, so with warm-up only possible bars are made.
                st.sampled_from([kind for kind in _MISHAPS if not warm or kind not in _IMPOSSIBLE]),
                st.integers(0, count - 1),
                st.integers(0, len(sessions) - 1),
                st.one_of(st.integers(0, 389), st.sampled_from((0, 1, 208, 209, 387, 388, 389))),
                st.sampled_from(_SIZES),
                st.integers(1, 12),
            ),
            min_size=draw(st.sampled_from((0, 0, 6))),
            max_size=16,
        )
    )
    bars: list[Bar] = []
    for number in range(count):
        walk = _Walk(random.Random(draw(st.integers(0, 2**32))), *draw(st.sampled_from(_LEVELS)))
        nights = draw(st.lists(_FACTORS, min_size=len(sessions) - 1, max_size=len(sessions) - 1))
        bars += _symbol_bars(number, walk, sessions, mishaps, nights)
    case = Case(
        bars, _SYMBOLS[:count], draw(_VELEZ), draw(_RISK), draw(_SESSION),
        sessions[1].date if later else None, warm, draw(st.sampled_from((_D(100_000), _D(5_000)))),
        draw(st.sampled_from((1, 0, 3))), not any(mishap.kind in _IMPOSSIBLE for mishap in mishaps),
    )  # fmt: skip
    live = sessions[1:] if later else sessions
    assume(any(session.contains(bar.timestamp) for bar in bars for session in live))
    return case
