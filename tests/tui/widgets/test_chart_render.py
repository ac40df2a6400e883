from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.tui.widgets.chart_candles import OPENING, candle, rising
from tui_trader.engine.handle import CandleRow
from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.widgets.chart_frame import Frame, axis_width, frame
from tui_trader.tui.widgets.chart_render import (
    Drawing,
    FillMark,
    Picture,
    compact,
    merge_runs,
    render,
)
from tui_trader.tui.widgets.chart_scale import (
    Scale,
    aggregate,
    fit_scale,
    keep_scale,
    price_ticks,
    time_labels,
)


def text(drawing: Drawing) -> list[str]:
    """The lines as they look, blanks at their end cut."""
    axis = drawing.axis or [()] * len(drawing.plot)
    return [
        "".join(run for run, _ in (*plot, *right)).rstrip()
        for plot, right in zip(drawing.plot, axis, strict=True)
    ]


def draw(candles: Sequence[CandleRow], width: int, rows: int, scale: Scale, **picture: object) -> list[str]:
    """The plot alone."""
    glyphs: GlyphName = picture.pop("glyphs", "box")  # type: ignore[assignment]
    return text(
        render(
            Picture(candles, scale, glyph_set(glyphs), **picture),  # type: ignore[arg-type]
            Frame(width, rows, 0, 0, 0),
        )
    )


TEN = Scale(0.0, 10.0)


def test_blanks_join_the_run_before_them_but_not_a_tag_on_a_ground() -> None:
    assert merge_runs("a b", ["gain", "plain", "gain"]) == (("a b", "gain"),)
    assert merge_runs("ab  c", ["axis", "cross-tag", "plain", "plain", "axis"]) == (
        ("a", "axis"), ("b", "cross-tag"), ("  c", "axis")
    )  # fmt: skip


def test_a_candle_is_a_body_between_wicks_in_half_rows() -> None:
    # Rows are two dollars high, half rows one.
    up = candle(0, 3.5, 8.5, 1.5, 6.5)
    assert draw([up], 1, 5, TEN) == ["╷", "╽", "┃", "╿", "╵"]


def test_a_body_that_fills_whole_rows_is_heavy_throughout() -> None:
    assert draw([candle(0, 2.5, 7.5, 2.5, 7.5)], 1, 5, TEN) == ["", "┃", "┃", "┃", ""]


def test_a_candle_that_did_not_move_is_still_seen() -> None:
    assert draw([candle(0, 4.5, 4.5, 4.5, 4.5)], 1, 5, TEN) == ["", "", "╻", "", ""]


def test_the_ascii_set_draws_the_same_candle() -> None:
    up = candle(0, 3.5, 8.5, 1.5, 6.5)
    assert draw([up], 1, 5, TEN, glyphs="ascii") == [",", "#", "#", "#", "'"]


def test_a_short_history_stands_at_the_right_edge() -> None:
    assert draw([candle(0, 4.5, 4.5, 4.5, 4.5)], 4, 5, TEN)[2] == "   ╻"


def test_more_candles_than_columns_show_the_latest() -> None:
    candles = [candle(index, 4.5, 4.5, 4.5, 4.5) for index in range(5)] + [candle(5, 8.5, 8.5, 8.5, 8.5)]
    assert draw(candles, 2, 5, TEN) == [" ╻", "", "╻", "", ""]


def test_averages_fill_cells_without_a_candle_in_thirds() -> None:
    candles = [
        candle(0, 9.5, 9.5, 9.5, 9.5, fast=5.9, slow=1.0),
        candle(1, 9.5, 9.5, 9.5, 9.5, fast=5.0),
        candle(2, 9.5, 9.5, 9.5, 9.5, fast=4.1),
        candle(3, 9.5, 9.5, 1.5, 1.5, fast=4.1),
    ]
    assert draw(candles, 4, 5, TEN) == ["╹╹╹┃", "   ┃", "▔─▁┃", "   ┃", "─  ╹"]


def test_entry_and_stop_run_behind_candles_with_their_labels() -> None:
    picture = Picture([candle(0, 4.5, 6.5, 1.5, 5.5)], TEN, glyph_set("box"), entry=5.1, stop=1.1)
    assert text(render(picture, Frame(5, 5, 9, 0, 0))) == [
        "         10.00",
        "    ╷",
        "┄┄┄┄┃E    5.10",
        "    │",
        "┈┈┈┈╵S    1.10",
    ]


def test_the_last_price_goes_before_other_labels_which_make_way() -> None:
    picture = Picture([candle(0, 4.5, 6.5, 1.5, 5.5)], TEN, glyph_set("box"), entry=5.1, last=5.4, up=True)
    assert [line[0] for line in render(picture, Frame(1, 5, 9, 0, 0)).axis] == [
        ("    10.00", "axis"),
        ("E    5.10", "entry"),
        ("◂    5.40", "last-up"),
        ("         ", "axis"),
        ("     0.00", "axis"),
    ]


