"""The installed program on a real terminal: a backtest beside the running engine, and how both end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.backtest.waves import write_waves
from tests.tui.real_terminal import RealRun

SIM = ("--venue", "sim", "--seed", "7", "--control", "off")
PATIENCE = 30.0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RealRun]:
    program = RealRun(*SIM, "--state-dir", str(tmp_path / "state"), width=120, height=40)
    yield program
    program.close()


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def worker_of(run: RealRun) -> psutil.Process:
    wait_for(lambda: psutil.Process(run.pid).children())
    (worker,) = psutil.Process(run.pid).children()
    return worker


def choose_bars(run: RealRun, path: Path) -> None:
    run.type("\r")
    run.see("Space marks")
    run.type("/")
    run.see(f"{Path.cwd()}/ ")
    run.type("\x15")  # Ctrl-U: what stands there goes
    run.see("types a path")
    run.type(f"{path}\r")
    run.see(path.name, "r Run")


def test_a_backtest_runs_beside_the_engine_and_shows_its_result(run: RealRun, tmp_path: Path) -> None:
    bars = write_waves(tmp_path / "waves.csv")
    run.see("RUNNING")
    run.type("b")
    run.see("tightness_threshold_pct", "RUNNING")
    choose_bars(run, bars)
    worker = worker_of(run)
    assert worker.nice() > psutil.Process(run.pid).nice()
    run.type("r")
    run.see("3 Trades", "Profit factor", "RUNNING")
    run.type("p")
    run.see("PAUSED", "3 Trades")
    run.type("\x1b")
    run.see("tightness_threshold_pct")
    run.type("b")
    run.see("1 Watchlist", "PAUSED")
    run.type("q")
    run.wait(lambda text: not run.running or "Shutting" in text or "close everything" in text)
    if run.running and "close everything" in run.text:
        run.type("e")
    assert run.end(PATIENCE) == 0
    run.assert_terminal_restored()
    wait_for(lambda: not worker.is_running())


@pytest.mark.parametrize("how", ["close", "TERM", "KILL"])
def test_however_the_program_ends_the_backtest_process_ends_too(run: RealRun, how: str) -> None:
    run.see("RUNNING")
    run.type("b")
    run.see("tightness_threshold_pct")
    worker = worker_of(run)
    if how == "close":
        run.hang_up()
    else:
        run.signal(signal.Signals[f"SIG{how}"])
    run.end(PATIENCE)
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
