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
