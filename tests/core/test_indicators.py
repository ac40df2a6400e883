"""Streaming and batch give the same numbers, whatever the road there."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import OPEN
from tui_trader.core.indicators import CandleArrays, Indicator, IndicatorCalculator, batch, stream

Row = tuple[float, float, float, int, int]
EVERY = [
    Indicator("sma", 1),
    Indicator("sma", 20),
    Indicator("sma", 200),
    Indicator("ema", 1),
    Indicator("ema", 12),
    Indicator("rsi", 1),
    Indicator("rsi", 14),
    Indicator("atr", 1),
    Indicator("atr", 14),
    Indicator("vwap"),
]


def market(seed: int, count: int, *, price: float = 100.0, session: int = 195) -> list[Row]:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        opened, price = price, max(0.5, price * math.exp(draw.gauss(0, 0.002)))
        high, low = max(opened, price) * 1.001, min(opened, price) * 0.999
        rows.append((high, low, price, draw.randrange(100_000), number // session))
    return rows


def streamed(indicator: Indicator, rows: list[Row]) -> list[float]:
    follower = stream(indicator)
    return [
        follower.update(high, low, close, volume, OPEN + timedelta(days=session))
        for high, low, close, volume, session in rows
    ]


def arrays(rows: list[Row]) -> CandleArrays:
    high, low, close, volume, session = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return CandleArrays(
        np.array(high, dtype=float),
        np.array(low, dtype=float),
        np.array(close, dtype=float),
        np.array(volume, dtype=float),
        np.array(session, dtype=np.int64),
    )


def assert_same(one: list[float], other: list[float]) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=0, equal_nan=True)


def name(indicator: Indicator) -> str:
    return f"{indicator.kind}{indicator.period or ''}"


@pytest.mark.parametrize("indicator", EVERY, ids=name)
def test_streaming_equals_batch_on_a_long_run(indicator: Indicator) -> None:
    rows = market(1, 20_000)
    assert_same(streamed(indicator, rows), batch(indicator, arrays(rows)).tolist())


@pytest.mark.parametrize("indicator", EVERY, ids=name)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 5000), st.floats(0, 10), st.floats(0, 10), st.integers(0, 10**9)),
        max_size=60,
    )
)
def test_streaming_equals_batch_on_any_candles(
    indicator: Indicator, candles: list[tuple[float, float, float, int]]
) -> None:
    rows = [(c + up, max(c - down, 0.001), c, v, n // 7) for n, (c, up, down, v) in enumerate(candles)]
    one, other = streamed(indicator, rows), batch(indicator, arrays(rows)).tolist()
    if indicator.kind == "rsi":  # its sums end near zero: what is left of them is rounding in both
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-4, equal_nan=True)
    else:
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11, equal_nan=True)


@pytest.mark.parametrize("indicator", EVERY, ids=name)
def test_a_value_is_nan_until_it_is_warm_and_never_after(indicator: Indicator) -> None:
    values = streamed(indicator, market(2, 400))
    warm = indicator.warm_after
    assert all(math.isnan(value) for value in values[: warm - 1])
    assert all(math.isfinite(value) for value in values[warm - 1 :])


@pytest.mark.parametrize("indicator", EVERY, ids=name)
@pytest.mark.parametrize("missing", [0, 1])
def test_batch_of_too_few_candles_is_all_nan(indicator: Indicator, missing: int) -> None:
    rows = market(3, max(0, indicator.warm_after - 1 - missing))
    values = batch(indicator, arrays(rows))
    assert len(values) == len(rows)
    assert np.isnan(values).all()


def test_the_averages_are_what_they_are_called() -> None:
    closes = [(c, c, c, 1, 0) for c in (1.0, 2.0, 6.0, 3.0)]
    assert streamed(Indicator("sma", 3), closes)[2:] == [3.0, 11 / 3]
    assert streamed(Indicator("ema", 3), closes) == [1.0, 1.5, 3.75, 3.375]
    # changes +1 +4 −3: averages of two (2.5, 0), then Wilder's ((2.5 + 0) / 2, (0 + 3) / 2)
    rsi = streamed(Indicator("rsi", 2), closes)
    assert rsi[2:] == [100.0, pytest.approx(100 * 1.25 / 2.75)]
    # true ranges 2, 3 (gap up from 2 to 5), then 4 (gap down from 5 to 1)
    ranges = [(3.0, 1.0, 2.0, 1, 0), (5.0, 4.0, 5.0, 1, 0), (2.0, 1.0, 1.0, 1, 0)]
    assert streamed(Indicator("atr", 2), ranges)[1:] == [2.5, pytest.approx(3.25)]


def test_a_market_that_stands_still_has_no_relative_strength() -> None:
    still = [(5.0, 5.0, 5.0, 1, 0)] * 20
    assert math.isnan(streamed(Indicator("rsi", 14), still)[-1])
    assert np.isnan(batch(Indicator("rsi", 14), arrays(still))[-1])


def plain_vwap(rows: list[Row]) -> list[float]:
    values = []
    for at, (_, _, _, _, today) in enumerate(rows):
        day = [row for row in rows[: at + 1] if row[4] == today]
        traded = math.fsum(v for _, _, _, v, _ in day)
        weighted = math.fsum(v * (h + lo + c) / 3 for h, lo, c, v, _ in day)
        values.append(weighted / traded if traded else math.nan)
    return values


def test_vwap_is_the_weighted_mean_since_the_open_of_each_session() -> None:
    rows = market(4, 300, session=60)
    assert_same(streamed(Indicator("vwap"), rows), plain_vwap(rows))
    assert_same(batch(Indicator("vwap"), arrays(rows)).tolist(), plain_vwap(rows))


def test_vwap_without_volume_is_unknown_until_something_trades() -> None:
    rows = [(3.0, 1.0, 2.0, 0, 0), (3.0, 1.0, 2.0, 5, 0), (30.0, 10.0, 20.0, 0, 1)]
    for values in (streamed(Indicator("vwap"), rows), batch(Indicator("vwap"), arrays(rows)).tolist()):
        assert_same(values, [math.nan, 2.0, math.nan])


def test_vwap_of_a_quiet_session_is_exact_after_years_of_busy_ones() -> None:
    busy = [(901.0, 899.0, 900.0, 10**9, day) for day in range(2000)]
    quiet = [(1.3, 1.1, 1.2, 1, 2000), (1.4, 1.2, 1.3, 2, 2000)]
    values = batch(Indicator("vwap"), arrays(busy + quiet)).tolist()
    assert_same(values[-2:], plain_vwap(quiet))
    assert_same(values, streamed(Indicator("vwap"), busy + quiet))


def test_a_moving_average_does_not_drift_in_a_million_candles() -> None:
    follower = stream(Indicator("sma", 20))
    draw = random.Random(5)
    closes: list[float] = []
    value = math.nan
    for _ in range(200_000):
        closes.append(draw.uniform(0.01, 1000.0))
        value = follower.update(0.0, 0.0, closes[-1], 0, None)
    assert value == pytest.approx(math.fsum(closes[-20:]) / 20, rel=1e-13)


def test_the_calculator_knows_this_candle_and_the_one_before() -> None:
    calculator = IndicatorCalculator({"fast": Indicator("sma", 2), "vwap": Indicator("vwap")})
    assert (calculator.count, math.isnan(calculator.now["fast"])) == (0, True)
    seen: list[tuple[float, float]] = []
    session: datetime = OPEN
    for close in (1.0, 3.0, 5.0):
        calculator.update(close, close, close, 1, session)
        seen.append((calculator.before["fast"], calculator.now["fast"]))
    assert_same([x for pair in seen for x in pair], [math.nan, math.nan, math.nan, 2.0, 2.0, 4.0])
    assert calculator.count == 3
    assert calculator.now["vwap"] == 3.0


@given(st.integers(0, 5), st.integers(0, 5))
def test_candles_taken_all_at_once_leave_the_calculator_as_one_by_one(first: int, second: int) -> None:
    wanted = {"fast": Indicator("sma", 2), "vwap": Indicator("vwap")}
    one, other = IndicatorCalculator(dict(wanted)), IndicatorCalculator(dict(wanted))
    rows = market(6, first + second, session=3)
    for high, low, close, volume, session in rows:
        one.update(high, low, close, volume, OPEN + timedelta(days=session))
    for part in (rows[:first], rows[first:]):
        columns = list(zip(*part, strict=True)) or [(), (), (), (), ()]
        other.preload(*columns[:4], [OPEN + timedelta(days=n) for n in columns[4]])
    assert one.count == other.count == first + second
    for name in wanted:
        assert_same([one.before[name], one.now[name]], [other.before[name], other.now[name]])
