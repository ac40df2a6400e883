"""A scripted engine for the screen: no thread, no clock of its own, the same picture every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tui_trader.core.events import EngineState, Event, Published, SymbolState
from tui_trader.core.orders import OrderState, OrderType, Role, Side
from tui_trader.engine.handle import (
    AccountView,
    BreakerView,
    CandleRow,
    Command,
    EngineInfo,
    EngineSnapshot,
    OrderView,
    PositionView,
    SessionView,
    StreamView,
    SymbolView,
)
from tui_trader.venues.base import Mode

NOW = datetime(2025, 6, 2, 17, 45, 55, tzinfo=UTC)
OPEN = datetime(2025, 6, 2, 13, 30, tzinfo=UTC)
CLOSE = datetime(2025, 6, 2, 20, 0, tzinfo=UTC)
D = Decimal

_MARKET = (
    ("AAPL", 202.33, 1.21, SymbolState.LONG),
    ("MSFT", 431.07, -0.42, SymbolState.WATCHING),
    ("NVDA", 137.82, 2.87, SymbolState.LONG),
    ("AMD", 141.20, 0.08, SymbolState.ARMED),
    ("TSLA", 352.11, -1.93, SymbolState.WATCHING),
    ("META", 561.90, 0.66, SymbolState.WATCHING),
    ("AMZN", 202.44, 0.31, SymbolState.WATCHING),
    ("GOOGL", 167.25, -0.11, SymbolState.WATCHING),
    ("SPY", 589.60, 0.24, SymbolState.WATCHING),
    ("QQQ", 503.17, 0.37, SymbolState.WATCHING),
    ("NFLX", 897.30, 1.02, SymbolState.STALE),
    ("AVGO", 164.70, -0.77, SymbolState.QUARANTINED),
    ("CRM", 341.44, 0.0, SymbolState.WARMING),
    ("F", 10.02, -3.40, SymbolState.HALTED),
)


def wave(symbol: str, last: float, count: int = 240) -> tuple[CandleRow, ...]:
    """Two-minute candles that end at ``last``, the same for a symbol every time."""
    phase = sum(map(ord, symbol)) % 17
    shape = [
        math.sin((i + phase) / 9) * 0.004 + math.sin((i + phase) / 31) * 0.009 + math.sin(i * 1.7) * 0.0012
        for i in range(count)
    ]
    closes = [last * (1 + value - shape[-1]) for value in shape]
    rows = []
    for i, close in enumerate(closes):
        start = closes[i - 1] if i else close * 0.999
        high = max(start, close) * 1.0009
        low = min(start, close) * 0.9991
        fast = sum(closes[max(0, i - 19) : i + 1]) / len(closes[max(0, i - 19) : i + 1])
        slow = sum(closes[: i + 1]) / (i + 1)
        stamp = NOW.replace(second=0) - timedelta(minutes=2 * (count - i) - 1)
        rows.append(CandleRow(stamp, start, high, low, close, 20_000 + i * 131 % 9000, fast, slow))
    return tuple(rows)


def symbol_views(count: int = len(_MARKET)) -> tuple[SymbolView, ...]:
    return tuple(
        SymbolView(
            symbol=symbol,
            strategy="velez",
            state=state,
            reason="",
            last=last,
            reference=last / (1 + change / 100),
            last_bar=NOW - timedelta(seconds=115 if state is not SymbolState.STALE else 400),
            candles=141 if state is SymbolState.WARMING else 201,
            required=201,
            candle_minutes=2,
            average_fast="SMA 20",
            average_slow="SMA 200",
        )
        for symbol, last, change, state in _MARKET[:count]
    )


def position(symbol: str, qty: int, avg: str, last: float, stop: str | None, minutes: int) -> PositionView:
    return PositionView(
        symbol=symbol,
        strategy="velez",
        qty=qty,
        avg_entry_price=D(avg),
        last=last,
        stop_price=None if stop is None else D(stop),
        stop_working=stop is not None,
        planned_risk=D(200),
        entry_time=NOW - timedelta(minutes=minutes),
        unrealized_pnl=(D(str(last)) - D(avg)) * qty,
        closing="",
    )


def order(
    key: str, symbol: str, role: Role, side: Side, qty: int, price: str, minutes: int = 10, reason: str = ""
) -> OrderView:
    return OrderView(
        client_order_id=key,
        broker_order_id=f"b-{key}",
        created=NOW - timedelta(minutes=minutes),
        symbol=symbol,
        role=role,
        side=side,
        order_type=OrderType.STOP_LIMIT if role is Role.ENTRY else OrderType.STOP,
        qty=qty,
        filled_qty=0,
        limit_price=D(price) + 1 if role is Role.ENTRY else None,
        stop_price=D(price),
        state=OrderState.ACCEPTED,
        reason=reason,
    )


POSITIONS = (
    position("AAPL", 120, "202.21", 202.33, "200.55", 42),
    position("NVDA", 80, "138.40", 137.82, "136.10", 9),
)
ORDERS = (
    order("o-aapl", "AAPL", Role.STOP, Side.SELL, 120, "200.55", 42),
    order("o-nvda", "NVDA", Role.STOP, Side.SELL, 80, "136.10", 9),
    order("o-amd", "AMD", Role.ENTRY, Side.BUY, 60, "141.55", 2),
)


def trading_snapshot(**changes: object) -> EngineSnapshot:
    """An ordinary afternoon: two positions, an armed entry, a stale and a halted symbol."""
    snapshot = EngineSnapshot(
        seq=100,
        time=NOW,
        state=EngineState.RUNNING,
        state_reason="",
        speed=60.0,
        session=SessionView(
            "2025-06-02", OPEN, CLOSE, CLOSE - timedelta(minutes=15), CLOSE - timedelta(minutes=3)
        ),
        next_open=OPEN + timedelta(days=1),
        account=AccountView(
            equity=D("101234.56"),
            cash=D("66038.40"),
            buying_power=D("152410"),
            day_pnl=D("-812.34"),
            realized_pnl=D("541.90"),
            exposure=D("35305.20"),
            open_risk=D("383.20"),
            risk_unit=D("200"),
            day_loss_limit=D("3000"),
        ),
        positions=POSITIONS,
        orders=ORDERS,
        symbols=symbol_views(),
        streams=(
            StreamView("bars", "connected", 0),
            StreamView("trade_updates", "connected", 0),
            StreamView("rest", "connected", 0),
        ),
        breaker=BreakerView(False, "", D(0), D(0), 1, 3),
        warmup_done=14,
        warmup_total=14,
        max_positions=5,
    )
    return replace(snapshot, **changes)  # type: ignore[arg-type]


def flat_snapshot(**changes: object) -> EngineSnapshot:
    """Nothing held, no order."""
    return trading_snapshot(positions=(), orders=(), **changes)


class FakeSubscription:
    """Events as they were emitted."""

    def __init__(self) -> None:
        self.dropped = 0
        self.closed = False
        self.waiting: list[Published] = []

    def drain(self) -> list[Published]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def close(self) -> None:
        self.closed = True


class FakeEngine:
    """An ``EngineHandle`` that does what the test says, when it says it."""

    def __init__(self, snapshot: EngineSnapshot | None = None, mode: Mode = Mode.SIM) -> None:
        self.state = snapshot or trading_snapshot()
        self.info = EngineInfo(
            version="0.1.0",
            mode=mode,
            venue="sim" if mode is Mode.SIM else "alpaca",
            account_id="SIM-1",
            symbols=tuple(view.symbol for view in self.state.symbols),
            state_dir="/state",
            seed=7,
        )
        self.stopped = False
        self.exit_code = 0
        self.sent: list[Command] = []
        self.clock = NOW
        self.subscriptions: list[FakeSubscription] = []
        self.answers = True  # whether snapshots are answered at once

    def subscribe(
        self, name: str, capacity: int, kinds: Sequence[type[Event]] | None = None
    ) -> FakeSubscription:
        subscription = FakeSubscription()
        self.subscriptions.append(subscription)
        return subscription

    def send(self, command: Command) -> None:
        self.sent.append(command)

    def snapshot(self) -> Future[EngineSnapshot]:
        answer: Future[EngineSnapshot] = Future()
        if self.answers:
            answer.set_result(self.state)
        return answer

    def candles(self, symbol: str) -> Future[tuple[CandleRow, ...]]:
        answer: Future[tuple[CandleRow, ...]] = Future()
        lasts = {view.symbol: view.last for view in self.state.symbols}
        answer.set_result(wave(symbol, lasts.get(symbol, 100.0)))
        return answer

    def now(self) -> datetime:
        return self.clock

    def emit(self, *events: Event) -> None:
        """Publish events, numbered on from the snapshot."""
        for event in events:
            published = Published(self.state.seq + 1, self.clock, event)
            self.state = replace(self.state, seq=published.seq)
            for subscription in self.subscriptions:
                subscription.waiting.append(published)

    def change(self, **changes: object) -> None:
        """The engine's state from now on."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
