"""Themes: data files, checked when read. A bad file is named and left out; the others still work."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from textual.color import Color, ColorParseError
from textual.theme import Theme

from tui_trader.errors import printable

DEFAULT_THEME: Final = "midnight"
_ORDER: Final = ("midnight", "paper", "okabe-ito", "mono", "ansi")
_SUFFIX: Final = ".toml"
_MAX_BYTES: Final = 1 << 16
_MAX_NAME: Final = 32

_COLORS: Final = (
    "primary",
    "secondary",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "success",
    "warning",
    "error",
)
#: Our own colours, by what they mean. A theme that leaves one out gets the default's.
VARIABLES: Final[Mapping[str, str]] = {
    "gain": "#2dbd93",
    "loss": "#ff7757",
    "attention": "#e0af68",
    "danger": "#f2545b",
    "strong": "#eef2f8",
    "muted": "#7d879c",
    "stale": "#5c6577",
    "frame": "#2a3342",
    "bar": "#181f2c",
    "live-bar": "#4a1620",
    "mode-text": "#0d1015",
    "mode-sim": "#5a9bf6",
    "mode-replay": "#b48ef0",
    "mode-paper": "#e0af68",
    "mode-live": "#f2545b",
    "selected": "#1e2a3f",
    "sma-fast": "#7aa2f7",
    "sma-slow": "#b48ef0",
    "entry-line": "#e0af68",
    "stop-line": "#ff6f91",
}
_TOP_LEVEL: Final = ("name", "dark", "ansi", "colors", "variables")


class ThemeError(Exception):
    """A theme file that cannot be used; the text names the file, the place and the cure."""


@dataclass(frozen=True, slots=True)
class ThemeSet:
    """The themes in the order in which they are cycled, and what was wrong with the files left out.

    ``read`` is what each file last held, as it stood there.
    """

    themes: tuple[Theme, ...]
    problems: tuple[str, ...]
    read: Mapping[Path, Theme] = field(default_factory=dict)


def shipped_folder() -> Path:
    """Where the themes of this installation lie: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "themes"
    return inside if inside.is_dir() else package.parent / "themes"


def first_theme(name: str, user_folder: Path | None = None, swap_colours: bool = False) -> Theme:
    """The one theme that the first paint needs, without reading the others where its file has its name."""
    path = shipped_folder() / f"{name}{_SUFFIX}"
    # A user's theme may have any file's name, and replaces a shipped one of its own name.
    if not _files(user_folder) and path.parent == shipped_folder() and path.is_file():
        with suppress(ThemeError):
            theme = read_theme(path)
            if theme.name == name:
                return _swapped(theme) if swap_colours else theme
    themes = {theme.name: theme for theme in load_themes(user_folder, swap_colours).themes}
    return themes[name if name in themes else DEFAULT_THEME]


def load_themes(
    user_folder: Path | None = None, swap_colours: bool = False, before: ThemeSet | None = None
) -> ThemeSet:
    """Shipped themes, then the user's; a user's theme replaces a shipped one of its name.

    ``swap_colours`` exchanges gain and loss, for those who read red as up. A file that has become bad since
    ``before`` was read is named and keeps the theme that it held then.
    """
    known = before.read if before is not None else {}
    read: dict[Path, Theme] = {}
    problems: list[str] = []
    for path in (*_files(shipped_folder()), *_files(user_folder)):
        try:
            read[path] = read_theme(path)
        except ThemeError as error:
            problems.append(printable(str(error)))
            if path in known:
                read[path] = known[path]
    themes = {theme.name: _swapped(theme) if swap_colours else theme for theme in read.values()}
    if DEFAULT_THEME not in themes:
        themes = {DEFAULT_THEME: _builtin_default(), **themes}
    ordered = sorted(themes.values(), key=lambda theme: _place(theme.name))
    return ThemeSet(tuple(ordered), tuple(problems), read)


def _swapped(theme: Theme) -> Theme:
    variables = theme.variables
    exchanged = {"gain": variables["loss"], "loss": variables["gain"]}
    return replace(theme, variables=variables | exchanged)


def read_theme(path: Path) -> Theme:
    """The theme in one file. Raises ``ThemeError``."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ThemeError(f"{path}: larger than {_MAX_BYTES} bytes: not a theme")
        document = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise ThemeError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ThemeError(f"{path}: not valid TOML: {error}") from error
    _refuse_unknown(path, "", document, _TOP_LEVEL)
    name = document.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise ThemeError(f"{path}: name must be a text of 1 to {_MAX_NAME} characters")
    colors = _colors(path, document, "colors", _COLORS)
    missing = [key for key in _COLORS if key not in colors]
    if missing:
        raise ThemeError(f"{path}: [colors] lacks {', '.join(missing)}")
    variables = {**VARIABLES, **_colors(path, document, "variables", tuple(VARIABLES))}
    return Theme(
        name=name,
        dark=_flag(path, document, "dark", default=True),
        ansi=_flag(path, document, "ansi", default=False),
        variables=variables | _framework_variables(variables),
        **cast(dict[str, Any], colors),
    )


def _builtin_default() -> Theme:
    # Even without a single readable file there is a screen.
    return Theme(
        name=DEFAULT_THEME,
        primary="#5a9bf6",
        background="#0d1015",
        foreground="#d5dbe6",
        variables=dict(VARIABLES) | _framework_variables(VARIABLES),
    )


def _framework_variables(variables: Mapping[str, str]) -> dict[str, str]:
    return {
        "border": variables["mode-sim"],
        "border-blurred": variables["frame"],
        "block-cursor-background": variables["selected"],
        "block-cursor-foreground": variables["strong"],
        "block-cursor-text-style": "bold",
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "scrollbar": variables["frame"],
        "scrollbar-background": "transparent",
        "scrollbar-corner-color": "transparent",
        "scrollbar-background-hover": "transparent",
        "scrollbar-background-active": "transparent",
    }


def _files(folder: Path | None) -> Sequence[Path]:
    if folder is None or not folder.is_dir():
        return ()
    return sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX)


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _colors(path: Path, document: Mapping[str, Any], table: str, known: Iterable[str]) -> dict[str, str]:
    values = document.get(table, {})
    if not isinstance(values, dict):
        raise ThemeError(f"{path}: {table} must be a table: [{table}]")
    _refuse_unknown(path, f"[{table}] ", values, known)
    for key, value in values.items():
        try:
            Color.parse(value)
        except (ColorParseError, TypeError, AttributeError) as error:
            raise ThemeError(f"{path}: [{table}] {key}: {value!r} is not a colour; try '#2dbd93'") from error
    return values


def _flag(path: Path, document: Mapping[str, Any], key: str, default: bool) -> bool:
    value = document.get(key, default)
    if not isinstance(value, bool):
        raise ThemeError(f"{path}: {key} must be true or false")
    return value


def _refuse_unknown(path: Path, where: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
    known = tuple(known)
    for key in values:
        if key not in known:
            import difflib  # only for a mistake, and not before the first paint

            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ThemeError(f"{path}: {where}{key} is unknown{hint}")
