"""The backtest process: finds what the command finds, and can neither hold up nor outlive whoever asks it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.backtest.making import CASH, curve, result, sessions, trade
from tests.backtest.waves import SETS, write_waves
from tui_trader.backtest.metrics import drawdown, metrics_of
from tui_trader.backtest.setup import make_market, make_plan, parse_sets, read_table
from tui_trader.backtest.worker.client import WorkerClient
from tui_trader.backtest.worker.digest import curve_points, portions, summary_of
from tui_trader.backtest.worker.messages import (
    Answer,
    Check,
    Checked,
    Describe,
    Described,
    Failed,
    Finished,
    Gone,
    Progress,
    Run,
    ShowTrade,
    SomeTrades,
    TradeChart,
)
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.options import BacktestOptions
from tui_trader.paths import default_config_path
from tui_trader.strategies import registry

PATIENCE = 60.0

PREAMBLE = """
import os, signal, sys
from decimal import Decimal
from tui_trader.core.indicators import Indicator
from tui_trader.strategies.base import Strategy, StrategyConfig

class Mine(Strategy):
    name = "mine"
    candle_interval_minutes = 1
    required_history = 1
    indicators = {}
    def entry_price(self, view): return Decimal(repr(view.high))
    def stop_loss_price(self, view): return Decimal(repr(view.low))
    def should_long(self, view):
