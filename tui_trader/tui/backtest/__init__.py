"""The backtest screen's parts: its model, its pages and the pictures on them."""
