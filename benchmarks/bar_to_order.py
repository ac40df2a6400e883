"""From a bar at the socket to the order at the wire: milliseconds, with 500 symbols' bars in one frame.

The program runs on a pseudo-terminal of 120x40 with its screen, as `tui-trader run --venue alpaca` does,
against a server of Alpaca's protocol on this machine. A frame holds one bar of every symbol, all of which
close a candle, and one of them, drawn by lot, is a signal. The time is from the moment at which the frame is
handed to the server's socket to the moment at which the server reads the order's request, both on the
server's clock. It covers the order's intent in the journal, which is in TMPDIR. The budget: a median of at
most 5 ms, and at most 25 ms for 99 in 100.

So that not every frame takes a minute, the program's clock is moved on by a minute before each.

    python benchmarks/bar_to_order.py [--symbols 500] [--frames 200] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _terminal import ROOT, Child

sys.path.insert(0, str(ROOT))

from tests.alpaca_server.data_stream import bar_message, encode
from tests.alpaca_server.exchange import minute_of
from tests.alpaca_server.faults import Stream
from tests.alpaca_server.market import MinuteBar
from tests.alpaca_server.server import AlpacaServer

_MEDIAN_MS = 5.0
_P99_MS = 25.0
_MINUTE = timedelta(minutes=1)
_PRICE = 100.0
_VOLUME = 1_000
#: A bar with this volume is a signal.
_SIGNAL = 77_777
_STRATEGY = f"""
from decimal import Decimal

from tui_trader.core.indicators import Indicator
from tui_trader.strategies.base import Strategy


class OnDemand(Strategy):
    name = "on_demand"
    candle_interval_minutes = 1
    required_history = 20

    @property
    def indicators(self):
        return {{
            "sma_fast": Indicator("sma", 5), "sma_slow": Indicator("sma", 20), "atr": Indicator("atr", 14)
        }}

    def should_long(self, view):
        return view.volume == {_SIGNAL}

    def entry_price(self, view):
        return Decimal("103")

    def stop_loss_price(self, view):
        return Decimal("98")
"""
_CONFIG = """
[alpaca]
paper = true
feed = "iex"
{urls}
[risk]
max_orders_per_minute = 180
max_entries_per_symbol_per_day = 390
max_entries_per_day = 2000

[[routes]]
symbols = [{symbols}]
strategy = "on_demand"
"""
_RUN = """
import math, signal, sys, time
sys.path.insert(0, {root!r})
from tui_trader.engine import clock, live
from tui_trader.venues.alpaca import budget

ahead = 0.0
elapsed = clock._elapsed

def minute_on(*_):
    global ahead
    ahead += 60.0

