"""What a trading strategy is: the class that users extend.

A strategy is a set of answers about one symbol. It sees closed candles only, places no orders and knows no
broker; the engine sizes, checks, places and protects. One instance serves one symbol, so it may remember.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tui_trader.core.indicators import Indicator
from tui_trader.core.rule import CandleColumns, CandleView, Holding


class StrategyConfig(BaseModel):
    """Parameters of a strategy; extend it with bounded fields. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Strategy(ABC):
    """Override what your rule needs; the defaults never trade.

    ``name`` identifies the strategy in configuration, order ids and reports (letters, digits, ``_``).
    """

    name: ClassVar[str]
    config_type: ClassVar[type[StrategyConfig]] = StrategyConfig

    def __init__(self, symbol: str, config: Any) -> None:
        self.symbol = symbol
        self.config = config

    @property
    @abstractmethod
    def candle_interval_minutes(self) -> int:
        """1, 2, 5, 10 or 15."""

    @property
    @abstractmethod
    def required_history(self) -> int:
        """Candles needed before the first signal is possible."""

    @property
    @abstractmethod
    def indicators(self) -> Mapping[str, Indicator]:
        """The series wanted in ``view.now``; ``sma_fast`` and ``sma_slow`` are drawn on the chart."""

    @property
    def force_close_eod(self) -> bool:
        """Whether the position is closed before the session ends."""
        return True

    @abstractmethod
    def should_long(self, view: CandleView) -> bool:
        """Whether this candle is a signal to buy. Asked only when flat and entries are allowed."""

    def entry_candidates(self, candles: CandleColumns) -> NDArray[np.bool_] | None:
        """Which candles ``should_long`` may say yes to, whatever was traded before; None: any of them.

        Optional, for backtests alone: candles left out are never asked about, which makes a run many times
        faster. An element may depend on its candle and those before it, on nothing later, and not on
        ``candles_since_exit``. One too many costs time; one too few would lose a signal.
        """
        return None

    def should_short(self, view: CandleView) -> bool:
        """Short selling is an extension point: the engine does not ask yet."""
        return False

    @abstractmethod
    def entry_price(self, view: CandleView) -> Decimal:
        """Stop price of the buy stop-limit, dollars; rounded up to the tick."""

    @abstractmethod
    def stop_loss_price(self, view: CandleView) -> Decimal:
        """Protective stop, dollars; rounded down to the tick."""

    def limit_price(self, entry: Decimal, stop_loss: Decimal) -> Decimal:
        """The most to pay, dollars; rounded down to the tick, never less than ``entry``."""
        return entry + (entry - stop_loss) / 2

    def should_cancel_pending(self, view: CandleView, candles_waited: int) -> bool:
        """Whether to withdraw the entry after ``candles_waited`` further candles without a fill."""
        return candles_waited >= self.pending_expiry_candles

    @property
    def pending_expiry_candles(self) -> int:
        """After how many windows the entry is withdrawn also when no candle comes."""
        return 1

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        """A new stop price or None. Asked once for each candle that ends after the fill; never loosens."""
        return None

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        """Whether to leave at market. Asked after ``should_update_stop``, for the same candles."""
        return False

    def on_position_closed(self) -> None:  # noqa: B027 - doing nothing is a fine default
        """The position is gone: forget what belonged to it."""
