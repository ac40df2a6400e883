"""What every full screen shares: the engine's state on top, and the keys that steer it from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.keys_line import KeysLine, keys_line
from tui_trader.tui.palette import make_palette
from tui_trader.tui.panes import TextLine
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.widgets.plain_text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import Binding
    from textual.widget import Widget

    from tui_trader.engine.handle import Command
    from tui_trader.tui.app import TraderApp
    from tui_trader.tui.link import EngineLink

# The first frame is painted before the engine's own modules are read, so nothing of them is imported up here.

_SPEEDS: tuple[float | None, ...] = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, None)
_LEAST_WIDTH, _LEAST_HEIGHT = 40, 12
_MOST_SAID = 36  # cells of what was copied that a notice shows


class SteeringScreen(Screen[None]):
    """``compose`` yields the lines made here around its own widgets; ``paint`` is called at every flush."""

    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-short"), (30, "-medium"), (50, "-tall")]  # noqa: RUF012
    KEYS_LINE: ClassVar[KeysLine]

    def __init__(self, settings: UiSettings, size: Size) -> None:
        super().__init__(classes=" ".join(self._size_classes(size)))
        self.glyphs = glyph_set(settings.glyphs)
        self._palette = make_palette({})
        self.status = TextLine(id="status", classes="line")
        self.account = TextLine(id="account", classes="line")
        self.banner = TextLine(id="banner", classes="line")
        self._keys = TextLine(id="keys", classes="line")
        self._small = Static("", id="small", markup=False)

    def _size_classes(self, size: Size) -> list[str]:
        # Textual sets them once the screen is there, which would lay it out and paint it a second time.
        return [
            name
            for breakpoints, extent in (
                (self.HORIZONTAL_BREAKPOINTS, size.width), (self.VERTICAL_BREAKPOINTS, size.height)
            )
            for _, name in [max(entry for entry in breakpoints if entry[0] <= extent)]
        ]  # fmt: skip

    def on_mount(self) -> None:
        self.status.show(Content.assemble((" TUI-TRADER ", "bold"), ("  ◌ STARTING", "bold $muted")))
        self.account.show(Content.styled(" the engine is starting; then the screen comes alive", "$muted"))
        self._theme_changed()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._theme_changed())

    @property
    def trader(self) -> TraderApp:
        return cast("TraderApp", self.app)

    @property
    def link(self) -> EngineLink | None:
        return self.trader.link

    # ---- painting --------------------------------------------------------------------------------------

    def paint(self) -> None:
        """Bring what changed up to date. Cheap when nothing did."""
        raise NotImplementedError

    def help_groups(self) -> Iterable[tuple[str, Iterable[Binding]]]:
        """The keys that work here, by where they work."""
        raise NotImplementedError

    def _forget_paint(self) -> None:
        """Colours or widths have changed: what was painted is no longer right."""
        raise NotImplementedError

    def _paint_keys(self) -> None:
        self._keys.show(keys_line(self, self.size.width, self.KEYS_LINE))

    def keys_changed(self) -> None:
        """Actions have other keys than before."""
        self.paint()
        self._paint_keys()

    def use_glyphs(self, name: GlyphName) -> None:
        """Draw with another set of characters from now on."""
        self.glyphs = glyph_set(name)
        self._forget_paint()
        self.paint()

    def _theme_changed(self) -> None:
        self._palette = make_palette(self.app.theme_variables)
        self._forget_paint()
        self.paint()
        self._paint_keys()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        tiny = width < _LEAST_WIDTH or height < _LEAST_HEIGHT
        self.set_class(tiny, "-tiny")
        if tiny:
            quits = f"{self.trader.key_names['quit']} quits"
            text = f"{width}x{height} is too small\n{_LEAST_WIDTH}x{_LEAST_HEIGHT} is the least\n{quits}"
            self._small.update(Content(text))
        self._forget_paint()
        self.call_after_refresh(self.paint)
        self._paint_keys()

    # ---- steering the engine ---------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now."""
        if action not in ("flatten", "pause", "speed"):
            return True
        link = self.link
        if link is None or link.model.picture.over:
            return False
        return link.model.picture.paced if action == "speed" else True

    def send(self, command: Command) -> None:
        """Queue a command; what it did arrives as events."""
        if self.link is not None:
            self.link.send(command)

    def action_flatten(self) -> None:
        from tui_trader.tui.screens.flatten import FlattenScreen  # not before the first paint

        if self.link is not None:
            self.app.push_screen(FlattenScreen(self.link))

    def action_pause(self) -> None:
        from tui_trader.engine.handle import Pause, Resume

        link = self.link
        if link is None:
            return
        picture = link.model.picture
        if not picture.paused:
            self.send(Pause())
        elif picture.live:
            self._confirm("Resume", "Entries with real money are allowed again.", Resume())
        else:
            self.send(Resume())

    def action_reset_breaker(self) -> None:
        """Lift a tripped breaker, by a person's explicit word."""
        from tui_trader.engine.handle import Resume

        if self.link is not None and self.link.model.picture.breaker.tripped:
            rule = self.link.model.picture.breaker.rule
            self._confirm("Reset breaker", f"{rule} stopped entries. Allow them again today?", Resume(True))
        else:
            self._say("the breaker has not tripped")

    def action_speed(self, step: int) -> None:
        from tui_trader.engine.handle import SetSpeed

        if self.link is None:
            return
        picture = self.link.model.picture
        place = _SPEEDS.index(_nearest_speed(picture.speed))
        speed = _SPEEDS[max(0, min(len(_SPEEDS) - 1, place + step))]
        picture.speed = speed  # shown at once; the next snapshot has the last word
        self.send(SetSpeed(speed))
        self.paint()

    def _confirm(self, word: str, text: str, command: Command) -> None:
        from tui_trader.tui.screens.confirm import ConfirmScreen

        def decided(yes: bool | None) -> None:
            if yes:
                self.send(command)

        self.app.push_screen(ConfirmScreen(word, text), decided)

    # ---- the screen itself -----------------------------------------------------------------------------

    def action_theme(self) -> None:
        self.trader.next_theme()

    def action_reload(self) -> None:
        self.trader.reload()

    def action_settings(self) -> None:
        from tui_trader.tui.screens.settings import SettingsScreen

        self.trader.push_screen(SettingsScreen())

    def action_repaint(self) -> None:
        self.refresh(repaint=True, layout=True)

    def action_help(self) -> None:
        from tui_trader.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self))

    def copy_row(self, table: Widget) -> None:
        """Copy the selected row of a table."""
        from tui_trader.tui.cells import copied
        from tui_trader.tui.widgets.live_table import LiveTable

        if not isinstance(table, LiveTable):
            return
        row = next((row for row in table.rows if row.key == table.selected_key), None)
        if row is not None:
            text = copied(row)
            self.app.copy_to_clipboard(text)
            self._say(f"copied: {fit(' '.join(text.split()), _MOST_SAID, self.glyphs.ellipsis)}")

    def _say(self, text: str) -> None:
        self.notify(clean(text), markup=False, timeout=4)


def _nearest_speed(speed: float | None) -> float | None:
    if speed is None:
        return None
    return min((known for known in _SPEEDS if known is not None), key=lambda known: abs(known - speed))
