"""The equity curve of a backtest: keeps what is shown, and repaints the lines that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.widget import Widget

from tui_trader.tui.backtest.equity_render import EquityPicture, equity_axis_width, render_equity
from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.widgets.chart_part import ChartPart

if TYPE_CHECKING:
    from tui_trader.backtest.worker.messages import CurvePoint
    from tui_trader.tui.widgets.chart_render import Tone


class EquityChart(Widget, can_focus=True, can_focus_children=False):
    """Equity as an area on its cash, falls from the peak below it, and a mark at one moment."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "equity-chart--plain",
        "equity-chart--gain",
        "equity-chart--loss",
        "equity-chart--volume-gain",
        "equity-chart--volume-loss",
        "equity-chart--axis",
        "equity-chart--last",
        "equity-chart--last-up",
        "equity-chart--last-down",
    }

    DEFAULT_CSS = """
    EquityChart { layout: horizontal; }
    EquityChart > ChartPart { width: 1fr; height: 100%; }
    """

    ALLOW_SELECT = False

    def __init__(self, *, id: str, glyphs: GlyphName) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._glyphs = glyph_set(glyphs)
        self._curve: Sequence[CurvePoint] = ()
        self._mark: int | None = None
        self._styles: dict[Tone, Style] = {}
        self._plot = ChartPart(self._tone_style)
        self._axis = ChartPart(self._tone_style)

    def compose(self) -> ComposeResult:
        yield self._plot
        yield self._axis

    def show(self, curve: Sequence[CurvePoint]) -> None:
        """Show this curve; it begins with the cash."""
        if curve is not self._curve:
            self._curve = curve
            self._mark = None
            self._redraw()

    def point_at(self, seconds: int | None) -> None:
        """Point at a moment, seconds since 1970; None at none."""
        if seconds != self._mark:
            self._mark = seconds
            self._redraw()

    def _redraw(self) -> None:
        if not self.is_mounted or not self.size:
            return
        width, height = self.size
        self._axis.styles.width = equity_axis_width(self._curve, width)
        picture = EquityPicture(self._curve, self._glyphs, self._mark)
        plot, axis = render_equity(picture, width, height)
        self._plot.put(plot)
        self._axis.put(axis)

    def on_resize(self, event: events.Resize) -> None:
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._plot.drop_strips()
        self._axis.drop_strips()

    def _tone_style(self, tone: Tone) -> Style:
        """A component's style, resolved once: Textual forgets its own at every refresh."""
        style = self._styles.get(tone)
        if style is None:
            style = self._styles[tone] = self.get_component_rich_style(f"equity-chart--{tone}")
        return style
