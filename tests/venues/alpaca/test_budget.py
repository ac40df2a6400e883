"""The request budget: what must not wait always gets through."""

from __future__ import annotations

import threading

from tui_trader.venues.alpaca.budget import Priority, RequestBudget


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def spend(budget: RequestBudget, priority: Priority) -> int:
    """How many requests it lets out."""
    count = 0
    while count < 1000 and budget.try_take(priority):
        count += 1
    return count


def test_entries_leave_the_reserve_to_exits() -> None:
    budget = RequestBudget(200, 60.0, 60, Seconds())
    assert spend(budget, Priority.ENTRY) == 140
    assert spend(budget, Priority.EXIT) == 60


def test_each_priority_stops_before_the_more_urgent_ones() -> None:
    budget = RequestBudget(200, 60.0, 60, Seconds())
    spent = [
        spend(budget, priority)
        for priority in (Priority.BACKGROUND, Priority.ENTRY, Priority.QUERY, Priority.EXIT)
    ]
    assert spent == [90, 50, 30, 30]


def test_no_window_of_a_minute_ever_holds_more_than_the_limit() -> None:
    seconds = Seconds()
    budget = RequestBudget(10, 60.0, 0, seconds)
    sent: list[float] = []
    for _ in range(600):
        if budget.try_take(Priority.EXIT):
            sent.append(seconds.now)
        seconds.now += 0.7
    assert max(sum(start <= at < start + 60.0 for at in sent) for start in sent) == 10
    assert len(sent) >= 60  # and what is free again is used


def test_after_a_429_only_exits_are_sent_until_the_pause_is_over() -> None:
    seconds = Seconds()
    budget = RequestBudget(200, 60.0, 60, seconds)
    budget.limited_for(5.0)
    assert budget.try_take(Priority.EXIT)
    assert not any(budget.try_take(p) for p in (Priority.QUERY, Priority.ENTRY, Priority.BACKGROUND))
    seconds.now += 5.0
    assert budget.try_take(Priority.BACKGROUND)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    seconds = Seconds()
    budget = RequestBudget(monotonic=seconds)
    budget.limited_for(30.0)
    budget.limited_for(1.0)
    seconds.now += 29.0
    assert not budget.try_take(Priority.QUERY)


def test_threads_together_get_no_more_than_the_limit() -> None:
    budget = RequestBudget(100, 60.0, 0, Seconds())
    taken: list[int] = []
    threads = [threading.Thread(target=lambda: taken.append(spend(budget, Priority.EXIT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 100


def test_what_an_earlier_run_has_sent_is_left_to_the_exits_of_this_one() -> None:
    seconds = Seconds()
    budget = RequestBudget(200, 60.0, 60, seconds)
    assert budget.try_take(Priority.QUERY)
    budget.told(55)  # 144 were sent by others
    assert not budget.try_take(Priority.ENTRY)
    assert spend(budget, Priority.QUERY) == 25
    assert spend(budget, Priority.EXIT) == 174  # the broker has the last word
    seconds.now += 60.0
    assert spend(budget, Priority.ENTRY) == 140


def test_a_broker_that_takes_more_than_expected_changes_nothing() -> None:
    budget = RequestBudget(200, 60.0, 60, Seconds())
    budget.told(900)
    assert spend(budget, Priority.ENTRY) == 140


def test_the_latest_word_on_what_is_left_counts() -> None:
    budget = RequestBudget(200, 60.0, 60, Seconds())
    budget.told(10)
    assert not budget.try_take(Priority.ENTRY)
    budget.told(150)
    assert spend(budget, Priority.ENTRY) == 90
