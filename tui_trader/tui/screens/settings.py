"""The settings in force: what each is, where it comes from, and how to change it. Nothing is changed here."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trader.tui.screens.dialog import title
from tui_trader.tui.settings_rows import SettingRow, how_to_change, setting_rows
from tui_trader.tui.widgets.live_table import Column, LiveTable, Row
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from tui_trader.tui.app import TraderApp
    from tui_trader.tui.reload import Reloaded

_COLUMNS: Final = (
    Column("setting", "SETTING", 36, priority=9),
    Column("value", "VALUE", 18, priority=8, flexible=True),
    Column("source", "FROM", 20, priority=5),
)
_STEPS: Final = {"up": -1, "down": 1}
_PAGES: Final = {"pageup": -1, "pagedown": 1}


class SettingsScreen(ModalScreen[None]):
    """Typing searches, the arrows move."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close"),
        Binding("f2", "close", "Close", id="settings"),
    ]
    AUTO_FOCUS = "#settings-find"

    def __init__(self) -> None:
        super().__init__(classes="dialog-screen")
        self._shown: Reloaded | None = None
        self._rows: dict[str, SettingRow] = {}
        self._find = Input(id="settings-find", placeholder="type to search", compact=True)
        self._find.cursor_blink = False  # an idle screen is a still one
        self._file = Static("", id="settings-file", classes="body", markup=False)
        self._about = Static("", id="settings-about", classes="note", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="settings") as box:
            box.border_title = title("Settings in force")
            box.border_subtitle = title("type to search  arrows move  Esc closes")
            yield self._file
            yield self._find
            yield LiveTable(_COLUMNS, id="settings-list", glyphs=self._trader.settings.glyphs)
            yield self._about

    @property
    def _trader(self) -> TraderApp:
        return cast("TraderApp", self.app)

    @property
    def _list(self) -> LiveTable:
        return self.query_one("#settings-list", LiveTable)

    @property
    def _path(self) -> str:
        read = self._shown.in_force.path if self._shown is not None else None
        return str(read or self._trader.settings.config_file or "the configuration file")

    def on_mount(self) -> None:
        away = "this screen looks at an engine started elsewhere: `tui-trader config show` there says all"
        self._list.set_empty("the configuration is being read" if self._trader.reads_config else away)
        self.paint()

    def paint(self) -> None:
        """Follow the configuration, should it be read again."""
        config = self._trader.config
        if config is None or config is self._shown:
            return
        self._shown = config
        self._rows = {row.key: row for row in setting_rows(config)}
        there = "" if config.in_force.path else " (no such file: tui-trader config init writes it)"
        self._file.update(Content.styled(f"{clean(self._path)}{there}", "$muted"))
        self._list.set_empty("nothing matches")
        self._search()

    def _search(self) -> None:
        words = self._find.value.casefold().split()
        found = [row for row in self._rows.values() if row.matches(words)]
        self._list.update_rows([self._row(row) for row in found])
        self._list.set_note(f"{len(found)} of {len(self._rows)}" if words else "")
        self._explain()

    def _row(self, row: SettingRow) -> Row:
        value = f"{row.value} → {row.waiting} at the next start" if row.waiting else row.value
        # Of a file's path its name says enough here; below it stands in full.
        source = PurePath(row.source).name if row.source.startswith(("/", ".")) else row.source
        cells = (clean(row.key), clean(value), clean(source))
        return Row(row.key, cells, (row.key, value, source))

    def _explain(self) -> None:
        row = self._rows.get(self._list.selected_key or "")
        if row is None:
            self._about.update(Content(""))
            return
        how = how_to_change(row, self._path, self._trader.key_names["reload"])
        where = f"  from {row.source}" if row.source not in ("", "default") else "  (default)"
        value = Content.assemble((f"{clean(row.key)} = {clean(row.value)}", "bold $strong"), clean(where))
        self._about.update(Content("\n").join([value, Content(clean(row.about)), Content(clean(how))]))

    # ---- keys ------------------------------------------------------------------------------------------

    def action_leave(self) -> None:
        """From what is typed to nothing typed, from there away."""
        if self._find.value:
            self._find.value = ""
            self.set_focus(self._find)
        else:
            self.dismiss(None)

    def action_close(self) -> None:
        self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        if self.focused is not self._find:
            return
        if event.key in _STEPS:
            event.stop()
            self._list.action_move(_STEPS[event.key])
        elif event.key in _PAGES:
            event.stop()
            self._list.action_move_page(_PAGES[event.key])

    def on_input_changed(self, event: Input.Changed) -> None:
        self._search()

    def on_live_table_selected(self, event: LiveTable.Selected) -> None:
        self._explain()
