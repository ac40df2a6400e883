"""Paints the trading screen from the model, once there is an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from tui_trader.tui import lines
from tui_trader.tui.banner import Banner, banner
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.link import EngineLink
from tui_trader.tui.palette import Palette
from tui_trader.tui.pane_paint import PanePainter
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from tui_trader.tui.screens.steering import SteeringScreen
    from tui_trader.tui.screens.trading import TradingScreen


def paint_state(screen: SteeringScreen, link: EngineLink, leaving: bool) -> None:
    """The two lines at the top, and the banner."""
    width = screen.size.width
    screen.status.show(lines.status_line(link.model, width, screen.glyphs))
    screen.account.show(lines.account_line(link.model, width, screen.glyphs))
    screen.set_class(link.model.picture.live, "-live")
    _show_banner(screen, banner(link.model, leaving))


def _show_banner(screen: SteeringScreen, shown: Banner | None) -> None:
    line = screen.banner
    line.set_class(shown is not None, "-shown")
    if shown is not None:
        line.set_class(shown.tone == "danger", "-danger")
        line.set_class(shown.tone == "loud", "-loud")
        line.show(Content(clean(shown.text)))


class ScreenPainter:
    """The lines at the top, the banner and the panes."""

    def __init__(self, screen: TradingScreen) -> None:
        self._screen = screen
        self._panes = PanePainter(screen.panes, screen.glyphs)
        self._keys_moment: tuple[object, ...] = ()

    def use_glyphs(self, glyphs: GlyphSet) -> None:
        """Draw with another set of characters from now on."""
        self._panes.use_glyphs(glyphs)

    def repaint_all(self) -> None:
        """Forget what was painted: colours or widths have changed."""
        self._panes.repaint_all()

    def paint(self, link: EngineLink, palette: Palette, leaving: bool) -> bool:
        """Bring what changed up to date; whether other keys work now than before."""
        picture = link.model.picture
        paint_state(self._screen, link, leaving)
        self._panes.paint(link, palette)
        moment = (picture.state, bool(picture.positions), bool(picture.live_orders))
        changed = moment != self._keys_moment
        self._keys_moment = moment
        return changed
