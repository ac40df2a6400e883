"""The Alpaca venue: orders over REST in worker threads, bars and order news over two WebSocket streams."""
