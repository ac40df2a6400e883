"""Candles of other intervals than the strategy's, and the cross-hair that reads them out."""

from __future__ import annotations

import math
from datetime import UTC, timedelta

import pytest

from tests.tui.widgets.chart_candles import OPENING, candle, rising
from tests.tui.widgets.harness import OneWidget
from tui_trader.core.events import BarReceived
from tui_trader.engine.handle import CandleRow
from tui_trader.tui.glyphs import GlyphName, Half, glyph_set
from tui_trader.tui.minute_bars import MinuteBars
from tui_trader.tui.widgets.candle_chart import CandleChart
from tui_trader.tui.widgets.chart_frame import Frame
from tui_trader.tui.widgets.chart_interval import intervals, regrouped
from tui_trader.tui.widgets.chart_render import FillMark, Picture, render
from tui_trader.tui.widgets.chart_scale import Scale


def two_minutes(count: int) -> list[CandleRow]:
    """The strategy's candles: two minutes each, with a fast average that counts them."""
    return [
        candle(2 * number, 100 + number, 101 + number, 99 + number, 100.5 + number, 10, fast=float(number))
        for number in range(count)
    ]


class ChartApp(OneWidget):
    def __init__(self, candles: list[CandleRow], glyphs: GlyphName = "box") -> None:
        self.chart = CandleChart(id="chart", glyphs=glyphs)
        super().__init__(self.chart)
        self.chart.show("AAPL", candles)

    @property
    def below(self) -> str:
        return str(self.chart.border_subtitle)


# ---- intervals -----------------------------------------------------------------------------------------


def test_without_minute_bars_only_multiples_can_be_chosen() -> None:
    assert intervals(2, bars=False) == [2, 10]
    assert intervals(2, bars=True) == [1, 2, 5, 10, 15]
    assert intervals(3, bars=True) == [1, 2, 3, 5, 10, 15]


def test_a_multiple_is_made_of_the_strategys_candles() -> None:
    [first, second] = regrouped(two_minutes(8), (), 2, 10)
    assert (first.open, first.high, first.low, first.close, first.volume) == (100, 105, 99, 104.5, 50)
    assert (first.sma_fast, second.open) == (4, 105)


def test_what_is_no_multiple_is_made_of_minute_bars_with_the_averages_known_by_then() -> None:
    columns = regrouped(two_minutes(8), rising(10), 2, 5)
    assert [column.timestamp for column in columns] == [OPENING, OPENING + timedelta(minutes=5)]
    assert [column.sma_fast for column in columns] == [1, 4]
    assert columns[0].open == 100
    assert columns[0].close == 102.5


def test_a_candle_whose_first_bars_were_not_heard_is_left_out() -> None:
    columns = regrouped((), rising(10)[2:], 2, 5)
    assert [column.timestamp for column in columns] == [OPENING + timedelta(minutes=5)]


async def test_comma_and_full_stop_choose_shorter_and_longer_candles() -> None:
    app = ChartApp(two_minutes(30))
    async with app.run_test(size=(48, 12)) as pilot:
        app.chart.set_bars(rising(60))
        seen = []
        for _ in range(4):
            await pilot.press("full_stop")
            seen.append(app.chart.interval)
        assert seen == [5, 10, 15, 15]
        for _ in range(5):
            await pilot.press("comma")
        assert (app.chart.interval, app.chart.own_interval) == (1, 2)


async def test_a_chart_without_minute_bars_has_multiples_only() -> None:
    app = ChartApp(two_minutes(30))
    async with app.run_test(size=(48, 12)) as pilot:
        await pilot.press("comma")
        assert app.chart.interval == 2
        await pilot.press("full_stop")
        assert app.chart.interval == 10


async def test_before_the_first_minute_bar_it_says_what_is_awaited() -> None:
    app = ChartApp(two_minutes(30))
    async with app.run_test(size=(70, 12)) as pilot:
        app.chart.set_bars([])
        await pilot.press("full_stop")
        assert "5m candles are made of minute bars: none has come yet" in "\n".join(app.lines())


async def test_the_interval_stays_from_symbol_to_symbol_but_not_their_bars() -> None:
    app = ChartApp(two_minutes(30))
    async with app.run_test(size=(70, 12)) as pilot:
        app.chart.set_bars(rising(60))
        await pilot.press("full_stop")
        app.chart.show("MSFT", two_minutes(30))
        assert app.chart.interval == 5
        await pilot.pause()
        assert "none has come yet" in "\n".join(app.lines())


# ---- minute bars ---------------------------------------------------------------------------------------


def heard(minute: int, close: float) -> BarReceived:
    stamp = (OPENING + timedelta(minutes=minute)).astimezone(UTC)
    return BarReceived("AAPL", stamp, close, close + 1, close - 1, close, 100, False)


def test_minute_bars_are_kept_in_order_and_a_corrected_one_replaces() -> None:
    bars = MinuteBars()
    for bar in (heard(0, 10), heard(1, 11), heard(0, 99), heard(1, 12)):
        bars.add(bar)
    assert [(row.open, row.high, row.low, row.close) for row in bars.rows()] == [
        (10, 11, 9, 10),
        (12, 13, 11, 12),
    ]
    assert bars.rows()[0].timestamp == OPENING
    assert math.isnan(bars.rows()[0].sma_fast)
    bars.clear()
    assert len(bars) == 0


