"""How the backtest screen looks. After a wanted change: --snapshot-update, and look at the pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

from tests.tui.driving import press, settle
from tests.tui.fake_backtest import (
    BARS,
    VELEZ,
    FakeWorkers,
    no_trade_summary,
    some_chart,
    some_summary,
    some_trades,
)
from tests.tui.fake_engine import FakeEngine
from tui_trader.backtest.worker.messages import Failed, Progress
from tui_trader.options import BacktestOptions
from tui_trader.tui.app import TraderApp
from tui_trader.tui.settings import UiSettings
from tui_trader.venues.base import Mode

SIZES = ((80, 24), (120, 40), (200, 60))
TRADES = some_trades()
Compare = Callable[..., bool]
Play = Callable[[Pilot[None], FakeWorkers], Awaitable[None]]


async def form(pilot: Pilot[None], workers: FakeWorkers) -> None:
    """The form, one parameter changed."""
    await settle(pilot)
    await press(pilot, "b")
    workers.last.say(VELEZ)
    await settle(pilot, 2)
    await press(pilot, "j", "j", "j", "enter", "3", "0", "enter")


async def running(pilot: Pilot[None], workers: FakeWorkers) -> None:
    assert isinstance(pilot.app, TraderApp)
    await form(pilot, workers)
    now = [0.0]
    pilot.app.study.clock = lambda: now[0]
    await press(pilot, "r")
    workers.last.say(Progress(1, "trading", 0.0))
    await settle(pilot, 1)
    now[0] = 21.0
    workers.last.say(Progress(1, "trading", 0.37))
    await settle(pilot, 1)


async def result(pilot: Pilot[None], workers: FakeWorkers) -> None:
    await form(pilot, workers)
    await press(pilot, "r")
    workers.last.finish(1, some_summary(TRADES), TRADES)
    await settle(pilot, 2)
    await press(pilot, *("j",) * 5)


async def trade(pilot: Pilot[None], workers: FakeWorkers) -> None:
    await result(pilot, workers)
    await press(pilot, "enter")
    workers.last.say(some_chart(5, TRADES[5]))
    await settle(pilot, 2)


async def failed(pilot: Pilot[None], workers: FakeWorkers) -> None:
    await form(pilot, workers)
    await press(pilot, "r")
    reason = "[red]high[/] 9.1 is below low 9.4: correct the row, or leave it out with --skip-bad"
    workers.last.say(Failed(1, f"/data/us_equities_1min.csv.gz line 1041: {reason}"))
    await settle(pilot, 2)


async def no_trades(pilot: Pilot[None], workers: FakeWorkers) -> None:
    await form(pilot, workers)
    await press(pilot, "r")
    workers.last.finish(1, no_trade_summary(), ())
    await settle(pilot, 2)


PAGES: dict[str, Play] = {
    "form": form, "running": running, "result": result, "trade": trade, "failed": failed,
    "no_trades": no_trades,
}  # fmt: skip


def shown(
    compare: Compare,
    page: str,
    size: tuple[int, int],
    settings: UiSettings | None = None,
    mode: Mode = Mode.SIM,
) -> bool:
    """Whether a page looks as it did."""
    workers = FakeWorkers()
    known = settings or UiSettings()
    app = TraderApp(
        FakeEngine(mode=mode),
        settings=UiSettings(
            theme=known.theme, glyphs=known.glyphs, swap_colours=known.swap_colours,
            backtest=BacktestOptions((BARS,)),
        ),
        flushes_a_second=None,
        open_worker=workers,
    )  # fmt: skip

    async def before(pilot: Pilot[None]) -> None:
        await PAGES[page](pilot, workers)

    return compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("page", ["form", "running", "result", "trade"])
def test_pages(snap_compare: Compare, page: str, size: tuple[int, int]) -> None:
    assert shown(snap_compare, page, size)


@pytest.mark.parametrize("page", ["failed", "no_trades"])
def test_what_went_wrong(snap_compare: Compare, page: str) -> None:
    assert shown(snap_compare, page, (80, 24))


@pytest.mark.parametrize("theme", ["paper", "okabe-ito", "mono", "ansi"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    assert shown(snap_compare, "result", (120, 40), UiSettings(theme=theme))


def test_swapped_colours(snap_compare: Compare) -> None:
    assert shown(snap_compare, "result", (100, 30), UiSettings(swap_colours=True))


def test_no_color(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(snap_compare, "result", (120, 40))


@pytest.mark.parametrize("page", ["result", "trade"])
def test_ascii(snap_compare: Compare, page: str) -> None:
    assert shown(snap_compare, page, (120, 40), UiSettings(glyphs="ascii"))


def test_live(snap_compare: Compare) -> None:
    assert shown(snap_compare, "result", (100, 30), mode=Mode.LIVE)