@pytest.mark.parametrize(("up", "tone"), [(True, "last-up"), (False, "last-down"), (None, "last")])
def test_the_last_price_says_its_direction_by_tone(up: bool | None, tone: str) -> None:
    picture = Picture([candle(0, 4.5, 6.5, 1.5, 5.5)], TEN, glyph_set("box"), last=5.4, up=up)
    assert render(picture, Frame(1, 5, 9, 0, 0)).axis[2] == (("◂    5.40", tone),)


def test_a_stop_beyond_the_scale_is_pinned_with_an_arrow() -> None:
    picture = Picture([candle(0, 4.5, 6.5, 1.5, 5.5)], TEN, glyph_set("box"), stop=-7.25, last=22.0)
    lines = text(render(picture, Frame(1, 5, 9, 0, 0)))
    assert lines[0] == " ◂▲  22.00"
    assert lines[4] == "╵S▼  -7.25"


def test_fills_stand_beside_their_candle() -> None:
    candles = [candle(index, 4.5, 5.5, 3.5, 4.5) for index in range(3)]
    marks = [
        FillMark(OPENING + timedelta(seconds=30), 4.0, "buy"),
        FillMark(OPENING + timedelta(minutes=2), 5.0, "sell"),
        FillMark(OPENING - timedelta(minutes=1), 5.0, "sell"),
    ]
    assert draw(candles, 3, 5, TEN, marks=marks) == ["", "  ▼", "╽╽╽", "╵╵╵", "▲"]


def test_a_fill_after_what_is_shown_has_no_mark() -> None:
    marks = [FillMark(OPENING + timedelta(minutes=1), 4.0, "buy")]
    until = OPENING + timedelta(minutes=1)
    assert "▲" not in "".join(draw([candle(0, 4.5, 5.5, 3.5, 4.5)], 1, 5, TEN, marks=marks, until=until))


def test_fills_at_the_edge_of_the_plot_stay_inside() -> None:
    marks = [FillMark(OPENING, 4.0, "buy"), FillMark(OPENING, 4.0, "sell")]
    lines = draw([candle(0, 0.5, 9.5, 0.5, 9.5)], 1, 5, TEN, marks=marks)
    assert (lines[0], lines[-1]) == ("▼", "▲")


def test_another_day_is_marked_by_a_dotted_column_and_its_date() -> None:
    night = [candle(index - 60 * 17 - 30, 4.5, 4.5, 4.5, 4.5) for index in range(3)]
    day = [candle(index, 4.5, 4.5, 4.5, 4.5) for index in range(8)]
    drawing = render(Picture([*night, *day], TEN, glyph_set("box")), Frame(11, 3, 0, 0, 1))
    assert text(drawing) == ["   ┊", "╻╻╻╻╻╻╻╻╻╻╻", "   ┊", "   Nov 21"]
    assert drawing.plot[3][-1][1] == "date"


def test_times_are_round_and_apart() -> None:
    labels = time_labels(rising(60), 60, 1)
    assert [(label.column, label.text) for label in labels] == [
        (10, "09:40"),
        (20, "09:50"),
        (30, "10:00"),
        (40, "10:10"),
        (50, "10:20"),
    ]


def test_a_label_that_would_be_cut_is_left_out() -> None:
    assert [label.text for label in time_labels(rising(14), 14, 1)] == []
    assert [label.text for label in time_labels(rising(15), 15, 1)] == ["09:40"]


def test_volume_is_drawn_in_eighths_of_the_busiest() -> None:
    candles = [
        candle(index, 1, 2, 1, 2 - index % 2, volume) for index, volume in enumerate((0, 1, 800, 1600))
    ]
    drawing = render(Picture(candles, TEN, glyph_set("box")), Frame(4, 1, 9, 2, 0))
    assert text(drawing)[1:] == ["   █ vol 1.6k", " ▁██"]


def test_the_frame_gives_up_volume_times_and_axis_before_candles() -> None:
    assert frame(120, 30, 202.0) == Frame(111, 26, 9, 3, 1)
    assert frame(48, 9, 202.0) == Frame(39, 8, 9, 0, 1)
    assert frame(12, 3, 202.0) == Frame(12, 3, 0, 0, 0)
    assert frame(0, 0, math.nan) == Frame(0, 0, 0, 0, 0)


