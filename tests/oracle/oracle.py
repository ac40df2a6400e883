"""A plain, slow reference for the Velez rule and for simulated fills.

Written from the design document alone, as a second opinion to the production engine: nothing of it is
imported. The text in quotation marks beside the code is the sentence of the specification which that code
carries out. Time is walked in steps of 30 seconds from a session's open to its close, because everything
happens either at a whole minute (deliveries, cut-off, flatten, close) or 90 s after one (candle time-outs,
clock expiry of entries).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import exchange_calendars

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
HALF_MINUTE = timedelta(seconds=30)
NINETY_SECONDS = timedelta(seconds=90)
ZERO = Decimal(0)
HUNDRED = Decimal(100)
SPLITS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50)

WATCHING, PULLING_BACK, TRAILING = "WATCHING", "PULLING_BACK", "TRAILING"


# ------------------------------------------------------------------------------------------ parameters


@dataclass(frozen=True)
class VelezParams:
    sma_fast: int = 20
    sma_slow: int = 200
    candle_interval_minutes: int = 2
    tightness_threshold_pct: float = 2.0
    strong_candle_body_pct: float = 50.0
    doji_threshold_pct: float = 10.0
    stop_buffer_pct: Decimal = Decimal("0.1")
    stop_buffer_min: Decimal = Decimal("0.02")
    buy_stop_expiry_candles: int = 1
    max_run_candles: int = 3
    cooldown_candles: int = 1
    max_entry_slippage_r: Decimal = Decimal("0.5")


@dataclass(frozen=True)
class RiskParams:
    max_risk_per_trade_pct: Decimal = Decimal("1.0")
    max_risk_per_trade: Decimal = Decimal(500)
    max_position_pct: Decimal = Decimal("5.0")
    max_open_positions: int = 5
    max_gross_exposure_pct: Decimal = Decimal(100)
    max_daily_loss_pct: Decimal = Decimal("3.0")
    consecutive_loss_pause: int = 3
    consecutive_loss_min_r: Decimal = Decimal("0.25")
    max_order_value: Decimal = Decimal(50000)
    max_entries_per_symbol_per_day: int = 20
    max_entries_per_day: int = 100
    max_volume_pct: Decimal = Decimal(0)
    max_orders_per_minute: int = 30
    price_collar_pct: Decimal = Decimal("5.0")
    max_bar_jump_pct: Decimal = Decimal(20)


@dataclass(frozen=True)
class SessionParams:
    no_entries_before_close_min: int = 15
    flatten_before_close_min: int = 3


# ------------------------------------------------------------------------------------------ things


@dataclass(frozen=True)
class Bar:
    symbol: str
    timestamp: datetime  # "bars carry the *start* of their minute"
    open: float
    high: float
    low: float
    close: float
    volume: float
    adjusted: bool = False


@dataclass(frozen=True)
class Session:
    open: datetime
    close: datetime


@dataclass
class Candle:
    symbol: str
    start: datetime
    end: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    bars: int


@dataclass
class Entry:
    """A working buy stop-limit order."""

    symbol: str
    qty: int
    stop_price: Decimal  # the candle's high rounded up
    limit_price: Decimal
    stop_loss: Decimal  # of the signal: where the protective stop will be placed
    placed_at: datetime
    clock_expiry: datetime
    candles_counted: int = 0
    triggered: bool = False


@dataclass
class Trail:
    """What VelezStrategy remembers of an open position."""

    state: str = WATCHING
    low: float = 0.0
    greens: int = 0
    strong_run: int = 0


@dataclass
class Position:
    symbol: str
    qty: int
    entry_price: Decimal
    entry_stamp: datetime
    planned_risk: Decimal
    stop_price: Decimal
    stop_working: bool
    stop_matches_from: datetime
    exit_reason: str | None = None  # not None: a market exit is working
    exit_placed_at: datetime | None = None
    trail: Trail = field(default_factory=Trail)


@dataclass(frozen=True)
class Fill:
    symbol: str
    role: str  # ENTRY, STOP, EXIT
    price: Decimal
    stamp: datetime
    rest: list[Decimal]  # what follows on the bar's path, beginning with the point of the fill
    entry: Entry | None = None


@dataclass
class SymbolState:
    """All that is known of one symbol."""

    closes: list[float] = field(default_factory=list)  # of candles, oldest first; runs on across sessions
    candle: Candle | None = None  # the candle being built
    volumes: list[float] = field(default_factory=list)  # of delivered bars
    last_close: Decimal | None = None  # of the last delivered bar, of any session
    last_stamp: datetime | None = None  # of the same bar
    last_seen: datetime | None = None  # of the last bar that came, withheld ones included
    session_close: Decimal | None = None  # last accepted close of this session
    withheld: Bar | None = None
    entry: Entry | None = None
    position: Position | None = None
    entries_today: int = 0
    exit_stamp: datetime | None = None  # of the last trade closed in this session
    candle_ends: list[datetime] = field(default_factory=list)  # of the candles closed in this session


# ------------------------------------------------------------------------------------------ prices


def dec(x: float) -> Decimal:
    """Spec: "prices become `Decimal(repr(x))` before order arithmetic"."""
    return Decimal(repr(x))


def tick(price: Decimal) -> Decimal:
    """Spec: "the exchange tick [...] ($0.01 at or above $1, $0.0001 below"."""
    return Decimal("0.01") if price >= 1 else Decimal("0.0001")


def round_up(price: Decimal) -> Decimal:
    return price.quantize(tick(price), rounding=ROUND_CEILING)


def round_down(price: Decimal) -> Decimal:
    return price.quantize(tick(price), rounding=ROUND_FLOOR)


def bar_path(bar: Bar) -> list[Decimal]:
    """Spec: "close >= open: open -> low -> high -> close; otherwise open -> high -> low -> close"."""
    o, h, lo, c = dec(bar.open), dec(bar.high), dec(bar.low), dec(bar.close)
    return [o, lo, h, c] if bar.close >= bar.open else [o, h, lo, c]


def match_entry(order: Entry, path: list[Decimal], ticks: int) -> tuple[Decimal, list[Decimal]] | None:
    """Match a buy stop-limit with a path: (fill price, the rest of the path from the fill on), or None."""

    def slip(price: Decimal) -> Decimal:
        return price + ticks * tick(price)  # "slippage [...] is added to buys"

    if order.triggered:
        # "(at a lower open: open + slippage, at most the limit)"
        if path[0] <= order.limit_price:
            return min(slip(path[0]), order.limit_price), path
        rest = path
    else:
        # "triggered where the path first reaches the stop (at the open when that is at or above)"
        if path[0] >= order.stop_price:
            price, rest = path[0], path
        else:
            for i in range(1, len(path)):
                if path[i] >= order.stop_price:
                    price, rest = order.stop_price, [order.stop_price, *path[i:]]
                    break
            else:
                return None
        order.triggered = True
        # "filled there if price + slippage <= limit, else it rests as a limit order"
        if slip(price) <= order.limit_price:
            return slip(price), rest
    # "A triggered entry that rests fills at its limit on the next downward move that ends at or below it."
    for i in range(1, len(rest)):
        came_from, went_to = rest[i - 1], rest[i]
        if went_to < came_from and went_to <= order.limit_price:
            return order.limit_price, [min(came_from, order.limit_price), *rest[i:]]
    return None


def match_sell_stop(stop: Decimal, path: list[Decimal], ticks: int) -> Decimal | None:
    """Spec: "Sell stop: at the open if that is already at or below it, else at the stop price."."""
    if path[0] <= stop:
        return path[0] - ticks * tick(path[0])  # "and taken from sells"
    if any(point <= stop for point in path[1:]):
        return stop - ticks * tick(stop)
    return None


# ------------------------------------------------------------------------------------------ the rule


def reaches(value: float, threshold: float) -> bool:
    """Spec: "thresholds compare with a tolerance of 1e-6 percentage points, and equality reaches the
    threshold".
    """
    return value >= threshold - 1e-6


def body_pct(c: Candle) -> float:
    """Spec: "body % = |close - open| / (high - low) x 100 (0 when high = low)"."""
    return 0.0 if c.high == c.low else abs(c.close - c.open) / (c.high - c.low) * 100


def is_strong(c: Candle, p: VelezParams) -> bool:
    return reaches(body_pct(c), p.strong_candle_body_pct)  # "Strong: >= strong threshold."


def is_doji(c: Candle, p: VelezParams) -> bool:
    return not reaches(body_pct(c), p.doji_threshold_pct)  # "Doji: < doji threshold."


def is_green(c: Candle, p: VelezParams) -> bool:
    return c.close > c.open and not is_doji(c, p)


def is_red(c: Candle, p: VelezParams) -> bool:
    return c.close < c.open and not is_doji(c, p)


def sma(closes: Sequence[float], n: int, back: int = 0) -> float | None:
    """The mean of the last n closes, `back` candles ago; None when there are not enough."""
    last = len(closes) - back
    if last < n:
        return None
    return math.fsum(closes[last - n : last]) / n


def is_long_signal(c: Candle, closes: Sequence[float], p: VelezParams) -> bool:
    """Spec: "Long signal, all of" (but the cooldown, which the caller knows); `closes` ends with this
    candle's.
    """
    # "at least sma_slow + 1 candles (so that previous values are known)"
    if len(closes) < p.sma_slow + 1:
        return False
    fast, slow = sma(closes, p.sma_fast), sma(closes, p.sma_slow)
    fast_before, slow_before = sma(closes, p.sma_fast, 1), sma(closes, p.sma_slow, 1)
    if fast is None or slow is None or fast_before is None or slow_before is None:
        return False
    # "|fast - slow| / close x 100 < tightness"
    if reaches(abs(fast - slow) / c.close * 100, p.tightness_threshold_pct):
        return False
    # "fast > slow", which "means by more than 1e-9 x close"
    if not fast - slow > 1e-9 * c.close:
        return False
    # "(fast - slow) exceeds the previous (fast - slow) by more than 1e-9 x close"
    if not (fast - slow) - (fast_before - slow_before) > 1e-9 * c.close:
        return False
    # "close > open; strong candle"
    return c.close > c.open and is_strong(c, p)


def stop_below(low: float, p: VelezParams) -> Decimal:
    """Spec: "Stop loss: low - max(low x buffer%, buffer min), rounded down."."""
    x = dec(low)
    return round_down(x - max(x * p.stop_buffer_pct / HUNDRED, p.stop_buffer_min))


def trail_step(t: Trail, c: Candle, p: VelezParams) -> Decimal | None:
    """Spec: "Trail, three states, one step for each closed candle": returns where the stop should go, if
    anywhere.
    """
    target: Decimal | None = None
    if t.state == WATCHING:
        # "WATCHING: red -> PULLING_BACK (low = its low, greens = 0)."
        if is_red(c, p):
            t.state, t.low, t.greens = PULLING_BACK, c.low, 0
    elif t.state == PULLING_BACK:
        # "low = min(low, this candle's low) whatever its colour (a doji's too)"
        t.low = min(t.low, c.low)
        if is_red(c, p):
            t.greens = 0  # "red -> greens = 0"
        elif is_green(c, p):
            t.greens += 1  # "green -> greens + 1"
            if t.greens == 2:
                # "at 2 greens -> stop to low - the same buffer (only ever upward), -> TRAILING"
                target = stop_below(t.low, p)
                t.state, t.strong_run = TRAILING, 0
    elif is_red(c, p):
        # "TRAILING: red -> PULLING_BACK (low = its low, greens = 0)"
        t.state, t.low, t.greens = PULLING_BACK, c.low, 0
    # "in TRAILING, `max_run_candles` strong candles in a row -> exit; the candle that entered TRAILING
    # counts; a candle that is not strong (a doji too) resets the count, so does leaving TRAILING"
    t.strong_run = t.strong_run + 1 if t.state == TRAILING and is_strong(c, p) else 0
    return target


# ------------------------------------------------------------------------------------------ the simulation


class Simulation:
    def __init__(
        self,
        symbols: Iterable[str],
        cash: Decimal,
        slippage_ticks: int,
        velez: VelezParams,
        risk: RiskParams,
        session_params: SessionParams,
    ) -> None:
        self.symbols = sorted(set(symbols))  # "A-Z"
        self.cash = cash
        self.ticks = slippage_ticks
        self.velez = velez
        self.risk = risk
        self.session_params = session_params
        self.of = {symbol: SymbolState() for symbol in self.symbols}
        self.trading = True  # False while bars before the start only warm the indicators
        self.session: Session | None = None
        self.sent: list[datetime] = []  # when orders were sent (stop moves left out)
        # these are of one session
        self.entries_today = 0
        self.first_equity: Decimal | None = None
        self.tripped = False
        self.losing_streak = 0
        # what comes out
        self.candles: list[dict[str, Any]] = []
        self.signals: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        self.fills: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.bar_rejections: list[dict[str, Any]] = []
        self.bar_adjustments: list[dict[str, Any]] = []
        self.cold: list[dict[str, Any]] = []
        self.breaker: list[dict[str, Any]] = []
        self.sessions_out: list[dict[str, Any]] = []

    # ------------------------------------------------------------------ a session

    def run_session(self, session: Session, bars: Iterable[Bar], trading: bool) -> None:
        self.session, self.trading = session, trading
        # "only breakers, entry counts and cooldown reset"; "the losing streak starts anew each session"
        self.entries_today, self.first_equity, self.tripped, self.losing_streak = 0, None, False, 0
        for s in self.of.values():
            s.entries_today, s.exit_stamp, s.candle_ends, s.session_close = 0, None, [], None
        # "Only regular-session bars count"
        delivered_at: dict[datetime, list[Bar]] = {}
        for bar in bars:
            if session.open <= bar.timestamp < session.close and bar.symbol in self.of:
                # "A bar stamped 09:31 [...] is *delivered* at 09:32:00."
                minute = bar.timestamp.replace(second=0, microsecond=0)
                delivered_at.setdefault(minute + MINUTE, []).append(bar)
        # "Events are handled in time order."
        now = session.open
        while now <= session.close:
            self.instant(now, delivered_at.get(now, []))
            now += HALF_MINUTE
        if trading:
            assert not any(s.entry or s.position or s.candle or s.withheld for s in self.of.values())
            self.sessions_out.append(
                {"open": iso(session.open), "close": iso(session.close), "equity": money(self.equity())}
            )

    def instant(self, now: datetime, arrived: list[Bar]) -> None:
        assert self.session is not None
        # Bad bars never get as far as the broker: "A withheld bar is no delivery until accepted".
        accepted: dict[str, list[Bar]] = {}
        for symbol in self.symbols:
            accepted[symbol] = []
            for bar in arrived:
                if bar.symbol == symbol:
                    accepted[symbol] += self.screen(bar, now)
        if self.first_equity is None and any(accepted.values()):
            self.first_equity = self.equity()  # "equity at the session's first delivery"
        # A confirmed bar and the one that confirmed it "are accepted in order": the older ones first.
        older = [bar for bars in accepted.values() for bar in bars[:-1]]
        newer = [bar for bars in accepted.values() for bar in bars[-1:]]
        for bars in (older, newer):
            # "(1) the broker matches all bars delivered then, A-Z"
            fills = [fill for bar in bars for fill in self.match(bar)]
            # "(2) the engine handles those fills, its protective stops are tested against the rest of their
            # bars, and so on until quiet"
            while fills:
                for fill in fills:
                    self.handle_fill(fill, now)
                fills = [new for fill in fills for new in self.match_rest(fill)]
        # "All closes delivered at an instant are known before its first decision."
        for bar in older + newer:
            s = self.of[bar.symbol]
            s.last_close, s.last_stamp = dec(bar.close), bar.timestamp
            s.volumes.append(bar.volume)
        # "(3) the engine sees the bars, A-Z"
        for symbol in self.symbols:
            for bar in accepted[symbol]:
                self.see_bar(bar, now)
        # "(4) timers"
        self.timers(now)
        # "day P/L = equity - equity at the session's first delivery, checked after each instant; trips at
        # <= -max_daily_loss_pct of the latter"
        if self.trading and self.first_equity is not None:
            day_pnl = self.equity() - self.first_equity
            if day_pnl <= -self.risk.max_daily_loss_pct / HUNDRED * self.first_equity:
                self.trip(now, "daily_loss")

    def timers(self, now: datetime) -> None:
        assert self.session is not None
        close = self.session.close
        # "Candles close [...] 90 s after the window's end"
        for symbol in self.symbols:
            candle = self.of[symbol].candle
            if candle is not None and now == candle.end + NINETY_SECONDS:
                self.close_candle(symbol, now)
        # "Clock expiry and a candle's time-out at one instant: the candle first"
        for symbol in self.symbols:
            entry = self.of[symbol].entry
            if entry is not None and now == entry.clock_expiry:
                self.drop_entry(symbol, now, "expire", "clock")
        # "Cut-off at `close - no_entries_before_close_min`: [...] working entries cancelled"
        if now == self.cut_off():
            for symbol in self.symbols:
                self.drop_entry(symbol, now, "cancel", "cut_off")
        # "Flatten at `close - flatten_before_close_min`: market exits"
        if now == close - self.session_params.flatten_before_close_min * MINUTE:
            for symbol in self.symbols:
                if self.of[symbol].position is not None:
                    self.send_exit(symbol, now, "end_of_day")
        # "At the session's close: exits, then withheld bars, then candles."
        if now == close:
            for symbol in self.symbols:
                s = self.of[symbol]
                if s.position is not None and s.position.exit_reason is not None:
                    # "A market exit that meets no further bar in its session, or in the data, fills at the
                    # last close less slippage." "An exit without a further bar bears the stamp of the bar
                    # whose close it got."
                    assert s.last_close is not None
                    assert s.last_stamp is not None
                    price = s.last_close - self.ticks * tick(s.last_close)
                    self.handle_fill(Fill(symbol, "EXIT", price, s.last_stamp, []), now)
            for symbol in self.symbols:
                # "otherwise (and at the session's close) it is rejected"
                withheld = self.of[symbol].withheld
                if withheld is not None:
                    self.of[symbol].withheld = None
                    self.reject_bar(withheld, now, "jump")
            for symbol in self.symbols:
                if self.of[symbol].candle is not None:
                    self.close_candle(symbol, now)

    def cut_off(self) -> datetime:
        assert self.session is not None
        return self.session.close - self.session_params.no_entries_before_close_min * MINUTE

    # ------------------------------------------------------------------ bad bars

    def screen(self, bar: Bar, now: datetime) -> list[Bar]:
        """What the arrival of this bar lets through: nothing, itself, or a withheld bar and itself."""
        s = self.of[bar.symbol]
        fault = bar_fault(bar)
        if fault is None and s.last_seen is not None and bar.timestamp <= s.last_seen:
            fault = "duplicate" if bar.timestamp == s.last_seen else "out of order"
        if fault is not None:
            self.reject_bar(bar, now, fault)
            return []
        s.last_seen = bar.timestamp

        confirmed: list[Bar] = []
        if s.withheld is not None:
            # "if the next bar's open is within that of the withheld close, both are accepted in order,
            # otherwise [...] it is rejected"
            if not self.jumps(bar.open, dec(s.withheld.close)):
                confirmed = [s.withheld]
                s.session_close = dec(s.withheld.close)
            else:
                self.reject_bar(s.withheld, now, "jump")
            s.withheld = None

        last = s.session_close
        if last is None:
            # the first bar of a session has nothing of the same session to be compared with
            if s.last_close is not None and is_split(s.last_close, dec(bar.open)):
                self.turn_cold(bar, now)
        elif self.jumps(bar.open, last) or self.jumps(bar.close, last):
            # "open or close more than `max_bar_jump_pct` (20) from the last accepted close of the same
            # session: withheld"
            if not confirmed:
                s.withheld = bar
                return []
        else:
            # "A high or low beyond it while open and close are within is cut back to the body (`adjusted:
            # true`)."
            high, low = bar.high, bar.low
            if self.jumps(high, last):
                high = max(bar.open, bar.close)
            if self.jumps(low, last):
                low = min(bar.open, bar.close)
            if high != bar.high or low != bar.low:
                bar = Bar(
                    bar.symbol, bar.timestamp, bar.open, high, low, bar.close, bar.volume, adjusted=True
                )
                if self.trading:
                    self.bar_adjustments.append(
                        {"symbol": bar.symbol, "timestamp": iso(bar.timestamp), "high": high, "low": low}
                    )
        s.session_close = dec(bar.close)
        return [*confirmed, bar]

    def jumps(self, price: float, last: Decimal) -> bool:
        return abs(dec(price) - last) * HUNDRED > self.risk.max_bar_jump_pct * last

    def reject_bar(self, bar: Bar, now: datetime, reason: str) -> None:
        if self.trading:
            self.bar_rejections.append(
                {"time": iso(now), "symbol": bar.symbol, "timestamp": iso(bar.timestamp), "reason": reason}
            )

    def turn_cold(self, bar: Bar, now: datetime) -> None:
        # "the symbol turns COLD; its history is [...] (replay, backtest) dropped"
        s = self.of[bar.symbol]
        s.closes, s.volumes = [], []
        if self.trading:
            self.cold.append({"time": iso(now), "symbol": bar.symbol})

    # ------------------------------------------------------------------ the broker

    def match(self, bar: Bar) -> list[Fill]:
        """Spec: "An order matches only bars stamped at or after its placement"."""
        s = self.of[bar.symbol]
        path = bar_path(bar)
        if s.entry is not None and bar.timestamp >= s.entry.placed_at:
            filled = match_entry(s.entry, path, self.ticks)
            if filled is not None:
                entry, s.entry = s.entry, None
                return [Fill(bar.symbol, "ENTRY", filled[0], bar.timestamp, filled[1], entry)]
        p = s.position
        if p is not None and p.exit_placed_at is not None and bar.timestamp >= p.exit_placed_at:
            # "Market: at the open of the next bar."
            return [Fill(bar.symbol, "EXIT", path[0] - self.ticks * tick(path[0]), bar.timestamp, [])]
        if p is not None and p.stop_working and bar.timestamp >= p.stop_matches_from:
            price = match_sell_stop(p.stop_price, path, self.ticks)
            if price is not None:
                return [Fill(bar.symbol, "STOP", price, bar.timestamp, [])]
        return []

    def match_rest(self, fill: Fill) -> list[Fill]:
        """Spec: "A protective stop placed in answer to a fill inside a bar is tested against what follows
        that point".
        """
        p = self.of[fill.symbol].position
        if fill.role != "ENTRY" or p is None or not p.stop_working:
            return []
        price: Decimal | None
        if fill.price < p.stop_price:
            # "When an entry fills below its own stop loss, the stop fills at that price less slippage."
            price = fill.price - self.ticks * tick(fill.price)
        else:
            price = match_sell_stop(p.stop_price, fill.rest, self.ticks)
        return [] if price is None else [Fill(fill.symbol, "STOP", price, fill.stamp, [])]

    def handle_fill(self, fill: Fill, now: datetime) -> None:
        s = self.of[fill.symbol]
        if fill.role == "ENTRY":
            e = fill.entry
            assert e is not None
            self.cash -= e.qty * fill.price
            s.position = Position(
                symbol=fill.symbol,
                qty=e.qty,
                entry_price=fill.price,
                entry_stamp=fill.stamp,
                # "planned risk = quantity x (entry - stop loss) of the signal"
                planned_risk=e.qty * (e.stop_price - e.stop_loss),
                stop_price=e.stop_loss,
                stop_working=True,
                # "(the protective stop of an in-bar fill excepted)": it matches whatever follows its fill
                stop_matches_from=fill.stamp,
            )
            self.log_fill(fill, "buy", e.qty)
            self.log_order(now, fill.symbol, "STOP", "submit", qty=e.qty, stop_price=e.stop_loss)
            return
        p = s.position
        assert p is not None
        self.cash += p.qty * fill.price
        self.log_fill(fill, "sell", p.qty)
        pnl = (fill.price - p.entry_price) * p.qty
        self.trades.append(
            {
                "symbol": fill.symbol,
                "qty": p.qty,
                "entry_time": iso(p.entry_stamp),
                "entry_price": money(p.entry_price),
                "exit_time": iso(fill.stamp),
                "exit_price": money(fill.price),
                "pnl": money(pnl),
                "reason": "stop" if fill.role == "STOP" else p.exit_reason,
            }
        )
        s.position = None  # "When the position closes, all of this resets."
        s.exit_stamp = fill.stamp
        # "Losing trades in a row, across symbols in order of closing, count when the loss is at least
        # consecutive_loss_min_r (0.25) of the trade's planned risk; smaller losses neither count nor reset;
        # pnl >= 0 resets."
        if pnl >= 0:
            self.losing_streak = 0
        elif -pnl >= self.risk.consecutive_loss_min_r * p.planned_risk:
            self.losing_streak += 1
            if self.losing_streak >= self.risk.consecutive_loss_pause:
                self.trip(now, "consecutive_losses")

    # ------------------------------------------------------------------ candles

    def see_bar(self, bar: Bar, now: datetime) -> None:
        assert self.session is not None
        s = self.of[bar.symbol]
        # "windows aligned to the session open"
        interval = self.velez.candle_interval_minutes * MINUTE
        start = self.session.open + (bar.timestamp - self.session.open) // interval * interval
        end = min(start + interval, self.session.close)
        # "a candle made by a later bar's delivery is decided before that bar joins the next window"
        if s.candle is not None and s.candle.start != start:
            self.close_candle(bar.symbol, now)
        # "one confirmed after its candle closed is matched but joins no candle"
        if now > end + NINETY_SECONDS:
            return
        if s.candle is None:
            s.candle = Candle(bar.symbol, start, end, bar.open, bar.high, bar.low, bar.close, bar.volume, 1)
        else:
            c = s.candle
            c.high, c.low, c.close = max(c.high, bar.high), min(c.low, bar.low), bar.close
            c.volume += bar.volume
            c.bars += 1
        # "Candles close on delivery of their window's last minute"
        if bar.timestamp == end - MINUTE:
            self.close_candle(bar.symbol, now)

    def close_candle(self, symbol: str, now: datetime) -> None:
        s = self.of[symbol]
        c = s.candle
        assert c is not None
        s.candle = None
        s.closes.append(c.close)
        s.candle_ends.append(c.end)
        if not self.trading:
            return
        self.candles.append(
            {
                "symbol": symbol,
                "timestamp": iso(c.start),
                "minutes": self.velez.candle_interval_minutes,
                "open": c.open,
                "high": c.high,
                "low": c.low,
                "close": c.close,
                "volume": c.volume,
                "bars": c.bars,
                "complete": c.bars == (c.end - c.start) // MINUTE,  # "every minute was there"
                "sma_fast": sma(s.closes, self.velez.sma_fast),
                "sma_slow": sma(s.closes, self.velez.sma_slow),
            }
        )
        # "At a candle close, in this order: with a position: trail, then exit; with a pending entry: count
        # the candle, expire it when old enough; with neither, and entries allowed: signal."
        if s.position is not None:
            self.manage_position(c, s.position, now)
        elif s.entry is not None:
            s.entry.candles_counted += 1
            if s.entry.candles_counted >= self.velez.buy_stop_expiry_candles:
                self.drop_entry(symbol, now, "expire", "candles")
                # "A candle that expires an entry gives no new signal."
        elif now < self.cut_off() and not self.tripped:
            # "from then on no signal (by the time of decision)"; "While entries are not allowed (paused,
            # breaker, closing, cut-off) strategies are not asked for signals."
            self.look_for_signal(c, now)

    def manage_position(self, c: Candle, p: Position, now: datetime) -> None:
        # "While an exit is working candles change nothing and the first reason stays."
        if p.exit_reason is not None:
            return
        # "one step for each closed candle that ends after the entry fill"
        if not c.end > p.entry_stamp:
            return
        target = trail_step(p.trail, c, self.velez)
        if target is not None and target > p.stop_price:  # "(only ever upward)"
            if target >= dec(c.close):
                # "A trailed stop at or above the close becomes an exit at market (reason `exit`)."
                self.send_exit(c.symbol, now, "exit")
                return
            p.stop_price = target  # "A moved stop keeps its placement time."
            self.log_order(now, c.symbol, "STOP", "replace", qty=p.qty, stop_price=target)
        # "in TRAILING, `max_run_candles` strong candles in a row -> exit"
        if p.trail.strong_run >= self.velez.max_run_candles:
            self.send_exit(c.symbol, now, "exit")

    # ------------------------------------------------------------------ signals, refusals, size

    def look_for_signal(self, c: Candle, now: datetime) -> None:
        s = self.of[c.symbol]
        if not is_long_signal(c, s.closes, self.velez) or self.cooling_down(s):
            return
        # "Entry at the candle's high: a buy stop-limit, stop = high rounded up to the tick, limit = entry +
        # max_entry_slippage_r x (entry - stop loss) rounded down, never below the stop price"
        entry = round_up(dec(c.high))
        stop_loss = stop_below(c.low, self.velez)
        if stop_loss <= 0:
            return  # the text is silent here: a stop that is no price protects nothing, so there is no trade
        limit = max(entry, round_down(entry + self.velez.max_entry_slippage_r * (entry - stop_loss)))
        rule, qty = self.refusal(c.symbol, entry, stop_loss, limit, now)
        self.signals.append(
            {
                "time": iso(now),
                "symbol": c.symbol,
                "candle": iso(c.start),
                "entry_price": money(entry),
                "stop_price": money(stop_loss),
                "rejected": rule,
                "qty": qty,
                "limit_price": money(limit),
            }
        )
        if rule is not None:
            return
        assert qty is not None
        # "cancelled when `buy_stop_expiry_candles` candles have closed without a fill, or 90 s after the
        # window in which that would have been, when no candle came"; "its windows count from the signal
        # candle's"
        windows = self.velez.buy_stop_expiry_candles * self.velez.candle_interval_minutes * MINUTE
        s.entry = Entry(c.symbol, qty, entry, limit, stop_loss, now, c.end + windows + NINETY_SECONDS)
        s.entries_today += 1  # "all are counted when sent"
        self.entries_today += 1
        self.log_order(now, c.symbol, "ENTRY", "submit", qty=qty, stop_price=entry, limit_price=limit)

    def cooling_down(self, s: SymbolState) -> bool:
        """Spec: "no trade of this symbol closed within the last `cooldown_candles` candles, the present one
        included".
        """
        if s.exit_stamp is None or self.velez.cooldown_candles == 0:
            return False
        # "Cooldown counts candles whose window ends after the exit's stamp."
        candles_since = sum(1 for end in s.candle_ends if end > s.exit_stamp)
        return candles_since <= self.velez.cooldown_candles

    def refusal(
        self, symbol: str, entry: Decimal, stop_loss: Decimal, limit: Decimal, now: datetime
    ) -> tuple[str | None, int | None]:
        """The first rule that refuses the signal, or None; and the size, once it has been computed."""
        risk = self.risk
        s = self.of[symbol]
        positions = [x.position for x in self.of.values() if x.position is not None]
        working = self.working_entries()
        # "in this order: max_open_positions (positions + working entries)"
        if len(positions) + len(working) >= risk.max_open_positions:
            return "max_open_positions", None
        if s.entries_today >= risk.max_entries_per_symbol_per_day:
            return "max_entries_per_symbol_per_day", None
        if self.entries_today >= risk.max_entries_per_day:
            return "max_entries_per_day", None
        # "orders per minute is a sliding 60 s and leaves stop moves out"
        if sum(1 for sent in self.sent if sent > now - MINUTE) >= risk.max_orders_per_minute:
            return "max_orders_per_minute", None
        if not stop_loss < entry:  # "stop_side (stop not below entry)"
            return "stop_side", None
        qty = self.size(symbol, entry, stop_loss, limit)
        if qty <= 0:  # "size (0 shares)"
            return "size", 0
        # "max_order_value and gross exposure use quantity x limit"
        if qty * limit > risk.max_order_value:
            return "max_order_value", qty
        exposure = qty * limit + sum((e.qty * e.limit_price for e in working), ZERO) + self.positions_value()
        if exposure > self.equity() * risk.max_gross_exposure_pct / HUNDRED:
            return "max_gross_exposure", qty
        # "price_collar (|entry - last close| / last close)"
        assert s.last_close is not None
        if abs(entry - s.last_close) / s.last_close * HUNDRED > risk.price_collar_pct:
            return "price_collar", qty
        return None, qty

    def working_entries(self) -> list[Entry]:
        return [x.entry for x in self.of.values() if x.entry is not None]

    def size(self, symbol: str, entry: Decimal, stop_loss: Decimal, limit: Decimal) -> int:
        risk = self.risk
        equity = self.equity()
        # "floor(min(equity x max_risk_per_trade_pct / 100, max_risk_per_trade) / (entry - stop loss))"
        budget = min(equity * risk.max_risk_per_trade_pct / HUNDRED, risk.max_risk_per_trade)
        sizes = [floor_div(budget, entry - stop_loss)]
        # "at most floor(equity x max_position_pct / 100 / entry)"
        sizes.append(floor_div(equity * risk.max_position_pct / HUNDRED, entry))
        # "floor(available cash / limit price) where available cash = cash - sum of limit price x quantity of
        # working entries"
        available = self.cash - sum((e.limit_price * e.qty for e in self.working_entries()), ZERO)
        sizes.append(floor_div(available, limit))
        # "if max_volume_pct > 0, that share of the average volume of the last 20 delivered bars"
        if risk.max_volume_pct > 0:
            last_20 = [dec(v) for v in self.of[symbol].volumes[-20:]]
            sizes.append(floor_div(sum(last_20, ZERO) * risk.max_volume_pct, len(last_20) * HUNDRED))
        return max(0, min(sizes))

    def equity(self) -> Decimal:
        """Spec: "Equity = cash + sum of quantity x last delivered close."."""
        return self.cash + self.positions_value()

    def positions_value(self) -> Decimal:
        value = ZERO
        for s in self.of.values():
            if s.position is not None:
                assert s.last_close is not None
                value += s.position.qty * s.last_close
        return value

    # ------------------------------------------------------------------ orders and the breaker

    def send_exit(self, symbol: str, now: datetime, reason: str) -> None:
        p = self.of[symbol].position
        assert p is not None
        if p.exit_reason is not None:  # "the first reason stays"
            return
        # "Exit / flatten: cancel the stop -> wait for its terminal state -> sell what is really held"
        p.stop_working = False
        self.log_order(now, symbol, "STOP", "cancel", qty=p.qty, stop_price=p.stop_price)
        p.exit_reason, p.exit_placed_at = reason, now
        self.log_order(now, symbol, "EXIT", "submit", qty=p.qty, reason=reason)

    def drop_entry(self, symbol: str, now: datetime, action: str, reason: str) -> None:
        s = self.of[symbol]
        if s.entry is not None:
            e, s.entry = s.entry, None
            self.log_order(
                now,
                symbol,
                "ENTRY",
                action,
                qty=e.qty,
                stop_price=e.stop_price,
                limit_price=e.limit_price,
                reason=reason,
            )

    def trip(self, now: datetime, rule: str) -> None:
        """Spec: "A trip cancels working entries, keeps positions and their stops, and lasts until the next
        session.".
        """
        if self.tripped:
            return
        self.tripped = True
        self.breaker.append({"time": iso(now), "rule": rule})
        for symbol in self.symbols:
            self.drop_entry(symbol, now, "cancel", "breaker")

    def log_order(self, now: datetime, symbol: str, role: str, action: str, **more: object) -> None:
        if action == "submit":
            self.sent.append(now)
        line: dict[str, Any] = {"time": iso(now), "symbol": symbol, "role": role, "action": action}
        for key, value in more.items():
            line[key] = money(value) if isinstance(value, Decimal) else value
        self.orders.append(line)

    def log_fill(self, fill: Fill, side: str, qty: int) -> None:
        self.fills.append(
            {
                "symbol": fill.symbol,
                "side": side,
                "qty": qty,
                "price": money(fill.price),
                "stamp": iso(fill.stamp),
            }
        )


# ------------------------------------------------------------------------------------------ small things


def bar_fault(bar: Bar) -> str | None:
    """Spec: "not finite, not positive, high/low inconsistent, volume negative, not on a minute"."""
    prices = (bar.open, bar.high, bar.low, bar.close)
    if not all(math.isfinite(x) for x in (*prices, bar.volume)):
        return "not finite"
    if not all(x > 0 for x in prices):
        return "not positive"
    if bar.high < max(prices) or bar.low > min(prices):
        return "high/low inconsistent"
    if bar.volume < 0:
        return "volume negative"
    if bar.timestamp.second or bar.timestamp.microsecond:
        return "not on a minute"
    return None


def is_split(before: Decimal, after: Decimal) -> bool:
    """Spec: "A jump between sessions within 3 % of a split n:1 or 1:n"."""
    three_pct = Decimal("0.03")
    ratio = after / before
    return any(abs(ratio * n - 1) <= three_pct or abs(ratio / n - 1) <= three_pct for n in SPLITS)


def floor_div(a: Decimal, b: Decimal) -> int:
    return int(a // b)  # exact; toward zero, which is the floor of what is not negative


def money(x: Decimal) -> str:
    return format(x, "f")


def iso(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ------------------------------------------------------------------------------------------ running it


def calendar_sessions(first: date, last: date) -> list[Session]:
    """The regular sessions of the New York Stock Exchange, both days included."""
    calendar = exchange_calendars.get_calendar(
        "XNYS", start=first - timedelta(days=30), end=last + timedelta(days=30)
    )
    sessions = []
    for day in calendar.sessions_in_range(first.isoformat(), last.isoformat()):
        opened, closed = calendar.session_open(day), calendar.session_close(day)
        sessions.append(Session(opened.to_pydatetime(), closed.to_pydatetime()))
    return sessions


def new_york_day(t: datetime) -> date:
    return t.astimezone(NEW_YORK).date()


def simulate(
    bars: Sequence[Bar],
    sessions: Sequence[Session],
    symbols: Sequence[str],
    cash: Decimal = Decimal(100000),
    slippage_ticks: int = 1,
    velez: VelezParams | None = None,
    risk: RiskParams | None = None,
    session_params: SessionParams | None = None,
    warm_bars: Sequence[Bar] | None = None,
) -> dict[str, Any]:
    """Trade `bars` through `sessions`; `warm_bars`, all earlier, only warm the indicators."""
    sim = Simulation(
        symbols,
        cash,
        slippage_ticks,
        velez or VelezParams(),
        risk or RiskParams(),
        session_params or SessionParams(),
    )
    if warm_bars:
        days = [new_york_day(b.timestamp) for b in warm_bars]
        for session in calendar_sessions(min(days), max(days)):
            if session.close <= sessions[0].open:
                sim.run_session(session, by_time(warm_bars), trading=False)
    for session in sessions:
        sim.run_session(session, by_time(bars), trading=True)
    return {
        "candles": sim.candles,
        "signals": sim.signals,
        "orders": sim.orders,
        "fills": sim.fills,
        "trades": sim.trades,
        "bar_rejections": sim.bar_rejections,
        "bar_adjustments": sim.bar_adjustments,
        "cold": sim.cold,
        "breaker": sim.breaker,
        "sessions": sim.sessions_out,
        "equity_end": money(sim.equity()),
    }


def by_time(bars: Sequence[Bar]) -> list[Bar]:
    return sorted(bars, key=lambda b: (b.timestamp, b.symbol))


def read_bars(files: Sequence[str], symbols: Sequence[str]) -> list[Bar]:
    bars = []
    for name in files:
        raw = Path(name).read_bytes()
        text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode("utf-8-sig")
        reader = csv.DictReader(text.splitlines())
        for row in reader:
            if row["symbol"] not in symbols:
                continue
            try:
                stamp = datetime.fromisoformat(row["timestamp"])
                o, h, lo, c, v = (float(row[k]) for k in ("open", "high", "low", "close", "volume"))
            except (TypeError, ValueError) as error:
                raise SystemExit(f"{name}:{reader.line_num}: {error}") from error
            if stamp.tzinfo is None:
                raise SystemExit(f"{name}:{reader.line_num}: the timestamp has no offset")
            bars.append(Bar(row["symbol"], stamp.astimezone(UTC), o, h, lo, c, v))
    return by_time(bars)


P = TypeVar("P", VelezParams, RiskParams, SessionParams)


def with_settings(params: P, prefix: str, settings: dict[str, str]) -> P:
    """`params` with the settings of this prefix, which are taken out of `settings`."""
    changed = {}
    for f in fields(params):
        text = settings.pop(prefix + f.name, None)
        if text is not None:
            changed[f.name] = type(getattr(params, f.name))(text)
    return type(params)(**{**asdict(params), **changed})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Reference simulation of the Velez rule; prints JSON.")
    parser.add_argument("--bars", nargs="+", required=True)
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--start", type=date.fromisoformat)
    parser.add_argument("--sessions", type=int)
    parser.add_argument("--cash", type=Decimal, default=Decimal(100000))
    parser.add_argument("--slippage-ticks", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", nargs="+")
    parser.add_argument("--fast-warmup", action="store_true")
    parser.add_argument(
        "--summary", action="store_true", help="print counts and trades instead of everything"
    )
    args = parser.parse_args(argv)

    settings = dict(pair.split("=", 1) for group in args.set for pair in group)
    velez = with_settings(VelezParams(), "", settings)
    risk = with_settings(RiskParams(), "risk.", settings)
    session_params = with_settings(SessionParams(), "session.", settings)
    if settings:
        raise SystemExit(f"unknown settings: {', '.join(settings)}")

    symbols = args.symbols.split(",")
    bars = read_bars(args.bars, symbols)
    if not bars:
        raise SystemExit("no bars of these symbols")
    days = [new_york_day(b.timestamp) for b in bars]
    first = args.start or min(days)
    sessions = calendar_sessions(first, max(first, *days))[: args.sessions]
    if not sessions:
        raise SystemExit("no session in the data")
    before = [b for b in bars if b.timestamp < sessions[0].open]
    began = time.perf_counter()
    result = simulate(
        [b for b in bars if b.timestamp >= sessions[0].open],
        sessions,
        symbols,
        args.cash,
        args.slippage_ticks,
        velez,
        risk,
        session_params,
        before if args.fast_warmup else None,
    )
    elapsed = time.perf_counter() - began
    if args.summary:
        rules: dict[str, int] = {}
        for signal in result["signals"]:
            if signal["rejected"] is not None:
                rules[signal["rejected"]] = rules.get(signal["rejected"], 0) + 1
        result = {
            **{key: len(result[key]) for key in ("candles", "signals", "orders", "fills", "bar_rejections")},
            "rejections": rules,
            "trades": result["trades"],
            "breaker": result["breaker"],
            "sessions": result["sessions"],
            "equity_end": result["equity_end"],
            "elapsed_s": round(elapsed, 3),
        }
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
