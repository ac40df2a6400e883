"""What a scanner is: it says which symbols a route trades."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Scanner(ABC):
    """Produces symbols. Scanners that look at the market are an extension point of this class."""

    @abstractmethod
    def symbols(self) -> Sequence[str]:
        """The symbols to trade now, each once."""
