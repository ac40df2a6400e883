"""What may not be imported before the first frame is on the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = frozenset(
    ("aiohttp", "alpaca", "exchange_calendars", "matplotlib", "msgpack", "numpy", "pandas", "plotext",
     "pydantic", "requests", "sqlite3", "tulipy", "websockets", "zoneinfo")
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


RUN = """
import json, sys
import tui_trader.cli
from tui_trader import screen
from tui_trader.options import RunOptions
screen.is_terminal = lambda: True
def run_ui(app):
    print(json.dumps(sorted(sys.modules)))
screen.TraderApp.run_ui = run_ui
sys.exit(screen.run_screen(RunOptions(venue="alpaca")))
"""


def test_nothing_heavy_is_imported_for_an_alpaca_account_until_the_screen_is_there(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
        "APCA_API_KEY_ID": "PKTESTKEY0000000000", "APCA_API_SECRET_KEY": "test-secret-of-the-exchange",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, cwd=ROOT, check=True, env=environment
    )
    modules = json.loads(done.stdout.splitlines()[-1])
    assert "textual.app" in modules
    assert HEAVY.intersection(name.partition(".")[0] for name in modules) == frozenset()
    assert [name for name in modules if name.startswith(LATER)] == []
