"""The JSON and the trades CSV: what programs may rely on."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.making import at, curve, result, sessions, signal, trade
from tui_trader.backtest.metrics import metrics_of
from tui_trader.backtest.report_json import csv_pieces, document_of, json_pieces
from tui_trader.backtest.result import (
    BacktestResult,
    DataNotes,
    OpenPosition,
    RefusedBar,
    Trade,
    TripRecord,
)
from tui_trader.core.events import TradeReason

# Key by key as docs and users have it; more may come, none may go.
KEYS = (
    "strategy", "config", "symbols", "start", "end", "bars", "candles", "signals", "rejections", "trades",
    "equity", "final_equity", "metrics", "elapsed_s", "bars_per_s",
)  # fmt: skip
METRICS = (
    "total_return", "cagr", "sharpe", "sortino", "max_drawdown", "win_rate", "profit_factor", "expectancy",
    "trades", "exposure", "avg_trade",
)  # fmt: skip
TRADE = (
    "symbol", "side", "qty", "entry_time", "entry_price", "exit_time", "exit_price", "pnl", "reason",
)  # fmt: skip


def text(run: BacktestResult) -> str:
    return "".join(json_pieces(document_of(run, metrics_of(run))))


def document(run: BacktestResult) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(text(run), parse_constant=refuse)
    return found


def rows(*trades: Trade) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(csv_pieces(trades)))))


def some_run() -> BacktestResult:
    trades = [
        trade("12.34", symbol="AAPL", lowest=99.5, highest=103.25),
        trade("-50", symbol="TSLA", entry_time=at(30, 1), reason=TradeReason.END_OF_DAY, lowest=94.9),
        trade("7.5", symbol="AAPL", entry_time=at(200, 2), exit_time=at(260, 2), reason=TradeReason.EXIT),
    ]
    signals = [signal(), signal("size", "0 shares"), signal("size"), signal("price_collar")]
    return result(trades, days=sessions(4), signals=signals)


# ---- the form ----------------------------------------------------------------------------------------


def test_every_promised_key_is_there() -> None:
    found = document(some_run())
    assert set(KEYS) <= set(found)
    assert set(METRICS) <= set(found["metrics"])
    assert all(set(TRADE) <= set(item) for item in found["trades"])


def test_values_have_the_form_of_events() -> None:
    found = document(some_run())
    assert (found["start"], found["end"]) == ("2026-06-01T13:30:00Z", "2026-06-04T20:00:00Z")
    first = found["trades"][0]
    assert first["entry_time"] == "2026-06-01T13:40:00Z"
    assert (first["entry_price"], first["exit_price"], first["pnl"]) == ("100", "101.234", "12.34")
    assert (first["qty"], first["side"], first["reason"]) == (10, "long", "stop")
    assert found["signals"] == 4
    assert found["rejections"] == {"price_collar": 1, "size": 2}
    assert found["symbols"] == ["AAPL", "TSLA"]
    assert found["metrics"]["trades"] == 3
    assert isinstance(found["metrics"]["win_rate"], float)


def test_trades_carry_their_risk_and_excursions() -> None:
    first = document(some_run())["trades"][0]
    assert (first["planned_risk"], first["mae"], first["mfe"]) == ("50", "-5", "32.5")
    assert first["r"] == pytest.approx(0.2468)
    unplanned = document(result([trade(5, planned_risk=0)]))["trades"][0]
    assert unplanned["r"] is None


def test_the_curve_begins_with_the_cash_and_ends_with_the_final_equity() -> None:
    found = document(some_run())
    assert found["equity"][0] == ["2026-06-01T13:30:00Z", "100000"]
    assert found["equity"][-1] == ["2026-06-04T20:00:00Z", "99969.84"]
    assert found["final_equity"] == "99969.84"


@given(st.lists(st.floats(0.0000001, 1e12), min_size=1, max_size=20))
def test_curve_values_are_decimals_of_six_places_at_most(levels: list[float]) -> None:
    points = [(at(number), level) for number, level in enumerate(levels, start=1)]
    exact = Decimal(str(levels[-1])) + Decimal("0.123456789012")
    found = document(result(equity=curve(points), final_equity=exact))
    for (_, value), level in zip(found["equity"][1:-1], levels, strict=False):
        assert "e" not in value.lower()
        assert len(value.partition(".")[2]) <= 6
        assert float(value) == pytest.approx(level, rel=1e-15, abs=5.1e-7)
    assert Decimal(found["equity"][-1][1]) == Decimal(found["final_equity"]) == exact


def test_nothing_undefined_is_a_number() -> None:
    found = document(result())["metrics"]
    undefined = ("sharpe", "sortino", "win_rate", "profit_factor", "expectancy", "avg_trade")
    assert {found[name] for name in undefined} == {None}
    assert found["trades"] == 0


def test_parameters_of_any_kind_become_json() -> None:
    class Mode(Enum):
        FAST = 1

    config = {
        "buffer": Decimal("0.10"), "count": 3, "on": True, "none": None, "text": "=1", "mode": Mode.FAST,
        "nested": {"a": (1, Decimal(2))}, "when": at(0), "ratio": math.inf, "step": timedelta(1),
    }  # fmt: skip
    assert document(result(config=config))["config"] == {
        "buffer": "0.10", "count": 3, "on": True, "none": None, "text": "=1", "mode": "Mode.FAST",
        "nested": {"a": [1, "2"]}, "when": "2026-06-01T13:30:00Z", "ratio": None, "step": "1 day, 0:00:00",
    }  # fmt: skip


def test_text_from_outside_is_safe_on_a_terminal_and_comes_back_whole() -> None:
    hostile = 'x\x1b[2J\x7f\x9b"\\\n\u202e\udcff'
    run = result(strategy=hostile)
    shown = text(run)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert shown.isascii()
    assert document(run)["strategy"] == hostile


def test_notes_open_positions_and_trips_are_told() -> None:
    run = result(
        notes=DataNotes(
            (RefusedBar("AAPL", at(4), "jump"),), 2, (("TSLA", at(0, 1)),), {"AAPL": 7}, 9,
            ("IBM",), ("AMD",), 3,
        ),
        open_positions=[OpenPosition("AAPL", 5, at(9), Decimal("10.5"), Decimal(9), Decimal("-1.25"))],
        trips=[TripRecord(at(30), "consecutive_loss_pause", Decimal(3), Decimal(3))],
    )  # fmt: skip
    found = document(run)
    assert found["notes"] == {
        "refused": [{"symbol": "AAPL", "timestamp": "2026-06-01T13:34:00Z", "reason": "jump"}],
        "adjusted": 2,
        "splits": [{"symbol": "TSLA", "time": "2026-06-02T13:30:00Z"}],
        "missing": {"AAPL": 7}, "outside": 9, "absent": ["IBM"], "cold": ["AMD"], "skipped_rows": 3,
    }  # fmt: skip
    assert found["open_positions"] == [
        {
            "symbol": "AAPL", "qty": 5, "entry_time": "2026-06-01T13:39:00Z", "entry_price": "10.5",
            "stop_price": "9", "unrealized_pnl": "-1.25",
        }
    ]  # fmt: skip
    assert found["breaker_trips"] == [
        {"time": "2026-06-01T14:00:00Z", "rule": "consecutive_loss_pause", "value": "3", "limit": "3"}
    ]


# ---- the figures from the JSON alone -----------------------------------------------------------------


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_every_figure_can_be_computed_from_the_json_alone() -> None:
    found = document(some_run())
    metrics, cash = found["metrics"], float(found["cash"])
    points = [(moment(time), float(value)) for time, value in found["equity"]]
    closes = [moment(close) for _, close in found["sessions"]]
    levels = [cash] + [[value for time, value in points if time <= close][-1] for close in closes]
    returns = [after / before - 1 for before, after in pairwise(levels)]
    assert metrics["sharpe"] == pytest.approx(mean(returns) / stdev(returns) * math.sqrt(252))
    downside = math.sqrt(mean(min(value, 0) ** 2 for value in returns))
    assert metrics["sortino"] == pytest.approx(mean(returns) / downside * math.sqrt(252))
    years = (moment(found["end"]) - moment(found["start"])) / timedelta(days=365.25)
    assert metrics["cagr"] == pytest.approx((float(found["final_equity"]) / cash) ** (1 / years) - 1)
    highest, fall = 0.0, 0.0
    for _, value in points:
        highest = max(highest, value)
        fall = min(fall, value / highest - 1)
    assert metrics["max_drawdown"] == pytest.approx(fall)
    pnls = [float(item["pnl"]) for item in found["trades"]]
    assert metrics["win_rate"] == pytest.approx(2 / 3)
    assert metrics["profit_factor"] == pytest.approx(19.84 / 50)
    assert metrics["expectancy"] == pytest.approx(mean(pnls))
    bought = [float(item["entry_price"]) * item["qty"] for item in found["trades"]]
    assert metrics["avg_trade"] == pytest.approx(mean(p / b for p, b in zip(pnls, bought, strict=True)))
    assert metrics["exposure"] == pytest.approx((11 + 11 + 61) / (4 * 390))
    assert metrics["avg_mae"] == pytest.approx(mean(float(item["mae"]) for item in found["trades"]))
    assert metrics["expectancy_r"] == pytest.approx(mean(item["r"] for item in found["trades"]))


def test_breakdowns_are_told_by_name() -> None:
    found = document(some_run())["breakdown"]
    assert [(part["name"], part["trades"], part["pnl"]) for part in found["by_symbol"]] == [
        ("AAPL", 2, 19.84),
        ("TSLA", 1, -50.0),
    ]
    assert [part["name"] for part in found["by_hour"]] == ["09", "10", "12"]
    assert [part["name"] for part in found["by_reason"]] == ["end_of_day", "exit", "stop"]
    assert list(document(some_run())["monthly_returns"]) == ["2026-06"]


# ---- trades as CSV -----------------------------------------------------------------------------------


def test_one_line_a_trade_below_a_header() -> None:
    lines = "".join(csv_pieces(some_run().trades)).splitlines()
    assert lines[0].startswith("symbol,strategy,side,qty,entry_time,entry_price,exit_time,exit_price,pnl,r,")
    assert len(lines) == 4
    first, *_ = rows(*some_run().trades)
    assert first["symbol"] == "AAPL"
    assert Decimal(first["pnl"]) == Decimal("12.34")
    assert first["reason"] == "stop"
    assert first["mae"] == "-5"


def test_no_trades_are_a_header_alone() -> None:
    assert "".join(csv_pieces([])).count("\n") == 1


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@x"])
def test_a_spreadsheet_does_not_run_what_a_trade_says(text: str) -> None:
    assert rows(trade(strategy=text))[0]["strategy"] == f"'{text}"


@pytest.mark.parametrize(
    ("name", "cell"),
    [('a,"b"', 'a,"b"'), ("a\nb", "a\\nb"), ("\r=1", "\\r=1"), ("\t=1", "\\t=1"), ("\x1b[2J", "\\x1b[2J")],
)
def test_whatever_the_text_a_trade_is_one_line_and_its_cell_one_cell(name: str, cell: str) -> None:
    written = "".join(csv_pieces([trade(strategy=name), trade()]))
    assert len(written.splitlines()) == 3
    assert written.replace("\n", "").isprintable()
    assert rows(trade(strategy=name))[0]["strategy"] == cell


def test_negative_figures_stay_numbers() -> None:
    assert rows(trade(-5))[0]["pnl"] == "-5"
