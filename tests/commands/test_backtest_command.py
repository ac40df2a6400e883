"""`tui-trader backtest` from the command line: its outputs, and one line for each thing done wrong."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import random
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.backtest.making import session
from tui_trader.backtest.runner import BacktestRunner
from tui_trader.cli import main
from tui_trader.commands import backtest as command
from tui_trader.core.calendar import FixedCalendar
from tui_trader.paths import default_config_path

DAYS = tuple(session(date(2026, 6, day)) for day in (1, 2, 3))
HEADER = "symbol,timestamp,open,high,low,close,volume"
EASTERN = timezone(timedelta(hours=-4))
Row = tuple[str, datetime, str]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, a pipe of 80 columns, and three sessions that need not be loaded."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name in os.environ if name.startswith("TUI_TRADER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(command, "NyseCalendar", lambda: FixedCalendar(DAYS))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = main(["backtest", "--strategy", "sma_cross", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def rows_of(symbol: str = "AAPL", height: float = 2.0, phase: float = 0.0) -> list[Row]:
    """Three sessions of a price that swings around 100 dollars, so that averages cross many times."""
    found, price = [], 100.0
    for number, day in enumerate(DAYS):
        for minute in range(day.minutes):
            opened = price
            price = round(100 + height * math.sin((number * 390 + minute + phase) / 25), 2)
            high, low = max(opened, price) + 0.02, min(opened, price) - 0.02
            time = day.open + timedelta(minutes=minute)
            found.append((symbol, time, f"{opened:.2f},{high:.2f},{low:.2f},{price:.2f},5000"))
    return found


def written(path: Path, rows: Sequence[Row], form: Callable[[datetime], str] | None = None) -> Path:
    form = form or (lambda time: time.isoformat())
    lines = [f"{symbol},{form(time)},{values}" for symbol, time, values in rows]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    return written(tmp_path / "bars.csv", rows_of())


def outcome(run: Run, *arguments: object) -> dict[str, Any]:
    """The JSON of a run that must succeed, without what depends on the machine."""
    code, out, _ = run("--json", "-", *arguments)
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    del found["elapsed_s"], found["bars_per_s"]
    return found


def failure(run: Run, *arguments: object, code: int = 2) -> str:
    """The one line that a run which must fail leaves."""
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("tui-trader: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.removeprefix("tui-trader: ").rstrip("\n")


def user_strategy(body: str, name: str = "mine") -> None:
    folder = default_config_path().parent / "strategies"
    folder.mkdir(parents=True, mode=0o700)
    text = f"""
from decimal import Decimal
from tui_trader.strategies.base import Strategy

class Mine(Strategy):
    candle_interval_minutes = 5
    required_history = 3
    indicators = {{}}
    def entry_price(self, view): return Decimal(repr(view.high))
    def stop_loss_price(self, view): return Decimal(repr(view.low)) - 1
    def should_long(self, view):
        {body}
