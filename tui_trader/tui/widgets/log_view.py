"""The event log: newest at the bottom, followed until the reader moves up; long entries take several rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.widgets.log_layout import MOST_ROWS, LogLine, LogRows, wrap
from tui_trader.tui.widgets.plain_text import clean, fit

__all__ = ["LogLine", "LogView", "level_rank"]

_MAX_LINES: Final = 5_000
_KEPT_STRIPS: Final = 512
_MOST_COUNTED: Final = 99
_WHEEL_LINES: Final = 3
_INDENT: Final = 11  # of an entry's further rows: below its kind
_MOST_LEAD: Final = 32  # cells that stand before the text, at most for usual symbols
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


def level_rank(level: str) -> int:
    """How serious; a level not known here counts as INFO."""
    return _RANKS.get(level.upper(), _RANKS["INFO"])


class LogView(Widget, can_focus=True):
    """The last 5,000 entries, filtered by level, kind and symbol.

    Without a selected entry the view follows what is new; with one it stays.
    """

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
        "log-view--cursor",
        "log-view--match",
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
    LogView > .log-view--cursor { text-style: bold; }
    LogView:focus > .log-view--cursor { background: $primary 30%; text-style: bold; }
    LogView:ansi:nocolor:focus > .log-view--cursor { text-style: reverse; }
    LogView > .log-view--match { text-style: reverse; }
    LogView:ansi > .log-view--time { text-style: dim; }
    LogView:ansi > .log-view--debug { text-style: dim; }
    LogView:nocolor > .log-view--warn { color: $foreground; text-style: bold; }
    LogView:nocolor > .log-view--error { color: $foreground; text-style: bold; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="log.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="log.up"),
        Binding("pagedown", "scroll_pages(1)", "Page down", show=False, id="log.page_down"),
        Binding("pageup", "scroll_pages(-1)", "Page up", show=False, id="log.page_up"),
        Binding("home,g", "first", "First", show=False, id="log.first"),
        Binding("end,G", "follow", "The newest, and follow", show=False, id="log.follow"),
        Binding("enter", "choose", "All of the entry", show=False, id="log.choose"),
        Binding("v", "next_level", "Level: INFO, WARN, everything", show=False, id="log.level"),
        Binding("f", "only_kind", "Only this kind of entry, and all again", show=False, id="log.kind"),
        Binding("o", "only_symbol", "Only this entry's symbol, and all again", show=False, id="log.symbol"),
        Binding("n", "next_match(-1)", "Next match, backwards", show=False, id="log.match_back"),
        Binding("N", "next_match(1)", "Next match, forwards", show=False, id="log.match_on"),
        Binding("w", "wrap", "Break long entries into rows, or cut them", show=False, id="log.wrap"),
        Binding("escape", "clear", "No filter, no search, and follow", show=False, id="log.clear"),
    ]

    ALLOW_SELECT = False

    class Chosen(Message):
        """Enter, or a double click, on an entry."""

        def __init__(self, view: LogView, line: LogLine) -> None:
            super().__init__()
            self.view = view
            self.line = line

        @property
        def control(self) -> LogView:
            return self.view

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
        self._rows = LogRows()
        self._level: str | None = None
        self._kind: str | None = None
        self._symbol: str | None = None
        self._wanted = ""  # what is searched for
        self._wrap = True
        self._cursor: int | None = None  # an entry; None follows what is new
        self._top = 0
        self._new = 0
        self._subtitle = ""
        self._strips: dict[tuple[LogLine, int], Strip] = {}
        self._styles: dict[str, Style] = {}

    # ---- what the application says ---------------------------------------------------------------------

    def append_lines(self, lines: Sequence[LogLine]) -> None:
        """Add entries, oldest first, in one refresh; beyond 5,000 the oldest go."""
        fresh = [line for line in lines if self._passes(line)]
        before = len(self._rows)
        self._lines.extend(lines)
        self._shown.extend(fresh)
        self._rows.add([self._height(line) for line in fresh])
        dropped = self._drop_oldest()
        if not fresh:
            if dropped and self._top == 0:
                self.refresh()
            self._top = max(0, self._top - dropped)
            return
        if not self.following:
            self._new += len(fresh)
            # Rows above the view went: it stays on what it shows, unless that went too.
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

    def use_glyphs(self, name: GlyphName) -> None:
        """Draw with another set of characters from now on."""
        self._glyphs = glyph_set(name)
        self._strips.clear()
        self.refresh()

    def clear_lines(self) -> None:
        self._lines.clear()
        self._refilter()

    def set_filter(self, level: str | None, symbol: str | None, kind: str | None = None) -> None:
        """Show entries of this level and above, of this symbol, of this kind (None: all)."""
        if (level, symbol, kind) != (self._level, self._symbol, self._kind):
            self._level, self._symbol, self._kind = level, symbol, kind
            self._refilter()

    def find(self, text: str) -> bool:
        """Mark ``text`` wherever it stands and select the newest entry with it; whether there is one."""
        self._wanted = clean(text).casefold()
        self._strips.clear()
        found = self._match(len(self._shown), -1) if self._wanted else None
        if found is not None:
            self._select(found)
        self._show_subtitle()
        self.refresh()
        return found is not None

    # ---- what it tells ---------------------------------------------------------------------------------

    @property
    def filter(self) -> tuple[str | None, str | None, str | None]:
        """Level, symbol and kind."""
        return self._level, self._symbol, self._kind

    @property
    def following(self) -> bool:
        return self._cursor is None

    @property
    def line_count(self) -> int:
        return len(self._shown)

    @property
    def selected(self) -> LogLine | None:
        """The entry that is selected, else the newest."""
        if not self._shown:
            return None
        return self._shown[-1 if self._cursor is None else self._cursor]

    # ---- keys and mouse --------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Another entry; the first key up selects the newest, one down from there follows again."""
        if self._cursor is None:
            if by < 0 and self._shown:
                self._select(len(self._shown) - 1)
        elif self._cursor + by >= len(self._shown):
            self.action_follow()
        else:
            self._select(max(0, self._cursor + by))

    def action_scroll_pages(self, pages: int) -> None:
        self._scroll(pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        if self._shown:
            self._select(0)

    def action_follow(self) -> None:
        self._cursor, self._new = None, 0
        self._top = self._last_top
        self._show_subtitle()
        self.refresh()

    def action_choose(self) -> None:
        if (line := self.selected) is not None:
            self.post_message(self.Chosen(self, line))

    def action_next_level(self) -> None:
        """INFO, WARN, everything, and round again."""
        current = _CYCLE.index(self._level) if self._level in _CYCLE else len(_CYCLE) - 1
        self.set_filter(_CYCLE[(current + 1) % len(_CYCLE)], self._symbol, self._kind)

    def action_only_kind(self) -> None:
        line = self.selected
        kind = None if self._kind is not None or line is None else line.kind
        self.set_filter(self._level, self._symbol, kind)

    def action_only_symbol(self) -> None:
        line = self.selected
        symbol = None if self._symbol is not None or line is None else line.symbol or None
        self.set_filter(self._level, symbol, self._kind)

    def action_next_match(self, by: int) -> None:
        start = len(self._shown) if self._cursor is None else self._cursor
        found = self._match(start, by) if self._wanted else None
        if found is not None:
            self._select(found)

    def action_wrap(self) -> None:
        self._wrap = not self._wrap
        self._lay_out()

    def action_clear(self) -> None:
        self._wanted = ""
        self._strips.clear()
        self.set_filter("INFO", None)
        self.action_follow()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that would do nothing is somebody else's."""
        if action != "clear":
            return True
        return bool(self._wanted or self._symbol or self._kind or self._cursor is not None)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll(-_WHEEL_LINES)
        event.stop()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll(_WHEEL_LINES)
        event.stop()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or self._top + offset.y >= len(self._rows):
            return
        self._select(self._rows.entry_at(self._top + offset.y)[0])
        if event.chain == 2:
            self.action_choose()

    # ---- what is shown ---------------------------------------------------------------------------------

    @property
    def _last_top(self) -> int:
        return max(0, len(self._rows) - self.size.height)

    def _select(self, entry: int) -> None:
        """Select an entry and bring it into view."""
        self._cursor = entry
        first, end = self._rows.first_row(entry), self._rows.end_row(entry)
        self._top = max(min(self._top, first), min(end - self.size.height, first))
        self._top = max(0, min(self._top, self._last_top))
        self._show_subtitle()
        self.refresh()

    def _scroll(self, by: int) -> None:
        """Move the view; the selection stays within it, and at the end there is none."""
        top = self._top + by
        if not self._shown or (by > 0 and top >= self._last_top):
            self.action_follow()
            return
        self._top = max(0, min(top, self._last_top))
        bottom = min(len(self._rows), self._top + max(1, self.size.height)) - 1
        lowest, highest = self._rows.entry_at(self._top)[0], self._rows.entry_at(bottom)[0]
        cursor = highest if self._cursor is None else self._cursor
        self._cursor = max(lowest, min(cursor, highest))
        self._show_subtitle()
        self.refresh()

    def _match(self, start: int, by: int) -> int | None:
        """The nearest entry from ``start`` on, not itself, that has what is searched for."""
        stop = len(self._shown) if by > 0 else -1
        return next((entry for entry in range(start + by, stop, by) if self._has(self._shown[entry])), None)

    def _has(self, line: LogLine) -> bool:
        return any(self._wanted in field.casefold() for field in line)

    def _passes(self, line: LogLine) -> bool:
        if self._symbol is not None and line.symbol != self._symbol:
            return False
        if self._kind is not None and line.kind != self._kind:
            return False
        return self._level is None or level_rank(line.level) >= level_rank(self._level)

    def _refilter(self) -> None:
        self._shown = [line for line in self._lines if self._passes(line)]
        self._cursor, self._new = None, 0
        self._lay_out()
        self._show_subtitle()

    def _lay_out(self) -> None:
        """Find anew which rows the entries take."""
        self._strips.clear()
        self._rows = LogRows()
        self._rows.add([self._height(line) for line in self._shown])
        self._top = self._last_top
        if self._cursor is not None:
            self._select(self._cursor)
        self.refresh()

    def _drop_oldest(self) -> int:
        """Forget the oldest beyond the limit; how many rows of them were shown."""
        excess = len(self._lines) - _MAX_LINES
        if excess <= 0:
            return 0
        gone = sum(1 for line in self._lines[:excess] if self._passes(line))
        del self._lines[:excess]
        del self._shown[:gone]
        if self._cursor is not None:
            self._cursor = max(0, self._cursor - gone) if self._shown else None
        return self._rows.drop(gone)

    def _show_subtitle(self) -> None:
        parts = []
        if self._level is not None:
            parts.append(f"level {self._level}")
        parts += [clean(only) for only in (self._kind, self._symbol) if only is not None]
        if self._wanted:
            none = "" if any(map(self._has, self._shown)) else ": nowhere"
            parts.append(f"/{self._wanted}{none}")
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
        top = self._rows.entry_at(self._top) if len(self._rows) else (0, 0)
        self._lay_out()
        if self._cursor is not None:
            self._top = max(0, min(self._rows.first_row(top[0]), self._last_top))
            self._select(self._cursor)

    def on_focus(self) -> None:
        self._repaint_cursor()

    def on_blur(self) -> None:
        self._repaint_cursor()

    def _repaint_cursor(self) -> None:
        if self._cursor is not None:
            self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        row = self._top + y
        if row >= len(self._rows):
            text = self._empty if y == 0 and not self._shown else ""
            style = self._style("log-view--empty")
            return Strip([Segment(fit(clean(text), width, self._glyphs.ellipsis), style)]).adjust_cell_length(
                width, style
            )
        entry, part = self._rows.entry_at(row)
        line = self._shown[entry]
        strip = self._strips.get((line, part))
        if strip is None:
            if len(self._strips) >= _KEPT_STRIPS:
                self._strips.clear()
            strip = self._strips[line, part] = self._row_strip(line, part, width)
        if entry != self._cursor:
            return strip
        cursor = self._style("log-view--cursor")
        over = cursor.without_color + Style(bgcolor=cursor.bgcolor)
        return Strip(Segment.apply_style(strip, post_style=over), strip.cell_length)

    def _lead(self, line: LogLine, width: int) -> list[tuple[str, str]]:
        """What stands before the text, each with its style."""
        tone = _TONES.get(line.level.upper()) or _TONES.get(line.kind.upper())
        level = clean(line.level)
        level = level[:1] if width < _ROOMY else f"{level:5}"
        return [
            ("log-view--time", f"{clean(line.time)} "),
            (tone or "log-view--level", f"{level} "),
            ("log-view--kind", f"{clean(line.kind):7} "),
            ("log-view--symbol", f"{clean(line.symbol):5} "),
        ]

    def _text_rows(self, line: LogLine) -> list[str]:
        width = self.size.width
        first = width - cell_len("".join(text for _, text in self._lead(line, width)))
        if not self._wrap:
            return [clean(line.text)]
        rows = wrap(line.text, first, width - _INDENT)
        if len(rows) > MOST_ROWS:
            cut = " ".join(rows[MOST_ROWS - 1 :])  # longer than a row: it gets its mark
            rows = [*rows[: MOST_ROWS - 1], cut]
        return rows

    def _height(self, line: LogLine) -> int:
        """Rows that an entry takes."""
        # Nearly all fit one: do not lay them out.
        least = self.size.width - _MOST_LEAD
        if not self._wrap or not self.size.width or (len(line.text) < least and line.text.isascii()):
            return 1
        return len(self._text_rows(line))

    def _row_strip(self, line: LogLine, part: int, width: int) -> Strip:
        tone = _TONES.get(line.level.upper()) or _TONES.get(line.kind.upper()) or "log-view--text"
        parts = self._lead(line, width) if part == 0 else [("log-view--text", " " * _INDENT)]
        rows = self._text_rows(line)
        parts.append((tone, rows[part] if part < len(rows) else ""))
        segments: list[Segment] = []
        left = width
        for name, text in parts:
            shown = fit(text, left, self._glyphs.ellipsis)
            if shown:
                left -= cell_len(shown)
                segments += self._marked(shown, self._style(name))
        return Strip(segments).adjust_cell_length(width, self._style("log-view--text"))

    def _marked(self, text: str, style: Style) -> list[Segment]:
        """``text`` with what is searched for marked."""
        folded = text.casefold()
        if not self._wanted or self._wanted not in folded or len(folded) != len(text):
            return [Segment(text, style)]
        segments: list[Segment] = []
        at = 0
        while (found := folded.find(self._wanted, at)) >= 0:
            end = found + len(self._wanted)
            segments += [Segment(text[at:found], style)] if found > at else []
            segments.append(Segment(text[found:end], style + self._style("log-view--match")))
            at = end
        return [*segments, Segment(text[at:], style)] if at < len(text) else segments

    def _style(self, name: str) -> Style:
        """A component's style, resolved once: Textual forgets its own at every refresh."""
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self.get_component_rich_style(name)
        return style
