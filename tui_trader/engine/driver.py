"""Leads an engine through time: the part that is the same on a simulated market and on a live one."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime

from tui_trader.engine.inbox import Inbox, Message
from tui_trader.engine.trading_engine import TradingEngine


class Driver(ABC):
    """Owns the order in which things are handled. Everything here runs on the engine's thread.

    ``after_instant`` is called when everything of one moment has been handled.
    """

    def __init__(self, engine: TradingEngine, inbox: Inbox) -> None:
        self._engine = engine
        self._inbox = inbox
        self._wake = asyncio.Event()
        self.after_instant: Callable[[], None] = lambda: None

    # ---- what differs ----------------------------------------------------------------------------

    @abstractmethod
    async def run(self) -> None:
        """Until the engine has stopped."""

    @property
    @abstractmethod
    def speed(self) -> float | None:
        """Market seconds a real second; None: as fast as it goes."""

    @abstractmethod
    def shown_time(self) -> datetime:
        """The market's time for whoever looks on. May be called from any thread."""

    # ---- handling --------------------------------------------------------------------------------

    def start(self) -> None:
        self._engine.start()
        self.drain()
        self._engine.end_instant()
        self.drain()

    def drain(self) -> None:
        """Handle everything in the inbox, and what that leads to, until it is quiet.

        Commands and news of orders first, then the decisions that are due, then the next bars.
        """
        inbox, engine = self._inbox, self._engine
        while True:
            message = inbox.take_urgent()
            if message is None:
                if engine.work():
                    continue
                message = inbox.take()
                if message is None:
                    break
            self._handle(message)
        if inbox.order_news_lost:
            inbox.order_news_lost = False
            engine.order_news_lost()

    def _handle(self, message: Message) -> None:
        self._engine.handle(message)

    def settle(self) -> None:
        """Handle what is there and finish the instant."""
        self.drain()
        self._engine.end_instant()
        while len(self._inbox):
            self.drain()
            self._engine.end_instant()

    # ---- waiting ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Have the inbox wake this thread's loop from now on."""
        loop, thread, wake = asyncio.get_running_loop(), threading.get_ident(), self._wake

        def woken() -> None:
            if threading.get_ident() == thread:
                wake.set()
            else:
                loop.call_soon_threadsafe(wake.set)

        self._inbox.wake = woken

    async def _sleep(self, seconds: float) -> bool:
        """Whether a message came within ``seconds``."""
        self._wake.clear()
        if len(self._inbox):
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True
