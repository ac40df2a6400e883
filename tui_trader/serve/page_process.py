"""Starts the process behind a page, carries its pictures and keys, and sees it to its end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from tui_trader.serve.order import PageOrder

_COMMAND: Final = ("-P", "-m", "tui_trader.serve.child")
#: The web driver says this first; each packet after it is a letter, a length and so many bytes.
_PRELUDE: Final = b"__GANGLION__\n"
_PICTURE: Final = b"D"
_META: Final = b"M"
_HEADER: Final = 5
_LARGEST: Final = 16 * 1024 * 1024
_TAIL: Final = 4096
_END_S: Final = 6.0


class PageProcess:
    """One page's process. ``start`` it, ``relay`` its pictures, and ``end`` it whatever has happened."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int) -> None:
        self._process = process
        self._lifeline = lifeline
        self._stderr = b""
        self._listening = asyncio.create_task(self._hear_complaints())

    @classmethod
    async def start(cls, order: PageOrder, columns: int, rows: int) -> PageProcess:
        """Start it with a picture of ``columns`` by ``rows``."""
        theirs, ours = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *_COMMAND,
                order.to_json(),
                str(theirs),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs,),
                start_new_session=True,  # a Ctrl-C in our terminal is for us; and it ends as a group
                env=os.environ
                | {
                    "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
                    "TEXTUAL_COLOR_SYSTEM": "truecolor",
                    "COLUMNS": str(columns),
                    "ROWS": str(rows),
                },
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def relay(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Pass pictures on until the process or the reader has gone."""
        stdout = self._process.stdout
        assert stdout is not None
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            await stdout.readuntil(_PRELUDE)
            while True:
                header = await stdout.readexactly(_HEADER)
                size = int.from_bytes(header[1:], "big")
                if size > _LARGEST:
                    return
                payload = await stdout.readexactly(size)
                # Metadata asks to open other pages or to download: this screen does neither.
                if header[:1] == _PICTURE:
                    await write(payload)

    async def type(self, keys: str) -> None:
        """Keys and mouse, as a terminal sends them."""
        await self._send(_PICTURE, keys.encode(errors="replace"))

    async def resize(self, columns: int, rows: int) -> None:
        await self._send(_META, json.dumps({"type": "resize", "width": columns, "height": rows}).encode())

    async def focus(self, has_it: bool) -> None:
        await self._send(_META, json.dumps({"type": "focus" if has_it else "blur"}).encode())

    async def _send(self, kind: bytes, payload: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(ConnectionError, RuntimeError):
            stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await stdin.drain()

    async def end(self) -> str:
        """Have it end, at the latest after some seconds; why it had failed, if it had."""
        process = self._process
        assert process.stdout is not None
        assert process.stdin is not None
        os.close(self._lifeline)
        process.stdin.close()
        drain = asyncio.create_task(process.stdout.read())  # or it could not write its last picture
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
        finally:
            drain.cancel()
        code = await process.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening, 1.0)
        return self._complaint() if code else ""

    async def _hear_complaints(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while piece := await stderr.read(_TAIL):
            self._stderr = (self._stderr + piece)[-_TAIL:]

    def _complaint(self) -> str:
        lines = self._stderr.decode(errors="replace").splitlines()
        told = [line for line in lines if line.startswith("tui-trader: ")]
        if told:
            return told[-1].removeprefix("tui-trader: ")[:300]
        return f"the screen has failed: {lines[-1][:200]}" if lines else ""
