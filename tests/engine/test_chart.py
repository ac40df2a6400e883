"""Charts get the latest candles, exactly as they closed."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from tui_trader.engine.chart import CHART_CANDLES, ChartCandles
from tui_trader.engine.handle import CandleRow

_OPEN = datetime(2026, 6, 1, 13, 30, tzinfo=UTC)


def _row(number: int) -> CandleRow:
    start = _OPEN + timedelta(minutes=2 * number)
    return CandleRow(start, 1.1 + number, 2.3 + number, 0.7, 1.9, 10**12 + number, 1.25, 1.5)


def test_rows_come_back_oldest_first_and_unchanged() -> None:
    chart = ChartCandles()
    for number in range(3):
        chart.append(_row(number))
    assert list(chart) == [_row(0), _row(1), _row(2)]
    assert isinstance(next(iter(chart)).volume, int)


def test_only_the_latest_are_kept() -> None:
    chart = ChartCandles()
    for number in range(2 * CHART_CANDLES + 7):
        chart.append(_row(number))
    assert len(chart) == CHART_CANDLES
    assert list(chart) == [_row(number) for number in range(CHART_CANDLES + 7, 2 * CHART_CANDLES + 7)]


def test_averages_that_are_not_known_stay_unknown_and_clearing_forgets_all() -> None:
    chart = ChartCandles()
    chart.append(_row(0)._replace(sma_slow=math.nan))
    assert math.isnan(next(iter(chart)).sma_slow)
    chart.clear()
    assert list(chart) == []
