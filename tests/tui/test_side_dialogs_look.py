"""How price alerts and settings look. After a wanted change: --snapshot-update, and look at the pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.driving import press, settle
from tests.tui.fake_engine import FakeEngine
from tui_trader.config import LoadedSettings, leaves
from tui_trader.settings import AlpacaSettings, Settings
from tui_trader.settings import UiSettings as UiSection
from tui_trader.tui.app import TraderApp
from tui_trader.tui.settings import UiSettings

SIZES = ((80, 24), (120, 40), (200, 60))
FILE = Path("/home/trader/.config/tui-trader/config.toml")
Compare = Callable[..., bool]


def loaded(theme: str) -> LoadedSettings:
    """A configuration with every kind of source."""
    alpaca = AlpacaSettings.model_validate({"key_id": "PKABC", "secret_key": "hush"})
    settings = Settings(alpaca=alpaca, ui=UiSection(theme=theme))
    sources = {key: "default" for key, _ in leaves(settings.model_dump())}
    sources |= {
        "alpaca.key_id": "environment APCA_API_KEY_ID",
        "alpaca.secret_key": f"{FILE}:3",
        "risk.max_open_positions": f"{FILE}:7",
        "control.listen": "command line",
    }
    return LoadedSettings(settings, sources, FILE)


def make(theme: str = "midnight") -> TraderApp:
    return TraderApp(
        start_engine=FakeEngine,
        settings=UiSettings(theme=theme, config_file=FILE),
        flushes_a_second=None,
        read_config=partial(loaded, theme),
    )


async def started(pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await settle(pilot)


async def alerts(pilot: Pilot[None]) -> None:
    await started(pilot)
    await press(pilot, "a", *"210.5", "enter", *"<195.25", "enter", "escape")
    await press(pilot, "j", "j", "a", *"140", "enter", *"> 130")


async def settings(pilot: Pilot[None]) -> None:
    await started(pilot)
    await press(pilot, "f2")


async def search(pilot: Pilot[None]) -> None:
    await settings(pilot)
    await press(pilot, *"open pos")


@pytest.mark.parametrize("dialog", [alerts, settings, search])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_sizes(snap_compare: Compare, size: tuple[int, int], dialog: object) -> None:
    assert snap_compare(make(), terminal_size=size, run_before=dialog)


@pytest.mark.parametrize("dialog", [alerts, search])
@pytest.mark.parametrize("theme", ["paper", "okabe-ito", "mono", "ansi"])
def test_themes(snap_compare: Compare, theme: str, dialog: object) -> None:
    assert snap_compare(make(theme), terminal_size=(120, 40), run_before=dialog)


@pytest.mark.parametrize("dialog", [alerts, search])
def test_no_color(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, dialog: object) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(make(), terminal_size=(120, 40), run_before=dialog)
