"""Lines that are refreshed one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from tui_trader.tui.widgets.chart_render import Line, Tone


class ChartPart(Widget):
    """The plot or the price axis. They are apart because a line is always sent to the terminal from its
    widget's left edge: the last price, which changes most, must not resend the candles beside it."""

    ALLOW_SELECT = False

    def __init__(self, style: Callable[[Tone], Style]) -> None:
        super().__init__()
        self._tone_style = style
        self._lines: Sequence[Line] = ()
        self._strips: dict[int, Strip] = {}

    def put(self, lines: Sequence[Line]) -> None:
        """Show these lines; refreshes the ones that differ."""
        old, self._lines = self._lines, lines
        for y in range(max(len(old), len(lines))):
            if y >= len(old) or y >= len(lines) or old[y] != lines[y]:
                self._strips.pop(y, None)
                if y < self.size.height:
                    self.refresh(Region(0, y, self.size.width, 1))

    def drop_strips(self) -> None:
        self._strips.clear()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self.drop_strips()

    def render_line(self, y: int) -> Strip:
        strip = self._strips.get(y)
        if strip is None:
            runs = self._lines[y] if y < len(self._lines) else ()
            segments = [Segment(text, self._tone_style(tone)) for text, tone in runs]
            strip = Strip(segments).adjust_cell_length(self.size.width, self._tone_style("plain"))
            self._strips[y] = strip
        return strip
