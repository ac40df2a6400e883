from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.control.double import START, FakeEngine, order, position
from tests.core.test_events import EVENTS
from tui_trader.control.decode import (
    NotUnderstoodError,
    read_candles,
    read_event,
    read_info,
    read_snapshot,
)
from tui_trader.control.views import status_document, to_plain
from tui_trader.core.events import Event, Published, to_dict, to_json
from tui_trader.core.orders import Role
from tui_trader.engine.handle import CandleRow, EngineSnapshot


def wired(document: object) -> Any:
    return json.loads(json.dumps(document))


def busy() -> EngineSnapshot:
    held = FakeEngine().view
    return replace(
        held,
        positions=(position("AAPL"),),
        orders=(order("AAPL", Role.STOP), order("TSLA", Role.ENTRY)),
        next_open=datetime(2026, 3, 3, 14, 30, tzinfo=UTC),
        speed=None,
        hindrances=("the feed is stale",),
    )


@pytest.mark.parametrize(("event", "_"), EVENTS, ids=lambda value: type(value).__name__)
def test_every_event_comes_back_as_it_was_said(event: Event, _: object) -> None:
    said = Published(7, START, event)
    heard = read_event(json.loads(to_json(said)))
    assert heard is not None
    assert type(heard.event) is type(event)
    assert (heard.seq, heard.time) == (7, START)
    assert to_dict(heard) == to_dict(said)


def test_a_snapshot_comes_back_as_it_was_taken() -> None:
    engine, taken = FakeEngine(), busy()
    document = wired(status_document(engine.info, taken))
    read = read_snapshot(document)
    assert status_document(engine.info, read) == status_document(engine.info, taken)
    assert read.positions == taken.positions
    assert read.orders == taken.orders
    assert math.isnan(read.symbols[1].last)
    assert read_info(document, "/elsewhere") == replace(engine.info, state_dir="/elsewhere")


def test_what_a_newer_engine_adds_is_overlooked() -> None:
    document = wired(status_document(FakeEngine().info, busy()))
    document["moon"] = "full"
    document["positions"][0]["mood"] = 1
    assert read_snapshot(document).positions == busy().positions
    assert read_event({"type": "MoonRose", "seq": 1, "time": "2026-03-02T15:00:00Z"}) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("state",), "ASLEEP"),
        (("seq",), "1"),
        (("time",), "yesterday"),
        (("time",), "2026-03-02T15:00:00"),
        (("account", "equity"), 1.5),
        (("account", "equity"), "much"),
        (("positions",), None),
        (("positions", 0, "stop_working"), "yes"),
        (("breaker",), []),
    ],
)
def test_what_cannot_be_read_is_one_error(path: tuple[Any, ...], value: object) -> None:
    document = wired(status_document(FakeEngine().info, busy()))
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(NotUnderstoodError):
        read_snapshot(document)


def test_candles_come_back_with_averages_that_are_not_warm() -> None:
    rows = (
        CandleRow(START, 10.0, 10.5, 9.5, 10.25, 1200, math.nan, 9.75),
        CandleRow(START, 10.0, 10.5, 9.5, 10.25, 0, 10.0, 9.75),
    )
    read = read_candles(wired({"symbol": "AAPL", "candles": to_plain(rows)}))
    assert read[1] == rows[1]
    assert math.isnan(read[0].sma_fast)
    with pytest.raises(NotUnderstoodError):
        read_candles({"candles": [[1, 2]]})
