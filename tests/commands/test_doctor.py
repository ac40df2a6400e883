"""`tui-trader doctor`: everything that a start depends on, one line each, with what to do about it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from tests.alpaca_server import AlpacaServer, Hours, MinuteBar, Stream
from tui_trader.cli import main
from tui_trader.commands import doctor as command
from tui_trader.core.calendar import NEW_YORK, FixedCalendar, Session
from tui_trader.doctor import files as files_module
from tui_trader.doctor import machine, streams
from tui_trader.doctor.broker import broker_checks
from tui_trader.doctor.files import Files
from tui_trader.doctor.findings import Check, Finding, Mark, examine, exit_code, fail, ok, warn
from tui_trader.doctor.lines import line, summary, wants_colour
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.errors import RefusedToStart, UsageError
from tui_trader.journal.lock import InstanceLock
from tui_trader.journal.store import JOURNAL_FILE, Journal
from tui_trader.options import RunOptions, VenueName
from tui_trader.paths import default_config_path

NYSE = NyseCalendar()  # loaded once
NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)  # a Wednesday, half an hour after the open


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's settings, keys, engines or terminal."""
    for name in list(os.environ):
        if name.startswith(("TUI_TRADER_", "APCA_")):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr(command, "NyseCalendar", lambda: NYSE)
    monkeypatch.setattr(machine, "terminal_size", lambda: None)


# ---- the examination ---------------------------------------------------------------------------------


def raising(error: Exception) -> Callable[[], Finding]:
    def run() -> Finding:
        raise error

    return run


def test_a_check_waits_for_those_it_needs_and_says_so() -> None:
    checks = [
        Check("a", lambda: ok("fine")),
        Check("b", lambda: warn("doubtful"), needs=("a",)),
        Check("c", lambda: fail("broken: mend it"), needs=("b",)),
        Check("d", raising(AssertionError("must not run")), needs=("a", "c")),
        Check("e", raising(AssertionError("must not run")), needs=("d",)),
        Check("f", lambda: ok("goes on"), needs=("a", "b")),
    ]
    found = dict(examine(checks))
    assert [found[name].mark for name in "abcdef"] == ["ok", "warn", "FAIL", "skip", "skip", "ok"]
    assert found["d"].text == "not checked: c must be right first"


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("a bad\x1b[2J file"), 2), (RefusedToStart("no keys"), 3), (ValueError("surprise"), 1)],
)
def test_a_check_that_raises_fails_in_one_printable_line(error: Exception, code: int) -> None:
    ((_, finding),) = examine([Check("it", raising(error))])
    assert (finding.mark, finding.exit_code) == (Mark.FAIL, code)
    assert finding.text.isprintable()


def test_the_exit_code_is_2_for_configuration_3_for_a_refusal_0_for_doubts() -> None:
    usage, refused = Finding(Mark.FAIL, "", 2), Finding(Mark.FAIL, "", 3)
    assert exit_code([]) == 0
    assert exit_code([ok(""), warn(""), Finding(Mark.SKIP, "")]) == 0
    assert exit_code([ok(""), refused, warn("")]) == 3
    assert exit_code([refused, usage]) == 2


def test_a_line_is_plain_unless_a_terminal_wants_colours() -> None:
    assert line("config", ok("found"), coloured=False) == "ok    config          found"
    coloured = line("config", fail("missing"), coloured=True)
    assert coloured.startswith("\x1b[1;31mFAIL\x1b[0m  config ")

    class Screen:
        def isatty(self) -> bool:
            return True

    screen = Screen()
    assert wants_colour(screen, {"TERM": "xterm"})  # type: ignore[arg-type]
    for environ in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}):
        assert not wants_colour(screen, environ)  # type: ignore[arg-type]
    assert not wants_colour(None, {"TERM": "xterm"})


