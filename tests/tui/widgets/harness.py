"""One widget on a screen, and what it refreshes and renders."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class OneWidget(App[None]):
    """Nothing but the widget, filling the screen; keeps the messages that reach it."""

    CSS = "Screen > * { width: 100%; height: 100%; }"

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_mount(self) -> None:
        self.widget.focus()

    def lines(self) -> list[str]:
        """What is on the screen, blanks at line ends cut."""
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]


class Watch:
    """Counts from now on: the regions a widget refreshes (None for all of it) and the lines it renders."""

    def __init__(self, widget: Widget) -> None:
        self.regions: list[Region | None] = []
        self.rendered: list[int] = []
        refresh, render_line = widget.refresh, widget.render_line

        def watched_refresh(*regions: Region, **options: bool) -> Widget:
            if options.get("repaint", True):
                self.regions += regions or [None]
            return refresh(*regions, **options)

        def watched_render_line(y: int) -> Strip:
            self.rendered.append(y)
            return render_line(y)

        widget.refresh = watched_refresh  # type: ignore[method-assign]
        widget.render_line = watched_render_line  # type: ignore[method-assign]
