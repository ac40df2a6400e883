"""The backtest and the live engine trade the same bars alike, event by event, and as the specification says.

They are two loops (DESIGN §8). What they may share is decisions, sizes, limits and fills; everything that is
found here to be equal was arrived at twice, and a third time by the oracle.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.backtest.parity import (
    BacktestRun,
    engine_differences,
    market_of,
    oracle_differences,
    result_differences,
    run_backtest,
)
from tests.backtest.rules import CuriousConfig, Marked, curious, marked, overnight, sma_cross
from tests.backtest.scenes import OPEN, SESSIONS, flat, mark
from tests.oracle.harness import (
    CALENDAR,
    Case,
    Line,
    Strategies,
    compare,
    run_engine,
    velez_of,
)
from tests.oracle.markets import RECORDING, recorded_bars, simulated_bars
from tests.oracle.nasty import cases
from tests.oracle.oracle import RiskParams, SessionParams, VelezParams
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.rule import CandleView, Holding
from tui_trader.strategies.base import StrategyConfig

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

#: Makes the rules of a run, which may write down the questions that they are asked.
Rules = Callable[[list[Line]], Strategies]

EAGER = VelezParams(sma_fast=5, sma_slow=100, candle_interval_minutes=1, cooldown_candles=0)
SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
TWO = ("BAC", "SPY")


def velez(questions: list[Line]) -> Strategies:
    return velez_of


def curious_pair(questions: list[Line]) -> Strategies:
    return curious([CuriousConfig(overnight=True), CuriousConfig(candle_interval_minutes=15)], questions)


def agreed(case: Case, rules: Rules = velez) -> BacktestRun:
    """The run on which the loops agree, whether every candle is asked about or candidates only."""
    asked_live: list[Line] = []
    live = run_engine(case, rules(asked_live))
    market = market_of(case)
    asked_some: list[Line] = []
    asked_all: list[Line] = []
    run = run_backtest(case, rules(asked_some), market=market)
    whole = run_backtest(case, rules(asked_all), market=market, jump=False)
    wrong = engine_differences(live, run) + result_differences(run, whole)
    # A warm start gives the live engine no more history than it needs, so that candles are counted from
    # another one. Curious rules answer by lot: equal answers show that the questions were equal even then.
    if not case.warm:
        told = {"questions": [line for line in asked_live if line[1] in market.symbols]}
        wrong += compare({"questions": asked_all}, told, ("backtest", "engine"))
    assert not wrong, f"\n{wrong}"
    return run


def agreed_by_all(case: Case) -> BacktestRun:
    """The Velez run on which the oracle agrees, too."""
    run = agreed(case)
    wrong = oracle_differences(run)
    assert not wrong, f"\n{wrong}"
    return run


# ---- recorded bars -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded() -> Sequence[Bar]:
    if not RECORDING.exists():
        pytest.skip(f"the recorded bars are not here: ../shared/data/{RECORDING.name}")
    return recorded_bars(SYMBOLS)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"symbols": SYMBOLS}, id="defaults"),
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
        pytest.param({"symbols": ("BAC",), "velez": EAGER}, id="one symbol"),
    ],
)
def test_recorded_sessions_are_traded_alike(recorded: Sequence[Bar], changes: dict[str, object]) -> None:
    case = replace(Case(recorded, TWO), **changes)  # type: ignore[arg-type]
    assert len(agreed_by_all(case).result.trades) >= 5


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(lambda questions: sma_cross(), id="sma_cross"),
        pytest.param(lambda questions: overnight(atr_stop_multiple=4.0), id="overnight"),
        pytest.param(curious_pair, id="curious"),
    ],
)
def test_other_rules_trade_recorded_sessions_alike(recorded: Sequence[Bar], rules: Rules) -> None:
    assert len(agreed(Case(recorded, TWO), rules).result.trades) >= 20


# ---- simulated bars ------------------------------------------------------------------------------------

HALF_DAY = (date(2013, 11, 27), date(2013, 12, 2))
CLOCKS_BACK = (date(2013, 11, 1), date(2013, 11, 5))
CLOCKS_FORWARD = (date(2014, 3, 6), date(2014, 3, 10))


@pytest.mark.parametrize(
    ("span", "market_seed", "minutes", "warm"),
    [
        (HALF_DAY, 1, 1, False),
        (HALF_DAY, 2, 2, True),
        (CLOCKS_BACK, 3, 2, False),
        (CLOCKS_FORWARD, 4, 1, True),
    ],
)
def test_simulated_sessions_are_traded_alike(
    span: tuple[date, date], market_seed: int, minutes: int, warm: bool
) -> None:
    sessions = CALENDAR.sessions(*span)
    symbols = ("AAPL", "AMD", "LONE", "SLOW")  # the last two trade in few minutes only
    bars = simulated_bars(symbols, market_seed, sessions)
    params = VelezParams(sma_slow=100, candle_interval_minutes=minutes)
    run = agreed_by_all(Case(bars, symbols, params, start=sessions[1].date if warm else None, warm=warm))
    assert len(run.result.trades) >= 3


@pytest.mark.parametrize(
    ("span", "rules"),
    [
        pytest.param(HALF_DAY, curious_pair, id="curious"),
        pytest.param(CLOCKS_BACK, lambda questions: sma_cross(candle_interval_minutes=1), id="sma_cross"),
    ],
)
def test_other_rules_trade_simulated_sessions_alike(span: tuple[date, date], rules: Rules) -> None:
    symbols = ("AMD", "LONE")
    run = agreed(Case(simulated_bars(symbols, 5, CALENDAR.sessions(*span)), symbols), rules)
    assert len(run.result.trades) >= 10


@pytest.mark.parametrize("span", [HALF_DAY, CLOCKS_BACK, CLOCKS_FORWARD])
def test_positions_are_carried_through_nights_alike(span: tuple[date, date]) -> None:
    bars = simulated_bars(("AAPL", "LONE"), 1, CALENDAR.sessions(*span))
    rules = overnight(sma_fast=2, sma_slow=6, atr_period=5, atr_stop_multiple=10, candle_interval_minutes=15)
    result = agreed(Case(bars, ("AAPL", "LONE")), lambda questions: rules).result
    assert any(trade.exit_time.date() > trade.entry_time.date() for trade in result.trades)
    assert len(result.open_positions) == 1, "what is held at the end is told of"


# ---- invented bars -------------------------------------------------------------------------------------

# A recording holds no impossible bars.
_RECORDED = cases().filter(lambda case: case.recorded)
_AVERAGES = st.tuples(st.sampled_from((2, 3, 5)), st.sampled_from((6, 10, 30)))


@st.composite
def cross_settings(draw: st.DrawFn, case: Case) -> dict[str, Any]:
    fast, slow = draw(_AVERAGES)
    # From a warm start the live engine follows an average that never quite forgets, such as the ATR, from
    # some 60 candles before the first that it needs. Short ones have forgotten by then what was before.
    periods = (2, 5) if case.warm else (2, 5, 14)
    return {
        "sma_fast": fast,
        "sma_slow": slow,
        "atr_period": draw(st.sampled_from(periods)),
        "atr_stop_multiple": draw(st.sampled_from((0.5, 1.0, 2.0, 4.0))),
        "candle_interval_minutes": draw(st.sampled_from((1, 2, 5, 10, 15))),
        "max_entry_slippage_r": draw(st.sampled_from((Decimal(0), Decimal("0.5"), Decimal(2)))),
    }


@st.composite
def curious_configs(draw: st.DrawFn, case: Case) -> list[CuriousConfig]:
    """One for each of the symbols that a case may have."""
    return [
        CuriousConfig(
            seed=draw(st.integers(0, 999)),
            candle_interval_minutes=draw(st.sampled_from((1, 1, 2, 5, 10, 15))),
            overnight=draw(st.booleans()),
            # From a warm start the live engine does not ask about a symbol without a history until there is
            # one; the backtest leaves that to the rule, as both do from a cold start.
            patient=case.warm,
        )
        for _ in case.symbols
    ]


def _tried(rule: str, data: st.DataObject) -> BacktestRun:
    """An invented case, traded by ``rule`` in every loop."""
    case = data.draw(_RECORDED)
    if rule == "velez":
        return agreed_by_all(case)
    if rule == "curious":
        configs = data.draw(curious_configs(case))
        return agreed(case, lambda questions: curious(configs, questions))
    chosen = data.draw(cross_settings(case))
    rules = sma_cross(**chosen) if rule == "sma_cross" else overnight(**chosen)
    return agreed(case, lambda questions: rules)


def searched(rule: str, examples: int, number: int | None) -> float:
    """Agreement on invented cases, new ones without a ``number``; how many trades each had on average."""
    trades: list[int] = []

    @settings(
        max_examples=examples,
        derandomize=False,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def search(data: st.DataObject) -> None:
        trades.append(len(_tried(rule, data).result.trades))

    (search if number is None else seed(number)(search))()
    return sum(trades) / len(trades)


RULES = ("velez", "sma_cross", "overnight", "curious")


@pytest.mark.parametrize("rule", RULES)
def test_invented_sessions_full_of_mishaps_are_traded_alike(rule: str) -> None:
    assert searched(rule, 12, 1) > 2


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="a long search: make soak")
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("rule", RULES)
def test_a_long_search_finds_no_bars_that_are_traded_differently(rule: str, part: int) -> None:
    assert searched(rule, 300, None) > 2


# ---- what they once told differently -------------------------------------------------------------------


def late(symbol: str, minute: int) -> list[Bar]:
    """The bar of ``minute`` is withheld until the next, with which it closes two candles at once."""
    return mark([*flat(symbol, range(minute)), *flat(symbol, range(minute, 20), 70.0)], minute)


def test_two_candles_closed_at_once_are_decided_before_the_next_symbols() -> None:
    """AAA's first gives an entry and its second withdraws it, which makes room for BBB's."""
    bars = [*late("AAA", 9), *mark(flat("BBB", range(20)), 10)]
    run = agreed(Case(bars, ("AAA", "BBB"), risk=RiskParams(max_open_positions=1)), lambda _: marked)
    assert [(signal.symbol, signal.refused) for signal in run.result.signals] == [("AAA", ""), ("BBB", "")]


def test_so_they_are_behind_another_symbol() -> None:
    bars = [*mark(flat("AAA", range(20)), 10), *late("BBB", 9), *mark(flat("CCC", range(20)), 10)]
    case = Case(bars, ("AAA", "BBB", "CCC"), risk=RiskParams(max_open_positions=2))
    run = agreed(case, lambda _: marked)
    assert [signal.refused for signal in run.result.signals] == ["", "", ""]


class Leaving(Marked):
    """Candles of two minutes; wants out at the session's last one, which only the close completes."""

    @property
    def candle_interval_minutes(self) -> int:
        return 2

    @property
    def force_close_eod(self) -> bool:
        return False

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        return view.start == OPEN + 388 * MINUTE


@pytest.mark.parametrize("others", [0, 1], ids=["a day without any bar", "a day on which others trade"])
def test_a_sale_decided_at_the_close_waits_for_the_next_bar_however_late(others: int) -> None:
    held = [*mark(flat("AAA", range(0, 389, 2)), 8), *flat("AAA", range(390), 51.0, day=2)]
    other = flat("BBB", range(390), day=1) if others else []
    case = Case([*held, *other], ("AAA", "BBB"))
    run = agreed(case, lambda _: lambda case: [Leaving(symbol, StrategyConfig()) for symbol in case.symbols])
    assert [trade.exit_time for trade in run.result.trades] == [SESSIONS[2].open]
