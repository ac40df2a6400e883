"""Price alerts: told once when a bar reaches a price. The screen's affair alone; the engine knows of none."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from tui_trader.core.events import BarReceived
from tui_trader.core.money import to_decimal
from tui_trader.tui.formats import price as priced

_NUMBER: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,2}|[0-9]{1,8})(?:\.[0-9]{1,6})?"
_TYPED: Final = re.compile(rf"\s*(>=?|<=?|above|below|over|under)?\s*\$?({_NUMBER})\s*", re.IGNORECASE)
_UPWARDS: Final = (">", ">=", "above", "over")
_HIGHEST: Final = Decimal(10_000_000)
_MOST: Final = 200
_MOST_BYTES: Final = 1 << 16


class AlertRefused(ValueError):  # noqa: N818 - it is an answer
    """What was typed is no alert; the text says why and what would be."""


@dataclass(frozen=True, slots=True, order=True)
class PriceAlert:
    """``above``: told at the first price at or above ``price``; else at the first at or below."""

    symbol: str
    price: Decimal
    above: bool

    @property
    def condition(self) -> str:
        shown = priced(self.price)
        if Decimal(shown.replace(",", "")) != self.price:
            shown = f"{self.price:,f}"  # no rounding: what is told is what was asked for
        return f"{'at or above' if self.above else 'at or below'} {shown}"

    def reached(self, low: float, high: float) -> bool:
        """Whether a bar between these prices touches it; false while they are unknown."""
        return high >= float(self.price) if self.above else low <= float(self.price)


class Fired(NamedTuple):
    """An alert whose price was reached, and the price that did it."""

    alert: PriceAlert
    price: float

    @property
    def text(self) -> str:
        return f"{self.alert.symbol} {priced(self.price)}, {self.alert.condition}"


def parse_alert(symbol: str, typed: str, last: float | None) -> PriceAlert:
    """The alert that ``typed`` means: a price, or one behind ``>``, ``<``, ``above`` or ``below``.

    A price alone means from the side of ``last``. Raises ``AlertRefused``.
    """
    match = _TYPED.fullmatch(typed)
    if match is None:
        raise AlertRefused("type a price such as 210.50, or > 210.50, or < 195")
    price = Decimal(match[2].replace(",", ""))
    if not 0 < price <= _HIGHEST:
        raise AlertRefused(f"a price is above 0 and at most {priced(_HIGHEST)}")
    word = (match[1] or "").lower()
    if not word and last is None:
        raise AlertRefused(f"{symbol} has no price yet: say > {match[2]} or < {match[2]}")
    alert = PriceAlert(symbol, price, word in _UPWARDS if word else price > to_decimal(last or 0))
    if last is not None and alert.reached(last, last):
        raise AlertRefused(f"{symbol} is {alert.condition} already: it stands at {priced(last)}")
    return alert


class PriceAlerts:
    """The alerts of one venue, kept in a small file. One that cannot be read or written stops nothing."""

    def __init__(self, file: Path | None = None, venue: str = "") -> None:
        self._file = file
        self._venue = venue
        self._alerts = self._load()

    def __len__(self) -> int:
        return len(self._alerts)

    @property
    def all(self) -> Sequence[PriceAlert]:
        """By symbol and price."""
        return sorted(self._alerts)

    def add(self, alert: PriceAlert) -> None:
        """Raises ``AlertRefused`` when there are too many or it is there already."""
        if alert in self._alerts:
            raise AlertRefused("this alert is set already")
        if len(self._alerts) >= _MOST:
            raise AlertRefused(f"there are {_MOST} alerts: delete one first")
        self._alerts.add(alert)
        self._save()

    def remove(self, alert: PriceAlert) -> None:
        self._alerts.discard(alert)
        self._save()

    def hear(self, bar: BarReceived) -> Sequence[Fired]:
        """The alerts that a bar reaches. They are gone with it, so that each is told once."""
        return self._fire(bar.symbol, bar.low, bar.high) if self._alerts else ()

    def see(self, symbol: str, last: float) -> Sequence[Fired]:
        """The same for a price alone: that of a snapshot, should its bar have been missed."""
        return self._fire(symbol, last, last) if self._alerts else ()

    def _fire(self, symbol: str, low: float, high: float) -> Sequence[Fired]:
        reached = [alert for alert in self.all if alert.symbol == symbol and alert.reached(low, high)]
        if reached:
            self._alerts.difference_update(reached)
            self._save()
        return [Fired(alert, high if alert.above else low) for alert in reached]

    # ---- the file --------------------------------------------------------------------------------------

    def _load(self) -> set[PriceAlert]:
        entries = _stored(self._file).get(self._venue)
        if not isinstance(entries, list):
            return set()
        found = (_alert(entry) for entry in entries[:_MOST])
        return {alert for alert in found if alert is not None}

    def _save(self) -> None:
        if self._file is None:
            return
        # Those of other venues stay as they are.
        stored = _stored(self._file)
        stored[self._venue] = [[alert.symbol, alert.above, str(alert.price)] for alert in self.all]
        with suppress(OSError, ValueError):
            beside = self._file.with_name(f"{self._file.name}.new")
            beside.write_text(json.dumps(stored) + "\n", encoding="utf-8")
            os.replace(beside, self._file)


def _stored(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        with file.open("rb") as handle:
            raw = handle.read(_MOST_BYTES + 1)
        stored = json.loads(raw) if len(raw) <= _MOST_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _alert(entry: object) -> PriceAlert | None:
    match entry:
        case [str(symbol), bool(above), str(text)]:
            typed = _TYPED.fullmatch(text)
            if typed is not None and not typed[1] and 0 < len(symbol) <= 12 and symbol.isprintable():
                price = Decimal(typed[2].replace(",", ""))
                return PriceAlert(symbol, price, above) if 0 < price <= _HIGHEST else None
    return None
