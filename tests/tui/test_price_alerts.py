"""Price alerts: what may be typed, when they are told and how, and what is left of them afterwards."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.driving import make_app, press, running, screen_text, settle
from tests.tui.fake_engine import NOW, FakeEngine, trading_snapshot
from tui_trader.core.events import BarReceived
from tui_trader.tui.alerts import AlertRefused, PriceAlert, PriceAlerts, parse_alert
from tui_trader.tui.announce import KEEP_TITLE, RESTORE_TITLE, Announcer, desktop_notification, window_title
from tui_trader.tui.app import TraderApp
from tui_trader.tui.screens.alerts import AlertsScreen
from tui_trader.tui.settings import Notify, UiSettings
from tui_trader.venues.base import Mode

D = Decimal
ABOVE = PriceAlert("AAPL", D("205"), above=True)
BELOW = PriceAlert("AAPL", D("200"), above=False)


def bar(low: float, high: float, symbol: str = "AAPL", minutes: int = 0) -> BarReceived:
    time = NOW.replace(second=0) + timedelta(minutes=minutes)
    return BarReceived(symbol, time, low, high, low, (low + high) / 2, 100, False)


# ---- what may be typed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "price", "above"),
    [
        ("210", "210", True),
        (" 195.5 ", "195.5", False),
        ("> 210.50", "210.50", True),
        ("<=$195", "195", False),
        ("above 1,234.5", "1234.5", True),
        ("BELOW 195", "195", False),
        ("over 203", "203", True),
        ("under 0.0001", "0.0001", False),
    ],
)
def test_a_price_alone_or_with_its_side(typed: str, price: str, above: bool) -> None:
    assert parse_alert("AAPL", typed, 202.33) == PriceAlert("AAPL", D(price), above)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "type a price"),
        ("abc", "type a price"),
        ("nan", "type a price"),
        ("1e5", "type a price"),
        ("-5", "type a price"),
        ("195,50", "type a price"),  # a decimal comma must not become thousands
        ("٢١٠", "type a price"),
        ("210 [/x]", "type a price"),
        ("9" * 40, "type a price"),
        ("0", "above 0"),
        ("99999999", "at most 10,000,000.00"),
        ("> 200", "AAPL is at or above 200.00 already: it stands at 202.33"),
        ("202.33", "already"),
    ],
)
def test_what_is_no_alert_is_said(typed: str, says: str) -> None:
    with pytest.raises(AlertRefused) as caught:
        parse_alert("AAPL", typed, 202.33)
    assert says in str(caught.value)


def test_without_a_price_the_side_must_be_said() -> None:
    with pytest.raises(AlertRefused, match="say > 210 or < 210"):
        parse_alert("AAPL", "210", None)
    assert parse_alert("AAPL", "> 210", None).above


def test_the_price_is_told_as_it_was_asked_for() -> None:
    assert PriceAlert("A", D("210.5"), True).condition == "at or above 210.50"
    assert PriceAlert("A", D("210.125"), True).condition == "at or above 210.125"
    assert PriceAlert("A", D("0.5"), False).condition == "at or below 0.5000"


# ---- when they are told --------------------------------------------------------------------------------


def test_each_is_told_once_however_often_the_price_comes_back() -> None:
    alerts = PriceAlerts()
    alerts.add(ABOVE)
    alerts.add(BELOW)
    told = [one for _ in range(50) for one in (*alerts.hear(bar(201, 206)), *alerts.hear(bar(201, 204)))]
    assert [(one.alert, one.price) for one in told] == [(ABOVE, 206)]
    assert list(alerts.all) == [BELOW]


@pytest.mark.parametrize(("low", "high", "fires"), [(204.0, 205.0, True), (204.0, 204.99, False)])
def test_the_price_itself_is_enough(low: float, high: float, fires: bool) -> None:
    alerts = PriceAlerts()
    alerts.add(ABOVE)
    assert bool(alerts.hear(bar(low, high))) is fires


def test_a_bar_that_spans_both_tells_both_and_other_symbols_tell_none() -> None:
    alerts = PriceAlerts()
    alerts.add(ABOVE)
    alerts.add(BELOW)
    assert not alerts.hear(bar(1, 1000, "MSFT"))
    assert len(alerts.hear(bar(199, 206))) == 2
    assert not alerts


def test_a_price_that_is_no_number_reaches_nothing() -> None:
    alerts = PriceAlerts()
    alerts.add(ABOVE)
    assert not alerts.hear(bar(math.nan, math.nan))
    assert not alerts.see("AAPL", math.nan)


def test_the_same_alert_is_not_set_twice_and_there_is_a_bound() -> None:
    alerts = PriceAlerts()
    alerts.add(ABOVE)
    with pytest.raises(AlertRefused, match="set already"):
        alerts.add(PriceAlert("AAPL", D("205.00"), above=True))
    for number in range(199):
        alerts.add(PriceAlert("AAPL", D(300 + number), above=True))
    with pytest.raises(AlertRefused, match="200 alerts"):
        alerts.add(PriceAlert("AAPL", D(299), above=True))


# ---- kept in a file ------------------------------------------------------------------------------------


def test_they_outlive_the_screen_each_venue_its_own(tmp_path: Path) -> None:
    file = tmp_path / "price-alerts.json"
    alerts = PriceAlerts(file, "alpaca")
    alerts.add(ABOVE)
    alerts.add(BELOW)
    alerts.remove(BELOW)
    assert list(PriceAlerts(file, "alpaca").all) == [ABOVE]
    other = PriceAlerts(file, "other")
    assert not other
    other.add(BELOW)
    again = PriceAlerts(file, "alpaca")
    assert again.hear(bar(204, 206))
    assert not PriceAlerts(file, "alpaca")
    assert list(PriceAlerts(file, "other").all) == [BELOW]
    assert [path.name for path in tmp_path.iterdir()] == ["price-alerts.json"]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"alpaca": 3}', '{"alpaca": [3, ["A"], ["A", 1, "2"], ["A", true, "x"]]}',
        '{"alpaca": [["A", true, "NaN"], ["A", true, "-1"], ["", true, "1"], ["\\u001b[2J", true, "1"]]}',
        "\ud800", "[" * 100_000, " " * 100_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_a_broken_file_is_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "price-alerts.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    alerts = PriceAlerts(file, "alpaca")
    assert not alerts
    alerts.add(ABOVE)
    assert json.loads(file.read_text())["alpaca"] == [["AAPL", True, "205"]]


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    alerts = PriceAlerts(tmp_path / "nowhere" / "alerts.json", "alpaca")
    alerts.add(ABOVE)
    assert alerts.hear(bar(204, 206))


# ---- what the terminal is told -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "sequence"),
    [
        ("off", ""),
        ("osc9", "\x1b]9;t;x: AAPL·[2J·]0;evil 205\x07"),
        ("osc777", "\x1b]777;notify;t,x;AAPL·[2J·]0;evil 205\x07"),
    ],
)
def test_a_notification_holds_no_control_characters(how: Notify, sequence: str) -> None:
    text = "AAPL\x1b[2J\x9d0;evil 205".replace("\x9d", "\x1b]")
    assert desktop_notification(how, "t;x", text) == sequence


def test_in_tmux_it_is_passed_on() -> None:
    sequence = desktop_notification("osc9", "t", "x", in_tmux=True)
    assert sequence == "\x1bPtmux;\x1b\x1b]9;t: x\x07\x1b\\"
    assert desktop_notification("off", "t", "x", in_tmux=True) == ""


def test_the_title_is_marked_until_somebody_looks() -> None:
    written: list[str] = []
    announcer = Announcer(written.append)
    announcer.seen()
    assert written == []
    announcer.tell("AAPL 205\x07", "off")
    announcer.tell("MSFT 430", "osc9")
    announcer.seen()
    announcer.seen()
    assert written == [
        f"\x07{KEEP_TITLE}{window_title('! AAPL 205·')}",
        f"\x07{window_title('! (2) MSFT 430')}{desktop_notification('osc9', 'tui-trader', 'MSFT 430')}",
        RESTORE_TITLE,
    ]


# ---- on the screen -------------------------------------------------------------------------------------


def alerts_of(pilot: Pilot[None]) -> PriceAlerts:
    assert isinstance(pilot.app, TraderApp)
    assert pilot.app.link is not None
    return pilot.app.link.model.price_alerts


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the application writes to the terminal past the screen."""
    texts: list[str] = []
    monkeypatch.setattr(TraderApp, "_write", lambda app, sequence: texts.append(sequence))
    return texts


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40), (200, 60)])
async def test_a_sets_one_for_the_selected_symbol(size: tuple[int, int]) -> None:
    async with running(size=size) as pilot:
        await press(pilot, "j", "a")
        assert isinstance(pilot.app.screen, AlertsScreen)
        await press(pilot, *"435")
        assert "Enter: told once, when MSFT is at or above 435.00" in screen_text(pilot)
        await press(pilot, "enter", *"<425.5", "enter")
        assert list(alerts_of(pilot).all) == [
            PriceAlert("MSFT", D("425.5"), above=False),
            PriceAlert("MSFT", D("435"), above=True),
        ]
        await press(pilot, *"431.07x")
        assert "type a price such as" in screen_text(pilot)
        await press(pilot, "escape")
        assert "◇2" in screen_text(pilot).replace("◇ ", "◇") or size == (60, 15)


