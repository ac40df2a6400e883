"""Reads recorded one-minute bars from CSV files into arrays.

A chunk of lines is converted column by column, without making a Python object of any cell. When that fails,
its rows are read one by one, which allows more forms and says what is bad. What both accept, they read alike.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_trader.core.bars import Bar, malformed
from tui_trader.errors import UsageError, printable

_COLUMNS: Final = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
_CHUNK_BYTES: Final = 1 << 18
_MAX_HEADER: Final = 1 << 16
_MAX_LINE: Final = 1 << 20
_BLOCK_ROWS: Final = 32_768
#: The longest cell that is converted with its column, and the most digits a float64 always holds.
_MAX_CELL: Final = 40
_EXACT_DIGITS: Final = 15
_POWERS_OF_TEN: Final = np.array([10**n for n in range(_EXACT_DIGITS + 1)], dtype=np.float64)
_KINDS: Final = (np.int32, np.int64, *[np.float64] * 4, np.int64, np.int32, np.int64)
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9.\-]{0,9}")
_TIMESTAMP: Final = re.compile(r"[0-9W-]{8,10}[Tt ][0-9:.,]+([Zz]|[+-][0-9:]+)?")
_YEARS: Final = range(1970, 2200)
#: A candle of fifteen such minutes is still counted exactly by a float64.
_MAX_VOLUME: Final = 2**53 // 15
_GZIP_MAGIC: Final = b"\x1f\x8b"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A bad row that was left out. ``line`` counts from 1, the header included."""

    file: Path
    line: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class BarTable:
    """Bars in columns of equal length, sorted by minute, then symbol, no two alike.

    ``minute``: start of the bar, in minutes since 1970-01-01 UTC. ``symbol_index``: position in ``symbols``,
    which is sorted and holds only symbols that have bars. Prices are in dollars, ``volume`` in shares.
    ``skipped`` is in the order of reading.
    """

    symbols: tuple[str, ...]
    minute: NDArray[np.int64]
    symbol_index: NDArray[np.int32]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.int64]
    skipped: tuple[SkippedRow, ...]

    def __len__(self) -> int:
        return len(self.minute)


def read_bars(paths: Sequence[Path], symbols: frozenset[str] | None, skip_bad: bool) -> BarTable:
    """All bars of ``symbols`` (None: of every symbol) in CSV files; those ending in .gz are gzip.

    Rows of other symbols are checked, then dropped. With ``skip_bad`` a bad row, and the later of two rows
    for one symbol and minute, goes into ``skipped`` instead of raising.

    Raises UsageError for a file that cannot be read, a bad row, or when no bar is left.
    """
    if not paths:
        raise UsageError("no bars file was named; name one or more with --bars FILE")
    collector = _Collector(paths, symbols, skip_bad)
    for number in range(len(paths)):
        collector.read(number)
    return collector.table()


class _BadRowError(ValueError):
    """The reason why one row cannot be used."""


class _Symbols(dict[str, int]):
    """Cell → number of its symbol in ``kept``; -1 for a symbol that is not wanted."""

    def __init__(self, wanted: frozenset[str] | None) -> None:
        super().__init__()
        self.wanted = wanted
        self.kept: dict[str, int] = {}
        self.others: set[str] = set()

    def __missing__(self, cell: str) -> int:
        symbol = cell.strip().upper()
        if not _SYMBOL.fullmatch(symbol):
            raise _BadRowError(f"{_quoted(cell)} is not a symbol")
        if self.wanted is None or symbol in self.wanted:
            return self.setdefault(cell, self.kept.setdefault(symbol, len(self.kept)))
        self.others.add(symbol)
        return self.setdefault(cell, -1)


class _Days(dict[str, int]):
    """YYYY-MM-DD → minutes from the epoch to its midnight UTC."""

    def __missing__(self, text: str) -> int:
        return self.setdefault(text, _minute_of(f"{text}T00:00Z"))


class _Offsets(dict[str, int]):
    """What follows hours and minutes, such as :00-04:00 → minutes to add to get UTC."""

    def __missing__(self, text: str) -> int:
        return self.setdefault(text, _minute_of(f"2000-01-03T00:00{text}") - _minute_of("2000-01-03T00:00Z"))


class _Block(NamedTuple):
    """Rows in columns; ``file`` and ``line`` say where each came from."""

    symbol: NDArray[np.int32]
    minute: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.int64]
    file: NDArray[np.int32]
    line: NDArray[np.int64]

    def where(self, rows: NDArray[Any]) -> _Block:
        return _Block(*(column[rows] for column in self))


