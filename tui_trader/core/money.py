"""Decimal money and exchange ticks.

Market data is ``float64``; money, order prices and quantities are ``Decimal``. This module is the border
between the two, and the only place that knows the tick table.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

ONE_DOLLAR: Final = Decimal(1)
CENT: Final = Decimal("0.01")
SUB_PENNY: Final = Decimal("0.0001")
ZERO: Final = Decimal(0)


def to_decimal(value: float) -> Decimal:
    """The shortest decimal that reads back as ``value``: 0.1 becomes ``Decimal('0.1')``."""
    return Decimal(repr(float(value)))


def tick_size(price: Decimal) -> Decimal:
    """Minimum price increment in dollars (Reg NMS rule 612): a cent from $1 up, else $0.0001."""
    return CENT if price >= ONE_DOLLAR else SUB_PENNY


def round_up_to_tick(price: Decimal) -> Decimal:
    """The smallest valid price at or above ``price``."""
    return price.quantize(tick_size(price), rounding=ROUND_CEILING)


def round_down_to_tick(price: Decimal) -> Decimal:
    """The largest valid price at or below ``price``."""
    return price.quantize(tick_size(price), rounding=ROUND_FLOOR)


def plain(value: Decimal) -> str:
    """``value`` as digits without an exponent, the form used in events and files."""
    return format(value, "f")
