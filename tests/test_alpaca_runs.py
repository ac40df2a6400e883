"""Whole runs on an Alpaca account, as somebody at a terminal meets them: what is said, and how it ends.

The program is a process of its own, and the exchange is our test exchange on this machine's loopback, in real
time. What the program did is read from its event file and from what the exchange saw; nothing waits for a
length of time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.alpaca_config import PRICES, a_walk, settings
from tests.alpaca_server.server import AlpacaServer

Event = dict[str, Any]

ROOT = Path(__file__).parents[1]
KEY, SECRET = "PKTESTKEY0000000000", "test-secret-of-the-exchange"
_PATIENCE = 30.0


class AlpacaRun:
    """One run of the program on the account that ``exchange`` holds."""

    def __init__(self, exchange: AlpacaServer, folder: Path, process: subprocess.Popen[str]) -> None:
        self.exchange = exchange
        self._file = folder / "events.jsonl"
        self._process = process

    def events(self, kind: str = "") -> list[Event]:
        """What it has written so far, of one type or of all."""
        text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return [event for event in map(json.loads, whole.splitlines()) if kind in ("", event["type"])]

    def errors(self, component: str = "") -> list[str]:
        """The messages of its errors, of one component or of all."""
        told = self.events("ErrorOccurred")
        return [event["message"] for event in told if component in ("", event["component"])]

    def wait(self, what: Callable[[], object]) -> None:
        """Until ``what`` is true."""
        assert self.exchange.wait_until(lambda: bool(what()), _PATIENCE), self.events()[-20:]

    def get_warm(self) -> None:
        """Until the warm-up is over; whether the market is open then depends on the hour."""
        self.wait(lambda: any(e["previous"] == "WARMING_UP" for e in self.events("EngineStateChanged")))

    def stream(self, name: str) -> str:
        """The last word on a stream."""
        told = [event["state"] for event in self.events("ConnectionChanged") if event["stream"] == name]
        return str(told[-1]) if told else ""

    def terminate(self) -> int:
        """Ask it to end as a service manager would; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.end()[0]

    def end(self) -> tuple[int, list[str]]:
        """Wait for its end: the exit code, and the lines on standard error."""
        _, said = self._process.communicate(timeout=_PATIENCE)
        assert "Traceback" not in said
        assert SECRET not in said
        return self._process.returncode, said.splitlines()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


