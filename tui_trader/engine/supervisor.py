"""Runs the engine's loop beside the services it needs, and restarts a service that fails.

A service (a stream, say) that raises is started again after 1 s, 2 s, 4 s … at most 30 s, with jitter, so
that many that fail together do not come back together. One that fails three times in five minutes is given
up, and ``on_giving_up`` begins the graceful shutdown: positions are protected first, by the loop that still
runs. Cancellation always goes through. The main loop is never restarted: its state would be anybody's guess.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Service = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Seconds. The wait before restart n is ``first_delay`` doubled n − 1 times, up to ``longest_delay``."""

    first_delay: float = 1.0
    longest_delay: float = 30.0
    failures: int = 3
    within: float = 300.0


class Supervisor:
    """``jitter`` draws a factor from 0.5 to 1 for each wait; tests fix it."""

    def __init__(
        self,
        on_failure: Callable[[str, Exception], None],
        on_giving_up: Callable[[str], None],
        policy: RestartPolicy | None = None,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),
    ) -> None:
        self._on_failure = on_failure
        self._on_giving_up = on_giving_up
        self._policy = policy or RestartPolicy()
        self._jitter = jitter

    async def run(self, main: Service, services: Mapping[str, Service]) -> None:
        """Run until ``main`` has ended; services are cancelled then. What ``main`` raises is raised here."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._keep(name, run), name=name) for name, run in services.items()
                ]
                await main()
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as several:
            # Services never raise, so this is main's own error, or its cancellation.
            raise several.exceptions[0] from None

    async def _keep(self, name: str, service: Service) -> None:
        policy = self._policy
        loop = asyncio.get_running_loop()
        recent: deque[float] = deque()
        delay = policy.first_delay
        while True:
            begun = loop.time()
            try:
                await service()
                return  # a service that returns has done its work
            except Exception as error:  # noqa: BLE001 - whatever it was, it is reported and counted
                self._on_failure(name, error)
            now = loop.time()
            if now - begun > policy.within:
                delay = policy.first_delay
            recent.append(now)
            while recent[0] < now - policy.within:
                recent.popleft()
            if len(recent) >= policy.failures:
                self._on_giving_up(name)
                return
            await asyncio.sleep(delay * self._jitter())
            delay = min(delay * 2, policy.longest_delay)
