"""A strategy's candidates, believed only as far as they can be checked.

``entry_candidates`` is given whole columns, so it could look ahead, or forget a signal. Neither may pass in
silence: the mask is made again over columns that end just behind some of its candidates, and the strategy is
asked about some of the candles that it leaves out. Both are done by instances that do not trade, so that
none remembers what it saw (a strategy that hoards columns outside of itself fools its author alone).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.candles import Candles
from tui_trader.backtest.desk import ArrayView
from tui_trader.core.indicators import Floats
from tui_trader.core.rule import CandleColumns
from tui_trader.errors import UsageError
from tui_trader.strategies.base import Strategy

#: Cuts behind early candidates, which cost little, and one further on, as a share of the run and at most.
_EARLY_CUTS: Final = 8
_EARLY: Final = 4_000
_LATE_CUT: Final = 0.2
_LATE: Final = 10_000
#: Candles left out that the strategy is asked about.
_ASKED: Final = 200


def checked_candidates(
    strategy: Strategy, candles: Candles, series: dict[str, Floats]
) -> NDArray[np.bool_] | None:
    """The mask over all of ``candles``, or None when the strategy has none.

    Raises ``UsageError`` for a mask that is none, that depends on later candles, or that leaves out a candle
    which ``should_long`` says yes to.
    """
    parts: list[NDArray[np.bool_]] = []
    for first, last in candles.histories():
        columns = candles.columns(first, last, series)
        mask = _mask(_another(strategy), columns)
        if mask is None:
            if parts:
                raise UsageError(
                    f"strategy {strategy.name}: entry_candidates must always return a mask, or never"
                )
            return None
        _cut_short(strategy, columns, mask)
        _ask_some(_another(strategy), candles, first, columns, mask)
        parts.append(mask)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _another(strategy: Strategy) -> Strategy:
    return type(strategy)(strategy.symbol, strategy.config)


def _cut_short(strategy: Strategy, columns: CandleColumns, mask: NDArray[np.bool_]) -> None:
    """Make the mask again over columns that end earlier: what it said before must not change."""
    early = np.flatnonzero(mask[:_EARLY])
    counts = set((early[:: max(1, len(early) // _EARLY_CUTS)] + 1).tolist())
    later = min(int(len(mask) * _LATE_CUT), _LATE)
    counts.update((np.flatnonzero(mask[later : later + _EARLY])[:1] + later + 1).tolist())
    counts.add(min(len(mask) // 2, _EARLY))
    for count in sorted(counts):
        earlier = _mask(_another(strategy), columns.until(count))
        if earlier is None or not np.array_equal(earlier, mask[:count]):
            raise UsageError(
                f"strategy {strategy.name}: entry_candidates looks ahead: its first {count} answers "
                f"change when later candles are left out"
            )


def _mask(strategy: Strategy, columns: CandleColumns) -> NDArray[np.bool_] | None:
    mask = strategy.entry_candidates(columns)
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (len(columns),):
        raise UsageError(
            f"strategy {strategy.name}: entry_candidates must return {len(columns)} booleans, one a candle, "
            f"as a numpy array"
        )
    return mask


def _ask_some(
    strategy: Strategy, candles: Candles, first: int, columns: CandleColumns, mask: NDArray[np.bool_]
) -> None:
    """Ask about candles that the mask leaves out, spread over the whole run."""
    left_out = np.flatnonzero(~mask)
    if not len(left_out):
        return
    asked = left_out[:: max(1, len(left_out) // _ASKED)]
    view = ArrayView(candles.minutes)
    view.candles_since_exit = None
    now, before = _tables(columns, asked), _tables(columns, asked - 1)
    prices = np.stack(
        [column[asked] for column in (columns.open, columns.high, columns.low, columns.close)], axis=1
    ).tolist()
    starts, volumes = candles.start[first + asked].tolist(), columns.volume[asked].tolist()
    for number, at in enumerate(asked.tolist()):
        view.open, view.high, view.low, view.close = prices[number]
        view.volume, view.minute, view.count = int(volumes[number]), starts[number], at + 1
        view.now = now[number]
        view.before = before[number] if at else dict.fromkeys(columns.now, float("nan"))
        if strategy.should_long(view):
            raise UsageError(
                f"strategy {strategy.name}: entry_candidates leaves out a candle that should_long takes: "
                f"{strategy.symbol}, {view.start:%Y-%m-%d %H:%M} UTC"
            )


def _tables(columns: CandleColumns, numbers: NDArray[np.intp]) -> list[dict[str, float]]:
    """The indicators of the candles with these ``numbers``, a table for each."""
    chosen = {name: column[numbers].tolist() for name, column in columns.now.items()}
    return [{name: values[at] for name, values in chosen.items()} for at in range(len(numbers))]
