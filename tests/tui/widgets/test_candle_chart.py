from __future__ import annotations

import math
from datetime import UTC

import pytest
from textual.app import App

from tests.tui.widgets.chart_candles import OPENING, candle, rising
from tests.tui.widgets.harness import OneWidget, Watch
from tui_trader.tui.widgets.candle_chart import CandleChart
from tui_trader.tui.widgets.chart_part import ChartPart
from tui_trader.tui.widgets.chart_render import FillMark


class ChartApp(OneWidget):
    def __init__(self, count: int = 60) -> None:
        self.chart = CandleChart(id="chart")
        super().__init__(self.chart)
        if count:
            self.chart.show("AAPL", rising(count))


def watches(app: App[None]) -> tuple[Watch, Watch]:
    plot, axis = app.query(ChartPart)
    return Watch(plot), Watch(axis)


async def test_the_chart_has_candles_prices_and_times() -> None:
    app = ChartApp(25)
    async with app.run_test(size=(34, 8)):
        assert app.lines() == [
            "                      ╻╻┃",
            "                  ╻╻┃╿╹╵    110.00",
            "              ╻╻┃╿╹╵",
            "         ╷╻╻┃╿╹╵",
            "     ╷╻╽┃╹╹                 105.00",
            " ╷╻╽┃╹╹",
            "┃╹╹                         100.00",
            "          09:40     09:50",
        ]


async def test_the_last_price_refreshes_one_row_of_the_axis() -> None:
    app = ChartApp()
    async with app.run_test(size=(48, 12)) as pilot:
        app.chart.set_last(129.0, True)
        await pilot.pause()
        plot, axis = watches(app)
        app.chart.set_last(129.01, True)
        await pilot.pause()
        assert plot.regions == []
        assert [(region.height, region.width) for region in axis.regions if region] == [(1, 9)]
        app.chart.set_last(129.01, True)
        app.chart.set_lines(None, None)
        app.chart.set_marks([])
        await pilot.pause()
        assert len(axis.rendered) == 1


async def test_a_stop_refreshes_its_row_only() -> None:
    app = ChartApp()
    async with app.run_test(size=(48, 12)) as pilot:
        plot, axis = watches(app)
        app.chart.set_lines(None, 118.0)
        await pilot.pause()
        assert len(plot.regions) == 1
        assert len(axis.regions) == 1
        assert any("┈" in line and line.endswith("S  118.00") for line in app.lines())


async def test_a_pushed_candle_appears_at_the_right_edge() -> None:
    app = ChartApp(30)
    async with app.run_test(size=(48, 12)) as pilot:
        app.chart.push(candle(30, 115.0, 140.0, 115.0, 140.0))
        await pilot.pause()
        assert app.chart.following
        assert app.lines()[0][38] in "╻┃"


async def test_a_candle_of_the_same_minute_replaces_and_an_older_is_ignored() -> None:
    app = ChartApp(30)
    async with app.run_test(size=(48, 12)) as pilot:
        before = app.lines()
        app.chart.push(candle(3, 1.0, 900.0, 1.0, 900.0))
        await pilot.pause()
        assert app.lines() == before
        app.chart.push(rising(30)[-1])
        await pilot.pause()
        assert app.lines() == before


async def test_times_are_new_yorks() -> None:
    app = ChartApp(0)
    async with app.run_test(size=(48, 12)) as pilot:
        app.chart.show("AAPL", [row._replace(timestamp=row.timestamp.astimezone(UTC)) for row in rising(39)])
        await pilot.pause()
        assert app.lines()[-1].split() == ["09:40", "09:50", "10:00"]


async def test_zoom_puts_more_candles_into_a_column() -> None:
    app = ChartApp()
    async with app.run_test(size=(48, 12)) as pilot:
        seen = []
        for key in ("minus", "minus", "minus", "minus", "plus"):
            await pilot.press(key)
            seen.append(app.chart.zoom)
        assert seen == [2, 3, 5, 5, 3]
        assert app.lines()[-1].endswith("×3")
        assert app.lines()[5][:18].strip() == ""


