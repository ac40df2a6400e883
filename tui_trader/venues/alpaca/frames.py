"""Messages of the market data stream, from bytes to values. Nothing here waits or keeps anything.

A frame is an array of messages, with the bars of all symbols in one. A message that is not what it should be
costs that message and never the others.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgpack  # type: ignore[import-untyped]

from tui_trader.core.bars import Bar

_CONTROL: Final = frozenset(("success", "error", "subscription"))
_MAX_VOLUME: Final = 2**53
#: Far beyond anything Alpaca sends, far below anything that hurts.
_LIMITS: Final[dict[str, Any]] = {
    "timestamp": 3,  # aware UTC; what is finer than a microsecond is cut off
    "max_str_len": 4096,
    "max_bin_len": 0,
    "max_map_len": 64,
    "max_array_len": 100_000,
    "max_ext_len": 16,
}

# Codes of the two tape plans, which do not clash: CTA's are 1 opening delay, 2 halt, 3 resume, 4 no open or
# resume; UTP's are H halt, P volatility pause, Q quotes resume (trading does not yet), T trading resumes.
_HALTED: Final = frozenset(("1", "2", "4", "H", "P", "Q"))
_TRADING: Final = frozenset(("3", "T"))

_by_symbol_and_time: Final = itemgetter(0, 1)


class Status(NamedTuple):
    """Trading in ``symbol`` stopped or went on; ``text`` is the exchange's own words."""

    symbol: str
    halted: bool
    text: str


class Control(NamedTuple):
    """The server about the connection itself. ``kind`` is success, error or subscription."""

    kind: str
    code: int
    message: str
    bars: frozenset[str]


@dataclass(slots=True)
class Frame:
    """What one frame held. ``bars`` are sorted by symbol, and as they came within a symbol and minute."""

    bars: list[Bar] = field(default_factory=list)
    updated: list[Bar] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Why messages were passed over, one line each."""


class _UnreadableError(ValueError):
    pass


def read_frame(data: bytes | str, wanted: Container[str]) -> Frame:
    """Everything in a frame that can be used; bars and statuses of symbols not ``wanted`` are left out."""
    frame = Frame()
    messages, broken = _messages(data)
    if broken:
        frame.unreadable.append(broken)
    bars = frame.bars
    for message in messages:
        try:
            kind = message["T"]
            if kind == "b":
                symbol, time, volume = message["S"], message["t"], message["v"]
                open_, high, low, close = message["o"], message["h"], message["l"], message["c"]
                # What nearly every message of nearly every frame is; whatever is not gets a closer look.
                if (
                    type(open_) is type(high) is type(low) is type(close) is float
                    and type(volume) is int
                    and type(time) is datetime
                    and 0 <= volume < _MAX_VOLUME
                ):
                    if symbol in wanted:
                        bars.append(Bar(symbol, time, open_, high, low, close, volume))
                elif (bar := _bar(message)).symbol in wanted:
                    bars.append(bar)
            else:
                _take(kind, message, wanted, frame)
        except KeyError as error:
            frame.unreadable.append(f"a message without {error}")
        except _UnreadableError as error:
            frame.unreadable.append(str(error))
        except (TypeError, ValueError, OverflowError) as error:
            frame.unreadable.append(f"a message that cannot be read ({error})")
    bars.sort(key=_by_symbol_and_time)
    return frame


def _take(kind: object, message: dict[str, Any], wanted: Container[str], frame: Frame) -> None:
    match kind:
        case "u":
            bar = _bar(message)
            if bar.symbol in wanted:
                frame.updated.append(bar)
        case "s":
            status = _status(message)
            if status is not None and status.symbol in wanted:
                frame.statuses.append(status)
        case str() if kind in _CONTROL:
            frame.controls.append(_control(kind, message))
        case _:
            raise _UnreadableError(f"a message of unknown kind {kind!r:.20}")


def _messages(data: bytes | str) -> tuple[list[Any], str]:
    """The messages of a frame, and what was wrong with it if something was."""
    try:
        messages = json.loads(data) if isinstance(data, str) else msgpack.unpackb(data, **_LIMITS)
    except (ValueError, RecursionError, OverflowError) as error:
        if isinstance(data, str):
            return [], f"a frame that is not JSON ({data!r:.60})"
        return _salvaged(data, error)
    return (messages, "") if isinstance(messages, list) else ([], f"a frame that is no list ({data!r:.60})")


def _salvaged(data: bytes, error: Exception) -> tuple[list[Any], str]:
    """The messages that can be read of a frame that as a whole cannot."""
    found = []
    lost = 0
    try:
        for part in _parts(data):
            try:
                found.append(msgpack.unpackb(part, **_LIMITS))
            except (ValueError, OverflowError):
                lost += 1
    except (ValueError, msgpack.UnpackException):
        return found, f"the rest of a frame after {len(found)} messages ({error!r:.60}; {data[:20]!r})"
    what = f"{lost} messages of a frame of {len(found) + lost}" if lost else "what follows the last message"
    return found, f"{what} ({error!r:.60})"


def _parts(data: bytes) -> Iterator[bytes]:
    """The bytes of each message, found without making anything of them, up to where the frame breaks off."""
    walker = msgpack.Unpacker(max_buffer_size=len(data))
    walker.feed(data)
    for _ in range(walker.read_array_header()):
        start = walker.tell()
        walker.skip()
        yield data[start : walker.tell()]


def _bar(message: dict[str, Any]) -> Bar:
    symbol = _text(message, "S")
    open_, high, low, close = (_number(message, name) for name in "ohlc")
    volume = _number(message, "v")
    if not -_MAX_VOLUME < volume < _MAX_VOLUME:  # NaN as well
        raise _UnreadableError(f"bar of {symbol:.12}: a volume of {volume}")
    return Bar(symbol, _time(message), open_, high, low, close, int(volume))


def _number(message: dict[str, Any], name: str) -> float:
    value = message[name]
    if type(value) is float or type(value) is int:
        return float(value)
    raise _UnreadableError(f"bar of {message['S']!s:.12}: {name} is no number ({value!r:.40})")


def _text(message: dict[str, Any], name: str) -> str:
    value = message[name]
    if isinstance(value, str):
        return value
    raise _UnreadableError(f"a message whose {name} is no text ({value!r:.40})")


def _time(message: dict[str, Any]) -> datetime:
    time = message["t"]
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime) and time.tzinfo is not None:
        return time.astimezone(UTC)
    raise _UnreadableError(f"bar of {message['S']!s:.12}: a time that is none ({message['t']!r:.40})")


def _status(message: dict[str, Any]) -> Status | None:
    """None for what is no halt and ends none: indications, imbalances, short-sale restrictions."""
    symbol, code = _text(message, "S"), _text(message, "sc")
    said = [text for name in ("sm", "rm") if isinstance(text := message.get(name), str) and text]
    text = ": ".join(said) or code
    # A code that is new to us is no reason to trade through a halt.
    if code in _HALTED or (code not in _TRADING and any(word in text.lower() for word in ("halt", "pause"))):
        return Status(symbol, True, text)
    return Status(symbol, False, text) if code in _TRADING else None


def _control(kind: str, message: dict[str, Any]) -> Control:
    code, said, bars = message.get("code"), message.get("msg"), message.get("bars")
    return Control(
        kind,
        code if isinstance(code, int) else 0,
        said if isinstance(said, str) else "",
        frozenset(symbol for symbol in bars if isinstance(symbol, str))
        if isinstance(bars, list)
        else frozenset(),
    )
