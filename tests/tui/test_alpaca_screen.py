"""An Alpaca account on the screen, as a person meets it: the real program on a real terminal.

The exchange is our test exchange on this machine's loopback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.alpaca_config import PRICES, a_walk, settings
from tests.alpaca_server.server import AlpacaServer
from tests.tui.real_terminal import RealRun

Start = Callable[..., tuple[RealRun, AlpacaServer]]

LIVE = {"key_id": "AKTESTKEY0000000000", "account_number": "902345678"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an exchange and the program on its account; keywords are the exchange's own."""
    with ExitStack() as stack:

        def begin(
            *arguments: str, paper: bool = True, width: int = 120, **exchange: Any
        ) -> tuple[RealRun, AlpacaServer]:
            server = stack.enter_context(AlpacaServer(PRICES, made_up=a_walk(), **exchange))
            config = tmp_path / "config.toml"
            config.write_text(settings(server, paper=paper, keys=True), encoding="utf-8")
            config.chmod(0o600)
            run = RealRun(
                *("--config", str(config), "--state-dir", str(tmp_path / "state"), "--control", "off"),
                *arguments,
                width=width,
            )
            stack.callback(run.close)
            return run, server

        yield begin


def test_keys_make_it_a_paper_account_and_a_lost_network_is_said_and_over(start: Start) -> None:
    run, server = start()
    run.see("PAPER", "broker ● ok", "AAAA")
    run.see("watching")
    assert "Welcome" not in run.text  # the card is for those who have no keys
    server.unplug()
    run.see("feed ● reconnecting")
    server.plug_in()
    run.see("broker ● ok")
    run.wait(lambda text: "reconnecting" not in text.splitlines()[0])
    run.type("q")
    assert run.end() == 0
    run.assert_terminal_restored()


def test_real_money_asks_for_the_digits_before_the_screen_opens(start: Start) -> None:
    run, server = start("--live", paper=False, **LIVE)
    run.see("REAL MONEY", "last four digits")
    assert server.requests == []
    run.type("5678\n")
    run.see(" LIVE ", "watching")
    run.type("F")
    run.see("type FLATTEN to confirm")
    run.type("FLATTEN")
    run.wait(lambda text: text.count("FLATTEN") == 1 and "type FLATTEN" not in text)
    run.type("\r")
    run.see("flat: nothing held")
    run.type("\x1b")
    run.wait(lambda text: "PAUSED" in text and "Flatten everything" not in text)
    run.type("q")
    assert run.end() == 0
    run.assert_terminal_restored()


def test_digits_of_another_account_open_nothing(start: Start) -> None:
    run, server = start("--live", paper=False, **LIVE)
    run.see("last four digits")
    run.type("1111\n")
    assert run.end() == 3
    assert server.connections == []
    run.assert_terminal_restored()
