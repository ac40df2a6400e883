"""An engine in memory that keeps the promises of ``EngineHandle``, and helpers to serve and call it."""

from __future__ import annotations

import http.client
import json
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tui_trader.control.endpoint import read_endpoint
from tui_trader.control.limits import Limits
from tui_trader.control.server import ControlServer
from tui_trader.core.events import (
    EngineState,
    EngineStateChanged,
    Event,
    OrderStateChanged,
    PositionChanged,
    Published,
    SymbolState,
)
from tui_trader.core.orders import TERMINAL, OrderState, OrderType, Role, Side
from tui_trader.engine.handle import (
    AccountView,
    BreakerView,
    CandleRow,
    Command,
    EngineInfo,
    EngineSnapshot,
    Flatten,
    OrderView,
    Pause,
    PositionView,
    Resume,
    SessionView,
    Shutdown,
    StreamView,
    SymbolView,
)
from tui_trader.venues.base import Mode

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
MANY_REQUESTS = Limits(request_burst=100_000)


class FakeSubscription:
    def __init__(self, capacity: int, kinds: Sequence[type[Event]] | None, forget: Callable[[Any], None]):
        self.kinds = kinds
        self.closed = False
        self._queue: deque[Published] = deque()
        self._capacity = capacity
        self._forget = forget
        self._lock = threading.Lock()
        self.dropped = 0

    def put(self, published: Published) -> None:
        with self._lock:
            self._queue.append(published)
            if len(self._queue) > self._capacity:
                self._queue.popleft()
                self.dropped += 1

    def drain(self) -> list[Published]:
        with self._lock:
            events = list(self._queue)
            self._queue.clear()
            return events

    def close(self) -> None:
        self.closed = True
        self._forget(self)


def order(symbol: str, role: Role, state: OrderState = OrderState.ACCEPTED, qty: int = 10) -> OrderView:
    buy = role is Role.ENTRY
    return OrderView(
        client_order_id=f"tt-velez-{symbol}-0a1b-{role[0]}1",
        broker_order_id="b-1",
        created=START,
        symbol=symbol,
        role=role,
        side=Side.BUY if buy else Side.SELL,
        order_type={Role.ENTRY: OrderType.STOP_LIMIT, Role.STOP: OrderType.STOP}.get(role, OrderType.MARKET),
        qty=qty,
        filled_qty=0,
        limit_price=Decimal("101.50") if buy else None,
        stop_price=None if role is Role.EXIT else Decimal("99.50"),
        state=state,
        reason="",
    )


def position(symbol: str, qty: int = 10) -> PositionView:
    return PositionView(
        symbol=symbol,
        strategy="velez",
        qty=qty,
        avg_entry_price=Decimal("100.25"),
        last=101.5,
        stop_price=Decimal("99.50"),
        stop_working=True,
        planned_risk=Decimal("7.50"),
        entry_time=START,
        unrealized_pnl=Decimal("12.50"),
        closing="",
    )


class FakeEngine:
    """``obey`` carries a command out at once; replace it to be slow, deaf or half-hearted."""

    def __init__(self) -> None:
        self.info = EngineInfo("0.1.0", Mode.SIM, "sim", "SIM-1", ("AAPL", "TSLA"), "/nowhere", 7)
        self.commands: list[Command] = []
        self.subscriptions: list[FakeSubscription] = []
        self.obey: Callable[[Command], None] = self.carry_out
        self.silent = False
        self.pending: list[Future[EngineSnapshot]] = []
        self.stopped = False
        self.exit_code = 0
        self._lock = threading.RLock()
        self.view = _at_rest()

    # ---- EngineHandle ----------------------------------------------------------------------------------

    def subscribe(
        self, name: str, capacity: int, kinds: Sequence[type[Event]] | None = None
    ) -> FakeSubscription:
        with self._lock:
            subscription = FakeSubscription(capacity, kinds, self._unsubscribe)
            self.subscriptions.append(subscription)
            return subscription

    def send(self, command: Command) -> None:
        with self._lock:
            self.commands.append(command)
            self.obey(command)

    def snapshot(self) -> Future[EngineSnapshot]:
        future: Future[EngineSnapshot] = Future()
        with self._lock:
            if self.silent:
                self.pending.append(future)
            else:
                future.set_result(self.view)
        return future

    def candles(self, symbol: str) -> Future[tuple[CandleRow, ...]]:
        future: Future[tuple[CandleRow, ...]] = Future()
        future.set_result(())
        return future

    def now(self) -> datetime:
        return self.view.time

    # ---- what tests do to it ---------------------------------------------------------------------------

    def publish(self, event: Event) -> Published:
        with self._lock:
            time = self.view.time + timedelta(seconds=1)
            self.view = replace(self.view, seq=self.view.seq + 1, time=time)
            published = Published(self.view.seq, time, event)
            for subscription in self.subscriptions:
                if subscription.kinds is None or type(event) in subscription.kinds:
                    subscription.put(published)
            return published

    def change(self, **fields: Any) -> None:
        """Alter the snapshot without saying so."""
        with self._lock:
            self.view = replace(self.view, **fields)

    def enter(self, state: EngineState, reason: str = "") -> None:
        with self._lock:
            previous = self.view.state
            self.change(state=state, state_reason=reason)
            self.publish(EngineStateChanged(state, previous, reason))
            self.stopped = state is EngineState.STOPPED

    def hold(self, *positions: PositionView) -> None:
        with self._lock:
            self.change(positions=positions, orders=tuple(order(p.symbol, Role.STOP) for p in positions))

    def work(self, view: OrderView) -> None:
        """An order appears, changes or ends."""
        with self._lock:
            others = tuple(o for o in self.view.orders if o.client_order_id != view.client_order_id)
            self.change(orders=others if view.state in TERMINAL else (*others, view))
            self.publish(
                OrderStateChanged(
                    view.client_order_id,
                    view.broker_order_id,
                    view.symbol,
                    view.role,
                    view.side,
                    view.order_type,
                    view.qty,
                    view.filled_qty,
                    view.limit_price,
                    view.stop_price,
                    view.state,
                    None,
                    view.reason,
                )
            )

    def close_positions(self, symbol: str | None = None) -> None:
        with self._lock:
            for view in self.view.orders:
                if symbol in (None, view.symbol):
                    self.work(replace(view, state=OrderState.CANCELED))
            for held in self.view.positions:
                if symbol in (None, held.symbol):
                    self.change(positions=tuple(p for p in self.view.positions if p is not held))
                    self.publish(PositionChanged(held.symbol, 0, held.avg_entry_price, None, Decimal(0)))

    def carry_out(self, command: Command) -> None:
        match command:
            case Pause(reason=reason):
                self.enter(EngineState.PAUSED, reason)
            case Resume():
                self.enter(EngineState.RUNNING, "")
            case Flatten(symbol=symbol):
                if symbol is None:
                    self.enter(EngineState.PAUSED, "flatten")
                self.close_positions(symbol)
            case Shutdown(reason=reason, positions=policy):
                self.enter(EngineState.SHUTTING_DOWN, reason)
                if policy != "keep":
                    self.close_positions()
                self.enter(EngineState.STOPPED, reason)
            case _:
                raise AssertionError(command)

    def speak(self) -> None:
        """Answer every snapshot that waits, as an engine does that was only slow."""
        self.silent = False
        for future in self.pending:
            future.set_result(self.view)

    def _unsubscribe(self, subscription: FakeSubscription) -> None:
        with self._lock:
            self.subscriptions = [s for s in self.subscriptions if s is not subscription]


