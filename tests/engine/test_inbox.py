"""The one way into the engine: what comes first, and what may be lost."""

from __future__ import annotations

from concurrent.futures import Future
from decimal import Decimal

import pytest

from tests.core.making import OPEN, bar
from tui_trader.engine import inbox as inbox_module
from tui_trader.engine.handle import Flatten, Pause
from tui_trader.engine.inbox import Inbox, Message, Query
from tui_trader.venues.base import (
    AccountReport,
    Acknowledged,
    BarBatch,
    BrokerSnapshot,
    History,
    NotFound,
    Refusal,
    Refused,
    StreamState,
    Unclear,
    VenueMessage,
)

ACCOUNT = AccountReport(Decimal(1), Decimal(1))
BATCH = BarBatch(OPEN, [bar(0, 1.0), bar(0, 2.0, symbol="AMD")])
NEWS: list[VenueMessage] = [
    Acknowledged(1),
    Refused(2, Refusal.REJECTED, ""),
    Unclear(3, ""),
    NotFound(4),
    ACCOUNT,
    BrokerSnapshot(5, ACCOUNT, (), (), ()),
    StreamState("bars", "connected"),
]


def take_all(inbox: Inbox) -> list[Message]:
    taken = []
    while (message := inbox.take()) is not None:
        taken.append(message)
    return taken


def test_commands_come_before_order_news_and_those_before_bars() -> None:
    inbox = Inbox()
    query = Query(lambda: 1, Future())
    history = History("AAPL", None)
    inbox.post(BATCH)
    inbox.post(history)
    for news in NEWS:
        inbox.post(news)
    inbox.command(Pause())
    inbox.command(query)
    inbox.command(Flatten())
    assert len(inbox) == 12
    assert take_all(inbox) == [Pause(), query, Flatten(), *NEWS, BATCH, history]
    assert len(inbox) == 0


def test_a_command_overtakes_what_came_while_the_engine_was_busy() -> None:
    inbox = Inbox()
    inbox.post(BATCH)
    inbox.post(ACCOUNT)
    assert inbox.take() is ACCOUNT
    inbox.command(Flatten())
    assert inbox.take() == Flatten()
    assert inbox.take() is BATCH
    assert inbox.take() is None


@pytest.mark.parametrize("message", [*NEWS, BATCH, History("AAPL", None)], ids=lambda m: type(m).__name__)
def test_every_message_wakes_the_engine(message: VenueMessage) -> None:
    woken: list[int] = []
    inbox = Inbox(lambda: woken.append(1))
    inbox.post(message)
    inbox.command(Pause())
    assert woken == [1, 1]
    inbox.wake = None
    inbox.post(message)
    assert len(inbox) == 3


def test_bars_that_do_not_fit_are_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "_MAX_BARS", 2)
    inbox = Inbox()
    for _ in range(4):
        inbox.post(BATCH)
    assert (inbox.bars_lost, inbox.order_news_lost) == (4, False)
    assert take_all(inbox) == [BATCH, BATCH]
    inbox.post(BATCH)
    assert len(inbox) == 1


def test_order_news_that_does_not_fit_is_never_lost_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "_MAX_ORDER_NEWS", 2)
    inbox = Inbox()
    for number in range(2):
        inbox.post(NotFound(number))
    assert not inbox.order_news_lost
    inbox.post(NotFound(2))
    assert inbox.order_news_lost
    assert take_all(inbox) == [NotFound(0), NotFound(1)]


def test_a_flood_of_bars_leaves_room_for_order_news_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "_MAX_BARS", 1)
    inbox = Inbox()
    for _ in range(5):
        inbox.post(BATCH)
    inbox.post(ACCOUNT)
    inbox.command(Pause())
    assert take_all(inbox) == [Pause(), ACCOUNT, BATCH]
