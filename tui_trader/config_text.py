"""Settings as text: an example file, and the settings in force with their sources."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from tui_trader.config import LoadedSettings, leaves
from tui_trader.errors import printable
from tui_trader.settings import SECTIONS, Settings, toml_value


def show(loaded: LoadedSettings) -> str:
    """Every setting, its value and where that came from; secrets are masked."""
    rows = [
        (key, toml_value(value), loaded.sources[key]) for key, value in leaves(loaded.settings.model_dump())
    ]
    width = max(len(key) + len(value) for key, value, _ in rows) + 3
    return "\n".join(printable(f"{f'{key} = {value}':<{width}}  # {source}") for key, value, source in rows)


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
