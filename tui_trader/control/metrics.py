"""The engine's figures in the Prometheus text format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from tui_trader.core.events import EVENT_TYPES, MARKET_DATA, EngineState, Event, Heartbeat
from tui_trader.core.orders import TERMINAL
from tui_trader.engine.handle import EngineInfo, EngineSnapshot

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Sample = tuple[dict[str, str], float]


class _Page:
    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(
        self, name: str, kind: Literal["counter", "gauge"], text: str, samples: Iterable[_Sample]
    ) -> None:
        name = f"tui_trader_{name}"
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            inner = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
            self._lines.append(f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}")

    def gauge(self, name: str, text: str, value: float) -> None:
        self.family(name, "gauge", text, [({}, value)])

    def counter(self, name: str, text: str, value: float) -> None:
        self.family(name, "counter", text, [({}, value)])

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"


def metrics_page(
    info: EngineInfo,
    snapshot: EngineSnapshot | None,
    heartbeat: Heartbeat | None,
    counts: Mapping[type[Event], int],
    dropped: int,
    viewers: int,
) -> str:
    """All metrics as text. Without a ``snapshot`` (the engine did not answer) its figures are left out."""
    page = _Page()
    page.family(
        "info",
        "gauge",
        "What runs.",
        [({"version": info.version, "mode": str(info.mode), "venue": info.venue}, 1)],
    )
    page.gauge("engine_answering", "Whether the engine answered this request.", snapshot is not None)
    page.family(
        "events_total",
        "counter",
        "Events seen by the control API, by type.",
        # Market data is only listened to while somebody views, so its count would say nothing.
        [({"type": kind.__name__}, counts.get(kind, 0)) for kind in EVENT_TYPES if kind not in MARKET_DATA],
    )
    page.counter("events_dropped_total", "Events the control API was too slow to take.", dropped)
    page.gauge("event_stream_clients", "Open event streams.", viewers)
    if heartbeat is not None:
        page.gauge("uptime_seconds", "Time since the engine started.", heartbeat.uptime_s)
        page.gauge("inbox_depth", "Messages waiting for the engine.", heartbeat.inbox_depth)
        page.gauge("loop_lag_seconds", "How late the engine's loop runs.", heartbeat.loop_lag_ms / 1000)
    if snapshot is not None:
        _engine(page, snapshot)
    return str(page)


def _engine(page: _Page, snapshot: EngineSnapshot) -> None:
    account, breaker = snapshot.account, snapshot.breaker
    page.family(
        "engine_state",
        "gauge",
        "1 for the state the engine is in.",
        [({"state": str(state)}, state == snapshot.state) for state in EngineState],
    )
    page.gauge("last_event_seq", "Number of the last event.", snapshot.seq)
    page.gauge("equity_dollars", "Account equity.", float(account.equity))
    page.gauge("cash_dollars", "Account cash.", float(account.cash))
    page.gauge("buying_power_dollars", "Buying power.", float(account.buying_power))
    page.gauge("day_pnl_dollars", "The day's profit or loss, unrealised too.", float(account.day_pnl))
    page.gauge("realized_pnl_dollars", "Profit or loss of closed trades today.", float(account.realized_pnl))
    page.gauge("exposure_dollars", "Market value of open positions.", float(account.exposure))
    page.gauge("open_risk_dollars", "What the protective stops would lose.", float(account.open_risk))
    page.gauge("open_positions", "Open positions.", len(snapshot.positions))
    unprotected = sum(not position.stop_working for position in snapshot.positions)
    page.gauge("unprotected_positions", "Open positions without a working stop.", unprotected)
    working = sum(order.state not in TERMINAL for order in snapshot.orders)
    page.gauge("working_orders", "Orders that may still fill.", working)
    page.gauge("breaker_tripped", "Whether the circuit breaker blocks entries.", breaker.tripped)
    page.gauge("losses_in_a_row", "Losing trades in a row.", breaker.losses_in_a_row)
    page.family(
        "stream_connected",
        "gauge",
        "Whether a stream is connected.",
        [({"stream": view.stream}, view.state == "connected") for view in snapshot.streams],
    )


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    """Whole numbers without a point; the format's own words for what is not finite."""
    number = float(value)
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if number.is_integer() else repr(number)
