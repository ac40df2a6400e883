from __future__ import annotations

import pytest
from textual.content import Content
from textual.geometry import Region

from tests.tui.widgets.harness import OneWidget, Watch
from tui_trader.tui.widgets.log_view import LogLine, LogView


def line(number: int, level: str = "INFO", symbol: str = "AAPL", text: str = "") -> LogLine:
    return LogLine("13:45:54", level, "SIGNAL", symbol, text or f"number {number}")


class LogApp(OneWidget):
    def __init__(self, count: int = 0) -> None:
        self.log_view = LogView(id="log", empty="nothing has happened yet")
        super().__init__(self.log_view)
        self.log_view.append_lines([line(number) for number in range(count)])

    def numbers(self) -> list[str]:
        return [text.split()[-1] for text in self.lines() if text]


async def test_a_long_entry_goes_on_below_its_kind() -> None:
    app = LogApp()
    async with app.run_test(size=(50, 5)) as pilot:
        text = "tripped: 3 losses in a row; no entries until the next session"
        app.log_view.append_lines([line(1), line(2, "ERROR", "", text), line(3)])
        await pilot.pause()
        assert app.lines() == [
            "13:45:54 I SIGNAL  AAPL  number 1",
            "13:45:54 E SIGNAL        tripped: 3 losses in a",
            "           row; no entries until the next session",
            "13:45:54 I SIGNAL  AAPL  number 3",
            "",
        ]


async def test_an_endless_entry_takes_three_rows_and_the_cut_is_marked() -> None:
    app = LogApp()
    async with app.run_test(size=(50, 5)) as pilot:
        app.log_view.append_lines([line(1, text="word " * 100), line(2)])
        await pilot.pause()
        assert app.lines()[2].endswith("…")
        assert app.lines()[3].endswith("number 2")


async def test_w_cuts_long_entries_instead_and_marks_the_cut() -> None:
    app = LogApp()
    async with app.run_test(size=(50, 4)) as pilot:
        assert app.lines()[0] == "nothing has happened yet"
        app.log_view.append_lines([line(1), line(2, "WARN", "", "a text that is longer than the line")])
        await pilot.press("w")
        assert app.lines() == [
            "13:45:54 I SIGNAL  AAPL  number 1",
            "13:45:54 W SIGNAL        a text that is longer th…",
            "",
            "",
        ]


async def test_with_room_levels_are_written_out() -> None:
    app = LogApp()
    async with app.run_test(size=(60, 4)) as pilot:
        app.log_view.append_lines([line(1), line(2, "WARN", "", "a text")])
        await pilot.pause()
        assert app.lines()[:2] == [
            "13:45:54 INFO  SIGNAL  AAPL  number 1",
            "13:45:54 WARN  SIGNAL        a text",
        ]


async def test_a_batch_is_one_refresh() -> None:
    app = LogApp(10)
    async with app.run_test(size=(50, 4)) as pilot:
        watch = Watch(app.log_view)
        app.log_view.append_lines([line(number) for number in range(10, 1_000)])
        await pilot.pause()
        assert watch.regions == [None]
        assert len(watch.rendered) == 4
        assert app.numbers() == ["996", "997", "998", "999"]


async def test_while_there_is_room_only_new_lines_are_painted() -> None:
    app = LogApp(1)
    async with app.run_test(size=(50, 6)) as pilot:
        watch = Watch(app.log_view)
        app.log_view.append_lines([line(1)])
        await pilot.pause()
        assert watch.regions == [Region(0, 1, 50, 5)]


async def test_nothing_new_refreshes_nothing() -> None:
    app = LogApp(1)
    async with app.run_test(size=(50, 6)) as pilot:
        app.log_view.set_filter("WARN", None)
        await pilot.pause()
        watch = Watch(app.log_view)
        app.log_view.append_lines([])
        app.log_view.append_lines([line(1)])
        await pilot.pause()
        assert (watch.regions, watch.rendered) == ([], [])


async def test_scrolled_up_it_stays_and_counts_what_is_new() -> None:
    app = LogApp(20)
    async with app.run_test(size=(50, 4)) as pilot:
        await pilot.press("k", "k", "k", "k", "k", "k")
        assert app.numbers() == ["14", "15", "16", "17"]
        app.log_view.append_lines([line(20), line(21)])
        await pilot.pause()
        assert app.numbers() == ["14", "15", "16", "17"]
        assert app.log_view.border_subtitle == "2 new ▼"
        app.log_view.append_lines([line(number) for number in range(22, 300)])
        assert app.log_view.border_subtitle == "99+ new ▼"
        await pilot.press("G")
        assert app.numbers()[-1] == "299"
        assert app.log_view.border_subtitle is None
        assert app.log_view.following


async def test_keys_and_wheel_scroll() -> None:
    app = LogApp(50)
    async with app.run_test(size=(50, 4)) as pilot:
        await pilot.press("g")
        assert app.numbers()[0] == "0"
        await pilot.press("pagedown", "j", "j", "j", "j")
        assert app.numbers()[0] == "4"
        await pilot.press("pageup", "up")
        assert app.numbers()[0] == "1"
        await pilot.press("end")
        assert app.log_view.following
        app.log_view.action_scroll_pages(-1)
        assert not app.log_view.following
        app.log_view.action_scroll_pages(1)
        assert app.log_view.following


async def test_beyond_the_limit_the_oldest_go_and_the_view_stays() -> None:
    app = LogApp(5_000)
    async with app.run_test(size=(50, 4)) as pilot:
        await pilot.press("pageup")
        before = app.numbers()
        app.log_view.append_lines([line(number) for number in range(5_000, 5_010)])
        await pilot.pause()
        assert app.log_view.line_count == 5_000
        assert app.numbers() == before
        await pilot.press("g")
        assert app.numbers()[0] == "10"