def test_the_last_line_says_whether_a_start_would_succeed() -> None:
    assert summary([ok("")], "sim") == "nothing stops a start with --venue sim"
    assert summary([ok(""), warn("")], "sim") == "nothing stops a start with --venue sim, 1 warning"
    assert summary([fail(""), fail(""), warn("")], None) == "2 problems would stop a start"


# ---- the computer ------------------------------------------------------------------------------------

XTERM = {"TERM": "xterm-256color"}


def test_python_and_its_libraries_are_named_with_their_versions() -> None:
    finding = machine.python()
    assert finding.mark is Mark.OK
    for name in ("alpaca-py 0.", "numpy 2.", "textual 8."):
        assert name in finding.text


def test_a_library_that_is_missing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_LIBRARIES", ("numpy", "no-such-library"))
    finding = machine.python()
    assert finding.mark is Mark.FAIL
    assert "without no-such-library: install tui-trader again" in finding.text


@pytest.mark.parametrize(
    ("environ", "size", "charset", "mark", "said"),
    [
        (XTERM, (80, 24), "UTF-8", Mark.OK, "256 colours"),
        (XTERM | {"COLORTERM": "truecolor"}, (200, 60), "utf8", Mark.OK, "16 million colours"),
        (XTERM | {"NO_COLOR": "1"}, (80, 24), "UTF-8", Mark.OK, "no colours (NO_COLOR)"),
        ({"TERM": "vt100"}, (80, 24), "UTF-8", Mark.OK, "16 colours"),
        (XTERM, (79, 24), "UTF-8", Mark.WARN, "80x24 or larger"),
        (XTERM, (39, 11), "UTF-8", Mark.WARN, "too small"),
        (XTERM, (80, 24), "ANSI_X3.4-1968", Mark.WARN, 'glyphs = "ascii"'),
        ({}, (80, 24), "UTF-8", Mark.WARN, "TERM is not set"),
        ({"TERM": "dumb"}, (80, 24), "UTF-8", Mark.WARN, "TERM is dumb"),
        (XTERM, None, "UTF-8", Mark.WARN, "--headless"),
    ],
)
def test_the_terminal_is_judged_by_size_colours_and_characters(
    environ: Mapping[str, str], size: tuple[int, int] | None, charset: str, mark: Mark, said: str
) -> None:
    finding = machine.terminal(environ, size, charset)
    assert finding.mark is mark
    assert said in finding.text


def test_a_clock_that_cannot_be_right_fails() -> None:
    assert machine.clock(NOW) == ok("2026-11-18 15:00:00 UTC, 10:00 in New York")
    assert machine.clock(datetime(2001, 1, 1, tzinfo=UTC)).mark is Mark.FAIL


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (NOW, "the market is open until 16:00 in New York"),
        (datetime(2026, 11, 18, 12, tzinfo=UTC), "it opens Wed 2026-11-18 09:30 in New York; known"),
        (datetime(2026, 11, 26, 15, tzinfo=UTC), "it opens Fri 2026-11-27 09:30 in New York (half-day)"),
    ],
)
def test_the_calendar_says_what_the_market_does(now: datetime, said: str) -> None:
    known = NyseCalendar(last=date(2027, 11, 19))
    assert said in machine.calendar(known, now).text


def test_a_calendar_that_ends_soon_warns_and_one_that_has_ended_fails() -> None:
    days = [NOW.date() + timedelta(days=n) for n in range(10)]
    sessions = [Session(d, datetime(d.year, d.month, d.day, 14, 30, tzinfo=UTC),
                        datetime(d.year, d.month, d.day, 21, tzinfo=UTC)) for d in days]  # fmt: skip
    known = FixedCalendar(sessions)
    assert machine.calendar(known, NOW).text.startswith("known 7 days ahead: ")
    assert machine.calendar(known, NOW).mark is Mark.WARN
    assert machine.calendar(known, NOW + timedelta(days=60)).mark is Mark.FAIL


# ---- files -------------------------------------------------------------------------------------------


