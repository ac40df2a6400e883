"""The command line: what it says, how it ends, and that no mistake of a user is ever a traceback."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.alpaca_server.server import AlpacaServer
from tui_trader import __version__, wiring
from tui_trader.cli import main
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.journal.lock import InstanceLock

QUICK = ("--headless", "--speed", "max", "--sessions", "1", "--control", "off")
HEADER = "symbol,timestamp,open,high,low,close,volume\n"
ROW = "AAPL,2026-06-01T13:{:02}:00Z,100,101,99,100.5,1000\n"
CALENDAR = NyseCalendar()  # loaded once for all runs in this process
BARS = HEADER + "".join(ROW.format(minute) for minute in range(30, 40))


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody's settings, keys or running engines, and no signal handler left behind."""
    for name in list(os.environ):
        if name.startswith(("TUI_TRADER_", "APCA_")):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wiring, "NyseCalendar", lambda: CALENDAR)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Outcome(code, *capfd.readouterr())

    return run


def in_a_process(
    arguments: Sequence[object], *, stdin: int | None = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui_trader.cli", *map(str, arguments)]
    return subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=60, check=False)


def assert_one_line(outcome: Outcome, code: int, *parts: str) -> None:
    assert outcome.code == code, outcome
    assert outcome.err.startswith("tui-trader: ")
    assert outcome.err.endswith("\n")
    line = outcome.err.removesuffix("\n")
    assert line.isprintable(), "one line, and nothing that a terminal would obey"
    assert "Traceback" not in line
    for part in parts:
        assert part in line
    assert outcome.out == ""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


# ---- what it says about itself -------------------------------------------------------------------------


