"""How well a sweep uses more than one core: the same parameter sets with one process and with several.

Efficiency is time with one process over processes × time with several, of the whole command: start, reading
the bars, the jobs, the table. Beside it stands the same of two plain loops that share nothing, which is what
the machine allows. Runs take turns, and figures are medians over rounds.

    python benchmarks/sweep_efficiency.py [--bars 400000] [--sets 192] [--jobs 2] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "backtest"))

from _bars import write_bars

_PLAIN_LOOP = Path(__file__).resolve().parent / "backtest" / "bound_plain_loop.py"
_LEAST = 0.85


def write_csv(arrays: Path, path: Path) -> None:
    """The bars of one symbol as a bars file."""
    with np.load(arrays) as file:
        symbol = str(file["symbols"][0])
        columns = [file[name].tolist() for name in ("minute", "open", "high", "low", "close", "volume")]
    with path.open("w", encoding="utf-8") as out:
        out.write("symbol,timestamp,open,high,low,close,volume\n")
        for minute, *values in zip(*columns, strict=True):
            time_ = datetime.fromtimestamp(minute * 60, UTC)
            out.write(f"{symbol},{time_:%Y-%m-%dT%H:%MZ},{','.join(map(str, values))}\n")


def sweep(bars: Path, folder: Path, sets: int, jobs: int) -> float:
    """Seconds that the command takes."""
    command = [
        sys.executable, "-m", "tui_trader.cli", "sweep", "--bars", str(bars), "--strategy", "sma_cross",
        "--config", str(folder / "config.toml"), "--set", f"sma_fast=5..{4 + sets // 2}", "sma_slow=200,250",
        "--jobs", str(jobs), "--fresh", "--results", str(folder / "results"),
    ]  # fmt: skip
    return _seconds([command])


def loops(arrays: Path, copies: int) -> float:
    """Seconds until as many processes have each run a plain loop over the bars."""
    return _seconds([[sys.executable, str(_PLAIN_LOOP), str(arrays)]] * copies)


def _seconds(commands: list[list[str]]) -> float:
    began = time.perf_counter()
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    codes = [process.wait() for process in started]
    if any(codes):
        raise SystemExit(f"failed: {' '.join(commands[0])}")
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bars", type=int, default=400_000)
    parser.add_argument("--sets", type=int, default=192, help="an even number, at most 192")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    jobs = options.jobs
    rounds: list[tuple[float, float, float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays, bars = folder / "bars.npz", folder / "bars.csv"
        write_bars(arrays, options.bars)
        write_csv(arrays, bars)
        (folder / "config.toml").touch()
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            rounds.append(
                (
                    sweep(bars, folder, options.sets, 1), sweep(bars, folder, options.sets, jobs),
                    loops(arrays, 1), loops(arrays, jobs),
                )
            )  # fmt: skip
    efficiency = statistics.median(one / (jobs * several) for one, several, _, _ in rounds)
    machine = statistics.median(one / several for _, _, one, several in rounds)
    one, several = (statistics.median(row[column] for row in rounds) for column in (0, 1))
    result = {
        "benchmark": "sweep_efficiency", "bars": options.bars, "sets": options.sets, "jobs": jobs,
        "one_process_s": round(one, 2), "several_s": round(several, 2),
        "efficiency": round(efficiency, 3), "machine_allows": round(machine, 3), "met": efficiency >= _LEAST,
    }  # fmt: skip
    print(f"| {options.sets} sets, {options.bars:,} bars | s |\n|---|--:|")
    print(f"| one process | {one:.2f} |\n| {jobs} processes | {several:.2f} |")
    print(f"| efficiency (at least {_LEAST}) | {efficiency:.2f} |")
    print(f"| {jobs} loops that share nothing | {machine:.2f} |")
    print(json.dumps(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
