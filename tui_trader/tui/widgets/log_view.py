"""The event log: one terminal line an entry, newest at the bottom, followed until the reader scrolls up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.widgets.plain_text import clean, fit

_MAX_LINES: Final = 5_000
_KEPT_STRIPS: Final = 512
_MOST_COUNTED: Final = 99
_WHEEL_LINES: Final = 3
_ROOMY: Final = 60  # cells from which a level is written out, below it its first letter stands for it

_RANKS: Final = {"DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_CYCLE: Final[tuple[str | None, ...]] = ("INFO", "WARN", None)
#: Levels and kinds whose colour the whole line takes; anything else is plain.
_TONES: Final = {
    "DEBUG": "log-view--debug",
    "WARN": "log-view--warn",
    "WARNING": "log-view--warn",
    "ERROR": "log-view--error",
    "CRITICAL": "log-view--error",
    "FILL": "log-view--fill",
}


class LogLine(NamedTuple):
    """One entry. ``text`` may come from outside: it is shown as it is, control characters replaced."""

    time: str
    level: str
    kind: str
    symbol: str
    text: str


def level_rank(level: str) -> int:
    """How serious; a level not known here counts as INFO."""
    return _RANKS.get(level.upper(), _RANKS["INFO"])


class LogView(Widget, can_focus=True):
    """The last 5,000 entries, filtered by level and symbol."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log-view--text",
        "log-view--time",
        "log-view--level",
        "log-view--kind",
        "log-view--symbol",
        "log-view--debug",
        "log-view--warn",
        "log-view--error",
        "log-view--fill",
        "log-view--empty",
    }

    DEFAULT_CSS = """
    LogView {
        background: $background;
        color: $foreground;
    }
    LogView > .log-view--text { color: $foreground; }
    LogView > .log-view--time { color: $text-muted; }
    LogView > .log-view--level { color: $text-muted; }
    LogView > .log-view--kind { color: $foreground; text-style: bold; }
    LogView > .log-view--symbol { color: $foreground; }
    LogView > .log-view--debug { color: $text-muted; }
    LogView > .log-view--warn { color: $warning; }
    LogView > .log-view--error { color: $error; }
    LogView > .log-view--fill { color: $success; }
    LogView > .log-view--empty { color: $text-muted; }
    LogView:ansi > .log-view--time { text-style: dim; }
    LogView:ansi > .log-view--debug { text-style: dim; }
    LogView:nocolor > .log-view--warn { color: $foreground; text-style: bold; }
    LogView:nocolor > .log-view--error { color: $foreground; text-style: bold; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_lines(1)", "Down", show=False, id="log.down"),
        Binding("up,k", "scroll_lines(-1)", "Up", show=False, id="log.up"),
        Binding("pagedown", "scroll_pages(1)", "Page down", show=False, id="log.page_down"),
        Binding("pageup", "scroll_pages(-1)", "Page up", show=False, id="log.page_up"),
        Binding("home,g", "first", "First", show=False, id="log.first"),
        Binding("end,G", "follow", "Follow", show=False, id="log.follow"),
        Binding("v", "next_level", "Level", show=False, id="log.level"),
    ]

    ALLOW_SELECT = False

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        empty: str = "",
        glyphs: GlyphName = "box",
    ) -> None:
        super().__init__(id=id)
        self._glyphs = glyph_set(glyphs)
        self._empty = empty
        self._lines: list[LogLine] = []
        self._shown: list[LogLine] = []
        self._level: str | None = None
        self._symbol: str | None = None
        self._top = 0
        self._following = True
        self._new = 0
        self._subtitle = ""
        self._strips: dict[LogLine, Strip] = {}
        self._styles: dict[str, Style] = {}

    # ---- what the application says ---------------------------------------------------------------------

    def append_lines(self, lines: Sequence[LogLine]) -> None:
        """Add entries, oldest first, in one refresh; beyond 5,000 the oldest go."""
        fresh = [line for line in lines if self._passes(line)]
        before = len(self._shown)
        self._lines.extend(lines)
        self._shown.extend(fresh)
        dropped = self._drop_oldest()
        if not fresh:
            if dropped and self._top == 0:
                self.refresh()
            return
        if not self._following:
            self._new += len(fresh)
            # Lines above the view went: it stays on what it shows, unless that went too.
            moved = self._top < dropped
            self._top = max(0, self._top - dropped)
            self._show_subtitle()
            if moved:
                self.refresh()
            return
        top, self._top = self._top, self._last_top
        height = self.size.height
        if before and not dropped and self._top == top and before < height:
            self.refresh(Region(0, before, self.size.width, height - before))
        else:
            self.refresh()

    def clear_lines(self) -> None:
        self._lines.clear()
        self._refilter()

    def set_filter(self, level: str | None, symbol: str | None) -> None:
        """Show entries of this level and above (None: all), and of this symbol (None: all)."""
        if (level, symbol) != (self._level, self._symbol):
            self._level, self._symbol = level, symbol
            self._refilter()

    @property
    def filter(self) -> tuple[str | None, str | None]:
        return self._level, self._symbol

    @property
    def following(self) -> bool:
        return self._following

    @property
    def line_count(self) -> int:
        return len(self._shown)

    # ---- keys and mouse --------------------------------------------------------------------------------

    def action_scroll_lines(self, by: int) -> None:
        self._scroll_top(self._top + by)

    def action_scroll_pages(self, pages: int) -> None:
        self._scroll_top(self._top + pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._scroll_top(0)

    def action_follow(self) -> None:
        self._scroll_top(self._last_top)

    def action_next_level(self) -> None:
        """INFO, WARN, everything, and round again."""
        current = _CYCLE.index(self._level) if self._level in _CYCLE else len(_CYCLE) - 1
        self.set_filter(_CYCLE[(current + 1) % len(_CYCLE)], self._symbol)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.action_scroll_lines(-_WHEEL_LINES)
        event.stop()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.action_scroll_lines(_WHEEL_LINES)
        event.stop()

    # ---- what is shown ---------------------------------------------------------------------------------

    @property
    def _last_top(self) -> int:
        return max(0, len(self._shown) - self.size.height)

    def _scroll_top(self, top: int) -> None:
        top = max(0, min(top, self._last_top))
        moved = top != self._top
        self._top = top
        self._following = top == self._last_top
        if self._following:
            self._new = 0
        self._show_subtitle()
        if moved:
            self.refresh()

    def _passes(self, line: LogLine) -> bool:
        if self._symbol is not None and line.symbol != self._symbol:
            return False
        return self._level is None or level_rank(line.level) >= level_rank(self._level)

    def _refilter(self) -> None:
        self._shown = [line for line in self._lines if self._passes(line)]
        self._following, self._new = True, 0
        self._top = self._last_top
        self._show_subtitle()
        self.refresh()

    def _drop_oldest(self) -> int:
        """Forget the oldest beyond the limit; how many of them were shown."""
        excess = len(self._lines) - _MAX_LINES
        if excess <= 0:
            return 0
        gone = sum(1 for line in self._lines[:excess] if self._passes(line))
        del self._lines[:excess]
        del self._shown[:gone]
        return gone

    def _show_subtitle(self) -> None:
        parts = []
        if self._level is not None:
            parts.append(f"level {self._level}")
        if self._symbol is not None:
            parts.append(clean(self._symbol))
        if self._new:
            # Exact beyond a point would repaint the border at every batch, for nobody.
            count = str(self._new) if self._new <= _MOST_COUNTED else f"{_MOST_COUNTED}+"
            parts.append(f"{count} new {self._glyphs.down}")
        subtitle = "  ".join(parts)
        if subtitle != self._subtitle:
            self._subtitle = subtitle
            self.border_subtitle = Content(subtitle) if subtitle else None

    # ---- painting --------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self._strips.clear()
        self._scroll_top(self._last_top if self._following else self._top)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        index = self._top + y
        if index >= len(self._shown):
            text = self._empty if y == 0 and not self._shown else ""
            style = self._style("log-view--empty")
            return Strip([Segment(fit(clean(text), width, self._glyphs.ellipsis), style)]).adjust_cell_length(
                width, style
            )
        line = self._shown[index]
        strip = self._strips.get(line)
        if strip is None:
            if len(self._strips) >= _KEPT_STRIPS:
                self._strips.clear()
            strip = self._strips[line] = self._line_strip(line, width)
        return strip

    def _line_strip(self, line: LogLine, width: int) -> Strip:
        tone = _TONES.get(line.level.upper()) or _TONES.get(line.kind.upper())
        level = clean(line.level)
        level = level[:1] if width < _ROOMY else f"{level:5}"
        parts = (
            ("log-view--time", f"{clean(line.time)} "),
            (tone or "log-view--level", f"{level} "),
            ("log-view--kind", f"{clean(line.kind):7} "),
            ("log-view--symbol", f"{clean(line.symbol):5} "),
            (tone or "log-view--text", clean(line.text)),
        )
        segments: list[Segment] = []
        left = width
        for name, text in parts:
            shown = fit(text, left, self._glyphs.ellipsis)
            if shown:
                segment = Segment(shown, self._style(name))
                left -= segment.cell_length
                segments.append(segment)
        return Strip(segments).adjust_cell_length(width, self._style("log-view--text"))

    def _style(self, name: str) -> Style:
        """A component's style, resolved once: Textual forgets its own at every refresh."""
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self.get_component_rich_style(name)
        return style
