"""Resident memory over 30 simulated sessions of 50 symbols, at full speed without a screen.

Prints a table and a line of JSON. The promise: at most 250 MB, and no more than 2 % growth after the first
session.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tui_trader.core.events import EngineState as State
from tui_trader.core.events import EngineStateChanged, Published, SessionChanged
from tui_trader.options import RunOptions
from tui_trader.wiring import Run, load

_LIMIT_MB = 250.0
_GROWTH = 0.02
_CONFIG = """
[risk]
max_open_positions = 20
max_position_pct = 5
consecutive_loss_pause = 10
[[routes]]
symbols = [{symbols}]
config = {{ candle_interval_minutes = 2 }}
"""


def measure(sessions: int, symbols: int, state_dir: Path) -> list[float]:
    """Megabytes at each session's close, the market already closed and the next one not yet open."""
    names = ", ".join(f'"S{number:03d}"' for number in range(symbols))
    config = state_dir / "config.toml"
    config.write_text(_CONFIG.format(symbols=names))
    options = RunOptions(
        venue="sim", config=config, speed=None, sessions=sessions, seed=7, headless=True,
        state_dir=state_dir / "state", control="off",
    )  # fmt: skip
    run = Run(options, load(options))
    process = psutil.Process()
    megabytes: list[float] = []

    def sample(published: Published) -> None:
        event = published.event
        opens = isinstance(event, SessionChanged) and published.seq > 10 * symbols
        if opens or (isinstance(event, EngineStateChanged) and event.state is State.STOPPED):
            gc.collect()
            megabytes.append(process.memory_info().rss / 1e6)

    run.bus.add_sink("memory", sample, market_data=False)
    run.host.run()
    if run.host.exit_code:
        raise SystemExit(f"the run ended with {run.host.exit_code}: {run.engine.state_reason}")
    return megabytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--symbols", type=int, default=50)
    arguments = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        megabytes = measure(arguments.sessions, arguments.symbols, Path(folder))
    seconds = time.perf_counter() - began
    print(f"{'session':>8} {'RSS MB':>8} {'growth':>8}")
    for number, value in enumerate(megabytes, 1):
        print(f"{number:>8} {value:>8.1f} {value / megabytes[0] - 1:>+8.1%}")
    growth = max(megabytes) / megabytes[0] - 1
    print(
        json.dumps(
            {
                "benchmark": "memory", "sessions": arguments.sessions, "symbols": arguments.symbols,
                "seconds": round(seconds, 1), "peak_mb": round(max(megabytes), 1),
                "growth_after_first_session": round(growth, 4),
                "ok": max(megabytes) <= _LIMIT_MB and growth <= _GROWTH,
            }
        )
    )  # fmt: skip
    return 0 if max(megabytes) <= _LIMIT_MB and growth <= _GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
