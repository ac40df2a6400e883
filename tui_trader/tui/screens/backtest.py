"""The backtest screen: a form, a run under way, what it found, one trade. The engine trades on behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Input, Static

from tui_trader.core.events import EngineState
from tui_trader.tui.backtest.form import BARS
from tui_trader.tui.backtest.form_page import FormPage, FormTable
from tui_trader.tui.backtest.keys import KEYS, LINES
from tui_trader.tui.backtest.result_page import ResultPage
from tui_trader.tui.backtest.study import Page, Study
from tui_trader.tui.backtest.trade_page import TradePage
from tui_trader.tui.backtest.words import progress_lines
from tui_trader.tui.keys_line import keys_line
from tui_trader.tui.painting import paint_state
from tui_trader.tui.panes import TextLine
from tui_trader.tui.screens.help import bindings_of
from tui_trader.tui.screens.steering import SteeringScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.widgets.live_table import LiveTable
from tui_trader.tui.widgets.plain_text import clean

_PAGES_OF = {
    "run": (Page.FORM,),
    "result": (Page.FORM,),
    "pane": (Page.RESULT,),
    "filter": (Page.RESULT,),
    "zoom": (Page.RESULT,),
    "reset": (Page.RESULT,),
    "find": (Page.RESULT,),
    "copy": (Page.RESULT,),
    "trade": (Page.TRADE,),
}


class BacktestScreen(SteeringScreen):
    """Four pages, one at a time; what they show is kept by the study."""

    CSS_PATH = "backtest.tcss"
    AUTO_FOCUS = None
    KEYS_LINE = LINES[Page.FORM]

    BINDINGS: ClassVar[list[BindingType]] = list(KEYS)

    def __init__(self, settings: UiSettings, size: Size, study: Study) -> None:
        super().__init__(settings, size)
        self._settings = settings
        self.study = study
        self.form = FormPage(settings.glyphs)
        self.progress = TextLine(id="progress")
        self.running = Container(self.progress, id="run-page", classes="page")
        self.result = ResultPage(settings.glyphs)
        self.trade = TradePage(settings.glyphs)
        self._pages: dict[Page, Widget] = {
            Page.FORM: self.form,
            Page.RUNNING: self.running,
            Page.RESULT: self.result,
            Page.TRADE: self.trade,
        }
        self._page: Page | None = None
        self._state: EngineState | None = None  # that the line of keys was painted for
        self._problem = Static("", id="problem", markup=False)
        self._edit_label = Static("", id="edit-label", markup=False)
        self._edit_text = Input(id="edit-text", compact=True)
        self._edit = Horizontal(self._edit_label, self._edit_text, id="edit")
        self._typing: Callable[[str], None] | None = None  # told at every change of what is typed
        self._typed: Callable[[str], None] | None = None  # told at the end

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.account
        yield from self._pages.values()
        yield self._problem
        yield self.banner
        yield self._edit
        yield self._keys
        yield self._small

    def on_mount(self) -> None:
        super().on_mount()
        self.study.on_change = self._study_changed
        self.study.open()
        self._study_changed()

    def on_unmount(self) -> None:
        # Who comes back at once is looking at the study through another screen by now.
        if self.study.on_change == self._study_changed:
            self.study.rest()

    # ---- painting --------------------------------------------------------------------------------------

    def paint(self) -> None:
        """Follow the engine, and the time that a run takes."""
        link = self.link
        if link is not None:
            paint_state(self, link, self.trader.leaving)
            if link.model.picture.state is not self._state:
                self._state = link.model.picture.state
                self._paint_keys()
        running = self.study.running
        if running is not None:
            width = self.running.content_size.width
            self.progress.show(progress_lines(running, self.study.clock(), self.glyphs, width))

    def help_groups(self) -> Iterable[tuple[str, Iterable[Binding]]]:
        """The keys that work here, by where they work."""
        named = (self, self.form.table, self.result.trades, self.trade.chart)
        names = ("Backtest", "Form", "Tables", "Chart")
        return zip(names, map(bindings_of, named), strict=True)

    def _forget_paint(self) -> None:
        if self.is_mounted:
            self.call_after_refresh(self._study_changed)

    def _paint_keys(self) -> None:
        self._keys.show(keys_line(self, self.size.width, LINES[self.study.page]))

    def _study_changed(self) -> None:
        """Bring the page up to date, or turn to another."""
        study = self.study
        self._problem.display = bool(study.problem or study.note)
        self._problem.set_class(not study.problem, "-note")
        self._problem.update(Content(clean(study.problem or study.note)))
        match study.page:
            case Page.FORM:
                self.form.show(study, self._palette)
            case Page.RESULT if study.outcome is not None:
                self.result.show(study.outcome, self._palette, study.selected)
            case Page.TRADE:
                self.trade.show(study)
        self._turn_to(study.page)
        self.paint()
        self._paint_keys()

    def _turn_to(self, page: Page) -> None:
        if page is self._page:
            return
        self._page = page
        for name, widget in self._pages.items():
            widget.display = name is page
        main = {Page.FORM: self.form.table, Page.RESULT: self.result.trades, Page.TRADE: self.trade.chart}
        self.set_focus(main.get(page))

    # ---- which keys work -------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now."""
        if self._typed is not None and action != "back":
            return False  # keys typed ahead, before the line had the focus, are text and no commands
        pages = _PAGES_OF.get(action)
        if pages is None:
            return super().check_action(action, parameters)
        if self.study.page not in pages:
            return False
        return self.study.outcome is not None if action == "result" else True

    # ---- going about -----------------------------------------------------------------------------------

    def action_trading(self) -> None:
        self.dismiss()

    def action_back(self) -> None:
        """One step back: from typing, from one symbol's trades, from a page, from the screen."""
        if self._typed is not None:
            self._end_typing(None)
        elif self.study.page is Page.RESULT and self.has_class("-zoomed"):
            self.action_reset()
        elif self.study.page is Page.RESULT and self.result.symbol is not None:
            self.result.only(None)
        elif not self.study.back():
            self.dismiss()

    def action_run(self) -> None:
        self.study.run()

    def action_result(self) -> None:
        self.study.show_result()

    def action_trade(self, by: int) -> None:
        """The trade beside the one that is looked at, in the order of the table."""
        number = None if self.study.trade is None else self.result.next_trade(self.study.trade, by)
        if number is None:
            self._say("no further trade in the table")
        else:
            self.result.trades.select(str(number))
            self.study.show_trade(number)

    def action_pane(self, number: int) -> None:
        pane = self.result.numbered[number - 1]
        if self.has_class("-zoomed"):
            self._zoom(pane)
        # Where not all fit, the one that was asked for shows.
        for name, shared in (("-symbols", self.result.symbols), ("-remarks", self.result.remarks)):
            if pane in (self.result.trades, self.result.symbols, self.result.remarks):
                self.set_class(pane is shared, name)
        self.call_after_refresh(self._focus_pane, pane)

    def _focus_pane(self, pane: Widget) -> None:
        if not pane.is_on_screen:
            self._zoom(pane)
        pane.focus()

    def action_zoom(self) -> None:
        if self.has_class("-zoomed"):
            self.action_reset()
        elif self.focused in self.result.numbered:
            self._zoom(self.focused)

    def action_reset(self) -> None:
        self._zoom(None)
        self.remove_class("-symbols", "-remarks")
        self.set_focus(self.result.trades)

    def _zoom(self, pane: Widget | None) -> None:
        self.set_class(pane is not None, "-zoomed")
        for other in self.result.numbered:
            other.set_class(other is pane, "-zoom")

    def action_filter(self) -> None:
        """The trades of the selected symbol alone, and all again."""
        outcome, number = self.study.outcome, self.result.selected_trade
        if self.result.symbol is not None or outcome is None:
            self.result.only(None)
        elif self.result.symbols.has_focus:
            self._filter(self.result.symbols.selected_key)
        elif number is not None:
            self._filter(outcome.trades[number].symbol)

    def _filter(self, symbol: str | None) -> None:
        self.result.only(symbol)
        self.action_pane(3)

    def action_copy(self) -> None:
        self.copy_row(self._table)

    @property
    def _table(self) -> LiveTable:
        return self.result.symbols if self.result.symbols.has_focus else self.result.trades

    # ---- typing ----------------------------------------------------------------------------------------

    def action_find(self) -> None:
        table = self._table

        def find(text: str) -> None:
            if text:
                table.find(text)

        self._type("find", "", "", typing=find, typed=_ignore)

    def _type(
        self,
        label: str,
        text: str,
        hint: str,
        *,
        typing: Callable[[str], None] = lambda text: None,
        typed: Callable[[str], None],
    ) -> None:
        """Have a line typed at the bottom; Enter ends it, Esc drops it."""
        self._edit_label.update(Content(f" {clean(label)} "))
        self._edit_text.value = text
        self._edit_text.placeholder = clean(hint)
        self._edit_text.cursor_position = len(text)
        self._typing, self._typed = typing, typed
        self._edit.add_class("-shown")
        self.set_focus(self._edit_text)

    def _end_typing(self, text: str | None) -> None:
        typed, self._typed, self._typing = self._typed, None, None
        self._edit.remove_class("-shown")
        self._page = None  # so that the focus goes back to where it belongs
        if typed is not None and text is not None:
            typed(text)
        self._study_changed()

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._typing is not None:
            self._typing(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._end_typing(event.value)

    # ---- what widgets say ------------------------------------------------------------------------------

    def on_live_table_chosen(self, event: LiveTable.Chosen) -> None:
        if self._typed is not None:
            return
        if event.table is self.form.table:
            self._change(event.key)
        elif event.table is self.result.symbols:
            self._filter(event.key)
        elif event.table is self.result.trades:
            self.study.show_trade(int(event.key))

    def on_live_table_selected(self, event: LiveTable.Selected) -> None:
        if event.table is self.form.table:
            self.form.explain(self.study)
        elif event.table is self.result.trades and self.study.outcome is not None:
            self.study.selected = int(event.key)
            trade = self.study.outcome.trades[self.study.selected]
            self.result.equity.point_at(int(trade.entry_time.timestamp()))

    def on_form_table_stepped(self, event: FormTable.Stepped) -> None:
        if self._typed is None and not self.study.step(event.key, event.by):
            self._say("Enter changes this one")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._paint_keys()

    def _change(self, key: str) -> None:
        """Change a field of the form: choose files, take the next choice, or type."""
        field = self.study.form.field(key)
        if field is None:
            return
        if key == BARS:
            from tui_trader.tui.backtest.picker import BarsPicker

            picker = BarsPicker(self.study.form.bars, self.study.recent, self._settings.glyphs)
            self.app.push_screen(picker, self._choose_bars)
        elif field.choices:
            self.study.step(key, 1)
        else:
            hint = f"{field.bounds} {field.note}".strip()
            self._type(key, field.text, hint, typed=lambda text: self.study.put(key, text))

    def _choose_bars(self, paths: tuple[Path, ...] | None) -> None:
        if paths:
            self.study.choose_bars(paths)


def _ignore(text: str) -> None:
    """What was typed has had its effect."""
