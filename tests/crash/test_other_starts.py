"""Started again differently: other settings, another market, or after an end that was not a crash."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.crash.child import CALENDAR
from tests.crash.proof import KILLED, LIVELY, Case, new_case, prove, rows, trades
from tui_trader.venues.sim.feed import SimFeed
from tui_trader.wiring import SIM_START

_FEWER = LIVELY.replace('"AAPL", "AMD", "INTC", "META", "MU", "NVDA", "PLTR", "TSLA"', '"INTC", "META"')
_OTHER = LIVELY.replace("[[routes]]\n", '[[routes]]\nstrategy = "sma_cross"\n').replace(
    "config = { candle_interval_minutes = 2 }", ""
)


def _killed_while_holding(tmp_path: Path) -> Case:
    """At 13:53, six positions are open; at 13:30 the first one was not."""
    case = new_case(tmp_path)
    assert case.run(point="after checkpoint", nth=34) == KILLED
    return case


def _held(case: Case) -> set[str]:
    """Symbols that the broker holds for us."""
    store = case.state / f"exchange-{case.options.venue}.db"
    return set(json.loads(rows(store, "SELECT value FROM facts WHERE name = 'positions'")[0][0]))


def _of(case: Case, kind: str) -> list[dict[str, Any]]:
    return [event for event in case.events() if event["type"] == kind]


@pytest.mark.parametrize("config", [_FEWER, _OTHER], ids=["symbols no longer routed", "another strategy"])
def test_positions_of_an_earlier_configuration_stay_protected_and_are_closed_by_the_end_of_the_day(
    tmp_path: Path, config: str
) -> None:
    case = _killed_while_holding(tmp_path)
    held = _held(case)
    assert len(held) > 3
    (tmp_path / "config.toml").write_text(config)
    case.run()
    prove(case)  # the broker's side is watched throughout: no share without a stop, flat at the close
    closed = {trade["symbol"]: trade for trade in reversed(_of(case, "TradeClosed"))}
    assert held <= closed.keys()
    assert all(closed[symbol]["exit_time"] < "2026-06-01T20:00:00" for symbol in held)
    assert all(closed[symbol]["strategy"] == "velez" for symbol in held)


def test_another_seed_gives_the_unfinished_market_up_and_says_so(tmp_path: Path) -> None:
    case = _killed_while_holding(tmp_path)
    case.options = replace(case.options, seed=12)
    assert case.run() == 0
    first = case.events()[0]
    assert (first["type"], first["component"]) == ("ErrorOccurred", "venue")
    assert "given up" in first["message"]
    fresh = new_case(tmp_path / "fresh", seed=12)
    fresh.run()
    assert _of(case, "TradeClosed") == [e | {"seq": e["seq"] + 1} for e in _of(fresh, "TradeClosed")]
    # The market that was given up keeps its records; with its own seed it would begin anew.
    assert rows(case.state / "journal.db", "SELECT COUNT(*) FROM books")[0][0] == 2


def test_without_a_seed_the_unfinished_market_goes_on(tmp_path: Path) -> None:
    case = _killed_while_holding(tmp_path)
    case.options = replace(case.options, seed=None)
    case.run()
    prove(case)


def test_a_recording_goes_on_where_it_stood_also_with_fewer_symbols(tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    _record(bars)
    case = new_case(tmp_path, venue="replay", seed=None, bars=(bars,), warmup="none", sessions=2)
    assert case.run(point="after checkpoint", nth=620) == KILLED
    held = _held(case)
    assert held
    (tmp_path / "config.toml").write_text(_FEWER)
    case.run()
    prove(case)
    assert held <= {trade["symbol"] for trade in _of(case, "TradeClosed")}


def _record(path: Path) -> None:
    """Two sessions of the simulated market as a bars file."""
    symbols = ["AAPL", "AMD", "INTC", "META", "MU", "NVDA", "PLTR", "TSLA"]
    feed = SimFeed(symbols, 11, CALENDAR, SIM_START, Decimal(100_000), 1)
    session = feed.first_session()
    with path.open("w") as file:
        file.write("symbol,timestamp,open,high,low,close,volume\n")
        for _ in range(2):
            for batch in feed.batches(session):
                for bar in batch.bars:
                    stamp = bar.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ")
                    file.write(f"{bar.symbol},{stamp},{','.join(map(str, bar[2:7]))}\n")
            following = feed.session_after(session.date)
            assert following is not None
            session = following


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_closes_everything_and_ends_the_run(tmp_path: Path, number: int) -> None:
    case = new_case(tmp_path)
    case.options = replace(case.options, speed=50_000.0)
    case.run(signals=((34, number),))
    prove(case)
    assert {trade[-1] for trade in trades(case)[-6:]} == {"shutdown"}
    assert case.events()[-1]["time"] < "2026-06-01T13:56"


def test_a_second_interrupt_ends_the_process_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    assert case.run(signals=((34, signal.SIGINT), (34, signal.SIGINT))) == 130
    case.run()
    prove(case)


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ("before new book", 130), ("after new market", 130), ("before engine start", 0),
        ("after rebuilding", 0), ("before warm-up", 0), ("after warm-up", 0),
    ],
)  # fmt: skip
def test_an_interrupt_during_the_start_ends_the_run_quietly(tmp_path: Path, point: str, code: int) -> None:
    case = new_case(tmp_path)
    assert case.run(point="after checkpoint", nth=34) == KILLED
    if code == 130:
        case = new_case(tmp_path / "fresh")
    case.run(point=point, blow=signal.SIGINT)
    assert case.runs[-1] == code
    said = case.said()
    assert said == "" if code else (said.startswith("tui-trader: SIM-") and said.count("\n") == 1)
    if code == 0:
        prove(case)  # what was open has been closed
    case.run()
    prove(case)


def test_a_run_that_was_stopped_begins_a_new_market(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    case.run(signals=((34, signal.SIGTERM),))
    case.run()
    prove(case)
    assert case.open_books() == 0
