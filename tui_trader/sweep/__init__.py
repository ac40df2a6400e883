"""Which parameters would have worked? Many backtests, each run once and kept, and what they come to."""