def files(state: Path, environ: Mapping[str, str] | None = None, venue: VenueName | None = None) -> Files:
    return Files(RunOptions(venue=venue), state, environ or {})


def write_config(text: str, mode: int = 0o600) -> Path:
    path = default_config_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_file_the_defaults_are_used_and_its_place_is_said(tmp_path: Path) -> None:
    finding = files(tmp_path).config()
    assert finding.mark is Mark.OK
    assert finding.text.startswith("the defaults, venue sim; no file at ")
    assert str(default_config_path()) in finding.text


def test_the_settings_file_is_named_with_its_mode(tmp_path: Path) -> None:
    path = write_config("[risk]\nmax_open_positions = 3\n")
    assert files(tmp_path).config() == ok(f"{path} (mode 0600), venue sim")
    path.parent.chmod(0o777)
    assert f"others may replace it: run chmod go-w {path.parent}" in files(tmp_path).config().text


def test_keys_make_alpaca_the_venue_unless_another_is_asked_for(tmp_path: Path) -> None:
    keys = {"APCA_API_KEY_ID": "PKX", "APCA_API_SECRET_KEY": "hush"}
    assert "venue alpaca" in files(tmp_path, keys).config().text
    assert "venue sim" in files(tmp_path, keys, "sim").config().text


@pytest.mark.parametrize("text", ["[risk]\nmax_open = 3\n", "nonsense", '[ui]\nglyphs = "runes"\n'])
def test_a_wrong_setting_fails_as_usage(tmp_path: Path, text: str) -> None:
    write_config(text)
    ((_, finding),) = examine([Check("config", files(tmp_path).config)])
    assert (finding.mark, finding.exit_code) == (Mark.FAIL, 2)


def test_a_secret_that_others_may_read_fails(tmp_path: Path) -> None:
    path = write_config('[alpaca]\nkey_id = "PKX"\nsecret_key = "hush"\n', 0o644)
    ((_, finding),) = examine([Check("config", files(tmp_path).config)])
    assert finding.exit_code == 2
    assert f"chmod 600 {path}" in finding.text
    assert "hush" not in finding.text


def test_strategies_are_made_as_a_start_makes_them(tmp_path: Path) -> None:
    found = files(tmp_path)
    found.config()
    assert found.strategies() == ok("velez on 5 symbols")
    assert list(found.symbols) == ["AAPL", "AMD", "META", "NVDA", "TSLA"]


def test_a_strategy_file_that_no_route_uses_is_tried_all_the_same(tmp_path: Path) -> None:
    folder = write_config("").parent / "strategies"
    folder.mkdir(mode=0o700)
    (folder / "mine.py").write_text("import no_such_module\n")
    found = files(tmp_path)
    found.config()
    finding = found.strategies()
    assert finding.mark is Mark.WARN
    assert "not used, but " in finding.text
    assert "no_such_module" in finding.text


def test_a_state_folder_is_tried_by_writing_and_left_as_it_was(tmp_path: Path) -> None:
    assert files(tmp_path).state_folder().mark is Mark.OK
    assert not list(tmp_path.iterdir())
    new = tmp_path / "not" / "yet"
    assert "(will be made)" in files(new).state_folder().text
    assert not new.parent.exists()


def test_a_state_folder_that_cannot_be_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert files(tmp_path / "file" / "inner").state_folder().mark is Mark.FAIL

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    finding = files(tmp_path).state_folder()
    assert finding.mark is Mark.FAIL
    assert "No space left on device" in finding.text


def test_little_space_and_a_folder_open_to_others_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    assert f"chmod 700 {tmp_path}" in files(tmp_path).state_folder().text
    monkeypatch.setattr(files_module, "_LITTLE_SPACE", 1 << 80)
    finding = files(tmp_path).state_folder()
    assert finding.mark is Mark.WARN
    assert "free some space" in finding.text


