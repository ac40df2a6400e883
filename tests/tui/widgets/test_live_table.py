from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from rich.style import Style
from rich.text import Text
from textual import on
from textual.geometry import Region

from tests.tui.widgets.harness import OneWidget, Watch
from tui_trader.tui.widgets.live_table import Column, LiveTable, Row

COLUMNS = (
    Column("sym", "SYM", 5, priority=9),
    Column("last", "LAST", 7, "right", priority=8),
    Column("signal", "SIGNAL", 8, priority=1),
    Column("age", "AGE", 4, "right", priority=5),
)


def row(symbol: str, last: float, signal: str = "wait", age: str = "0.1", dim: bool = False) -> Row:
    return Row(symbol, (symbol, f"{last:.2f}", signal, age), (symbol, last, signal, age), dim)


AAPL, MSFT, NVDA = row("AAPL", 202.33), row("MSFT", 431.07), row("NVDA", 137.82)


class TableApp(OneWidget):
    def __init__(self, rows: Iterable[Row] = (AAPL, MSFT, NVDA), empty: str = "") -> None:
        self.table = LiveTable(COLUMNS, empty=empty, id="table")
        super().__init__(self.table)
        self.said: list[tuple[str, str]] = []
        self.table.update_rows(list(rows))

    @on(LiveTable.Selected)
    def selected(self, message: LiveTable.Selected) -> None:
        assert message.table is self.table
        self.said.append(("selected", message.key))

    @on(LiveTable.Chosen, "#table")
    def chosen(self, message: LiveTable.Chosen) -> None:
        self.said.append(("chosen", message.key))


async def test_rows_stand_under_their_titles_with_the_cursor_marked() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)):
        assert app.lines() == [
            " SYM      LAST SIGNAL    AGE",
            "▶AAPL   202.33 wait      0.1",
            " MSFT   431.07 wait      0.1",
            " NVDA   137.82 wait      0.1",
            "",
        ]


async def test_a_changed_cell_refreshes_its_row_up_to_that_cell() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        watch = Watch(app.table)
        app.table.update_rows([AAPL, row("MSFT", 431.08), NVDA])
        await pilot.pause()
        assert watch.regions == [Region(0, 2, 14, 1)]
        assert watch.rendered == [2]
        assert app.lines()[2] == " MSFT   431.08 wait      0.1"


async def test_rows_that_look_the_same_refresh_nothing() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        watch = Watch(app.table)
        app.table.update_rows([row("AAPL", 202.33), MSFT, NVDA])
        await pilot.pause()
        assert (watch.regions, watch.rendered) == ([], [])


async def test_a_cell_that_only_changes_colour_is_a_change() -> None:
    def coloured(style: str) -> Row:
        return Row("AAPL", ("AAPL", Text("1.00", style), "", ""), ())

    app = TableApp([coloured("green")])
    async with app.run_test(size=(32, 5)) as pilot:
        watch = Watch(app.table)
        app.table.update_rows([coloured("green")])
        await pilot.pause()
        assert watch.regions == []
        app.table.update_rows([coloured("red")])
        await pilot.pause()
        assert watch.regions == [Region(0, 1, 14, 1)]


async def test_changes_out_of_sight_refresh_nothing() -> None:
    rows = [row(f"S{index}", index) for index in range(50)]
    app = TableApp(rows)
    async with app.run_test(size=(32, 5)) as pilot:
        watch = Watch(app.table)
        app.table.update_rows([*rows[:-1], row("S49", 1.5)])
        await pilot.pause()
        assert (watch.regions, watch.rendered) == ([], [])


async def test_a_thousand_rows_render_only_what_is_seen() -> None:
    app = TableApp([row(f"S{index}", index) for index in range(1_000)])
    async with app.run_test(size=(32, 10)) as pilot:
        watch = Watch(app.table)
        app.table.update_rows([row(f"S{index}", index + 0.5) for index in range(1_000)])
        await pilot.pause()
        assert watch.rendered == list(range(1, 10))
        await pilot.press("G")
        assert app.lines()[-1].split()[0] == "▶S999"


async def test_the_selection_follows_its_key_through_sorting_and_updates() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        await pilot.press("j")
        assert app.table.selected_key == "MSFT"
        app.table.sort_by("last", descending=True)
        assert app.table.selected_key == "MSFT"
        app.table.update_rows([row("MSFT", 1.0), AAPL, NVDA])
        await pilot.pause()
        assert [line.split()[0] for line in app.lines()[1:4]] == ["AAPL", "NVDA", "▶MSFT"]


