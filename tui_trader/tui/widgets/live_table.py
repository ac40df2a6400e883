"""A table that repaints only what changed.

Rows are given whole (`LiveTable.update_rows`); those that look as what is on screen cost a comparison and
nothing else. Rows are drawn with the line API, one cached strip each.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_trader.tui.glyphs import GlyphName, GlyphSet, glyph_set
from tui_trader.tui.widgets.plain_text import clean
from tui_trader.tui.widgets.table_layout import MARGIN, Column, Placed, natural_width, place_columns
from tui_trader.tui.widgets.table_model import Changes, TableModel
from tui_trader.tui.widgets.table_paint import Blend, paint_row
from tui_trader.tui.widgets.table_rows import Cell, Row, find_row

__all__ = ["Column", "LiveTable", "Row"]

_HEADER_LINES: Final = 1
_NULL: Final = Style.null()


class LiveTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows under a fixed header, one of them selected. The selection follows its key, not its place.

    With ``newest_first`` it stays on the first row until somebody selects another, or has the focus here:
    what a key is about to act on must not change under the finger.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "live-table--header",
        "live-table--row",
        "live-table--dim",
        "live-table--cursor",
        "live-table--empty",
    }

    DEFAULT_CSS = """
    LiveTable {
        background: $background;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
        scrollbar-color: $foreground 20%;
    }
    LiveTable > .live-table--header { color: $text-muted; text-style: bold; }
    LiveTable > .live-table--row { color: $foreground; }
    LiveTable > .live-table--dim { color: $text-muted; }
    LiveTable > .live-table--cursor { text-style: bold; }
    LiveTable:focus > .live-table--cursor { background: $primary 30%; text-style: bold; }
    LiveTable:ansi:nocolor:focus > .live-table--cursor { text-style: reverse; }
    LiveTable:ansi > .live-table--dim { text-style: dim; }
    LiveTable > .live-table--empty { color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="table.page_down"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("home,g", "first", "First", show=False, id="table.first"),
        Binding("end,G", "last", "Last", show=False, id="table.last"),
        Binding("enter", "choose", "Choose", show=False, id="table.choose"),
        Binding("s", "next_sort", "Sort", show=False, id="table.sort"),
        Binding("S", "reverse_sort", "Reverse sort", show=False, id="table.reverse"),
    ]

    ALLOW_SELECT = False

    class RowMessage(Message):
        """Something about one row of one table."""

        def __init__(self, table: LiveTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> LiveTable:
            return self.table

    class Selected(RowMessage):
        """Another row is selected: moved to, clicked, or what is left after the selected one went."""

    class Chosen(RowMessage):
        """Enter, or a double click, on a row."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str = "",
        id: str | None = None,  # noqa: A002 - Textual's name
        glyphs: GlyphName = "box",
        newest_first: bool = False,
    ) -> None:
        super().__init__(id=id)
        self._newest_first = newest_first
        self._columns = tuple(columns)
        self._empty = empty
        self._glyphs: GlyphSet = glyph_set(glyphs)
        self._model = TableModel()
        self._note: Content | None = None
        self._placed: tuple[Placed, ...] = ()
        self._width = 0
        self._strips: dict[int, Strip] = {}
        self._header: Strip | None = None
        self._styles: dict[str, Style] = {}

    # ---- what the application says ---------------------------------------------------------------------

    def update_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows; refreshes the ones that look different, and nothing when none does."""
        selected = self.selected_key
        stays = not self._newest_first or self._model.cursor > 0 or self.has_focus
        self._repaint(self._model.update(rows, stays))
        self._announce(selected)

    def set_empty(self, text: str) -> None:
        """What stands in the table while it has no rows: say what will happen next."""
        if text != self._empty:
            self._empty = text
            if not self._model.rows:
                self.refresh()

    def set_note(self, note: str | Text) -> None:
        """A remark in the lower border, left of the sort order."""
        content = Content.from_rich_text(note) if isinstance(note, Text) else Content(clean(note))
        if content != self._note:
            self._note = content
            self._show_subtitle()

    def use_glyphs(self, name: GlyphName) -> None:
        """Draw with another set of characters from now on."""
        self._glyphs = glyph_set(name)
        self._drop_strips()
        self._show_subtitle()
        self.refresh()

    def sort_by(self, key: str | None, *, descending: bool = False) -> None:
        """Order by the column of that key; None keeps the order in which rows are given."""
        column = next((index for index, column in enumerate(self._columns) if column.key == key), None)
        self._sort(column, descending)

    def select(self, key: str) -> bool:
        """Select the row of that key; whether there is one."""
        return self._move_if_found(self._model.index_of(key))

    def find(self, text: str) -> bool:
        """Select the first row that matches; whether there is one."""
        return self._move_if_found(find_row(self._model.rows, text))

    # ---- what it tells ---------------------------------------------------------------------------------

    @property
    def selected_key(self) -> str | None:
        return self._model.selected_key

    @property
    def row_count(self) -> int:
        return len(self._model.rows)

    @property
    def rows(self) -> Sequence[Row]:
        """The rows as shown, sorted."""
        return tuple(self._model.rows)

    @property
    def sort_key(self) -> str | None:
        column = self._model.sort_column
        return None if column is None else self._columns[column].key

    @property
    def sort_descending(self) -> bool:
        return self._model.descending

    # ---- keys and mouse --------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self._move_to(self._model.cursor + by)

    def action_move_page(self, pages: int) -> None:
        self._move_to(self._model.cursor + pages * max(1, self.size.height - _HEADER_LINES))

    def action_first(self) -> None:
        self._move_to(0)

    def action_last(self) -> None:
        self._move_to(self.row_count - 1)

    def action_choose(self) -> None:
        if (key := self.selected_key) is not None:
            self.post_message(self.Chosen(self, key))

    def action_next_sort(self) -> None:
        """Through the visible columns, then back to the order as given."""
        shown = [placed.number for placed in self._placed]
        order: list[int | None] = [*shown, None]
        sorted_by = self._model.sort_column
        current = order.index(sorted_by) if sorted_by in order else len(order) - 1
        column = order[(current + 1) % len(order)]
        # Numbers are wanted largest first, words from A.
        self._sort(column, column is not None and self._columns[column].align == "right")

    def action_reverse_sort(self) -> None:
        if self._model.sort_column is not None:
            self._sort(self._model.sort_column, not self._model.descending)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < _HEADER_LINES:
            self._click_header(offset.x)
            return
        index = self._first_index + offset.y - _HEADER_LINES
        if index < self.row_count:
            self._move_to(index)
            if event.chain == 2:
                self.action_choose()

    def _click_header(self, x: int) -> None:
        for placed in self._placed:
            if placed.x <= x < placed.end:
                if placed.number == self._model.sort_column:
                    self.action_reverse_sort()
                else:
                    self._sort(placed.number, self._columns[placed.number].align == "right")

    # ---- order and selection ---------------------------------------------------------------------------

    def _sort(self, column: int | None, descending: bool) -> None:
        if (column, descending) == (self._model.sort_column, self._model.descending):
            return
        self._repaint(self._model.sort(column, descending))
        self._show_subtitle()
        self._show_cursor()

    def _show_subtitle(self) -> None:
        parts = [self._note] if self._note else []
        column = self._model.sort_column
        if column is not None:
            arrow = self._glyphs.down if self._model.descending else self._glyphs.up
            parts.append(Content(f"sort {self._columns[column].title.strip()} {arrow}"))
        self.border_subtitle = Content("  ").join(parts) if parts else None

    def _move_if_found(self, index: int | None) -> bool:
        if index is not None:
            self._move_to(index)
        return index is not None

    def _move_to(self, index: int) -> None:
        if self._model.rows:
            selected = self.selected_key
            self._repaint(self._model.move(index))
            self._announce(selected)
            self._show_cursor()

    def _announce(self, before: str | None) -> None:
        if (key := self.selected_key) is not None and key != before:
            self.post_message(self.Selected(self, key))

    def _show_cursor(self, again: bool = True) -> None:
        """Scroll the selected row into view. Not for new data, which must not move the view."""
        if not self.size:
            return
        page = max(1, self.size.height - _HEADER_LINES)
        first, cursor = self._first_index, self._model.cursor
        top = max(cursor - page + 1, min(first, cursor))
        if top == first:
            return
        self.scroll_to(y=top, animate=False)
        if again and self._first_index != top:
            # Rows that have just come are not there yet to be scrolled to.
            self.call_after_refresh(self._show_cursor, False)

    # ---- painting --------------------------------------------------------------------------------------

    @property
    def _first_index(self) -> int:
        return int(self.scroll_offset.y)

    def _repaint(self, changes: Changes) -> None:
        for index, columns in changes.rows.items():
            self._strips.pop(index, None)
            self._refresh_lines(index, 1, self.size.width if columns is None else self._extent(columns))
        if changes.length_from is not None:
            for index in [index for index in self._strips if index >= changes.length_from]:
                del self._strips[index]
            self._refresh_lines(changes.length_from, self.size.height, self.size.width)
            # A layout of the screen, but only when the number of rows changes.
            self.virtual_size = Size(natural_width(self._columns), self.row_count + _HEADER_LINES)

    def _extent(self, columns: range) -> int:
        """Cells from the left edge to the end of the last of these columns that is visible.

        The terminal is sent a line from its left edge anyway, but nothing beyond the region's right.
        """
        return max((placed.end for placed in self._placed if placed.number in columns), default=0)

    def _refresh_lines(self, index: int, count: int, width: int) -> None:
        """Refresh the part of these rows that can be seen."""
        top = index - self._first_index + _HEADER_LINES
        body = Region(0, _HEADER_LINES, self.size.width, max(0, self.size.height - _HEADER_LINES))
        if region := Region(0, top, width, count).intersection(body):
            self.refresh(region)

    def _drop_strips(self) -> None:
        self._strips.clear()
        self._header = None

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._drop_strips()

    def on_resize(self, event: events.Resize) -> None:
        self._place()
        self._show_cursor()

    @property
    def _room(self) -> int:
        """Cells for a row: what the border and the scrollbar leave."""
        return self.scrollable_content_region.width

    def _place(self) -> None:
        self._width = self._room
        self._placed = place_columns(self._columns, self._width)
        self._drop_strips()

    def render_line(self, y: int) -> Strip:
        # A scrollbar that comes or goes changes the width before the resize event is handled.
        if self._width != self._room:
            self._place()
        if y < _HEADER_LINES:
            return self._header_strip()
        if not self._model.rows:
            return self._empty_strip(y - _HEADER_LINES)
        index = y - _HEADER_LINES + self._first_index
        if index >= self.row_count:
            return Strip.blank(self._width, self._style("live-table--row"))
        strip = self._strips.get(index)
        if strip is None:
            strip = self._strips[index] = self._row_strip(index)
        return strip

    def _row_strip(self, index: int) -> Strip:
        row = self._model.rows[index]
        base = self._style("live-table--dim" if row.dim else "live-table--row")
        # Stale means grey, whatever colours the cells bring.
        last = Style(color=base.color, dim=base.dim) if row.dim else Style.null()
        vivid = row.vivid
        mark = " "
        if index == self._model.cursor:
            mark = self._glyphs.cursor
            base += self._style("live-table--cursor")
        return self._paint(
            row.cells, base, lambda number, style: base + style + (_NULL if number in vivid else last), mark
        )

    def _header_strip(self) -> Strip:
        if self._header is None:
            titles = [column.title for column in self._columns]
            base = self._style("live-table--header")
            self._header = self._paint(titles, base, lambda number, style: base + style, " ")
        return self._header

    def _empty_strip(self, line: int) -> Strip:
        style = self._style("live-table--empty")
        lines = textwrap.wrap(clean(self._empty), max(1, self._width - 2 * MARGIN))
        text = " " * MARGIN + lines[line] if line < len(lines) else ""
        return Strip([Segment(text, style)]).adjust_cell_length(self._width, style)

    def _paint(self, cells: Sequence[Cell], base: Style, blend: Blend, mark: str) -> Strip:
        return paint_row(
            cells,
            self._columns,
            self._placed,
            self._width,
            mark=mark,
            base=base,
            blend=blend,
            ellipsis=self._glyphs.ellipsis,
            console=self.app.console,
        )

    def _style(self, name: str) -> Style:
        """A component's style, resolved once: Textual forgets its own at every refresh."""
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(name)
            if not self.get_component_styles(name).has_rule("color"):
                # What the stylesheet leaves open stays the row's, here the cursor's text colour.
                style = style.without_color + Style(bgcolor=style.bgcolor)
            self._styles[name] = style
        return style
