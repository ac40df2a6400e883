"""Text from outside is data: never markup, never control, wherever it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.tui.driving import press, running, screen_text, settle
from tests.tui.fake_engine import NOW, ORDERS, POSITIONS, D, FakeEngine, order, symbol_views, trading_snapshot
from tui_trader.core.events import (
    BarRejected,
    CircuitBreakerTripped,
    EngineState,
    EngineStateChanged,
    ErrorOccurred,
    OrderStateChanged,
    Reconciled,
    SignalGenerated,
    SignalRejected,
    SymbolState,
    SymbolStateChanged,
    TradeClosed,
    TradeReason,
)
from tui_trader.core.orders import OrderState, OrderType, Role, Side
from tui_trader.engine.handle import BreakerView

NASTY = (
    "[403] [/x] [red]",
    "[link=http://x]a[/link]",
    "[@click=app.quit]quit[/]",
    "[/]",
    "$gain [$loss]x",
    "\\[bold",
    "{0} %s %(x)s",
    "\x1b[31mred\x1b]0;title\x07",
    "a\nb\tc\r",
    "﷽𒐫 漢字 ‮txet",
    "",
)


def hostile_engine(text: str) -> FakeEngine:
    word = text or "X"
    views = [replace(view, strategy=word, reason=text) for view in symbol_views()]
    views[1] = replace(views[1], symbol=word, state=SymbolState.QUARANTINED)
    held = replace(POSITIONS[0], symbol=word, strategy=word, stop_working=False, closing=text)
    return FakeEngine(
        trading_snapshot(
            state=EngineState.PAUSED,
            state_reason=text,
            symbols=tuple(views),
            positions=(held, POSITIONS[1]),
            orders=(*ORDERS, order(word, word, Role.ENTRY, Side.BUY, 1, "1.00", reason=text)),
            breaker=BreakerView(True, word, D(1), D(2), 0, 3),
        )
    )


@pytest.mark.parametrize("text", NASTY)
async def test_no_text_is_parsed_or_obeyed_anywhere(text: str) -> None:
    engine = hostile_engine(text)
    word = text or "X"
    async with running(engine, size=(200, 60)) as pilot:
        engine.emit(
            ErrorOccurred(word, text, word),
            SignalRejected(word, word, text),
            SignalGenerated(word, Side.BUY, word, D(1), D(1), NOW),
            SymbolStateChanged(word, SymbolState.HALTED, text),
            BarRejected(word, NOW, 1, 1, 1, 1, 1, False, text),
            OrderStateChanged(
                word, word, word, Role.ENTRY, Side.BUY, OrderType.LIMIT, 1, 0, D(1), None,
                OrderState.REJECTED, OrderState.SUBMITTED, text,
            ),
            TradeClosed(word, word, 1, D(1), D(1), NOW, NOW, D(1), TradeReason.STOP, D(1)),
            CircuitBreakerTripped(word, D(1), D(1)),
            Reconciled((text, word), (text,)),
            EngineStateChanged(EngineState.PAUSED, EngineState.RUNNING, text),
        )  # fmt: skip
        engine.clock = NOW + timedelta(minutes=1)
        await settle(pilot, 6)
        await press(
            pilot, "j", "y", "F", "escape", "3", "x", "escape", "q", "escape", "6", "7", "8", "5", "v"
        )
        await press(pilot, "ctrl+p")
        await pilot.press("s")
        await pilot.pause(0.1)
        await pilot.press("escape", "escape")
        await settle(pilot)
        shown = screen_text(pilot)
        assert pilot.app.is_running
        assert "\x1b" not in shown
        assert "\x07" not in shown
        if "[403]" in text:
            assert "[403] [/x] [red]" in shown
