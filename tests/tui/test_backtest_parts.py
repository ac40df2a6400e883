"""The parts of the backtest screen that need no screen: the form, files, recent bars, the equity picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.tui.fake_backtest import BARS, VELEZ
from tui_trader.backtest.worker.messages import CurvePoint
from tui_trader.core.calendar import NEW_YORK
from tui_trader.engine.handle import CandleRow
from tui_trader.errors import UsageError
from tui_trader.options import BacktestOptions
from tui_trader.tui import keys as trading_keys
from tui_trader.tui.backtest import files
from tui_trader.tui.backtest.equity_render import EquityDrawing, EquityPicture, curve_columns, render_equity
from tui_trader.tui.backtest.form import Form
from tui_trader.tui.backtest.keys import KEYS
from tui_trader.tui.backtest.recent import RecentBars
from tui_trader.tui.backtest.study import Running
from tui_trader.tui.backtest.words import Figure, figure_lines
from tui_trader.tui.glyphs import GLYPH_NAMES, GlyphName, glyph_set
from tui_trader.tui.widgets.chart_frame import frame
from tui_trader.tui.widgets.chart_render import Picture, StopPath, render
from tui_trader.tui.widgets.chart_scale import fit_scale

BOX = glyph_set("box")

# ---- the form ------------------------------------------------------------------------------------------


def form(**defaults: object) -> Form:
    made = Form(BacktestOptions(**{"bars": (BARS,), **defaults}))  # type: ignore[arg-type]
    made.describe(VELEZ)
    return made


def test_an_untouched_form_asks_for_what_it_was_given() -> None:
    given = BacktestOptions(
        (BARS,), True, "velez", ("A", "B"), ("risk.max_open_positions=2",), Path("/c.toml"),
        Decimal("2500.50"), 3,
    )  # fmt: skip
    made = Form(given)
    made.describe(VELEZ)
    assert made.options() == given


def test_only_changed_parameters_are_set() -> None:
    made = form()
    made.put("sma_fast", "20")
    assert made.options().sets == ()
    made.put("sma_fast", " 21 ")
    made.put("limits", "risk.max_open_positions=2   session.x=1")
    assert made.options().sets == ("sma_fast=21", "risk.max_open_positions=2", "session.x=1")
    made.put("sma_fast", "")
    assert made.options().sets == ("risk.max_open_positions=2", "session.x=1")


def test_choices_go_round() -> None:
    made = form()
    seen = []
    for _ in range(5):
        assert made.step("candle_interval_minutes", 1)
        field = made.field("candle_interval_minutes")
        assert field is not None
        seen.append(field.text)
    assert seen == ["5", "10", "1", "2", "5"]
    assert not made.step("sma_fast", 1)
    assert not made.step("no such field", 1)


@pytest.mark.parametrize(
    ("key", "text"), [("cash", "-1"), ("cash", "nan"), ("slippage", "1.5"), ("symbols", ",")]
)
def test_what_cannot_be_read_names_its_field(key: str, text: str) -> None:
    made = form()
    made.put(key, text)
    with pytest.raises(UsageError, match=f"^{key}: "):
        made.options()


def test_cash_may_have_thousands_separators() -> None:
    made = form()
    made.put("cash", "1,250,000.50")
    assert made.options().cash == Decimal("1250000.50")


def test_every_key_can_be_explained_and_the_engines_keys_are_those_of_the_trading_screen() -> None:
    assert all(binding.id and binding.tooltip for binding in KEYS)
    trading = {binding.id: (binding.key, binding.action) for binding in trading_keys.KEYS}
    for name in ("flatten", "pause", "speed.slower", "speed.faster", "quit", "help", "theme", "repaint"):
        (own,) = [binding for binding in KEYS if binding.id == name]
        assert (own.key, own.action) == trading[name]


# ---- how long ------------------------------------------------------------------------------------------


def test_the_rest_is_estimated_from_the_trading_alone() -> None:
    running = Running(1, BacktestOptions(()), began=0.0, stage="trading")
    assert running.seconds_left(50.0) is None
    running.trading_since = 40.0
    for share, left in ((None, None), (0.0, None), (0.5, 10.0), (0.8, 2.5), (1.0, None)):
        running.share = share
        assert running.seconds_left(50.0) == (None if left is None else pytest.approx(left))


# ---- files ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("jan.csv", "jan.csv.gz", "jul.csv", "notes.txt", ".hidden.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "january").mkdir()
    return tmp_path


def test_a_folder_lists_folders_first_and_files_that_may_hold_bars(folder: Path) -> None:
    listing = files.list_folder(folder)
    assert [entry.path.name for entry in listing.entries] == ["january", "jan.csv", "jan.csv.gz", "jul.csv"]
    assert listing.problem == ""
    assert [entry.path.name for entry in files.list_folder(folder, ".h").entries] == [".hidden.csv"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "nowhere" in files.list_folder(tmp_path / "nowhere").problem
    assert files.list_folder(Path("a\0b")).entries == ()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("ja", "jan"), ("janu", "january/"), ("jan.csv.", "jan.csv.gz"), ("zzz", "zzz"), ("", "j")],
)
def test_tab_adds_what_all_fitting_names_share(folder: Path, typed: str, completed: str) -> None:
    assert files.complete(f"{folder}/{typed}") == f"{folder}/{completed}"


def test_wildcards_mean_all_files_that_fit(folder: Path) -> None:
    assert [path.name for path in files.typed_files(f"{folder}/jan*")] == ["jan.csv", "jan.csv.gz"]
    assert files.typed_files(f"{folder}/jan.csv") == [folder / "jan.csv"]
    assert files.typed_files(f"{folder}/nothing*") == []
    assert files.typed_files(f"{folder}/january") == []
    assert files.typed_files("a\0b") == []


def test_home_may_be_written_short(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert files.typed_files("~/jan.csv") == [folder / "jan.csv"]
    assert files.complete("~/jul") == "~/jul.csv"


# ---- recent bars ---------------------------------------------------------------------------------------


def test_recent_bars_are_kept_newest_first_and_once(tmp_path: Path) -> None:
    store = tmp_path / "recent.json"
    recent = RecentBars(store)
    for number in (*range(12), 5):
        recent.add((tmp_path / f"{number}.csv",))
    names = [choice[0].stem for choice in RecentBars(store).choices]
    assert names == ["5", "11", "10", "9", "8", "7", "6", "4"]


@pytest.mark.parametrize("content", ["", "{}", "[1, [2], [[]]]", "[" * 100_000, '[["a\\u0000b"]]', "\xff"])
def test_a_damaged_list_of_recent_bars_is_an_empty_one(tmp_path: Path, content: str) -> None:
    store = tmp_path / "recent.json"
    store.write_text(content, encoding="latin-1")
    assert list(RecentBars(store).choices) == []


def test_a_list_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    recent = RecentBars(tmp_path / "no" / "folder.json")
    recent.add((tmp_path / "a.csv",))
    assert recent.choices == ((tmp_path / "a.csv",),)


# ---- the equity picture --------------------------------------------------------------------------------


def points(value: Callable[[int], float], count: int = 400) -> list[CurvePoint]:
    found = [CurvePoint(1_750_000_000, 100_000.0, 0.0)]
    peak = 100_000.0
    for step in range(1, count + 1):
        now = value(step)
        peak = max(peak, now)
        found.append(CurvePoint(1_750_000_000 + step * 3600, now, min(0.0, now / peak - 1)))
    return found


def drawn(
    curve: list[CurvePoint], width: int = 60, height: int = 12, glyphs: GlyphName = "box"
) -> EquityDrawing:
    return render_equity(EquityPicture(curve, glyph_set(glyphs)), width, height)


def text_of(drawing: EquityDrawing) -> list[str]:
    return ["".join(run for run, _ in line) for line in drawing.plot]


def test_columns_keep_last_value_and_worst_fall() -> None:
    curve = points(lambda step: 90_000.0 if step == 33 else 100_000.0 + step)
    columns = curve_columns(curve, 20)
    assert [column.value for column in columns][-1] == 100_400.0
    assert min(column.fall for column in columns) == pytest.approx(min(point.fall for point in curve))
    assert sum(column.fall < 0 for column in columns) == 1
    assert columns[0].time == curve[0].time


def test_few_points_are_stretched() -> None:
    columns = curve_columns(points(lambda step: 100_000.0 * step, count=2), 10)
    assert [column.value for column in columns] == [100_000.0] * 5 + [200_000.0] * 5


@pytest.mark.parametrize("glyphs", GLYPH_NAMES)
@pytest.mark.parametrize("size", [(60, 12), (20, 3), (13, 2), (200, 40), (9, 7)])
def test_every_line_fills_its_width(glyphs: GlyphName, size: tuple[int, int]) -> None:
    width, height = size
    drawing = drawn(points(lambda step: 100_000 + 900 * math.sin(step / 9)), width, height, glyphs)
    assert len(drawing.plot) == height
    axis = [sum(cell_len(run) for run, _ in line) for line in drawing.axis] or [0] * height
    lines = [sum(cell_len(run) for run, _ in line) for line in drawing.plot]
    assert [one + other for one, other in zip(lines, axis, strict=True)] == [width] * height


def test_above_the_cash_is_gain_and_below_it_loss() -> None:
    up = {tone for line in drawn(points(lambda step: 100_000 + step)).plot for _, tone in line}
    down = {tone for line in drawn(points(lambda step: 100_000 - step)).plot for _, tone in line}
    assert {"gain", "volume-gain"} <= up
    assert "loss" not in up
    assert {"loss", "volume-loss"} <= down
    assert "gain" not in down


def test_a_rising_curve_rises() -> None:
    lines = text_of(drawn(points(lambda step: 100_000 + 10 * step)))
    tops = [next(row for row, line in enumerate(lines) if line[x] in "▁▂▃▄▅▆▇█") for x in range(0, 45, 5)]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] > tops[-1]


def test_the_axis_names_the_last_value_and_the_cash() -> None:
    axis = ["".join(run for run, _ in line) for line in drawn(points(lambda step: 100_000 + 10 * step)).axis]
    assert any("◂" in label and "104,000" in label for label in axis)
    assert any("$" in label and "100,000" in label for label in axis)


def test_the_mark_points_at_its_moment() -> None:
    curve = points(lambda step: 100_000 + step, count=470)
    drawing = render_equity(EquityPicture(curve, BOX, mark=curve[235].time), 60, 12)
    columns = len(text_of(drawing)[0])
    assert text_of(drawing)[0].index("┊") == pytest.approx(columns / 2, abs=1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_values_that_cannot_be_drawn_leave_a_gap(value: float) -> None:
    curve = points(lambda step: value if step > 200 else 100_000.0)
    for size in ((60, 12), (20, 4)):
        assert len(drawn(curve, *size).plot) == size[1]
    assert len(drawn([CurvePoint(0, value, value)] * 3).plot) == 12


def test_dates_become_times_within_a_day_and_months_over_years() -> None:
    day = [CurvePoint(1_750_000_000 + 60 * step, 1e5, 0.0) for step in range(300)]
    years = [CurvePoint(1_650_000_000 + 86_400 * step, 1e5, 0.0) for step in range(900)]
    assert ":" in text_of(drawn(day))[-1]
    assert "2022" in text_of(drawn(years))[-1]


def test_every_day_is_named_where_it_begins_while_there_is_room() -> None:
    curve = points(lambda step: 100_000.0, count=24 * 5)
    plot = render_equity(EquityPicture(curve, BOX), 71, 12).plot
    width = sum(cell_len(run) for run, _ in plot[-1])
    days = [
        f"{datetime.fromtimestamp(column.time, NEW_YORK):%b %-d}" for column in curve_columns(curve, width)
    ]
    line = text_of(EquityDrawing(plot, []))[-1]
    named = [day for day in dict.fromkeys(days) if day in line]
    assert named == ["Jun 15", "Jun 17", "Jun 18", "Jun 19"]  # the 16th and the 20th have no room
    assert [line.index(day) for day in named] == [days.index(day) for day in named]


# ---- figures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [24, 46, 58, 116])
def test_no_figure_is_cut(width: int) -> None:
    shown = [Figure("Fall lasted", "1,109 days"), Figure("Profit factor", "0.56"), Figure("Sharpe", "-10.27")]
    for line in figure_lines(shown * 4, width, 4).plain.splitlines():
        assert cell_len(line) <= width


# ---- the stop on the candle chart ----------------------------------------------------------------------


def test_the_stop_is_drawn_where_it_stood_while_the_trade_lived() -> None:
    opened = datetime(2025, 6, 2, 14, 0, tzinfo=UTC)
    candles = [
        CandleRow(opened + timedelta(minutes=step), 100.0, 101.0, 99.5, 100.5, 1000, math.nan, math.nan)
        for step in range(20)
    ]
    path = StopPath(((candles[5].timestamp, 98.0), (candles[10].timestamp, 99.0)), candles[14].timestamp)
    scale = fit_scale(candles, (98.0,))
    assert scale is not None
    picture = Picture(candles, scale, BOX, path=path)
    lines = ["".join(run for run, _ in line) for line in render(picture, frame(30, 12, 101.0)).plot]
    steps = [(x, row) for row, line in enumerate(lines) for x, glyph in enumerate(line) if glyph == "┈"]
    left = len(lines[0]) - len(candles)
    assert sorted(x - left for x, _ in steps) == list(range(5, 15))
    first, then = ({row for x, row in steps if (x - left < 10) is early} for early in (True, False))
    assert max(then) < min(first)  # moved up