async def test_looking_back_stays_on_the_same_candles_until_end() -> None:
    app = ChartApp(200)
    async with app.run_test(size=(48, 12)) as pilot:
        await pilot.press("h")
        assert not app.chart.following
        before = app.lines()
        assert before[-1].endswith("end ▶")
        app.chart.push(candle(200, 200.0, 201.0, 199.0, 200.0))
        await pilot.pause()
        assert app.lines() == before
        await pilot.press("end")
        assert app.chart.following
        await pilot.press("home", "h", "h")
        assert app.lines()[-1].split()[0] == "09:40"
        await pilot.press(*["l"] * 30)
        assert app.chart.following


async def test_another_symbol_starts_afresh() -> None:
    app = ChartApp(200)
    async with app.run_test(size=(48, 12)) as pilot:
        app.chart.set_lines(195.0, 190.0)
        app.chart.set_last(199.0, True)
        app.chart.set_marks([FillMark(OPENING, 1.0, "buy")])
        await pilot.press("h")
        app.chart.show("MSFT", rising(50, 10.0))
        await pilot.pause()
        assert app.chart.following
        assert not any(mark in line for line in app.lines() for mark in "┄┈◂▲")


async def test_without_candles_it_says_what_comes() -> None:
    app = ChartApp(0)
    async with app.run_test(size=(40, 5)) as pilot:
        assert app.lines()[2].strip() == "no candles yet"
        app.chart.set_empty("warming up [/x]\x1b")
        await pilot.pause()
        assert app.lines()[2].strip() == "warming up [/x]·"


async def test_numbers_that_are_none_do_no_harm() -> None:
    app = ChartApp(0)
    nan = math.nan
    async with app.run_test(size=(40, 20)) as pilot:
        app.chart.show("X", [candle(0, nan, nan, nan, nan), candle(1, 1e308, 1e308, -1e308, 1.0)])
        app.chart.set_last(math.inf, None)
        app.chart.set_lines(nan, -math.inf)
        await pilot.pause()
        app.chart.push(candle(2, 5.0, 6.0, 4.0, 5.5, 100, fast=math.inf, slow=nan))
        app.chart.set_last(1e300, True)
        await pilot.pause()
        assert any("┃" in line or "╽" in line for line in app.lines())


async def test_resizing_to_nothing_and_back_restores_the_chart() -> None:
    app = ChartApp()
    async with app.run_test(size=(48, 16)) as pilot:
        before = app.lines()
        for size in ((1, 1), (3, 30), (60, 2), (48, 16)):
            await pilot.resize_terminal(*size)
        await pilot.pause()
        assert app.lines() == before


async def test_a_hidden_chart_shows_the_present_when_it_comes_back() -> None:
    app = ChartApp()
    async with app.run_test(size=(48, 12)) as pilot:
        app.chart.display = False
        await pilot.pause()
        app.chart.set_last(128.0, True)
        await pilot.pause()
        app.chart.display = True
        await pilot.pause()
        assert any(line.endswith("◂  128.00") for line in app.lines())


async def test_every_segment_has_a_style_without_colour_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = ChartApp()
    async with app.run_test(size=(48, 20)) as pilot:
        app.chart.set_last(128.0, False)
        app.chart.set_lines(127.0, 120.0)
        await pilot.pause()
        assert app.no_color
        strips = [part.render_line(y) for part in app.query(ChartPart) for y in range(20)]
        assert all(segment.style is not None for strip in strips for segment in strip)
        assert app.lines()[0].strip()


async def test_a_new_theme_recolours_the_candles() -> None:
    app = ChartApp()
    async with app.run_test(size=(48, 12)) as pilot:
        plot = app.query(ChartPart).first()

        def colours() -> set[str]:
            return {str(segment.style) for y in range(12) for segment in plot.render_line(y)}

        before = colours()
        app.theme = "textual-light"
        await pilot.pause()
        assert before.isdisjoint(colours())
