"""The one public form of every event."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.core.making import OPEN, minute
from tui_trader.core import events as e
from tui_trader.core.calendar import NEW_YORK
from tui_trader.core.orders import OrderState, OrderType, Role, Side

D = Decimal
T = "2026-06-01T13:30:00Z"
PRICES: dict[str, Any] = {
    "open": 10.0,
    "high": 10.5,
    "low": 9.5,
    "close": 10.25,
    "volume": 1200,
    "adjusted": False,
}

#: One of each, and the JSON that people rely on (INTERFACES, "Events").
EVENTS: list[tuple[e.Event, dict[str, Any]]] = [
    (
        e.EngineStateChanged(e.EngineState.RUNNING, e.EngineState.WARMING_UP, "ready"),
        {"state": "RUNNING", "previous": "WARMING_UP", "reason": "ready"},
    ),
    (
        e.SessionChanged("2026-06-01", OPEN, minute(390), minute(375), minute(387)),
        {
            "date": "2026-06-01",
            "open": T,
            "close": "2026-06-01T20:00:00Z",
            "no_entries_from": "2026-06-01T19:45:00Z",
            "flatten_at": "2026-06-01T19:57:00Z",
        },
    ),
    (
        e.SymbolStateChanged("AAPL", e.SymbolState.ARMED, ""),
        {"symbol": "AAPL", "state": "armed", "reason": ""},
    ),
    (
        e.WarmupProgress("AAPL", 201, 201, 1, 5),
        {"symbol": "AAPL", "candles": 201, "required": 201, "done_symbols": 1, "total_symbols": 5},
    ),
    (
        e.BarReceived("AAPL", OPEN, 10.0, 10.5, 9.5, 10.25, 1200, False),
        {"symbol": "AAPL", "timestamp": T} | PRICES,
    ),
    (
        e.BarRejected("AAPL", OPEN, math.nan, math.inf, 9.5, 10.25, 1200, False, "a value is not finite"),
        {"symbol": "AAPL", "timestamp": T}
        | PRICES
        | {"open": None, "high": None, "reason": "a value is not finite"},
    ),
    (
        e.CandleClosed("AAPL", OPEN, 2, 10.0, 10.5, 9.5, 10.25, 2400, 2, True, 10.125, math.nan),
        {
            "symbol": "AAPL",
            "timestamp": T,
            "minutes": 2,
            "open": 10.0,
            "high": 10.5,
            "low": 9.5,
            "close": 10.25,
            "volume": 2400,
            "bars": 2,
            "complete": True,
            "sma_fast": 10.125,
            "sma_slow": None,
        },
    ),
    (
        e.SignalGenerated("AAPL", Side.BUY, "velez", D("10.50"), D("9.48"), OPEN),
        {
            "symbol": "AAPL",
            "side": "buy",
            "strategy": "velez",
            "entry_price": "10.50",
            "stop_price": "9.48",
            "candle": T,
        },
    ),
    (
        e.SignalRejected("AAPL", "size", "0 shares"),
        {"symbol": "AAPL", "rule": "size", "reason": "0 shares"},
    ),
    (
        e.OrderStateChanged(
            "tt-1",
            None,
            "AAPL",
            Role.ENTRY,
            Side.BUY,
            OrderType.STOP_LIMIT,
            10,
            0,
            D("1E+1"),
            None,
            OrderState.INTENT,
            None,
            "",
        ),
        {
            "client_order_id": "tt-1",
            "broker_order_id": None,
            "symbol": "AAPL",
            "role": "ENTRY",
            "side": "buy",
            "order_type": "stop_limit",
            "qty": 10,
            "filled_qty": 0,
            "limit_price": "10",
            "stop_price": None,
            "state": "INTENT",
            "previous": None,
            "reason": "",
        },
    ),
    (
        e.OrderFilled("tt-1", "x-1", "AAPL", Side.SELL, 10, D("10.51"), 0, OPEN),
        {
            "client_order_id": "tt-1",
            "execution_id": "x-1",
            "symbol": "AAPL",
            "side": "sell",
            "qty": 10,
            "price": "10.51",
            "position_qty": 0,
            "timestamp": T,
        },
    ),
    (
        e.StopMoved("AAPL", D("9.60"), D("9.48")),
        {"symbol": "AAPL", "stop_price": "9.60", "previous": "9.48"},
    ),
    (
        e.PositionChanged("AAPL", 10, D("10.51"), None, D("-1.20")),
        {
            "symbol": "AAPL",
            "qty": 10,
            "avg_entry_price": "10.51",
            "stop_price": None,
            "unrealized_pnl": "-1.20",
        },
    ),
    (
        e.TradeClosed(
            "AAPL",
            "velez",
            10,
            D("10.51"),
            D("10.91"),
            OPEN,
            minute(5),
            D("4.00"),
            e.TradeReason.END_OF_DAY,
            D("10.2"),
        ),
        {
            "symbol": "AAPL",
            "strategy": "velez",
            "qty": 10,
            "entry_price": "10.51",
            "exit_price": "10.91",
            "entry_time": T,
            "exit_time": "2026-06-01T13:35:00Z",
            "pnl": "4.00",
            "reason": "end_of_day",
            "planned_risk": "10.2",
        },
    ),
    (
        e.AccountUpdated(D("100004.00"), D("99000"), D("99000"), D("4.00")),
        {"equity": "100004.00", "cash": "99000", "buying_power": "99000", "day_pnl": "4.00"},
    ),
    (
        e.CircuitBreakerTripped("max_daily_loss_pct", D("3001"), D("3E+3")),
        {"rule": "max_daily_loss_pct", "value": "3001", "limit": "3000"},
    ),
    (
        e.CircuitBreakerReset("consecutive_loss_pause", D(3), D(3)),
        {"rule": "consecutive_loss_pause", "value": "3", "limit": "3"},
    ),
    (
        e.ConnectionChanged("bars", "reconnecting", 2),
        {"stream": "bars", "state": "reconnecting", "attempt": 2},
    ),
    (
        e.Reconciled(("AAPL: 10 there, 0 here",), ()),
        {"differences": ["AAPL: 10 there, 0 here"], "corrections": []},
    ),
    (
        e.Heartbeat(60.5, 0, math.nan),
        {"uptime_s": 60.5, "inbox_depth": 0, "loop_lag_ms": None},
    ),
    (
        e.ErrorOccurred("strategy", 'bad "price"\n\x1b[31m', None),
        {"component": "strategy", "message": 'bad "price"\n\x1b[31m', "symbol": None},
    ),
]


def kind(case: object) -> str:
    return type(case).__name__ if isinstance(case, e.Event) else ""


def test_every_kind_of_event_is_checked_here() -> None:
    assert [type(event) for event, _ in EVENTS] == list(e.EVENT_TYPES)


@pytest.mark.parametrize(("event", "document"), EVENTS, ids=kind)
def test_an_event_is_one_json_object_with_money_as_text_and_market_data_as_numbers(
    event: e.Event, document: dict[str, Any]
) -> None:
    line = e.to_json(e.Published(7, OPEN, event))
    assert "\n" not in line
    assert (
        json.loads(line, parse_constant=pytest.fail)
        == {
            "type": type(event).__name__,
            "time": T,
            "seq": 7,
        }
        | document
    )
    assert list(json.loads(line))[:3] == ["type", "time", "seq"]


@pytest.mark.parametrize("event", [event for event, _ in EVENTS], ids=kind)
def test_the_dictionary_is_the_line(event: e.Event) -> None:
    published = e.Published(1, OPEN, event)
    assert json.loads(json.dumps(e.to_dict(published))) == json.loads(e.to_json(published))


def test_times_are_utc_with_a_z_whatever_their_zone() -> None:
    local: datetime = OPEN.astimezone(NEW_YORK) + timedelta(microseconds=5)
    assert e.iso_utc(local) == "2026-06-01T13:30:00.000005Z"


def test_numbers_of_the_simulated_market_are_numbers() -> None:
    event = e.BarReceived("AAPL", OPEN, np.float64(10.1), 1.0, 1.0, np.float64("nan"), 5, False)
    document = json.loads(e.to_json(e.Published(1, OPEN, event)))
    assert (document["open"], document["close"]) == (10.1, None)


@pytest.mark.parametrize("event", [event for event, _ in EVENTS], ids=kind)
def test_an_event_never_changes(event: e.Event) -> None:
    with pytest.raises(AttributeError):
        setattr(event, next(iter(type(event).__dataclass_fields__)), None)
