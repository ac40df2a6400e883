"""Choosing files of bars: those tested last, a folder to walk through, or a path to type."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trader.tui.backtest import files
from tui_trader.tui.backtest.recent import Choice, RecentBars
from tui_trader.tui.glyphs import GlyphName
from tui_trader.tui.screens.dialog import title
from tui_trader.tui.widgets.live_table import Column, LiveTable
from tui_trader.tui.widgets.plain_text import clean
from tui_trader.tui.widgets.table_rows import Row

_COLUMNS: Final = (
    Column("mark", "", 1, priority=8),
    Column("name", "NAME", 20, priority=9, flexible=True),
    Column("size", "SIZE", 7, "right", priority=5),
    Column("modified", "MODIFIED", 16, priority=3),
)
_UP: Final = ".."
_RECENT: Final = "recent:"


class PathInput(Input):
    """A path; Tab completes it."""

    BINDINGS = [Binding("tab", "complete", "Complete", show=False)]  # noqa: RUF012 - Textual's form

    def action_complete(self) -> None:
        self.value = files.complete(self.value)
        self.cursor_position = len(self.value)


class BarsPicker(ModalScreen[Choice | None]):
    """The files that were chosen, or None."""

    BINDINGS = [  # noqa: RUF012 - Textual's form
        Binding("escape", "leave", "Cancel"),
        Binding("space", "mark", "Mark"),
        Binding("a", "mark_all", "Mark all"),
        Binding("backspace,left,h", "up", "Up"),
        Binding("slash", "type", "Type a path"),
    ]
    AUTO_FOCUS = "#bars-list"

    def __init__(self, chosen: Choice, recent: RecentBars, glyphs: GlyphName) -> None:
        super().__init__(classes="dialog-screen")
        self._recent = recent
        self._folder = (chosen[0].parent if chosen else Path()).absolute()
        self._marked: dict[Path, None] = {}
        self._tick = "*" if glyphs == "ascii" else "✓"
        self._entries: dict[str, files.Entry] = {}
        self._path = PathInput(
            id="bars-path", placeholder="/ types a path; Tab completes", compact=True, select_on_focus=False
        )
        self._list = LiveTable(_COLUMNS, id="bars-list", glyphs=glyphs)
        self._note = Static("", id="note", classes="note", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="bars-picker") as box:
            box.border_title = title("Bars")
            box.border_subtitle = title("Enter chooses  Space marks  a all  h up  / path  Esc leaves")
            yield self._path
            yield self._list
            yield self._note

    def on_mount(self) -> None:
        self._read(self._folder, "")

    # ---- keys ------------------------------------------------------------------------------------------

    @property
    def _typing(self) -> bool:
        return self.focused is self._path

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys typed ahead, before the line had the focus, are text and no commands."""
        return not (self._typing and action in ("mark", "mark_all", "up", "type"))

    def action_leave(self) -> None:
        """From the path to the list, from the list away."""
        if self._typing:
            self.set_focus(self._list)
            self._go(self._folder)
        else:
            self.dismiss(None)

    def action_mark(self) -> None:
        entry = self._entries.get(self._list.selected_key or "")
        if entry is not None and not entry.folder:
            if entry.path in self._marked:
                del self._marked[entry.path]
            else:
                self._marked[entry.path] = None
            self._show()
            self._list.action_move(1)

    def action_mark_all(self) -> None:
        """Every file of the folder, or none of them when all are marked."""
        here = [entry.path for entry in self._entries.values() if not entry.folder]
        if all(path in self._marked for path in here):
            for path in here:
                self._marked.pop(path, None)
        else:
            self._marked |= dict.fromkeys(here)
        self._show()

    def action_up(self) -> None:
        left = self._folder
        self._go(left.parent)
        self._list.select(str(left))

    def action_type(self) -> None:
        self._path.value = f"{self._folder}/".replace("//", "/")
        self.set_focus(self._path)

    def on_key(self, event: events.Key) -> None:
        if event.key == "down" and self._typing:
            event.stop()
            self.set_focus(self._list)

    # ---- what widgets say ------------------------------------------------------------------------------

    def on_live_table_chosen(self, event: LiveTable.Chosen) -> None:
        key = event.key
        if self._typing:
            return
        if key.startswith(_RECENT):
            self._choose(self._recent.choices[int(key.removeprefix(_RECENT))])
        elif key == _UP:
            self.action_up()
        elif (entry := self._entries.get(key)) is not None:
            if entry.folder:
                self._go(entry.path)
            else:
                self._choose(tuple(self._marked | {entry.path: None}))

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._typing:
            folder, beginning = files.split_typed(event.value)
            self._read(folder.absolute(), beginning)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        typed = event.value.strip()
        found = tuple(path.absolute() for path in files.typed_files(typed))
        if found:
            self._choose(found)
            return
        folder, name = files.split_typed(f"{typed}/")
        if typed and not name and folder.is_dir():
            self._go(folder.absolute())
            self.set_focus(self._list)
        else:
            self._say(f"no such file: {typed}" if typed else "type a path")

    # ---- what is shown ---------------------------------------------------------------------------------

    def _choose(self, paths: Choice) -> None:
        gone = next((path for path in paths if not path.is_file()), None)
        if gone is not None:
            self._marked.pop(gone, None)
            self._say(f"{gone}: no such file")
        else:
            self.dismiss(paths)

    def _go(self, folder: Path) -> None:
        self._folder = folder
        self._path.value = ""
        self._read(folder, "")
        self._list.select(next(iter(self._entries), _UP))

    def _read(self, folder: Path, beginning: str) -> None:
        listing = files.list_folder(folder, beginning)
        self._folder = folder
        self._entries = {os.fspath(entry.path): entry for entry in listing.entries}
        self._list.border_title = Content(clean(os.fspath(folder)))
        self._list.set_empty("no folder and no .csv or .csv.gz file here")
        self._show()
        self._say(listing.problem)

    def _show(self) -> None:
        rows = [] if self._path.value else [*self._recent_rows(), Row(_UP, ("", _UP, "", ""), ())]
        rows += [self._row(key, entry) for key, entry in self._entries.items()]
        self._list.update_rows(rows)
        count = len(self._marked)
        self._list.set_note(f"{count} marked" if count else "")

    def _recent_rows(self) -> list[Row]:
        rows = []
        for number, choice in enumerate(self._recent.choices):
            more = f" and {len(choice) - 1} more" if len(choice) > 1 else ""
            rows.append(Row(f"{_RECENT}{number}", ("", f"{choice[0]}{more}", "", "tested before"), ()))
        return rows

    def _row(self, key: str, entry: files.Entry) -> Row:
        if entry.folder:
            return Row(key, ("", f"{entry.path.name}/", "", ""), ())
        mark = self._tick if entry.path in self._marked else ""
        modified = "" if entry.modified is None else f"{entry.modified:%Y-%m-%d %H:%M}"
        return Row(key, (mark, entry.path.name, files.size_text(entry.size), modified), ())

    def _say(self, text: str) -> None:
        self._note.display = bool(text)
        self._note.update(Content(clean(text)))
