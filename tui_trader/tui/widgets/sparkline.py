"""A series in one line, with its least and greatest value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_trader.tui.glyphs import GlyphName, glyph_set

_LEAST_LINE: Final = 8


def signed(value: float) -> str:
    """Dollars with sign, thousands and cents."""
    return f"{value:+,.2f}"


class EquityLine(Widget):
    """The line, then ``low … high …`` beside it, or below it when there are two rows."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "equity-line--gain",
        "equity-line--loss",
        "equity-line--flat",
        "equity-line--label",
        "equity-line--empty",
    }

    DEFAULT_CSS = """
    EquityLine { height: 1; background: $background; color: $foreground; }
    EquityLine > .equity-line--gain { color: $success; }
    EquityLine > .equity-line--loss { color: $error; }
    EquityLine > .equity-line--flat { color: $foreground; }
    EquityLine > .equity-line--label { color: $text-muted; }
    EquityLine > .equity-line--empty { color: $text-muted; }
    """

    ALLOW_SELECT = False

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        glyphs: GlyphName = "box",
        form: Callable[[float], str] = signed,
        empty: str = "",
    ) -> None:
        super().__init__(id=id)
        self._glyphs = glyph_set(glyphs)
        self._form = form
        self._empty = empty
        self._values: tuple[float, ...] = ()

    def set_values(self, values: Sequence[float]) -> None:
        """Show these, oldest first; the colour says whether the last is above zero."""
        if tuple(values) != self._values:
            self._values = tuple(values)
            self.refresh()

    def set_glyphs(self, name: GlyphName) -> None:
        self._glyphs = glyph_set(name)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        label_style = self.get_component_rich_style("equity-line--label")
        finite = [value for value in self._values if math.isfinite(value)]
        if not finite:
            style = self.get_component_rich_style("equity-line--empty")
            text = self._empty if y == 0 else ""
            return Strip([Segment(text, style)]).adjust_cell_length(width, style)
        label = f"low {self._form(min(finite))}  high {self._form(max(finite))}"
        line_style = self.get_component_rich_style(f"equity-line--{_tone(finite[-1])}")
        if height > 1:
            segments = [Segment(label, label_style)] if y == 1 else []
            if y == 0:
                segments = [Segment(self._glyphs.sparkline(self._values, width), line_style)]
            return Strip(segments).adjust_cell_length(width, label_style)
        room = width - len(label) - 1
        if room < _LEAST_LINE:
            return self._line(width, line_style)
        return Strip.join([self._line(room, line_style), Strip([Segment(f" {label}", label_style)])])

    def _line(self, width: int, style: Style) -> Strip:
        return Strip([Segment(self._glyphs.sparkline(self._values, width), style)])


def _tone(value: float) -> str:
    if value > 0:
        return "gain"
    return "loss" if value < 0 else "flat"
