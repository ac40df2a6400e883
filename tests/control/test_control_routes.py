from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.control.double import FakeEngine, order, position, serving
from tui_trader.control.limits import Limits
from tui_trader.core.events import (
    EVENT_TYPES,
    MARKET_DATA,
    BarReceived,
    EngineState,
    ErrorOccurred,
    Heartbeat,
)
from tui_trader.core.orders import Role
from tui_trader.engine.handle import CancelWorkingOrder, Command, Flatten, Pause, Resume, SetSpeed, Shutdown

SAMPLE = re.compile(r'^[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? (NaN|[+-]Inf|-?[0-9.e+-]+)$')


def test_health_needs_no_token_and_says_nothing_else(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        answer = api.get("/v1/health", trusted=False)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_status_is_the_snapshot_as_plain_json(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    with serving(engine, tmp_path) as api:
        answer = api.get("/v1/status")
    status = answer.json
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert (status["mode"], status["state"], status["venue"]) == ("sim", "RUNNING", "sim")
    assert status["account"]["equity"] == "100012.50"
    assert status["positions"][0]["avg_entry_price"] == "100.25"
    assert status["positions"][0]["entry_time"] == "2026-03-02T15:00:00Z"
    assert (status["orders"][0]["role"], status["orders"][0]["limit_price"]) == ("STOP", None)
    assert status["symbols"][1]["last"] is None
    assert status["routes"] == [{"strategy": "velez", "symbols": ["AAPL", "TSLA"]}]
    assert status["streams"][1] == {"stream": "rest", "state": "stale", "attempt": 2}
    assert status["breaker"]["tripped"] is False
    assert status["session"]["open"] == "2026-03-02T14:30:00Z"
    assert status["warmup"] == {"done": 1, "total": 2}
    assert "token" not in answer.text
    assert "NaN" not in answer.text


def test_every_answer_forbids_caching_and_sniffing(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        answers = [
            api.get("/v1/health"),
            api.get("/v1/status"),
            api.get("/metrics"),
            api.get("/nothing"),
            api.get("/v1/status", trusted=False),
            api.post("/v1/pause"),
        ]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "tui-trader"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_silent_engine_makes_status_503_and_metrics_say_so(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.silent = True
    with serving(engine, tmp_path, Limits(engine_answer_s=0.02, unanswered_snapshots=3)) as api:
        answers = [api.get("/v1/status") for _ in range(5)]
        metrics = api.get("/metrics").text
        assert len(engine.pending) == 3  # no heap of requests for it to wake up to
        assert not any(future.cancelled() for future in engine.pending)
        engine.speak()
        assert api.get("/v1/status").status == 200
    assert {answer.status for answer in answers} == {503}
    assert answers[0].json == {"error": "the engine does not answer"}
    assert "tui_trader_engine_answering 0\n" in metrics
    assert "equity" not in metrics


def test_an_engine_that_answers_after_the_server_is_gone_notices_nothing(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.silent = True
    with serving(engine, tmp_path, Limits(engine_answer_s=0.01)) as api:
        assert api.get("/v1/status").status == 503
    engine.speak()
    assert engine.pending[0].result().seq == 0


def test_metrics_are_prometheus_text(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.work(order("TSLA", Role.ENTRY))
    with serving(engine, tmp_path) as api:
        for _ in range(3):
            engine.publish(ErrorOccurred("rest", "slow", None))
        engine.publish(BarReceived("AAPL", engine.now(), 1.0, 1.0, 1.0, 1.0, 5, adjusted=False))
        engine.publish(Heartbeat(uptime_s=12.5, inbox_depth=2, loop_lag_ms=1.5))
        answer = api.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert [line for line in lines if not line.startswith("# ") and not SAMPLE.match(line)] == []
    assert len(set(lines)) == len(lines)
    for expected in (
        'tui_trader_info{version="0.1.0",mode="sim",venue="sim"} 1',
        'tui_trader_events_total{type="ErrorOccurred"} 3',
        'tui_trader_engine_state{state="RUNNING"} 1',
        'tui_trader_engine_state{state="PAUSED"} 0',
        "tui_trader_equity_dollars 100012.5",
        "tui_trader_day_pnl_dollars 12.5",
        "tui_trader_open_positions 1",
        "tui_trader_unprotected_positions 0",
        "tui_trader_working_orders 2",
        "tui_trader_uptime_seconds 12.5",
        "tui_trader_inbox_depth 2",
        "tui_trader_loop_lag_seconds 0.0015",
        "tui_trader_events_dropped_total 0",
        'tui_trader_stream_connected{stream="rest"} 0',
        "tui_trader_breaker_tripped 0",
    ):
        assert expected in lines
    counted = {kind.__name__ for kind in EVENT_TYPES} - {kind.__name__ for kind in MARKET_DATA}
    assert {line.split('"')[1] for line in lines if line.startswith("tui_trader_events_total{")} == counted


def test_metrics_count_what_the_server_was_too_slow_to_take(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path, Limits(subscription_events=5)) as api:
        for _ in range(8):
            engine.publish(ErrorOccurred("rest", "slow", None))
        # The relay may take some of them in between.
        dropped = api.metric("tui_trader_events_dropped_total")
        assert dropped + api.metric('tui_trader_events_total{type="ErrorOccurred"}') == 8


@pytest.mark.parametrize(
    ("path", "body", "command"),
    [
        ("/v1/pause", None, Pause(reason="asked through the control API")),
        ("/v1/pause", "{}", Pause(reason="asked through the control API")),
        ("/v1/resume", None, Resume()),
        ("/v1/resume", '{"reset_breaker": true}', Resume(reset_breaker=True)),
        ("/v1/cancel", '{"client_order_id": "tt-1"}', CancelWorkingOrder("tt-1")),
        ("/v1/speed", '{"speed": 120}', SetSpeed(120.0)),
        ("/v1/speed", '{"speed": null}', SetSpeed(None)),
        ("/v1/flatten", None, Flatten()),
        ("/v1/flatten", '{"symbol": null}', Flatten()),
        ("/v1/flatten", '{"symbol": "AAPL"}', Flatten("AAPL")),
        ("/v1/flatten", '{"symbol": "tsla"}', Flatten("TSLA")),
        ("/v1/shutdown", None, Shutdown("asked through the control API")),
        ("/v1/shutdown", '{"positions": "keep"}', Shutdown("asked through the control API", "keep")),
        ("/v1/shutdown", '{"positions": "close"}', Shutdown("asked through the control API", "close")),
    ],
)
def test_a_command_is_accepted_at_once(tmp_path: Path, path: str, body: str | None, command: Command) -> None:
    engine = FakeEngine()
    engine.silent = True  # accepting asks the engine nothing
    engine.obey = lambda _: None
    with serving(engine, tmp_path) as api:
        answer = api.post(path, body)
    assert (answer.status, answer.json) == (202, {"accepted": True})
    assert engine.commands == [command]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/pause", '{"why": "x"}', "unknown field"),
        ("/v1/flatten", '{"symbols": ["AAPL"]}', 'takes only "symbol"'),
        ("/v1/flatten", '{"symbol": 5}', "not a symbol"),
        ("/v1/flatten", '{"symbol": ""}', "not a symbol"),
        ("/v1/flatten", '{"symbol": "../etc"}', "not a symbol"),
        ("/v1/flatten", '{"symbol": "AAPL", "symbol": null}', "names a field twice"),
        ("/v1/flatten", '["AAPL"]', "not a JSON object"),
        ("/v1/flatten", "null", "not a JSON object"),
        ("/v1/flatten", "{", "not JSON"),
        ("/v1/flatten", b"\xff\xfe", "not JSON"),
        ("/v1/flatten", "[" * 4000, "not JSON"),
        ("/v1/resume", '{"reset_breaker": 1}', "not true or false"),
        ("/v1/cancel", None, "not the id of an order"),
        ("/v1/cancel", '{"client_order_id": ["tt-1"]}', "not the id of an order"),
        ("/v1/cancel", '{"client_order_id": "' + "x" * 200 + '"}', "not the id of an order"),
        ("/v1/speed", None, "market seconds a second"),
        ("/v1/speed", '{"speed": 0}', "market seconds a second"),
        ("/v1/speed", '{"speed": true}', "market seconds a second"),
        ("/v1/speed", '{"speed": NaN}', "market seconds a second"),
        ("/v1/speed", '{"speed": 1e9}', "market seconds a second"),
        ("/v1/shutdown", '{"positions": "sell"}', '"close" or "keep"'),
        ("/v1/shutdown", '{"positions": ["close"]}', '"close" or "keep"'),
    ],
)
def test_a_wrong_body_is_refused_in_one_line(
    tmp_path: Path, path: str, body: str | bytes, words: str
) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        answer = api.post(path, body)
    assert answer.status == 400
    assert words in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert engine.commands == []


def test_flatten_of_a_symbol_nobody_knows_is_404(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        answer = api.post("/v1/flatten", '{"symbol": "MSFT"}')
    assert (answer.status, answer.json) == (404, {"error": "no symbol MSFT here"})
    assert engine.commands == []


def test_a_position_outside_the_routes_can_be_flattened(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("MSFT"))
    with serving(engine, tmp_path) as api:
        assert api.post("/v1/flatten", '{"symbol": "MSFT"}').status == 202
    assert engine.commands == [Flatten("MSFT")]


def test_flatten_of_an_unknown_symbol_does_not_wait_for_a_silent_engine(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.silent = True
    with serving(engine, tmp_path, Limits(engine_answer_s=0.01)) as api:
        assert api.post("/v1/flatten", '{"symbol": "MSFT"}').status == 503


@pytest.mark.parametrize("name", ["pause", "resume", "flatten", "shutdown"])
def test_commands_after_the_end_are_409(tmp_path: Path, name: str) -> None:
    engine = FakeEngine()
    engine.enter(EngineState.STOPPED)
    with serving(engine, tmp_path) as api:
        answer = api.post(f"/v1/{name}")
    assert (answer.status, answer.json) == (409, {"error": "the engine has stopped"})
    assert engine.commands == []


def test_a_handle_that_raises_is_500_without_its_words(tmp_path: Path) -> None:
    engine = FakeEngine()

    def fail(_: Command) -> None:
        raise RuntimeError("secret detail")

    engine.obey = fail
    with serving(engine, tmp_path) as api:
        answer = api.post("/v1/pause")
        assert api.get("/v1/status").status == 200
    assert (answer.status, answer.json) == (500, {"error": "internal error"})


def test_unknown_paths_and_methods_are_json_errors(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        missing, wrong = api.get("/v1/nothing"), api.get("/v1/pause")
        head = api.call("HEAD", "/v1/events")
    assert (missing.status, missing.json) == (404, {"error": "not found"})
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    assert head.status == 405


def test_text_from_outside_stays_data_in_status_and_metrics(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.info = replace(engine.info, venue='si"m\n\\x')
    engine.change(state_reason="\x1b[2J\ud800", account=replace(engine.view.account, equity=Decimal("1E+3")))
    with serving(engine, tmp_path) as api:
        status, metrics = api.get("/v1/status"), api.get("/metrics").text
    assert json.loads(status.text)["state_reason"] == "\x1b[2J\ud800"
    assert status.text.isascii()
    assert status.json["account"]["equity"] == "1000"
    assert 'venue="si\\"m\\n\\\\x"' in metrics


def test_candles_of_a_stranger_are_404_and_of_a_silent_engine_503(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path, Limits(engine_answer_s=0.02)) as api:
        answer = api.get("/v1/candles?symbol=AAPL")
        assert (answer.status, answer.json) == (200, {"symbol": "AAPL", "candles": []})
        assert api.get("/v1/candles?symbol=MSFT").status == 404
        assert api.get("/v1/candles").status == 404
        engine.silent = True
        assert api.get("/v1/candles?symbol=MSFT").status == 503