def test_the_version_is_printed(cli: Cli) -> None:
    assert cli("--version") == Outcome(0, f"tui-trader {__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("run", "--help"), ("journal", "-h")])
def test_help_goes_to_stdout(cli: Cli, arguments: tuple[str, ...]) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("usage: tui-trader")


def test_help_names_every_command(cli: Cli) -> None:
    said = cli("--help").out
    for command in ("run", "status", "pause", "resume", "flatten", "stop", "journal", "config"):
        assert f"\n    {command}" in said


HEAVY = (
    "textual",
    "pydantic",
    "numpy",
    "pandas",
    "alpaca",
    "aiohttp",
    "sqlite3",
    "exchange_calendars",
    "asyncio",
)


@pytest.mark.parametrize("argument", ["--help", "--version", "--bogus"])
def test_nothing_heavy_is_imported_to_say_a_few_lines(argument: str) -> None:
    code = (
        "import sys\nfrom tui_trader.cli import main\n"
        f"try: main([{argument!r}])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_costs_little_more_than_starting_python() -> None:
    def processor_time(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, timeout=30, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    bare, ours = [], []
    for _ in range(7):  # in turns, so that a busy moment of the machine slows both
        bare.append(processor_time("-c", "pass"))
        ours.append(processor_time("-m", "tui_trader.cli", "--help"))
    assert min(ours) < 8 * min(bare)


# ---- bad usage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["stauts"], "invalid choice: 'stauts'"),
        (["run", "nonsense"], "unrecognized arguments: nonsense"),
        (["status", "--bogus"], "unrecognized arguments: --bogus"),
        (["flatten", "A", "B"], "unrecognized arguments: B"),
        (["journal"], "kind"),
        (["journal", "nothing"], "invalid choice: 'nothing'"),
        (["journal", "orders", "--since", "monday"], "'monday' is not a day: write YYYY-MM-DD"),
        (["stop", "--positions", "maybe"], "invalid choice: 'maybe'"),
        (["config", "destroy"], "invalid choice: 'destroy'"),
        (["--venue", "mars"], "invalid choice: 'mars'"),
        *(
            (["--speed", speed], f"argument --speed: '{speed}' is no speed")
            for speed in ("0", "-1", "fast", "nan", "inf", "")
        ),
        *(
            (["--cash", cash], f"argument --cash: '{cash}' is no amount")
            for cash in ("0", "-5", "x", "nan", "sNaN", "inf", "1e13")
        ),
        *(
            (["--seed", seed], f"argument --seed: '{seed}' is no seed")
            for seed in ("-1", "x", "1.5", "", "²")
        ),
        (["--seed", "9" * 5000], "argument --seed"),
        *(
            (["--sessions", count], f"argument --sessions: '{count}' is not a whole number")
            for count in ("0", "-1", "x", "1.5")
        ),
        *(
            (["--start", day], f"argument --start: '{day}' is not a day: write YYYY-MM-DD")
            for day in ("yesterday", "2026-13-01", "2026-02-30", "")
        ),
        (["--slippage-ticks", "-1"], "argument --slippage-ticks"),
        (["--slippage-ticks", "1001"], "argument --slippage-ticks"),
        (["--symbols", " , "], "no symbol in it"),
        (["--symbols", "A;B"], "is not a symbol"),
        (["--symbols", "AAPL,aapl"], "AAPL"),
        (["--speed"], "expected one argument"),
        (["--fast-warmup", "--no-warmup"], "not allowed with"),
        (["--live", "--venue", "sim"], "--live is for real money"),
        (["--live", "--venue", "replay"], "--live is for real money"),
        (["--live"], "--live is for real money"),
        (["--venue", "replay"], "--venue replay needs bars: add --bars FILE"),
        (["--bars", "bars.csv"], "--bars needs --venue replay"),
        (["--bars", "bars.csv", "--venue", "sim"], "--bars needs --venue replay"),
        (["--start", "1990-01-02"], "--start or --sessions: 1990-01-02 is beyond the calendar"),
        (["--start", "2199-01-02"], "--start or --sessions: 2199-01-02 is beyond the calendar"),
        (["--control", "0.0.0.0:80"], "0.0.0.0"),
        (["--control", "nonsense"], "nonsense"),
        (["--config", "none.toml"], "none.toml"),
        (["--events", "none/events.jsonl"], "--events none/events.jsonl: cannot be written"),
        (["--events", "."], "--events .: cannot be written"),
        (["--bo\x1b[31mgus"], r"\x1b[31m"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_usage_is_one_line_and_exit_code_2(cli: Cli, arguments: list[str], part: str) -> None:
    command = (
        arguments[0] if arguments[0] in ("run", "status", "flatten", "journal", "stop", "config") else ""
    )
    rest = arguments if command or not arguments[0].startswith("-") else [*QUICK, *arguments]
    assert_one_line(cli(*rest), 2, part)


# ---- bad configuration ---------------------------------------------------------------------------------


def route(strategy: str) -> str:
    return f'[[routes]]\nscanner = "static"\nsymbols = ["AAPL"]\nstrategy = "{strategy}"\n'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[risk]\nmax_open_positons = 3\n", ("line 2", "max_open_positions")),
        ("[risks]\n", ("line 1", "risk")),
        ("[risk]\n\nmax_open_positions = 21\n", ("line 3", "max_open_positions", "20")),
        ("[risk]\nmax_open_positions = = 3\n", ("line 2",)),
        ("[session]\nno_entries_before_close_min = 2\n", ("no_entries_before_close_min (2)",)),
        (
            route("velez") + route("sma_cross"),
            ("AAPL",),
        ),
        (
            route("velz"),
            ("unknown strategy 'velz': did you mean velez?",),
        ),
        (
            route("velez") + "[routes.config]\nsma_fast = 4\n",
            ("sma_fast = 4", "must be at least 5"),
        ),
        ("\x00", ()),
    ],
)
def test_a_bad_config_is_one_line_and_exit_code_2(
    cli: Cli, tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    config = write(tmp_path / "my.toml", text)
    assert_one_line(cli(*QUICK, "--config", config), 2, *parts)
    assert not (tmp_path / "home").exists(), "nothing was begun"


def test_a_config_that_is_a_folder_is_explained(cli: Cli, tmp_path: Path) -> None:
    assert_one_line(cli(*QUICK, "--config", tmp_path), 2, str(tmp_path))


def test_a_bad_environment_is_explained(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_TRADER_RISK__MAX_OPEN_POSITIONS", "many")
    assert_one_line(cli(*QUICK), 2, "TUI_TRADER_RISK__MAX_OPEN_POSITIONS")


def test_a_users_strategy_that_does_not_load_is_explained(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "tui-trader" / "strategies"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    write(folder / "mine.py", "def (:\n")
    config = write(tmp_path / "my.toml", route("mine"))
    assert_one_line(cli(*QUICK, "--config", config), 2, "mine.py cannot be loaded: SyntaxError")


# ---- bad bars ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (HEADER + ROW.format(30) + ROW.format(31).replace("101", "98"), ("bars.csv", "line 3")),
        (HEADER + ROW.format(30).replace("Z", ""), ("bars.csv", "line 2", "offset")),
        (HEADER + ROW.format(30) + "AAPL,2026-06-01T13:31:00Z,100\n", ("bars.csv", "line 3")),
        (HEADER.replace(",close", "") + "AAPL,2026-06-01T13:30:00Z,100,101,99,5\n", ("bars.csv", "close")),
        (HEADER + ROW.format(30) * 2, ("bars.csv", "line 3")),
        ("", ("bars.csv",)),
        (HEADER, ("bars.csv",)),
        (HEADER + ROW.format(30).replace("AAPL", "MSFT"), ()),
        (HEADER + ROW.format(30).replace("T13", "T03"), ("regular session",)),
        (HEADER + ROW.format(30).replace("06-01", "06-06"), ("no trading day",)),
        pytest.param(HEADER + ROW.format(30).replace("2026", "1990"), ("1990-06-01",)),
        pytest.param(HEADER + ROW.format(30).replace("2026", "2199"), ("2199-06-01",)),
    ],
    ids=[
        "high below low",
        "no time zone",
        "too few cells",
        "no close column",
        "twice",
        "empty",
        "header alone",
        "other symbols",
        "before the open",
        "a saturday",
        "before the calendar",
        "after the calendar",
    ],
)
def test_bad_bars_are_one_line_and_exit_code_2(
    cli: Cli, tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    bars = write(tmp_path / "bars.csv", text)
    state = tmp_path / "state"
    arguments = ("--venue", "replay", "--symbols", "AAPL", "--bars", bars, "--state-dir", state)
    assert_one_line(cli(*QUICK, *arguments), 2, *parts)
    write(bars, BARS)
    assert cli(*QUICK, *arguments).code == 0, "the same command runs once the file is mended"


@pytest.mark.parametrize("path", ["none.csv", ".", "none/none.csv.gz"])
def test_bars_that_cannot_be_read_are_explained(cli: Cli, path: str) -> None:
    assert_one_line(cli(*QUICK, "--venue", "replay", "--bars", path), 2, path)


def test_a_gz_file_that_is_none_is_explained(cli: Cli, tmp_path: Path) -> None:
    bars = write(tmp_path / "bars.csv.gz", BARS)
    assert_one_line(cli(*QUICK, "--venue", "replay", "--bars", bars), 2, "bars.csv.gz")


def test_bad_rows_can_be_skipped(cli: Cli, tmp_path: Path) -> None:
    bars = write(tmp_path / "bars.csv", BARS + "AAPL,nonsense\n")
    arguments = ("--venue", "replay", "--symbols", "AAPL", "--bars", bars)
    assert_one_line(cli(*QUICK, *arguments), 2, "line 12")
    assert cli(*QUICK, *arguments, "--skip-bad").code == 0


def test_a_start_after_the_data_is_explained(cli: Cli, tmp_path: Path) -> None:
    bars = write(tmp_path / "bars.csv", BARS)
    arguments = ("--venue", "replay", "--symbols", "AAPL", "--bars", bars, "--start", "2026-06-02")
    assert_one_line(cli(*QUICK, *arguments), 2, "from 2026-06-02 on", "the last one is 2026-06-01")


# ---- refused to start ----------------------------------------------------------------------------------


def test_a_second_engine_on_a_state_folder_is_refused(cli: Cli, tmp_path: Path) -> None:
    with InstanceLock(tmp_path):
        outcome = cli(*QUICK, "--state-dir", tmp_path)
    assert_one_line(outcome, 3, "already runs on state folder", "--state-dir")
    assert cli(*QUICK, "--state-dir", tmp_path).code == 0


def test_a_state_folder_that_cannot_be_made_is_refused(cli: Cli, tmp_path: Path) -> None:
    below_a_file = write(tmp_path / "file", "") / "state"
    assert_one_line(cli(*QUICK, "--state-dir", below_a_file), 3, str(below_a_file), "--state-dir")


@pytest.mark.parametrize("name", ["journal.db", "exchange-sim.db"])
def test_a_state_file_that_is_something_else_is_refused(cli: Cli, tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "this is not a database, and long enough to be looked at" * 50)
    assert_one_line(cli(*QUICK, "--state-dir", tmp_path), 3, name)


def test_alpaca_without_keys_is_refused_with_the_names_of_the_keys(cli: Cli) -> None:
    assert_one_line(cli(*QUICK, "--venue", "alpaca"), 3, "APCA_API_KEY_ID", "APCA_API_SECRET_KEY")


@pytest.mark.parametrize("asked", [(), ("--venue", "alpaca")])
def test_wrong_keys_are_refused_with_one_line_that_keeps_them_secret(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    with AlpacaServer({"AAPL": 200.0}) as server:
        monkeypatch.setenv("APCA_API_KEY_ID", "PKTESTKEY")
        monkeypatch.setenv("APCA_API_SECRET_KEY", "verysecret")
        monkeypatch.setenv("APCA_API_BASE_URL", server.trading_url)
        outcome = cli(*QUICK, *asked)
        assert len(server.requests) == 1, "wrong keys are not tried again"
    assert_one_line(outcome, 3, "does not accept these keys", "paper account")
    assert "verysecret" not in outcome.err


def test_real_money_is_refused_while_the_configuration_names_the_paper_account(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", "PKTESTKEY")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "verysecret")
    assert_one_line(cli(*QUICK, "--live", "--yes-live", "1234"), 3, "--live", "paper = false")


def test_real_money_wants_the_digits_typed_even_without_a_screen(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", "AKTESTKEY")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "verysecret")
    monkeypatch.setenv("TUI_TRADER_ALPACA__PAPER", "false")
    assert_one_line(cli(*QUICK, "--live"), 2, "--yes-live NNNN")


def test_yes_live_alone_is_refused(cli: Cli) -> None:
    assert_one_line(cli(*QUICK, "--yes-live", "1234"), 2, "--live")


# ---- without a terminal --------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("run", "--venue", "sim", "--sessions", "1")])
def test_without_a_terminal_the_screen_is_refused_with_a_hint(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = in_a_process(arguments)
    assert_one_line(Outcome(done.returncode, done.stdout, done.stderr), 2, "--headless")
    assert not (tmp_path / "home").exists()


# ---- events --------------------------------------------------------------------------------------------


def test_events_go_to_stdout_and_nothing_else_does(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*QUICK, "--seed", 1, "--symbols", "AAPL", "--state-dir", tmp_path, "--events", "-")
    assert outcome.code == 0
    assert re.fullmatch(r"tui-trader: SIM-1: 1 session, \d+ trades?, P/L \S+, equity \S+\n", outcome.err)
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["type"], events[-1]["state"]) == ("EngineStateChanged", "STOPPED")


def test_a_reader_that_leaves_early_does_not_stop_the_run_and_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tui_trader.cli", *QUICK, "--seed", "1", "--state-dir", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--events", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["seq"] == 1
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 0
    assert said.startswith("tui-trader: SIM-1: 1 session")
    assert said.count("\n") == 1


def test_a_run_that_could_not_begin_leaves_its_folder_free(cli: Cli, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert cli(*QUICK, "--state-dir", state, "--events", "none/events").code == 2
    assert cli(*QUICK, "--state-dir", state, "--events", tmp_path / "events").code == 0


# ---- talking to an engine that is not there ------------------------------------------------------------


@pytest.mark.parametrize("command", ["status", "pause", "resume", "flatten", "stop"])
def test_without_an_engine_the_other_commands_say_so(cli: Cli, tmp_path: Path, command: str) -> None:
    outcome = cli(command, "--state-dir", tmp_path)
    assert_one_line(outcome, 1, "no engine")


@pytest.mark.parametrize("kind", ["orders", "fills", "trades", "events"])
def test_a_journal_that_is_not_there_is_one_line(cli: Cli, tmp_path: Path, kind: str) -> None:
    outcome = cli("journal", kind, "--state-dir", tmp_path / "none")
    assert_one_line(outcome, outcome.code, str(tmp_path / "none"))
    assert outcome.code in (1, 2)


def test_a_reader_of_the_journal_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    assert in_a_process([*QUICK, "--seed", 1, "--state-dir", tmp_path]).returncode == 0
    command = [
        sys.executable,
        "-m",
        "tui_trader.cli",
        "journal",
        "events",
        "--json",
        "--state-dir",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        code = process.wait(60)
    assert (said, code) == ("", 0)


# ---- what must not be overwritten, and the ends of the calendar -------------------------------------------


@pytest.mark.parametrize(
    "content", ["symbol,timestamp,open,high,low,close,volume\n", "SQLite format 3\0", "x"]
)
def test_events_never_overwrite_a_file_that_holds_none(cli: Cli, tmp_path: Path, content: str) -> None:
    target = write(tmp_path / "precious", content)
    outcome = cli(*QUICK, "--state-dir", tmp_path / "state", "--events", target)
    assert_one_line(outcome, 2, "holds no events")
    assert target.read_text() == content


def test_events_of_an_earlier_run_are_overwritten(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "events.jsonl"
    for _ in range(2):
        outcome = cli(*QUICK, "--seed", 1, "--state-dir", tmp_path / "state", "--events", target)
        assert outcome.code == 0
    lines = target.read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_the_first_session_that_the_calendar_knows_can_be_traded(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*QUICK, "--start", "2000-01-03", "--state-dir", tmp_path)
    assert outcome.code == 0


LEAVES = """
from tui_trader.strategies.sma_cross import SmaCross

class Leaves(SmaCross):
    def should_long(self, view):
        raise SystemExit(0)
"""


def test_a_strategy_that_leaves_the_program_is_quarantined(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "tui-trader" / "strategies"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    folder.parent.chmod(0o700)
    write(folder / "leaves.py", LEAVES)
    config = write(tmp_path / "my.toml", route("leaves"))
    events = tmp_path / "events.jsonl"
    outcome = cli(*QUICK, "--config", config, "--state-dir", tmp_path / "state", "--events", events)
    assert outcome.code == 0
    assert "quarantined: SystemExit" in events.read_text()
    assert "STOPPED" in events.read_text().splitlines()[-1]
