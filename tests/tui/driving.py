"""Driving the application in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from tests.tui.fake_engine import FakeEngine
from tui_trader.tui.app import TraderApp
from tui_trader.tui.settings import UiSettings


def make_app(engine: FakeEngine | None = None, settings: UiSettings | None = None) -> TraderApp:
    """The application on a scripted engine, without a timer."""
    return TraderApp(engine or FakeEngine(), settings=settings, flushes_a_second=None)


async def settle(pilot: Pilot[None], flushes: int = 4) -> None:
    """Let snapshots and candles arrive and be painted."""
    await pilot.pause()
    app = pilot.app
    assert isinstance(app, TraderApp)
    for _ in range(flushes):
        app.flush()
        await pilot.pause()


@asynccontextmanager
async def running(
    engine: FakeEngine | None = None,
    size: tuple[int, int] = (120, 40),
    settings: UiSettings | None = None,
) -> AsyncIterator[Pilot[None]]:
    """A running, settled application."""
    app = make_app(engine, settings)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        yield pilot


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Press keys one after the other and let each be answered."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot, 1)


def screen_text(pilot: Pilot[None]) -> str:
    """What is on the screen, as text."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)
