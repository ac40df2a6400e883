"""Configuration and themes read again while the screen is open."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.driving import press, screen_text, settle
from tests.tui.fake_engine import FakeEngine, trading_snapshot
from tui_trader.config import LoadedSettings, load_settings
from tui_trader.core.events import EngineState
from tui_trader.tui.app import TraderApp
from tui_trader.tui.reload import reloaded, with_looks
from tui_trader.tui.screens.backtest import BacktestScreen
from tui_trader.tui.screens.flatten import FlattenScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.themes import VARIABLES, load_themes, shipped_folder

GOOD = (shipped_folder() / "midnight.toml").read_text(encoding="utf-8")


class Place:
    """A configuration file and a folder of themes that a test writes to."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config.toml"
        self.themes = folder / "themes"
        self.themes.mkdir()
        self.environ: dict[str, str] = {}
        self.write("")

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def theme(self, name: str, old: str = "", new: str = "") -> None:
        text = GOOD.replace('"midnight"', f'"{name}"', 1)
        (self.themes / f"{name}.toml").write_text(text.replace(old, new) if old else text)

    def read(self) -> LoadedSettings:
        return load_settings(self.file, self.environ, {})

    def app(self, engine: FakeEngine | None = None) -> TraderApp:
        settings = with_looks(UiSettings(themes_folder=self.themes), self.read())
        return TraderApp(
            engine or FakeEngine(), settings=settings, flushes_a_second=None, read_config=self.read
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def reload(pilot: Pilot[None]) -> str:
    """Press the key; what the notices say."""
    pilot.app.clear_notifications()
    await press(pilot, "ctrl+r")
    await pilot.app.workers.wait_for_complete()
    await settle(pilot, 2)
    return " | ".join(notice.message for notice in pilot.app._notifications)


# ---- what takes effect ---------------------------------------------------------------------------------


async def test_theme_keys_and_glyphs_change_at_once(place: Place) -> None:
    app = place.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "▲" in screen_text(pilot)
        place.write('[ui]\ntheme = "paper"\nglyphs = "ascii"\nnotify = "osc9"\n[ui.keys]\nflatten = "f9"\n')
        said = await reload(pilot)
        assert said == "read again: theme, glyphs, keys, notifications changed"
        assert app.theme == "paper"
        text = screen_text(pilot)
        assert "F9 Flatten" in text.splitlines()[-1]
        assert "▲" not in text
        assert "^1.21%" in text
        assert app.settings.notify == "osc9"
        await press(pilot, "F")
        assert app.screen is app.trading
        await press(pilot, "f9")
        assert isinstance(app.screen, FlattenScreen)


async def test_the_swap_of_colours_changes_at_once(place: Place) -> None:
    app = place.app()
    async with app.run_test() as pilot:
        await settle(pilot)
        place.write("[ui]\nup_color_swap = true\n")
        assert await reload(pilot) == "read again: colours changed"
        assert app.theme_variables["gain"] == VARIABLES["loss"]
        place.write("")
        assert await reload(pilot) == "read again: colours changed"
        assert app.theme_variables["gain"] == VARIABLES["gain"]


async def test_whatever_the_engine_goes_by_waits_for_a_restart(place: Place) -> None:
    app = place.app()
    async with app.run_test() as pilot:
        await settle(pilot)
        assert await reload(pilot) == "read again: nothing changed"
        place.write('[risk]\nmax_open_positions = 3\n[ui]\ntheme = "mono"\n')
        said = await reload(pilot)
        assert said.endswith("theme changed; restart for risk.max_open_positions")
        assert app.config is not None
        assert app.config.in_force.settings.risk.max_open_positions == 5
        assert app.config.in_force.settings.ui.theme == "mono"
        place.write("[risk]\nmax_open_positions = 3\nmax_order_value = 1000\n[session]\n"
                    "flatten_before_close_min = 4\nshutdown_positions = 'keep'\n")  # fmt: skip
        assert "and 1 more" in await reload(pilot)
        place.write("")
        await reload(pilot)
        assert app.config.waiting == ()


async def test_a_bad_file_changes_nothing_and_says_why(place: Place) -> None:
    place.write('[ui]\ntheme = "mono"\n[ui.keys]\nflatten = "f9"\n')
    app = place.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        before = app.settings
        place.write('[ui]\ntheme = "paper"\nglyphs = "emoji"\n')
        said = await reload(pilot)
        assert "the settings stay as they are" in said
        assert f"{place.file} line 3: ui.glyphs" in said
        assert (app.settings, app.theme) == (before, "mono")
        await settle(pilot)
        assert any("ui.glyphs" in line.text for line in app.trading.panes.log_view._lines)  # and stays there
        place.write("[ui")
        assert "not TOML" in await reload(pilot)
        place.file.unlink()
        assert "no such file" in await reload(pilot)
        assert app.settings == before


async def test_the_theme_chosen_by_hand_stays_unless_the_configured_one_changes(place: Place) -> None:
    app = place.app()
    async with app.run_test() as pilot:
        await settle(pilot)
        await press(pilot, "t", "t")
        assert app.theme == "okabe-ito"
        await reload(pilot)
        assert app.theme == "okabe-ito"
        place.write('[ui]\ntheme = "nowhere"\n')
        assert "no theme 'nowhere': okabe-ito stays" in await reload(pilot)
        assert app.theme == "okabe-ito"


async def test_it_works_from_the_backtest_too_which_is_drawn_anew(place: Place) -> None:
    app = place.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        place.write('[ui]\nglyphs = "ascii"\n[ui.keys]\nflatten = "f9"\n')
        await reload(pilot)
        assert isinstance(app.screen, BacktestScreen)
        assert app.screen.glyphs.name == "ascii"
        assert "F9 Flatten" in screen_text(pilot).splitlines()[-1]
        await press(pilot, "b")
        assert app.screen_stack == [app.trading]


async def test_words_that_name_keys_follow(place: Place) -> None:
    app = place.app(FakeEngine(trading_snapshot(state=EngineState.PAUSED)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        place.write('[ui.keys]\npause = "f8"\n')
        await reload(pilot)
        assert "F8 resumes" in screen_text(pilot)
        assert "F8 Resume" in screen_text(pilot)


async def test_the_environment_has_its_say_once_the_engine_starts(place: Place) -> None:
    place.environ = {"TUI_TRADER_UI__THEME": "paper"}
    app = TraderApp(start_engine=FakeEngine, flushes_a_second=None, read_config=place.read)
    async with app.run_test() as pilot:
        await app.workers.wait_for_complete()
        await settle(pilot)
        assert app.theme == "paper"
        assert app.config is not None


# ---- themes --------------------------------------------------------------------------------------------


async def test_an_edited_theme_takes_effect(place: Place) -> None:
    place.theme("mine")
    place.write('[ui]\ntheme = "mine"\n')
    app = place.app()
    async with app.run_test() as pilot:
        await settle(pilot)
        place.theme("mine", VARIABLES["gain"], "#010203")
        assert await reload(pilot) == "read again: colours changed"
        assert app.theme_variables["gain"] == "#010203"
        place.theme("mine", VARIABLES["gain"], "#040506")
        app.use_theme("mine")  # picked again
        await settle(pilot)
        assert app.theme_variables["gain"] == "#040506"


async def test_a_theme_that_became_bad_is_named_and_the_present_one_stays(place: Place) -> None:
    place.theme("mine", VARIABLES["gain"], "#010203")
    place.write('[ui]\ntheme = "mine"\n')
    app = place.app()
    async with app.run_test() as pilot:
        await settle(pilot)
        place.theme("mine", VARIABLES["gain"], "greenish [/x]")
        said = await reload(pilot)
        assert "mine.toml: " in said
        assert "'greenish [/x]' is not a colour" in said
        assert app.theme == "mine"
        assert app.theme_variables["gain"] == "#010203"
        assert "mine" in app.theme_names
        place.theme("mine", VARIABLES["gain"], "#040506")
        await reload(pilot)
        assert app.theme_variables["gain"] == "#040506"


async def test_a_new_theme_can_be_chosen_and_a_removed_one_stays_until_another_is(place: Place) -> None:
    app = place.app()
    async with app.run_test() as pilot:
        await settle(pilot)
        place.theme("mine")
        place.write('[ui]\ntheme = "mine"\n')
        await reload(pilot)
        assert app.theme == "mine"
        (place.themes / "mine.toml").unlink()
        place.write("")
        await reload(pilot)
        assert app.theme == "midnight"
        assert "mine" not in app.theme_names


def test_a_file_that_replaced_a_shipped_theme_keeps_it_when_it_becomes_bad(place: Place) -> None:
    place.theme("midnight", "#0d1015", "#000000")
    before = load_themes(place.themes)
    (place.themes / "midnight.toml").write_text("name = ")
    after = load_themes(place.themes, before=before)
    assert after.themes[0].background == "#000000"
    assert len(after.problems) == 1
    assert load_themes(place.themes).themes[0].background == "#0d1015"


# ---- what waits ----------------------------------------------------------------------------------------


def test_routes_may_come_and_go(place: Place) -> None:
    place.write('[[routes]]\nsymbols = ["AAPL"]\n')
    before = place.read()
    place.write('# moved\n[[routes]]\nsymbols = ["AAPL"]\n[[routes]]\nsymbols = ["MSFT"]\n')
    more = reloaded(before, place.read())
    assert "routes.2.symbols" in more.waiting
    assert more.in_force.sources["routes.1.symbols"] == f"{place.file}:3"
    assert len(more.in_force.settings.routes) == 1
    fewer = reloaded(place.read(), before)
    assert "routes.2.symbols" in fewer.waiting
    assert fewer.in_force.sources["routes.2.symbols"] == f"{place.file}:5"