"""


class Talk:
    """A worker and what it has answered."""

    def __init__(self) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        self.client = WorkerClient(self.answers.put)

    def next(self) -> Answer:
        return self.answers.get(timeout=PATIENCE)

    def until(self, *kinds: type[Answer]) -> list[Answer]:
        """Everything up to the first answer of these kinds."""
        heard = [self.next()]
        while not isinstance(heard[-1], kinds):
            heard.append(self.next())
        return heard

    def run(self, options: BacktestOptions, number: int = 1) -> list[Answer]:
        self.client.send(Run(number, options))
        return self.until(Finished, Failed, Gone)


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    return write_waves(tmp_path / "waves.csv")


@pytest.fixture
def strategies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of strategies, which is nobody's real one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = default_config_path().parent / "strategies"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def talk(strategies: Path) -> Iterator[Talk]:
    talk = Talk()
    yield talk
    talk.client.close()


def crossing(bars: Path, **changes: object) -> BacktestOptions:
    return BacktestOptions((bars,), strategy="sma_cross", sets=SETS, **changes)  # type: ignore[arg-type]


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# ---- what can be chosen --------------------------------------------------------------------------------


def test_every_strategy_is_offered_with_the_bounds_of_its_parameters(talk: Talk, strategies: Path) -> None:
    (strategies / "mine.py").write_text(PREAMBLE + "        return False\n")
    talk.client.send(Describe(None))
    described = talk.next()
    assert isinstance(described, Described)
    built_in = [strategy.name for strategy in registry._BUILT_IN]
    assert [name for name, _ in described.names] == [*built_in, "mine"]
    assert described.strategy == "velez"
    fast = next(parameter for parameter in described.parameters if parameter.name == "sma_fast")
    assert (fast.value, fast.default, fast.bounds, fast.note) == ("20", "20", "5–50", "candles")
    interval = next(p for p in described.parameters if p.name == "candle_interval_minutes")
    assert interval.choices == ("1", "2", "5", "10")


def test_parameters_start_at_what_is_configured(talk: Talk, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[routes]]\nsymbols = ["A"]\nstrategy = "sma_cross"\n[routes.config]\nsma_fast = 7\n')
    config.chmod(0o600)
    talk.client.send(Describe(config))
    described = talk.next()
    assert isinstance(described, Described)
    assert described.strategy == "sma_cross"
    assert (described.parameters[0].value, described.parameters[0].default) == ("7", "10")


def test_only_the_strategy_that_is_asked_about_is_loaded(
    talk: Talk, strategies: Path, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    (strategies / "other.py").write_text(f"open({str(touched)!r}, 'w')\n")
    (strategies / "broken.py").write_text("raise SystemExit('[red] no')\n")
    talk.client.send(Describe(None, "broken"))
    described = talk.next()
    assert isinstance(described, Described)
    assert "SystemExit: [red] no" in described.problem
    assert {"other", "broken"} <= {name for name, _ in described.names}
    assert not touched.exists()


def test_options_are_checked_without_their_bars(talk: Talk) -> None:
    talk.client.send(Check(1, BacktestOptions((), strategy="velez", sets=("sma_fast=2",))))
    talk.client.send(Check(2, BacktestOptions((), strategy="velez", sets=("sma_fast=9",))))
    wrong, right = talk.next(), talk.next()
    assert isinstance(wrong, Checked)
    assert wrong.number == 1
    assert "sma_fast" in wrong.problem
    assert right == Checked(2, "")


# ---- runs ----------------------------------------------------------------------------------------------


def test_it_finds_what_a_run_in_this_process_finds(talk: Talk, bars: Path) -> None:
    options = crossing(bars)
    plan = make_plan(options, os.environ, parse_sets(options.sets))
    market = make_market(read_table(options), plan, NyseCalendar(), None)
    expected = plan.runner(market).run()
    assert len(expected.trades) > 5
    heard = talk.run(options, number=7)
    finished = heard[-1]
    assert isinstance(finished, Finished)
    trades = [found for answer in heard if isinstance(answer, SomeTrades) for found in answer.trades]
    assert trades == expected.trades
    assert finished.number == 7
    assert finished.summary.metrics == metrics_of(expected)
    assert finished.summary.final_equity == expected.final_equity
    assert ("sma_fast", "5") in finished.summary.config
    stages = [answer.stage for answer in heard if isinstance(answer, Progress)]
    assert list(dict.fromkeys(stages)) == ["reading bars", "making candles", "trading", "adding up"]


def test_the_same_bars_are_read_once_and_changed_ones_again(talk: Talk, bars: Path) -> None:
    def reads(heard: list[Answer]) -> bool:
        return any(isinstance(answer, Progress) and answer.stage == "reading bars" for answer in heard)

    assert reads(talk.run(crossing(bars)))
    assert not reads(talk.run(crossing(bars)))
    write_waves(bars, symbols=("CCC",))
    heard = talk.run(crossing(bars))
    assert reads(heard)
    assert isinstance(heard[-1], Finished)
    assert heard[-1].summary.symbols == ("CCC",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sets": ("sma_fast",)}, "write key=value"),
        ({"sets": ("risk.max_open_positions=99",)}, "at most 20"),
        ({"strategy": "velz"}, "did you mean velez?"),
        ({"symbols": ("ZZZ",)}, "ZZZ"),
        ({"bars": (Path("/nowhere/bars.csv"),)}, "/nowhere/bars.csv"),
    ],
)
def test_a_mistake_is_one_line(talk: Talk, bars: Path, changes: dict[str, object], says: str) -> None:
    options = BacktestOptions(**{"bars": (bars,), **changes})  # type: ignore[arg-type]
    failed = talk.run(options)[-1]
    assert isinstance(failed, Failed)
    assert failed.number == 1
    assert says in failed.problem
    assert "\n" not in failed.problem


@pytest.mark.parametrize(
    "does",
    [
        "raise ValueError('[/x] \\x1b[31m\\nno')",
        "raise SystemExit(3)",
        "raise KeyboardInterrupt",
        "print('hello', flush=True); sys.stderr.write('hello'); raise OSError('no')",
    ],
)
def test_what_a_strategy_does_is_told_in_a_line_and_never_printed(
    talk: Talk, bars: Path, strategies: Path, does: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (strategies / "mine.py").write_text(f"{PREAMBLE}        {does}\n")
    failed = talk.run(BacktestOptions((bars,), strategy="mine"))[-1]
    assert isinstance(failed, Failed)
    assert "mine" in failed.problem or "failed" in failed.problem
    assert failed.problem.isprintable()
    # It is still there for the next one.
    assert isinstance(talk.run(crossing(bars))[-1], Finished)
    assert capfd.readouterr() == ("", "")


# ---- one trade -----------------------------------------------------------------------------------------


def test_a_trade_is_shown_in_its_candles_with_its_stop(talk: Talk, bars: Path) -> None:
    heard = talk.run(crossing(bars))
    trades = [found for answer in heard if isinstance(answer, SomeTrades) for found in answer.trades]
    number = len(trades) // 2
    talk.client.send(ShowTrade(number))
    chart = talk.next()
    assert isinstance(chart, TradeChart)
    assert (chart.trade, chart.symbol, chart.minutes) == (number, trades[number].symbol, 1)
    assert chart.averages == ("SMA 5", "SMA 15")
    times = [candle.time for candle in chart.candles]
    assert times == sorted(times)
    assert int(trades[number].entry_time.timestamp()) in times
    assert int(trades[number].exit_time.timestamp()) in times
    entry = chart.candles[times.index(int(trades[number].entry_time.timestamp()))]
    assert entry.low <= trades[number].entry_price <= entry.high + 0.01
    assert chart.stops[0].time == trades[number].entry_time
    prices = [step.price for step in chart.stops]
    assert prices == sorted(prices)
    assert prices[0] < trades[number].entry_price


@pytest.mark.parametrize("number", [-1, 10_000])
def test_a_trade_that_is_not_at_hand_is_refused(talk: Talk, bars: Path, number: int) -> None:
    talk.client.send(ShowTrade(0))
    assert isinstance(talk.next(), Failed)
    talk.run(crossing(bars))
    talk.client.send(ShowTrade(number))
    failed = talk.next()
    assert isinstance(failed, Failed)
    assert "run the backtest again" in failed.problem


# ---- its life ------------------------------------------------------------------------------------------


def test_it_gives_way_and_hears_no_signal_of_the_terminal(talk: Talk) -> None:
    talk.client.send(Describe(None))
    talk.next()
    process = psutil.Process(talk.client.pid)
    assert process.nice() > psutil.Process().nice()
    assert os.getsid(process.pid) != os.getsid(0)
    assert process.terminal() is None
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    talk.client.send(Describe(None))
    assert isinstance(talk.next(), Described)


@pytest.mark.parametrize("does", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(5)"])
def test_a_process_that_ends_says_how(talk: Talk, bars: Path, strategies: Path, does: str) -> None:
    (strategies / "mine.py").write_text(f"{PREAMBLE}        {does}\n")
    gone = talk.run(BacktestOptions((bars,), strategy="mine"))[-1]
    assert isinstance(gone, Gone)
    assert "SIGKILL" in gone.problem or "exit code 5" in gone.problem


def test_closing_ends_it_amid_a_strategy_that_never_answers(bars: Path, strategies: Path) -> None:
    (strategies / "mine.py").write_text(f"{PREAMBLE}        while True: pass\n")
    talk = Talk()
    talk.client.send(Run(1, BacktestOptions((bars,), strategy="mine")))
    talk.until(Progress)
    talk.client.close()
    wait_for(lambda: is_gone(talk.client.pid))
    while not talk.answers.empty():
        assert isinstance(talk.answers.get(), Progress)


PARENT = """
import sys, time
from pathlib import Path
from tui_trader.backtest.worker.client import WorkerClient
from tui_trader.backtest.worker.messages import Progress, Run
from tui_trader.options import BacktestOptions

