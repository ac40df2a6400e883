"""Trading rules that ask more of the two loops than the built-in ones do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tests.oracle.harness import Case, Line, Strategies
from tui_trader.core.indicators import Indicator
from tui_trader.core.money import to_decimal
from tui_trader.core.rule import CandleColumns, CandleView, Holding
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig

T = TypeVar("T")
_LEAST = Decimal("0.0001")


class Overnight(SmaCross):
    """Keeps its positions from day to day, and its entries for three windows; says nothing beforehand."""

    name: ClassVar[str] = "overnight"

    @property
    def force_close_eod(self) -> bool:
        return False

    @property
    def pending_expiry_candles(self) -> int:
        return 3

    def entry_candidates(self, candles: CandleColumns) -> Any:
        return None


class CuriousConfig(StrategyConfig):
    seed: int = 0
    candle_interval_minutes: Literal[1, 2, 5, 10, 15] = 1
    overnight: bool = False
    patient: bool = False  # says no, and remembers nothing, while the history is too short


class Curious(Strategy):
    """Remembers every question with all that it was shown, and answers by lot.

    Each lot depends on every question before it, so one question more, less or different changes all that
    follows. It depends on nothing that was computed from many candles, whose last digits may differ.
    """

    name: ClassVar[str] = "curious"
    config_type: ClassVar[type[StrategyConfig]] = CuriousConfig
    config: CuriousConfig

    def __init__(self, symbol: str, config: CuriousConfig) -> None:
        super().__init__(symbol, config)
        self.questions: list[Line] = []  # may be shared with other symbols'
        self._lot = crc32(f"{symbol} {config.seed}".encode())

    @property
    def candle_interval_minutes(self) -> int:
        return self.config.candle_interval_minutes

    @property
    def required_history(self) -> int:
        return 9

    @property
    def force_close_eod(self) -> bool:
        return not self.config.overnight

    @property
    def pending_expiry_candles(self) -> int:
        return 3

    @property
    def indicators(self) -> Mapping[str, Indicator]:
        return {
            "sma_fast": Indicator("sma", 3), "sma_slow": Indicator("sma", 8), "ema": Indicator("ema", 4),
            "rsi": Indicator("rsi", 5), "atr": Indicator("atr", 6), "vwap": Indicator("vwap"),
        }  # fmt: skip

    def should_long(self, view: CandleView) -> bool:
        if self.config.patient and view.count < self.required_history:
            return False
        self._remember("long?", view)
        return self._pick((True, False, False, False))

    def entry_price(self, view: CandleView) -> Decimal:
        self._remember("entry?", view)
        return to_decimal(view.high) * self._pick_decimal("1", "1", "1.001", "0.999", "1.06")

    def stop_loss_price(self, view: CandleView) -> Decimal:
        self._remember("stop loss?", view)
        return self._price(to_decimal(view.low) * self._pick_decimal("1", "0.9995", "0.999", "0.99", "1.3"))

    def limit_price(self, entry: Decimal, stop_loss: Decimal) -> Decimal:
        self._remember("limit?", None, entry, stop_loss)
        return entry * self._pick_decimal("1", "1.0005", "1.01")

    def should_cancel_pending(self, view: CandleView, candles_waited: int) -> bool:
        self._remember("cancel?", view, candles_waited)
        return self._pick((True, False, False))

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        self._remember("trail?", view, holding)
        close, stop = to_decimal(view.close), holding.stop_price
        prices = (close, close * Decimal("0.999"), close * Decimal("0.998"), stop * Decimal("0.9"))
        return self._price(self._pick(prices)) if self._pick((True, False, False, False)) else None

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        self._remember("exit?", view, holding)
        return self._pick((True, *[False] * 19))

    def on_position_closed(self) -> None:
        self._remember("closed", None)

    def _remember(self, question: str, view: CandleView | None, *more: Any) -> None:
        shown: Sequence[Any] = ()
        if view is not None:
            values = [view.start, view.end, view.open, view.high, view.low, view.close, view.volume]
            shown = (*values, view.count, view.candles_since_exit, *view.now.values(), *view.before.values())
            shown = (*shown, *view.now, *view.before, view.value("ema"), view.previous("ema"))
        told = (*shown, *more)
        types = " ".join(type(value).__name__ for value in told)
        self.questions.append((question, self.symbol, *told, types))
        certain = repr((self._lot, question, shown[:7], more))
        self._lot = crc32(certain.encode())

    def _pick(self, answers: Sequence[T]) -> T:
        self._lot = crc32(self._lot.to_bytes(4, "big"))
        return answers[self._lot % len(answers)]

    def _pick_decimal(self, *answers: str) -> Decimal:
        return Decimal(self._pick(answers))

    @staticmethod
    def _price(price: Decimal) -> Decimal:
        return max(price, _LEAST)


def overnight(**settings: Any) -> Strategies:
    config = SmaCrossConfig(**settings)
    return lambda case: [Overnight(symbol, config) for symbol in sorted(case.symbols)]


def sma_cross(**settings: Any) -> Strategies:
    config = SmaCrossConfig(**settings)
    return lambda case: [SmaCross(symbol, config) for symbol in sorted(case.symbols)]


def curious(configs: Sequence[CuriousConfig], questions: list[Line]) -> Strategies:
    """One config a symbol, in turn; all write down their ``questions`` in one list."""

    def make(case: Case) -> list[Strategy]:
        rules: list[Strategy] = []
        for number, symbol in enumerate(sorted(case.symbols)):
            rule = Curious(symbol, configs[number % len(configs)])
            rule.questions = questions
            rules.append(rule)
        return rules

    return make


#: The volume of a candle that ``Marked`` buys.
MARK = 777


class Marked(Strategy):
    """Buys at the high of the candles that bear the mark; its entries wait for one candle."""

    name: ClassVar[str] = "marked"

    @property
    def candle_interval_minutes(self) -> int:
        return 1

    @property
    def required_history(self) -> int:
        return 1

    @property
    def indicators(self) -> Mapping[str, Indicator]:
        return {}

    def should_long(self, view: CandleView) -> bool:
        return view.volume == MARK

    def entry_candidates(self, candles: CandleColumns) -> NDArray[np.bool_]:
        return np.equal(candles.volume, MARK)

    def entry_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.high)

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.low) * Decimal("0.98")


def marked(case: Case) -> list[Strategy]:
    return [Marked(symbol, StrategyConfig()) for symbol in sorted(case.symbols)]