def test_a_running_engine_is_named_by_its_process(tmp_path: Path) -> None:
    assert files(tmp_path).engine().mark is Mark.OK
    with InstanceLock(tmp_path):
        finding = files(tmp_path).engine()
    assert finding.mark is Mark.FAIL
    assert f"(process {os.getpid()}) already runs" in finding.text
    # Its file stays, and so does nobody's claim to it: neither by the engine nor by the doctor.
    assert files(tmp_path).engine().mark is Mark.OK
    with InstanceLock(tmp_path):
        pass


def journal(folder: Path) -> Path:
    opened = Journal.open(folder / JOURNAL_FILE, "normal")
    opened.use_book("sim", "SIM-7")
    opened.commit()
    opened.close()
    return folder / JOURNAL_FILE


def test_a_journal_is_sound_or_not_there_yet(tmp_path: Path) -> None:
    assert files(tmp_path).journal() == ok("none yet: the first run begins it")
    journal(tmp_path)
    finding = files(tmp_path).journal()
    assert finding.mark is Mark.OK
    assert finding.text.startswith("1 book, ")
    assert finding.text.endswith(", sound")


def test_a_damaged_journal_fails(tmp_path: Path) -> None:
    path = journal(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert files(tmp_path).journal().mark is Mark.FAIL
    path.write_text("not a database at all, but long enough to be one " * 100)
    assert "is damaged" in files(tmp_path).journal().text


def test_another_programs_database_fails(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / JOURNAL_FILE)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    assert "another program's database" in files(tmp_path).journal().text


# ---- Alpaca ------------------------------------------------------------------------------------------

PRICES = {"AAPL": 200.0, "TSLA": 300.0}


def day_of_bars(symbol: str, day: date) -> list[MinuteBar]:
    opened = datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK).astimezone(UTC)
    price = PRICES.get(symbol)
    if price is None or day.weekday() >= 5:
        return []
    return [MinuteBar(symbol, opened + timedelta(minutes=n), price, price, price, price) for n in range(390)]


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    thanksgiving = {date(2026, 11, 26): None, date(2026, 11, 27): (time(9, 30), time(13))}
    with AlpacaServer(PRICES, now=NOW, hours=Hours.regular(thanksgiving), made_up=day_of_bars) as running:
        yield running


def environment(server: AlpacaServer, **more: str) -> dict[str, str]:
    return {
        "APCA_API_KEY_ID": server.key_id,
        "APCA_API_SECRET_KEY": server.secret_key,
        "APCA_API_BASE_URL": server.trading_url,
        "TUI_TRADER_ALPACA__DATA_URL": server.data_url,
        "TUI_TRADER_ALPACA__DATA_STREAM_URL": server.data_stream_url,
        "TUI_TRADER_ALPACA__TRADING_STREAM_URL": server.trading_stream_url,
        "TUI_TRADER_ROUTES__1__SYMBOLS": "AAPL,TSLA",
    } | more


def consult(server: AlpacaServer, state: Path, now: datetime = NOW, **more: str) -> dict[str, Finding]:
    """What is found at this exchange, by name. No secret is in it."""
    findings = examined(files(state, environment(server, **more)), now)
    for finding in findings.values():
        assert server.secret_key not in finding.text
        assert server.key_id not in finding.text
        assert finding.text.isprintable()
    return findings


def examined(found: Files, now: datetime = NOW) -> dict[str, Finding]:
    before = [
        Check("config", found.config),
        Check("strategies", found.strategies, needs=("config",)),
        Check("engine", found.engine),
    ]
    return dict(examine([*before, *broker_checks(found, NYSE, lambda: now)]))


def marks(findings: Mapping[str, Finding]) -> dict[str, str]:
    return {name: str(finding.mark) for name, finding in findings.items() if finding.mark is not Mark.OK}


def test_a_healthy_account_is_ok_all_through(server: AlpacaServer, tmp_path: Path) -> None:
    findings = consult(server, tmp_path)
    assert marks(findings) == {}
    assert findings["keys"].text == "paper account; key from environment APCA_API_KEY_ID"
    assert findings["account"].text.startswith("…2345 is ACTIVE, equity $100,000.00")
    assert findings["bars"].text == "iex has bars of every symbol since the last open"
    assert findings["bar stream"].text == "iex, 2 symbols subscribed"


