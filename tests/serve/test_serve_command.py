"""What `tui-trader serve` says when it cannot."""

from __future__ import annotations

import socket

import pytest

from tui_trader.cli import main
from tui_trader.serve import web


def test_an_address_that_others_reach_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--listen", "0.0.0.0:8080"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "--expose" in said.err


def test_an_address_in_use_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--listen", f"127.0.0.1:{port}"]) == 3
    assert f"cannot listen on 127.0.0.1:{port}: " in capsys.readouterr().err


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web, "find_spec", lambda _: None)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == (
        "tui-trader: serve needs textual-serve: pip install 'tui-trader[web]'\n"
    )
