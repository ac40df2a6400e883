"""`tui-trader serve` as a person has it: the installed program, and a real browser without a window."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.control.double import FakeEngine, position, serving
from tests.serve.browser import CHROMIUM, Browser, Tab
from tui_trader.engine.handle import Command, Pause, Shutdown

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

_PROGRAM = "import sys; from tui_trader.cli import main; sys.exit(main())"


class Served:
    """A running `tui-trader serve`."""

    def __init__(self, state_dir: Path, temporary: Path, *arguments: str) -> None:
        self.temporary = temporary
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "serve", "--state-dir", str(state_dir), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(temporary), "HOME": str(temporary), "TEXTUAL_ANIMATIONS": "none"},
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().decode().split()[-1]
        self.host = urlsplit(self.address).netloc

    @property
    def screens(self) -> list[psutil.Process]:
        """The processes behind its pages."""
        if self._process.poll() is not None:
            return []
        return psutil.Process(self._process.pid).children()

    @property
    def leftovers(self) -> list[Path]:
        """What pages have put into the folder for temporary files."""
        return list(self.temporary.glob("tui-trader-page-*"))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(20)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return code


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(Path(profile)) as one:
        yield one


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def begin(state_dir: Path, *arguments: str) -> Served:
        temporary = tmp_path / "temporary"
        temporary.mkdir(exist_ok=True)
        running.append(Served(state_dir, temporary, *arguments))
        return running[-1]

    yield begin
    for served in running:
        served.stop()


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_only_asked(tab: Tab, host: str) -> None:
    """Every request of the page went to its own server, and the console has nothing against it."""
    assert {urlsplit(url).netloc for url in tab.asked} == {host}
    assert {Path(urlsplit(url).path).suffix for url in tab.asked} >= {".js", ".css", ".ttf"}
    assert not [line for line in tab.console if "Content Security Policy" in line or "Error" in line]


def test_without_an_engine_a_page_runs_its_own_and_takes_it_along(
    browser: Browser, start: Callable[..., Served], tmp_path: Path
) -> None:
    served = start(tmp_path / "state", "--seed", "7", "--symbols", "AAPL,AMD")
    tab = browser.open(served.address)
    tab.resize(1280, 800)
    tab.see("SIM ×60", "RUNNING", "AAPL", "AMD", "Watchlist")

    assert "own simulated engine" in tab.run("document.querySelector('header').innerText")
    assert "token" not in tab.run("location.href")
    assert tab.run("document.querySelector('#terminal canvas').width") > 1000
    assert tab.run("document.fonts.check('14px \"Roboto Mono\"')")
    assert_only_asked(tab, served.host)
    [screen] = served.screens
    assert len(served.leftovers) == 1

    tab.close()
    until(lambda: not screen.is_running())
    until(lambda: not served.leftovers)
    assert not (tmp_path / "state").exists()  # the folder of a real engine is not touched
    assert served.stop() == 0


def test_the_screen_has_the_size_of_the_window_and_takes_keys_at_once(
    browser: Browser, start: Callable[..., Served], tmp_path: Path
) -> None:
    served = start(tmp_path / "state", "--seed", "7")
    tab = browser.open(served.address)
    tab.resize(1280, 800)
    tab.see("RUNNING", "6 Strategies")  # a pane that only a wide screen has
    tab.type("?")
    tab.see("Flatten all: cancel and close everything")
    tab.press("Escape")
    tab.resize(800, 500)  # cells of 8 by 19 pixels, and the line above

    def is_narrow(text: str) -> bool:
        lines = text.splitlines()
        whole = len(lines) == 25 and lines[0].startswith(" SIM ×60") and "q Quit" in lines[-1]
        return whole and "6 Strategies" not in text

    tab.wait_for(is_narrow)
    tab.type("q")
    tab.wait("document.body.classList.contains('-closed')")
    assert "its simulated engine with it" in tab.run("document.querySelector('.closed').innerText")
    tab.close()
    until(lambda: not served.screens)


def test_a_page_views_and_steers_a_running_engine_that_outlives_it(
    browser: Browser, start: Callable[..., Served], tmp_path: Path
) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    with serving(engine, tmp_path / "state"):
        served = start(tmp_path / "state")
        tab = browser.open(served.address)
        tab.resize(1280, 800)
        tab.see("SIM ×60", "RUNNING", "AAPL", "TSLA", "99.50")
        note = tab.run("document.querySelector('header').innerText")
        assert "Viewing and steering the engine" in note
        assert f"process {os.getpid()}" in note
        assert_only_asked(tab, served.host)

        tab.type("p")
        until(lambda: engine.commands)
        tab.see("PAUSED")

        tab.type("q")  # a position is open: a screen that owns its engine would ask what becomes of it
        tab.wait("document.body.classList.contains('-closed')")
        assert "the engine does not end with it" in tab.run("document.querySelector('.closed').innerText")
        until(lambda: not served.screens)
        tab.clear()
        tab.run("document.getElementById('again').click()")
        tab.see("PAUSED", "AAPL")
        [screen] = served.screens

        tab.close()
        until(lambda: not screen.is_running())
        expected: list[Command] = [Pause("asked through the control API")]
        assert engine.commands == expected
        assert not [command for command in engine.commands if isinstance(command, Shutdown)]
        assert not engine.stopped


def test_a_link_in_a_message_opens_nothing(
    browser: Browser, start: Callable[..., Served], tmp_path: Path
) -> None:
    with serving(FakeEngine(), tmp_path):
        tab = browser.open(start(tmp_path).address)
        tab.see("RUNNING")
        assert tab.run("window.open('https://evil.example/') === null")
        assert tab.run("fetch('https://evil.example/').then(() => 'sent', () => 'refused')") == "refused"
        tab.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_screen_outlives_the_server(
    browser: Browser, start: Callable[..., Served], tmp_path: Path, number: signal.Signals
) -> None:
    served = start(tmp_path / "state", "--seed", "7")
    tab = browser.open(served.address)
    tab.see("RUNNING")
    [screen] = served.screens
    assert served.stop(number) == (0 if number is not signal.SIGKILL else -signal.SIGKILL)
    until(lambda: not screen.is_running())
    until(lambda: not served.leftovers)
    tab.wait("document.body.classList.contains('-closed')")
    tab.close()


def test_what_keeps_a_screen_from_starting_is_told_on_the_page(
    browser: Browser, start: Callable[..., Served], tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[routes]]\nscanner = "static"\nsymbols = ["AAPL"]\nstrategy = "<b>none</b>"\n')
    config.chmod(0o600)
    tab = browser.open(start(tmp_path / "state", "--config", str(config)).address)
    words = tab.wait("document.getElementById('words').textContent")
    assert re.search(r"config\.toml.*<b>none</b>", words)
    assert tab.run("document.querySelectorAll('#words b').length") == 0
    tab.close()