class _Layout(NamedTuple):
    """What the header says: cells in a row, where ours are, and the line after it."""

    width: int
    positions: tuple[int, ...]
    first_line: int


class _Collector:
    def __init__(self, paths: Sequence[Path], wanted: frozenset[str] | None, skip_bad: bool) -> None:
        self._paths = paths
        self._skip_bad = skip_bad
        self._symbols = _Symbols(wanted)
        self._days = _Days()
        self._offsets = _Offsets()
        self._blocks: list[_Block] = []
        self._skipped: list[tuple[int, SkippedRow]] = []

    def read(self, file: int) -> None:
        path = self._paths[file]
        try:
            with _open(path) as data:
                layout = _layout(path, data)
                line = layout.first_line
                while chunk := data.read(_CHUNK_BYTES):
                    end = data.readline(_MAX_LINE)
                    if len(end) == _MAX_LINE:
                        raise UsageError(f"{path}: a line is longer than {_MAX_LINE:,} bytes: no bars file")
                    chunk += end
                    try:
                        found = self._columns(chunk, layout, file, line)
                    except ValueError:
                        # A quoted cell may go on in the next chunk.
                        rest: Iterable[bytes] = data if b'"' in chunk else ()
                        lines = chain(io.BytesIO(chunk), rest)
                        for found in self._rows(lines, layout, file, line):
                            self._keep(found)
                    else:
                        self._keep(found)
                    line += chunk.count(b"\n")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"{path}: incomplete or damaged gzip data ({error}); fetch it again") from None
        except OSError as error:
            cure = "; name the files in it" if path.is_dir() else ""
            raise UsageError(f"{path}: cannot be read: {error.strerror}{cure}") from None

    def _keep(self, block: _Block) -> None:
        self._blocks.append(block if self._symbols.wanted is None else block.where(block.symbol >= 0))

    def _columns(self, chunk: bytes, layout: _Layout, file: int, line: int) -> _Block:
        """The whole chunk. ValueError means that some row is bad or unusual, not which or why."""
        symbol, stamp, *numbers = _split(chunk, layout)
        if len(stamp) < len("YYYY-MM-DDTHH:MMZ"):
            raise ValueError
        hour, minute = _digits(stamp[11:13]), _digits(stamp[14:16])
        if not ((stamp[10] == ord("T")) & (stamp[13] == ord(":")) & (hour < 24) & (minute < 60)).all():
            raise ValueError
        time = _runs(stamp[:10], self._days) + hour * 60 + minute + _runs(stamp[16:], self._offsets)
        open_, high, low, close, volume = map(_numbers, numbers)
        good = (low > 0) & (low <= open_) & (open_ <= high) & (low <= close) & (close <= high)
        good &= (volume <= _MAX_VOLUME) & (volume == np.floor(volume))
        if not good.all():
            raise ValueError
        count = len(time)
        return _Block(
            _runs(symbol, self._symbols).astype(np.int32),
            time,
            open_,
            high,
            low,
            close,
            volume.astype(np.int64),
            np.full(count, file, dtype=np.int32),
            np.arange(line, line + count),
        )

    def _rows(self, lines: Iterable[bytes], layout: _Layout, file: int, line: int) -> Iterator[_Block]:
        path = self._paths[file]
        # A byte that is not UTF-8 spoils its own cell only, and the cell's line is named.
        rows = csv.reader(text.decode("utf-8", "surrogateescape") for text in lines)
        start, offset = line, line
        good: list[tuple[float, ...]] = []
        try:
            for row in rows:
                try:
                    if row:
                        good.append((*self._values(row, layout), file, start))
                except _BadRowError as error:
                    if not self._skip_bad:
                        raise UsageError(f"{path} line {start}: {error}") from None
                    self._skipped.append((file, SkippedRow(path, start, str(error))))
                start = offset + rows.line_num
                if len(good) == _BLOCK_ROWS:
                    yield _block(good)
                    good.clear()
        except csv.Error as error:
            raise UsageError(f"{path} line {start}: {error}; is a quote left open?") from None
        yield _block(good)

    def _values(self, row: Sequence[str], layout: _Layout) -> tuple[float, ...]:
        if len(row) != layout.width:
            raise _BadRowError(f"the row has {len(row)} cells, the header {layout.width}")
        symbol, time, *numbers = (row[position] for position in layout.positions)
        open_, high, low, close, volume = map(_number, _COLUMNS[2:], numbers)
        if not volume.is_integer():
            raise _BadRowError(f"volume {_quoted(numbers[4])} is not a whole number")
        if volume > _MAX_VOLUME:
            raise _BadRowError(f"volume {_quoted(numbers[4])} is too large")
        minute = _minute_of(time)
        if reason := malformed(Bar("", _EPOCH, open_, high, low, close, int(volume))):
            raise _BadRowError(reason)
        return self._symbols[symbol], minute, open_, high, low, close, int(volume)

    def table(self) -> BarTable:
        """What was read, in order and without repetitions."""
        if not any(len(block.symbol) for block in self._blocks):
            raise UsageError(self._nothing_left())
        rows = _Block(*map(np.concatenate, zip(*self._blocks, strict=True)))
        self._blocks.clear()
        names = list(self._symbols.kept)
        present = sorted(names[number] for number in np.unique(rows.symbol))
        rank = np.zeros(len(names), dtype=np.int32)
        rank[[self._symbols.kept[name] for name in present]] = np.arange(len(present), dtype=np.int32)
        rows = rows._replace(symbol=rank[rows.symbol])
        key = rows.minute * len(present) + rows.symbol
        # Stable, so that of equal keys the row read first comes first.
        order = np.argsort(key, kind="stable")
        key = key[order]
        repeated = np.append(False, key[1:] == key[:-1])
        if repeated.any():
            self._repetitions(rows, present, order, key, repeated)
        symbol, minute, open_, high, low, close, volume, _, _ = rows.where(order[~repeated])
        self._skipped.sort(key=lambda item: (item[0], item[1].line))
        skipped = tuple(row for _, row in self._skipped)
        return BarTable(tuple(present), minute, symbol, open_, high, low, close, volume, skipped)

    def _repetitions(
        self,
        rows: _Block,
        names: Sequence[str],
        order: NDArray[np.int64],
        key: NDArray[np.int64],
        repeated: NDArray[np.bool_],
    ) -> None:
        places = np.flatnonzero(repeated)
        for place in places[np.argsort(order[places])]:
            row, first = order[place], order[np.searchsorted(key, key[place])]
            time = _EPOCH + int(rows.minute[row]) * _MINUTE
            file, line = int(rows.file[row]), int(rows.line[row])
            earlier = f"{self._paths[rows.file[first]]} line {rows.line[first]}"
            reason = f"{names[rows.symbol[row]]} at {time:%Y-%m-%dT%H:%MZ} is also in {earlier}"
            if not self._skip_bad:
                raise UsageError(f"{self._paths[file]} line {line}: {reason}; remove one of them")
            self._skipped.append((file, SkippedRow(self._paths[file], line, reason)))

    def _nothing_left(self) -> str:
        files = _some(map(str, self._paths))
        if self._symbols.others:
            wanted = _some(sorted(self._symbols.wanted or ()))
            return f"{files}: no bars of {wanted}; there are bars of {_some(sorted(self._symbols.others))}"
        if self._skipped:
            _, row = self._skipped[0]
            return f"{row.file} line {row.line}: {row.reason}; no usable bars, bad rows: {len(self._skipped)}"
        return f"{files}: no bars below the header"


