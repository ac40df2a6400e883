"""A terminal application that trades US equities by rule, on paper or live."""

__version__ = "0.1.0"
