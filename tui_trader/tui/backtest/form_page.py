"""The form: what to test, one field a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from tui_trader.tui.backtest.form import BARS, STRATEGY
from tui_trader.tui.backtest.rows import FORM_COLUMNS, field_row
from tui_trader.tui.glyphs import GlyphName
from tui_trader.tui.palette import Palette
from tui_trader.tui.panes import FactsPane
from tui_trader.tui.widgets.live_table import LiveTable
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from tui_trader.tui.backtest.form import Field
    from tui_trader.tui.backtest.study import Study


#: As many as the pane below the form has, without its border.
_LINES = 3


class FormTable(LiveTable, inherit_bindings=False):
    """Fields in their own order: a table that cannot be sorted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="table.page_down"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("home,g", "first", "First", show=False, id="table.first"),
        Binding("end,G", "last", "Last", show=False, id="table.last"),
        Binding("enter", "choose", "Change", show=False, id="table.choose", tooltip="Change the field"),
        Binding(
            "right,l,space", "step(1)", "Next", show=False, id="form.next", tooltip="The field's next choice"
        ),
        Binding(
            "left,h", "step(-1)", "Previous", show=False, id="form.previous", tooltip="Its previous choice"
        ),
    ]

    class Stepped(LiveTable.RowMessage):
        """The next choice of a field is wanted, or the one before."""

        def __init__(self, table: LiveTable, key: str, by: int) -> None:
            super().__init__(table, key)
            self.by = by

    def action_step(self, by: int) -> None:
        if (key := self.selected_key) is not None:
            self.post_message(self.Stepped(self, key, by))

    def _click_header(self, x: int) -> None:
        """Nothing to sort."""


class FormPage(Vertical):
    """The fields, and below them what the selected one is about."""

    def __init__(self, glyphs: GlyphName) -> None:
        super().__init__(id="form-page", classes="page")
        self.table = FormTable(FORM_COLUMNS, id="form-table", glyphs=glyphs)
        self.about = FactsPane(id="form-about", classes="facts pane")
        self.table.add_class("pane")
        self.table.border_title = Content("Backtest")

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.about

    def show(self, study: Study, palette: Palette) -> None:
        """Bring the form up to date."""
        fields = study.form.fields()
        self.table.update_rows([field_row(field, palette) for field in fields])
        self.table.set_note("Enter changes, r runs")
        self.explain(study)

    def explain(self, study: Study) -> None:
        """Say what the selected field is about."""
        key = self.table.selected_key
        field = None if key is None else study.form.field(key)
        if field is not None:
            self.about.border_title = Content(clean(field.key))
            self.about.show(Content("\n").join(_explained(field, study)))


def _explained(field: Field, study: Study) -> list[Content]:
    if field.key == BARS and study.form.bars:
        paths = [clean(os.fspath(path)) for path in study.form.bars]
        if len(paths) > _LINES:
            paths = [*paths[: _LINES - 1], f"and {len(paths) - _LINES + 1} more"]
        return [Content(path) for path in paths]
    value = clean(field.text or field.shown)
    lines = [Content.assemble((value, "bold $strong"), (f"   {clean(field.bounds)}", "$muted"))]
    if field.note:
        lines.append(Content(clean(field.note)))
    if field.key == STRATEGY:
        lines.append(Content.styled("left and right choose another", "$muted"))
    elif field.choices:
        lines.append(Content.styled(f"left and right: {clean(', '.join(field.choices))}", "$muted"))
    elif field.changed:
        lines.append(Content.styled("changed here; empty puts it back as configured", "$muted"))
    return lines
