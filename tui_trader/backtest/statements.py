"""What has to be said about a backtest in words: why it did not trade, what was odd about its bars.

Every statement is one line of plain text. Times are New York's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

from tui_trader.backtest.result import BacktestResult, OpenPosition, TripRecord
from tui_trader.core.calendar import NEW_YORK
from tui_trader.core.orders import Role
from tui_trader.errors import printable

#: How many of many are named.
_SOME: Final = 5
#: With fewer sessions than a month has, figures by the year say little.
_FEW_SESSIONS: Final = 21


def why_no_trades(result: BacktestResult) -> str | None:
    """Why there is no closed trade, or None when there is one."""
    if result.trades:
        return None
    if result.open_positions:
        return "No trade was closed: what was bought is still held."
    if not result.signals:
        if len(result.notes.cold) == len(result.symbols):
            return "No trades: no symbol had as many candles as the strategy needs before its first signal."
        return f"No trades: none of the {result.candles:,} candles gave a signal."
    refused = sum(result.rejections.values())
    if refused == len(result.signals):
        return f"No trades: {_every(refused, 'signal')} was refused ({counts(result.rejections)})."
    placed = sum(order.role is Role.ENTRY and order.action == "submit" for order in result.orders)
    return f"No trades: {plural(placed, 'entry order')} went out and none was filled."


def refusals(result: BacktestResult) -> list[str]:
    """One line for each risk rule that refused signals, with its last reason."""
    last = {signal.refused: signal.reason for signal in result.signals if signal.refused}
    return [
        printable(
            f"{rule} refused {plural(count, 'signal')}" + (f", at last: {last[rule]}" if last[rule] else "")
        )
        for rule, count in _most(result.rejections)
    ]


def warnings(result: BacktestResult, required_history: int | None = None) -> list[str]:
    """What a reader must know to judge the result; ``required_history`` is the strategy's, in candles."""
    notes = result.notes
    found = []
    if notes.absent:
        found.append(f"No bars of {some(notes.absent)}, though asked for.")
    if notes.cold:
        needed = "as many candles as" if required_history is None else f"the {required_history:,} candles"
        found.append(
            f"{some(notes.cold)} never had {needed} {result.strategy} needs: no signal was possible."
        )
    found += [
        f"{symbol} was split before the session of {_day(time)}: its candles start anew there."
        for symbol, time in islice(notes.splits, _SOME)
    ]
    if len(notes.splits) > _SOME:
        found.append(f"{len(notes.splits) - _SOME} further splits.")
    if notes.refused:
        found.append(f"{plural(len(notes.refused), 'bar')} refused:")
        found += [f"  {bar.symbol} {_minute(bar.timestamp)}: {bar.reason}" for bar in notes.refused[:_SOME]]
        if len(notes.refused) > _SOME:
            found.append(f"  and {len(notes.refused) - _SOME:,} more")
    if notes.adjusted:
        found.append(
            f"{plural(notes.adjusted, 'bar')} had a high or low beyond belief, cut back to the body."
        )
    missing = {symbol: count for symbol, count in notes.missing.items() if count}
    if missing:
        total = plural(sum(missing.values()), "session minute")
        found.append(f"{total} without a bar ({counts(missing)}): normal where nobody traded.")
    if notes.outside:
        found.append(f"{plural(notes.outside, 'bar')} outside regular hours left out.")
    if notes.skipped_rows:
        found.append(
            f"{plural(notes.skipped_rows, 'bad row')} skipped; without --skip-bad the first one is named."
        )
    if len(result.sessions) < _FEW_SESSIONS:
        found.append(
            f"CAGR, Sharpe and Sortino are scaled up from {plural(len(result.sessions), 'session')}."
        )
    return [printable(line) for line in found]


def breaker_trips(trips: Sequence[TripRecord]) -> list[str]:
    """One line for each time the circuit breaker stopped entries."""
    lines = [f"{_minute(trip.time)}: {_cause(trip)}" for trip in trips[:_SOME]]
    return [*lines, f"and {len(trips) - _SOME:,} more"] if len(trips) > _SOME else lines


def still_open(positions: Iterable[OpenPosition]) -> list[str]:
    """One line for each position that the bars ended with."""
    return [
        printable(
            f"{held.symbol}: {held.qty:,} from {_minute(held.entry_time)} at {held.entry_price:,.2f}, "
            f"stop {held.stop_price:,.2f}, {held.unrealized_pnl:+,.2f} so far"
        )
        for held in positions
    ]


def counts(numbers: Mapping[str, int]) -> str:
    """``size 3, price_collar 1``: the largest first."""
    return some(f"{name} {count:,}" for name, count in _most(numbers))


def some(names: Iterable[str]) -> str:
    """``A, B, C and 4 more``."""
    first, rest = list(islice(names := iter(names), _SOME)), sum(1 for _ in names)
    return ", ".join(first) + (f" and {rest:,} more" if rest else "")


def plural(number: int, noun: str) -> str:
    """``1 bar``, ``2 bars``, ``2 entries``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _every(number: int, noun: str) -> str:
    return f"the one {noun}" if number == 1 else f"every one of {number:,} {noun}s"


def _most(numbers: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield from sorted(numbers.items(), key=lambda item: (-item[1], item[0]))


def _cause(trip: TripRecord) -> str:
    match trip.rule:
        case "consecutive_loss_pause":
            return f"{trip.value:.0f} losses in a row"
        case "max_daily_loss_pct":
            return f"the day's loss of ${trip.value:,.2f} reached its limit of ${trip.limit:,.2f}"


def _minute(time: datetime) -> str:
    return f"{time.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"


def _day(time: datetime) -> str:
    return f"{time.astimezone(NEW_YORK):%Y-%m-%d}"


def limits_in_words(limits: Mapping[str, Mapping[str, object]]) -> str:
    """The limits that decide most about sizes and pauses; the JSON has them all."""
    risk = limits.get("risk")
    if not risk:
        return ""
    return (
        f"risk {risk['max_risk_per_trade_pct']} % or ${risk['max_risk_per_trade']} a trade, "
        f"{risk['max_position_pct']} % of equity a position, {risk['max_open_positions']} positions; "
        f"paused by a day of -{risk['max_daily_loss_pct']} % "
        f"or {risk['consecutive_loss_pause']} losses in a row"
    )
