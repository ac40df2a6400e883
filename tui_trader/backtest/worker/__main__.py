"""``python -m tui_trader.backtest.worker DESCRIPTOR``: the process itself, started by ``client`` alone."""

from __future__ import annotations

import sys

from tui_trader.backtest.worker.serve import main

if __name__ == "__main__":
    main(int(sys.argv[1]))
