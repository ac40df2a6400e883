"""The bound from below: candles, averages and crossings over arrays; no order, no fill, no equity."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tulipy
from _measure import FAST, SLOW, Columns, Found, measure


def run(columns: Columns) -> Found:
    closes = columns.two_minutes().close
    fast, slow = tulipy.sma(closes, FAST)[SLOW - FAST :], tulipy.sma(closes, SLOW)
    above = fast > slow
    return {"crossings": int(np.count_nonzero(above[1:] & ~above[:-1]))}


if __name__ == "__main__":
    measure(Path(sys.argv[1]), lambda columns: columns, run)
