"""What a bars file may hold, and what is said when it holds something else."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui_trader.errors import UsageError
from tui_trader.venues.replay.bars_file import BarTable, SkippedRow, read_bars

HEADER = "symbol,timestamp,open,high,low,close,volume"
GOOD = "SPY,2024-03-08T14:30:00Z,100.1,100.3,100,100.2,1200"
LATER = "SPY,2024-03-08T14:31:00Z,100.2,100.4,100.1,100.3,900"
FIRST_MINUTE = int(datetime(2024, 3, 8, 14, 30, tzinfo=UTC).timestamp()) // 60

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(*lines: str, name: str = "bars.csv", header: str = HEADER) -> Path:
        path = tmp_path / name
        data = "\n".join((header, *lines, "")).encode()
        path.write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
        return path

    return write_file


def read(*paths: Path, symbols: frozenset[str] | None = None, skip_bad: bool = False) -> BarTable:
    return read_bars(paths, symbols, skip_bad)


def rows(table: BarTable) -> list[tuple[str, int, float, float, float, float, int]]:
    columns = (table.minute, table.open, table.high, table.low, table.close, table.volume)
    names = [table.symbols[i] for i in table.symbol_index]
    return list(zip(names, *(column.tolist() for column in columns), strict=True))


def failure(*paths: Path, symbols: frozenset[str] | None = None, skip_bad: bool = False) -> str:
    with pytest.raises(UsageError) as caught:
        read_bars(paths, symbols, skip_bad)
    message = str(caught.value)
    assert message.isprintable()
    assert caught.value.exit_code == 2
    return message


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "BARS.CSV.GZ"])
def test_a_row_becomes_a_bar(write: Write, name: str) -> None:
    table = read(write(GOOD, name=name))
    assert rows(table) == [("SPY", FIRST_MINUTE, 100.1, 100.3, 100.0, 100.2, 1200)]
    kinds = [column.dtype.name for column in (table.minute, table.symbol_index, table.open, table.volume)]
    assert kinds == ["int64", "int32", "float64", "int64"]
    assert table.skipped == ()


def test_columns_may_stand_in_any_order_among_others(write: Write) -> None:
    path = write(
        "1200,x,100.2,100,100.3,100.1,2024-03-08T14:30:00Z,SPY,",
        header="Volume, note ,close,low,high,open,timestamp,symbol,vwap",
    )
    assert rows(read(path)) == [("SPY", FIRST_MINUTE, 100.1, 100.3, 100.0, 100.2, 1200)]


def test_bars_are_sorted_by_time_then_symbol_across_files(write: Write) -> None:
    first = write(LATER, GOOD.replace("SPY", "QQQ"), name="a.csv")
    second = write(GOOD, LATER.replace("SPY", "AMD"), name="b.csv.gz")
    table = read(first, second)
    assert [row[:2] for row in rows(table)] == [
        ("QQQ", FIRST_MINUTE),
        ("SPY", FIRST_MINUTE),
        ("AMD", FIRST_MINUTE + 1),
        ("SPY", FIRST_MINUTE + 1),
    ]
    assert table.symbols == ("AMD", "QQQ", "SPY")


def test_only_wanted_symbols_are_kept(write: Write) -> None:
    path = write(GOOD, GOOD.replace("SPY", "QQQ"), GOOD.replace("SPY", "AMD"))
    assert read(path, symbols=frozenset({"SPY", "AMD", "IBM"})).symbols == ("AMD", "SPY")


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-08T14:30:00Z",
        "2024-03-08T14:30Z",
        "2024-03-08 14:30:00+00:00",
        "2024-03-08T09:30:00-05:00",
        "2024-03-08T20:00:00.000+05:30",
        "20240308T143000Z",
        " 2024-03-08T14:30:00Z ",
    ],
)
def test_every_iso_8601_form_with_an_offset_is_read(write: Write, text: str) -> None:
    assert read(write(GOOD.replace("2024-03-08T14:30:00Z", text))).minute.tolist() == [FIRST_MINUTE]


def test_offsets_may_change_within_a_file(write: Write) -> None:
    path = write(
        "SPY,2024-03-08T09:30:00-05:00,1,1,1,1,0",
        "SPY,2024-03-11T09:30:00-04:00,1,1,1,1,0",
    )
    assert read(path).minute.tolist() == [FIRST_MINUTE, FIRST_MINUTE + 3 * 1440 - 60]


@pytest.mark.parametrize(
    "row",
    [
        GOOD.replace("1200", "1200.0"),
        GOOD.replace("1200", "1.2e3"),
        GOOD.replace("100.3", " 100.3"),
        GOOD.replace("100.1", '"100.1"').replace("SPY", '"SPY"'),
        GOOD.replace("SPY", "spy"),
        GOOD + "\r",
    ],
)
def test_other_ways_to_write_the_same_row(write: Write, row: str) -> None:
    assert rows(read(write(row))) == rows(read(write(GOOD)))


def test_blank_lines_a_byte_order_mark_and_a_missing_last_line_end_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(f"\ufeff{HEADER}\r\n\r\n{GOOD}\r\n\r\n{LATER}".encode())
    assert len(read(path)) == 2


BAD_ROWS = {
    "missing cell": ("SPY,2024-03-08T14:30:00Z,1,1,1,1", "6 cells, the header 7"),
    "extra cell": (GOOD + ",5", "8 cells, the header 7"),
    "no symbol": (GOOD.replace("SPY", ""), "'' is not a symbol"),
    "bad symbol": (GOOD.replace("SPY", "../x"), "'../x' is not a symbol"),
    "escape codes": (GOOD.replace("SPY", "S\x1b[2J"), r"'S\x1b[2J' is not a symbol"),
    "empty price": (GOOD.replace("100.1", ""), "open '' is not a number"),
    "word as price": (GOOD.replace("100.2", "high"), "close 'high' is not a number"),
    "two points": (GOOD.replace("100.2", "10.0.2"), "close '10.0.2' is not a number"),
    "underscore": (GOOD.replace("1200", "1_200"), "volume '1_200' is not a number"),
    "other digits": (GOOD.replace("1200", "١٢٠٠"), "is not a number"),
    "nan": (GOOD.replace("100.1", "nan"), "open 'nan' is not a number"),
    "infinite": (GOOD.replace("100.3", "inf"), "high 'inf' is not a number"),
    "zero price": (GOOD.replace("100,", "0,"), "a price is not positive"),
    "negative price": (GOOD.replace("100,", "-100,"), "a price is not positive"),
    "high below close": (GOOD.replace("100.3", "100.15"), "high and low"),
    "low above open": (GOOD.replace("100,", "100.15,"), "high and low"),
    "high below low": (GOOD.replace("100.3", "99"), "high and low"),
    "negative volume": (GOOD.replace("1200", "-1"), "volume is negative"),
    "part of a share": (GOOD.replace("1200", "1200.5"), "volume '1200.5' is not a whole number"),
    "huge volume": (GOOD.replace("1200", "1e300"), "volume '1e300' is too large"),
    "no offset": (GOOD.replace("00Z", "00"), "has no offset"),
    "seconds": (GOOD.replace("00Z", "30Z"), "is not the start of a minute"),
    "fraction": (GOOD.replace("00Z", "00.5Z"), "is not the start of a minute"),
    "odd offset": (GOOD.replace("00Z", "00+00:00:30"), "is not the start of a minute"),
    "date only": (GOOD.replace("T14:30:00Z", ""), "is not an ISO 8601 time"),
    "no such day": (GOOD.replace("03-08", "02-30"), "is not an ISO 8601 time"),
    "no such hour": (GOOD.replace("T14", "T25"), "is not an ISO 8601 time"),
    "no such minute": (GOOD.replace(":30:", ":60:"), "is not an ISO 8601 time"),
    "epoch seconds": (GOOD.replace("2024-03-08T14:30:00Z", "1709908200"), "is not an ISO 8601 time"),
    "far future": (GOOD.replace("2024", "9999"), "between 1970 and 2199"),
    "no timestamp": (GOOD.replace("2024-03-08T14:30:00Z", ""), "is not an ISO 8601 time"),
}


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_stops_with_file_line_and_reason(write: Write, row: str, reason: str) -> None:
    path = write(LATER, row)
    message = failure(path)
    assert message.startswith(f"{path} line 3: ")
    assert reason in message


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_counted_when_asked(write: Write, row: str, reason: str) -> None:
    path = write(LATER, row, LATER.replace(":31:", ":32:"))
    table = read(path, skip_bad=True)
    assert table.minute.tolist() == [FIRST_MINUTE + 1, FIRST_MINUTE + 2]
    (skipped,) = table.skipped
    assert (skipped.file, skipped.line) == (path, 3)
    assert reason in skipped.reason
    assert skipped.reason.isprintable()


def test_undecodable_bytes_name_their_line_and_spare_columns_we_ignore(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(f"{HEADER},note\n{GOOD},".encode() + b"\xff\n" + f"{LATER},x\n".encode())
    assert len(read(path)) == 2
    path.write_bytes(f"{HEADER}\n{GOOD}\n".encode() + LATER.encode().replace(b"SPY", b"S\xff"))
    assert failure(path).startswith(f"{path} line 3: ")


def test_a_row_of_an_unwanted_symbol_is_checked_too(write: Write) -> None:
    path = write(GOOD, GOOD.replace("SPY", "QQQ").replace("1200", "x"))
    assert "line 3" in failure(path, symbols=frozenset({"SPY"}))


@pytest.mark.parametrize("skip_bad", [False, True])
def test_the_same_minute_twice_names_both_places(write: Write, skip_bad: bool) -> None:
    first, second = write(LATER, GOOD, name="a.csv"), write(GOOD.replace("1200", "7"), name="b.csv")
    reason = f"SPY at 2024-03-08T14:30Z is also in {first} line 3"
    if skip_bad:
        table = read(first, second, skip_bad=True)
        assert table.volume.tolist() == [1200, 900]
        assert table.skipped == (SkippedRow(second, 2, reason),)
    else:
        assert failure(first, second) == f"{second} line 2: {reason}; remove one of them"


def test_repetitions_within_a_file_are_found_whatever_their_offset(write: Write) -> None:
    path = write(GOOD, LATER, GOOD.replace("T14:30:00Z", "T09:30:00-05:00"))
    assert failure(path).startswith(f"{path} line 4: SPY at 2024-03-08T14:30Z is also in {path} line 2")


def test_lines_are_counted_through_quoted_line_ends(write: Write) -> None:
    path = write(f'{GOOD},"a\nb"', f"{LATER},x", "bad,row", header=f"{HEADER},note")
    assert f"{path} line 5: " in failure(path)


def many(count: int, quote: str = "") -> list[str]:
    start = datetime(2015, 1, 1, tzinfo=UTC)
    return [
        f"{quote}SPY{quote},{(start + timedelta(minutes=i)).isoformat()},{100 + i % 9}.5,110,99.25,101,{i}"
        for i in range(count)
    ]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz"])
def test_a_long_file_is_read_whole_and_its_lines_counted(write: Write, name: str, quote: str) -> None:
    lines = many(40_000, quote)
    table = read(write(*lines, name=name))
    assert np.array_equal(table.volume, np.arange(40_000))
    assert np.array_equal(np.diff(table.minute), np.ones(39_999))
    lines[35_000] = lines[35_000].replace(",110,", ",x,")
    path = write(*lines, name=name)
    assert failure(path).startswith(f"{path} line 35002: ")
    assert [row.line for row in read(path, skip_bad=True).skipped] == [35_002]


def test_a_quote_left_open_is_named_where_it_opens(write: Write) -> None:
    lines = many(10_000)
    lines[5] = lines[5].replace("SPY", '"SPY')
    path = write(*lines)
    assert failure(path).startswith(f"{path} line 7: ")


def test_a_hundred_thousand_rows_are_read_without_a_wait(write: Write) -> None:
    path = write(*many(100_000))
    began = time.perf_counter()
    read(path)
    assert time.perf_counter() - began < 2.0


def truncated(path: Path) -> None:
    path.write_bytes(gzip.compress("\n".join([HEADER, *many(5_000)]).encode())[:-2000])


def damaged(path: Path) -> None:
    data = bytearray(gzip.compress("\n".join([HEADER, *many(5_000)]).encode()))
    data[-8] ^= 0xFF
    path.write_bytes(data)


def symbols_of(*names: str) -> str:
    return "\n".join([HEADER, *(GOOD.replace("SPY", name) for name in names), ""])


UNREADABLE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("x.csv", lambda path: None, "cannot be read: No such file or directory"),
    "directory": ("x.csv", lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "directory gz": ("x.csv.gz", lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "not gzip": ("x.csv.gz", lambda path: path.write_text(f"{HEADER}\n{GOOD}\n"), "not gzip data"),
    "is gzip": ("x.csv", lambda path: path.write_bytes(gzip.compress(b"x")), "rename it to end in .gz"),
    "truncated gzip": ("x.csv.gz", truncated, "incomplete or damaged gzip data"),
    "damaged gzip": ("x.csv.gz", damaged, "incomplete or damaged gzip data"),
    "empty": ("x.csv", lambda path: path.touch(), "the file is empty"),
    "empty gzip": ("x.csv.gz", lambda path: path.write_bytes(gzip.compress(b"")), "the file is empty"),
    "empty file named gz": ("x.csv.gz", lambda path: path.touch(), "the file is empty"),
    "blank": ("x.csv", lambda path: path.write_text("\n \n"), "the file is empty"),
    "header only": ("x.csv", lambda path: path.write_text(HEADER), "no bars below the header"),
    "no header": ("x.csv", lambda path: path.write_text(GOOD), "line 1: the header lacks symbol, timestamp"),
    "missing columns": (
        "x.csv",
        lambda path: path.write_text("symbol,timestamp,open,high,low\n"),
        "the header lacks close, volume",
    ),
    "column twice": ("x.csv", lambda path: path.write_text(f"{HEADER},open\n"), "names open twice"),
    "binary": ("x.csv", lambda path: path.write_bytes(bytes(range(256)) * 100), "header"),
    "utf-16": ("x.csv", lambda path: path.write_text(f"{HEADER}\n{GOOD}\n", "utf-16"), "in UTF-8"),
    "old line ends": ("x.csv", lambda path: path.write_text(f"{HEADER}\r{GOOD}\r"), "not a CSV header"),
    "unwanted": (
        "x.csv",
        lambda path: path.write_text(symbols_of("QQQ", "AMD")),
        "no bars of SPY; there are bars of AMD, QQQ",
    ),
    "many unwanted": (
        "x.csv",
        lambda path: path.write_text(symbols_of(*(f"A{n}" for n in range(30)))),
        "and 20 more",
    ),
}


@pytest.mark.parametrize(("name", "make", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_without_bars_is_explained_in_one_line(
    tmp_path: Path, name: str, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / name
    make(path)
    message = failure(path, symbols=frozenset({"SPY"}))
    assert message.startswith(str(path))
    assert reason in message


def test_a_file_of_bad_rows_alone_is_an_error_even_when_they_are_skipped(write: Write) -> None:
    path = write("bad", "worse")
    assert failure(path, skip_bad=True).endswith("no usable bars, bad rows: 2")


def test_no_file_at_all_is_an_error() -> None:
    assert "--bars" in failure()


prices = st.decimals("0.0001", "999999", places=4).map(str) | st.floats(0.01, 1e6).map(repr)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bars=st.lists(st.tuples(st.lists(prices, min_size=4, max_size=4), st.integers(0, 10**12))))
def test_both_ways_of_reading_give_the_same_numbers(
    tmp_path: Path, bars: list[tuple[list[str], int]]
) -> None:
    lines = []
    for minute, (values, volume) in enumerate([*bars, (["1", "1", "1", "1"], 0)]):
        low, open_, close, high = sorted(values, key=float)
        lines.append(
            f"SPY,2024-03-08T{minute // 60:02}:{minute % 60:02}:00Z,{open_},{high},{low},{close},{volume}"
        )
    by_column, by_row = tmp_path / "column.csv", tmp_path / "row.csv"
    by_column.write_text("\n".join([HEADER, *lines]))
    by_row.write_text("\n".join([HEADER, *(line.replace("SPY", '"SPY"') for line in lines)]))
    expected = [tuple(map(float, line.split(",")[2:6])) for line in lines]
    assert rows(read(by_column)) == rows(read(by_row))
    assert [row[2:6] for row in rows(read(by_column))] == expected
