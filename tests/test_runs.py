"""Whole runs on the simulated market, by what they say of themselves."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tui_trader import wiring
from tui_trader.cli import main
from tui_trader.core.calendar import NEW_YORK
from tui_trader.engine.nyse import NyseCalendar

Event = dict[str, Any]
Play = Callable[..., list[Event]]

CALENDAR = NyseCalendar()  # loaded once for all runs in this process
WORKING = ("ACCEPTED", "PARTIALLY_FILLED")


def run(folder: Path, *options: object) -> bytes:
    """The event file of a run that ended well."""
    file = folder / "events.jsonl"
    code = main(
        [
            *("--headless", "--control", "off", "--venue", "sim", "--state-dir", str(folder / "state")),
            *("--events", str(file), *map(str, options)),
        ]
    )
    assert code == 0
    return file.read_bytes()


def parsed(lines: bytes) -> list[Event]:
    return [json.loads(line) for line in lines.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody's settings and keys, one calendar for all runs, no signal handler left behind."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("TUI_TRADER_", "APCA_")):
                patch.delenv(name)
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp("home")))
        patch.setattr(wiring, "NyseCalendar", lambda: CALENDAR)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        handlers = [signal.getsignal(number) for number in numbers]
        yield
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return lambda *options: parsed(run(tmp_path, "--speed", "max", *options))


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """Five sessions of seed 7."""
    folder = tmp_path_factory.mktemp("week")
    return parsed(run(folder, "--speed", "max", "--seed", 7, "--sessions", 5))


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def trades(events: list[Event]) -> list[Event]:
    return [
        {key: value for key, value in trade.items() if key != "seq"} for trade in of(events, "TradeClosed")
    ]


def new_york(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone(NEW_YORK)


# ---- the same seed, the same run -----------------------------------------------------------------------


def test_a_seed_twice_in_one_state_folder_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    begin = partial(run, tmp_path, "--speed", "max", "--seed", 7, "--sessions", 2)
    first = begin()
    assert begin() == first
    assert b"TradeClosed" in first


def test_another_seed_is_another_market(play: Play, week: list[Event]) -> None:
    other = play("--seed", 8, "--sessions", 1)
    assert of(other, "BarReceived")[:5] != of(week, "BarReceived")[:5]


def test_a_paced_run_takes_the_decisions_of_one_at_full_speed(tmp_path: Path, week: list[Event]) -> None:
    paced = parsed(run(tmp_path, "--speed", 1_000_000, "--seed", 7, "--sessions", 1))
    assert paced[-1]["state"] == "STOPPED"
    day = of(week, "SessionChanged")[0]["date"]
    expected = [trade for trade in trades(week) if trade["exit_time"].startswith(day)]
    assert trades(paced) == expected
    assert expected


def test_more_sessions_are_the_same_sessions_and_more(play: Play, week: list[Event]) -> None:
    day = play("--seed", 7, "--sessions", 1)
    assert trades(day) == trades(week)[: len(trades(day))]


# ---- what always holds ---------------------------------------------------------------------------------


def test_numbers_have_no_gap_and_time_never_goes_back(week: list[Event]) -> None:
    assert [event["seq"] for event in week] == list(range(1, len(week) + 1))
    times = [datetime.fromisoformat(event["time"]) for event in week]
    assert times == sorted(times)


def test_the_run_begins_trades_five_sessions_and_stops_by_itself(week: list[Event]) -> None:
    states = [event["state"] for event in of(week, "EngineStateChanged")]
    assert states[:4] == ["STARTING", "RECONCILING", "WARMING_UP", "RUNNING"]
    assert states[-2:] == ["SHUTTING_DOWN", "STOPPED"]
    assert states.count("RUNNING") == states.count("CLOSING") == len(of(week, "SessionChanged")) == 5
    assert of(week, "ErrorOccurred") == []


def test_there_is_something_to_see(week: list[Event]) -> None:
    assert len(of(week, "TradeClosed")) >= 20
    assert len(Counter(trade["reason"] for trade in of(week, "TradeClosed"))) >= 2


def test_every_filled_entry_has_a_working_stop_for_all_of_it_before_the_next_bar(week: list[Event]) -> None:
    entries = {e["client_order_id"] for e in of(week, "OrderStateChanged") if e["role"] == "ENTRY"}
    naked: dict[str, int] = {}
    protected = 0
    for event in week:
        if event["type"] == "OrderFilled" and event["client_order_id"] in entries:
            naked[event["symbol"]] = event["position_qty"]
        elif event["type"] == "OrderStateChanged" and event["role"] == "STOP" and event["state"] in WORKING:
            if event["symbol"] in naked:
                assert event["qty"] == naked.pop(event["symbol"])
                protected += 1
        elif event["type"] == "BarReceived":
            assert not naked
    assert protected >= 20


def test_stops_only_tighten(week: list[Event]) -> None:
    moves = of(week, "StopMoved")
    assert moves
    for move in moves:
        assert Decimal(move["stop_price"]) > Decimal(move["previous"])


def test_exits_never_exceed_the_position_and_every_session_ends_flat(week: list[Event]) -> None:
    held: defaultdict[str, int] = defaultdict(int)
    for event in week:
        if event["type"] == "OrderFilled":
            held[event["symbol"]] += event["qty"] if event["side"] == "buy" else -event["qty"]
            assert held[event["symbol"]] == event["position_qty"] >= 0
        elif event["type"] == "EngineStateChanged" and event["state"] in ("MARKET_CLOSED", "STOPPED"):
            assert not any(held.values())


def test_every_order_ends_and_none_is_sent_twice(week: list[Event]) -> None:
    last: dict[str, str] = {}
    for event in of(week, "OrderStateChanged"):
        assert event["previous"] == last.get(event["client_order_id"])
        last[event["client_order_id"]] = event["state"]
    assert set(last.values()) <= {"FILLED", "CANCELED", "REPLACED", "EXPIRED"}


def test_what_the_trades_earned_is_what_the_account_gained(week: list[Event]) -> None:
    earned = sum(Decimal(trade["pnl"]) for trade in of(week, "TradeClosed"))
    assert Decimal(of(week, "AccountUpdated")[-1]["cash"]) - 100_000 == earned
    for trade in of(week, "TradeClosed"):
        assert trade["exit_time"] >= trade["entry_time"]


def test_no_entry_is_filled_from_the_cut_off_on(week: list[Event]) -> None:
    cut_off = {e["date"]: datetime.fromisoformat(e["no_entries_from"]) for e in of(week, "SessionChanged")}
    fills = [event for event in of(week, "OrderFilled") if event["side"] == "buy"]
    for fill in fills:
        assert datetime.fromisoformat(fill["timestamp"]) < cut_off[fill["timestamp"][:10]]
    for signal_ in of(week, "SignalGenerated"):
        assert datetime.fromisoformat(signal_["time"]) < cut_off[signal_["time"][:10]]


def test_after_the_breaker_nothing_is_bought_until_the_next_session(week: list[Event]) -> None:
    tripped = False
    trips = 0
    for event in week:
        if event["type"] == "CircuitBreakerTripped":
            tripped, trips = True, trips + 1
        elif event["type"] == "SessionChanged":
            tripped = False
        elif event["type"] == "SignalGenerated" or (
            event["type"] == "OrderFilled" and event["side"] == "buy"
        ):
            assert not tripped
    assert trips, "this seed trips it, or the test is worth nothing"


# ---- days that are not like others ---------------------------------------------------------------------


def test_a_half_day_ends_at_one_in_new_york_and_is_flat(play: Play) -> None:
    events = play("--start", "2025-11-28", "--sessions", 1, "--seed", 7)
    (session,) = of(events, "SessionChanged")
    assert session["date"] == "2025-11-28"
    assert new_york(session["close"]).time().isoformat() == "13:00:00"
    bars = [new_york(bar["timestamp"]) for bar in of(events, "BarReceived")]
    assert max(bars).time().isoformat() == "12:59:00"
    assert new_york(events[-1]["time"]).time().isoformat() == "13:00:00"
    bought = sum(f["qty"] if f["side"] == "buy" else -f["qty"] for f in of(events, "OrderFilled"))
    assert bought == 0
    assert of(events, "ErrorOccurred") == []


@pytest.mark.parametrize(
    ("start", "opens"),
    [("2026-03-06", ["14:30", "13:30"]), ("2025-10-31", ["13:30", "14:30"])],
    ids=["spring", "autumn"],
)
def test_sessions_open_at_half_past_nine_in_new_york_when_the_clocks_change(
    play: Play, start: str, opens: list[str]
) -> None:
    events = play("--start", start, "--sessions", 2, "--seed", 3, "--symbols", "AAPL,TSLA")
    sessions = of(events, "SessionChanged")
    assert [session["open"][11:16] for session in sessions] == opens
    assert {new_york(session["open"]).strftime("%H:%M") for session in sessions} == {"09:30"}
    for candle in of(events, "CandleClosed"):
        since = new_york(candle["timestamp"]) - new_york(candle["timestamp"]).replace(hour=9, minute=30)
        assert since % timedelta(minutes=2) == timedelta(0)


def test_a_start_on_a_holiday_begins_with_the_next_session(play: Play) -> None:
    events = play("--start", "2025-12-25", "--sessions", 1, "--seed", 3, "--symbols", "AAPL")
    assert [session["date"] for session in of(events, "SessionChanged")] == ["2025-12-26"]


# ---- options -------------------------------------------------------------------------------------------


def test_the_account_starts_with_the_cash_asked_for(play: Play) -> None:
    events = play("--cash", "2500.50", "--sessions", 1, "--seed", 7)
    first = of(events, "AccountUpdated")[0]
    assert (first["cash"], first["equity"]) == ("2500.50", "2500.50")
    spent = [Decimal(e["price"]) * e["qty"] for e in of(events, "OrderFilled") if e["side"] == "buy"]
    assert all(amount <= Decimal("2500.50") for amount in spent)


def test_without_slippage_an_entry_costs_its_stop_price_or_the_open(play: Play) -> None:
    options = ("--seed", 7, "--sessions", 1)
    events = play(*options, "--slippage-ticks", 0)
    bars = {(bar["symbol"], bar["timestamp"]): bar for bar in of(events, "BarReceived")}
    asked = {e["client_order_id"]: e for e in of(events, "OrderStateChanged") if e["role"] == "ENTRY"}
    fills = [fill for fill in of(events, "OrderFilled") if fill["client_order_id"] in asked]
    assert fills
    for fill in fills:
        opened = Decimal(str(bars[fill["symbol"], fill["timestamp"]]["open"]))
        order = asked[fill["client_order_id"]]
        assert Decimal(fill["price"]) in (Decimal(order["stop_price"]), Decimal(order["limit_price"]), opened)


def test_chosen_symbols_are_the_only_ones(play: Play) -> None:
    events = play("--seed", 7, "--sessions", 1, "--symbols", "ibm, MSFT")
    assert {event["symbol"] for event in events if event.get("symbol")} == {"IBM", "MSFT"}


def test_a_cold_start_makes_no_signal_before_it_is_warm(tmp_path: Path) -> None:
    cold = parsed(run(tmp_path, "--speed", "max", "--seed", 7, "--sessions", 2, "--no-warmup"))
    candles: Counter[str] = Counter()
    for event in cold:
        if event["type"] == "CandleClosed":
            candles[event["symbol"]] += 1
        elif event["type"] == "SignalGenerated":
            assert candles[event["symbol"]] >= 201
    assert of(cold, "WarmupProgress") == []
    assert of(cold, "CandleClosed")[0]["sma_slow"] is None
