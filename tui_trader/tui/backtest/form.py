"""What is asked of a backtest, as a list of fields that hold text."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tui_trader import arguments
from tui_trader.errors import UsageError
from tui_trader.options import BacktestOptions

if TYPE_CHECKING:
    from tui_trader.backtest.worker.messages import Described, Parameter

BARS: Final = "bars"
BAD_ROWS: Final = "bad rows"
SYMBOLS: Final = "symbols"
STRATEGY: Final = "strategy"
CASH: Final = "cash"
SLIPPAGE: Final = "slippage"
LIMITS: Final = "limits"
_STOP, _SKIP = "stop at them", "skip them"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form. ``text`` is what can be typed, ``shown`` what stands there while nothing is."""

    key: str
    text: str
    shown: str
    bounds: str = ""
    note: str = ""
    choices: tuple[str, ...] = ()
    changed: bool = False


class Form:
    """The fields and what was typed into them; each strategy keeps what was set for it."""

    def __init__(self, defaults: BacktestOptions) -> None:
        self.config = defaults.config
        self.bars: tuple[Path, ...] = defaults.bars
        self.described: Described | None = None
        self._strategy = defaults.strategy
        self._parameters: dict[str, dict[str, str]] = {}
        self._texts = {
            BAD_ROWS: _SKIP if defaults.skip_bad else _STOP,
            SYMBOLS: ",".join(defaults.symbols or ()),
            CASH: f"{defaults.cash:f}",
            SLIPPAGE: str(defaults.slippage_ticks),
            LIMITS: " ".join(defaults.sets),
        }

    @property
    def strategy(self) -> str | None:
        """The strategy that was chosen; None leaves it to the configuration."""
        return self._strategy

    def describe(self, described: Described) -> None:
        """Take in what a strategy's parameters are."""
        self.described = described
        self._strategy = described.strategy

    def fields(self) -> list[Field]:
        """All lines, top to bottom."""
        texts = self._texts
        return [
            Field(
                BARS,
                _files(self.bars),
                "none chosen: Enter chooses",
                note="recorded one-minute bars, CSV or CSV.GZ",
            ),
            Field(SYMBOLS, texts[SYMBOLS], "all in the bars", note="A,B,C; empty: all in the bars"),
            self._strategy_field(),
            *(self._parameter_field(parameter) for parameter in self._known_parameters()),
            Field(CASH, texts[CASH], "", note="dollars at the start"),
            Field(SLIPPAGE, texts[SLIPPAGE], "", "0–1000", "ticks that a fill costs"),
            Field(LIMITS, texts[LIMITS], "as configured", note="risk.KEY=VALUE session.KEY=VALUE …"),
            Field(BAD_ROWS, texts[BAD_ROWS], "", note="of the bars files", choices=(_STOP, _SKIP)),
        ]

    def field(self, key: str) -> Field | None:
        return next((field for field in self.fields() if field.key == key), None)

    def put(self, key: str, text: str) -> None:
        """Set a field. A parameter left empty is back at its configured value."""
        text = " ".join(text.split())
        if key == STRATEGY:
            self._strategy = text or self._strategy
        elif key in self._texts:
            self._texts[key] = text.upper() if key == SYMBOLS else text
        else:
            own = self._parameters.setdefault(self._strategy or "", {})
            own.pop(key, None)
            if text:
                own[key] = text

    def step(self, key: str, by: int) -> bool:
        """Take the next of a field's choices, or the one before; whether it has any."""
        field = self.field(key)
        if field is None or len(field.choices) < 2:
            return False
        place = field.choices.index(field.text) + by if field.text in field.choices else 0
        self.put(key, field.choices[place % len(field.choices)])
        return True

    def options(self) -> BacktestOptions:
        """What to run. Raises ``UsageError`` for what cannot be read; whoever runs it checks the rest."""
        texts = self._texts
        return BacktestOptions(
            self.bars,
            texts[BAD_ROWS] == _SKIP,
            self._strategy,
            _read(SYMBOLS, arguments.symbols, texts[SYMBOLS]) if texts[SYMBOLS] else None,
            (*self._sets(), *texts[LIMITS].split()),
            self.config,
            _read(CASH, arguments.money, texts[CASH]),
            _read(SLIPPAGE, arguments.ticks, texts[SLIPPAGE]),
        )

    def _sets(self) -> list[str]:
        return [
            f"{field.key}={field.text}" for field in map(self._parameter_field, self._known_parameters())
            if field.changed
        ]  # fmt: skip

    def _known_parameters(self) -> Sequence[Parameter]:
        described = self.described
        return described.parameters if described is not None and described.strategy == self._strategy else ()

    def _strategy_field(self) -> Field:
        described = self.described
        if described is None:
            return Field(STRATEGY, self._strategy or "", "being read")
        names = tuple(entry.name for entry in described.names)
        source = next((entry.source for entry in described.names if entry.name == self._strategy), "")
        note = described.about if described.strategy == self._strategy else "its parameters are being read"
        return Field(STRATEGY, self._strategy or "", "", source, note, names)

    def _parameter_field(self, parameter: Parameter) -> Field:
        text = self._parameters.get(self._strategy or "", {}).get(parameter.name, parameter.value)
        bounds = parameter.bounds or " ".join(parameter.choices)
        return Field(
            parameter.name, text, "must be set", bounds, parameter.note, parameter.choices,
            text != parameter.value,
        )  # fmt: skip


def _read(key: str, read: Callable[[str], _T], text: str) -> _T:
    try:
        return read(text.replace(",", "") if key == CASH else text)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{key}: {error}") from None


def _files(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths[:1]]
    return names[0] if len(paths) == 1 else f"{names[0]} and {len(paths) - 1} more" if names else ""