async def test_when_the_selected_row_goes_its_place_is_selected_and_told() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        await pilot.press("j")
        app.table.update_rows([AAPL, NVDA])
        await pilot.pause()
        assert app.table.selected_key == "NVDA"
        app.table.update_rows([])
        await pilot.pause()
        assert app.table.selected_key is None
        app.table.update_rows([MSFT])
        await pilot.pause()
        assert app.said == [
            ("selected", "AAPL"),
            ("selected", "MSFT"),
            ("selected", "NVDA"),
            ("selected", "MSFT"),
        ]


@pytest.mark.parametrize(
    ("keys", "selected"),
    [
        ("j", "S1"),
        ("down down up", "S1"),
        ("k", "S0"),
        ("G", "S19"),
        ("end home", "S0"),
        ("G g", "S0"),
        ("pagedown", "S4"),
        ("pagedown pagedown pageup", "S4"),
        ("G j", "S19"),
    ],
)
async def test_keys_move_the_cursor(keys: str, selected: str) -> None:
    app = TableApp([row(f"S{index}", index) for index in range(20)])
    async with app.run_test(size=(32, 5)) as pilot:
        await pilot.press(*keys.split())
        assert app.table.selected_key == selected
        await pilot.pause()
        assert any(line.startswith(f"▶{selected}") for line in app.lines())


async def test_moving_the_cursor_refreshes_the_two_rows() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        watch = Watch(app.table)
        await pilot.press("j")
        assert watch.regions == [Region(0, 1, 32, 1), Region(0, 2, 32, 1)]


async def test_data_does_not_move_the_view() -> None:
    rows = [row(f"S{index}", index) for index in range(50)]
    app = TableApp(rows)
    async with app.run_test(size=(32, 5)) as pilot:
        app.table.scroll_to(y=20, animate=False)
        await pilot.pause()
        app.table.update_rows(rows[1:])
        await pilot.pause()
        assert app.lines()[1].split()[0] == "S21"


async def test_enter_and_double_click_choose() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        await pilot.press("j", "enter")
        await pilot.click("#table", offset=(3, 3))
        await pilot.click("#table", offset=(3, 3), times=2)
        await pilot.pause()
        assert app.said == [
            ("selected", "AAPL"),
            ("selected", "MSFT"),
            ("chosen", "MSFT"),
            ("selected", "NVDA"),
            ("chosen", "NVDA"),
        ]


async def test_a_click_below_the_rows_selects_nothing() -> None:
    app = TableApp([AAPL])
    async with app.run_test(size=(32, 5)) as pilot:
        await pilot.click("#table", offset=(3, 4))
        assert app.table.selected_key == "AAPL"


async def test_s_cycles_the_sort_column_and_shift_s_reverses() -> None:
    app = TableApp([NVDA, AAPL, MSFT])
    async with app.run_test(size=(32, 5)) as pilot:
        seen = []
        for key in ("s", "s", "S", "s", "s", "s"):
            await pilot.press(key)
            order = "".join(row.key[0] for row in app.table.rows)
            seen.append((app.table.border_subtitle, order))
        assert seen == [
            ("sort SYM ▲", "AMN"),
            ("sort LAST ▼", "MAN"),
            ("sort LAST ▲", "NAM"),
            ("sort SIGNAL ▲", "NAM"),
            ("sort AGE ▼", "NAM"),
            (None, "NAM"),
        ]


async def test_a_click_on_a_title_sorts_and_again_reverses() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        await pilot.click("#table", offset=(12, 0))
        assert (app.table.sort_key, app.table.sort_descending) == ("last", True)
        await pilot.click("#table", offset=(12, 0))
        assert (app.table.sort_key, app.table.sort_descending) == ("last", False)


async def test_rows_without_a_value_come_last_either_way() -> None:
    app = TableApp([row("NONE", math.nan), AAPL, MSFT])
    async with app.run_test(size=(32, 5)):
        for descending in (False, True):
            app.table.sort_by("last", descending=descending)
            assert app.table.rows[-1].key == "NONE"


