"""A stand-in for Alpaca on loopback: REST, both streams, a matching engine, and faults on command.

    with AlpacaServer({"AAA": 100.0}, now=datetime(2026, 11, 18, 15, tzinfo=UTC)) as server:
        client = TradingClient(server.key_id, server.secret_key, url_override=server.trading_url)
        ...
        server.trade("AAA", 101.0)

It shares no code with the program under test, so that a mistake in one is not repeated in the other.
"""

from tests.alpaca_server.faults import Stream
from tests.alpaca_server.market import MinuteBar
from tests.alpaca_server.server import AlpacaServer
from tests.alpaca_server.sessions import Hours

__all__ = ["AlpacaServer", "Hours", "MinuteBar", "Stream"]
