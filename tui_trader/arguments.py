"""What is typed on the command line, read as values; an error says what to write instead."""

from __future__ import annotations

import argparse
import re
from datetime import date
from decimal import Decimal, InvalidOperation


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day: write YYYY-MM-DD") from None


def speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: market seconds a real second, or max")
    return speed


def money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    plain = re.fullmatch(r"[0-9]{1,13}(\.[0-9]{1,2})?", text.strip())
    if plain is None or not Decimal("0.01") <= amount <= 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of dollars: write 100000, say")
    return amount


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 7 or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def ticks(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or int(text) > 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 1000")
    return int(text)


def seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a whole number from 0")
    return int(text)


def symbols(text: str) -> tuple[str, ...]:
    symbols = tuple(part.upper() for part in re.split(r"[,\s]+", text) if part)
    if not symbols:
        raise argparse.ArgumentTypeError("no symbol in it: write A,B,C")
    return symbols
