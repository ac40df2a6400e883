"""What the command line asks of a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

VenueName = Literal["sim", "replay", "alpaca"]
Warmup = Literal["normal", "fast", "none"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """``speed`` None is as fast as it goes; ``sessions`` None is until the end (sim: until stopped)."""

    venue: VenueName | None = None
    live: bool = False
    config: Path | None = None
    symbols: tuple[str, ...] | None = None
    bars: tuple[Path, ...] = ()
    skip_bad: bool = False
    speed: float | None = 60.0
    start: date | None = None
    sessions: int | None = None
    seed: int | None = None
    cash: Decimal = Decimal(100_000)
    slippage_ticks: int = 1
    warmup: Warmup = "normal"
    headless: bool = False
    events: str | None = None
    state_dir: Path | None = None
    control: str | None = None
    confirmed: str | None = None  # the last four digits of the account whose real money is meant


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """``sets`` are ``key=value`` as typed: strategy parameters, ``risk.KEY`` or ``session.KEY``."""

    bars: tuple[Path, ...]
    skip_bad: bool = False
    strategy: str | None = None
    symbols: tuple[str, ...] | None = None
    sets: tuple[str, ...] = ()
    config: Path | None = None
    cash: Decimal = Decimal(100_000)
    slippage_ticks: int = 1
    json: str | None = None
    trades: Path | None = None
    html: Path | None = None


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """``base.sets`` are ``key=values`` as typed: ``10..40:5`` is a range, ``a,b,c`` a list.

    Of ``base``, ``json`` is used; ``trades`` and ``html`` are not.
    """

    base: BacktestOptions
    jobs: int | None = None  # None: one a core
    scheduler: str | None = None
    walk_forward: str | None = None
    metric: str = "sharpe"
    results: Path | None = None  # where finished jobs are kept
    fresh: bool = False
    top: int = 20