def heard(answer):
    if isinstance(answer, Progress) and answer.stage == "trading":
        print(client.pid, flush=True)

client = WorkerClient(heard)
client.send(Run(1, BacktestOptions((Path(sys.argv[1]),), strategy="mine")))
time.sleep(600)
"""


def test_it_does_not_outlive_whoever_started_it(bars: Path, strategies: Path) -> None:
    (strategies / "mine.py").write_text(f"{PREAMBLE}        while True: pass\n")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(bars)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert not is_gone(worker)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: is_gone(worker))


# ---- what is told of a result --------------------------------------------------------------------------


def test_the_curve_begins_with_the_cash_and_ends_with_the_final_equity() -> None:
    days = sessions(3)
    found = result([trade(250)], days=days)
    points = list(curve_points(found))
    assert (points[0].time, points[0].value) == (int(days[0].open.timestamp()), float(CASH))
    assert (points[-1].time, points[-1].value) == (int(days[-1].close.timestamp()), float(CASH) + 250)
    assert [point.time for point in points] == sorted({point.time for point in points})


def test_the_curve_is_short_and_still_holds_the_worst_fall() -> None:
    days = sessions(40)
    dip = days[17].open.timestamp() + 61 * 60
    values = [(day.open, 100_000.0) for day in days] + [(days[-1].close, 100_500.0)]
    values.insert(18, (type(days[0].open).fromtimestamp(dip, days[0].open.tzinfo), 91_000.0))
    values.insert(19, (type(days[0].open).fromtimestamp(dip + 60, days[0].open.tzinfo), 100_000.0))
    found = result(equity=curve(values), days=days)
    points = list(curve_points(found))
    assert len(points) == 2_001
    assert min(point.fall for point in points) == pytest.approx(-0.09)
    assert min(point.fall for point in points) == pytest.approx(drawdown(found)[0])
    assert sum(point.fall < 0 for point in points) <= 2


def test_trades_are_told_in_small_portions() -> None:
    trades = [trade(number) for number in range(-300, 301)]
    told = list(portions(3, trades))
    assert max(len(portion.trades) for portion in told) <= 250
    assert [found for portion in told for found in portion.trades] == trades
    assert [portion.first for portion in told] == [0, 250, 500]


def test_a_summary_says_why_there_are_no_trades() -> None:
    summary = summary_of(result(), 201)
    assert summary.trades == 0
    assert summary.why_no_trades.startswith("No trades")