def _open(path: Path) -> io.BufferedIOBase:
    compressed = path.suffix.lower() == ".gz"
    start = b""
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(2)
    if compressed and start not in (b"", _GZIP_MAGIC):
        raise UsageError(f"{path}: not gzip data although its name ends in .gz; rename it to .csv")
    if not compressed and start == _GZIP_MAGIC:
        raise UsageError(f"{path}: gzip data; rename it to end in .gz")
    return gzip.open(path) if compressed else path.open("rb")


def _layout(path: Path, data: io.BufferedIOBase) -> _Layout:
    line = 1
    while (text := data.readline(_MAX_HEADER)) and not text.strip():
        line += 1
    if not text:
        raise UsageError(f"{path}: the file is empty")
    try:
        header = next(csv.reader([text.decode("utf-8-sig", "replace")]))
    except csv.Error as error:
        raise UsageError(f"{path} line {line}: not a CSV header: {error}") from None
    names = [cell.strip().lower() for cell in header]
    if missing := [name for name in _COLUMNS if name not in names]:
        cure = f"it must name {','.join(_COLUMNS)}, in UTF-8"
        raise UsageError(f"{path} line {line}: the header lacks {', '.join(missing)}; {cure}")
    if twice := [name for name in _COLUMNS if names.count(name) > 1]:
        raise UsageError(f"{path} line {line}: the header names {', '.join(twice)} twice; remove one column")
    return _Layout(len(names), tuple(map(names.index, _COLUMNS)), line + 1)