@pytest.mark.parametrize("width", [0, 1, 2, 9, 17, 18, 40])
@pytest.mark.parametrize("height", [0, 1, 2, 3, 4, 14])
def test_every_size_renders_lines_of_exactly_that_size(width: int, height: int) -> None:
    candles = rising(30)
    cells = frame(width, height, 115.0)
    scale = fit_scale(candles, ())
    assert scale is not None
    drawing = render(Picture(candles, scale, glyph_set("box"), entry=105.0, stop=99.0, last=110.0), cells)
    widths = {sum(len(run) for run, _ in line) for line in drawing.plot}
    assert widths <= {cells.plot_width}
    assert {sum(len(run) for run, _ in line) for line in drawing.axis} <= {cells.axis_width}
    assert len(drawing.plot) in (0, height)


def test_candles_that_are_not_numbers_leave_a_blank_column() -> None:
    nan = math.nan
    candles = [
        candle(0, 4.5, 4.5, 4.5, 4.5),
        candle(1, nan, nan, nan, nan),
        candle(2, 4.5, math.inf, 4.5, 4.5),
    ]
    assert draw(candles, 3, 5, TEN)[2] == "╻"
    assert fit_scale(candles[1:], ()) is None


def test_prices_below_a_dollar_have_four_decimals() -> None:
    candles = [candle(0, 0.1234, 0.15, 0.1, 0.1425)]
    scale = fit_scale(candles, ())
    assert scale is not None
    lines = text(render(Picture(candles, scale, glyph_set("box"), last=0.1425), frame(20, 8, 0.15)))
    assert any(line.endswith("◂  0.1425") for line in lines)


def test_the_axis_is_as_wide_as_the_longest_price() -> None:
    assert [axis_width(price) for price in (0.5, 202.33, 9_999.99, 612_345.0)] == [9, 9, 9, 11]


def test_ticks_are_round_and_two_rows_apart() -> None:
    assert [round(tick, 2) for tick in price_ticks(Scale(200.3, 204.4), 8, 2)] == [202.0, 204.0]
    assert [round(tick, 2) for tick in price_ticks(Scale(99.98, 100.03), 10, 2)] == [
        99.98,
        99.99,
        100.0,
        100.01,
        100.02,
        100.03,
    ]


def test_a_far_stop_does_not_flatten_the_candles() -> None:
    candles = rising(10)
    assert fit_scale(candles, (50.0, None)) == fit_scale(candles, ())
    near = fit_scale(candles, (99.0, None))
    assert near is not None
    assert near.low < 99.0


def test_a_flat_market_still_has_a_scale() -> None:
    scale = fit_scale([candle(0, 5.0, 5.0, 5.0, 5.0)], ())
    assert scale is not None
    assert scale.low < 5.0 < scale.high


def test_the_scale_stays_while_it_suits() -> None:
    scale = Scale(90.0, 110.0)
    assert keep_scale(scale, Scale(91.0, 109.0)) is scale
    assert keep_scale(scale, Scale(91.0, 111.0)) == Scale(91.0, 111.0)
    assert keep_scale(scale, Scale(99.0, 101.0)) == Scale(99.0, 101.0)


def test_aggregation_is_aligned_to_the_clock_and_keeps_days_apart() -> None:
    night = [candle(index - 60 * 17 - 30 - 1, 1, 2, 0.5, 1.5, 10) for index in range(2)]
    columns = aggregate([*night, *rising(4)], 3)
    assert [f"{column.timestamp:%d %H:%M}" for column in columns] == [
        "20 15:59",
        "20 16:00",
        "21 09:30",
        "21 09:33",
    ]
    assert columns[2] == candle(0, 100.0, 101.75, 99.75, 101.5, 3_003)._replace(
        sma_fast=columns[2].sma_fast, sma_slow=columns[2].sma_slow
    )


def test_aggregation_skips_candles_that_are_not_numbers() -> None:
    broken = candle(0, math.nan, math.nan, math.nan, math.nan, 5)
    (column,) = aggregate([broken, candle(1, 1, 2, 0.5, 1.5, 10)], 2)
    assert (column.timestamp, column.open, column.close, column.volume) == (OPENING, 1, 1.5, 15)


def test_runs_of_one_tone_are_one_piece() -> None:
    assert merge_runs("a b c ", ["gain", "plain", "gain", "plain", "loss", "plain"]) == (
        ("a b ", "gain"),
        ("c ", "loss"),
    )
    assert merge_runs("   ", ["plain"] * 3) == (("   ", "plain"),)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (950, "950"),
        (1_234, "1.2k"),
        (82_400, "82k"),
        (999_600, "1000k"),
        (1_500_000, "1.5M"),
        (3e9, "3.0B"),
    ],
)
def test_counts_are_compact(number: float, shown: str) -> None:
    assert compact(number) == shown
