"""Bars a second through the whole engine: a simulated session at --speed max, journal on.

Every run is a process of its own, timed as a whole (start, imports, warm-up and end included) and by the time
between RUNNING and STOPPED. Prints a table and, with --json FILE, writes it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_CHILD = """
import sys, time
from pathlib import Path
from tui_trader.options import RunOptions
from tui_trader.wiring import Run, load
options = RunOptions(venue="sim", symbols=tuple(sys.argv[2].split(",")), speed=None, sessions=1, seed=3,
                     headless=True, state_dir=Path(sys.argv[1]), control="off")
run = Run(options, load(options))
marks = {}
def listen(published):
    state = getattr(published.event, "state", None)
    if type(published.event).__name__ == "EngineStateChanged":
        marks[str(state)] = time.perf_counter()
run.bus.add_sink("benchmark", listen, market_data=False)
run.host.run()
assert run.host.exit_code == 0 and run.host.failure is None
print(marks["STOPPED"] - marks["RUNNING"])
"""


def measure(symbols: list[str]) -> tuple[float, float]:
    """Seconds of the whole process, and of the session in it."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, folder, ",".join(symbols)],
            capture_output=True,
            text=True,
            check=True,
        )
        return time.perf_counter() - begun, float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    symbols = [f"S{number:03d}" for number in range(options.symbols)]
    bars = options.symbols * 390
    rounds = [measure(symbols) for _ in range(options.rounds)]
    whole, session = (statistics.median(column) for column in zip(*rounds, strict=True))
    rows = {
        "bars": bars,
        "whole_process_s": round(whole, 2),
        "whole_process_bars_per_s": round(bars / whole),
        "session_s": round(session, 2),
        "session_bars_per_s": round(bars / session),
    }
    for name, value in rows.items():
        print(f"{name:<26}{value:>12,}")
    if options.json:
        options.json.write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
