"""A strategy's candidates, believed only as far as they can be checked.

``entry_candidates`` is given whole columns, so it could look ahead, or forget a signal. Neither may pass in
silence: the mask is made again over columns that end earlier, and the strategy is asked about some of the
candles that it leaves out.
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

_CUTS: Final = (0.37, 0.71)
_ASKED: Final = 64


def checked_candidates(
    strategy: Strategy, candles: Candles, series: dict[str, Floats]
) -> NDArray[np.bool_] | None:
    """The mask over all of ``candles``, or None when the strategy has none.

    Raises ``UsageError`` for a mask that is none, that depends on later candles, or that leaves out a candle
    which ``should_long`` says yes to.
    """
    parts = []
    for first, last in candles.histories():
        columns = candles.columns(first, last, series)
        mask = _mask(strategy, columns)
        if mask is None:
            return None
        for cut in _CUTS:
            count = int(len(columns) * cut)
            earlier = _mask(strategy, columns.until(count))
            if earlier is None or not np.array_equal(earlier, mask[:count]):
                raise UsageError(
                    f"strategy {strategy.name}: entry_candidates looks ahead: its first {count} answers "
                    f"change when later candles are left out"
                )
        _ask_some(strategy, candles, first, columns, mask)
        parts.append(mask)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


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
    """Ask a fresh instance about candles that the mask leaves out, spread over the whole run."""
    left_out = np.flatnonzero(~mask)
    if not len(left_out):
        return
    fresh = type(strategy)(strategy.symbol, strategy.config)
    view = ArrayView(candles.minutes)
    view.candles_since_exit = None
    for at in left_out[:: max(1, len(left_out) // _ASKED)].tolist():
        view.open, view.high, view.low, view.close = (
            column.item(at) for column in (columns.open, columns.high, columns.low, columns.close)
        )
        view.volume = int(columns.volume[at])
        view.minute = int(candles.start[first + at])
        view.count = at + 1
        view.now = {name: column.item(at) for name, column in columns.now.items()}
        view.before = {
            name: column.item(at - 1) if at else float("nan") for name, column in columns.now.items()
        }
        if fresh.should_long(view):
            raise UsageError(
                f"strategy {strategy.name}: entry_candidates leaves out a candle that should_long takes: "
                f"{strategy.symbol}, {view.start:%Y-%m-%d %H:%M} UTC"
            )
