"""`tui-trader sweep` from end to end: resumed after a kill, interrupted, with mistakes, for programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.making import DAYS, bars, bars_file, user_strategy
from tui_trader.cli import main

Sweep = Callable[..., int]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars_file(tmp_path_factory.mktemp("bars") / "bars.csv", bars())


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def sweep(recorded: Path) -> Sweep:
    """Run the command in this process; the exit code."""

    def run(*words: str, jobs: str = "1", strategy: str = "sma_cross") -> int:
        return main(["sweep", "--bars", str(recorded), "--strategy", strategy, "--jobs", jobs, *words])

    return run


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# ---- what it finds -----------------------------------------------------------------------------------


def test_sets_are_ranked_by_the_metric_with_held_out_figures_beside(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("--set", "sma_fast=4..12:4", "sma_slow=20,30", "--metric", "win_rate", "--json", "-") == 0
    found = document(capsys)
    assert found["in_sample"] == {"first": "2024-06-03", "last": "2024-06-13"}
    assert found["out_of_sample"] == {"first": "2024-06-14", "last": "2024-06-18"}
    rows = found["rows"]
    assert len(rows) == 6
    rates = [row["in_sample"]["metrics"]["win_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert all(row["out_of_sample"]["metrics"]["trades"] > 0 for row in rows)
    assert {(row["parameters"]["sma_fast"], row["config"]["sma_slow"]) for row in rows} == {
        (fast, slow) for fast in ("4", "8", "12") for slow in (20, 30)
    }
    assert found["jobs"] == {"total": 12, "finished_before": 0}


def test_a_sets_figures_are_those_of_the_backtest_command(
    sweep: Sweep, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = bars_file(tmp_path / "few.csv", bars(DAYS[:5]))
    assert (
        main(
            ["backtest", "--bars", str(few), "--strategy", "sma_cross", "--set", "sma_fast=7", "--json", "-"]
        )
        == 0
    )
    alone = document(capsys)
    assert (
        main(["sweep", "--bars", str(few), "--strategy", "sma_cross", "--set", "sma_fast=7,8", "--json", "-"])
        == 0
    )
    rows = document(capsys)["rows"]
    (row,) = [row for row in rows if row["parameters"] == {"sma_fast": "7"}]
    assert row["in_sample"]["final_equity"] == alone["final_equity"]
    assert row["in_sample"]["metrics"].items() <= alone["metrics"].items()
    assert row["out_of_sample"] is None


def test_the_table_is_the_same_from_one_process_and_from_several(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--set", "sma_fast=4..9", "--fresh")
    assert sweep(*words) == 0
    alone = capsys.readouterr().out
    assert sweep(*words, jobs="2") == 0
    assert capsys.readouterr().out == alone
    assert alone.splitlines()[:3] == [
        "sma_cross on AAA, BBB: 6 parameter sets by sharpe",
        "In sample: 2024-06-03 to 2024-06-13, 9 sessions",
        "Held out:  2024-06-14 to 2024-06-18, 3 sessions",
    ]
    assert max(map(len, alone.splitlines()[:10])) <= 80


def test_walk_forward_judges_each_choice_on_the_sessions_after_it(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--set", "sma_fast=4..8", "--walk-forward", "train=5d,test=3d")
    assert sweep(*words, "--json", "-") == 0
    found = document(capsys)
    assert [(step["train"], step["test"]["last"]) for step in found["steps"]] == [
        ({"first": "2024-06-03", "last": "2024-06-07"}, "2024-06-12"),
        ({"first": "2024-06-06", "last": "2024-06-12"}, "2024-06-17"),
        ({"first": "2024-06-11", "last": "2024-06-17"}, "2024-06-18"),
    ]
    tests = [step["out_of_sample"]["metrics"]["trades"] for step in found["steps"]]
    assert found["account"]["metrics"]["trades"] == pytest.approx(sum(tests), abs=3)  # sizes differ a little
    assert found["jobs"] == {"total": 3 * 5 + 3 + 1, "finished_before": 0}
    assert sweep(*words) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n2024-06-") == 3
    assert "Out of sample in one account: sharpe" in shown.out
    assert "19 of 19 backtests were finished before" in shown.err


def test_a_file_of_json_goes_with_the_table(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("--set", "sma_fast=4,5", "--json", str(tmp_path / "sweep.json"), "--top", "1") == 0
    assert "1 of 2 parameter sets shown." in capsys.readouterr().out
    assert len(json.loads((tmp_path / "sweep.json").read_text())["rows"]) == 2


# ---- what is kept ------------------------------------------------------------------------------------


def test_nothing_that_is_finished_is_run_again_unless_asked(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user_strategy(tmp_path / "config", monkeypatch)
    log = tmp_path / "log"
    monkeypatch.setenv("PROBE_LOG", str(log))

    def runs(*words: str) -> int:
        log.write_text("")
        assert sweep("--set", *words, strategy="probe") == 0
        return len(log.read_text().split())

    symbols = 2
    assert runs("number=1..3") == 3 * 2 * symbols
    assert runs("number=1..3") == 0
    assert "6 of 6 backtests were finished before" in capsys.readouterr().err
    assert runs("number=1..4") == 2 * symbols
    assert "6 of 8 backtests were finished before" in capsys.readouterr().err
    assert runs("number=1..3", "--cash", "5000") == 6 * symbols
    assert runs("number=1..3", "--fresh") == 6 * symbols
    user_strategy(tmp_path / "config", monkeypatch, text=(tmp_path / "config").joinpath(
        "tui-trader/strategies/probe.py").read_text() + "\n# mended\n")  # fmt: skip
    assert runs("number=1..3") == 6 * symbols


def test_a_corrupt_result_is_computed_again(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kept"
    words = ("--set", "sma_fast=4,5", "--results", str(folder))
    assert sweep(*words) == 0
    first = capsys.readouterr().out
    victim = min(folder.glob("*.json"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[:50])
    assert sweep(*words) == 0
    shown = capsys.readouterr()
    assert shown.out == first
    assert "3 of 4 backtests were finished before" in shown.err
    assert victim.read_bytes() == whole


# ---- killed and interrupted --------------------------------------------------------------------------


class Blocked:
    """A sweep of six numbers in a process of its own; 5 and 6 never end. ``reached`` waits for them."""

    def __init__(self, recorded: Path, folder: Path) -> None:
        self.log = folder / "log"
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        self._environ = {**os.environ, "PROBE_LOG": str(self.log)}
        blocking = {"PROBE": "block:5,6", "PROBE_FIFO": str(fifo)}
        self._command = [
            sys.executable, "-m", "tui_trader.cli", "sweep", "--bars", str(recorded), "--symbols", "AAA",
            "--strategy", "probe", "--set", "number=1..6", "--jobs", "2", "--results", str(folder / "kept"),
            "--json", "-",
        ]  # fmt: skip
        self.process = self._popen(self._environ | blocking)
        self._reader = fifo.open("rb", buffering=0)

    def _popen(self, environ: dict[str, str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._command, env=environ, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def reached(self) -> None:
        """Both workers are in a backtest that does not end, so those before it are finished."""
        assert self._reader.read(1) == b"x"
        assert self._reader.read(1) == b"x"

    def workers_ended(self) -> bool:
        """Waits until nobody holds the FIFO any more."""
        return self._reader.read(1) == b""

    def again(self) -> tuple[dict[str, Any], str, Counter[str]]:
        """The same command without blocking: its JSON, what it said, and which numbers it ran."""
        self.log.write_text("")
        process = self._popen(self._environ)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return json.loads(out), err, Counter(self.log.read_text().split())


@pytest.fixture
def blocked(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blocked:
    user_strategy(tmp_path / "config", monkeypatch)
    found = Blocked(recorded, tmp_path)
    found.reached()
    return found


def _resumes(blocked: Blocked) -> None:
    found, said, ran = blocked.again()
    assert found["jobs"] == {"total": 12, "finished_before": 4}
    assert "4 of 12 backtests were finished before" in said
    assert ran == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 2, "6": 2}  # held-out windows, and what was cut off
    assert len(found["rows"]) == 6


def test_a_killed_sweep_takes_its_workers_along_and_resumes_without_repeating(blocked: Blocked) -> None:
    blocked.process.kill()
    blocked.process.wait()
    assert blocked.workers_ended()
    _resumes(blocked)


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(blocked: Blocked) -> None:
    os.killpg(blocked.process.pid, signal.SIGINT)
    out, err = blocked.process.communicate()
    assert blocked.process.returncode == 130
    assert out == ""
    kept = "4 of 12 backtests are finished and kept: the same command goes on from there"
    assert err == f"tui-trader: interrupted; {kept}\n"
    assert blocked.workers_ended()
    _resumes(blocked)


def test_a_killed_worker_ends_the_sweep_with_a_line_and_it_resumes(blocked: Blocked) -> None:
    import psutil

    workers = [
        child
        for child in psutil.Process(blocked.process.pid).children()
        if any("spawn_main" in word for word in child.cmdline())
    ]
    assert len(workers) == 2
    workers[0].kill()
    out, err = blocked.process.communicate()
    assert blocked.process.returncode == 1
    assert out == ""
    assert err.startswith(
        "tui-trader: a worker process died: it was killed, or memory ran out; 4 of 12 backtests"
    )
    assert err.count("\n") == 1
    assert blocked.workers_ended()
    _resumes(blocked)


def test_two_sweeps_at_once_on_one_folder_agree(recorded: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "tui_trader.cli", "sweep", "--bars", str(recorded), "--strategy", "sma_cross",
        "--set", "sma_fast=4..9", "--jobs", "2", "--results", str(tmp_path / "kept"),
    ]  # fmt: skip
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0][0] == said[1][0] != ""
    assert len(list((tmp_path / "kept").iterdir())) == 12


# ---- mistakes ----------------------------------------------------------------------------------------


def test_a_strategy_that_raises_fails_its_own_rows_only(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user_strategy(tmp_path / "config", monkeypatch)
    monkeypatch.setenv("PROBE", "raise:2")
    assert sweep("--set", "number=1..3", strategy="probe", jobs="2") == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in shown[4:7]] == ["1", "3", "2"]
    assert shown[6].split()[2:4] == ["failed", "failed"]
    assert shown[-3] == "2 backtests failed:"
    for line in shown[-2:]:  # in sample and held out
        assert "1 × strategy probe failed on AAA, candle of 2024-06-" in line
        assert "ValueError: cannot do 2" in line
        assert line.isprintable()
    assert sweep("--set", "number=1..3", "--json", "-", strategy="probe") == 0
    rows = document(capsys)["rows"]
    assert "cannot do 2" in rows[2]["in_sample"]["error"]
    assert "error" not in rows[0]["in_sample"]


@pytest.mark.parametrize("extra", [(), ("--walk-forward", "train=5d,test=3d")])
def test_when_every_backtest_fails_the_exit_code_is_1(
    extra: tuple[str, ...], sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    user_strategy(tmp_path / "config", monkeypatch)
    monkeypatch.setenv("PROBE", "raise:1,2")
    assert sweep("--set", "number=1,2", *extra, strategy="probe") == 1
    assert "backtests failed:" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_a_strategy_prints_does_not_get_into_the_json(
    jobs: str, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_strategy(tmp_path / "config", monkeypatch)
    command = [
        sys.executable, "-m", "tui_trader.cli", "sweep", "--bars", str(recorded), "--strategy", "probe",
        "--set", "number=1,2", "--jobs", jobs, "--json", "-",
    ]  # fmt: skip
    run = subprocess.run(command, env=os.environ | {"PROBE": "print:1,2"}, capture_output=True, text=True)
    assert run.returncode == 0
    assert len(json.loads(run.stdout)["rows"]) == 2
    assert "noise" in run.stderr


def test_the_strategys_exit_is_not_ours(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user_strategy(tmp_path / "config", monkeypatch)
    monkeypatch.setenv("PROBE", "exit:1")
    assert sweep("--set", "number=1,2", strategy="probe") == 0
    assert "2 backtests failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "sma_fast=400"), "--set: sma_fast = 400: must be at most 100"),
        (("--set", "sma_fast=1..3:x"), "--set sma_fast=1..3:x: not a range"),
        (("--metric", "sharp"), "--metric sharp: did you mean sharpe?"),
        (("--walk-forward", "5"), "--walk-forward 5: write train=60d,test=20d"),
        (
            ("--walk-forward", "train=12d,test=1d"),
            "the bars have 12 sessions, at least 13 are needed: shorten train, or give more bars\n",
        ),
        (
            ("--walk-forward", "train=1d,test=1d", "--set", "atr_stop_multiple=1..9.9:0.0005"),
            "11 steps × 17,801 sets; at most 100,000 backtests are run",
        ),
        (("--jobs", "2000"), "--jobs 2000: at most 1,024 processes are started"),
        (("--scheduler", "nowhere"), "--scheduler nowhere: write HOST:PORT"),
        (("--scheduler", "localhost:1"), "--jobs and --scheduler exclude each other"),
        (("--symbols", "ZZZ"), "no bars of ZZZ"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: tuple[str, ...], message: str, sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_outputs_are_checked_before_any_work(
    sweep: Sweep, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("--json", str(tmp_path / "no" / "folder.json")) == 2
    assert "there is no folder" in capsys.readouterr().err
    before = recorded.read_bytes()
    assert sweep("--json", str(recorded)) == 2
    assert "is read by this command" in capsys.readouterr().err
    assert recorded.read_bytes() == before
    (tmp_path / "file").write_text("")
    assert sweep("--results", str(tmp_path / "file")) == 2
    assert "results folder" in capsys.readouterr().err


def test_symbols_without_bars_are_told(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--symbols", "AAA,ZZZ") == 0
    assert "tui-trader: no bars of ZZZ, though asked for" in capsys.readouterr().err


def test_without_dask_there_is_a_line_that_says_how_to_get_it(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", "--bars", str(recorded), "--scheduler", "127.0.0.1:8786"]) == 2
    assert "pip install 'tui-trader[cluster]'" in capsys.readouterr().err
