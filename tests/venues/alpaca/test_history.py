"""Warm-up bars: every symbol gets an answer, as soon and as complete as can be, whatever the broker says."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from tests.alpaca_server import AlpacaServer, Hours, MinuteBar
from tui_trader.core.calendar import FixedCalendar, Session
from tui_trader.engine.clock import VirtualClock
from tui_trader.venues.alpaca import broker_calendar
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.bar_rows import bar_columns
from tui_trader.venues.alpaca.budget import RequestBudget
from tui_trader.venues.alpaca.history import DAYS_BACK, AlpacaHistory, Page
from tui_trader.venues.alpaca.lanes import Lane, RestLanes
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.alpaca.rest import AlpacaRest
from tui_trader.venues.base import History, VenueMessage

MINUTE = timedelta(minutes=1)
TODAY = date(2026, 11, 18)
NOW = datetime(2026, 11, 18, 15, 0, 30, tzinfo=UTC)
UNREACHABLE = RestProblem(ProblemKind.UNREACHABLE, "the host cannot be reached")
UNCLEAR = RestProblem(ProblemKind.UNCLEAR, "no answer within 10 s")
LIMITED = RestProblem(ProblemKind.RATE_LIMITED, "too many requests in the last minute: not sent")
NOT_OURS = RestProblem(
    ProblemKind.REFUSED, "subscription does not permit querying recent SIP data", status=403
)


def session(day: date, minutes: int = 390) -> Session:
    opened = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return Session(day, opened, opened + minutes * MINUTE)


def calendar(days: int = DAYS_BACK + 1) -> FixedCalendar:
    """A session every weekday up to and including today, for so many days back."""
    every = [TODAY - timedelta(days=back) for back in range(days, -1, -1)]
    return FixedCalendar([session(day) for day in every if day.weekday() < 5], first=every[0], last=every[-1])


def row(minute: datetime, price: float = 100.0) -> dict[str, Any]:
    stamp = minute.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"t": stamp, "o": price, "h": price + 1, "l": price - 1, "c": price, "v": 500, "n": 3, "vw": price}


class Broker:
    """Bars every so many minutes, day and night, a page at a time; or whatever ``obstacles`` says instead."""

    def __init__(self, every: dict[str, int], page: int = 10_000) -> None:
        self.every = every
        self.page = page
        self.asked: list[tuple[tuple[str, ...], datetime, datetime]] = []
        self.feeds: set[str] = set()
        self.obstacles: list[Exception | None] = []
        self.unknown: set[str] = set()
        self.never_ends = False
        self.pause_log: list[float] = []

    def bars_page(
        self, symbols: Sequence[str], start: datetime, end: datetime, feed: str, page_token: str | None
    ) -> Page:
        self.asked.append((tuple(symbols), start, end))
        self.feeds.add(feed)
        obstacle = self.obstacles.pop(0) if self.obstacles else None
        if obstacle is not None:
            raise obstacle
        for symbol in symbols:
            if symbol in self.unknown:
                raise RestProblem(ProblemKind.REFUSED, f"invalid symbol: {symbol}", status=400)
        rows = list(self._rows(symbols, start, end))
        first = int(page_token or 0)
        shown: dict[str, list[dict[str, Any]]] = {}
        for symbol, bar in rows[first : first + self.page]:
            shown.setdefault(symbol, []).append(bar)
        more = first + self.page < len(rows)
        if self.never_ends:
            return shown, page_token or "0"
        return shown, str(first + self.page) if more else None

    def _rows(
        self, symbols: Sequence[str], start: datetime, end: datetime
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for symbol in sorted(symbols):
            step = self.every.get(symbol)
            minute = start.replace(second=0)
            while step is not None and minute <= end:
                yield symbol, row(minute)
                minute += step * MINUTE


def ask(
    broker: Broker, symbols: Sequence[str], minutes: int, known: FixedCalendar | None = None
) -> dict[str, History]:
    """Every answer, by symbol; each symbol must have exactly one."""
    answers: list[VenueMessage] = []

    def run(call: Callable[[Broker], None], done: Callable[[RestProblem | None], None]) -> None:
        try:
            call(broker)
        except ZeroDivisionError as error:
            done(RestProblem(ProblemKind.UNCLEAR, f"{type(error).__name__}"))
        else:
            done(None)

    history = AlpacaHistory(
        run, known or calendar(), VirtualClock(NOW), answers.append, "iex", broker.pause_log.append
    )  # fmt: skip
    history.request(symbols, minutes)
    found = {answer.symbol: answer for answer in answers if isinstance(answer, History)}
    assert len(found) == len(answers) == len(set(symbols))
    return found


def minutes_of(answer: History) -> list[datetime]:
    assert answer.bars is not None
    return [datetime.fromtimestamp(minute * 60, UTC) for minute in answer.bars.minute.tolist()]


def test_a_busy_symbol_gets_its_minutes_in_one_request() -> None:
    broker = Broker({"AAPL": 1})
    answer = ask(broker, ["AAPL"], 400)["AAPL"]
    assert answer.error == ""
    assert len(minutes_of(answer)) >= 400
    assert len(broker.asked) == 1
    assert broker.feeds == {"iex"}


def test_only_minutes_of_regular_sessions_that_are_over_are_kept() -> None:
    found = minutes_of(ask(Broker({"AAPL": 1}), ["AAPL"], 400)["AAPL"])
    sessions = calendar().sessions(TODAY - timedelta(days=7), TODAY)
    assert all(any(s.contains(minute) for s in sessions) for minute in found)
    assert found == sorted(set(found))
    # At 15:00:30 the bar of 15:00 may still change.
    assert found[-1] == datetime(2026, 11, 18, 14, 59, tzinfo=UTC)


def test_history_begins_with_a_whole_session() -> None:
    assert minutes_of(ask(Broker({"AAPL": 1}), ["AAPL"], 400)["AAPL"])[0].strftime("%H:%M") == "14:30"


def test_a_half_day_counts_for_the_minutes_it_has() -> None:
    days = [date(2026, 11, d) for d in (12, 13, 16, 17, 18)]
    halves = FixedCalendar(
        [session(day, 210) for day in days], first=TODAY - timedelta(days=DAYS_BACK + 1), last=TODAY
    )
    answer = ask(Broker({"AAPL": 1}), ["AAPL"], 600, halves)["AAPL"]
    assert len(minutes_of(answer)) == 30 + 4 * 210


def test_a_thin_symbol_is_asked_for_further_back_without_the_busy_ones() -> None:
    broker = Broker({"AAPL": 1, "THIN": 7})
    found = ask(broker, ["AAPL", "THIN"], 400)
    assert len(minutes_of(found["THIN"])) >= 400
    assert minutes_of(found["THIN"]) == sorted(set(minutes_of(found["THIN"])))
    assert [symbols for symbols, _, _ in broker.asked[1:]] == [("THIN",)] * (len(broker.asked) - 1)
    # Each window ends where the one before it began, and none is asked for twice.
    assert all(later[1] == earlier[2] for earlier, later in zip(broker.asked[1:], broker.asked, strict=False))


def test_a_symbol_too_thin_for_the_whole_calendar_gives_what_there_is() -> None:
    answer = ask(Broker({"RARE": 390}), ["RARE"], 3000)["RARE"]
    assert answer.bars is not None
    assert 0 < len(answer.bars) < 3000
    assert answer.error == ""


def test_a_symbol_without_any_bar_is_said_to_have_none() -> None:
    found = ask(Broker({"AAPL": 1}), ["AAPL", "NONE"], 400)
    assert found["NONE"] == History("NONE", None, "no bars in the last 120 days on the iex feed")
    assert found["AAPL"].bars is not None


def test_pages_are_put_together_wherever_they_are_cut() -> None:
    whole = ask(Broker({"A": 1, "B": 2, "C": 1}), ["A", "B", "C"], 300)
    for page in (1700, 999, 333):
        cut = ask(Broker({"A": 1, "B": 2, "C": 1}, page), ["A", "B", "C"], 300)
        assert {s: minutes_of(cut[s]) for s in cut} == {s: minutes_of(whole[s]) for s in whole}


def test_a_symbol_is_answered_for_once_the_pages_have_gone_past_it() -> None:
    broker = Broker({"A": 1, "B": 1, "C": 1}, page=2000)
    broker.obstacles = [None, None, UNCLEAR, UNCLEAR, UNCLEAR]
    found = ask(broker, ["A", "B", "C"], 300)
    assert found["A"].bars is not None
    assert found["A"].error == ""
    # A symbol whose newest bars are missing has none that warm-up could use.
    assert found["C"] == History("C", None, "no answer from Alpaca: no answer within 10 s")


def test_many_symbols_are_asked_for_in_groups() -> None:
    symbols = [f"S{number:02}" for number in range(60)]
    broker = Broker(dict.fromkeys(symbols, 5))
    found = ask(broker, symbols, 5)
    assert all(answer.bars is not None for answer in found.values())
    assert {len(asked) for asked, _, _ in broker.asked} == {25, 10}


def test_one_unknown_symbol_costs_no_other_one_its_bars() -> None:
    symbols = [f"S{number:02}" for number in range(25)]
    broker = Broker(dict.fromkeys(symbols, 1))
    broker.unknown = {"S07"}
    found = ask(broker, symbols, 100)
    assert found.pop("S07") == History("S07", None, "Alpaca refuses: invalid symbol: S07")
    assert all(answer.bars is not None for answer in found.values())
    assert len(broker.asked) < 15


@pytest.mark.parametrize("problem", [UNREACHABLE, UNCLEAR, LIMITED], ids=lambda p: str(p.kind))
def test_what_may_pass_is_tried_three_times(problem: RestProblem) -> None:
    broker = Broker({"AAPL": 1})
    broker.obstacles = [problem, problem]
    assert ask(broker, ["AAPL"], 100)["AAPL"].bars is not None
    assert len(broker.pause_log) == 2
    assert broker.pause_log == sorted(broker.pause_log)

    broker.obstacles = [problem, problem, problem]
    answer = ask(broker, ["AAPL"], 100)["AAPL"]
    assert answer.bars is None
    assert answer.error
    assert len(broker.pause_log) == 4


def test_after_a_request_too_many_a_whole_minute_is_waited() -> None:
    broker = Broker({"AAPL": 1})
    broker.obstacles = [LIMITED, LIMITED]
    ask(broker, ["AAPL"], 100)
    assert sum(broker.pause_log) > 60


def test_a_feed_that_was_not_subscribed_to_is_said_so_once_a_symbol_and_not_tried_again() -> None:
    broker = Broker({"A": 1, "B": 1})
    broker.obstacles = [NOT_OURS]
    found = ask(broker, ["A", "B"], 100)
    (error,) = {answer.error for answer in found.values()}
    assert error.startswith("the Alpaca subscription does not include recent SIP data: ")
    assert 'set feed = "iex"' in error
    assert len(broker.asked) == 1


def test_refused_keys_are_said_and_not_tried_again() -> None:
    broker = Broker({"A": 1, "B": 1})
    broker.obstacles = [RestProblem(ProblemKind.UNAUTHORIZED, "forbidden.", status=403)]
    found = ask(broker, ["A", "B"], 100)
    assert {answer.error for answer in found.values()} == {"Alpaca does not accept the keys"}
    assert not broker.pause_log


def test_bars_that_are_there_serve_when_older_ones_cannot_be_had() -> None:
    broker = Broker({"THIN": 3})
    broker.obstacles = [None, UNCLEAR, UNCLEAR, UNCLEAR]
    answer = ask(broker, ["THIN"], 400)["THIN"]
    assert answer.bars is not None
    assert 0 < len(answer.bars) < 400
    assert answer.error == "no answer from Alpaca: no answer within 10 s"


def test_pages_without_end_are_given_up() -> None:
    broker = Broker({"A": 1})
    broker.never_ends = True
    assert ask(broker, ["A"], 100)["A"].error == "no answer from Alpaca: the pages of its answer do not end"


def test_a_fault_of_our_own_leaves_nobody_without_an_answer() -> None:
    broker = Broker({"A": 1, "B": 1})
    broker.obstacles = [ZeroDivisionError()]
    assert all(answer.error for answer in ask(broker, ["A", "B"], 100).values())


def test_a_calendar_that_is_too_short_is_said() -> None:
    answer = ask(Broker({"A": 1}), ["A"], 100, calendar(days=20))["A"]
    assert answer.bars is None
    assert answer.error.startswith("the sessions before now are not known: ")


def test_the_brokers_calendar_reaches_further_than_history() -> None:
    assert broker_calendar.DAYS_BACK > DAYS_BACK + 1


# ---- rows --------------------------------------------------------------------------------------------

HALF_PAST = int(datetime(2026, 11, 18, 14, 30, tzinfo=UTC).timestamp()) // 60
GOOD = row(datetime(2026, 11, 18, 14, 30, tzinfo=UTC))


def test_rows_become_columns() -> None:
    columns = bar_columns([GOOD, row(datetime(2026, 11, 18, 14, 31, tzinfo=UTC), 101.5)])
    assert columns.minute.tolist() == [HALF_PAST, HALF_PAST + 1]
    assert columns.close.tolist() == [100.0, 101.5]
    assert columns.volume.tolist() == [500, 500]
    assert columns.minute.dtype == columns.volume.dtype == np.dtype(np.int64)
    assert columns.open.dtype == np.dtype(np.float64)


@pytest.mark.parametrize(
    "wrong",
    [
        {"o": None}, {"h": "101"}, {"l": True}, {"c": math.nan}, {"c": math.inf}, {"v": None}, {"v": 1e300},
        {"v": 10**400}, {"t": None}, {"t": 1_763_476_200}, {"t": "yesterday"}, {"t": "2026-13-18T14:30:00Z"},
        {"t": "2026-11-18T14:30:00-05:00"}, {"t": ""}, {"t": "Z"},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_that_is_no_bar_is_left_out_and_the_others_stay(wrong: dict[str, Any]) -> None:
    later = row(datetime(2026, 11, 18, 14, 32, tzinfo=UTC))
    columns = bar_columns([GOOD, GOOD | wrong, later])
    assert columns.minute.tolist() == [HALF_PAST, HALF_PAST + 2]


@pytest.mark.parametrize("wrong", [None, 7, "bar", [], {}, {"t": "2026-11-18T14:30:00Z"}], ids=str)
def test_what_is_no_row_at_all_is_left_out(wrong: Any) -> None:
    assert bar_columns([wrong, GOOD]).minute.tolist() == [HALF_PAST]


def test_bars_that_look_odd_are_for_the_engine_to_judge() -> None:
    odd = GOOD | {"o": -5.0, "h": 0, "l": 1e9, "v": -1}
    assert len(bar_columns([odd, odd])) == 2


def test_rows_of_which_none_is_readable_are_mentioned() -> None:
    class Nonsense(Broker):
        def _rows(
            self, symbols: Sequence[str], start: datetime, end: datetime
        ) -> Iterator[tuple[str, dict[str, Any]]]:
            for symbol in symbols:
                yield symbol, GOOD | {"o": None}

    error = ask(Nonsense({}), ["A"], 100)["A"].error
    assert error.startswith("no bars in the last 120 days on the iex feed (")
    assert error.endswith(" were unreadable)")


# ---- with the real client, at an exchange ------------------------------------------------------------


def at_an_exchange(symbols: Sequence[str], minutes: int, feed: str) -> dict[str, History]:
    def bars(symbol: str, day: date) -> list[MinuteBar]:
        opened = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
        step = {"AAA": 1, "BBB": 3}.get(symbol, 0)
        return [
            MinuteBar(symbol, opened + n * MINUTE, 10, 11, 9, 10, 500)
            for n in range(0, 390 if step and day.weekday() < 5 else 0, step or 1)
        ]

    answers: queue.Queue[VenueMessage] = queue.Queue()
    with AlpacaServer({"AAA": 10, "BBB": 10}, now=NOW, hours=Hours.regular(), made_up=bars) as server:
        access = AlpacaAccess(
            SecretStr(server.key_id), SecretStr(server.secret_key), True, feed, server.trading_url,
            server.data_url, server.data_stream_url, server.trading_stream_url,
        )  # fmt: skip
        known = broker_calendar.fetch_calendar(AlpacaRest(access), NOW)
        lanes = RestLanes(access, RequestBudget())
        try:
            run = partial(lanes.run, Lane.HISTORY)
            AlpacaHistory(run, known, VirtualClock(NOW), answers.put, feed).request(symbols, minutes)
            found = [answers.get(timeout=20) for _ in symbols]
        finally:
            lanes.close()
    return {answer.symbol: answer for answer in found if isinstance(answer, History)}


def test_worker_threads_and_alpaca_py_bring_the_same_bars() -> None:
    found = at_an_exchange(["AAA", "BBB", "NONE"], 600, "iex")
    assert len(minutes_of(found["AAA"])) == 30 + 2 * 390
    assert len(minutes_of(found["BBB"])) >= 600
    assert found["NONE"].error == "no bars in the last 120 days on the iex feed"


def test_recent_sip_data_without_its_subscription_is_refused() -> None:
    found = at_an_exchange(["AAA", "BBB"], 600, "sip")
    assert all('set feed = "iex"' in answer.error for answer in found.values())