async def test_the_note_stands_before_the_sort_order_and_is_not_markup() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)):
        app.table.set_note("open [red]+1[/x]")
        app.table.sort_by("sym")
        subtitle = app.table._border_subtitle
        assert subtitle is not None
        assert subtitle.plain == "open [red]+1[/x]  sort SYM ▲"


async def test_find_prefers_the_beginning_of_a_key() -> None:
    app = TableApp([row("QQQA", 1), AAPL, row("META", 1, signal="zzz")])
    async with app.run_test(size=(32, 5)):
        assert app.table.find("aa")
        assert app.table.selected_key == "AAPL"
        assert app.table.find("ZZZ")
        assert app.table.selected_key == "META"
        assert not app.table.find("nothing")
        assert not app.table.find("")
        assert app.table.selected_key == "META"


async def test_the_empty_table_says_so_in_words_that_wrap() -> None:
    app = TableApp([], empty="no positions: 5 symbols watched, first candle 09:32")
    async with app.run_test(size=(32, 5)) as pilot:
        assert app.lines()[1:4] == [" no positions: 5 symbols", " watched, first candle 09:32", ""]
        app.table.set_empty("[403] [/x] [red]")
        await pilot.pause()
        assert app.lines()[1] == " [403] [/x] [red]"
        app.table.update_rows([AAPL])
        await pilot.pause()
        assert app.lines()[1].startswith("▶AAPL")


async def test_cells_are_data_never_markup_nor_control() -> None:
    hostile = "[403] [/x] [red]\x1b[31m\r\n"
    columns = (Column("text", "TEXT", 30), Column("more", "MORE", 30))
    table = LiveTable(columns)
    table.update_rows([Row("one", (hostile, Text(hostile)), ("", ""))])
    app = OneWidget(table)
    async with app.run_test(size=(70, 3)):
        shown = "[403] [/x] [red]·[31m  "
        assert app.lines()[1] == f"▶{shown:<31}{shown}".rstrip()


async def test_columns_of_low_priority_give_way() -> None:
    app = TableApp()
    async with app.run_test(size=(20, 3)) as pilot:
        assert app.lines()[0] == " SYM      LAST  AGE"
        await pilot.resize_terminal(15, 3)
        assert app.lines()[0] == " SYM      LAST"


async def test_a_flexible_column_takes_what_is_left_and_text_is_cut_with_a_mark() -> None:
    table = LiveTable((Column("a", "A", 4), Column("b", "B", 4, flexible=True), Column("c", "C", 2)))
    table.update_rows([Row("x", ("abcdef", Text("0123456789abcdef", "red"), "z"), ("", "", ""))])
    app = OneWidget(table)
    async with app.run_test(size=(20, 2)):
        assert app.lines() == [" A    B           C", "▶abc… 0123456789… z"]


async def test_wide_characters_keep_the_columns_straight() -> None:
    app = TableApp([Row("x", ("株式会社", "1.00", "", "0"), ("", 1.0, "", ""))])
    async with app.run_test(size=(32, 3)):
        assert app.lines()[1] == "▶株式…    1.00             0"


async def test_resizing_to_nothing_and_back_restores_the_table() -> None:
    app = TableApp()
    async with app.run_test(size=(32, 5)) as pilot:
        before = app.lines()
        await pilot.resize_terminal(1, 1)
        await pilot.resize_terminal(32, 5)
        await pilot.pause()
        assert app.lines() == before


async def test_the_selected_row_is_in_sight_from_the_start_and_after_a_resize() -> None:
    app = TableApp([row(f"S{index}", index) for index in range(20)])
    app.table.sort_by("last", descending=True)
    async with app.run_test(size=(32, 5)) as pilot:
        await pilot.pause()
        assert app.lines()[-1].startswith("▶S0 ")
        await pilot.resize_terminal(32, 3)
        await pilot.pause()
        assert app.lines()[-1].startswith("▶S0 ")


