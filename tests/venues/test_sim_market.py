"""What the simulated market promises: the same bars for the same seed, and bars like a real market's."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from tui_trader.core.calendar import Session
from tui_trader.venues.sim.market import SessionBars, SimMarket, character_of

FIELDS = ("open", "high", "low", "close", "volume", "present")
DEFAULTS = ("AAPL", "AMD", "META", "NVDA", "TSLA")
CROWD = tuple(f"SIM{number}" for number in range(200))


def session(number: int, minutes: int = 390) -> Session:
    opened = datetime(2024, 1, 2, 14, 30, tzinfo=UTC) + timedelta(days=number)
    return Session(opened.date(), opened, opened + timedelta(minutes=minutes))


def same(one: SessionBars, row: int, other: SessionBars, other_row: int) -> bool:
    return all(np.array_equal(getattr(one, name)[row], getattr(other, name)[other_row]) for name in FIELDS)


@pytest.fixture(scope="module")
def crowd() -> list[SessionBars]:
    market = SimMarket(CROWD, seed=11)
    return [market.session_bars(number, session(number, 210 if number == 3 else 390)) for number in range(8)]


def test_the_shape_of_a_session_is_symbols_by_minutes() -> None:
    bars = SimMarket(["TSLA", "AAPL", "TSLA"], seed=1).session_bars(0, session(0, 210))
    assert bars.symbols == ("AAPL", "TSLA")
    assert bars.session.date == date(2024, 1, 2)
    assert {getattr(bars, name).shape for name in FIELDS} == {(2, 210)}
    dtypes = [getattr(bars, name).dtype for name in FIELDS]
    assert dtypes == [np.float64] * 4 + [np.int64, np.bool_]


def test_a_market_without_symbols_has_sessions_without_bars() -> None:
    assert SimMarket([], seed=1).session_bars(0, session(0)).close.shape == (0, 390)


def test_the_same_seed_is_the_same_market_and_another_seed_another() -> None:
    one, again, other = (SimMarket(DEFAULTS, seed).session_bars(2, session(2)) for seed in (5, 5, 6))
    for row in range(len(DEFAULTS)):
        assert same(one, row, again, row)
        assert not same(one, row, other, row)


def test_another_process_makes_the_same_market() -> None:
    code = (
        "from datetime import *; from tui_trader.core.calendar import Session;"
        "from tui_trader.venues.sim.market import SimMarket; o = datetime(2024, 1, 2, 14, 30, tzinfo=UTC);"
        "b = SimMarket(['ZZZ'], 9).session_bars(1, Session(o.date(), o, o + timedelta(minutes=390)));"
        "print(b.close[0].tolist() + b.volume[0].tolist())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    ).stdout
    bars = SimMarket(["ZZZ"], 9).session_bars(1, session(0))
    assert printed.strip() == str(bars.close[0].tolist() + bars.volume[0].tolist())


@pytest.mark.parametrize("symbol", ["AAPL", "SIM7"])
def test_a_symbols_path_does_not_depend_on_its_neighbours(symbol: str) -> None:
    alone = SimMarket([symbol], seed=3)
    among = SimMarket([symbol, *CROWD], seed=3)
    for number in range(3):
        lone, crowded = (
            alone.session_bars(number, session(number)),
            among.session_bars(number, session(number)),
        )
        assert same(lone, 0, crowded, crowded.symbols.index(symbol))


def test_sessions_may_be_asked_for_in_any_order() -> None:
    forward, backward = SimMarket(DEFAULTS, seed=4), SimMarket(DEFAULTS, seed=4)
    numbers = (0, 1, 63, 64, 130)
    late = {number: backward.session_bars(number, session(number)) for number in reversed(numbers)}
    for number in numbers:
        bars = forward.session_bars(number, session(number))
        assert all(same(bars, row, late[number], row) for row in range(len(DEFAULTS)))


def test_a_session_before_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="not -1"):
        SimMarket(DEFAULTS, seed=1).session_bars(-1, session(0))


def test_prices_go_on_from_one_session_to_the_next(crowd: list[SessionBars]) -> None:
    for earlier, later in pairwise(crowd):
        gap = later.open[:, 0] / earlier.close[:, -1] - 1
        assert np.abs(gap).max() < 0.09
        assert np.abs(gap).mean() > 0.001


def test_prices_are_whole_cents_of_at_least_two_dollars(crowd: list[SessionBars]) -> None:
    for bars in crowd:
        for prices in (bars.open, bars.high, bars.low, bars.close):
            assert np.array_equal(prices, np.round(prices, 2))
            assert prices.min() >= 2.0


def test_the_high_and_the_low_enclose_the_body(crowd: list[SessionBars]) -> None:
    for bars in crowd:
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()


def test_no_price_is_far_from_the_close_before_it(crowd: list[SessionBars]) -> None:
    for bars in crowd:
        before = np.concatenate((bars.open[:, :1], bars.close[:, :-1]), axis=1)
        for prices in (bars.open, bars.high, bars.low, bars.close):
            assert np.abs(prices / before - 1).max() < 0.15


def test_a_minute_without_a_trade_repeats_the_last_close(crowd: list[SessionBars]) -> None:
    for bars in crowd:
        rows, minutes = np.nonzero(~bars.present)
        last = bars.close[rows, minutes - 1]
        for prices in (bars.open, bars.high, bars.low, bars.close):
            assert np.array_equal(prices[rows, minutes], last)
        assert not bars.volume[rows, minutes].any()
        assert (bars.volume[bars.present] >= 100).all()
        assert bars.present[:, 0].all()


def test_about_one_symbol_in_ten_is_thin_and_the_others_hardly_miss_a_minute(
    crowd: list[SessionBars],
) -> None:
    missing = np.mean([1 - bars.present.mean(axis=1) for bars in crowd], axis=0)
    thin = missing > 0.1
    assert 0.04 < thin.mean() < 0.18
    assert missing[~thin].max() < 0.01


def test_volume_and_volatility_are_high_at_both_ends_of_the_session(crowd: list[SessionBars]) -> None:
    volume = np.mean([bars.volume for bars in crowd if not bars.session.half_day], axis=(0, 1))
    moves = np.mean(
        [np.abs(np.diff(np.log(bars.close))) for bars in crowd if not bars.session.half_day], axis=(0, 1)
    )
    for profile in (volume, moves):
        opening, midday, closing = profile[:20].mean(), profile[150:250].mean(), profile[-20:].mean()
        assert opening > 1.3 * midday
        assert closing > 1.15 * midday


def test_restless_minutes_come_in_clusters(crowd: list[SessionBars]) -> None:
    sizes = np.abs(np.diff(np.log(crowd[0].close[:, 60:330])))
    alike = [np.corrcoef(row[:-2], row[2:])[0, 1] for row in sizes]
    assert np.mean(alike) > 0.04


def test_symbols_move_with_the_market() -> None:
    market = SimMarket(["MSFT", "QQQ", "SPY"], seed=2)
    closes = np.concatenate([market.session_bars(n, session(n)).close for n in range(4)], axis=1)
    together = np.corrcoef(np.diff(np.log(closes[:, ::5])))
    assert together[0, 2] > 0.25
    assert together[1, 2] > together[0, 2]


def test_a_long_run_stays_at_a_plausible_price() -> None:
    market = SimMarket(CROWD[:20], seed=8)
    usual = np.array([character_of(symbol).price for symbol in market.symbols])
    last = market.session_bars(500, session(500)).close[:, -1]
    assert (np.abs(np.log(last / usual)) < 1).all()


def test_known_symbols_trade_near_the_prices_people_know() -> None:
    bars = SimMarket(["AAPL", "META"], seed=1).session_bars(0, session(0))
    assert 180 < bars.open[0, 0] < 280
    assert 550 < bars.open[1, 0] < 850
    assert 20_000 < bars.volume[0].mean() < 500_000


def test_an_unknown_symbol_has_the_same_character_everywhere() -> None:
    assert character_of("SIM7") == character_of("SIM7") != character_of("SIM8")
    assert 9 <= character_of("SIM7").price <= 420
