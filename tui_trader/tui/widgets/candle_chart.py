"""The candle chart of one symbol: keeps what is shown, and repaints the lines that differ."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.widgets.chart_frame import Frame, axis_width, frame
from tui_trader.tui.widgets.chart_interval import intervals, made_of_bars, regrouped
from tui_trader.tui.widgets.chart_part import ChartPart
from tui_trader.tui.widgets.chart_scale import (
    Scale,
    candle_minutes,
    fit_scale,
    group,
    is_drawable,
    keep_scale,
)
from tui_trader.tui.widgets.plain_text import clean, fit

if TYPE_CHECKING:
    from datetime import datetime

    from tui_trader.engine.handle import CandleRow
    from tui_trader.tui.widgets.chart_render import FillMark, Line, StopPath, Tone

_ZOOMS: Final = (1, 2, 3, 5)
_MOST_CANDLES: Final = 2_000
_EMPTY: Final = "no candles yet"


class CandleChart(Widget, can_focus=True, can_focus_children=False):
    """Candles with averages, entry and stop, fills, volume and the last price; live at the right edge."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "candle-chart--plain",
        "candle-chart--gain",
        "candle-chart--loss",
        "candle-chart--sma-fast",
        "candle-chart--sma-slow",
        "candle-chart--entry",
        "candle-chart--stop",
        "candle-chart--buy",
        "candle-chart--sell",
        "candle-chart--axis",
        "candle-chart--session",
        "candle-chart--cross",
        "candle-chart--cross-tag",
        "candle-chart--date",
        "candle-chart--last",
        "candle-chart--last-up",
        "candle-chart--last-down",
        "candle-chart--volume-gain",
        "candle-chart--volume-loss",
    }

    DEFAULT_CSS = """
    CandleChart {
        background: $background;
        color: $foreground;
        layout: horizontal;
    }
    CandleChart > ChartPart { width: 1fr; height: 100%; }
    CandleChart > .candle-chart--plain { color: $foreground; }
    CandleChart > .candle-chart--gain { color: $success; }
    CandleChart > .candle-chart--loss { color: $error; }
    CandleChart > .candle-chart--sma-fast { color: $primary; }
    CandleChart > .candle-chart--sma-slow { color: $secondary; }
    CandleChart > .candle-chart--entry { color: $warning; }
    CandleChart > .candle-chart--stop { color: $error; }
    CandleChart > .candle-chart--buy { color: $success; text-style: bold; }
    CandleChart > .candle-chart--sell { color: $error; text-style: bold; }
    CandleChart > .candle-chart--axis { color: $text-muted; }
    CandleChart > .candle-chart--session { color: $text-disabled; }
    CandleChart > .candle-chart--cross { color: $text-muted; }
    CandleChart > .candle-chart--cross-tag { color: $foreground; text-style: bold reverse; }
    CandleChart > .candle-chart--date { color: $foreground; }
    CandleChart > .candle-chart--last { color: $background; background: $foreground; text-style: bold; }
    CandleChart > .candle-chart--last-up { color: $background; background: $success; text-style: bold; }
    CandleChart > .candle-chart--last-down { color: $background; background: $error; text-style: bold; }
    CandleChart > .candle-chart--volume-gain { color: $success 60%; }
    CandleChart > .candle-chart--volume-loss { color: $error 60%; }
    CandleChart:ansi > .candle-chart--session { text-style: dim; }
    CandleChart:nocolor > .candle-chart--cross-tag { text-style: reverse; }
    CandleChart:nocolor > .candle-chart--stop { color: $foreground; }
    CandleChart:nocolor > .candle-chart--gain { text-style: bold; }
    CandleChart:nocolor > .candle-chart--loss { text-style: dim; }
    """

    # fmt: off
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom(-1)", "Zoom in", show=False, id="chart.zoom_in"),
        Binding("minus", "zoom(1)", "Zoom out", show=False, id="chart.zoom_out"),
        Binding("comma", "interval(-1)", "Shorter candles", show=False, id="chart.shorter"),
        Binding("full_stop", "interval(1)", "Longer candles", show=False, id="chart.longer"),
        Binding("h", "scroll_pages(-1)", "Earlier", show=False, id="chart.earlier"),
        Binding("l", "scroll_pages(1)", "Later", show=False, id="chart.later"),
        Binding(
            "left", "cross(-1)", "Cross-hair", show=False, id="chart.cross_left",
            tooltip="Cross-hair, one candle back: its prices below the chart",
        ),
        Binding(
            "right", "cross(1)", "Cross-hair", show=False, id="chart.cross_right",
            tooltip="Cross-hair, one candle on",
        ),
        Binding("shift+left", "cross(-10)", "Cross-hair, ten back", show=False, id="chart.cross_far_left"),
        Binding("shift+right", "cross(10)", "Cross-hair, ten on", show=False, id="chart.cross_far_right"),
        Binding("escape", "cross_off", "Cross-hair off", show=False, id="chart.cross_off"),
        Binding("home", "oldest", "Oldest", show=False, id="chart.oldest"),
        Binding("end", "live", "Live", show=False, id="chart.live"),
    ]
    # fmt: on

    ALLOW_SELECT = False

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        glyphs: GlyphName = "box",
    ) -> None:
        super().__init__(id=id)
        self._glyphs = glyph_set(glyphs)
        self._symbol = ""
        self._empty = _EMPTY
        self._candles: list[CandleRow] = []
        self._bars: list[CandleRow] | None = None
        #: Minutes of a candle: the strategy's, 0 while nobody said; the chosen ones, 0 for the strategy's.
        self._own = 0
        self._chosen = 0
        self._columns: Sequence[CandleRow] = ()
        self._highest = 0.0
        self._zoom = _ZOOMS[0]
        #: Columns scrolled out on the right; 0 follows live.
        self._behind = 0
        self._scale: Scale | None = None
        self._entry: float | None = None
        self._stop: float | None = None
        self._last: float | None = None
        self._up: bool | None = None
        self._marks: tuple[FillMark, ...] = ()
        self._path: StopPath | None = None
        self._cross: datetime | None = None
        self._averages = ("", "")
        self._note = ""
        self._under = Content("")
        #: The times to keep in view until somebody scrolls or zooms.
        self._span: tuple[datetime, datetime] | None = None
        self._styles: dict[Tone, Style] = {}
        self._plot = ChartPart(self._tone_style)
        self._axis = ChartPart(self._tone_style)
        # What nearly every price needs: the first paint has its layout already.
        self._axis_width = axis_width(self._highest)
        self._axis.styles.width = self._axis_width

    def compose(self) -> ComposeResult:
        yield self._plot
        yield self._axis

    # ---- what the application says ---------------------------------------------------------------------

    def show(self, symbol: str, candles: Sequence[CandleRow]) -> None:
        """Show these candles, oldest first. Another symbol starts afresh: live, without lines and marks."""
        if symbol != self._symbol:
            self._symbol = symbol
            self._behind = 0
            self._entry = self._stop = self._last = self._up = None
            self._marks = ()
            self._path = self._span = self._cross = None
            if self._bars is not None:
                self._bars = []
        self._scale = None
        self._candles = [_in_new_york(candle) for candle in candles[-_MOST_CANDLES:]]
        self._regroup()
        self._redraw()

    def push(self, candle: CandleRow) -> None:
        """Add a closed candle; one of the last candle's time replaces it, an older one is ignored."""
        candle = _in_new_york(candle)
        newest = self._candles[-1].timestamp if self._candles else None
        if newest is not None and candle.timestamp < newest:
            return
        column = self._columns[-1].timestamp if self._columns else None
        if candle.timestamp == newest:
            self._candles[-1] = candle
        else:
            self._candles.append(candle)
            del self._candles[:-_MOST_CANDLES]
        self._regroup()
        if self._behind and self._columns and self._columns[-1].timestamp != column:
            # Whoever looks back keeps seeing the same candles.
            self._behind = min(self._behind + 1, self._most_behind)
        self._redraw()

    def set_bars(self, bars: Sequence[CandleRow]) -> None:
        """The minute bars of the symbol, oldest first; without them only what the candles add up to."""
        column = self._columns[-1].timestamp if self._columns else None
        self._bars = [_in_new_york(bar) for bar in bars]
        if self.made_of_bars:
            self._regroup()
            if self._behind and self._columns and self._columns[-1].timestamp != column:
                self._behind = min(self._behind + 1, self._most_behind)
            self._redraw()

    def set_own_interval(self, minutes: int) -> None:
        """The strategy's candles are of so many minutes; 0 when that is not known."""
        if minutes != self._own:
            self._own = minutes
            self._regroup()
            self._redraw()

    def set_averages(self, fast: str, slow: str) -> None:
        """What the averages are called."""
        if (fast, slow) != self._averages:
            self._averages = (fast, slow)
            self._redraw()

    def set_note(self, text: str) -> None:
        """A remark in the lower border, while no candle is read out there."""
        if text != self._note:
            self._note = text
            self._redraw()

    def use_glyphs(self, name: GlyphName) -> None:
        """Draw with another set of characters from now on."""
        self._glyphs = glyph_set(name)
        self._scale = None
        self._redraw()

    def set_lines(self, entry: float | None, stop: float | None) -> None:
        entry, stop = _number(entry), _number(stop)
        if (entry, stop) != (self._entry, self._stop):
            self._entry, self._stop = entry, stop
            self._redraw()

    def set_last(self, price: float | None, up: bool | None) -> None:
        """The live price at the right edge, and whether it is above its reference."""
        price = _number(price)
        if (price, up) != (self._last, self._up):
            self._last, self._up = price, up
            self._redraw()

    def set_marks(self, marks: Sequence[FillMark]) -> None:
        if tuple(marks) != self._marks:
            self._marks = tuple(marks)
            self._redraw()

    def set_path(self, path: StopPath | None) -> None:
        """Where a trade's stop stood; drawn instead of a line across."""
        if path != self._path:
            self._path = path
            self._scale = None
            self._redraw()

    def look_at(self, first: datetime, last: datetime) -> None:
        """Scroll, and zoom as far as needed, so that these times are in view with some room around them."""
        self._span = (first, last)
        self._redraw()

    def set_empty(self, text: str) -> None:
        """What stands here while there are no candles: say what will happen next."""
        if text != self._empty:
            self._empty = text
            self._redraw()

    @property
    def symbol(self) -> str:
        return self._symbol

    @property
    def zoom(self) -> int:
        """Candles a column."""
        return self._zoom

    @property
    def interval(self) -> int:
        """Minutes of a candle that is shown."""
        return self._chosen or self.own_interval

    @property
    def own_interval(self) -> int:
        """Minutes of a candle of the strategy."""
        return self._own or candle_minutes(self._candles)

    @property
    def made_of_bars(self) -> bool:
        """Whether minute bars are needed for what is shown."""
        return made_of_bars(self.interval, self.own_interval)

    @property
    def following(self) -> bool:
        """Whether the right edge is the latest candle."""
        return self._behind == 0

    # ---- keys and mouse --------------------------------------------------------------------------------

    def action_zoom(self, by: int) -> None:
        place = _ZOOMS.index(self._zoom)
        zoom = _ZOOMS[max(0, min(len(_ZOOMS) - 1, place + by))]
        self._span = None
        if zoom != self._zoom:
            # The right edge stays about where it is in time.
            self._behind = self._behind * self._zoom // zoom
            self._zoom = zoom
            self._scale = None
            self._regroup()
            self._redraw()

    def action_interval(self, by: int) -> None:
        """The next longer or shorter candles."""
        own = self.own_interval
        choices = intervals(own, self._bars is not None)
        before = self.interval
        place = choices.index(before) if before in choices else choices.index(own)
        minutes = choices[max(0, min(len(choices) - 1, place + by))]
        self._chosen = 0 if minutes == own else minutes
        if minutes != before:
            self._regroup()
            self._behind = min(self._behind * before // minutes, self._most_behind)
            self._scale = None
            self._redraw()

    def action_cross(self, by: int) -> None:
        """Put the cross-hair on the newest candle in view, or move it."""
        if not self._columns:
            return
        if self._cross is None:
            self._cross_to(len(self._columns) - 1 - self._behind)
        else:
            self._cross_to(self._column_of(self._cross) + by)

    def action_cross_off(self) -> None:
        self._cross = None
        self._redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a cross-hair its key is somebody else's."""
        return self._cross is not None if action == "cross_off" else True

    def on_click(self, event: events.Click) -> None:
        """The cross-hair where it was clicked; off again where it stands."""
        end = len(self._columns) - self._behind
        index = end - (self._plot.region.right - event.screen_x)
        if not self._plot.region.contains(event.screen_x, event.screen_y) or not 0 <= index < end:
            return
        if self._cross is not None and self._column_of(self._cross) == index:
            self.action_cross_off()
        else:
            self._cross_to(index)

    def action_scroll_pages(self, direction: int) -> None:
        """A quarter of the chart at a time."""
        self._look_back(self._behind - direction * max(1, self._frame().plot_width // 4))

    def action_oldest(self) -> None:
        self._look_back(len(self._columns))

    def action_live(self) -> None:
        self._look_back(0)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._look_back(self._behind + 3)
        event.stop()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._look_back(self._behind - 3)
        event.stop()

    # ---- what is shown ---------------------------------------------------------------------------------

    def _regroup(self) -> None:
        own, minutes = self.own_interval, self.interval
        columns = regrouped(self._candles, self._bars or (), own, minutes)
        self._columns = columns if self._zoom == 1 else group(columns, minutes * self._zoom)
        self._highest = max((candle.high for candle in self._columns if is_drawable(candle)), default=0.0)

    def _frame(self) -> Frame:
        return frame(self.size.width, self.size.height, self._highest)

    @property
    def _most_behind(self) -> int:
        return max(0, len(self._columns) - self._frame().plot_width)

    def _look_back(self, behind: int) -> None:
        self._span = None
        behind = max(0, min(behind, self._most_behind))
        if behind != self._behind:
            self._behind = behind
            self._scale = None
            self._redraw()

    def _column_of(self, time: datetime) -> int:
        """The column in which that time is."""
        return max(0, bisect_right(self._columns, time, key=lambda candle: candle.timestamp) - 1)

    def _cross_to(self, index: int) -> None:
        """The cross-hair on that column, scrolled into view."""
        index = max(0, min(index, len(self._columns) - 1))
        self._cross = self._columns[index].timestamp
        end = len(self._columns) - self._behind
        width = max(1, self._frame().plot_width)
        if not end - width <= index < end:
            self._span = None
            self._scale = None
            self._behind = len(self._columns) - (index + 1 if index >= end else index + width)
        self._redraw()

    def _place_span(self, first: datetime, last: datetime) -> None:
        """A quarter of the plot stays free on the right, where there are candles for it."""
        width = self._frame().plot_width
        for zoom in _ZOOMS:
            self._zoom = zoom
            self._regroup()
            times = [candle.timestamp for candle in self._columns]
            begin, end = (max(0, bisect_right(times, time) - 1) for time in (first, last))
            if end - begin < width * 2 // 3:
                break
        self._behind = max(0, min(len(times) - 1 - end - width // 4, self._most_behind))

    def _draw(self, cells: Frame) -> tuple[Sequence[Line], Sequence[Line]]:
        """The plot's lines and the axis's."""
        if not self._columns:
            self._show_under(Content(clean(self._note)))
            return _message(clean(self._nothing), cells.plot_width, self.size.height), ()
        from tui_trader.tui.widgets.chart_render import Picture, render  # not for the first paint

        end = max(0, len(self._columns) - self._behind)
        start = max(0, end - cells.plot_width)
        visible = self._columns[start:end]
        cross = None if self._cross is None else self._column_of(self._cross) - start
        if cross is not None and not 0 <= cross < len(visible):
            cross = None
        # The live price is no part of what was: looking back it is only pinned to the edge.
        last = None if self._behind else self._last
        steps = () if self._path is None else self._path.steps
        needed = fit_scale(visible, (self._entry, self._stop, last, *(price for _, price in steps)))
        if needed is None:
            return _message(clean(self._empty), cells.plot_width, self.size.height), ()
        self._scale = keep_scale(self._scale, needed)
        corner = f"{self._glyphs.times}{self._zoom}" if self._zoom > 1 else ""
        if self._behind:
            # The key that leads back to live.
            corner = f"{corner} end {self._glyphs.cursor}".strip()
        picture = Picture(
            candles=visible,
            scale=self._scale,
            glyphs=self._glyphs,
            minutes=self.interval * self._zoom,
            entry=self._entry,
            stop=self._stop,
            last=self._last,
            up=self._up,
            marks=self._marks,
            path=self._path,
            until=self._columns[end].timestamp if end < len(self._columns) else None,
            corner=corner,
            cross=cross,
        )
        self._show_under(Content(clean(self._note)) if cross is None else self._read_out(start + cross))
        return render(picture, cells)

    @property
    def _nothing(self) -> str:
        """Why there is nothing to see."""
        if self._candles and self.made_of_bars:
            return f"{self.interval}m candles are made of minute bars: none has come yet"
        return self._empty

    def _read_out(self, index: int) -> Content:
        from tui_trader.tui.widgets.chart_readout import readout

        candle = self._columns[index]
        after = self._columns[index + 1].timestamp if index + 1 < len(self._columns) else None
        fills = [
            mark
            for mark in self._marks
            if mark.timestamp >= candle.timestamp and (after is None or mark.timestamp < after)
        ]
        today = candle.timestamp.date() == self._columns[-1].timestamp.date()
        return readout(candle, fills, self._averages, self.size.width - 4, today)

    def _show_under(self, content: Content) -> None:
        # Setting it repaints the whole border: only when it reads differently.
        if not content.is_same(self._under):
            self._under = content
            self.border_subtitle = content

    def _redraw(self) -> None:
        """Draw, and refresh the lines that look different."""
        if not self.is_mounted or not self.size:
            return
        if self._span is not None and self._candles:
            self._scale = None
            self._place_span(*self._span)
        cells = self._frame()
        if cells.axis_width != self._axis_width:
            self._axis_width = cells.axis_width
            self._axis.styles.width = cells.axis_width
        plot, axis = self._draw(cells)
        self._plot.put(plot)
        self._axis.put(axis)

    # ---- painting --------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self._scale = None
        self._behind = min(self._behind, self._most_behind)
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
            style = self._styles[tone] = self.get_component_rich_style(f"candle-chart--{tone}")
        return style


def _in_new_york(candle: CandleRow) -> CandleRow:
    from tui_trader.core.calendar import NEW_YORK  # time zones are not for the first paint

    return candle._replace(timestamp=candle.timestamp.astimezone(NEW_YORK))


def _number(price: float | None) -> float | None:
    return price if price is not None and math.isfinite(price) else None


def _message(text: str, width: int, height: int) -> list[Line]:
    lines: list[Line] = [()] * height
    lines[height // 2] = ((fit(text, width).center(width), "axis"),)
    return lines
