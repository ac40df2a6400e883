"""The program as a person runs it: the real engine on the simulated market, on a real terminal."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.tui.real_terminal import RealRun

Start = Callable[..., RealRun]

#: A market in which symbols arm, fill, trail and are stopped within the first half hour.
LIVELY = ("--seed", "25")
_AT_ONCE = 1.5


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the program on a terminal; whatever still runs afterwards is killed."""
    runs: list[RealRun] = []

    def begin(*arguments: str, width: int = 120, height: int = 40, state: str = "state") -> RealRun:
        state_dir = ("--state-dir", str(tmp_path / state), "--control", "off")
        config = ("--config", str(config_file(tmp_path)))
        runs.append(RealRun(*arguments, *state_dir, *config, width=width, height=height))
        return runs[-1]

    yield begin
    for run in runs:
        run.close()


def config_file(folder: Path) -> Path:
    """A configuration of defaults, so that whoever runs the tests has no say in them."""
    path = folder / "config.toml"
    if not path.exists():
        path.write_text('[ui]\ntheme = "midnight"\n', encoding="utf-8")
    return path


def running(start: Start, *arguments: str, width: int = 120, height: int = 40) -> RealRun:
    """A run whose engine is at work, at the default speed."""
    run = start("--venue", "sim", *LIVELY, *arguments, width=width, height=height)
    run.see("RUNNING", "Equity")
    return run


def holding(start: Start, *, width: int = 120, height: int = 40) -> RealRun:
    """A run that holds a position with a working stop, at the default speed from then on."""
    run = start("--venue", "sim", *LIVELY, "--speed", "300", width=width, height=height)
    run.see("LONG", "open ")
    run.type("<<")
    run.see("×60 ")
    return run


def is_flat(text: str) -> bool:
    return "no positions" in text


# ---- the life of a trade -----------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_the_life_of_a_trade_can_be_seen(start: Start, width: int, height: int) -> None:
    run = start("--venue", "sim", *LIVELY, width=width, height=height)
    run.see("armed")
    run.see("LONG", "long")
    if width > 80:
        run.see("stop", "working")
    else:
        run.type("4")  # where both do not fit, orders stand in the log's place
        run.see("4 Orders", "stop", "working")
    run.type(">>>>5z")
    # The log alone, so that nothing scrolls out of sight before it is looked at.
    run.see("SIGNAL", "bought", "stop sell", "accepted", "TRADE", "closed @")
    run.type("0q")
    run.see("Quit")


# ---- steering ----------------------------------------------------------------------------------------


def test_flatten_is_flat_within_two_seconds_at_the_default_speed(start: Start) -> None:
    run = holding(start)
    run.type("F")
    run.see("Flatten everything", "at market", "expected realised")
    run.type("y")
    run.see("flat: nothing held", seconds=2.0)
    run.type("\x1b")
    text = run.wait(lambda text: is_flat(text) and "Flatten everything" not in text)
    assert "PAUSED" in text


def test_pause_and_speed_are_shown_at_once(start: Start) -> None:
    run = running(start)
    run.type("p")
    run.see("PAUSED", "no new entries", seconds=_AT_ONCE)
    run.type("p")
    run.wait(lambda text: "RUNNING" in text and "PAUSED" not in text.splitlines()[0], seconds=_AT_ONCE)
    run.type(">")
    run.see("SIM ×120", seconds=_AT_ONCE)
    run.type("<<")
    run.see("SIM ×30", seconds=_AT_ONCE)


def test_a_smaller_screen_and_back(start: Start) -> None:
    run = holding(start)
    run.resize(40, 12)
    run.wait(lambda text: "4 Orders" not in text and "Positions" in text)
    run.resize(30, 8)
    run.see("too small")
    run.resize(120, 40)
    text = run.see("1 Watchlist", "4 Orders", "5 Log")
    assert max(len(line.rstrip()) for line in text.splitlines()) == 120


# ---- leaving -----------------------------------------------------------------------------------------


def test_q_leaves_at_once_when_flat(start: Start) -> None:
    run = running(start)
    run.type("q")
    assert run.end() == 0
    run.assert_terminal_restored()


def test_q_before_the_engine_is_there_leaves_a_clean_terminal(start: Start) -> None:
    run = start("--venue", "sim", *LIVELY)
    run.see("STARTING")
    run.type("q")
    assert run.end() == 0
    run.assert_terminal_restored()


def test_close_everything_and_quit(start: Start, tmp_path: Path) -> None:
    run = holding(start)
    run.type("q")
    run.see("close everything and quit", "leave protected and quit", "stay")
    run.type("e")
    assert run.end() == 0
    run.assert_terminal_restored()
    assert held(tmp_path / "state") == 0


def test_leave_protected_and_quit_keeps_the_position(start: Start, tmp_path: Path) -> None:
    run = holding(start)
    run.type("q")
    run.see("leave protected and quit")
    run.type("k")
    assert run.end() == 0
    run.assert_terminal_restored()
    assert held(tmp_path / "state") > 0
    again = start("--venue", "sim", *LIVELY)
    again.see("RUNNING", "LONG")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_gracefully(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    run = holding(start)
    run.signal(number)
    assert run.end() == 0
    run.assert_terminal_restored()
    assert held(tmp_path / "state") == 0


def test_a_closed_terminal_does_not_stop_the_engine_from_closing_its_positions(
    start: Start, tmp_path: Path
) -> None:
    run = holding(start)
    run.hang_up()
    assert run.end() == 0
    assert held(tmp_path / "state") == 0


# ---- refusals ----------------------------------------------------------------------------------------


def test_a_state_folder_in_use_is_one_line_and_3(start: Start) -> None:
    running(start)
    second = start("--venue", "sim", *LIVELY)
    assert second.end() == 3
    second.assert_terminal_restored()
    assert len(said(second)) == 1


def test_a_wrong_configuration_is_one_line_and_2(start: Start, tmp_path: Path) -> None:
    config_file(tmp_path).write_text("[risk]\nmax_open_position = 3\n", encoding="utf-8")
    run = start("--venue", "sim")
    assert run.end() == 2
    run.assert_terminal_restored()
    (line,) = said(run)
    assert "max_open_positions" in line


def said(run: RealRun) -> list[str]:
    """What stands on the terminal once the screen has been left."""
    after = run.output.rpartition(b"\x1b[?1004l")[2].decode()
    return [line for line in after.replace("\x1b[?25h", "").splitlines() if line.strip("\x1b[0m ")]


def held(state: Path) -> int:
    """The shares that the simulated broker still owes us."""
    with closing(sqlite3.connect(state / "exchange-sim.db")) as connection:
        rows = connection.execute("SELECT document FROM executions").fetchall()
    executions = [json.loads(document) for (document,) in rows]
    return sum(e["qty"] if e["side"] == "buy" else -e["qty"] for e in executions)
