from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.control.double import Api, FakeEngine, order, position, serving
from tui_trader.commands import control
from tui_trader.control.limits import Limits
from tui_trader.core.events import EngineState, PositionChanged
from tui_trader.core.orders import OrderState, Role
from tui_trader.engine.handle import BreakerView, Command, Flatten, Pause, Resume, Shutdown
from tui_trader.errors import AttentionNeeded, TuiTraderError, UsageError

SHORT = 0.15


def _when_watched(engine: FakeEngine, api: Api, act: Callable[[], None]) -> None:
    """Have ``act`` happen once somebody follows the event stream, as an engine's outcome does."""

    def wait() -> None:
        while not api.metric("tui_trader_event_stream_clients"):
            pass
        act()

    threading.Thread(target=wait, daemon=True).start()


def test_status_for_people_and_for_programs(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.change(state_reason="\x9b2J")
    with serving(engine, tmp_path):
        text = control.status_text(tmp_path, as_json=False)
        document = control.status_text(tmp_path, as_json=True)
    assert "RUNNING (\\x9b2J)" in text
    assert document.isascii()
    assert json.loads(document)["state_reason"] == "\x9b2J"


@pytest.mark.parametrize(
    "command",
    [
        lambda state_dir: control.status_text(state_dir, as_json=False),
        control.pause,
        control.resume,
        lambda state_dir: control.flatten(state_dir, None),
        lambda state_dir: control.stop(state_dir, None),
    ],
)
def test_without_an_engine_every_command_says_so(tmp_path: Path, command: Callable[[Path], str]) -> None:
    with pytest.raises(TuiTraderError) as raised:
        command(tmp_path)
    assert str(raised.value) == f"no engine is running on {tmp_path} (start one with: tui-trader run)"
    assert raised.value.exit_code == 1


def test_pause_and_resume_are_confirmed(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    with serving(engine, tmp_path):
        paused = control.pause(tmp_path)
        resumed = control.resume(tmp_path)
    assert paused == "paused: no new entries; 1 open position and the stops stay managed"
    assert resumed == "resumed: the engine is RUNNING"
    assert engine.commands == [Pause(reason="asked through the control API"), Resume()]


def test_pause_waits_for_an_engine_that_takes_its_time(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.obey = lambda _: None
    with serving(engine, tmp_path) as api:
        _when_watched(engine, api, lambda: engine.enter(EngineState.PAUSED))
        assert control.pause(tmp_path) == "paused: no new entries"


def test_pause_that_is_not_confirmed_fails(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.obey = lambda _: None
    with (
        serving(engine, tmp_path),
        pytest.raises(TuiTraderError, match=r"engine is RUNNING after 0\.15 s") as raised,
    ):
        control.pause(tmp_path, timeout_s=SHORT)
    assert raised.value.exit_code == 1


def test_pause_of_a_silent_engine_fails(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.silent = True
    with (
        serving(engine, tmp_path, Limits(engine_answer_s=0.01)),
        pytest.raises(TuiTraderError, match="pause was accepted, but the engine is silent"),
    ):
        control.pause(tmp_path, timeout_s=SHORT)
    assert len(engine.commands) == 1


def test_resume_says_when_the_breaker_still_bars_entries(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.change(breaker=BreakerView(True, "max_daily_loss_pct", Decimal(-4), Decimal(-3), 2, 3))
    with serving(engine, tmp_path):
        line = control.resume(tmp_path)
    assert line == "resumed: the engine is RUNNING, but the breaker (max_daily_loss_pct) bars entries"


def test_resume_of_an_engine_that_ends_fails(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.obey = lambda _: engine.enter(EngineState.SHUTTING_DOWN)
    with (
        serving(engine, tmp_path),
        pytest.raises(TuiTraderError, match="not resumed: the engine is SHUTTING_DOWN"),
    ):
        control.resume(tmp_path)


def test_flatten_of_everything(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"), position("TSLA"))
    with serving(engine, tmp_path):
        line = control.flatten(tmp_path, None)
    assert line == "everything is flat, no order works; no entries until: tui-trader resume"
    assert engine.commands == [Flatten()]


def test_flatten_of_one_symbol_leaves_the_others(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"), position("TSLA"))
    with serving(engine, tmp_path):
        assert control.flatten(tmp_path, "aapl") == "AAPL is flat, no order works"
    assert engine.commands == [Flatten("AAPL")]
    assert [held.symbol for held in engine.view.positions] == ["TSLA"]


def test_flatten_waits_for_the_fills(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.obey = lambda _: None
    with serving(engine, tmp_path) as api:
        _when_watched(engine, api, engine.close_positions)
        assert control.flatten(tmp_path, None) == "everything is flat, no order works"


def test_flatten_that_does_not_come_to_an_end_names_what_is_left(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"), position("TSLA"))

    def half_hearted(_: Command) -> None:
        engine.close_positions("TSLA")
        engine.work(replace(engine.view.orders[0], state=OrderState.CANCELED))
        engine.work(order("AAPL", Role.EXIT, OrderState.SUBMITTED))

    engine.obey = half_hearted
    with serving(engine, tmp_path), pytest.raises(AttentionNeeded) as raised:
        control.flatten(tmp_path, None, timeout_s=SHORT)
    assert raised.value.exit_code == 4
    assert str(raised.value) == (
        "flatten was accepted, but after 0.15 s AAPL 10 shares;"
        " order AAPL sell 10 market (EXIT, SUBMITTED) remain:"
        " look at the account, and at: tui-trader status"
    )


def test_an_engine_that_does_not_know_its_positions_is_not_flat(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.change(state=EngineState.RECONCILING)
    engine.obey = lambda _: None
    with serving(engine, tmp_path), pytest.raises(AttentionNeeded, match="does not know yet what remains"):
        control.flatten(tmp_path, None, timeout_s=SHORT)


def test_flatten_reaches_a_silent_engine_and_says_what_is_not_known(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.silent = True
    with (
        serving(engine, tmp_path, Limits(engine_answer_s=0.01)),
        pytest.raises(AttentionNeeded, match="what remains was not seen"),
    ):
        control.flatten(tmp_path, None, timeout_s=SHORT)
    assert engine.commands == [Flatten()]


def test_flatten_of_an_unknown_symbol_is_bad_usage(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path), pytest.raises(UsageError, match="no symbol MSFT here"):
        control.flatten(tmp_path, "MSFT")


def test_events_lost_on_the_way_do_not_hide_the_outcome(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.obey = lambda _: None

    def close_unheard() -> None:
        engine.change(positions=(), orders=(), seq=engine.view.seq + 5)
        engine.publish(PositionChanged("TSLA", 0, Decimal(0), None, Decimal(0)))

    with serving(engine, tmp_path) as api:
        _when_watched(engine, api, close_unheard)
        assert control.flatten(tmp_path, None) == "everything is flat, no order works"


def test_stop_closes_everything(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    with serving(engine, tmp_path):
        assert control.stop(tmp_path, "close") == "stopped: no position is held, no order works"
    assert engine.commands == [Shutdown("asked through the control API", "close")]


@pytest.mark.parametrize("policy", ["keep", None])
def test_stop_may_keep_protected_positions(tmp_path: Path, policy: str | None) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.obey = lambda _: engine.enter(EngineState.STOPPED)
    with serving(engine, tmp_path):
        line = control.stop(tmp_path, policy)  # type: ignore[arg-type]
    assert line == "stopped: kept with their stops at the broker: AAPL 10"


def test_stop_with_something_left_to_close_needs_attention(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.obey = lambda _: engine.enter(EngineState.STOPPED)
    with (
        serving(engine, tmp_path),
        pytest.raises(AttentionNeeded, match="stopped, but AAPL 10 shares; order AAPL"),
    ):
        control.stop(tmp_path, "close")


def test_stop_with_a_naked_position_needs_attention_whatever_was_asked(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.change(orders=())
    engine.obey = lambda _: engine.enter(EngineState.STOPPED)
    with serving(engine, tmp_path), pytest.raises(AttentionNeeded, match="AAPL 10 shares remains"):
        control.stop(tmp_path, "keep")


def test_stop_follows_the_engine_until_its_last_word(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.obey = lambda _: engine.enter(EngineState.SHUTTING_DOWN)

    with serving(engine, tmp_path) as api:

        def finish() -> None:
            engine.close_positions()
            engine.enter(EngineState.STOPPED)
            api.server.stop()

        _when_watched(engine, api, finish)
        assert control.stop(tmp_path, None) == "stopped: no position is held, no order works"


def test_stop_takes_a_closed_connection_for_the_end(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.obey = lambda _: engine.enter(EngineState.SHUTTING_DOWN)
    with serving(engine, tmp_path) as api:
        _when_watched(engine, api, api.server.stop)
        assert "AAPL 10" in control.stop(tmp_path, "keep")


def test_stop_that_never_ends_needs_attention(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.obey = lambda _: engine.enter(EngineState.SHUTTING_DOWN)
    with serving(engine, tmp_path), pytest.raises(AttentionNeeded) as raised:
        control.stop(tmp_path, None, timeout_s=SHORT)
    assert str(raised.value).startswith(
        "the engine is still SHUTTING_DOWN after 0.15 s and nothing remains open"
    )


def test_stop_of_an_engine_that_has_stopped_is_no_error(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.enter(EngineState.STOPPED)
    with serving(engine, tmp_path):
        assert control.stop(tmp_path, None) == f"the engine on {tmp_path} had stopped already"


def test_commands_work_while_every_event_stream_is_taken(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.obey = lambda _: threading.Timer(0.02, engine.enter, (EngineState.PAUSED,)).start()
    with serving(engine, tmp_path, Limits(viewers=0)):
        assert control.pause(tmp_path) == "paused: no new entries"
