"""What the program costs while nothing happens: CPU and bytes to the terminal.

The simulated market runs at x1 (one bar of each of five symbols a minute), and once more with its market
closed, on a real pseudo-terminal of 120x40. The budget: at most 1 % of one core each.

    python benchmarks/idle.py [--seconds 12] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _terminal import ROOT, Child

_MOST_PERCENT = 1.0
_CODE = "import sys; sys.path.insert(0, {root!r}); from tui_trader.cli import main; sys.exit(main({args!r}))"
#: Settles after the start: imports, warm-up and the first paints are not idleness.
_SETTLE_S = 4.0


def measure(name: str, seconds: float, speed: str, keys: str, wait_for: str) -> dict[str, float | str]:
    """CPU (percent of one core) and bytes a second once ``wait_for`` has been seen and things are quiet."""
    with tempfile.TemporaryDirectory() as folder:
        args = ["--venue", "sim", "--seed", "25", "--speed", speed, "--state-dir", folder]
        with Child(["-c", _CODE.format(root=str(ROOT), args=args)]) as child:
            child.read_until("RUNNING", deadline=60.0)
            child.read_until(wait_for, deadline=120.0)
            for key in keys:
                child.press(key)
                child.read_for(0.3)
            child.read_for(_SETTLE_S)
            cpu, began = child.cpu_seconds(), time.perf_counter()
            size = child.read_for(seconds)
            took = time.perf_counter() - began
            percent = (child.cpu_seconds() - cpu) / took * 100
            os.kill(child.pid, signal.SIGTERM)
    return {"case": name, "cpu_percent": round(percent, 2), "bytes_per_s": round(size / took, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    results = [
        measure("market open at x1", options.seconds, "1", "", "RUNNING"),
        # A day goes by fast; then the night is slowed down to real time.
        measure("market closed", options.seconds, "3000", "<" * 12, "MARKET CLOSED"),
    ]
    print("idle                     CPU   bytes/s")
    for result in results:
        print(f"  {result['case']:20} {result['cpu_percent']:5.2f} % {result['bytes_per_s']:8.0f}")
    print(json.dumps({"benchmark": "idle", "results": results}))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if any(float(result["cpu_percent"]) > _MOST_PERCENT for result in results):
        print(f"over budget: more than {_MOST_PERCENT:g} % of a core while nothing happens", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
