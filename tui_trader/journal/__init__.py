"""The journal: what the engine meant to do and what came of it, in one SQLite file.

Market data is not kept here: bars, closed candles, heartbeats and warm-up progress can be had elsewhere.
"""
