"""An event loop in a thread of its own, and a way in from other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_PATIENCE_SECONDS = 10.0


class LoopThread:
    """``start`` and ``stop`` run in the loop, before and after everything else."""

    def __init__(
        self, start: Callable[[], Coroutine[Any, Any, None]], stop: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._start = start
        self._stop = stop
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="alpaca-server", daemon=True)
        self._started: Future[None] = Future()
        self._stopping = asyncio.Event()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def begin(self) -> None:
        """Return when ``start`` has; raises what it raised."""
        self._thread.start()
        self._started.result(_PATIENCE_SECONDS)

    def end(self) -> None:
        """Return when the thread has ended. Raises ``TimeoutError`` when it does not."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError("the exchange does not stop")

    def do(self, action: Callable[[], T]) -> T:
        """Run ``action`` in the loop; its result, or what it raised."""

        async def act() -> T:
            return action()

        return self.run(act())

    def run(self, task: Coroutine[Any, Any, T]) -> T:
        """Run ``task`` in the loop to its end; its result, or what it raised."""
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(_PATIENCE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        try:
            await self._start()
        except BaseException as problem:
            self._started.set_exception(problem)
            return
        self._started.set_result(None)
        await self._stopping.wait()
        await self._stop()
