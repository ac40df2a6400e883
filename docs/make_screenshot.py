"""Makes docs/screen.svg and, where rsvg-convert is installed, docs/screen.png: `make screenshot`.

Not drawn but run: the real engine trades the simulated market of one seed, bar by bar, until there is
something to see (positions with their stops, an armed symbol, closed trades), and the real screen is painted.
The same seed gives the same picture.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from tui_trader.core.events import Event, SymbolState
from tui_trader.engine.bus import QueueSubscription
from tui_trader.engine.handle import CandleRow, Command, EngineInfo, EngineSnapshot
from tui_trader.engine.snapshot import candles_of, snapshot_of
from tui_trader.engine.stepper import Stepper
from tui_trader.options import RunOptions
from tui_trader.tui.app import TraderApp
from tui_trader.wiring import Run, load

FOLDER = Path(__file__).resolve().parent
SEED = 31
SYMBOLS = ("AAPL", "AMD", "AMZN", "GOOGL", "META", "MSFT", "NVDA", "TSLA")
SIZE = (120, 40)
_SPEED = 60.0
_NOT_BEFORE = timedelta(minutes=45)
_LATER = timedelta(seconds=20)
_FLUSH_EVERY = 4
#: A cell in the units of a font of 20: wide as these fonts' letters and high as their lines.
_CELL_WIDTH, _CELL_HEIGHT, _BASELINE = 12.04, 23.28, 18.2
_FONTS = "'DejaVu Sans Mono', Menlo, Consolas, monospace"
_BACKGROUND = "#0d1015"
_MARGIN = 12
_PIXELS = 1080


class StillEngine:
    """The handle of an engine that this script steps, between two steps."""

    def __init__(self, run: Run) -> None:
        self._run = run
        assert isinstance(run.host._driver, Stepper)
        self._stepper = run.host._driver
        self.stopped = False
        self.exit_code = 0

    @property
    def info(self) -> EngineInfo:
        return self._run.host.info

    def start(self) -> None:
        self._stepper.start()

    def step(self) -> None:
        time = self._stepper.next_time()
        assert time is not None, "the market has ended without a picture"
        self._stepper.step(time)

    def worth_a_picture(self) -> bool:
        view = self.snapshot().result()
        if view.session is None or view.time < view.session.open + _NOT_BEFORE:
            return False
        armed = any(symbol.state is SymbolState.ARMED for symbol in view.symbols)
        protected = all(position.stop_working for position in view.positions)
        return armed and protected and len(view.positions) >= 3

    def subscribe(
        self, name: str, capacity: int, kinds: Sequence[type[Event]] | None = None
    ) -> QueueSubscription:
        return self._run.bus.subscribe(name, capacity, kinds)

    def send(self, command: Command) -> None:
        raise AssertionError(command)

    def snapshot(self) -> Future[EngineSnapshot]:
        answer: Future[EngineSnapshot] = Future()
        answer.set_result(snapshot_of(self._run.engine, _SPEED))
        return answer

    def candles(self, symbol: str) -> Future[tuple[CandleRow, ...]]:
        answer: Future[tuple[CandleRow, ...]] = Future()
        answer.set_result(candles_of(self._run.engine, symbol))
        return answer

    def now(self) -> datetime:
        return self._run.engine.clock.now() + _LATER


async def picture(engine: StillEngine) -> str:
    """The screen as SVG at the first moment that is worth it."""
    app = TraderApp(engine, flushes_a_second=None)
    async with app.run_test(size=SIZE) as pilot:
        steps = 0
        while not engine.worth_a_picture():
            engine.step()
            steps += 1
            if steps % _FLUSH_EVERY == 0:
                app.flush()
                await pilot.pause()
        held = next(iter(engine.snapshot().result().positions))
        app.trading.choose_symbol(held.symbol)
        for _ in range(12):
            app.flush()
            await pilot.pause()
        return drawn(app.screen._compositor.render_strips())


def drawn(strips: Sequence[Strip]) -> str:
    """The lines as an SVG in which every word stands where it stood, whatever font there is."""
    width = max(strip.cell_length for strip in strips) * _CELL_WIDTH
    height = len(strips) * _CELL_HEIGHT
    back, front = [], []
    for row, strip in enumerate(strips):
        top, column = row * _CELL_HEIGHT, 0
        for text, style, _ in strip:
            color, background = _colors(style)
            left, cells = column * _CELL_WIDTH, cell_len(text)
            if background != _BACKGROUND:
                back.append(
                    f'<rect x="{left:.2f}" y="{top:.2f}" width="{cells * _CELL_WIDTH:.2f}" '
                    f'height="{_CELL_HEIGHT + 0.4:.2f}" fill="{background}"/>'
                )
            weight = ' font-weight="bold"' if style is not None and style.bold else ""
            for word in re.finditer(r"[^ ]+", text):
                x = left + cell_len(text[: word.start()]) * _CELL_WIDTH
                front.append(
                    f'<text x="{x:.2f}" y="{top + _BASELINE:.2f}" fill="{color}"{weight} '
                    f'textLength="{cell_len(word[0]) * _CELL_WIDTH:.2f}">{escape(word[0])}</text>'
                )
            column += cells
    box = f"{-_MARGIN} {-_MARGIN} {width + 2 * _MARGIN:.0f} {height + 2 * _MARGIN:.0f}"
    frame = (
        f'<rect x="{-_MARGIN}" y="{-_MARGIN}" width="100%" height="100%" rx="10" fill="{_BACKGROUND}"/>\n'
        f'<g font-family="{_FONTS}" font-size="20" shape-rendering="crispEdges">'
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">',
        frame,
        *back,
        *front,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _colors(style: Style | None) -> tuple[str, str]:
    """Text and background of a run."""
    color = background = None
    if style is not None:
        color = style.color.get_truecolor().hex if style.color is not None else None
        background = style.bgcolor.get_truecolor().hex if style.bgcolor is not None else None
        if style.reverse:
            color, background = background, color
    return color or "#d5dbe6", background or _BACKGROUND


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(
            venue="sim", seed=SEED, symbols=SYMBOLS, state_dir=Path(folder), control="off", speed=None
        )
        run = Run(options, load(options))
        try:
            engine = StillEngine(run)
            engine.start()
            svg = asyncio.run(picture(engine))
        finally:
            run.abandon()
    target = FOLDER / "screen.svg"
    target.write_text(svg, encoding="utf-8")
    converter = shutil.which("rsvg-convert")
    if converter is not None:
        png = str(FOLDER / "screen.png")
        subprocess.run([converter, "--width", str(_PIXELS), "--output", png, target], check=True)  # noqa: S603
    else:
        print("rsvg-convert is not installed: only the SVG was made", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
