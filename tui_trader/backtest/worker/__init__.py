"""A backtest in a process of its own, so that it can never keep the live engine waiting.

``client`` is the side of whoever wants a backtest, ``serve`` the process that runs it, ``messages`` what they
say to each other.
"""
