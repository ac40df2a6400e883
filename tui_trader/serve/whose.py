"""Whose engine a new page would show, and how the page says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tui_trader.control.client import ControlClient
from tui_trader.control.endpoint import NoEngineError
from tui_trader.venues.base import Mode


@dataclass(frozen=True, slots=True)
class Whose:
    """``mode`` None: the page's own engine."""

    state_dir: Path
    mode: Mode | None = None
    pid: int = 0

    @property
    def role(self) -> str:
        return "own" if self.mode is None else str(self.mode)

    @property
    def badge(self) -> str:
        return "OWN SIMULATION" if self.mode is None else self.mode.upper()

    @property
    def note(self) -> str:
        """One line that stands above the screen for as long as the page is open."""
        folder = _short(self.state_dir)
        if self.mode is None:
            return (
                "This page runs its own simulated engine; it ends when the page is closed."
                f" No engine runs on {folder}."
            )
        return (
            f"Viewing and steering the engine on {folder} (process {self.pid});"
            " it goes on when the page is closed."
        )

    @property
    def farewell(self) -> str:
        """What is said once the page's connection has closed."""
        if self.mode is None:
            return "The screen has closed, and its simulated engine with it."
        return "The screen has closed. It was a viewer: the engine does not end with it."


def whose(state_dir: Path) -> Whose:
    """The engine that runs on ``state_dir``, or one of the page's own when none does; blocks for some ms.

    Raises ``TuiTraderError`` when one runs that cannot be talked to.
    """
    try:
        client = ControlClient.connect(state_dir)
        status = client.status()
    except NoEngineError:
        return Whose(state_dir)
    if status.get("state") == "STOPPED":
        return Whose(state_dir)
    return Whose(state_dir, Mode(str(status.get("mode"))), client.pid)


def _short(folder: Path) -> str:
    try:
        return f"~/{folder.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(folder)
