"""The line that says how far long work has come."""

from __future__ import annotations

import io

from tui_trader.commands.progress_line import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class GoneTerminal(Terminal):
    def write(self, text: str) -> int:
        raise OSError


def work(stream: io.StringIO | None, *steps: tuple[float, float]) -> str:
    """What is written while time and the share done are, one after the other, those of ``steps``."""
    clock = [0.0]
    with ProgressLine(stream, "Backtest", lambda: clock[0]) as progress:
        for clock[0], share in steps:
            progress(share)
    return stream.getvalue() if stream is not None else ""


def test_work_that_is_done_soon_writes_nothing() -> None:
    assert work(Terminal(), (0.1, 0.3), (0.49, 1.0)) == ""


def test_long_work_shows_its_share_and_the_time_left_and_leaves_no_trace() -> None:
    text = work(Terminal(), (0.4, 0.1), (1.0, 0.25), (30.0, 0.5))
    assert text == (
        "\r\x1b[KBacktest [########......................]  25%, 3 s left"
        "\r\x1b[KBacktest [###############...............]  50%, 30 s left"
        "\r\x1b[K"
    )


def test_time_left_is_in_its_unit() -> None:
    assert "50 min left" in work(Terminal(), (3000.0, 0.5))
    assert "2 h 05 min left" in work(Terminal(), (7500.0, 0.5))
    assert "100%, 0 s left" in work(Terminal(), (5.0, 1.0))


def test_nothing_is_known_of_work_that_has_not_begun() -> None:
    assert work(Terminal(), (9.0, 0.0)) == ""


def test_only_a_terminal_gets_it() -> None:
    assert work(io.StringIO(), (9.0, 0.5)) == ""
    assert work(None, (9.0, 0.5)) == ""


def test_a_line_is_erased_when_the_work_is_broken_off() -> None:
    stream = Terminal()
    try:
        with ProgressLine(stream, "Backtest") as progress:
            progress.say("Reading")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert stream.getvalue() == "\r\x1b[KReading\r\x1b[K"


def test_a_terminal_that_has_gone_does_not_stop_the_work() -> None:
    assert work(GoneTerminal(), (9.0, 0.5), (10.0, 0.6)) == ""