Start = Callable[..., AlpacaRun]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an exchange (keywords are its own) and a run on it; ends whatever is left of both."""
    with ExitStack() as stack:

        def begin(
            *arguments: str, secret: str = SECRET, key: str = KEY, feed: str = "iex", paper: bool = True,
            before: Callable[[AlpacaServer], object] = lambda _: None, **exchange: Any,
        ) -> AlpacaRun:  # fmt: skip
            server = stack.enter_context(AlpacaServer(PRICES, made_up=a_walk(), **exchange))
            before(server)
            config = tmp_path / "config.toml"
            config.write_text(settings(server, feed=feed, paper=paper), encoding="utf-8")
            config.chmod(0o600)
            run = AlpacaRun(server, tmp_path, _child(tmp_path, key, secret, arguments))
            stack.callback(run.kill)
            return run

        yield begin


def _child(folder: Path, key: str, secret: str, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("APCA_", "TUI_TRADER_"))
    }
    home = {name: str(folder / "home") for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tui_trader.cli", "run", "--headless", "--venue", "alpaca"),
            *("--config", str(folder / "config.toml"), "--state-dir", str(folder / "state")),
            *("--events", str(folder / "events.jsonl"), "--control", "off", *arguments),
        ],
        env=kept | home | {"APCA_API_KEY_ID": key, "APCA_API_SECRET_KEY": secret},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def asked(server: AlpacaServer, path: str) -> int:
    """How many requests there were for ``path``."""
    return sum(request.path.endswith(path) for request in server.requests)


def connections(server: AlpacaServer, stream: str) -> int:
    return sum(connection.stream == stream for connection in server.connections)


# ---- a good day --------------------------------------------------------------------------------------


def test_it_connects_warms_up_and_ends_well_on_sigterm(start: Start) -> None:
    run = start()
    run.get_warm()
    run.wait(lambda: run.stream("bars") == run.stream("trade_updates") == "connected")
    assert run.exchange.subscribed() == set(PRICES)
    assert {event["symbol"] for event in run.events("WarmupProgress")} == set(PRICES)
    assert run.terminate() == 0
    assert run.events()[-1]["state"] == "STOPPED"


def test_the_network_may_go_and_come_back(start: Start) -> None:
    run = start()
    run.get_warm()
    run.exchange.unplug()
    run.wait(lambda: run.stream("bars") == run.stream("trade_updates") == "reconnecting")
    run.exchange.plug_in()
    run.wait(lambda: run.stream("bars") == run.stream("trade_updates") == "connected")
    assert run.terminate() == 0


def test_an_order_placed_by_hand_is_shown_as_external_and_left_alone(start: Start) -> None:
    run = start()
    run.get_warm()
    run.exchange.foreign_order("AAAA", "buy", "limit", 10, limit_price=1.0)
    run.wait(lambda: run.events("OrderStateChanged"))
    assert run.events("OrderStateChanged")[0]["role"] == "EXTERNAL"
    assert run.terminate() == 0
    cancels = [request for request in run.exchange.requests if request.method == "DELETE"]
    assert cancels == []


# ---- starts that are refused: one line, 3, and nothing asked twice ------------------------------------


def test_wrong_keys_are_one_line_and_one_request(start: Start) -> None:
    run = start(secret="not-the-secret")
    code, said = run.end()
    assert (code, len(said)) == (3, 1)
    assert "does not accept these keys" in said[0]
    assert len(run.exchange.requests) == 1
    assert run.exchange.connections == []


def test_an_account_that_may_not_trade_is_refused(start: Start) -> None:
    run = start(before=lambda server: server.shape_account(trading_blocked=True))
    code, said = run.end()
    assert (code, len(said)) == (3, 1)
    assert "blocked trading" in said[0]


def test_no_network_at_the_start_is_one_line(start: Start) -> None:
    code, said = start(before=AlpacaServer.unplug).end()
    assert (code, len(said)) == (3, 1)
    assert "check the network" in said[0]


def test_real_money_wants_the_digits_of_its_own_account(start: Start) -> None:
    key = "AKTESTKEY0000000000"
    live = {"key": key, "key_id": key, "paper": False, "account_number": "902345678"}
    code, said = start("--live", "--yes-live", "1111", **live).end()
    assert (code, len(said)) == (3, 1)
    assert "last four digits" in said[0]
    assert "5678" not in said[0]


# ---- what goes wrong while it runs: said, and no storm ------------------------------------------------


def test_revoked_keys_are_said_once_by_each_stream_and_not_tried_again(start: Start) -> None:
    run = start()
    run.get_warm()
    run.exchange.revoke_keys()
    run.wait(lambda: run.stream("bars") == run.stream("trade_updates") == "disconnected")
    refusals = [message for message in run.errors() if "refused the keys" in message]
    assert len(refusals) == 2
    assert connections(run.exchange, "data") == connections(run.exchange, "trade") == 2


def test_a_second_connection_is_refused_and_the_run_goes_on_without_bars(start: Start) -> None:
    run = start(before=lambda server: server.fill_up(1000))
    run.get_warm()
    run.wait(lambda: any("406" in message for message in run.errors("bars")))
    assert run.stream("bars") == "reconnecting"
    assert run.terminate() == 0
    assert len(run.errors("bars")) == 1
    assert connections(run.exchange, "data") == 1  # the next try is half a minute away


def test_beyond_the_subscriptions_limit_the_rest_is_streamed_and_the_others_are_named(start: Start) -> None:
    run = start(symbol_limit=2)
    run.get_warm()
    run.wait(lambda: any("CCCC" in message for message in run.errors("bars")))
    assert run.exchange.subscribed() == {"AAAA", "BBBB"}
    assert run.terminate() == 0
    assert len(run.errors("bars")) == 1
    assert connections(run.exchange, "data") == 1


def test_a_feed_that_is_not_subscribed_is_named_with_the_cure(start: Start) -> None:
    run = start(feed="sip")
    run.get_warm()
    assert any('feed = "iex"' in message for message in run.errors("warmup"))
    assert run.terminate() == 0
    assert asked(run.exchange, "/stocks/bars") == 1


def test_a_clock_that_is_wrong_is_said_once(start: Start) -> None:
    run = start(before=lambda server: server.skew_clock(90))
    run.get_warm()
    assert run.terminate() == 0
    (said,) = run.errors("broker clock")
    assert "entries are off" in said
