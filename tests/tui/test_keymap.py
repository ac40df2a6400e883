"""Keys of one's own: what is refused, and where the new ones are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.driving import make_app, press, running, screen_text, settle
from tests.tui.fake_engine import FakeEngine, trading_snapshot
from tui_trader import cli
from tui_trader.config import load_settings
from tui_trader.core.events import EngineState
from tui_trader.engine.handle import Pause
from tui_trader.errors import UsageError
from tui_trader.options import RunOptions
from tui_trader.tui.app import TraderApp
from tui_trader.tui.backtest.keys import KEYS as BACKTEST_KEYS
from tui_trader.tui.keymap import ESSENTIAL, KeymapError, canonical, check_keymap, known_actions
from tui_trader.tui.keys import APP_KEYS, KEYS, display, for_textual, key_list, key_names
from tui_trader.tui.screens.flatten import FlattenScreen
from tui_trader.tui.screens.help import HelpScreen
from tui_trader.tui.screens.quit import QuitScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.wiring import settings_for

# ---- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keymap", "name", "says"),
    [
        ({"flaten": "x"}, "flaten", "no such action; did you mean flatten?"),
        ({"zzz": "x"}, "zzz", "no such action; the settings screen lists all"),
        ({"theme": "pgup"}, "theme", "no such key; did you mean pageup?"),
        ({"theme": "ctrl+nonsense"}, "theme", "no such key"),
        ({"theme": "strg+r"}, "theme", "no such modifier 'strg'"),
        ({"theme": "shift+f"}, "theme", "write the character it gives"),
        ({"theme": "ctrl+i"}, "theme", "a terminal sends it for Tab"),
        ({"theme": "ctrl+m"}, "theme", "a terminal sends it for Enter"),
        ({"theme": "F"}, "theme", "F is the key of flatten"),
        ({"backtest.run": "p"}, "backtest.run", "p is the key of pause"),
        ({"find": "s"}, "find", "s is the key of table.sort"),
        ({"theme": "d", "copy": "d"}, "copy", "d is the key of theme"),
        ({"theme": "ctrl+p"}, "theme", "ctrl+p is the key of commands"),
        ({"theme": "escape"}, "theme", "Esc is needed in dialogs"),
        ({"theme": "ctrl+c"}, "theme", "ctrl+c is needed in dialogs"),
        ({"app.quit": "y"}, "app.quit", "acts while something is typed"),
        ({"flatten": ""}, "flatten", "flatten must keep a key"),
        ({"pause": " , , "}, "pause", "pause must keep a key"),
    ],
)
def test_a_mistake_is_refused_with_its_cure(keymap: dict[str, str], name: str, says: str) -> None:
    with pytest.raises(KeymapError) as caught:
        check_keymap(keymap)
    assert caught.value.name == name
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "keymap",
    [
        {},
        {"flatten": "f9"},
        {"flatten": "f9,F"},
        {"flatten": "f9", "theme": "F"},
        {"pause": "x", "close": "p"},
        {"pause": "x", "close": "c", "cancel": "p"},
        {"quit": "ctrl+q"},  # which quits anyway
        {"theme": ""},
        {"bars.in": "i", "chart.zoom_in": "i"},  # by design the chart's own, as + is
        {"backtest.run": "x"},  # x is a key of the other screen alone
        {"app.quit": "f10", "commands": "alt+c"},
        {"backtest.back": "escape,backspace"},
    ],
    ids=str,
)
def test_what_can_be_meant_is_taken(keymap: dict[str, str]) -> None:
    check_keymap(keymap)


@pytest.mark.parametrize("name", ESSENTIAL)
def test_vital_keys_cannot_be_lost(name: str) -> None:
    with pytest.raises(KeymapError, match="must keep a key"):
        check_keymap({name: ""})


@pytest.mark.parametrize("name", ["flatten", "pause", "quit"])
def test_no_other_action_takes_a_vital_key(name: str) -> None:
    (key,) = known_actions()[name].key.split(",")
    for other in known_actions():
        if other not in (*ESSENTIAL, "commands"):
            with pytest.raises(KeymapError, match=f"is the key of {name}"):
                check_keymap({other: key})


def test_every_default_is_a_key_that_may_be_given() -> None:
    check_keymap({name: binding.key for name, binding in known_actions().items()})


async def test_every_action_of_the_running_screens_is_known() -> None:
    async with running() as pilot:
        for keys in ((), ("2",), ("5",), ("b",)):
            await press(pilot, *keys)
            active = pilot.app.screen.active_bindings.values()
            assert {one.binding.id for one in active if one.binding.id} <= set(known_actions())
    assert {binding.id for binding in (*KEYS, *BACKTEST_KEYS, *APP_KEYS)} <= set(known_actions())


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("F", "F"),
        ("?", "question_mark"),
        ("[", "left_square_bracket"),
        ("+", "plus"),
        ("-", "minus"),
        ("plus", "plus"),
        ("F5", "f5"),
        ("Ctrl+R", "ctrl+r"),
        ("shift+ctrl+up", "ctrl+shift+up"),
        ("ctrl++", "ctrl+plus"),
        ("PageUp", "pageup"),
        ("space", "space"),
        ("é", "é"),
    ],
)
def test_keys_are_written_as_one_would(written: str, key: str) -> None:
    assert canonical(written) == key


def test_keys_are_separated_by_commas_and_the_comma_is_one() -> None:
    assert list(key_list("p, f9")) == ["p", "f9"]
    assert list(key_list(",")) == [","]
    assert list(key_list("")) == []
    assert for_textual({"pause": "p,f9", "theme": ",", "copy": ""}) == {
        "pause": "p,f9",
        "theme": "comma",
        "copy": "unbound:copy",
    }


def test_keys_are_shown_as_one_would_write_them() -> None:
    assert [display(key) for key in ("question_mark", "f5", "ctrl+r", "escape", "enter", "comma", "é")] == [
        "?", "F5", "ctrl+r", "Esc", "Enter", ",", "é",
    ]  # fmt: skip
    assert key_names({"quit": "f10,q"})["quit"] == "F10"
    assert key_names({"theme": ""})["theme"] == "—"


# ---- in the configuration ------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('flaten = "x"', 'line 2: ui.keys.flaten = "x": no such action; did you mean flatten?'),
        ('theme = "F"', 'line 2: ui.keys.theme = "F": F is the key of flatten'),
        ('quit = ""', 'line 2: ui.keys.quit = "": quit must keep a key'),
        ('pane.1 = "q"', 'line 2: ui.keys.pane.1 = "q": q is the key of quit'),
        ("flatten = 3", "line 2: ui.keys.flatten = 3: must be text in quotes"),
        ('theme = ["d", "F"]', 'line 2: ui.keys.theme = "d,F": F is the key of flatten'),
        ('"a\\u001b[2J" = "x"', r"ui.keys.a\x1b[2J"),
    ],
)
def test_a_bad_table_is_one_line_and_2(
    file: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(file, f"[ui.keys]\n{text}\n")
    with pytest.raises(UsageError) as caught:
        settings_for(RunOptions(config=file), {})
    assert str(caught.value).startswith(f"{file} ")
    assert says in str(caught.value)
    assert cli.main(["config", "show", "--config", str(file)]) == 2
    assert capsys.readouterr().err == f"tui-trader: {caught.value}\n"
    assert cli.main(["run", "--headless", "--config", str(file)]) == 2


def test_keys_may_be_dotted_quoted_or_a_list_and_config_show_shows_them(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(file, '[ui.keys]\npane.1 = "f5"\n"pane.2" = "f6"\npause = ["p", "f9"]\nbars.shorter = [",", "d"]\n')
    keys = settings_for(RunOptions(config=file), {}).settings.ui.keys
    assert keys == {"pane.1": "f5", "pane.2": "f6", "pause": "p,f9", "bars.shorter": "comma,d"}
    assert cli.main(["config", "show", "--config", str(file)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f'ui.keys.pane.1 = "f5" # {file}:2' in shown
    assert f'ui.keys.pause = "p,f9" # {file}:4' in shown


def test_the_environment_gives_keys_too(file: Path) -> None:
    environ = {"TUI_TRADER_UI__KEYS__FLATTEN": "f9", "TUI_TRADER_UI__KEYS__TABLE__PAGE_DOWN": "d"}
    loaded = load_settings(write(file, ""), environ, {})
    assert loaded.settings.ui.keys == {"flatten": "f9", "table.page_down": "d"}
    with pytest.raises(UsageError, match=r"environment TUI_TRADER_UI__KEYS__THEME: ui\.keys\.theme"):
        settings_for(RunOptions(config=file), {"TUI_TRADER_UI__KEYS__THEME": "F"})


# ---- on the screen -------------------------------------------------------------------------------------

MINE = {"flatten": "f9,F", "pause": "x", "close": "p", "help": "f1", "quit": "f10", "symbol.next": "f4"}


async def test_new_keys_act_and_old_ones_do_not() -> None:
    engine = FakeEngine()
    async with running(engine, settings=UiSettings(keys=MINE)) as pilot:
        await press(pilot, "x")
        assert engine.sent == [Pause()]
        for key in ("f9", "F"):
            await press(pilot, key)
            assert isinstance(pilot.app.screen, FlattenScreen)
            await press(pilot, "escape")
        await press(pilot, "q", "question_mark")
        assert pilot.app.screen is pilot.app.screen_stack[0]
        await press(pilot, "f10")
        assert isinstance(pilot.app.screen, QuitScreen)
        await press(pilot, "f10")
        assert pilot.app.screen is pilot.app.screen_stack[0]


async def test_the_line_of_keys_and_the_help_show_the_new_keys() -> None:
    async with running(size=(140, 90), settings=UiSettings(keys=MINE)) as pilot:
        line = screen_text(pilot).splitlines()[-1]
        assert "F9 Flatten" in line
        assert "x Pause" in line
        assert "[ F4 Symbol" in line
        assert "F1 Help  F10 Quit" in line
        assert "1-8 Panes" in line
        await press(pilot, "f1")
        assert isinstance(pilot.app.screen, HelpScreen)
        text = " ".join(screen_text(pilot).split())
        assert "F9 F Flatten all" in text
        assert "x Pause or resume" in text
        await press(pilot, "f1")
        assert not isinstance(pilot.app.screen, HelpScreen)


async def test_the_palette_shows_the_new_keys_and_actions_without_one() -> None:
    async with running(settings=UiSettings(keys={"theme": "", "copy": "", "flatten": "f9"})) as pilot:
        await press(pilot, "ctrl+p")
        await pilot.press(*"next theme")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause(0.3)
        assert "Next theme (—)" in screen_text(pilot)
        await pilot.press("enter", "enter")
        await settle(pilot)
        assert pilot.app.theme == "paper"


async def test_sentences_name_the_new_keys() -> None:
    engine = FakeEngine(trading_snapshot(state=EngineState.PAUSED, positions=(), orders=()))
    async with running(engine, settings=UiSettings(keys=MINE)) as pilot:
        text = screen_text(pilot)
        assert "x resumes" in text
        assert "x allows entries again" in text
        await press(pilot, "ctrl+c")
        assert [notice.message for notice in pilot.app._notifications] == ["press F10 to quit"]


async def test_keys_of_panes_are_counted_only_when_they_count_up() -> None:
    def keys(prefix: str, last: int) -> dict[str, str]:
        return {f"pane.{number}": f"{prefix}{number}" for number in range(1, last + 1)}

    for mine, shown in ((keys("alt+", 8), "alt+1-8 Panes"), (keys("alt+", 3), None)):
        async with running(size=(160, 40), settings=UiSettings(keys=mine)) as pilot:
            line = screen_text(pilot).splitlines()[-1]
            assert shown in line if shown else "Panes" not in line


async def test_both_screens_have_the_same_key_for_the_same_action() -> None:
    async with running(settings=UiSettings(keys=MINE | {"backtest": "B"})) as pilot:
        await press(pilot, "B")
        assert "F9 Flatten" in screen_text(pilot).splitlines()[-1]
        await press(pilot, "B")
        assert isinstance(pilot.app, TraderApp)
        assert pilot.app.screen is pilot.app.trading


@pytest.mark.parametrize("keys", [{"theme": "F"}, {"flatten": "nonsense"}, {"flatten": ""}, {"nothing": "x"}])
async def test_unchecked_keys_with_a_mistake_are_not_used(keys: dict[str, str]) -> None:
    async with running(settings=UiSettings(keys=keys)) as pilot:
        assert "F Flatten" in screen_text(pilot).splitlines()[-1]
        (notice,) = pilot.app._notifications
        assert "all keys stay as they were" in notice.message
        await press(pilot, "F")
        assert isinstance(pilot.app.screen, FlattenScreen)


async def test_no_binding_is_dropped_by_the_framework() -> None:
    """``set_keymap`` forgets a binding whose key another takes: every action must keep its key."""
    app = make_app(settings=UiSettings(keys=MINE))
    async with app.run_test() as pilot:
        await settle(pilot)
        active = {one.binding.id for one in app.trading.active_bindings.values()}
        assert {binding.id for binding in KEYS} <= active
