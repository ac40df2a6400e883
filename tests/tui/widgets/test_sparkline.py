from __future__ import annotations

import math

import pytest

from tests.tui.widgets.harness import OneWidget, Watch
from tui_trader.tui.widgets.sparkline import EquityLine


class LineApp(OneWidget):
    def __init__(self) -> None:
        self.line = EquityLine(empty="no trades yet")
        super().__init__(self.line)


async def test_one_row_has_the_line_and_its_extremes() -> None:
    app = LineApp()
    async with app.run_test(size=(36, 1)) as pilot:
        assert app.lines() == ["no trades yet"]
        app.line.set_values([-120.45, 0.0, 846.1])
        await pilot.pause()
        assert app.lines() == ["▁▁▁▁▁▂▄▅▇█ low -120.45  high +846.10"]


async def test_two_rows_have_the_line_above_its_extremes() -> None:
    app = LineApp()
    async with app.run_test(size=(30, 2)) as pilot:
        app.line.set_values([-120.45, math.nan, 846.1])
        await pilot.pause()
        first, second = app.lines()
        assert (len(first), first[0], first[-1]) == (30, "▁", "█")
        assert second == "low -120.45  high +846.10"


async def test_a_narrow_line_has_no_labels() -> None:
    app = LineApp()
    async with app.run_test(size=(8, 1)) as pilot:
        app.line.set_values([1.0, 2.0])
        await pilot.pause()
        assert app.lines() == ["▁▂▃▄▅▆▇█"]


@pytest.mark.parametrize("values", [[], [math.nan]])
async def test_without_values_it_says_so(values: list[float]) -> None:
    app = LineApp()
    async with app.run_test(size=(30, 1)) as pilot:
        app.line.set_values(values)
        await pilot.pause()
        assert app.lines() == ["no trades yet"]


async def test_the_same_values_refresh_nothing() -> None:
    app = LineApp()
    async with app.run_test(size=(30, 1)) as pilot:
        app.line.set_values([1.0, 2.0])
        await pilot.pause()
        watch = Watch(app.line)
        app.line.set_values([1.0, 2.0])
        await pilot.pause()
        assert watch.regions == []