def _block(rows: Sequence[tuple[float, ...]]) -> _Block:
    columns: Iterable[Sequence[float]] = zip(*rows, strict=True) if rows else [()] * len(_KINDS)
    return _Block(*(np.array(column, dtype=kind) for column, kind in zip(columns, _KINDS, strict=True)))


def _split(chunk: bytes, layout: _Layout) -> list[NDArray[np.uint8]]:
    """The cells of our columns: for each an array of characters, one row a position, padded with zeros."""
    chunk = chunk.replace(b"\r\n", b"\n")
    if not chunk.endswith(b"\n"):
        chunk += b"\n"
    if any(mark in chunk for mark in (b'"', b"\r", b"\0")):
        raise ValueError
    text = np.frombuffer(chunk + bytes(_MAX_CELL), dtype=np.uint8)
    ends = np.flatnonzero((text == ord(",")) | (text == ord("\n"))).reshape(-1, layout.width)
    if (text[ends[:, -1]] != ord("\n")).any() or (text[ends[:, :-1]] != ord(",")).any():
        raise ValueError
    starts = np.append(0, ends.ravel()[:-1] + 1).reshape(ends.shape)
    found = []
    for position in layout.positions:
        start = starts[:, position]
        length = ends[:, position] - start
        if (longest := int(length.max())) > _MAX_CELL:
            raise ValueError
        cells = np.empty((longest, len(start)), dtype=np.uint8)
        for place in range(longest):
            np.multiply(text[start + place], length > place, out=cells[place])
        found.append(cells)
    return found


def _digits(cells: NDArray[np.uint8]) -> NDArray[np.int64]:
    value = np.zeros(cells.shape[1], dtype=np.int64)
    for row in cells - np.uint8(ord("0")):
        if (row > 9).any():
            raise ValueError
        value = value * 10 + row
    return value


def _numbers(cells: NDArray[np.uint8]) -> NDArray[np.float64]:
    digits = cells - np.uint8(ord("0"))
    is_digit = digits < 10
    is_point = cells == ord(".")
    after_point = np.logical_or.accumulate(is_point, axis=0) & is_digit
    points, count = is_point.sum(axis=0), is_digit.sum(axis=0)
    if not (is_digit | is_point | (cells == 0)).all() or points.max() > 1 or count.min() == 0:
        raise ValueError
    if count.max() > _EXACT_DIGITS:
        return np.ascontiguousarray(cells.T).view(f"S{len(cells)}").ravel().astype(np.float64)
    value = np.zeros(cells.shape[1], dtype=np.int64)
    for digit, present in zip(digits, is_digit, strict=True):
        value = np.where(present, value * 10 + digit, value)
    # Both operands are exact in float64, so the quotient is the one that float() would give.
    quotient: NDArray[np.float64] = value / _POWERS_OF_TEN[after_point.sum(axis=0)]
    return quotient


def _runs(cells: NDArray[np.uint8], values: dict[str, int]) -> NDArray[np.int64]:
    """``values`` of the cells, looked up once for each run of equal ones."""
    begins = np.flatnonzero(np.append(True, (cells[:, 1:] != cells[:, :-1]).any(axis=0)))
    text = cells[:, begins].T.tobytes().decode("ascii")
    width = len(cells)
    found = [values[text[at : at + width].rstrip("\0")] for at in range(0, len(text), width)]
    return np.repeat(np.array(found, dtype=np.int64), np.diff(np.append(begins, cells.shape[1])))


def _minute_of(text: str) -> int:
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text) if _TIMESTAMP.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None or moment.year not in _YEARS:
        raise _BadRowError(f"timestamp {_quoted(text)} is not an ISO 8601 time between 1970 and 2199")
    if moment.tzinfo is None:
        raise _BadRowError(f"timestamp {_quoted(text)} has no offset; write Z or an offset such as -04:00")
    minute, rest = divmod(moment - _EPOCH, _MINUTE)
    if rest:
        raise _BadRowError(f"timestamp {_quoted(text)} is not the start of a minute")
    return minute


def _number(name: str, cell: str) -> float:
    try:
        value = float(cell) if _plain(cell) else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _BadRowError(f"{name} {_quoted(cell)} is not a number")
    return value


def _plain(text: str) -> bool:
    """Whether float() reads ``text`` as people do: it also takes 1_000 and the digits of every script."""
    return text.isascii() and "_" not in text


def _quoted(cell: str) -> str:
    return f"'{printable(cell[:40])}'"


def _some(names: Iterable[str]) -> str:
    first, rest = list(islice(names := iter(names), 10)), sum(1 for _ in names)
    return ", ".join(first) + (f" and {rest} more" if rest else "")
