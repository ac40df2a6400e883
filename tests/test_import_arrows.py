"""Who may know whom. The table is the architecture; the tests below hold the code to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

EVERYTHING: Final = ("",)
VENUE: Final = ("core", "engine.clock", "venues.base", "errors", "config")
# The engine handle speaks of venues.base.Mode, so its viewers may.
VIEWER: Final = ("core", "engine.handle", "venues.base", "errors", "config")

#: Part of tui_trader → what of tui_trader it may import besides itself. The longest name that fits counts.
ARROWS: Final[dict[str, tuple[str, ...]]] = {
    "core": (),
    "errors": (),
    "paths": (),
    "options": (),
    "settings": ("core", "errors"),
    "config": ("core", "errors", "paths", "settings"),
    "config_text": ("config", "errors", "settings"),
    "strategies": ("core", "errors"),
    "scanners": ("core",),
    "venues.base": ("core",),
    "venues.exchange": VENUE,  # the simulated broker, which both simulated venues trade at
    "venues.sim": (*VENUE, "venues.exchange"),
    "venues.replay": (*VENUE, "venues.exchange"),
    "venues.alpaca": (*VENUE, "settings"),
    "engine": ("core", "strategies.base", "scanners.base", "venues.base"),
    "journal": ("core", "engine.recorder", "errors"),
    "limits": ("core", "engine.sessions", "settings"),
    "arguments": (),
    "stdout": ("errors",),
    # The backtest's child process puts a run together by itself.
    "backtest.worker": (
        "core",
        "backtest",
        "engine.guard",
        "engine.nyse",
        "strategies",
        "venues.base",
        "errors",
        "config",
        "options",
        "paths",
    ),
    "backtest": (
        "core",
        "engine.guard",
        "engine.sessions",
        "strategies",
        "venues.base",
        "venues.replay",
        "errors",
        "config",
        "limits",
        "options",
        "paths",
    ),
    "sweep": (
        "core",
        "backtest",
        "engine.guard",
        "engine.nyse",
        "strategies",
        "venues.base",
        "venues.replay",
        "errors",
        "config",
        "limits",
        "options",
        "paths",
    ),
    "listeners": VIEWER,
    "control": VIEWER,
    # The backtest screen knows what a backtest says and how to ask for one, not how it is done.
    "tui": (
        *VIEWER,
        "config_text",
        "backtest.metrics",
        "backtest.result",
        "backtest.worker",
        "arguments",
        "options",
    ),
    # The server of pages knows how an engine is reached; the process behind a page puts its parts together.
    "serve": (*VIEWER, "control", "options"),
    "serve.child": EVERYTHING,
    # These put the parts together.
    "commands": EVERYTHING,
    "doctor": EVERYTHING,
    "headless": EVERYTHING,
    "screen": EVERYTHING,
    "wiring": EVERYTHING,
    "cli": EVERYTHING,
    "__main__": EVERYTHING,
}

#: The core is pure: nothing that waits, reads a clock, touches a disk or a network, or draws lots.
NOT_IN_CORE: Final = frozenset(
    (
        "aiohttp",
        "alpaca",
        "asyncio",
        "exchange_calendars",
        "logging",
        "os",
        "pathlib",
        "random",
        "requests",
        "socket",
        "sqlite3",
        "subprocess",
        "textual",
        "threading",
        "time",
    )
)
#: Libraries that one part alone may know, so that nobody else pays for them or depends on them.
ONLY_IN: Final = {"textual": ("tui",), "alpaca": ("venues.alpaca",)}

PACKAGE: Final = Path(__file__).parents[1] / "tui_trader"


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below tui_trader; the package itself is ``""``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = modules()


def within(name: str, part: str) -> bool:
    return part == "" or name == part or name.startswith(part + ".")


def part_of(name: str) -> str | None:
    return max((part for part in ARROWS if within(name, part)), key=len, default=None)


def imports(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import in the file; ``from a import b`` may name a module."""
    package = (
        ["tui_trader", *name.split(".")]
        if path.name == "__init__.py"
        else ["tui_trader", *name.split(".")[:-1]]
    )
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield node.lineno, full if full.removeprefix("tui_trader.") in MODULES else source


def own_imports(path: Path, name: str) -> Iterator[tuple[int, str]]:
    for line, full in imports(path, name):
        if full.startswith("tui_trader."):
            yield line, full.removeprefix("tui_trader.")


@pytest.mark.parametrize("part", ARROWS)
def test_a_part_imports_only_what_the_table_lets_it_know(part: str) -> None:
    allowed = (part, *ARROWS[part])
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {target}"
        for name, path in MODULES.items()
        if part_of(name) == part
        for line, target in own_imports(path, name)
        if not any(within(target, other) for other in allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_belongs_to_a_part() -> None:
    packages_alone = {"", "venues"}
    assert not [name for name in MODULES if part_of(name) is None and name not in packages_alone]


def test_the_core_is_pure() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {target}"
        for name, path in MODULES.items()
        if part_of(name) == "core"
        for line, target in imports(path, name)
        if target.split(".")[0] in NOT_IN_CORE
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_part(library: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {target}"
        for name, path in MODULES.items()
        if part_of(name) not in ONLY_IN[library]
        for line, target in imports(path, name)
        if within(target, library)
    ]
    assert not wrong, "\n".join(wrong)
