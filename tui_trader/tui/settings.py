"""What the screen can be told before it opens, and what of it may change while it is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tui_trader.options import BacktestOptions
from tui_trader.tui.glyphs import GlyphName

_NO_BARS: Final = BacktestOptions(())

Notify = Literal["off", "osc9", "osc777"]


@dataclass(frozen=True, slots=True)
class UiSettings:
    """How the screen looks and when it leaves.

    ``first_run`` shows the welcome card; ``exit_when_done`` leaves once the engine has stopped by itself.
    ``backtest`` is what the backtest form begins with, ``recent_bars`` the file that remembers tested bars,
    ``alerts`` the one that remembers price alerts. ``keys`` are checked by whoever read them.
    """

    theme: str = "midnight"
    themes_folder: Path | None = None
    config_file: Path | None = None  # named on the welcome card
    glyphs: GlyphName = "box"
    swap_colours: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    notify: Notify = "off"
    first_run: bool = False
    exit_when_done: bool = False
    backtest: BacktestOptions = _NO_BARS
    recent_bars: Path | None = None
    alerts: Path | None = None
