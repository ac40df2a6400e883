"""The rule applied to one closed candle, in the order of DESIGN §9. Live engine and backtest both call it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tui_trader.core.money import ZERO, round_down_to_tick, round_up_to_tick
from tui_trader.core.rule import CandleView, Holding, Rule


class StrategyNonsense(Exception):  # noqa: N818 - says whose fault it is
    """A strategy answered with something that cannot be a price."""


class EnterLong(NamedTuple):
    """Buy when price reaches ``entry``, for at most ``limit``; protect at ``stop_loss``."""

    entry: Decimal
    limit: Decimal
    stop_loss: Decimal


class MoveStop(NamedTuple):
    price: Decimal


@dataclass(frozen=True, slots=True)
class ExitNow:
    """Leave at market."""


@dataclass(frozen=True, slots=True)
class CancelPending:
    """The entry order has waited long enough."""


Decision = EnterLong | MoveStop | ExitNow | CancelPending


def _price(value: Decimal, what: str) -> Decimal:
    if not isinstance(value, Decimal):
        raise StrategyNonsense(f"{what} of {value!r} is {type(value).__name__}: return a Decimal")
    if not value.is_finite() or value <= ZERO:
        raise StrategyNonsense(f"{what} of {value} is not a price")
    return value


def decide_holding(rule: Rule, view: CandleView, holding: Holding) -> MoveStop | ExitNow | None:
    """With a position: trail, then exit. Only candles that end after the entry fill count."""
    return decide_held(rule, view, holding) if view.ends_after(holding.entry_time) else None


def decide_held(rule: Rule, view: CandleView, holding: Holding) -> MoveStop | ExitNow | None:
    """``decide_holding`` on a candle that is known to have ended after the entry fill."""
    target = rule.should_update_stop(view, holding)
    wants_out = rule.should_exit(view, holding)
    if target is not None:
        target = round_down_to_tick(_price(target, "a stop"))
        if float(target) >= view.close:
            return ExitNow()
    if wants_out:
        return ExitNow()
    return MoveStop(target) if target is not None and target > holding.stop_price else None


def decide_pending(rule: Rule, view: CandleView, candles_waited: int) -> CancelPending | None:
    """With an entry order at work: has it waited long enough? ``candles_waited`` counts this candle."""
    return CancelPending() if rule.should_cancel_pending(view, candles_waited) else None


def decide_flat(rule: Rule, view: CandleView) -> EnterLong | None:
    """With neither: is this candle a signal? Raises ``StrategyNonsense`` for prices that are none."""
    if not rule.should_long(view):
        return None
    if not math.isfinite(view.close):
        return None
    entry = round_up_to_tick(_price(rule.entry_price(view), "an entry"))
    stop_loss = _price(round_down_to_tick(_price(rule.stop_loss_price(view), "a stop")), "a stop")
    if stop_loss >= entry:
        return EnterLong(entry, entry, stop_loss)  # the risk gate refuses it; no limit follows from it
    limit = round_down_to_tick(_price(rule.limit_price(entry, stop_loss), "a limit"))
    return EnterLong(entry, max(limit, entry), stop_loss)
