"""The short way to a line says exactly what the long way says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tui_trader.core.events import BarReceived, CandleClosed, Heartbeat, Published, to_json
from tui_trader.listeners.event_lines import LineEncoder

_zones = st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=30))])
_times = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=_zones)  # noqa: DTZ001
_numbers = st.floats() | st.integers(-(10**6), 10**6).map(float)
_symbols = st.sampled_from(["AAPL", "BRK.B", 'A"\\', "\x00\x1f\x7f", "日本"]) | st.text(max_size=8)
_counts = st.integers(0, 10**12)
_bars = st.builds(
    BarReceived, _symbols, _times, _numbers, _numbers, _numbers, _numbers, _counts, st.booleans()
)
_candles = st.builds(
    CandleClosed,
    _symbols,
    _times,
    _counts,
    _numbers,
    _numbers,
    _numbers,
    _numbers,
    _counts,
    _counts,
    st.booleans(),
    _numbers,
    _numbers,
)
_events = st.one_of(_bars, _candles, st.just(Heartbeat(1.5, 0, 0.25)))


@given(st.lists(st.builds(Published, _counts, _times, _events), max_size=5))
def test_every_line_is_byte_for_byte_the_public_form(stream: list[Published]) -> None:
    encoder = LineEncoder()
    assert [encoder.encode(published) for published in stream] == [to_json(p) for p in stream]


def test_numpy_prices_are_written_as_numbers() -> None:
    time = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    price = np.float64(190.1)
    published = Published(1, time, BarReceived("AAPL", time, price, price, price, price, 5, False))
    assert LineEncoder().encode(published) == to_json(published)
