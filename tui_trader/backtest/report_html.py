"""One page with everything a backtest found: figures, tables and what was odd about its bars.

It is self-contained and asks the network for nothing; a policy in its head forbids the browser to. Whatever
comes from outside (symbols, strategies, parameters, reasons) is escaped, for HTML, JSON and plotly alike.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tui_trader import __version__
from tui_trader.backtest.html_chart import Chart, TradingTime, chart_of
from tui_trader.backtest.html_figures import (
    GAIN,
    GREY,
    LOSS,
    chart_layout,
    distribution_figure,
    equity_figure,
    excursion_figure,
)
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.metrics import Metrics, Slice, metrics_of
from tui_trader.backtest.result import BacktestResult
from tui_trader.core.calendar import NEW_YORK
from tui_trader.core.events import TradeReason
from tui_trader.errors import UsageError, printable

_HERE: Final = Path(__file__).parent
_NONE: Final = "–"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: Of long lists the page shows the beginning.
_SOME: Final = 50


def require_plotly() -> None:
    """Raises ``UsageError`` when the figures cannot be drawn; to be asked before a long run."""
    try:
        import plotly.graph_objects  # noqa: F401
    except ImportError:
        raise UsageError("--html needs plotly: pip install 'tui-trader[report]'") from None


def write_html(result: BacktestResult, market: MarketData, path: Path) -> None:
    """The page about ``result`` into ``path``, whole or not at all. ``market`` is what it ran over.

    Raises ``UsageError`` without plotly, or when the file cannot be written.
    """
    require_plotly()
    page = _page(result, market).encode("utf-8", "replace")
    try:
        _replace(path, page)
    except OSError as error:
        raise UsageError(f"--html {path}: cannot be written: {error.strerror or error}") from None
