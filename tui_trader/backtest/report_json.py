"""A backtest for programs: the whole result as JSON, and its trades as CSV.

Money and prices are decimal strings, figures are numbers, times ISO 8601 UTC, as in events. What is not
defined is null. Every figure under ``metrics`` and ``breakdown`` can be computed from the rest.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import numpy as np

from tui_trader.backtest.metrics import Metrics, Slice
from tui_trader.backtest.result import BacktestResult, DataNotes, Trade
from tui_trader.core.events import iso_utc
from tui_trader.core.money import plain, to_decimal
from tui_trader.errors import printable

#: Places of money that was counted in float64.
_PLACES: Final = 6
_BREAKDOWNS: Final = ("by_symbol", "by_hour", "by_month", "by_reason")
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@")
_CSV_COLUMNS: Final = (
    "symbol", "strategy", "side", "qty", "entry_time", "entry_price", "exit_time", "exit_price", "pnl", "r",
    "planned_risk", "mae", "mfe", "reason",
)  # fmt: skip


def document_of(result: BacktestResult, metrics: Metrics) -> dict[str, Any]:
    """``result`` in its public form, as plain JSON values."""
    return {
        "strategy": result.strategy,
        "config": _plain(result.config),
        **{section: _plain(values) for section, values in result.limits.items()},
        "symbols": list(result.symbols),
        "start": iso_utc(result.start),
        "end": iso_utc(result.end),
        "sessions": [[iso_utc(session.open), iso_utc(session.close)] for session in result.sessions],
        "cash": plain(result.cash),
        "slippage_ticks": result.slippage_ticks,
        "bars": result.bars,
        "candles": result.candles,
        "signals": len(result.signals),
        "rejections": dict(sorted(result.rejections.items())),
        "trades": [_trade(trade) for trade in result.trades],
        "open_positions": [_plain(asdict(position)) for position in result.open_positions],
        "breaker_trips": [_plain(trip._asdict()) for trip in result.trips],
        "equity": _equity(result),
        "final_equity": plain(result.final_equity),
        "metrics": {
            field.name: _plain(getattr(metrics, field.name))
            for field in fields(Metrics)
            if field.name not in (*_BREAKDOWNS, "monthly_returns")
        },
        "monthly_returns": _plain(dict(metrics.monthly_returns)),
        "breakdown": {name: _slices(getattr(metrics, name)) for name in _BREAKDOWNS},
        "notes": _notes(result.notes),
        "elapsed_s": result.elapsed_s,
        "bars_per_s": result.bars_per_s,
    }


def json_pieces(document: Mapping[str, Any]) -> Iterator[str]:
    """``document`` as JSON text in pieces: a line for each key, in long lists a line for each element.

    All of it is printable ASCII, so it can be shown on any terminal.
    """
    before = "{\n"
    for key, value in document.items():
        yield f"{before}{_encode(key)}: "
        if isinstance(value, list) and value and not isinstance(value[0], str):
            yield "[\n" + ",\n".join(map(_encode, value)) + "\n]"
        else:
            yield _encode(value)
        before = ",\n"
    yield "\n}\n"


def csv_pieces(trades: Iterable[Trade]) -> Iterator[str]:
    """A header and one line a trade, in order of exit. Text that a spreadsheet would run gets a quote."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    for row in chain([_CSV_COLUMNS], map(_csv_row, trades)):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _csv_row(trade: Trade) -> list[object]:
    values = _trade(trade)
    for name in ("symbol", "strategy", "side", "reason"):
        text = printable(str(values[name]))
        values[name] = f"'{text}" if text.startswith(_FORMULA) else text
    return [values[name] for name in _CSV_COLUMNS]


def _trade(trade: Trade) -> dict[str, Any]:
    return {
        "symbol": trade.symbol,
        "strategy": trade.strategy,
        "side": "long",
        "qty": trade.qty,
        "entry_time": iso_utc(trade.entry_time),
        "entry_price": plain(trade.entry_price),
        "exit_time": iso_utc(trade.exit_time),
        "exit_price": plain(trade.exit_price),
        "pnl": plain(trade.pnl),
        "reason": trade.reason.value,
        "planned_risk": plain(trade.planned_risk),
        "r": trade.r,
        "mae": _dollars(trade.mae),
        "mfe": _dollars(trade.mfe),
    }


def _equity(result: BacktestResult) -> list[list[str]]:
    """[time, value] from the cash at the first open to the final equity."""
    times = np.datetime_as_string(result.equity.time.astype("datetime64[s]"))
    points = [[iso_utc(result.start), plain(result.cash)]]
    points += [
        [f"{time}Z", _dollars(value)]
        for time, value in zip(times.tolist(), result.equity.value.tolist(), strict=True)
    ]
    if len(points) > 1:
        # The exact sum, where the curve has the float64 next to it.
        points[-1][1] = plain(result.final_equity)
    return points


def _dollars(value: float) -> str:
    """``value`` with at most six places and no needless zeros."""
    rounded = round(value, _PLACES) + 0.0  # which makes a plain zero of -0.0
    text = repr(rounded)
    return plain(to_decimal(rounded)) if "e" in text else text.removesuffix(".0")


def _slices(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    return [asdict(part) for part in slices]


def _notes(notes: DataNotes) -> dict[str, Any]:
    return {
        "refused": [_plain(asdict(bar)) for bar in notes.refused],
        "adjusted": notes.adjusted,
        "splits": [{"symbol": symbol, "time": iso_utc(time)} for symbol, time in notes.splits],
        "missing": dict(notes.missing),
        "outside": notes.outside,
        "absent": list(notes.absent),
        "cold": list(notes.cold),
        "skipped_rows": notes.skipped_rows,
    }


def _plain(value: object) -> Any:
    """``value`` as JSON has it; what JSON has no form for (a strategy's own type) is its text."""
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return plain(value)
        case datetime():
            return iso_utc(value)
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case _:
            return str(value)


def _encode(value: object) -> str:
    # Of the characters a terminal may obey only DEL is left as it is by ``ensure_ascii``.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("\x7f", "\\u007f")
