"""What may not be imported before the first frame is on the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = frozenset(
    ("aiohttp", "alpaca", "exchange_calendars", "matplotlib", "numpy", "pandas", "plotext", "pydantic",
     "requests", "sqlite3", "tulipy", "zoneinfo")
)  # fmt: skip
#: Of ours: what only a running engine needs.
LATER = (
    "tui_trader.core",
    "tui_trader.engine",
    "tui_trader.venues",
    "tui_trader.wiring",
    "tui_trader.config",
)

CODE = """
import json, sys
import tui_trader.cli, tui_trader.screen
from tui_trader.tui.app import TraderApp
app = TraderApp(start_engine=lambda: None)
constructed = sorted(sys.modules)
import asyncio
painted = []
async def run():
    app._begin = lambda: painted.extend(sorted(sys.modules))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
asyncio.run(run())
print(json.dumps({"constructed": constructed, "painted": painted}))
"""


def test_nothing_heavy_is_imported_before_the_first_paint() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT, check=True)
    imported = json.loads(done.stdout.splitlines()[-1])
    assert "textual.app" in imported["constructed"]
    for moment in ("constructed", "painted"):
        modules = imported[moment]
        assert modules, moment
        assert HEAVY.intersection(name.partition(".")[0] for name in modules) == frozenset()
        assert [name for name in modules if name.startswith(LATER)] == []
