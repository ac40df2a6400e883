"""The settings screen: what is in force, from where, and how to change it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from tests.tui.driving import press, running, screen_text, settle
from tests.tui.fake_engine import FakeEngine
from tui_trader.config import LoadedSettings, leaves, load_settings
from tui_trader.config_text import show, shown_settings
from tui_trader.settings import Settings
from tui_trader.tui.app import TraderApp
from tui_trader.tui.keymap import known_actions
from tui_trader.tui.reload import Reloaded, reloaded
from tui_trader.tui.screens.settings import SettingsScreen
from tui_trader.tui.settings_rows import how_to_change, setting_rows

SECRET = "hush-hush"
TEXT = f'[alpaca]\nsecret_key = "{SECRET}"\n[risk]\nmax_order_value = 60000\n[ui.keys]\nflatten = "f9"\n'
ENVIRON = {"TUI_TRADER_RISK__MAX_OPEN_POSITIONS": "3", "APCA_API_KEY_ID": "PKHIDDEN"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(TEXT)
    file.chmod(0o600)
    return file


def load(file: Path) -> LoadedSettings:
    return load_settings(file, ENVIRON, {"control.listen": "off"})


def make(file: Path) -> TraderApp:
    return TraderApp(start_engine=FakeEngine, flushes_a_second=None, read_config=lambda: load(file))


def about(app: TraderApp) -> str:
    """What is said of the selected setting, however it is broken into lines."""
    return str(app.screen.query_one("#settings-about", Static).content)


async def test_each_source_is_named_and_secrets_are_masked(file: Path) -> None:
    app = make(file)
    async with app.run_test(size=(120, 60)) as pilot:
        await app.workers.wait_for_complete()
        await settle(pilot)
        await press(pilot, "f2")
        text = " ".join(screen_text(pilot).split())
        assert "config.toml" in text
        assert "alpaca.key_id •••• environment APCA_" in text
        assert "alpaca.secret_key •••• config.toml:2" in text
        assert "risk.max_open_positions 3 environment TUI" in text
        assert "risk.max_order_value 60000 config.toml:4" in text
        assert "risk.max_position_pct 5.0 default" in text
        assert 'control.listen "off" command line' in text
        assert SECRET not in text
        assert "PKHIDDEN" not in text


async def test_typing_searches_and_arrows_move(file: Path) -> None:
    app = make(file)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.workers.wait_for_complete()
        await settle(pilot)
        await press(pilot, "f2", *"order")
        text = screen_text(pilot)
        assert "risk.max_order_value" in text
        assert "risk.max_position_pct" not in text
        await press(pilot, *" value")
        text = about(app)
        assert "value of one order, dollars [100–1000000]" in text
        assert f"[risk] max_order_value = … in {file}" in text
        assert "in force from the next start on" in text
        await press(pilot, "escape")
        assert isinstance(app.screen, SettingsScreen)
        await press(pilot, "down", "down")
        assert "risk.max_entries_per_day = 100" in screen_text(pilot)
        await press(pilot, *"[/x]")
        assert "nothing matches" in screen_text(pilot)
        await press(pilot, "escape", "escape")
        assert not isinstance(app.screen_stack[-1], SettingsScreen)


async def test_every_action_and_its_key_can_be_looked_up(file: Path) -> None:
    app = make(file)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.workers.wait_for_complete()
        await settle(pilot)
        await press(pilot, "f2", *"ui.keys flatten")
        text = " ".join(screen_text(pilot).split())
        assert 'ui.keys.flatten "f9" config.toml:6' in text
        assert "asks first; default F" in about(app)
        assert f"[ui.keys] flatten = … in {file}" in about(app)
        assert "ctrl+r applies it" in about(app)


async def test_what_waits_for_a_restart_is_told_apart(file: Path) -> None:
    app = make(file)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.workers.wait_for_complete()
        await settle(pilot)
        file.write_text(TEXT.replace("60000", "70000"))
        await press(pilot, "ctrl+r")
        await app.workers.wait_for_complete()
        await press(pilot, "f2", *"order_value")
        assert "60000 → 70000 at the next start" in screen_text(pilot)
        file.write_text(TEXT)
        await pilot.press("f2")
        app.reload()
        await app.workers.wait_for_complete()
        await press(pilot, "f2", *"order_value")
        assert "next start" not in screen_text(pilot).replace("in force from the next start", "")


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (200, 60)])
async def test_it_fits_every_size(file: Path, size: tuple[int, int]) -> None:
    app = make(file)
    async with app.run_test(size=size) as pilot:
        await app.workers.wait_for_complete()
        await settle(pilot)
        await press(pilot, "f2")
        assert "alpaca.key_id" in screen_text(pilot)


async def test_without_a_configuration_it_says_so() -> None:
    async with running() as pilot:
        await press(pilot, "f2")
        assert "this screen looks at an engine started elsewhere" in screen_text(pilot)


async def test_without_a_file_it_says_how_to_make_one() -> None:
    app = TraderApp(
        start_engine=FakeEngine,
        flushes_a_second=None,
        read_config=defaults,
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await app.workers.wait_for_complete()
        await settle(pilot)
        await press(pilot, "f2")
        assert "no such file: tui-trader config init writes it" in screen_text(pilot)


def defaults() -> LoadedSettings:
    settings = Settings()
    return LoadedSettings(settings, {key: "default" for key, _ in leaves(settings.model_dump())}, None)


def test_rows_hold_every_setting_and_every_action_once(file: Path) -> None:
    loaded = load(file)
    rows = setting_rows(Reloaded(loaded, loaded))
    keys = [row.key for row in rows]
    assert len(keys) == len(set(keys))
    assert {f"ui.keys.{name}" for name in known_actions()} <= set(keys)
    assert {one.key for one in shown_settings(loaded)} <= set(keys)
    assert all(row.about for row in rows), [row.key for row in rows if not row.about]


def test_a_route_that_waits_is_listed(file: Path) -> None:
    before = load(file)
    file.write_text(f'{TEXT}[[routes]]\nsymbols = ["MSFT"]\n[[routes]]\nsymbols = ["AAPL"]\n')
    rows = {row.key: row for row in setting_rows(reloaded(before, load(file)))}
    assert rows["routes.1.symbols"].waiting == '["MSFT"]'
    assert (rows["routes.2.symbols"].value, rows["routes.2.symbols"].waiting) == ("not set", '["AAPL"]')


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("control.listen", "given on the command line"),
        (
            "risk.max_open_positions",
            "set by environment TUI_TRADER_RISK__MAX_OPEN_POSITIONS, which overrides the file",
        ),
        ("routes.1.strategy", "[[routes]] strategy = … in FILE, or TUI_TRADER_ROUTES__1__STRATEGY"),
        ("ui.theme", "[ui] theme = … in FILE, or TUI_TRADER_UI__THEME in the environment; ctrl+r applies it"),
        ("ui.keys.pane.1", "[ui.keys] pane.1 = … in FILE, or TUI_TRADER_UI__KEYS__PANE__1"),
    ],
)
def test_how_to_change_each(file: Path, key: str, says: str) -> None:
    loaded = load(file)
    rows = {row.key: row for row in setting_rows(Reloaded(loaded, loaded))}
    assert says in how_to_change(rows[key], "FILE", "ctrl+r")


def test_config_show_says_the_same(file: Path) -> None:
    loaded = load(file)
    text = show(loaded)
    assert SECRET not in text
    for one in shown_settings(loaded):
        assert f"{one.key} = {one.value}" in text