async def test_down_leads_to_the_list_and_d_deletes() -> None:
    async with running() as pilot:
        await press(pilot, "a", *"210", "enter", *"211", "enter", *"212", "enter")
        await press(pilot, *"d", "down")  # typed, then the list
        await press(pilot, "g", "j", "d")
        assert [alert.price for alert in alerts_of(pilot).all] == [210, 212]
        assert "deleted: AAPL at or above 211.00" in screen_text(pilot)
        await press(pilot, "a", "backspace", *"213", "enter")
        assert len(alerts_of(pilot)) == 3
        await press(pilot, "down", "d", "d", "d", "d", "escape")
        assert not alerts_of(pilot)
        assert "◇" not in screen_text(pilot)


async def test_a_bar_that_reaches_it_rings_says_and_marks_once(written: list[str]) -> None:
    engine = FakeEngine()
    async with running(engine, settings=UiSettings(notify="osc9")) as pilot:
        await press(pilot, "a", *"205", "enter", "escape")
        assert "◇ 1 price alert" in screen_text(pilot)
        written.clear()
        for minute, high in ((1, 204.9), (2, 205.2), (3, 206.0), (4, 204.0), (5, 205.5)):
            engine.emit(bar(202, high, minutes=minute))
            await settle(pilot, 2)
        text = "AAPL 205.20, at or above 205.00"
        assert len(written) == 1
        assert written[0].startswith("\x07")
        assert f"]2;! {text}\x07" in written[0]
        assert f"]9;tui-trader: {text}\x07" in written[0]
        assert [notice.message for notice in pilot.app._notifications] == [text]
        screen = screen_text(pilot)
        assert "price alert: AAPL 205.20" in screen
        assert "alerts 1" in screen
        assert "◇" not in screen
        assert engine.sent == []
        await press(pilot, "j")
        assert written[1:] == [RESTORE_TITLE]