clock._elapsed = lambda: elapsed() + ahead
live.CLOCK_TOLERANCE = math.inf
# Its minutes are shorter than those of its budget of requests.
budget.RequestBudget.__init__.__defaults__ = (100_000, 60.0, 0, time.monotonic)
signal.signal(signal.SIGUSR1, minute_on)
from tui_trader.cli import main
sys.exit(main({arguments!r}))
"""


class Bench:
    """The server, and the program that trades there."""

    def __init__(self, symbols: list[str], folder: Path) -> None:
        self._symbols = symbols
        self._folder = folder
        prices = dict.fromkeys(symbols, _PRICE)
        self._server = AlpacaServer(prices, now=datetime.now(UTC), rate_limit=None)
        self._ahead = timedelta(0)  # how far the program's clock, and the server's, is moved on
        self._dice = random.Random(1)

    def measure(self, frames: int, pause: float) -> list[float]:
        """Milliseconds of each frame."""
        with self._server:
            self._write_history(60)
            with Child(["-c", self._program()], environment={"XDG_CONFIG_HOME": str(self._folder)}) as child:
                while b"RUNNING" not in child.output:
                    if child.seconds > 120.0:
                        raise TimeoutError(f"not running; the screen's end was {child.output[-2000:]!r}")
                    self._keep_time()
                    child.read(0.5)
                child.read_for(3.0)
                found = [self._frame(child, pause) for _ in range(frames)]
                os.kill(child.pid, signal.SIGTERM)
                child.read_for(1.0)
        return found

    def _keep_time(self) -> None:
        self._server.now = datetime.now(UTC) + self._ahead

    def _write_history(self, minutes: int) -> None:
        now = minute_of(self._server.now)
        for back in range(minutes, 0, -1):
            self._server.write_history(self._bars(now - back * _MINUTE))

    def _bars(self, start: datetime, signalling: str = "") -> list[MinuteBar]:
        bars = []
        for symbol in self._symbols:
            open_, close = (round(_PRICE + self._dice.uniform(-0.5, 0.5), 2) for _ in range(2))
            high, low = max(open_, close) + 0.05, min(open_, close) - 0.05
            volume = _SIGNAL if symbol == signalling else _VOLUME
            bars.append(MinuteBar(symbol, start, open_, round(high, 2), round(low, 2), close, volume))
        return bars

    def _program(self) -> str:
        home = self._folder / "tui-trader"
        (home / "strategies").mkdir(parents=True, mode=0o700)
        (home / "strategies" / "on_demand.py").write_text(_STRATEGY, encoding="utf-8")
        server = self._server
        urls = {
            "key_id": server.key_id, "secret_key": server.secret_key,
            "trading_url": server.trading_url, "data_url": server.data_url,
            "data_stream_url": server.data_stream_url, "trading_stream_url": server.trading_stream_url,
        }  # fmt: skip
        config = home / "config.toml"
        config.write_text(
            _CONFIG.format(
                urls="\n".join(f'{name} = "{value}"' for name, value in urls.items()),
                symbols=", ".join(f'"{symbol}"' for symbol in self._symbols),
            ),
            encoding="utf-8",
        )
        config.chmod(0o600)
        arguments = ["run", "--venue", "alpaca", "--state-dir", str(self._folder / "state")]
        return _RUN.format(root=str(ROOT), arguments=arguments)

    def _frame(self, child: Child, pause: float) -> float:
        """Send one, once everything that the last one led to is over."""
        server = self._server
        os.kill(child.pid, signal.SIGUSR1)
        self._ahead += _MINUTE
        self._keep_time()
        child.read_for(pause)
        self._keep_time()
        minute = minute_of(server.now) - _MINUTE
        signalling = self._dice.choice(self._symbols)
        bars = self._bars(minute, signalling)
        server.write_history(bars)
        frame = encode([bar_message("b", bar) for bar in bars], binary=True)
        seen = len(server.requests_of("POST", "/orders"))
        sent = time.monotonic()
        server.send_raw(Stream.DATA, frame)
        while len(orders := server.requests_of("POST", "/orders")) == seen:
            if time.monotonic() - sent > 10.0:
                raise TimeoutError(f"no order came; the screen's end was {child.output[-2000:]!r}")
            child.read(0.02)
        wanted = json.loads(orders[seen].body)
        if wanted["symbol"] != signalling:
            raise RuntimeError(f"an order that nobody wanted: {wanted}")
        child.read_for(pause / 2)
        # Somebody else cancels it, so that the next frame finds nothing to cancel on its way to its order.
        server.cancel_order(wanted["client_order_id"])
        child.read_for(pause / 2)
        return (orders[seen].monotonic - sent) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.6, help="seconds before and after each frame")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    symbols = [f"S{number:03d}" for number in range(options.symbols)]
    with tempfile.TemporaryDirectory() as folder:
        found = Bench(symbols, Path(folder)).measure(options.frames, options.pause)
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    result = {
        "symbols": options.symbols, "frames": options.frames, "median_ms": round(statistics.median(found), 2),
        "p90_ms": round(cuts[89], 2), "p99_ms": round(cuts[98], 2), "worst_ms": round(max(found), 2),
    }  # fmt: skip
    print("bar to order         median      p90      p99    worst")
    figures = (result[name] for name in ("median_ms", "p90_ms", "p99_ms", "worst_ms"))
    print(f"  {options.symbols:4} symbols   " + " ".join(f"{float(ms):8.2f}" for ms in figures) + "  ms")
    print(json.dumps({"benchmark": "bar_to_order", **result}))
    if options.json is not None:
        options.json.write_text(
            json.dumps({**result, "each_ms": [round(ms, 3) for ms in found]}, indent=2) + "\n"
        )
    if result["median_ms"] > _MEDIAN_MS or result["p99_ms"] > _P99_MS:
        print(f"over budget: {_MEDIAN_MS:g} ms, and {_P99_MS:g} ms for 99 in 100", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
