"""The engine's state as one immutable value, for whoever wants to look."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from tui_trader.core.events import EngineState
from tui_trader.core.money import ZERO
from tui_trader.core.orders import WORKING, Role
from tui_trader.core.portfolio import Position
from tui_trader.engine.desk import SymbolDesk
from tui_trader.engine.handle import (
    AccountView,
    BreakerView,
    CandleRow,
    EngineSnapshot,
    OrderView,
    PositionView,
    SessionView,
    StreamView,
    SymbolView,
)
from tui_trader.engine.trading_engine import TradingEngine
from tui_trader.venues.base import StreamState

_STREAMS: Final = {"bars": "the bar stream", "trade_updates": "the order stream", "rest": "the broker"}
_NOT_THERE: Final = {
    "reconnecting": "is not reached",
    "stale": "is silent",
    "disconnected": "has refused us for good",
}


def snapshot_of(engine: TradingEngine, speed: float | None) -> EngineSnapshot:
    """Everything a viewer may want to know. Must be called on the engine's thread."""
    schedule = engine.day.schedule
    trip = engine.breaker.trip
    return EngineSnapshot(
        seq=engine.bus.seq,
        time=engine.clock.now(),
        state=engine.state,
        state_reason=engine.state_reason,
        speed=speed,
        session=None
        if schedule is None
        else SessionView(
            schedule.session.date.isoformat(), schedule.session.open, schedule.session.close,
            schedule.no_entries_from, schedule.flatten_at,
        ),
        next_open=engine.day.next_session.open if engine.day.next_session else None,
        account=_account(engine),
        positions=tuple(_position(engine, p) for _, p in sorted(engine.portfolio.positions.items())),
        orders=_orders(engine),
        symbols=tuple(_symbol(engine, desk) for desk in engine.desks.values()),
        streams=tuple(StreamView(s.stream, s.state, s.attempt) for s in engine.streams.values()),
        breaker=BreakerView(
            trip is not None,
            trip.rule if trip else "",
            trip.value if trip else ZERO,
            trip.limit if trip else ZERO,
            engine.breaker.losses_in_a_row,
            engine.breaker.limits.consecutive_losses,
        ),
        warmup_done=len(engine.desks) - len(engine.warm_left),
        warmup_total=len(engine.desks),
        max_positions=engine.config.risk.max_open_positions,
        hindrances=_hindrances(engine),
        external_shares=tuple(sorted(engine.reconciler.external_shares.items())),
    )  # fmt: skip


def candles_of(engine: TradingEngine, symbol: str) -> tuple[CandleRow, ...]:
    """The candles kept of ``symbol``, oldest first; none for a symbol that is not traded."""
    desk = engine.desks.get(symbol)
    return tuple(desk.chart) if desk is not None else ()


def _hindrances(engine: TradingEngine) -> tuple[str, ...]:
    """What stands in the way of entries while the engine runs, apart from the breaker."""
    if engine.state is not EngineState.RUNNING:
        return ()
    cold = {desk.warm_error for desk in engine.desks.values()}
    found = [
        *(cold if len(cold) == 1 and "" not in cold else ()),  # one cause for all of them
        *engine.watch.problems,
        *(_absence(s) for s in engine.streams.values() if s.state != "connected"),
    ]
    if not engine.gateway.journal_ok:
        found.append("the journal cannot be written")
    return tuple(found)


def _absence(stream: StreamState) -> str:
    return f"{_STREAMS.get(stream.stream, stream.stream)} {_NOT_THERE.get(stream.state, stream.state)}"


def _account(engine: TradingEngine) -> AccountView:
    equity = engine.portfolio.equity()
    return AccountView(
        equity,
        engine.portfolio.cash,
        engine.ledger.buying_power,
        engine.breaker.day_pnl(equity),
        engine.ledger.realized,
        engine.portfolio.market_value(),
        sum((_at_risk(engine, p) for p in engine.portfolio.positions.values()), ZERO),
        engine.risk.trade_budget(equity),
        engine.breaker.loss_limit,
    )


def _at_risk(engine: TradingEngine, position: Position) -> Decimal:
    """What the position would lose against its entry if the stop filled now; never negative."""
    stop = engine.manager.books[position.symbol].protect_at
    if stop is None:
        return position.avg_entry_price * position.qty
    return max(ZERO, (position.avg_entry_price - stop) * position.qty)


def _position(engine: TradingEngine, position: Position) -> PositionView:
    book = engine.manager.books[position.symbol]
    last = engine.portfolio.last(position.symbol)
    stop = book.stop
    return PositionView(
        position.symbol,
        position.strategy,
        position.qty,
        position.avg_entry_price,
        last if last is not None else math.nan,
        stop.spec.stop_price if stop is not None else book.protect_at,
        stop is not None and stop.state in WORKING,
        position.planned_risk,
        position.entry_time,
        position.unrealized_pnl(last) if last is not None else ZERO,
        book.exit_reason.value if book.exit_reason else "",
    )


def _orders(engine: TradingEngine) -> tuple[OrderView, ...]:
    return tuple(
        OrderView(
            order.spec.client_order_id, order.broker_order_id, order.created, order.spec.symbol,
            order.spec.role, order.spec.side, order.spec.order_type, order.spec.qty, order.filled_qty,
            order.spec.limit_price, order.spec.stop_price, order.state, order.reason,
        )
        for order in engine.manager.registry
    ) + tuple(
        OrderView(
            report.client_order_id, report.broker_order_id, engine.started, report.symbol, Role.EXTERNAL,
            report.side, report.order_type, report.qty, report.filled_qty, report.limit_price,
            report.stop_price, report.state, report.reason,
        )
        for report in engine.news.external_orders.values()
        if report.state in WORKING
    )  # fmt: skip


def _symbol(engine: TradingEngine, desk: SymbolDesk) -> SymbolView:
    return SymbolView(
        desk.symbol,
        desk.strategy.name,
        engine.market.state_of(desk),
        desk.quarantine or desk.warm_error,
        desk.last if desk.last is not None else math.nan,
        desk.reference if desk.reference is not None else math.nan,
        desk.last_bar,
        desk.candles,
        desk.required,
        desk.aggregator.minutes,
        *_averages(desk),
    )


def _averages(desk: SymbolDesk) -> tuple[str, str]:
    """What the two averages on the chart are called."""
    try:
        wanted = desk.strategy.indicators
        found = [wanted.get(name) for name in ("sma_fast", "sma_slow")]
        fast, slow = (f"{i.kind.upper()} {i.period or ''}".strip() if i else "" for i in found)
    except Exception:  # noqa: BLE001 - a user's strategy may fail, and a view of it must not
        return "", ""
    return fast, slow