async def test_a_missed_bar_is_made_up_for_by_the_next_snapshot() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "a", *"205", "enter", "escape")
        symbols = trading_snapshot().symbols
        risen = tuple(
            view if view.symbol != "AAPL" else type(view)(**{
                **{name: getattr(view, name) for name in view.__slots__}, "last": 207.0
            })
            for view in symbols
        )  # fmt: skip
        engine.change(symbols=risen)
        assert isinstance(pilot.app, TraderApp)
        assert pilot.app.link is not None
        pilot.app.link.ask_again()
        await settle(pilot, 8)
        assert not alerts_of(pilot)
        assert [notice.message for notice in pilot.app._notifications] == ["AAPL 207.00, at or above 205.00"]


async def test_a_bar_of_earlier_tells_nothing() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "a", *"205", "enter", "escape")
        engine.emit(bar(200, 210, minutes=-30))
        await settle(pilot)
        assert len(alerts_of(pilot)) == 1


@pytest.mark.parametrize(("mode", "kept"), [(Mode.SIM, False), (Mode.PAPER, True), (Mode.LIVE, True)])
async def test_those_of_a_real_market_are_kept_for_the_next_run(
    tmp_path: Path, mode: Mode, kept: bool
) -> None:
    settings = UiSettings(alerts=tmp_path / "price-alerts.json")
    async with running(FakeEngine(mode=mode), settings=settings) as pilot:
        await press(pilot, "a", *"205", "enter", "escape")
    async with running(FakeEngine(mode=mode), settings=settings) as pilot:
        assert bool(alerts_of(pilot)) is kept


async def test_an_alert_that_fires_while_the_dialog_is_open_goes_from_its_list() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "a", *"205", "enter")
        assert "at or above 205.00" in screen_text(pilot)
        engine.emit(bar(202, 206, minutes=1))
        await settle(pilot, 2)
        assert "no alert waits" in screen_text(pilot)


async def test_before_the_engine_is_there_the_key_does_nothing() -> None:
    app = TraderApp(flushes_a_second=None)
    async with app.run_test() as pilot:
        await press(pilot, "a")
        assert app.screen is app.trading


async def test_in_ascii_the_mark_is_plain() -> None:
    async with running(settings=UiSettings(glyphs="ascii")) as pilot:
        await press(pilot, "a", *"205", "enter", "escape")
        assert "@ 1 price alert" in screen_text(pilot)


async def test_the_title_is_given_back_at_the_end(written: list[str]) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        await press(pilot, "a", *"205", "enter", "escape")
        engine.emit(bar(202, 206, minutes=1))
        await settle(pilot)
        written.clear()
    assert written == [RESTORE_TITLE]
