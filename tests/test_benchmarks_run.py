"""Benchmarks are read by people, not by CI; CI makes sure that they can still be run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def throughput(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("benchmark")
    command = [
        sys.executable, "benchmarks/backtest_throughput.py", "--bars", "12000", "--rounds", "1",
        "--peers", str(folder / "absent"), "--json", str(folder / "found.json"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "without the peers" in done.stderr
    found: dict[str, object] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found


def test_backtest_throughput_runs_without_the_peers(throughput: dict[str, list[dict[str, object]]]) -> None:
    rows = {str(row["engine"]): row for row in throughput["engines"]}
    assert [name for name in rows if name.startswith(("Backtesting", "nautilus"))] == []
    assert sum(name.startswith("ours") for name in rows) == 6
    assert sum(name.startswith("bound") for name in rows) == 2
    assert all(int(str(row["bars_per_s"])) > 0 for row in rows.values())


def test_candidates_change_speed_and_no_trade(throughput: dict[str, list[dict[str, object]]]) -> None:
    trades = {str(row["engine"]): row["trades"] for row in throughput["engines"]}
    for strategy in ("sma_cross", "velez"):
        asked, jumping = (
            trades[f"ours: {strategy} asked at every candle"],
            trades[f"ours: {strategy} with entry candidates"],
        )
        assert asked == jumping
        assert int(str(asked)) > 0


def test_an_order_is_timed_from_its_bar(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = [
        sys.executable, "benchmarks/bar_to_order.py", "--symbols", "20", "--frames", "3", "--json", str(found)
    ]  # fmt: skip
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    result = json.loads(found.read_text(encoding="utf-8"))
    assert len(result["each_ms"]) == 3
    assert 0 < result["median_ms"] <= result["p99_ms"] <= result["worst_ms"]
