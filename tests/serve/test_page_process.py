"""The process behind a page, without a browser: real, and at its worst."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.control.double import FakeEngine, position, serving
from tui_trader.serve import page_process
from tui_trader.serve.order import PageOrder
from tui_trader.serve.page_process import PageProcess


class Reader:
    """Takes a page's pictures."""

    def __init__(self, process: PageProcess) -> None:
        self.pictures = b""
        self.relaying = asyncio.create_task(process.relay(self._take))

    async def _take(self, picture: bytes) -> None:
        self.pictures += picture

    async def see(self, text: str) -> None:
        async with asyncio.timeout(30):
            while text.encode() not in self.pictures:
                assert not self.relaying.done(), self.pictures[-500:]
                await asyncio.sleep(0.02)


async def gone(pid: int) -> bool:
    async with asyncio.timeout(10):
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.02)
    return True


async def test_a_screen_of_its_own_engine_ends_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    process = await PageProcess.start(PageOrder(False, folder, seed=7), 120, 40)
    reader = Reader(process)
    await reader.see("RUNNING")
    assert (folder / "engine.lock").exists()
    assert await process.end() == ""
    assert await gone(process.pid)
    assert not folder.exists()
    await reader.relaying


async def test_a_viewer_ends_and_its_engine_does_not(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    with serving(engine, tmp_path):
        process = await PageProcess.start(PageOrder(True, tmp_path), 120, 40)
        reader = Reader(process)
        await reader.see("LONG")
        await process.type("q")
        async with asyncio.timeout(10):
            await reader.relaying
        assert await process.end() == ""
        assert await gone(process.pid)
    assert engine.commands == []


async def test_an_engine_that_has_gone_meanwhile_is_told(tmp_path: Path) -> None:
    process = await PageProcess.start(PageOrder(True, tmp_path), 120, 40)
    reader = Reader(process)
    async with asyncio.timeout(30):
        await reader.relaying
    assert await process.end() == (f"no engine is running on {tmp_path} (start one with: tui-trader run)")


async def test_a_screen_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_process, "_END_S", 0.2)
    process = await PageProcess.start(PageOrder(False, tmp_path / "page", seed=7), 80, 24)
    reader = Reader(process)
    await reader.see("RUNNING")
    os.kill(process.pid, signal.SIGSTOP)
    await process.end()
    assert await gone(process.pid)


async def test_a_screen_ends_when_nobody_reads_its_pictures(tmp_path: Path) -> None:
    process = await PageProcess.start(PageOrder(False, tmp_path / "page", seed=7), 200, 60)
    stuck = asyncio.Event()
    reading = asyncio.Event()

    async def read_one(_: bytes) -> None:
        reading.set()
        await stuck.wait()

    relaying = asyncio.create_task(process.relay(read_one))
    await reading.wait()
    relaying.cancel()
    await process.end()
    assert await gone(process.pid)


@pytest.mark.parametrize("said", [b"", b"Traceback: it will not start\n", b"__GANGLION__\nD\xff\xff\xff\xff"])
async def test_what_is_no_screen_ends_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    code = f"import sys; sys.stdout.buffer.write({said!r}); sys.stdout.flush(); sys.exit('it broke')"
    monkeypatch.setattr(page_process, "_COMMAND", ("-c", code))
    process = await PageProcess.start(PageOrder(False, tmp_path), 80, 24)
    reader = Reader(process)
    async with asyncio.timeout(10):
        await reader.relaying
    assert await process.end() == "the screen has failed: it broke"
    assert reader.pictures == b""
