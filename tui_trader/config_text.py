"""Settings as text: an example file, and the settings in force with their sources."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from tui_trader.config import LoadedSettings, leaves
from tui_trader.errors import printable
from tui_trader.settings import SECTIONS, Settings, toml_value


class Shown(NamedTuple):
    """A setting in force as text: a secret's value masked, ``about`` its meaning and bounds."""

    key: str
    value: str
    source: str
    about: str


def shown_settings(loaded: LoadedSettings) -> list[Shown]:
    """Every setting, its value and where that came from."""
    return [
        Shown(key, printable(toml_value(value)), printable(loaded.sources[key]), _about(key))
        for key, value in leaves(loaded.settings.model_dump())
    ]


def _about(key: str) -> str:
    section, _, name = key.partition(".")
    fields = SECTIONS[section].model_fields
    # A route's number, and what tables of open keys hold, have no word of their own.
    field = next((fields[part] for part in name.split(".") if part in fields), None)
    return "" if field is None else f"{field.description}{_bounds(field)}"


def show(loaded: LoadedSettings) -> str:
    """Every setting, its value and where that came from; secrets are masked."""
    rows = shown_settings(loaded)
    width = max(len(row.key) + len(row.value) for row in rows) + 3
    return "\n".join(f"{f'{printable(row.key)} = {row.value}':<{width}}  # {row.source}" for row in rows)


def example_config() -> str:
    """A settings file that says everything and changes nothing."""
    defaults = Settings()
    lines = [
        "# Settings of tui-trader. Every value here is the default; bounds stand in brackets.",
        "# The environment overrides this file: TUI_TRADER_RISK__MAX_OPEN_POSITIONS=3",
    ]
    for section, model in SECTIONS.items():
        repeated = section == "routes"
        values = defaults.routes[0] if repeated else getattr(defaults, section)
        header = f"[[{section}]]" if repeated else f"[{section}]"
        lines += ["", f"# {(model.__doc__ or '').splitlines()[0]}", header]
        for name, field in model.model_fields.items():
            value = getattr(values, name)
            lines.append(f"# {field.description}{_bounds(field)}")
            if isinstance(value, dict):
                lines += [
                    f"[{section}.{name}]",
                    *(f"{key} = {toml_value(inner)}" for key, inner in value.items()),
                ]
            elif value is None:
                lines.append(f'# {name} = "…"')
            else:
                # A derived value must stay derived when the setting it follows is changed.
                lines.append(f"{'# ' if field.default_factory else ''}{name} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def _bounds(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return f" [{' | '.join(get_args(field.annotation))}]"
    low = next((x.ge for x in field.metadata if hasattr(x, "ge")), None)
    high = next((x.le for x in field.metadata if hasattr(x, "le")), None)
    return "" if low is None else f" [{low}–{high}]"
