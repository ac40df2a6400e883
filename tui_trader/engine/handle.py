"""How everything outside the engine's thread sees and steers the engine.

The screen, the control API and the command line know events, these snapshots and this handle, and nothing
else of the engine. Every method is thread-safe and none of them makes the engine wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple, Protocol

from tui_trader.core.events import EngineState, Event, Published, SymbolState
from tui_trader.core.orders import OrderState, OrderType, Role, Side
from tui_trader.venues.base import Mode

# ---- commands ----------------------------------------------------------------------------------------

PositionsPolicy = Literal["close", "keep"]


@dataclass(frozen=True, slots=True)
class Pause:
    """No new entries, working entries cancelled; open positions keep being managed."""

    reason: str = "paused by the user"


@dataclass(frozen=True, slots=True)
class Resume:
    """Allow entries again; also lifts a breaker when ``reset_breaker`` (an explicit human reset)."""

    reset_breaker: bool = False


@dataclass(frozen=True, slots=True)
class Flatten:
    """Close one symbol, or (None) cancel and close everything and stay paused until a person resumes."""

    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class CancelWorkingOrder:
    """Cancel one working entry. Protective stops are refused: close the position instead."""

    client_order_id: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Graceful shutdown; ``positions`` None means the configured policy."""

    reason: str
    positions: PositionsPolicy | None = None


#: How the control API words its shutdowns: `tui-trader stop` means the whole program, the screen too.
ASKED_TO_STOP: Final = "asked through the control API"


@dataclass(frozen=True, slots=True)
class SetSpeed:
    """Simulated venues: market seconds a real second; None means as fast as it goes."""

    speed: float | None


Command = Pause | Resume | Flatten | CancelWorkingOrder | Shutdown | SetSpeed

# ---- what can be seen --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What does not change while an engine lives."""

    version: str
    mode: Mode
    venue: str
    account_id: str
    symbols: tuple[str, ...]
    state_dir: str
    seed: int | None


@dataclass(frozen=True, slots=True)
class AccountView:
    """Dollars. ``open_risk`` is what the stops would lose, ``risk_unit`` one R (the budget of one trade)."""

    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    day_pnl: Decimal
    realized_pnl: Decimal
    exposure: Decimal
    open_risk: Decimal
    risk_unit: Decimal
    day_loss_limit: Decimal


@dataclass(frozen=True, slots=True)
class PositionView:
    symbol: str
    strategy: str
    qty: int
    avg_entry_price: Decimal
    last: float
    stop_price: Decimal | None
    stop_working: bool
    planned_risk: Decimal
    entry_time: datetime
    unrealized_pnl: Decimal
    closing: str


@dataclass(frozen=True, slots=True)
class OrderView:
    client_order_id: str
    broker_order_id: str | None
    created: datetime
    symbol: str
    role: Role
    side: Side
    order_type: OrderType
    qty: int
    filled_qty: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    state: OrderState
    reason: str


@dataclass(frozen=True, slots=True)
class SymbolView:
    """``last`` is NaN before the first bar; ``reference`` is the previous session's last close, or NaN.

    ``average_fast`` and ``average_slow`` name what ``CandleRow`` holds, as in "SMA 20"; empty when nothing.
    """

    symbol: str
    strategy: str
    state: SymbolState
    reason: str
    last: float
    reference: float
    last_bar: datetime | None
    candles: int
    required: int
    candle_minutes: int = 0
    average_fast: str = ""
    average_slow: str = ""


@dataclass(frozen=True, slots=True)
class SessionView:
    date: str
    open: datetime
    close: datetime
    no_entries_from: datetime
    flatten_at: datetime


@dataclass(frozen=True, slots=True)
class StreamView:
    stream: str
    state: str
    attempt: int


@dataclass(frozen=True, slots=True)
class BreakerView:
    tripped: bool
    rule: str
    value: Decimal
    limit: Decimal
    losses_in_a_row: int
    loss_limit: int


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """The whole trading state at one moment. ``seq`` is the last event that it contains."""

    seq: int
    time: datetime
    state: EngineState
    state_reason: str
    speed: float | None
    session: SessionView | None
    next_open: datetime | None
    account: AccountView
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    symbols: tuple[SymbolView, ...]
    streams: tuple[StreamView, ...]
    breaker: BreakerView
    warmup_done: int
    warmup_total: int
    max_positions: int = 0  # how many may be open at once; 0 when nobody said
    hindrances: tuple[str, ...] = ()  # why there are no entries although the state is RUNNING
    external_shares: tuple[tuple[str, int], ...] = ()  # symbols and shares that somebody else holds here


class CandleRow(NamedTuple):
    """One closed candle as charts want it; the averages are NaN before they are warm."""

    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    sma_fast: float
    sma_slow: float


class Subscription(Protocol):
    """A bounded queue of events. ``drain`` never blocks; what did not fit is counted in ``dropped``."""

    @property
    def dropped(self) -> int: ...

    def drain(self) -> list[Published]: ...

    def close(self) -> None: ...


class EngineHandle(Protocol):
    """A running engine, seen from any thread."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def stopped(self) -> bool:
        """Whether the engine has ended (cleanly or not)."""

    @property
    def exit_code(self) -> int:
        """The process exit code the run has earned; meaningful once ``stopped``."""

    def subscribe(self, name: str, capacity: int, kinds: Sequence[type[Event]] | None = None) -> Subscription:
        """Receive events from now on, all kinds unless ``kinds`` is given."""

    def send(self, command: Command) -> None:
        """Queue a command; the outcome arrives as events."""

    def snapshot(self) -> Future[EngineSnapshot]:
        """The state as soon as the engine can answer; commands queued before have been handled by then."""

    def candles(self, symbol: str) -> Future[tuple[CandleRow, ...]]:
        """The candles the engine holds of ``symbol``, warm-up included, oldest first (at most 1,000)."""

    def now(self) -> datetime:
        """The engine clock's present time; on an accelerated market it runs on between bars."""