def test_minute_bars_take_bounded_memory_and_keep_the_newest() -> None:
    bars = MinuteBars()
    for minute in range(3_000):
        bars.add(heard(minute, minute))
    assert len(bars) <= 780
    assert bars.rows()[-1].close == 2_999


# ---- the cross-hair ------------------------------------------------------------------------------------


async def test_the_cross_hair_reads_out_a_candle_and_escape_ends_it() -> None:
    app = ChartApp(two_minutes(20))
    async with app.run_test(size=(90, 14)) as pilot:
        app.chart.set_averages("SMA 20", "SMA 200")
        await pilot.press("left")
        assert "10:08" in app.below
        await pilot.press("left")
        for text in ("10:06", "118.00", "119.00", "117.00", "118.50", "+0.42%", "SMA 20"):
            assert text in app.below
        lines = app.lines()
        assert sum("╎" in line for line in lines) > 8
        assert any("118.50" in line for line in lines)
        assert "10:06" in lines[-1]
        await pilot.press("right", "right", "right")
        assert "10:08" in app.below
        await pilot.press("escape")
        assert app.below == ""
        assert not any("╎" in line for line in app.lines())
        assert app.chart.check_action("cross_off", ()) is False


async def test_the_cross_hair_stays_on_its_candle_and_scrolls_into_view() -> None:
    app = ChartApp(two_minutes(120))
    async with app.run_test(size=(48, 12)) as pilot:
        await pilot.press("left")
        before = app.below
        app.chart.push(candle(240, 220, 221, 219, 220))
        assert app.below == before
        for _ in range(7):
            await pilot.press("shift+left")
        assert not app.chart.following
        assert "11:08" in app.below


async def test_a_fill_within_the_candle_is_read_out_and_little_room_keeps_the_prices() -> None:
    app = ChartApp(two_minutes(20))
    async with app.run_test(size=(60, 12)) as pilot:
        app.chart.set_marks([FillMark(OPENING + timedelta(minutes=37), 118.25, "buy")])
        await pilot.press("left", "left")
        assert "bought @118.25" in app.below
        await pilot.resize_terminal(50, 12)
        await pilot.pause()
        assert "118.50" in app.below
        assert "SMA" not in app.below


async def test_a_click_puts_the_cross_hair_there_and_a_second_takes_it_off() -> None:
    app = ChartApp(two_minutes(20))
    async with app.run_test(size=(48, 12)) as pilot:
        width = app.chart._plot.size.width
        await pilot.click(app.chart, offset=(width - 3, 4))
        assert "10:04" in app.below
        await pilot.click(app.chart, offset=(width - 3, 4))
        assert app.below == ""
        await pilot.click(app.chart, offset=(2, 4))  # no candle there
        assert app.below == ""


async def test_a_remark_stands_below_while_nothing_is_read_out_and_is_not_markup() -> None:
    app = ChartApp(two_minutes(20))
    async with app.run_test(size=(60, 12)) as pilot:
        app.chart.set_note("halted: [b]news[/b]")
        assert app.chart._under.plain == "halted: [b]news[/b]"
        await pilot.press("left")
        assert "halted" not in app.chart._under.plain


# ---- dots ----------------------------------------------------------------------------------------------


def plot(candles: list[CandleRow], width: int, rows: int, scale: Scale) -> list[str]:
    drawing = render(Picture(candles, scale, glyph_set("braille")), Frame(width, rows, 0, 0, 0))
    return ["".join(run for run, _ in line) for line in drawing.plot]


def test_dots_divide_a_row_in_four_with_wicks_one_and_bodies_two_wide() -> None:
    dots = glyph_set("braille")
    assert dots.candle(Half.BODY, Half.BODY, Half.BODY, Half.BODY) == "⣿"
    assert dots.candle(Half.WICK, Half.WICK, Half.BODY, Half.NONE) == "⠧"
    assert dots.candle(*[Half.NONE] * 4) == " "
    # A row is four dollars high.
    assert plot([candle(0, 2.5, 7.5, 0.5, 4.5)], 1, 2, Scale(0.0, 8.0)) == ["⣇", "⡟"]


def test_an_average_of_dots_has_no_gaps_where_it_is_steep() -> None:
    nothing = math.nan
    candles = [
        CandleRow(OPENING + timedelta(minutes=i), nothing, nothing, nothing, nothing, 0, value, nothing)
        for i, value in enumerate((0.5, 7.5))
    ]
    top, bottom = plot(candles, 2, 2, Scale(0.0, 8.0))
    dots = [(column, row, step) for row, line in enumerate((top, bottom)) for column, glyph in enumerate(line)
            for step in range(8) if glyph != " " and (ord(glyph) - 0x2800) >> step & 1]  # fmt: skip
    assert len({column for column, _, _ in dots}) == 2
    assert len(dots) >= 8  # from the lowest dot to the highest, each row of dots has one


@pytest.mark.parametrize("name", ["box", "block", "braille", "ascii"])
async def test_every_glyph_set_draws_candles_averages_and_the_cross_hair(name: GlyphName) -> None:
    app = ChartApp(two_minutes(30), name)
    async with app.run_test(size=(60, 14)) as pilot:
        await pilot.press("left", "left")
        text = "\n".join(app.lines())
        assert glyph_set(name).cross_line in text
        assert name != "ascii" or text.isascii()
