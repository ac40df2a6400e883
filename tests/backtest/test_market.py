"""Recorded bars as columns: which are believed, and the candles that they make, as one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.oracle.harness import CALENDAR, Case, table_of
from tests.oracle.nasty import cases
from tui_trader.backtest.candles import Candles
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.tape import Column, Tape, moment_time, time_of
from tui_trader.core.bars import MINUTE, Bar, BarFilter, Verdict
from tui_trader.core.candles import CANDLE_GRACE, INTERVALS, Candle, CandleAggregator
from tui_trader.core.indicators import Indicator, IndicatorCalculator
from tui_trader.errors import UsageError

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

SESSIONS = CALENDAR.sessions(date(2013, 11, 26), date(2013, 11, 29))  # the last a half-day after a holiday
JUMP = 20.0


def flat(symbol: str, minutes: Sequence[int], price: float = 50.0, *, session: int = 0) -> list[Bar]:
    """Bars in which nothing moves."""
    opened = SESSIONS[session].open
    return [Bar(symbol, opened + m * MINUTE, price, price, price, price, 100 + m) for m in minutes]


def market(*bars: Bar, asked: tuple[str, ...] = ()) -> MarketData:
    return MarketData(table_of(bars), CALENDAR, JUMP, asked)


# ---- one by one ----------------------------------------------------------------------------------------


class OneByOne:
    """What becomes of one symbol's bars when each is offered to the live engine's own parts as it comes."""

    def __init__(self, minutes: int, wanted: dict[str, Indicator], max_jump_pct: float) -> None:
        self._interval = minutes * MINUTE
        self._wanted = wanted
        self._judge = BarFilter(max_jump_pct)
        self._aggregator = CandleAggregator("A", minutes)
        self._calculator = IndicatorCalculator(wanted)
        self._session = SESSIONS[0]
        self.candles: list[tuple[Candle, datetime]] = []  # each with when it was known
        self.series: list[dict[str, float]] = []
        self.believed: list[tuple[Bar, datetime]] = []  # each with its delivery
        self.refused: list[tuple[datetime, str]] = []
        self.splits: list[datetime] = []

    def run(self, bars: Sequence[Bar]) -> None:
        for session in CALENDAR.sessions(bars[0].timestamp.date(), bars[-1].timestamp.date()):
            self._session = session
            self._aggregator.start_session(session.open)
            for bar in bars:
                if session.contains(bar.timestamp):
                    self._offer(bar, bar.timestamp + MINUTE)
            self._time_out(session.close)
            self._refuse(self._judge.end_session())
            last = self._aggregator.end_session()
            self._closed([last] if last else [], session.close)

    def _offer(self, bar: Bar, now: datetime) -> None:
        opened = self._session.open
        self._time_out(now)
        verdict = self._judge.offer(bar, opened, now)
        self._refuse(verdict)
        if verdict.split:
            self.splits.append(opened)
            self._calculator = IndicatorCalculator(self._wanted)
        for accepted in verdict.accepted:
            self.believed.append((accepted, now))
            end = accepted.timestamp - (accepted.timestamp - opened) % self._interval + self._interval
            if now <= end + CANDLE_GRACE:
                self._closed(self._aggregator.add(accepted), now)

    def _time_out(self, now: datetime) -> None:
        """Time has come as far as ``now``, or the close."""
        end = self._aggregator.window_end
        if end is not None and end + CANDLE_GRACE < now:
            candle = self._aggregator.expire(end + CANDLE_GRACE)
            self._closed([candle] if candle else [], end + CANDLE_GRACE)

    def _closed(self, candles: Sequence[Candle], known: datetime) -> None:
        for candle in candles:
            self._calculator.update(candle.high, candle.low, candle.close, candle.volume, self._session.open)
            self.candles.append((candle, known))
            self.series.append(dict(self._calculator.now))

    def _refuse(self, verdict: Verdict) -> None:
        self.refused += [(refused.bar.timestamp, refused.reason) for refused in verdict.refused]


def rows_of(candles: Candles) -> Iterator[tuple[Candle, datetime]]:
    for n in range(len(candles)):
        start = time_of(int(candles.start[n]))
        made = Candle(
            "A", start, start + candles.minutes * MINUTE, candles.minutes, float(candles.open[n]),
            float(candles.high[n]), float(candles.low[n]), float(candles.close[n]), int(candles.volume[n]),
            int(candles.bars[n]), bool(candles.complete[n]),
        )  # fmt: skip
        yield made, moment_time(int(candles.closes[n]))


def bars_of(tape: Tape) -> Iterator[tuple[Bar, datetime]]:
    count = len(tape)
    stamps, deliveries = tape.minutes(0, count).tolist(), tape.delivered(0, count).tolist()
    names: tuple[Column, ...] = ("open", "high", "low", "close", "volume")
    columns = (tape.column(name, 0, count).tolist() for name in names)
    for number, (stamp, delivery, o, h, low, c, v) in enumerate(
        zip(stamps, deliveries, *columns, strict=True)
    ):
        cut_back = number in tape.patched
        yield Bar(tape.symbol, time_of(stamp), o, h, low, c, int(v), cut_back), time_of(delivery)


_WANTED = {
    "sma": Indicator("sma", 3), "ema": Indicator("ema", 4), "rsi": Indicator("rsi", 5),
    "atr": Indicator("atr", 6), "vwap": Indicator("vwap"),
}  # fmt: skip


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(
    case=cases().filter(lambda case: case.recorded), minutes=st.sampled_from(INTERVALS), alone=st.booleans()
)
def test_columns_hold_what_bars_taken_one_by_one_lead_to(case: Case, minutes: int, alone: bool) -> None:
    """What is believed, candles, when each is known, and indicators; of a table of one symbol or more."""
    jump = float(case.risk.max_bar_jump_pct)
    symbol = case.bars[0].symbol
    bars = [bar for bar in case.bars if bar.symbol == symbol]
    expected = OneByOne(minutes, _WANTED, jump)
    expected.run(bars)
    assume(expected.believed)
    made = MarketData(table_of(bars if alone else case.bars), CALENDAR, jump)
    candles = made.candles(symbol, minutes)
    assert list(rows_of(candles)) == expected.candles
    assert list(bars_of(made.tapes[symbol])) == expected.believed
    refused = [(no.timestamp, no.reason) for no in made.notes.refused if no.symbol == symbol]
    assert refused == sorted(expected.refused)
    assert [time for name, time in made.notes.splits if name == symbol] == expected.splits
    for name, values in candles.indicators(_WANTED).items():
        one_by_one = [now[name] for now in expected.series]
        np.testing.assert_allclose(values, one_by_one, rtol=1e-9, atol=1e-12)


# ---- what there is -------------------------------------------------------------------------------------


def test_symbols_are_in_order_and_those_without_a_bar_are_told_of() -> None:
    made = market(*flat("CC", range(3)), *flat("AA", range(2)), asked=("CC", "BB", "AA"))
    assert made.symbols == ("AA", "CC")
    assert made.notes.absent == ("BB",)
    assert made.bars == 5


def test_sessions_are_those_in_which_anything_was_traded() -> None:
    made = market(*flat("AA", [5], session=0), *flat("BB", [7], session=2))
    assert made.sessions == (SESSIONS[0], SESSIONS[2])
    assert made.tapes["AA"].bounds.tolist() == [0, 1, 1]
    assert made.tapes["BB"].bounds.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("day", "number"), [(0, 0), (1, 1), (2, 1), (3, 2)], ids=["first", "between", "second", "none after"]
)
def test_a_day_leads_to_its_session_or_the_next(day: int, number: int) -> None:
    made = market(*flat("AA", [5], session=0), *flat("AA", [7], session=2))
    days = [SESSIONS[0].date, SESSIONS[1].date, SESSIONS[2].date, date(2013, 12, 2)]
    assert made.session_number(days[day]) == number


def test_bars_outside_regular_hours_count_for_nothing_but_a_note() -> None:
    early = [bar._replace(timestamp=bar.timestamp - timedelta(hours=2)) for bar in flat("AA", range(4))]
    half_day = [bar._replace(timestamp=SESSIONS[2].close) for bar in flat("AA", [0])]
    made = market(*early, *flat("AA", range(3)), *half_day)
    assert made.notes.outside == 5
    assert made.bars == 3
    assert made.sessions == (SESSIONS[0],)


def test_bars_of_no_regular_session_are_refused_in_a_line() -> None:
    night = flat("AA", [600])
    with pytest.raises(UsageError, match=r"^the bars hold no bar of a regular session \(09:30 to 16:00"):
        market(*night)


def test_bars_beyond_the_calendar_are_refused_in_a_line() -> None:
    old = flat("AA", [0])[0]._replace(timestamp=datetime(1971, 1, 4, 15, 0, tzinfo=UTC))
    with pytest.raises(UsageError, match=r"^the bars cover 1971-01-04 to 2013-11-26: ") as error:
        market(old, *flat("AA", [0]))
    assert "\n" not in str(error.value)


def test_missing_minutes_are_counted_from_a_symbols_first_bar_to_its_last() -> None:
    whole = flat("AA", range(390))
    holes = flat("BB", [10, 11, 13, 20])
    nights = [*flat("CC", [380], session=0), *flat("CC", [5], session=2)]
    gap = flat("AA", range(390), session=1)  # a session in which CC has nothing
    made = market(*whole, *gap, *holes, *nights)
    assert made.notes.missing == {"BB": 1 + 6, "CC": 9 + 390 + 5}


def test_no_bar_is_copied() -> None:
    table = table_of(flat("AA", range(390)))
    tape = MarketData(table, CALENDAR, JUMP).tapes["AA"]
    assert np.shares_memory(tape.column("close", 10, 20), table.close)


def test_candles_are_made_once() -> None:
    made = market(*flat("AA", range(10)))
    assert made.candles("AA", 5) is made.candles("AA", 5)
    assert made.candles("AA", 5) is not made.candles("AA", 2)


# ---- bad bars ------------------------------------------------------------------------------------------


def test_a_jump_that_the_next_bar_does_not_confirm_is_refused() -> None:
    made = market(*flat("AA", range(5)), *flat("AA", [5], 70.0), *flat("AA", range(6, 10)))
    assert [(bar.timestamp, bar.reason) for bar in made.notes.refused] == [
        (SESSIONS[0].open + 5 * MINUTE, "a jump the next bar did not confirm")
    ]
    assert made.tapes["AA"].minutes(0, 9).tolist()[4:6] == [
        int((SESSIONS[0].open + m * MINUTE).timestamp()) // 60 for m in (4, 6)
    ]


def test_a_jump_that_is_confirmed_is_delivered_with_the_bar_that_confirms_it() -> None:
    tape = market(*flat("AA", range(5)), *flat("AA", range(5, 10), 70.0)).tapes["AA"]
    assert (tape.delivered(0, 10) - tape.minutes(0, 10)).tolist() == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    begun = int(tape.minutes(0, 1)[0])
    assert [tape.known_by(0, begun + m) for m in (5, 6, 7)] == [5, 5, 7]


def test_a_wick_is_cut_back_to_the_body() -> None:
    wick = flat("AA", [5])[0]._replace(open=50.5, high=80.0, low=20.0)
    made = market(*flat("AA", range(5)), wick)
    assert made.notes.adjusted == 1
    assert made.tapes["AA"].column("high", 4, 6).tolist() == [50.0, 50.5]
    assert made.tapes["AA"].column("low", 4, 6).tolist() == [50.0, 50.0]
    assert table_of([wick]).high.tolist() == [80.0], "the recording stays as it is"


def test_a_split_drops_the_history() -> None:
    made = market(*flat("AA", range(20)), *flat("AA", range(20), 25.0, session=1))
    assert made.notes.splits == (("AA", SESSIONS[1].open),)
    candles = made.candles("AA", 1)
    assert candles.restarts == (0, 20)
    sma = candles.indicators({"sma": Indicator("sma", 10)})["sma"]
    assert np.isnan(sma).tolist() == ([True] * 9 + [False] * 11) * 2
    assert sma[29] == 25.0, "of prices after the split alone"


def test_a_night_may_move_a_price_as_far_as_it_likes_but_for_a_split() -> None:
    made = market(*flat("AA", range(20)), *flat("AA", range(20), 70.0, session=1))
    assert not made.notes.splits
    assert not made.notes.refused
