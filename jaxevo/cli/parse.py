"""Parse the command line: the options of a command come from a preset, a TOML file, and the words that were typed."""

import dataclasses
import difflib
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from jaxevo.cli.commands import COMMANDS, Command, PrintCommand, ResumeCommand, RunCommand
from jaxevo.cli.config import ConfigOptions, read_table, table_text
from jaxevo.cli.help import command_help, overview
from jaxevo.cli.options import SECTIONS, Option, build, check_complete, from_table, options_of, read_words
from jaxevo.presets import PRESETS, preset_beside
from jaxevo.session.limits import check_changes
from jaxevo.settings import Limits, Settings

HELP = ("-h", "--help")
"""Words that ask for help."""


def parse(arguments: Sequence[str]) -> Command:
    """Returns the command that the arguments describe.

    An option on the command line replaces that of the TOML file, which replaces that of the preset. A number of
    individuals, FLOPs or seconds replaces any of these of the preset.

    Raises:
        ValueError: with a sentence, if the arguments do not describe a command.
    """
    if not arguments or arguments[0] in HELP:
        return PrintCommand(overview(COMMANDS))
    name, *words = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0)[0]
        raise ValueError(f"{name!r} is no command: did you mean {near}? There are {', '.join(COMMANDS)}")
    options = command_options(name)
    asked = [word for word in words if word in HELP]
    if asked:
        preset = _preset(words) if COMMANDS[name] is RunCommand else {}
        return PrintCommand(command_help(name, COMMANDS[name], options, preset, short="--help" not in asked))
    return _command(name, options, read_words(words, name, options))


def command_options(name: str) -> list[Option]:
    """Returns the options and operands of a command, with those about files of options if it has settings."""
    kind = COMMANDS[name]
    has_sections = not set(SECTIONS).isdisjoint(typing.get_type_hints(kind).values())
    return [*options_of(kind), *(options_of(ConfigOptions) if has_sections else ())]


def _command(name: str, options: Sequence[Option], typed: Mapping[str, Any]) -> Command:
    kind, file = COMMANDS[name], typed.get("config")
    about_files = {field.name for field in dataclasses.fields(ConfigOptions)}
    own = [one for one in options if one.name not in about_files]
    values = {**({} if file is None else from_table(read_table(file), file, name, own)), **typed}
    sections = _sections(values.get("preset", RunCommand.preset), values) if kind is RunCommand else {}
    if kind is ResumeCommand:
        check_changes(values)
    check_complete(values, name, options)
    command: Command = build(kind, values, sections)
    if not values.get("print_config"):
        return command
    defaults = {one.name: one.default for one in options} | _fields(sections)
    return PrintCommand(table_text(own, defaults | values, defaults))


def _preset(words: Sequence[str]) -> dict[str, Any]:
    """Returns the settings and limits of the preset that is named beside `--help`, by name."""
    named = next((one for one in PRESETS if one in words or f"--preset={one}" in words), RunCommand.preset)
    return _fields(_sections(named, {}))


def _sections(preset: str, values: Mapping[str, Any]) -> dict[type, Any]:
    return dict(zip((Settings, Limits), preset_beside(preset, values), strict=True))


def _fields(sections: Mapping[type, Any]) -> dict[str, Any]:
    return {name: value for section in sections.values() for name, value in vars(section).items()}
