"""What a backtest process is asked and what it answers. Light to import, small to send.

Whoever asks may be the process of a live engine, and reading one large message there would hold everything
else up: a result is told as a summary of bounded size and its trades in small portions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from tui_trader.options import BacktestOptions

if TYPE_CHECKING:
    from tui_trader.backtest.metrics import Metrics
    from tui_trader.backtest.result import Trade

# ---- what is asked -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Describe:
    """Which strategies there are, and the parameters of ``strategy`` (None: the configured one)."""

    config: Path | None
    strategy: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Whether these options could run, bars aside; ``number`` comes back with the answer."""

    number: int
    options: BacktestOptions


@dataclass(frozen=True, slots=True)
class Run:
    """Run a backtest; ``number`` comes back with everything that is said about it."""

    number: int
    options: BacktestOptions


@dataclass(frozen=True, slots=True)
class ShowTrade:
    """The candles around a trade of the latest run, by its place among all trades."""

    trade: int


Request = Describe | Check | Run | ShowTrade

# ---- what is answered --------------------------------------------------------------------------------


class StrategyName(NamedTuple):
    """A strategy that can be chosen, and where it comes from."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a strategy, all as text: ``value`` is in force; no ``choices`` means any value."""

    name: str
    value: str
    default: str
    bounds: str = ""
    note: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Described:
    """``problem`` says why the strategy cannot be used; its parameters are then unknown."""

    names: tuple[StrategyName, ...]
    strategy: str
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """``problem`` is empty when nothing is wrong."""

    number: int
    problem: str


Stage = Literal["reading bars", "making candles", "trading", "adding up"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, and the share of it that is done, where that is known."""

    number: int
    stage: Stage
    share: float | None = None


class CurvePoint(NamedTuple):
    """Equity at the end of a step of trading time, and the worst fall from the peak (≤ 0) within the step."""

    time: int  # seconds since 1970-01-01 UTC
    value: float
    fall: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run without its trades, in bounded size.

    ``curve`` begins with the cash and has steps of equal trading time; ``remarks`` are lines under headings;
    ``why_no_trades`` is empty when there are some.
    """

    strategy: str
    config: tuple[tuple[str, str], ...]
    symbols: tuple[str, ...]
    cash: Decimal
    slippage_ticks: int
    start: datetime
    end: datetime
    sessions: int
    bars: int
    candles: int
    signals: int
    trades: int
    final_equity: Decimal
    curve: tuple[CurvePoint, ...]
    metrics: Metrics
    remarks: tuple[tuple[str, tuple[str, ...]], ...]
    why_no_trades: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class SomeTrades:
    """Trades in order of exit, from place ``first`` on."""

    number: int
    first: int
    trades: tuple[Trade, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run has been told whole: its trades came before."""

    number: int
    summary: RunSummary


class ChartCandle(NamedTuple):
    """A candle; ``time`` in seconds since 1970-01-01 UTC, averages NaN where there is none."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    sma_fast: float
    sma_slow: float


class StopStep(NamedTuple):
    """From ``time`` on the protective stop stood at ``price``."""

    time: datetime
    price: float


@dataclass(frozen=True, slots=True)
class TradeChart:
    """The candles around a trade. ``averages`` names the series drawn fast and slow, as in "SMA 20"."""

    trade: int
    symbol: str
    minutes: int
    candles: tuple[ChartCandle, ...]
    stops: tuple[StopStep, ...]
    averages: Sequence[str] = field(default=("", ""))


@dataclass(frozen=True, slots=True)
class Failed:
    """What was asked could not be done, in one line; ``number`` is the run's, None when it was no run."""

    number: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The process has ended without being told to."""

    problem: str


Answer = Described | Checked | Progress | SomeTrades | Finished | TradeChart | Failed | Gone
