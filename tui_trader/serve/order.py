"""What a page's process is told: whose engine to show, and how an engine of its own would be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from tui_trader.options import RunOptions


@dataclass(frozen=True, slots=True)
class PageOrder:
    """``attach``: show the engine running on ``state_dir``; else run a simulated one there, for the page."""

    attach: bool
    state_dir: Path
    config: Path | None = None
    symbols: tuple[str, ...] | None = None
    seed: int | None = None
    speed: float | None = 60.0
    start: date | None = None
    cash: Decimal = Decimal(100_000)
    slippage_ticks: int = 1

    def run_options(self) -> RunOptions:
        """The run of a page's own engine: always the simulated market, never reachable from outside."""
        return RunOptions(
            venue="sim", config=self.config, symbols=self.symbols, seed=self.seed, speed=self.speed,
            start=self.start, cash=self.cash, slippage_ticks=self.slippage_ticks, state_dir=self.state_dir,
            control="off",
        )  # fmt: skip

    def to_json(self) -> str:
        """One argument of a command line."""
        return json.dumps(
            {
                "attach": self.attach,
                "state_dir": str(self.state_dir),
                "config": str(self.config) if self.config is not None else None,
                "symbols": self.symbols,
                "seed": self.seed,
                "speed": self.speed,
                "start": self.start.isoformat() if self.start is not None else None,
                "cash": str(self.cash),
                "slippage_ticks": self.slippage_ticks,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> PageOrder:
        given = json.loads(text)
        return cls(
            attach=given["attach"],
            state_dir=Path(given["state_dir"]),
            config=Path(given["config"]) if given["config"] is not None else None,
            symbols=tuple(given["symbols"]) if given["symbols"] is not None else None,
            seed=given["seed"],
            speed=given["speed"],
            start=date.fromisoformat(given["start"]) if given["start"] is not None else None,
            cash=Decimal(given["cash"]),
            slippage_ticks=given["slippage_ticks"],
        )
