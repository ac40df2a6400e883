"""The configuration of a run on the test exchange."""

from __future__ import annotations

from datetime import date

from tests.alpaca_server.market import DayMaker, MinuteBar, RandomWalk
from tests.alpaca_server.server import AlpacaServer
from tests.alpaca_server.sessions import Hours

PRICES = {"AAAA": 100.0, "BBBB": 50.0, "CCCC": 20.0}


def a_walk() -> DayMaker:
    """Bars of ``PRICES`` before now, so that there is something to warm up with."""
    walk = RandomWalk(1, dict(PRICES), Hours())

    def day(symbol: str, on: date) -> list[MinuteBar]:
        return list(walk.day(symbol, on))

    return day


def settings(server: AlpacaServer, *, feed: str = "iex", paper: bool = True, keys: bool = False) -> str:
    """A configuration file that leads to ``server``, with its keys when ``keys`` says so."""
    secrets = f'key_id = "{server.key_id}"\nsecret_key = "{server.secret_key}"\n' if keys else ""
    return f"""
[alpaca]
{secrets}paper = {str(paper).lower()}
feed = "{feed}"
trading_url = "{server.trading_url}"
data_url = "{server.data_url}"
data_stream_url = "{server.data_stream_url}"
trading_stream_url = "{server.trading_stream_url}"
[[routes]]
scanner = "static"
symbols = ["AAAA", "BBBB", "CCCC"]
strategy = "sma_cross"
[routes.config]
candle_interval_minutes = 1
"""
