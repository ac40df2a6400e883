"""The scanner that does not scan: a fixed list from the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trader.scanners.base import Scanner


class StaticScanner(Scanner):
    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)

    def symbols(self) -> Sequence[str]:
        return self._symbols