async def test_dim_rows_lose_the_colours_of_their_cells() -> None:
    cells = (Text("AAPL", "bold #ff0000"), "", "", "")
    app = TableApp([MSFT, Row("AAPL", cells, (), dim=True)])
    async with app.run_test(size=(32, 5)):
        strip = app.table.render_line(2)
        assert {segment.style.color for segment in strip if segment.style} == {
            app.table.get_component_rich_style("live-table--dim").color
        }


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
async def test_without_colour_every_segment_has_a_style(theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = (Text("X", "red"), Text.assemble("a", ("b", "green")), "", "")
    app = TableApp([AAPL, Row("X", coloured, (), dim=True)])
    async with app.run_test(size=(32, 5)) as pilot:
        app.theme = theme
        await pilot.pause()
        assert app.no_color
        assert all(segment.style is not None for y in range(5) for segment in app.table.render_line(y))
        assert app.lines()[1].startswith("▶AAPL")


async def test_a_stale_row_is_seen_with_the_terminals_own_colours() -> None:
    app = TableApp([MSFT, row("AAPL", 1.0, dim=True)])
    async with app.run_test(size=(32, 5)) as pilot:
        app.theme = "ansi-dark"
        await pilot.pause()
        assert all(segment.style and segment.style.dim for segment in app.table.render_line(2))
        assert not any(segment.style and segment.style.dim for segment in app.table.render_line(1))


async def test_columns_end_before_the_scrollbar() -> None:
    app = TableApp([row(f"S{number}", number) for number in range(20)])
    async with app.run_test(size=(29, 5)) as pilot:
        await pilot.pause()
        assert app.table.show_vertical_scrollbar
        assert app.lines()[0].startswith(" SYM      LAST SIGNAL    AGE")


async def test_a_dim_row_keeps_the_colours_of_its_vivid_cells() -> None:
    red = Text("halted", "red")
    app = TableApp([Row("F", ("F", Text("10.02", "red"), red, "5m"), (), dim=True, vivid=(2,))])
    async with app.run_test(size=(32, 5)):
        colours = {segment.text.strip(): segment.style for segment in app.table.render_line(1)}
        halted, price = colours["halted"], colours["10.02"]
        assert halted is not None
        assert price is not None
        assert halted.color == Style.parse("red").color
        assert price.color != halted.color


class NewestApp(OneWidget):
    """A table of what comes newest first, and something else to focus."""

    def __init__(self) -> None:
        self.table = LiveTable(COLUMNS, newest_first=True, id="table")
        super().__init__(self.table)
        self.table.update_rows([MSFT, AAPL])


async def test_newest_first_the_selection_follows_the_newest_until_somebody_selects() -> None:
    app = NewestApp()
    async with app.run_test(size=(32, 6)) as pilot:
        app.set_focus(None)
        await pilot.pause()
        app.table.update_rows([NVDA, MSFT, AAPL])
        assert app.table.selected_key == "NVDA"
        app.table.select("MSFT")
        app.table.update_rows([row("AMD", 1), NVDA, MSFT, AAPL])
        assert app.table.selected_key == "MSFT"
        app.table.action_first()
        app.table.update_rows([row("F", 1), row("AMD", 1), NVDA, MSFT, AAPL])
        assert app.table.selected_key == "F"


async def test_newest_first_nothing_slips_under_the_cursor_of_who_has_the_focus() -> None:
    app = NewestApp()
    async with app.run_test(size=(32, 6)):
        app.table.update_rows([NVDA, MSFT, AAPL])
        assert app.table.selected_key == "MSFT"


async def test_newest_first_a_sorted_table_keeps_its_selection() -> None:
    app = NewestApp()
    async with app.run_test(size=(32, 6)) as pilot:
        app.set_focus(None)
        await pilot.pause()
        app.table.sort_by("sym")
        app.table.select("AAPL")
        app.table.update_rows([row("A", 1), MSFT, AAPL])
        assert app.table.selected_key == "AAPL"


async def test_a_row_selected_among_rows_that_have_just_come_is_scrolled_to() -> None:
    app = TableApp([AAPL])
    async with app.run_test(size=(32, 6)) as pilot:
        app.table.update_rows([row(f"S{number:03}", number) for number in range(100)])
        app.table.select("S080")
        await pilot.pause()
        await pilot.pause()
        assert any("▶S080" in line for line in app.lines())


async def test_a_thousand_rows_that_all_change_cost_little() -> None:
    app = TableApp([row(f"S{number:03}", number) for number in range(1_000)])
    async with app.run_test(size=(32, 30)) as pilot:
        await pilot.press("s", "s")  # by price, the highest first
        watch = Watch(app.table)
        app.table.update_rows([row(f"S{number:03}", number + 0.5) for number in range(1_000)])
        await pilot.pause()
        assert app.table.selected_key == "S000"
        assert len(watch.rendered) <= 29  # what is in sight, once
