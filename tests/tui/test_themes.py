"""Theme files: the shipped ones are whole, the user's may be wrong without harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_trader.tui.themes import VARIABLES, ThemeError, first_theme, load_themes, read_theme, shipped_folder

GOOD = (shipped_folder() / "midnight.toml").read_text(encoding="utf-8")


def test_the_shipped_themes_come_in_their_order() -> None:
    themes = load_themes()
    assert [theme.name for theme in themes.themes] == ["midnight", "paper", "okabe-ito", "mono", "ansi"]
    assert themes.problems == ()


def test_the_default_values_are_the_default_theme() -> None:
    midnight = read_theme(shipped_folder() / "midnight.toml")
    assert {key: midnight.variables[key] for key in VARIABLES} == dict(VARIABLES)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('gain = "#2dbd93"', 'gian = "#2dbd93"', "gian is unknown; did you mean gain?"),
        ('gain = "#2dbd93"', 'gain = "greenish [/x]"', "is not a colour"),
        ('gain = "#2dbd93"', "gain = 3", "is not a colour"),
        ("dark = true", "dark = 1", "dark must be true or false"),
        ('name = "midnight"', 'name = ""', "name must be"),
        ('primary = "#5a9bf6"', "", "lacks primary"),
        ("[colors]", "[colours]", "did you mean colors?"),
        ("[colors]", "[colors", "not valid TOML"),
    ],
)
def test_a_bad_file_is_named_with_its_cure(tmp_path: Path, old: str, new: str, says: str) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ThemeError) as caught:
        read_theme(bad)
    assert says in str(caught.value)
    assert str(bad) in str(caught.value)
    themes = load_themes(tmp_path)
    assert len(themes.themes) == 5
    assert len(themes.problems) == 1


def test_a_users_theme_is_added_or_replaces(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD.replace('"midnight"', '"mine"', 1), encoding="utf-8")
    (tmp_path / "own.toml").write_text(GOOD.replace("#0d1015", "#000000"), encoding="utf-8")
    themes = load_themes(tmp_path)
    assert [theme.name for theme in themes.themes][-1] == "mine"
    assert themes.themes[0].background == "#000000"


def test_up_and_down_can_be_swapped() -> None:
    plain, swapped = load_themes().themes[0], load_themes(swap_colours=True).themes[0]
    assert plain.variables["gain"] == swapped.variables["loss"]
    assert plain.variables["loss"] == swapped.variables["gain"]


def test_a_folder_that_is_not_there_is_no_problem(tmp_path: Path) -> None:
    assert load_themes(tmp_path / "nowhere").problems == ()


@pytest.mark.parametrize("name", ["midnight", "okabe-ito", "ansi"])
def test_the_first_theme_is_the_one_wanted(name: str) -> None:
    assert first_theme(name) == next(theme for theme in load_themes().themes if theme.name == name)


@pytest.mark.parametrize("name", ["", "nowhere", "../pyproject", "\x00"])
def test_a_theme_that_is_not_there_is_the_default(name: str) -> None:
    assert first_theme(name).name == "midnight"


def test_the_first_theme_may_be_the_users(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(GOOD.replace("#0d1015", "#000000"), encoding="utf-8")
    assert first_theme("midnight", tmp_path).background == "#000000"
    assert first_theme("midnight", swap_colours=True).variables["gain"] == VARIABLES["loss"]
