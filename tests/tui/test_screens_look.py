"""How the screens look. After a wanted change: --snapshot-update, and look at the pictures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from tests.tui.driving import make_app, press, settle
from tests.tui.fake_engine import NOW, D, FakeEngine, flat_snapshot, trading_snapshot
from tui_trader.core.events import (
    ConnectionChanged,
    EngineState,
    ErrorOccurred,
    OrderFilled,
    SignalGenerated,
    SignalRejected,
    StopMoved,
    TradeClosed,
    TradeReason,
)
from tui_trader.core.orders import Side
from tui_trader.engine.handle import BreakerView
from tui_trader.tui.app import TraderApp
from tui_trader.tui.settings import UiSettings
from tui_trader.venues.base import Mode

SIZES = ((80, 24), (120, 40), (200, 60))
Compare = Callable[..., bool]
_NAMES = {"?": "question_mark"}


def busy_engine(mode: Mode = Mode.SIM) -> FakeEngine:
    return FakeEngine(trading_snapshot(), mode=mode)


async def tell(pilot: Pilot[None]) -> None:
    """Some news, and everything painted."""
    assert isinstance(pilot.app, TraderApp)
    await settle(pilot)
    engine = pilot.app.handle
    assert isinstance(engine, FakeEngine)
    engine.emit(
        ConnectionChanged("bars", "reconnecting", 1),
        ConnectionChanged("bars", "connected", 0),
        SignalGenerated("AMD", Side.BUY, "velez", D("141.55"), D("140.71"), NOW),
        OrderFilled("o-nvda-e", "x1", "NVDA", Side.BUY, 80, D("138.40"), 80, NOW),
        SignalRejected("META", "max_open_positions", "5 of 5 in use"),
        StopMoved("AAPL", D("200.55"), D("199.80")),
        TradeClosed(
            "MSFT", "velez", 60, D("430.10"), D("431.17"), NOW, NOW, D("64.20"), TradeReason.EXIT, D(128)
        ),
    )
    await settle(pilot)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_trading(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(busy_engine()), terminal_size=size, run_before=tell)


@pytest.mark.parametrize("theme", ["paper", "okabe-ito", "mono", "ansi"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    app = make_app(busy_engine(), UiSettings(theme=theme))
    assert snap_compare(app, terminal_size=(120, 40), run_before=tell)


def test_no_color(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(make_app(busy_engine()), terminal_size=(120, 40), run_before=tell)


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_cross_hair_drawn_with_dots(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await tell(pilot)
        await press(pilot, "2", *["left"] * 20)

    app = make_app(busy_engine(), UiSettings(glyphs="braille"))
    assert snap_compare(app, terminal_size=size, run_before=before)


def test_ascii(snap_compare: Compare) -> None:
    app = make_app(busy_engine(), UiSettings(glyphs="ascii"))
    assert snap_compare(app, terminal_size=(120, 40), run_before=tell)


@pytest.mark.parametrize("mode", [Mode.REPLAY, Mode.PAPER, Mode.LIVE])
def test_modes(snap_compare: Compare, mode: Mode) -> None:
    assert snap_compare(make_app(busy_engine(mode)), terminal_size=(100, 30), run_before=tell)


@pytest.mark.parametrize(
    ("name", "keys"), [("flatten", "F"), ("quit", "q"), ("help", "?"), ("zoom", "2z"), ("orders", "4")]
)
@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_dialogs(snap_compare: Compare, name: str, keys: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await tell(pilot)
        await press(pilot, *(_NAMES.get(key, key) for key in keys))

    assert snap_compare(make_app(busy_engine()), terminal_size=size, run_before=before)


def test_flatten_live(snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await tell(pilot)
        await press(pilot, "F")

    assert snap_compare(make_app(busy_engine(Mode.LIVE)), terminal_size=(120, 40), run_before=before)


def test_welcome(snap_compare: Compare) -> None:
    app = make_app(FakeEngine(flat_snapshot()), UiSettings(first_run=True))
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


def test_warming_up(snap_compare: Compare) -> None:
    engine = FakeEngine(flat_snapshot(state=EngineState.WARMING_UP, warmup_done=5))
    assert snap_compare(make_app(engine), terminal_size=(120, 40), run_before=settle)


def test_starting(snap_compare: Compare) -> None:
    assert snap_compare(TraderApp(flushes_a_second=None), terminal_size=(80, 24))


def test_breaker(snap_compare: Compare) -> None:
    tripped = BreakerView(True, "consecutive_loss_pause", D(3), D(3), 3, 3)
    engine = FakeEngine(flat_snapshot(breaker=tripped))
    assert snap_compare(make_app(engine), terminal_size=(120, 40), run_before=settle)


def test_a_failed_engine(snap_compare: Compare) -> None:
    engine = FakeEngine(trading_snapshot())

    async def before(pilot: Pilot[None]) -> None:
        await settle(pilot)
        engine.emit(ErrorOccurred("engine", "EngineBug: two stops for AAPL", None))
        engine.stopped = True
        await settle(pilot)

    assert snap_compare(make_app(engine), terminal_size=(80, 24), run_before=before)


def test_market_closed(snap_compare: Compare) -> None:
    closed = flat_snapshot(state=EngineState.MARKET_CLOSED, session=None)
    assert snap_compare(make_app(FakeEngine(closed)), terminal_size=(120, 40), run_before=settle)