def _at_rest() -> EngineSnapshot:
    opening = START.replace(hour=14, minute=30)
    closing_time = START.replace(hour=21)
    zero = Decimal(0)
    return EngineSnapshot(
        seq=0,
        time=START,
        state=EngineState.RUNNING,
        state_reason="",
        speed=60.0,
        session=SessionView("2026-03-02", opening, closing_time, closing_time, closing_time),
        next_open=None,
        account=AccountView(
            equity=Decimal("100012.50"),
            cash=Decimal("98997.50"),
            buying_power=Decimal("98997.50"),
            day_pnl=Decimal("12.50"),
            realized_pnl=zero,
            exposure=Decimal("1015.00"),
            open_risk=Decimal("7.50"),
            risk_unit=Decimal("500"),
            day_loss_limit=Decimal("3000.00"),
        ),
        positions=(),
        orders=(),
        symbols=(
            SymbolView(
                "AAPL", "velez", SymbolState.WATCHING, "", 101.5, 100.0, START, candles=201, required=201
            ),
            SymbolView("TSLA", "velez", SymbolState.COLD, "no history", math.nan, math.nan, None, 0, 201),
        ),
        streams=(StreamView("bars", "connected", 0), StreamView("rest", "stale", 2)),
        breaker=BreakerView(tripped=False, rule="", value=zero, limit=zero, losses_in_a_row=1, loss_limit=3),
        warmup_done=1,
        warmup_total=2,
    )


@contextmanager
def serving(engine: FakeEngine, state_dir: Path, limits: Limits | None = None) -> Iterator[Api]:
    server = ControlServer(engine, "127.0.0.1:0", state_dir, limits)
    server.start()
    try:
        yield Api(server, state_dir)
    finally:
        server.stop()


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Api:
    """Calls a served engine as any program could."""

    def __init__(self, server: ControlServer, state_dir: Path) -> None:
        self.server = server
        self.state_dir = state_dir
        self.endpoint = read_endpoint(state_dir)
        self.port = int(server.url.rpartition(":")[2])
        self.authorization = {"Authorization": f"Bearer {self.endpoint.token}"}

    def call(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        trusted: bool = True,
        **headers: str,
    ) -> Answer:
        with closing(self.connect()) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None:
                named.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, (self.authorization if trusted else {}) | named)
            return Answer(connection.getresponse())

    def get(self, path: str, **options: Any) -> Answer:
        return self.call("GET", path, **options)

    def post(self, path: str, body: bytes | str | None = None, **options: Any) -> Answer:
        return self.call("POST", path, body, **options)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def metric(self, name: str) -> float:
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        raise KeyError(name)

    @contextmanager
    def stream(self, last: int | None = None) -> Iterator[Stream]:
        with closing(self.connect()) as connection:
            resume = {} if last is None else {"Last-Event-ID": str(last)}
            connection.request("GET", "/v1/events", headers=self.authorization | resume)
            yield Stream(connection.getresponse())


class Stream:
    """Reads server-sent events; the viewer is attached once it exists."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response
        assert response.status == 200, response.read()
        assert self.block() == {"retry": "1000"}

    def block(self) -> dict[str, str]:
        """The fields of the next block; a comment has the empty name."""
        fields: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name.rstrip(":")] = value
        return fields

    def event(self) -> dict[str, Any]:
        fields = self.block()
        document: dict[str, Any] = json.loads(fields["data"])
        assert fields["event"] == document["type"]
        if fields["event"] == "gap":
            assert "id" not in fields
        else:
            assert fields["id"] == str(document["seq"])
        return document