async def test_filters_keep_what_they_hide() -> None:
    app = LogApp()
    async with app.run_test(size=(50, 6)) as pilot:
        app.log_view.append_lines(
            [line(1, "DEBUG"), line(2), line(3, "WARN", "MSFT"), line(4, "ERROR"), line(5, "NOTICE")]
        )
        seen = []
        for level, symbol in (("INFO", None), ("WARN", None), ("WARN", "AAPL"), (None, None)):
            app.log_view.set_filter(level, symbol)
            await pilot.pause()
            seen.append((app.log_view.border_subtitle, app.numbers()))
        assert seen == [
            ("level INFO", ["2", "3", "4", "5"]),
            ("level WARN", ["3", "4"]),
            ("level WARN  AAPL", ["4"]),
            (None, ["1", "2", "3", "4", "5"]),
        ]


async def test_v_cycles_the_level() -> None:
    app = LogApp(1)
    async with app.run_test(size=(50, 6)) as pilot:
        levels = []
        for _ in range(4):
            await pilot.press("v")
            levels.append(app.log_view.filter[0])
        assert levels == ["INFO", "WARN", None, "INFO"]


async def test_f_and_o_show_the_kind_and_the_symbol_of_the_selected_entry_alone() -> None:
    app = LogApp()
    async with app.run_test(size=(60, 6)) as pilot:
        app.log_view.append_lines(
            [
                LogLine("13:45:54", "INFO", "FILL", "AAPL", "number 1"),
                LogLine("13:45:55", "INFO", "STOP", "AAPL", "number 2"),
                LogLine("13:45:56", "INFO", "FILL", "MSFT", "number 3"),
            ]
        )
        await pilot.press("f")
        assert (app.log_view.border_subtitle, app.numbers()) == ("FILL", ["1", "3"])
        await pilot.press("o")
        assert (app.log_view.border_subtitle, app.numbers()) == ("FILL  MSFT", ["3"])
        await pilot.press("f")
        assert app.numbers() == ["3"]
        await pilot.press("o", "g", "o")
        assert (app.log_view.border_subtitle, app.numbers()) == ("AAPL", ["1", "2"])


async def test_find_marks_every_match_and_n_goes_from_one_to_the_next() -> None:
    app = LogApp(40)
    async with app.run_test(size=(50, 4)) as pilot:
        assert app.log_view.find("NUMBER 1")
        assert app.log_view.selected == line(19)
        assert app.log_view.border_subtitle == "/number 1"
        marked = [segment.text for segment in app.log_view.render_line(0) if segment.text == "number 1"]
        assert marked == ["number 1"]
        await pilot.press("n")
        assert app.log_view.selected == line(18)
        await pilot.press("N", "N")
        assert app.log_view.selected == line(19)
        assert not app.log_view.find("[/x]")
        assert Content.from_markup(str(app.log_view.border_subtitle)).plain == "/[/x]: nowhere"


async def test_escape_clears_search_and_filters_and_follows_and_else_is_not_taken() -> None:
    app = LogApp(40)
    async with app.run_test(size=(50, 4)) as pilot:
        await pilot.press("f")
        app.log_view.find("number 7")
        await pilot.press("escape")
        assert app.log_view.following
        assert app.log_view.filter == ("INFO", None, None)
        assert app.log_view.check_action("clear", ()) is False


async def test_the_selected_entry_stays_selected_while_others_come_and_is_told_on_enter() -> None:
    chosen: list[LogLine] = []

    class Hearing(LogApp):
        def on_log_view_chosen(self, event: LogView.Chosen) -> None:
            chosen.append(event.line)

    app = Hearing(20)
    async with app.run_test(size=(50, 4)) as pilot:
        await pilot.press("k", "k")
        app.log_view.append_lines([line(number) for number in range(20, 5_010)])
        await pilot.press("enter")
        assert chosen == [line(18)]


async def test_moving_below_the_newest_follows_again() -> None:
    app = LogApp(20)
    async with app.run_test(size=(50, 4)) as pilot:
        await pilot.press("k", "k", "j")
        assert not app.log_view.following
        await pilot.press("j")
        assert app.log_view.following


async def test_a_click_selects_the_entry_that_it_hits() -> None:
    app = LogApp(20)
    async with app.run_test(size=(50, 4)) as pilot:
        await pilot.click(app.log_view, offset=(5, 1))
        assert app.log_view.selected == line(17)


async def test_text_is_data_never_markup_nor_control() -> None:
    app = LogApp()
    async with app.run_test(size=(70, 3)) as pilot:
        app.log_view.append_lines([line(1, "[/x]", "[b]", "[403] [/x] [red]\x1b]0;title\x07\nnext\u202e")])
        await pilot.pause()
        assert app.lines()[0] == "13:45:54 [/x]  SIGNAL  [b]   [403] [/x] [red]·]0;title· next·"


async def test_resizing_to_nothing_and_back_restores_the_log() -> None:
    app = LogApp(20)
    async with app.run_test(size=(50, 6)) as pilot:
        before = app.lines()
        await pilot.resize_terminal(1, 1)
        await pilot.resize_terminal(50, 6)
        await pilot.pause()
        assert app.lines() == before
        assert app.log_view.following


async def test_every_segment_has_a_style_without_colour_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = LogApp(2)
    async with app.run_test(size=(50, 4)):
        assert app.no_color
        assert all(segment.style is not None for y in range(4) for segment in app.log_view.render_line(y))
        assert app.numbers() == ["0", "1"]
