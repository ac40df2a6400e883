from __future__ import annotations

import math

import pytest
from rich.cells import cell_len

from tui_trader.tui.glyphs import GLYPH_NAMES, GlyphName, Half, glyph_set, resample

BOX = glyph_set("box")


def test_sparkline_runs_from_the_lowest_to_the_highest_level() -> None:
    assert BOX.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"


def test_sparkline_averages_many_values_into_few_cells() -> None:
    assert BOX.sparkline([0, 0, 1, 1, 2, 2, 3, 3], 4) == BOX.sparkline([0, 1, 2, 3], 4)


def test_sparkline_draws_few_values_across_all_cells() -> None:
    assert BOX.sparkline([0, 7], 8) == "▁▂▃▄▅▆▇█"


def test_sparkline_of_a_flat_series_is_in_the_middle() -> None:
    assert BOX.sparkline([5.0] * 9, 4) == "▄▄▄▄"
    assert BOX.sparkline([5.0], 3) == "▄▄▄"


def test_sparkline_leaves_gaps_blank() -> None:
    assert BOX.sparkline([1, math.nan, 2], 3) == "▁ █"
    assert BOX.sparkline([math.inf, 1, 2], 3) == " ▁█"


@pytest.mark.parametrize("values", [[], [math.nan], [math.nan, math.nan, math.nan]])
def test_sparkline_without_values_is_blank(values: list[float]) -> None:
    assert BOX.sparkline(values, 3) == "   "
    assert BOX.sparkline(values, 0) == ""


def test_sparkline_survives_the_largest_numbers() -> None:
    assert BOX.sparkline([-1.7e308, 1.7e308], 2) == "▁█"


@pytest.mark.parametrize(
    ("fraction", "bar"),
    [
        (0.0, "▯▯▯▯"),
        (-1.0, "▯▯▯▯"),
        (math.nan, "▯▯▯▯"),
        (0.01, "▮▯▯▯"),
        (0.5, "▮▮▯▯"),
        (0.99, "▮▮▮▯"),
        (1.0, "▮▮▮▮"),
        (7.0, "▮▮▮▮"),
        (math.inf, "▮▮▮▮"),
    ],
)
def test_bar_shows_the_first_percent_and_is_full_only_at_the_limit(fraction: float, bar: str) -> None:
    assert BOX.bar(fraction, 4) == bar


def test_bar_has_the_width_asked_for() -> None:
    assert [BOX.bar(0.3, width) for width in (-1, 0, 1)] == ["", "", "▮"]


def test_arrows_follow_the_sign() -> None:
    assert [BOX.arrow(change) for change in (1.5, -0.1, 0.0, math.nan)] == ["▲", "▼", " ", " "]


def test_every_combination_of_halves_has_its_own_box_glyph() -> None:
    assert len({BOX.candle(upper, lower) for upper in Half for lower in Half}) == 9
    assert BOX.candle(Half.BODY, Half.WICK) == "╿"


@pytest.mark.parametrize("name", GLYPH_NAMES)
def test_every_glyph_is_one_cell(name: GlyphName) -> None:
    glyphs = glyph_set(name)
    everything = [
        *(glyph for row in glyphs.candles for glyph in row),
        *glyphs.levels,
        *glyphs.average,
        *(glyphs.up, glyphs.down, glyphs.flat, glyphs.cursor, glyphs.last, glyphs.ellipsis, glyphs.times),
        *(glyphs.bar_full, glyphs.bar_empty, glyphs.entry_line, glyphs.stop_line, glyphs.session_line),
    ]
    assert [glyph for glyph in everything if cell_len(glyph) != 1] == []


def test_the_ascii_set_is_ascii() -> None:
    glyphs = glyph_set("ascii")
    assert glyphs.sparkline([1, 5, 2, math.nan, 9], 5).isascii()
    assert glyphs.bar(0.5, 4).isascii()
    assert all(glyph.isascii() for row in glyphs.candles for glyph in row)


def test_resample_keeps_what_fits() -> None:
    assert resample([1.0, 2.0, 3.0], 3) == [1.0, 2.0, 3.0]
    assert resample([1.0, 2.0], 3) == [1.0, 1.5, 2.0]
