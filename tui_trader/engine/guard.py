"""Keeps a strategy from holding up the engine: a call has a budget, and one that never returns is broken off.

A call that takes too long is noticed when it returns. One that does not return is ended by raising in the
engine's thread, which works for Python code that loops; code stuck inside a C extension cannot be ended.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from decimal import localcontext
from typing import Final, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Processor seconds of one call after which a strategy is quarantined; ten thousand times what one needs.
BUDGET_S: Final = 0.5
#: Real seconds after which a call is broken off.
BREAK_OFF_S: Final = 5.0
_CHECK_S: Final = 0.5
#: Reading processor time takes longer than most calls, so it is not read for each: what is charged to one may
#: hold so many seconds too much.
_MARK_S: Final = 0.01
_TEXT_LENGTH: Final = 300
_UNSAFE: Final = dict.fromkeys([*range(32), *range(127, 160)], "?")


class StrategyFailed(Exception):  # noqa: N818 - says whose fault it is
    """A strategy raised, or used up its time; the text says how. Nothing of ours raises this."""


class _BreakOff(Exception):  # noqa: N818 - it is no error of the engine's
    """What is raised in the engine's thread to end a call."""


class Guard(Protocol):
    """Calls a function of a strategy and passes on its answer, or raises ``StrategyFailed``."""

    def __call__(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T: ...


def unguarded(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """The guard that keeps no time."""
    try:
        with localcontext():
            return function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - see ``described``
        raise StrategyFailed(described(error)) from None


def described(error: BaseException) -> str:
    """What a strategy raised, in a line that is safe to show: even its text is the strategy's own code.

    ``SystemExit`` and its kind are caught with the rest: a strategy does not end the program.
    """
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001
        text = "(its text cannot be read)"
    return f"{type(error).__name__}: {text}"[:_TEXT_LENGTH].translate(_UNSAFE)


class StrategyGuard:
    """Calls strategies on the engine's thread and watches them from another."""

    def __init__(self, budget_s: float = BUDGET_S, break_off_s: float = BREAK_OFF_S) -> None:
        self._budget = budget_s
        self._break_off = break_off_s
        self._lock = threading.Lock()
        self._began: float | None = None  # monotonic; None between calls
        self._mark = self._marked = 0.0  # processor time, and the real time at which it was read
        self._thread_id = 0
        self._raised = False
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch; call it on the thread that will call strategies."""
        self._thread_id = threading.get_ident()
        self._watcher = threading.Thread(target=self._watch, name="strategy-guard", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        self._ended.set()

    def __call__(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """``function``'s answer; raises ``StrategyFailed`` when it raised or took too long."""
        failure: BaseException | None = None
        self._began = since = time.monotonic()
        if since - self._marked > _MARK_S:
            self._marked, self._mark = since, time.thread_time()
        try:
            try:
                with localcontext():  # a strategy that sets the precision sets its own
                    answer = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - see ``described``
                failure = error
            late = self._leave()
        except _BreakOff:  # it arrived between the call and its end
            self._leave()
            late = True
        slow = late or time.monotonic() - since > self._budget
        used = time.thread_time() - self._mark if slow else 0.0
        if late or used > self._budget:
            raise StrategyFailed(f"it took {used:.1f} s of processor time for one candle") from None
        if failure is not None:
            raise StrategyFailed(described(failure)) from None
        return answer

    def _leave(self) -> bool:
        """The call is over; whether it was broken off. Afterwards nothing can be raised for it any more."""
        while True:
            try:
                with self._lock:
                    self._began = None
                    late, self._raised = self._raised, False
                    if late:
                        _raise_in(self._thread_id, None)  # called back, if it has not arrived yet
                    return late
            except _BreakOff:
                continue  # it arrived just here: once at the most, for it is raised once a call

    def _watch(self) -> None:
        while not self._ended.wait(_CHECK_S):
            with self._lock:
                began = self._began
                if began is not None and not self._raised and time.monotonic() - began > self._break_off:
                    self._raised = True
                    _raise_in(self._thread_id, _BreakOff)


def _raise_in(thread_id: int, kind: type[BaseException] | None) -> None:
    """Have ``kind`` raised in a thread at its next step; None calls back what has not been raised yet."""
    exception = ctypes.py_object(kind) if kind is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), exception)
