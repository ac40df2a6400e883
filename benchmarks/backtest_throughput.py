"""Bars a second of the backtest, beside other engines and beside what Python and numpy allow at all.

The same work for all: one-minute bars made up from a seed, two-minute candles, averages of 20 and 200, long
only, filled after the decision. Every run is a process of its own; a round runs each engine once, so that
noise meets all alike, and figures are medians over rounds. Peers are left out when they are not installed.

    python benchmarks/backtest_throughput.py [--bars 400000] [--rounds 5] [--peers PYTHON] [--json FILE]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent / "backtest"))

from _bars import write_bars

_HERE = Path(__file__).resolve().parent
_ENGINES_FOLDER = _HERE / "backtest"
_PEERS_PYTHON = _HERE.parent / ".bench-venv" / "bin" / "python"
_SYMBOLS = 4

Found = dict[str, Any]


class Engine(NamedTuple):
    """A row of the table: what is run, and over which bars."""

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    bars: str = "all"
    peer: bool = False


_EVERY, _JUMPING = "ours: sma_cross asked at every candle", "ours: sma_cross with entry candidates"
_BACKTESTING, _NAUTILUS = "Backtesting.py, ready candles", "nautilus_trader, ready candles"
_LOOP = "bound: plain Python loop"
_ONE, _SEVERAL = "ours: one symbol", f"ours: {_SYMBOLS} symbols of as many bars each"
ENGINES = (
    Engine(_EVERY, "ours.py", ("--every-candle",)),
    Engine(_JUMPING, "ours.py"),
    Engine("ours: velez asked at every candle", "ours.py", ("--strategy", "velez", "--every-candle")),
    Engine("ours: velez with entry candidates", "ours.py", ("--strategy", "velez")),
    Engine(_BACKTESTING, "peer_backtesting.py", peer=True),
    Engine(_NAUTILUS, "peer_nautilus.py", peer=True),
    Engine("nautilus_trader, own candles", "peer_nautilus.py", ("--aggregate",), peer=True),
    Engine(_LOOP, "bound_plain_loop.py"),
    Engine("bound: numpy and tulipy, no orders", "bound_numpy.py"),
    Engine(_ONE, "ours.py", ("--every-candle",), bars="one"),
    Engine(_SEVERAL, "ours.py", ("--every-candle",), bars="several"),
)


def run_once(engine: Engine, python: Path, bars: Path) -> Found:
    """What one process found. Raises ``SystemExit`` with its last words when it failed."""
    command = [str(python), str(_ENGINES_FOLDER / engine.script), str(bars), *engine.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{engine.name} failed:\n{done.stderr[-3000:]}")
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(engines: Sequence[Engine], bars: int, rounds: int, peers: Path) -> dict[str, list[Found]]:
    """Every round's finding of every engine, by its name."""
    found: dict[str, list[Found]] = {engine.name: [] for engine in engines}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.npz" for name in ("all", "one", "several")}
        write_bars(files["all"], bars)
        write_bars(files["one"], bars // _SYMBOLS)
        write_bars(files["several"], bars // _SYMBOLS, _SYMBOLS)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for engine in engines:
                python = peers if engine.peer else Path(sys.executable)
                found[engine.name].append(run_once(engine, python, files[engine.bars]))
    return found


def summary(found: Mapping[str, list[Found]]) -> list[Found]:
    """A row an engine. ``ratio`` is its bars a second against ours asked at every candle."""
    ours = [_rate(run) for run in found[_EVERY]]
    return [
        {
            "engine": name,
            "version": runs[0].get("version", ""),
            "bars": runs[0]["bars"],
            "bars_per_s": round(statistics.median(map(_rate, runs))),
            "ratio": round(
                statistics.median(_rate(run) / own for run, own in zip(runs, ours, strict=True)), 4
            ),
            "peak_bytes_per_bar": round(statistics.median(run["peak_bytes_per_bar"] for run in runs), 1),
            "trades": runs[0].get("trades"),
        }
        for name, runs in found.items()
    ]


def goals(found: Mapping[str, list[Found]]) -> list[Found]:
    """What the engine has promised, and what was measured, as far as it was."""

    def median(tell: Callable[..., float], *names: str) -> float | None:
        if any(name not in found for name in names):
            return None
        return statistics.median(tell(*runs) for runs in zip(*(found[name] for name in names), strict=True))

    def faster(ours: Found, other: Found) -> float:
        return _rate(ours) / _rate(other)

    def memory(*runs: Found) -> float:
        return max(float(run["peak_bytes_per_bar"]) for run in runs)

    asked = (
        ("every candle: bars/s", 1_000_000, "at least", median(_rate, _EVERY)),
        ("every candle: times Backtesting.py", 2.5, "at least", median(faster, _EVERY, _BACKTESTING)),
        ("every candle: times nautilus_trader", 8, "at least", median(faster, _EVERY, _NAUTILUS)),
        ("every candle: time over the plain loop's", 4, "at most", median(faster, _LOOP, _EVERY)),
        ("candidates: bars/s", 5_000_000, "at least", median(_rate, _JUMPING)),
        ("memory: peak growth, bytes a bar", 120, "at most", median(memory, _EVERY, _JUMPING)),
        ("several symbols: time over the sum of each", 1.15, "at most", median(faster, _ONE, _SEVERAL)),
    )
    return [
        {
            "goal": name, "limit": limit, "kind": kind, "measured": round(value, 3),
            "met": value >= limit if kind == "at least" else value <= limit,
        }
        for name, limit, kind, value in asked
        if value is not None
    ]  # fmt: skip


def _rate(run: Found) -> float:
    return float(run["bars"] / run["seconds"])


def _print(rows: Sequence[Found], met: Sequence[Found]) -> None:
    print(
        f"| {'engine':<48} | {'bars':>9} | {'bars/s':>10} | {'ratio':>6} | {'bytes/bar':>9} | {'trades':>6} |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for row in rows:
        name = f"{row['engine']} {row['version']}".strip()
        trades = "–" if row["trades"] is None else f"{row['trades']:,}"
        print(
            f"| {name:<48} | {row['bars']:>9,} | {row['bars_per_s']:>10,} | {row['ratio']:>6.2f} "
            f"| {row['peak_bytes_per_bar']:>9.0f} | {trades:>6} |"
        )
    print(f"\n| {'goal':<48} | {'limit':>18} | {'measured':>10} | met |\n|---|--:|--:|---|")
    for goal in met:
        limit = f"{goal['kind']} {goal['limit']:,}"
        answer = "yes" if goal["met"] else "NO"
        print(f"| {goal['goal']:<48} | {limit:>18} | {goal['measured']:>10,} | {answer:<3} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bars", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=_PEERS_PYTHON, help="a Python that has the peers")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    engines = [engine for engine in ENGINES if options.peers.exists() or not engine.peer]
    if len(engines) < len(ENGINES):
        print(f"without the peers: {options.peers} is missing; `make bench` installs them", file=sys.stderr)
    found = measure(engines, options.bars, options.rounds, options.peers)
    rows, met = summary(found), goals(found)
    _print(rows, met)
    result = {
        "benchmark": "backtest_throughput", "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": platform.python_version(), "cores": os.cpu_count(), "rounds": options.rounds,
        "engines": rows, "goals": met,
    }  # fmt: skip
    print(json.dumps(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