def test_nothing_is_traded_and_the_streams_are_left(server: AlpacaServer, tmp_path: Path) -> None:
    consult(server, tmp_path)
    assert {request.method for request in server.requests} == {"GET"}
    assert server.wait_until(lambda: not any(server.connected(stream) for stream in Stream))


def test_without_keys_the_rest_is_skipped(server: AlpacaServer, tmp_path: Path) -> None:
    found = files(tmp_path, {}, "alpaca")
    before = [
        Check("config", found.config),
        Check("strategies", found.strategies),
        Check("engine", found.engine),
    ]
    findings = dict(examine([*before, *broker_checks(found, NYSE, lambda: NOW)]))
    assert findings["keys"].mark is Mark.FAIL
    assert "APCA_API_KEY_ID" in findings["keys"].text
    assert set(marks(findings).values()) == {"FAIL", "skip"}
    assert not server.requests


def test_keys_of_the_other_account_fail_before_anybody_is_asked(server: AlpacaServer, tmp_path: Path) -> None:
    findings = consult(server, tmp_path, TUI_TRADER_ALPACA__PAPER="false")
    assert findings["keys"].mark is Mark.FAIL
    assert not server.requests


def test_keys_that_are_not_accepted_fail(server: AlpacaServer, tmp_path: Path) -> None:
    server.revoke_keys()
    findings = consult(server, tmp_path)
    assert findings["account"].text.startswith("Alpaca does not accept these keys for the paper account")
    assert exit_code(list(findings.values())) == 3


def test_an_account_that_may_not_trade_fails(server: AlpacaServer, tmp_path: Path) -> None:
    server.shape_account(trading_blocked=True)
    assert "has blocked trading" in consult(server, tmp_path)["account"].text


def test_a_server_that_is_not_there_fails(server: AlpacaServer, tmp_path: Path) -> None:
    gone = consult(server, tmp_path, APCA_API_BASE_URL="http://127.0.0.1:1")
    assert gone["account"].text.startswith("no answer from 127.0.0.1 (")
    assert "check the network" in gone["account"].text


def test_a_page_of_html_is_no_answer(server: AlpacaServer, tmp_path: Path) -> None:
    server.rest_faults.html_502(path="/account")
    finding = consult(server, tmp_path)["account"]
    assert finding.mark is Mark.FAIL
    assert "html" not in finding.text.lower()


@pytest.mark.parametrize(
    ("seconds", "mark"), [(1.5, Mark.WARN), (-1.5, Mark.WARN), (3, Mark.FAIL), (-3, Mark.FAIL)]
)
def test_a_clock_that_is_off_is_told_by_how_much(
    server: AlpacaServer, tmp_path: Path, seconds: float, mark: Mark
) -> None:
    finding = consult(server, tmp_path, NOW + timedelta(seconds=seconds))["broker clock"]
    assert finding.mark is mark
    assert f"{abs(seconds):.2f} s {'ahead of' if seconds > 0 else 'behind'} Alpaca's" in finding.text


def test_sessions_unlike_the_published_ones_are_named(tmp_path: Path) -> None:
    mourning = {date(2026, 11, 20): None, date(2026, 11, 26): None}
    with AlpacaServer(PRICES, now=NOW, hours=Hours.regular(mourning), made_up=day_of_bars) as server:
        finding = consult(server, tmp_path)["sessions"]
    assert finding.mark is Mark.WARN
    assert finding.text.startswith("unlike the published calendar on 2026-11-20, 2026-11-27: ")


def test_a_feed_that_was_not_subscribed_to_fails(server: AlpacaServer, tmp_path: Path) -> None:
    findings = consult(server, tmp_path, TUI_TRADER_ALPACA__FEED="sip")
    assert findings["bars"].mark is Mark.FAIL
    assert 'set feed = "iex"' in findings["bars"].text


