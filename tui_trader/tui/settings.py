"""What the screen can be told before it opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tui_trader.options import BacktestOptions
from tui_trader.tui.glyphs import GlyphName

_NO_BARS: Final = BacktestOptions(())


@dataclass(frozen=True, slots=True)
class UiSettings:
    """How the screen looks and when it leaves.

    ``first_run`` shows the welcome card; ``exit_when_done`` leaves once the engine has stopped by itself.
    ``backtest`` is what the backtest form begins with, ``recent_bars`` the file that remembers tested bars.
    """

    theme: str = "midnight"
    themes_folder: Path | None = None
    config_file: Path | None = None  # named on the welcome card
    glyphs: GlyphName = "box"
    swap_colours: bool = False
    first_run: bool = False
    exit_when_done: bool = False
    backtest: BacktestOptions = _NO_BARS
    recent_bars: Path | None = None
