"""The engine's status document as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from tui_trader.errors import TuiTraderError, printable

_NEW_YORK: Final = ZoneInfo("America/New_York")
_NONE: Final = "-"


def summary(status: dict[str, Any]) -> str:
    """Several lines without control characters; times are New York's.

    Raises ``TuiTraderError`` when the document is not one this version knows.
    """
    try:
        lines = [*_head(status), *_positions(status), *_orders(status), *_symbols(status)]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise TuiTraderError("the engine's answer is not understood: is it of another version?") from None
    return "\n".join(printable(line.rstrip()) for line in lines)


def _head(status: dict[str, Any]) -> list[str]:
    account, breaker = status["account"], status["breaker"]
    state = status["state"] + (f" ({status['state_reason']})" if status["state_reason"] else "")
    losses = f"{breaker['losses_in_a_row']} of {breaker['loss_limit']} losses in a row"
    if breaker["tripped"]:
        tripped = f"TRIPPED by {breaker['rule']} ({breaker['value']}, limit {breaker['limit']})"
        breaker_text = f"{tripped}: no entries; {losses}"
    else:
        breaker_text = f"armed; {losses}"
    streams = ", ".join(f"{view['stream']} {view['state']}" for view in status["streams"])
    others = ", ".join(f"{symbol} {qty}" for symbol, qty in status["external_shares"])
    external = [f"External   {others} shares, not ours"] if others else []
    title = f"tui-trader {status['version']}  {status['mode'].upper()}  venue {status['venue']}"
    money = f"equity {account['equity']}  day P/L {_signed(account['day_pnl'])}  cash {account['cash']}"
    risk = f"open {account['open_risk']}  exposure {account['exposure']}"
    off = [f"Entries    off: {why}" for why in status["hindrances"]]
    return [
        f"{title}  account {status['account_id']}",
        f"State      {state}, {_time(status['time'], '%Y-%m-%d %H:%M:%S')} New York",
        *off,
        f"Session    {_session(status)}",
        f"Account    {money}  buying power {account['buying_power']}",
        f"Risk       {risk}  day loss limit {account['day_loss_limit']}",
        f"Breaker    {breaker_text}",
        f"Streams    {streams or _NONE}",
        *external,
    ]


def _session(status: dict[str, Any]) -> str:
    session = status["session"]
    if session is not None:
        return f"{session['date']}  {_time(session['open'])} to {_time(session['close'])} New York"
    if status["next_open"] is not None:
        return f"closed until {_time(status['next_open'], '%Y-%m-%d %H:%M')} New York"
    return _NONE


def _positions(status: dict[str, Any]) -> Iterable[str]:
    rows = [
        (
            held["symbol"],
            held["qty"],
            held["avg_entry_price"],
            held["last"],
            _signed(held["unrealized_pnl"]),
            "NO STOP" if not held["stop_working"] else held["stop_price"],
            held["strategy"],
            held["closing"] and f"closing: {held['closing']}",
        )
        for held in status["positions"]
    ]
    return _table("Positions", ("SYM", "QTY", "AVG", "LAST", "P/L", "STOP", "STRATEGY", ""), rows)


def _orders(status: dict[str, Any]) -> Iterable[str]:
    rows = [
        (
            order["symbol"],
            order["role"],
            order["side"],
            order["order_type"],
            f"{order['filled_qty']}/{order['qty']}",
            order["stop_price"],
            order["limit_price"],
            order["state"],
        )
        for order in status["orders"]
    ]
    return _table("Orders", ("SYM", "ROLE", "SIDE", "TYPE", "FILLED", "STOP", "LIMIT", "STATE"), rows)


def _symbols(status: dict[str, Any]) -> Iterable[str]:
    rows = [
        (view["symbol"], view["last"], view["state"], view["strategy"], view["reason"])
        for view in status["symbols"]
    ]
    return _table("Symbols", ("SYM", "LAST", "STATE", "STRATEGY", ""), rows)


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return [f"{title:<10} none"]
    cells = [header, *([_NONE if cell is None else printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = ["  " + "  ".join(map(str.ljust, row, widths)) for row in cells]
    return ["", f"{title}   {len(rows)}", *table]


def _time(iso: str, form: str = "%H:%M") -> str:
    return datetime.fromisoformat(iso).astimezone(_NEW_YORK).strftime(form)


def _signed(money: str) -> str:
    return money if money.startswith("-") else f"+{money}"
