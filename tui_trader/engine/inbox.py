"""The one way into the engine. Commands first, then news of orders, then bars (DESIGN §2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, assert_never

from tui_trader.engine.handle import Command
from tui_trader.venues.base import (
    AccountReport,
    Acknowledged,
    BarBatch,
    BrokerSnapshot,
    History,
    NotFound,
    OrderUpdate,
    Refused,
    StreamState,
    TradingHalt,
    Unclear,
    VenueCondition,
    VenueMessage,
    VenueNotice,
)

_MAX_ORDER_NEWS: Final = 10_000
_MAX_BARS: Final = 10_000


class Query(NamedTuple):
    """A question from another thread; ``answer`` computes in the engine's thread what ``future`` gets."""

    answer: Callable[[], Any]
    future: Future[Any]


Message = Command | Query | VenueMessage


class Inbox:
    """Three queues by urgency. ``post`` may be called from any thread; taking belongs to the engine's.

    Market data may be lost (``bars_lost`` counts), order news may not: when their queue is full,
    ``order_news_lost`` is set, and the engine halts entries and reconciles.
    """

    def __init__(self, wake: Callable[[], None] | None = None) -> None:
        self._commands: deque[Message] = deque()
        self._news: deque[Message] = deque()
        self._data: deque[Message] = deque()
        self.wake = wake
        self.bars_lost = 0
        self.order_news_lost = False

    def __len__(self) -> int:
        return len(self._commands) + len(self._news) + len(self._data)

    def command(self, command: Command | Query) -> None:
        self._commands.append(command)
        if self.wake is not None:
            self.wake()

    def post(self, message: VenueMessage) -> None:
        match message:
            case BarBatch():
                if len(self._data) >= _MAX_BARS:
                    self.bars_lost += len(message.bars)
                    return
                self._data.append(message)
            case History():
                self._data.append(message)
            case (
                Acknowledged()
                | Refused()
                | Unclear()
                | NotFound()
                | OrderUpdate()
                | AccountReport()
                | BrokerSnapshot()
                | StreamState()
                | VenueCondition()
                | VenueNotice()
                | TradingHalt()
            ):
                if len(self._news) >= _MAX_ORDER_NEWS:
                    self.order_news_lost = True
                    return
                self._news.append(message)
            case _:
                assert_never(message)
        if self.wake is not None:
            self.wake()

    def take_urgent(self) -> Message | None:
        """The next command, else the next news of an order, or None."""
        for queue in (self._commands, self._news):
            if queue:
                return queue.popleft()
        return None

    def take(self) -> Message | None:
        """The most urgent message, market data last, or None."""
        return self.take_urgent() or (self._data.popleft() if self._data else None)