"""
    (folder / f"{name}.py").write_text(text)
    (folder / f"{name}.py").chmod(0o600)


# ---- outputs -----------------------------------------------------------------------------------------


def test_the_summary_goes_to_standard_output_and_nothing_beside_it(run: Run, bars: Path) -> None:
    code, out, err = run("--bars", bars)
    assert (code, err) == (0, "")
    assert out.startswith("Backtest of sma_cross: 1 symbol, 2026-06-01 to 2026-06-03, 3 sessions\n")
    assert "\n  bars        1,170\n" in out
    assert "\nFigures\n" in out
    assert "\x1b" not in out


def test_json_and_trades_say_the_same(run: Run, bars: Path, tmp_path: Path) -> None:
    code, out, _ = run("--bars", bars, "--json", tmp_path / "r.json", "--trades", tmp_path / "t.csv")
    assert code == 0
    assert "Figures" in out
    found = json.loads((tmp_path / "r.json").read_text())
    trades = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert len(trades) == found["metrics"]["trades"] == len(found["trades"]) > 3
    assert [item["pnl"] for item in trades] == [item["pnl"] for item in found["trades"]]
    assert found["bars"] == 1170
    assert found["equity"][0] == ["2026-06-01T13:30:00Z", "100000"]
    assert found["equity"][-1][1] == found["final_equity"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_json_to_standard_output_is_there_alone(run: Run, bars: Path) -> None:
    code, out, err = run("--bars", bars, "--json", "-")
    assert code == 0
    assert json.loads(out)["strategy"] == "sma_cross"
    assert err.startswith("Backtest of sma_cross: ")


def test_what_a_strategy_prints_is_kept_out_of_the_json(run: Run, bars: Path) -> None:
    user_strategy("print('hello'); return False")
    code, out, err = run("--bars", bars, "--strategy", "mine", "--json", "-")
    assert (code, json.loads(out)["strategy"]) == (0, "mine")
    assert "hello" in err


def test_an_older_result_is_replaced(run: Run, bars: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("x" * 1_000_000)
    assert run("--bars", bars, "--json", path)[0] == 0
    json.loads(path.read_text())


def test_the_page_is_written_when_it_can_be_drawn(run: Run, bars: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    assert run("--bars", bars, "--html", tmp_path / "r.html")[0] == 0
    assert "<html" in (tmp_path / "r.html").read_text()[:200]


def test_options_reach_the_run(run: Run, bars: Path) -> None:
    found = outcome(
        run, "--bars", bars, "--cash", "50000.50", "--slippage-ticks", "0", "--set", "sma_fast=5",
        "--set", "risk.max_open_positions=1", "session.flatten_before_close_min=5",
    )  # fmt: skip
    assert (found["cash"], found["slippage_ticks"], found["config"]["sma_fast"]) == ("50000.50", 0, 5)
    other = outcome(run, "--bars", bars)
    assert other["config"]["sma_fast"] == 10
    assert other["trades"] != found["trades"]


def test_the_real_calendar_knows_the_sessions(run: Run, bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = outcome(run, "--bars", bars)
    from tui_trader.engine.nyse import NyseCalendar

    monkeypatch.setattr(command, "NyseCalendar", NyseCalendar)
    assert outcome(run, "--bars", bars) == fixed


# ---- bars that are odd -------------------------------------------------------------------------------


def test_the_order_of_rows_and_files_does_not_matter(run: Run, tmp_path: Path) -> None:
    rows = [*rows_of("AAPL"), *rows_of("TSLA", phase=40)]
    whole = written(tmp_path / "whole.csv", sorted(rows, key=lambda row: row[1]))
    random.Random(5).shuffle(rows)
    one, two = written(tmp_path / "one.csv", rows[:999]), written(tmp_path / "two.csv", rows[999:])
    assert outcome(run, "--bars", one, two) == outcome(run, "--bars", whole)


def test_offsets_of_any_zone_mean_the_same_minute(run: Run, bars: Path, tmp_path: Path) -> None:
    zones = (UTC, EASTERN, timezone(timedelta(hours=5, minutes=30)))
    forms = iter(range(10_000))
    mixed = written(
        tmp_path / "mixed.csv", rows_of(), lambda time: time.astimezone(zones[next(forms) % 3]).isoformat()
    )
    assert outcome(run, "--bars", mixed) == outcome(run, "--bars", bars)


def test_a_time_without_zone_stops_with_its_line(run: Run, tmp_path: Path) -> None:
    naive = written(tmp_path / "naive.csv", rows_of(), lambda time: f"{time:%Y-%m-%dT%H:%M:%S}")
    assert failure(run, "--bars", naive) == (
        f"{naive} line 2: timestamp '2026-06-01T13:30:00' has no offset; write Z or an offset such as -04:00"
    )


def test_a_bar_given_twice_stops_or_is_counted(run: Run, tmp_path: Path) -> None:
    rows = rows_of()
    twice = written(tmp_path / "twice.csv", [*rows[:10], rows[4], *rows[10:]])
    text = failure(run, "--bars", twice)
    assert text.startswith(f"{twice} line 12: AAPL at 2026-06-01T13:34Z is also in {twice} line 6")
    code, out, _ = run("--bars", twice, "--skip-bad")
    assert code == 0
    assert "1 bad row skipped" in out


def test_holes_are_counted_and_told(run: Run, tmp_path: Path) -> None:
    rows = rows_of()
    holes = written(tmp_path / "holes.csv", [*rows[:100], *rows[130:500], *rows[501:]])
    code, out, _ = run("--bars", holes)
    assert code == 0
    assert "31 session minutes without a bar (AAPL 31)" in out
    assert outcome(run, "--bars", holes)["notes"]["missing"] == {"AAPL": 31}


def test_bars_beyond_regular_hours_are_left_out_and_told(run: Run, tmp_path: Path) -> None:
    early = [("AAPL", DAYS[0].open - timedelta(minutes=5), "1,1,1,1,1")]
    path = written(tmp_path / "early.csv", [*early, *rows_of()])
    assert "1 bar outside regular hours left out" in run("--bars", path)[1]


def test_bars_of_no_session_at_all_are_one_line(run: Run, tmp_path: Path) -> None:
    sunday = [("AAPL", datetime(2026, 6, 1, 3, 0, tzinfo=UTC), "1,1,1,1,1")]
    assert "regular session" in failure(run, "--bars", written(tmp_path / "night.csv", sunday))


def test_a_symbol_without_bars_is_told(run: Run, bars: Path) -> None:
    code, out, _ = run("--bars", bars, "--symbols", "AAPL,IBM")
    assert code == 0
    assert "  No bars of IBM, though asked for.\n" in out
    assert outcome(run, "--bars", bars, "--symbols", "AAPL,IBM")["notes"]["absent"] == ["IBM"]


def test_no_bars_of_any_symbol_are_an_error(run: Run, bars: Path) -> None:
    assert failure(run, "--bars", bars, "--symbols", "IBM,GE") == (
        f"{bars}: no bars of GE, IBM; there are bars of AAPL"
    )


def test_a_symbol_with_too_little_history_is_told(run: Run, tmp_path: Path) -> None:
    few = written(tmp_path / "few.csv", [*rows_of("AAPL"), *rows_of("TSLA")[:40]])
    code, out, _ = run("--bars", few, "--set", "sma_slow=200")
    assert code == 0
    words = " ".join(out.split())
    assert "TSLA never had the 201 candles sma_cross needs: no signal was possible." in words


# ---- files that are no bars --------------------------------------------------------------------------


def test_files_that_cannot_be_read_are_one_line(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    assert failure(run, "--bars", missing).startswith(f"{missing}: ")
    assert failure(run, "--bars", tmp_path).startswith(f"{tmp_path}: ")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", bytes(range(256)) * 40, "the header lacks symbol"),
        ("a.csv", b"\x7fELF\x02\x01\x01\x00\x1b[2J\n\x00", "the header lacks symbol"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", f"{HEADER}\n".encode(), "no bars below the header"),
        ("a.csv", b"\x1f\x8b\x08\x00", "rename it to end in .gz"),
        ("a.csv.gz", f"{HEADER}\n".encode(), "rename it to .csv"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00\x00", ""),
        ("a.csv", f"{HEADER}\nAAPL,2026-06-01T13:30Z,1,1,1,x,1\n".encode(), "line 2: close 'x' is not"),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_one_line(
    run: Run, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = failure(run, "--bars", path)
    assert text.startswith(str(path))
    assert reason in text
    assert text.isprintable()


# ---- parameters and strategies -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("sma_fst=5", "--set: sma_fst: did you mean sma_fast?"),
        ("zzz=5", "--set: zzz: sma_cross has no such parameter"),
        ("sma_fast=1", "--set: sma_fast = 1: must be at least 2"),
        ("sma_fast=x", "--set: sma_fast = x: must be a whole number"),
        ("sma_fast", "--set sma_fast: write key=value"),
        ("=5", "--set =5: write key=value"),
        ("risk.max_open_position=5", "did you mean"),
        ("risk.max_open_positions=99", "max_open_positions"),
        ("session.flatten_before_close_min=0", "flatten_before_close_min"),
    ],
)
def test_a_parameter_that_cannot_be_is_one_line_with_the_cure(
    run: Run, bars: Path, given: str, line: str
) -> None:
    assert line in failure(run, "--bars", bars, "--set", given)


def test_a_parameter_given_twice_is_refused(run: Run, bars: Path) -> None:
    assert failure(run, "--bars", bars, "--set", "sma_fast=5", "sma_fast=6") == "--set sma_fast: given twice"


def test_an_unknown_strategy_gets_the_nearest_name(run: Run, bars: Path) -> None:
    assert failure(run, "--bars", bars, "--strategy", "velz") == (
        "--strategy: unknown strategy 'velz': did you mean velez?"
    )


def test_a_strategy_that_raises_is_named_with_symbol_and_candle(run: Run, bars: Path, tmp_path: Path) -> None:
    user_strategy("if view.count == 10: raise ValueError('two\\nlines')")
    target = tmp_path / "r.json"
    text = failure(run, "--bars", bars, "--strategy", "mine", "--json", target, code=1)
    assert "mine" in text
    assert "AAPL" in text
    assert "2026-06-01 14:15" in text
    assert "ValueError" in text
    assert text.isprintable()
    assert not target.exists()


def test_a_strategy_that_never_signals_is_said_to_have_made_no_trades(run: Run, bars: Path) -> None:
    user_strategy("return False")
    code, out, _ = run("--bars", bars, "--strategy", "mine")
    assert code == 0
    assert "No trades: none of the 234 candles gave a signal.\n" in out
    found = outcome(run, "--bars", bars, "--strategy", "mine")
    assert found["trades"] == []
    assert found["final_equity"] == found["cash"] == "100000"
    assert {found["metrics"][name] for name in ("sharpe", "win_rate", "profit_factor")} == {None}


def test_signals_that_are_all_refused_are_told_by_rule(run: Run, bars: Path) -> None:
    code, out, _ = run("--bars", bars, "--cash", "50")
    assert code == 0
    assert "was refused (size " in out
    found = outcome(run, "--bars", bars, "--cash", "50")
    assert found["rejections"] == {"size": found["signals"]}


# ---- outputs that cannot be --------------------------------------------------------------------------


def test_an_output_that_cannot_be_written_is_told_before_the_bars_are_read(run: Run, tmp_path: Path) -> None:
    unread = tmp_path / "not there.csv"
    path = tmp_path / "none" / "out"
    for option in ("--json", "--trades", "--html"):
        assert failure(run, "--bars", unread, option, path) == (
            f"{option} {path}: there is no folder {path.parent}: make it first"
        )
        assert "is not a regular file" in failure(run, "--bars", unread, option, tmp_path)


def test_bars_are_not_written_over(run: Run, bars: Path) -> None:
    before = bars.read_bytes()
    assert failure(run, "--bars", bars, "--json", bars).endswith(
        "is read by this command: choose another name"
    )
    assert bars.read_bytes() == before


def test_two_outputs_need_two_files(run: Run, bars: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    text = failure(run, "--bars", bars, "--json", path, "--trades", tmp_path / "." / "out")
    assert text == f"--json and --trades name the same file, {path}: choose two names"


def test_trades_do_not_go_to_standard_output(run: Run, bars: Path) -> None:
    assert failure(run, "--bars", bars, "--trades", "-").startswith("--trades -: only --json can")


def test_a_page_without_plotly_is_told_before_the_bars_are_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    text = failure(run, "--bars", tmp_path / "not there.csv", "--html", tmp_path / "r.html")
    assert text == "--html needs plotly: pip install 'tui-trader[report]'"


def test_ctrl_c_ends_quietly_and_leaves_no_file(
    run: Run, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BacktestRunner, "run", interrupted)
    assert run("--bars", bars, "--json", tmp_path / "r.json") == (130, "", "")
    assert not (tmp_path / "r.json").exists()


class _Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_standard_output_that_is_full_is_one_line(
    run: Run, bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", _Full())
    assert failure(run, "--bars", bars, code=1) == (
        "standard output cannot be written: No space left on device"
    )


def test_a_closed_standard_output_keeps_the_files_and_refuses_json(
    run: Run, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert run("--bars", bars, "--json", tmp_path / "r.json") == (0, "", "")
    json.loads((tmp_path / "r.json").read_text())
    assert failure(run, "--bars", bars, "--json", "-", code=1) == "--json -: standard output is closed"


def test_a_standard_error_that_is_full_does_not_spoil_the_json(
    run: Run, bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", _Full())
    code, out, _ = run("--bars", bars, "--json", "-")
    assert (code, json.loads(out)["bars"]) == (0, 1170)
