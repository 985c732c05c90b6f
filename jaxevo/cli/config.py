"""Options in TOML files: read them, and print those of a command."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jaxevo.cli.options import Option, Shown


@dataclass(frozen=True)
class ConfigOptions:
    """The options about files of options."""

    config: Annotated[str | None, Shown("FILE", group="Files")] = None
    """TOML file of options, by the same names without dashes in front, such as max-individuals = 100. It replaces what
    a preset says, and options given here replace what it says."""
    print_config: Annotated[bool, Shown(group="Files")] = False
    """Print all options as TOML, to be read with --config, and do nothing else."""


def read_table(path: str) -> dict[str, Any]:
    """Returns the content of a TOML file; raises `ValueError` with a sentence if it cannot be read."""
    try:
        return tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--config is {path!r}, which cannot be read ({error.strerror}): give a TOML file") from error
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"--config is {path!r}, which is no TOML file: {error}") from error


def table_text(options: Sequence[Option], values: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Returns options as TOML, in groups.

    TOML has no null: an option without a value is left out if it has none by default either, else it is "none".

    Args:
        options: the options.
        values: the value of each option.
        defaults: the value that each option has if it is left out.
    """
    lines: list[str] = []
    group = ""
    for option in options:
        value = values[option.name]
        if option.shown.operand or (value is None and defaults[option.name] is None) or value == ():
            continue
        if option.shown.group != group:
            group = option.shown.group
            lines += [f"{chr(10) if lines else ''}# {group}"]
        lines.append(f"{option.key} = {_toml('none' if value is None else value)}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for that of the delete character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return "true" if value is True else "false" if value is False else repr(value)
