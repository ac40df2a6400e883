"""Services come back, with patience and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tui_trader.engine.supervisor import RestartPolicy, Supervisor


class Clockwork:
    """Virtual time for ``asyncio.sleep`` and the loop's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        real_sleep = asyncio.sleep

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)
            self.now += seconds
            await real_sleep(0)

        monkeypatch.setattr("tui_trader.engine.supervisor.asyncio.sleep", sleep)


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    return Clockwork(monkeypatch)


def fails(times: int, then: Callable[[], None] = lambda: None) -> tuple[list[int], Callable[[], object]]:
    calls: list[int] = []

    async def service() -> None:
        calls.append(len(calls))
        if len(calls) <= times:
            raise OSError("gone")
        then()

    return calls, service


async def turn() -> None:
    """Let every other task run once."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future


async def run(supervisor: Supervisor, service: object) -> None:
    async def main() -> None:
        for _ in range(50):
            await turn()

    await supervisor.run(main, {"bars": service})  # type: ignore[dict-item]


async def test_a_service_that_fails_is_started_again_after_doubling_waits(clockwork: Clockwork) -> None:
    said: list[str] = []
    supervisor = Supervisor(
        lambda name, error: said.append(f"{name}: {error}"),
        lambda name: said.append("gave up"),
        RestartPolicy(failures=10),
        jitter=lambda: 1.0,
    )
    calls, service = fails(6)
    await run(supervisor, service)
    assert clockwork.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert len(calls) == 7
    assert said == ["bars: gone"] * 6


async def test_three_failures_in_five_minutes_lead_to_a_graceful_shutdown(clockwork: Clockwork) -> None:
    given_up: list[str] = []
    supervisor = Supervisor(lambda name, error: None, given_up.append, jitter=lambda: 1.0)
    calls, service = fails(100)
    await run(supervisor, service)
    assert given_up == ["bars"]
    assert len(calls) == 3


async def test_jitter_only_shortens_a_wait(clockwork: Clockwork) -> None:
    supervisor = Supervisor(lambda name, error: None, lambda name: None, RestartPolicy(failures=5))
    _, service = fails(4)
    await run(supervisor, service)
    assert all(most / 2 <= wait <= most for wait, most in zip(clockwork.waits, (1, 2, 4, 8), strict=True))


async def test_services_end_with_the_main_loop() -> None:
    ended = asyncio.Event()

    async def service() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def main() -> None:
        await turn()

    await Supervisor(lambda name, error: None, lambda name: None).run(main, {"bars": service})
    assert ended.is_set()


async def test_an_error_of_the_main_loop_is_not_swallowed() -> None:
    async def main() -> None:
        raise ValueError("broken")

    async def service() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ValueError, match="broken"):
        await Supervisor(lambda name, error: None, lambda name: None).run(main, {"bars": service})


async def test_cancellation_always_goes_through() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    supervisor = Supervisor(lambda name, error: None, lambda name: None)
    task = asyncio.ensure_future(supervisor.run(for_ever, {"bars": for_ever}))
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
