"""How long until the first full frame, from the start of the process, and as a multiple of what it rests on.

A child on a real pseudo-terminal of 120x40 is timed until its first frame is whole: title, panes and the line
of keys. The bar beside it is `import textual.app` alone in a process of its own, timed in turns with it, so
that a slow machine slows both. The budget: at most 2.5 times that, and 300 ms on a machine of its own.

    python benchmarks/first_paint.py [--rounds 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _terminal import ROOT, Child

_MOST_RATIO = 2.5
_FRAME = ("STARTING", "1 Watchlist", "2 Chart", "3 Positions", "4 Orders", "5 Log", "Quit")
_RUN = "import sys; sys.path.insert(0, {root!r}); from tui_trader.cli import main; sys.exit(main({args!r}))"


def bare() -> tuple[float, float]:
    """Seconds, and seconds of CPU, that importing Textual takes."""
    code = "import textual.app, sys, time; sys.stdout.write('IMPORTED'); sys.stdout.flush(); time.sleep(9)"
    with Child(["-c", code]) as child:
        return child.read_until("IMPORTED"), child.cpu_seconds()


def first_frame(folder: str) -> tuple[float, float]:
    """Seconds, and seconds of CPU, until the first full frame."""
    args = ["--venue", "sim", "--seed", "25", "--state-dir", folder, "--control", "off"]
    with Child(["-c", _RUN.format(root=str(ROOT), args=args)]) as child:
        return child.read_until(*_FRAME), child.cpu_seconds()


def measure(rounds: int) -> dict[str, float]:
    """Medians and bests over ``rounds``, in milliseconds, after one round that warms the disk's cache."""
    walls: list[tuple[float, float]] = []
    cpus: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            (bare_wall, bare_cpu), (wall, cpu) = bare(), first_frame(f"{folder}/{number}")
            if number:
                walls.append((bare_wall, wall))
                cpus.append((bare_cpu, cpu))
    bare_ms, frame_ms = (statistics.median(side) * 1000 for side in zip(*walls, strict=True))
    best_bare, best_frame = (min(side) * 1000 for side in zip(*walls, strict=True))
    bare_cpu_ms, frame_cpu_ms = (statistics.mean(side) * 1000 for side in zip(*cpus, strict=True))
    return {
        "rounds": rounds,
        "import_textual_ms": round(bare_ms, 1),
        "first_frame_ms": round(frame_ms, 1),
        "ratio": round(statistics.median(frame / base for base, frame in walls), 3),
        "best_import_textual_ms": round(best_bare, 1),
        "best_first_frame_ms": round(best_frame, 1),
        "best_ratio": round(best_frame / best_bare, 3),
        "cpu_ratio": round(frame_cpu_ms / bare_cpu_ms, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    result = measure(options.rounds)
    print("first paint              median      best")
    for name, key in (("import textual.app", "import_textual_ms"), ("first full frame", "first_frame_ms")):
        print(f"  {name:18} {result[key]:8.0f} ms {result['best_' + key]:6.0f} ms")
    print(f"  {'ratio':18} {result['ratio']:8.2f}    {result['best_ratio']:6.2f}")
    print(f"  {'ratio of CPU':18} {result['cpu_ratio']:8.2f}")
    print(json.dumps({"benchmark": "first_paint", **result}))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if result["ratio"] > _MOST_RATIO:
        print(f"over budget: more than {_MOST_RATIO} times the bare import", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
