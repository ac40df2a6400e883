"""Worker threads: nothing waits behind what hangs, nothing stale is sent, everybody is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import cast

import pytest

from tests.venues.alpaca.canned import access_to
from tui_trader.venues.alpaca.budget import RequestBudget
from tui_trader.venues.alpaca.lanes import ORDER_LINES, Heard, Lane, RestLanes
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.alpaca.rest import AlpacaRest

PATIENCE_S = 10.0


class FakeRest:
    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.closed = threading.Event()
        self.clock: Callable[[], object] = lambda: None

    def close(self) -> None:
        self.closed.set()


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.clients: list[FakeRest] = []
        self.answers: SimpleQueue[object] = SimpleQueue()
        self.health: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self.clock: Callable[[], object] = lambda: None
        self._gates: list[threading.Event] = []
        self.lanes = RestLanes(
            access_to("http://127.0.0.1:9"),
            RequestBudget(),
            connect=self._connect,
            monotonic=lambda: self.now,
        )
        self.lanes.on_health = lambda state, failures: self.health.put((state, failures))

    def _connect(self, heard: Heard) -> AlpacaRest:
        self.clients.append(FakeRest(heard))
        self.clients[-1].clock = self.clock
        return cast(AlpacaRest, self.clients[-1])

    def ask(self, lane: Lane, call: Callable[[AlpacaRest], object]) -> None:
        self.lanes.run(lane, call, self.answers.put)

    def answer(self) -> object:
        return self.answers.get(timeout=PATIENCE_S)

    def hang(self, lane: Lane) -> threading.Event:
        """Occupy a thread until the event is set; returns once it is occupied."""
        begun, gate = threading.Event(), threading.Event()
        self._gates.append(gate)

        def call(rest: AlpacaRest) -> str:
            begun.set()
            gate.wait(PATIENCE_S)
            return "hung"

        self.ask(lane, call)
        assert begun.wait(PATIENCE_S)
        return gate

    def hear(self, *kinds: ProblemKind | None) -> None:
        """A request hears these."""

        def call(rest: AlpacaRest) -> None:
            for kind in kinds:
                cast(FakeRest, rest).heard(kind)

        self.ask(Lane.QUERIES, call)
        assert self.answer() is None

    def close(self) -> None:
        for gate in self._gates:
            gate.set()
        self.lanes.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    running = Scene()
    yield running
    running.close()


def test_a_call_is_made_on_another_thread_and_answered_there(scene: Scene) -> None:
    scene.ask(Lane.ORDERS, lambda rest: threading.current_thread().name)
    assert scene.answer() == "alpaca-orders"


def test_a_problem_is_an_answer(scene: Scene) -> None:
    problem = RestProblem(ProblemKind.REFUSED, "no")

    def call(rest: AlpacaRest) -> None:
        raise problem

    scene.ask(Lane.ORDERS, call)
    assert scene.answer() is problem


def test_any_other_failure_is_unclear_and_its_text_is_not_repeated(scene: Scene) -> None:
    def call(rest: AlpacaRest) -> None:
        raise KeyError("APCA-API-SECRET-KEY: secret")

    scene.ask(Lane.ORDERS, call)
    answer = scene.answer()
    assert isinstance(answer, RestProblem)
    assert answer.kind is ProblemKind.UNCLEAR
    assert "secret" not in answer.message.lower()


def test_an_answer_that_nobody_can_take_costs_no_thread(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(answer: object) -> None:
        raise RuntimeError("listener")

    for _ in range(10):
        scene.lanes.run(Lane.ORDERS, lambda rest: None, fail)
    scene.ask(Lane.ORDERS, lambda rest: "still here")
    assert scene.answer() == "still here"
    assert len(scene.clients) <= 4


@pytest.mark.parametrize(("lane", "threads"), [(Lane.ORDERS, 4), (Lane.QUERIES, 2), (Lane.HISTORY, 2)])
def test_a_lane_does_so_many_things_at_once(scene: Scene, lane: Lane, threads: int) -> None:
    gates = [scene.hang(lane) for _ in range(threads)]
    scene.ask(lane, lambda rest: "next")
    assert scene.answers.empty()
    gates[0].set()
    assert {scene.answer(), scene.answer()} == {"hung", "next"}
    assert len(scene.clients) == threads


def test_each_thread_has_its_own_client(scene: Scene) -> None:
    def call(rest: AlpacaRest) -> tuple[int, int]:
        both.wait()
        return threading.get_ident(), id(rest)

    both = threading.Barrier(2, timeout=PATIENCE_S)
    scene.ask(Lane.ORDERS, call)
    scene.ask(Lane.ORDERS, call)
    one, other = scene.answer(), scene.answer()
    assert one != other
    assert len(scene.clients) == 2


def test_orders_do_not_wait_behind_questions_or_history(scene: Scene) -> None:
    for lane in (Lane.QUERIES, Lane.HISTORY):
        for _ in range(2):
            scene.hang(lane)
    scene.ask(Lane.ORDERS, lambda rest: "sent")
    assert scene.answer() == "sent"


@pytest.mark.parametrize("lane", [Lane.ORDERS, Lane.QUERIES])
def test_what_waited_longer_than_the_engine_is_not_sent_any_more(scene: Scene, lane: Lane) -> None:
    gates = [scene.hang(lane) for _ in range(4 if lane is Lane.ORDERS else 2)]
    sent = threading.Event()
    scene.ask(lane, lambda rest: sent.set())
    scene.now = 4.1
    gates[0].set()
    answers = [scene.answer(), scene.answer()]
    [problem] = [answer for answer in answers if isinstance(answer, RestProblem)]
    assert problem.kind is ProblemKind.UNREACHABLE
    assert not sent.is_set()


def test_history_may_wait_as_long_as_it_takes(scene: Scene) -> None:
    gates = [scene.hang(Lane.HISTORY) for _ in range(2)]
    scene.ask(Lane.HISTORY, lambda rest: "late")
    scene.now = 1000.0
    gates[0].set()
    assert {scene.answer(), scene.answer()} == {"hung", "late"}


def test_threads_that_hang_are_replaced(scene: Scene) -> None:
    for _ in range(4):
        scene.hang(Lane.ORDERS)
    scene.now = 20.0
    scene.ask(Lane.ORDERS, lambda rest: "by another")
    assert scene.answer() == "by another"


def test_a_thread_that_no_longer_hangs_ends_when_its_place_is_taken(scene: Scene) -> None:
    gates = [scene.hang(Lane.QUERIES) for _ in range(2)]
    scene.now = 20.0
    for _ in range(2):
        scene.hang(Lane.QUERIES)
    gates[0].set()
    assert scene.answer() == "hung"
    assert scene.clients[0].closed.wait(PATIENCE_S)


def test_when_everything_hangs_threads_do_not_multiply(scene: Scene) -> None:
    for _ in range(4):
        for _ in range(2):
            scene.hang(Lane.QUERIES)
        scene.now += 20.0
    for _ in range(5):
        scene.ask(Lane.QUERIES, lambda rest: None)
    assert len(scene.clients) == 8


def test_closing_waits_for_nobody_and_begins_nothing_more(scene: Scene) -> None:
    gate = scene.hang(Lane.ORDERS)
    scene.lanes.close()
    scene.ask(Lane.ORDERS, lambda rest: "too late")
    gate.set()
    assert scene.answer() == "hung"
    assert scene.clients[0].closed.wait(PATIENCE_S)
    assert scene.answers.empty()


def test_no_thread_keeps_the_program_from_ending(scene: Scene) -> None:
    for lane in Lane:
        scene.ask(lane, lambda rest: threading.current_thread().daemon)
    assert [scene.answer() for _ in Lane] == [True, True, True]


# ---- health ------------------------------------------------------------------------------------------


def states(scene: Scene) -> list[tuple[str, int]]:
    found = []
    while not scene.health.empty():
        found.append(scene.health.get())
    return found


def test_the_first_answer_says_that_the_broker_is_reached(scene: Scene) -> None:
    scene.hear(None, None)
    assert states(scene) == [("connected", 0)]


def test_one_failure_says_nothing_and_two_in_a_row_do(scene: Scene) -> None:
    scene.hear(None, ProblemKind.UNCLEAR, None, ProblemKind.UNREACHABLE)
    assert states(scene) == [("connected", 0)]
    scene.hear(ProblemKind.UNCLEAR, ProblemKind.UNCLEAR, ProblemKind.UNCLEAR)
    assert states(scene) == [("reconnecting", 2)]
    scene.hear(None)
    assert states(scene) == [("connected", 0)]


@pytest.mark.parametrize("kind", [ProblemKind.REFUSED, ProblemKind.NOT_FOUND, ProblemKind.RATE_LIMITED])
def test_a_refusal_is_an_answer_too(scene: Scene, kind: ProblemKind) -> None:
    scene.hear(ProblemKind.UNCLEAR, kind, ProblemKind.UNCLEAR, kind)
    assert states(scene) == [("connected", 0)]


def test_keys_that_are_not_taken_are_a_disconnection(scene: Scene) -> None:
    scene.hear(None, ProblemKind.UNAUTHORIZED, ProblemKind.UNAUTHORIZED, None)
    assert states(scene) == [("connected", 0), ("disconnected", 0), ("connected", 0)]


def test_every_order_line_can_be_opened_before_there_is_an_order(scene: Scene) -> None:
    all_at_once = threading.Barrier(ORDER_LINES + 1)
    scene.clock = lambda: all_at_once.wait(PATIENCE_S)
    scene.lanes.open_order_lines()
    all_at_once.wait(PATIENCE_S)
    assert len(scene.clients) == ORDER_LINES