def test_a_symbol_without_bars_is_named(server: AlpacaServer, tmp_path: Path) -> None:
    findings = consult(server, tmp_path, TUI_TRADER_ROUTES__1__SYMBOLS="AAPL,APPL")
    assert findings["bars"].mark is Mark.WARN
    assert "none of APPL since" in findings["bars"].text


def test_a_symbol_that_is_refused_costs_only_itself(server: AlpacaServer, tmp_path: Path) -> None:
    server.rest_faults.status(400, '{"message": "invalid symbol: APPL"}', path="/stocks/bars")
    finding = consult(server, tmp_path)["bars"]
    assert finding == warn("Alpaca refuses: invalid symbol: APPL")


def test_more_symbols_than_the_plan_streams_are_named(server: AlpacaServer, tmp_path: Path) -> None:
    server.limit_symbols(1)
    finding = consult(server, tmp_path)["bar stream"]
    assert finding.mark is Mark.WARN
    assert "TSLA" in finding.text


def test_a_connection_that_somebody_else_holds_fails(server: AlpacaServer, tmp_path: Path) -> None:
    server.fill_up()
    finding = consult(server, tmp_path)["bar stream"]
    assert finding.mark is Mark.FAIL
    assert "elsewhere" in finding.text


@pytest.mark.parametrize(("stream", "name"), [(Stream.DATA, "bar stream"), (Stream.TRADE, "order stream")])
def test_a_stream_that_refuses_us_fails_alone(
    server: AlpacaServer, tmp_path: Path, stream: Stream, name: str
) -> None:
    server.fail_auth(stream)
    assert marks(consult(server, tmp_path)) == {name: "FAIL"}
    server.refuse(stream, 503)
    findings = consult(server, tmp_path)
    assert marks(findings) == {name: "FAIL"}
    assert "503" in findings[name].text


def test_a_stream_that_says_nothing_is_not_waited_for_for_ever(
    server: AlpacaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_PATIENCE_S", 0.2)
    server.skip_greetings(Stream.DATA)
    assert marks(consult(server, tmp_path)) == {"bar stream": "FAIL"}


def test_the_streams_are_left_alone_while_an_engine_holds_them(server: AlpacaServer, tmp_path: Path) -> None:
    with InstanceLock(tmp_path):
        findings = consult(server, tmp_path)
    assert marks(findings) == {"engine": "FAIL", "bar stream": "skip", "order stream": "skip"}
    assert not server.connections


# ---- the command -------------------------------------------------------------------------------------


def test_everything_fine_exits_0_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--state-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in lines[:-1]].count("ok") == 8
    assert all("\x1b" not in text for text in lines)
    assert lines[-1] == "nothing stops a start with --venue sim, 1 warning"  # there is no terminal


def test_what_would_stop_a_start_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--venue", "alpaca", "--state-dir", str(tmp_path)]) == 3
    out = capsys.readouterr().out
    assert "FAIL  keys " in out
    assert "skip  order stream " in out
    assert out.endswith("1 problem would stop a start with --venue alpaca\n")


def test_a_wrong_configuration_exits_2_and_the_rest_is_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_config("[risk]\nmax_open = 3\n")
    assert main(["doctor", "--state-dir", str(tmp_path)]) == 2
    out = capsys.readouterr().out
    assert "FAIL  config " in out
    assert "skip  strategies " in out
    assert "ok    state folder " in out
    assert main(["doctor", "--config", str(tmp_path / "none.toml")]) == 2


def test_doctor_asks_the_broker_when_keys_make_it_the_venue(
    server: AlpacaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--state-dir", str(tmp_path)]) == 3  # this exchange lives on another day
    out = capsys.readouterr().out
    assert "ok    account " in out
    assert "FAIL  broker clock " in out
    assert "ok    order stream " in out
