"""The engine and an independent reading of the specification trade the same bars alike, to the last fill."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.oracle.harness import (
    CALENDAR,
    Case,
    Story,
    compare,
    differences,
    engine_story,
    oracle_story,
    run_engine,
)
from tests.oracle.markets import RECORDING, recorded_bars, simulated_bars
from tests.oracle.nasty import cases
from tests.oracle.oracle import RiskParams, SessionParams, VelezParams
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.venues.sim.market import character_of

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

#: Trades soon and often.
EAGER = VelezParams(sma_fast=5, sma_slow=100, candle_interval_minutes=1, cooldown_candles=0)
DAY = date(2013, 10, 9)
OPEN = datetime(2013, 10, 9, 13, 30, tzinfo=UTC)


def agreed(case: Case) -> Story:
    """What both say happened; fails, and shows where they part, when they do not agree."""
    story = engine_story(run_engine(case))
    wrong = compare(story, oracle_story(case))
    assert not wrong, f"\n{wrong}"
    return story


# ---- recorded, simulated and invented bars -------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded() -> Sequence[Bar]:
    if not RECORDING.exists():
        pytest.skip(f"the recorded bars are not here: ../shared/data/{RECORDING.name}")
    return recorded_bars(["AIG", "BAC", "IBM", "SPY"])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"velez": VelezParams(candle_interval_minutes=1)}, id="1 minute"),
        pytest.param({"velez": VelezParams(candle_interval_minutes=5, sma_slow=100)}, id="5 minutes"),
        pytest.param({"velez": VelezParams(candle_interval_minutes=10, sma_slow=100)}, id="10 minutes"),
        pytest.param({"velez": replace(EAGER, buy_stop_expiry_candles=2)}, id="no cooldown, expiry 2"),
        pytest.param({"velez": replace(EAGER, buy_stop_expiry_candles=3)}, id="no cooldown, expiry 3"),
        pytest.param({"velez": replace(EAGER, max_entry_slippage_r=Decimal(0))}, id="entries that rest"),
        pytest.param({"velez": EAGER, "ticks": 0}, id="no slippage"),
        pytest.param({"velez": EAGER, "risk": RiskParams(max_volume_pct=Decimal(1))}, id="volume share"),
        pytest.param({"velez": EAGER, "risk": RiskParams(max_orders_per_minute=1)}, id="1 order a minute"),
        pytest.param({"velez": EAGER, "risk": RiskParams(max_open_positions=1)}, id="1 position"),
        pytest.param({"velez": EAGER, "risk": RiskParams(consecutive_loss_pause=2)}, id="breaker"),
        pytest.param({"velez": EAGER, "session": SessionParams(60, 30)}, id="early end of day"),
        pytest.param({"start": date(2013, 10, 8), "warm": True}, id="warm start"),
        pytest.param({"start": date(2013, 10, 8)}, id="cold start"),
    ],
)
def test_recorded_sessions_are_traded_alike(recorded: Sequence[Bar], changes: dict[str, object]) -> None:
    story = agreed(replace(Case(recorded, ["AIG", "BAC", "IBM", "SPY"]), **changes))  # type: ignore[arg-type]
    assert len(story["trades"]) >= 5


@pytest.mark.parametrize("market_seed", [1, 2, 3])
@pytest.mark.parametrize("minutes", [1, 2])
def test_simulated_sessions_are_traded_alike(market_seed: int, minutes: int) -> None:
    symbols = ("AAPL", "AMD", "LONE", "SLOW")
    assert {symbol for symbol in symbols if character_of(symbol).silence > 0.3} == {"LONE", "SLOW"}
    sessions = CALENDAR.sessions(date(2013, 11, 27), date(2013, 12, 2))
    bars = simulated_bars(symbols, market_seed, sessions)
    velez = VelezParams(sma_slow=100, candle_interval_minutes=minutes)
    story = agreed(Case(bars, symbols, velez, start=sessions[1].date, warm=market_seed != 3))
    assert len(story["trades"]) >= 3


def searched(examples: int, number: int | None) -> float:
    """Agreement on invented cases, new ones without a ``number``; how many trades each had on average."""
    trades: list[int] = []

    @settings(
        max_examples=examples,
        derandomize=False,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def search(case: Case) -> None:
        trades.append(len(agreed(case)["trades"]))

    (search if number is None else seed(number)(search))()
    return sum(trades) / len(trades)


@pytest.mark.parametrize("part", range(2))
def test_invented_sessions_full_of_mishaps_are_traded_alike(part: int) -> None:
    assert searched(30, part) > 3


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="a long search: make soak")
@pytest.mark.parametrize("part", range(8))
def test_a_long_search_finds_no_bars_that_are_traded_differently(part: int) -> None:
    assert searched(400, None) > 3


# ---- what they once told differently -------------------------------------------------------------------


def quiet(symbol: str, minutes: range, price: float = 50.0) -> list[Bar]:
    """Bars in which nothing moves."""
    return [Bar(symbol, OPEN + m * MINUTE, price, price, price, price, 1000) for m in minutes]


def bar(symbol: str, minute: int, open_: float, high: float, low: float, close: float) -> Bar:
    return Bar(symbol, OPEN + minute * MINUTE, open_, high, low, close, 1000)


def up(symbol: str, minute: int, low: float = 50.0, close: float = 50.2) -> Bar:
    """After a quiet time, a signal: buy at ``close``, stop just below ``low``."""
    return bar(symbol, minute, 50.0, close, low, close)


def test_an_order_of_the_same_delivery_counts_in_the_orders_of_the_minute() -> None:
    bars = [*quiet("AAA", range(101)), up("AAA", 101), *quiet("BBB", range(101)), up("BBB", 101)]
    story = agreed(Case(bars, ["AAA", "BBB"], EAGER, RiskParams(max_orders_per_minute=1)))
    assert [(signal[1], signal[-1]) for signal in story["signals"]] == [
        ("AAA", None),
        ("BBB", "max_orders_per_minute"),
    ]


def test_an_entry_that_expires_makes_room_for_the_next_symbols_signal_of_the_same_delivery() -> None:
    bars = [
        *quiet("AAA", range(101)), up("AAA", 101), bar("AAA", 102, 50.1, 50.1, 50.0, 50.0),
        *quiet("BBB", range(102)), up("BBB", 102), up("BBB", 103, close=50.3),
    ]  # fmt: skip
    story = agreed(Case(bars, ["AAA", "BBB"], EAGER, RiskParams(max_open_positions=1)))
    assert [(signal[1], signal[-1]) for signal in story["signals"]] == [
        ("AAA", None),
        ("BBB", None),
    ]


@pytest.mark.parametrize(("recovered", "trips"), [(51.0, 0), (49.3, 1)])
def test_the_days_loss_is_judged_with_all_closes_of_the_instant(recovered: float, trips: int) -> None:
    """AAA is stopped out in the very minute in which BBB, deep in loss, recovers, or does not."""
    aaa = [
        *quiet("AAA", range(101)), up("AAA", 101), bar("AAA", 102, 50.2, 50.3, 50.1, 50.15),
        bar("AAA", 103, 50.15, 50.15, 50.1, 50.15), bar("AAA", 104, 50.15, 50.15, 49.8, 49.8),
    ]  # fmt: skip
    bbb = [
        *quiet("BBB", range(101)), up("BBB", 101, low=48.5, close=51.2), bar("BBB", 102, 51.2, 51.3, 51, 51),
        bar("BBB", 103, 51, 51, 49.3, 49.3), bar("BBB", 104, 49.3, recovered, 49.3, recovered),
    ]  # fmt: skip
    velez = replace(EAGER, strong_candle_body_pct=30.0)
    risk = RiskParams(
        max_risk_per_trade_pct=Decimal(5),
        max_risk_per_trade=Decimal(5000),
        max_position_pct=Decimal(25),
        max_daily_loss_pct=Decimal(1),
    )
    story = agreed(Case([*aaa, *bbb], ["AAA", "BBB"], velez, risk))
    assert [fill[1:3] for fill in story["fills"][:3]] == [("AAA", "buy"), ("BBB", "buy"), ("AAA", "sell")]
    assert len(story["breaker"]) == trips


def test_a_bar_that_was_withheld_is_matched_before_those_that_came_after_it() -> None:
    bars = [
        *quiet("AAA", range(101)), up("AAA", 101), bar("AAA", 102, 50.2, 50.3, 50.1, 50.1),
        *quiet("AAA", range(103, 105)), bar("AAA", 105, 50.0, 50.0, 49.0, 49.0),
        *quiet("BBB", range(101)), up("BBB", 101), bar("BBB", 102, 50.2, 50.3, 50.1, 50.1),
        *quiet("BBB", range(103, 104)), *quiet("BBB", range(104, 106), 35.0),
    ]  # fmt: skip
    story = agreed(Case(bars, ["AAA", "BBB"], EAGER))
    assert [trade[0] for trade in story["trades"]] == ["BBB", "AAA"], "in the order of closing"
    assert [trade[4] for trade in story["trades"]] == [OPEN + 104 * MINUTE, OPEN + 105 * MINUTE]


@pytest.mark.parametrize("minutes", [1, 2])
def test_a_jump_confirmed_after_its_candles_time_out_joins_none_in_history_either(minutes: int) -> None:
    before = CALENDAR.previous_sessions(DAY, 1)[0]
    shift = OPEN - before.open
    jump = [
        *quiet("AAA", range(381)),
        *quiet("AAA", range(381, 382), 70.0),
        *quiet("AAA", range(386, 390), 70.0),
    ]
    history = [one._replace(timestamp=one.timestamp - shift) for one in jump]
    velez = replace(EAGER, candle_interval_minutes=minutes)
    story = agreed(Case([*history, *quiet("AAA", range(60), 70.0)], ["AAA"], velez, start=DAY, warm=True))
    sma_fast = [candle[-2] for candle in story["candles"]]
    late = 5 - len(range(386, 390)) // minutes
    assert [round(average, 6) for average in sma_fast[:late]] == [
        round((50 * (late - n) + 70 * (5 - late + n)) / 5, 6) for n in range(1, late + 1)
    ]


def test_a_stop_that_would_be_no_price_is_no_signal() -> None:
    bars = [*quiet("AAA", range(101), 0.015), bar("AAA", 101, 0.015, 0.0154, 0.015, 0.0154)]
    assert agreed(Case(bars, ["AAA"], EAGER))["signals"] == []


def test_a_trail_that_would_put_the_stop_at_no_price_leaves_it_and_goes_on() -> None:
    path = (0.03, 0.0306, 0.0306, 0.025, 0.0205, 0.018, 0.019, 0.02, 0.021, 0.022, 0.022)
    moves = [
        bar("AAA", 101 + n, a, max(a, b), min(a, b), b) for n, (a, b) in enumerate(pairwise(path))
    ]  # fmt: skip
    story = agreed(Case([*quiet("AAA", range(101), 0.03), *moves], ["AAA"], EAGER))
    assert [trade[-1] for trade in story["trades"]] == ["exit"], "after three strong candles of the new run"


def test_bars_that_are_none_are_refused_alike_and_change_nothing() -> None:
    wrong = [
        up("AAA", 101)._replace(close=math.nan), up("AAA", 102)._replace(low=0.0),
        up("AAA", 103)._replace(high=49.0), up("AAA", 104)._replace(volume=-1),
        quiet("AAA", range(1))[0], up("AAA", 105)._replace(timestamp=OPEN + 105.5 * MINUTE),
    ]  # fmt: skip
    case = Case([*quiet("AAA", range(101)), *wrong, up("AAA", 106)], ["AAA"], EAGER, recorded=False)
    story = agreed(case)
    assert [line[-1] for line in story["rejected"]] == [
        "duplicate", "not finite", "not positive", "high/low inconsistent", "volume negative",
        "not on a minute",
    ]  # fmt: skip
    assert len(story["signals"]) == 1


# ---- that the comparison would notice --------------------------------------------------------------------


def test_a_difference_is_shown_with_both_sides() -> None:
    case = Case([*quiet("AAA", range(101)), up("AAA", 101)], ["AAA"], EAGER)
    other = replace(case, risk=RiskParams(max_open_positions=1, price_collar_pct=Decimal("0.1")), ticks=0)
    assert differences(case) == ""
    louder = replace(case, velez=replace(EAGER, tightness_threshold_pct=0.05))
    shown = compare(engine_story(run_engine(other)), oracle_story(louder))
    assert "signals: 1 by the engine, 0 by the oracle" in shown
    assert "AAA" in shown
