"""The help of the command line, and its completion in shells."""

import dataclasses
import inspect
import re
import shutil
import textwrap
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jaxevo.cli.options import Option
from jaxevo.cli.values import kinds_of, value_text

ShellName = Literal["bash", "zsh"]

_WIDTH = 100
_COLUMN = 26
_COMMON = (
    "dataset",
    "preset",
    "seed",
    "workdir",
    "max_individuals",
    "max_seconds",
    "target_accuracy",
    "lanes",
    "report",
    "config",
)
_UNITS = (
    "N is a whole number (1000, 1e6), X a number (0.5, 4.5e12), TIME seconds or a time such as 90m or 1h30m, SIZE "
    "bytes or a size such as 512MiB or 8GB."
)
_NONE = "none unsets an option, such as a limit of the preset."
_COMPLETION = 'To complete commands and options with the tab key: eval "$(jaxevo completion bash)", or zsh.'


def overview(commands: Mapping[str, type]) -> str:
    """Returns the help of `jaxevo` without a command."""
    lines = ["usage: jaxevo COMMAND ...", "", "Evolve image classifiers: the same run from the same seed.", ""]
    lines += _rows([(name, _first_sentence(_about(kind))) for name, kind in commands.items()])
    lines += ["", "jaxevo COMMAND --help explains a command, jaxevo --version prints the version.", _COMPLETION]
    return "\n".join(lines)


def command_help(name: str, command: type, options: Sequence[Option], values: Mapping[str, Any], short: bool) -> str:
    """Returns the help of a command.

    Args:
        name: name of the command.
        command: its dataclass, whose docstring begins the help.
        options: its options and operands.
        values: defaults that differ from those of the options, such as those of a preset.
        short: True for the common options alone, in one sentence each.
    """
    operands = [
        one.shown.metavar if one.default is dataclasses.MISSING else f"[{one.shown.metavar}]"
        for one in options
        if one.shown.operand
    ]
    needed = [
        f"{one.flag} {one.shown.metavar}"
        for one in options
        if not one.shown.operand and one.default is dataclasses.MISSING
    ]
    lines = [" ".join(["usage: jaxevo", name, *operands, *needed, "[OPTION ...]"]), ""]
    for paragraph in _about(command).split("\n\n")[: 1 if short else None]:
        lines += [*textwrap.wrap(paragraph, _width()), ""]
    groups = list(dict.fromkeys(one.shown.group for one in options))
    if len(groups) == 1:
        return "\n".join([*lines, *_rows([(_title(one), _text(one, values)) for one in options])])
    common = [one for field in _COMMON for one in options if one.name == field]
    lines += ["Common options, in short:", *_rows([(_title(one), _first_sentence(one.about)) for one in common])]
    if short:
        return "\n".join([*lines, "", f"jaxevo {name} --help explains all options."])
    for group in groups:
        members = [(_title(one), _text(one, values)) for one in options if one.shown.group == group]
        lines += ["", f"{group}:", *_rows(members)]
    units = f"{_UNITS} {_NONE}" if values else _UNITS
    return "\n".join([*lines, "", *textwrap.wrap(units, _width()), "", *textwrap.wrap(_COMPLETION, _width())])


def completion(shell: ShellName, commands: Mapping[str, Sequence[Option]]) -> str:
    """Returns a script that completes commands, options, choices and file names in a shell."""
    cases = []
    for name, options in commands.items():
        named = [one for one in options if not one.shown.operand]
        for option in named:
            choices = _choices(option)
            if choices:
                cases.append(f'    "{name} {option.flag}") words="{" ".join(choices)}" ;;')
            elif not option.is_switch:
                cases.append(f'    "{name} {option.flag}") words= ;;')
        cases.append(f'    "{name} "*) words="{" ".join([*(one.flag for one in named), "--help"])}" ;;')
    return _SCRIPT.format(
        zsh=_ZSH if shell == "zsh" else "",
        commands=" ".join(commands),
        cases="\n".join(cases),
    )


_ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -Uz bashcompinit && bashcompinit
"""

# Words that begin with a dash are completed from the list, others also as file names.
_SCRIPT = """\
{zsh}_jaxevo() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands} --help --version" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}} $before" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _jaxevo jaxevo
"""


def _choices(option: Option) -> tuple[str, ...]:
    kind = kinds_of(option.hint)[0]
    if typing.get_origin(kind) is Literal:
        return typing.get_args(kind)
    return ("true", "false") if kind is bool and not option.is_switch else ()


def _about(command: type) -> str:
    return inspect.cleandoc(command.__doc__ or "")


def _first_sentence(text: str) -> str:
    """Returns the first sentence, which ends with a full stop before a capital letter."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(text.split()), maxsplit=1)[0]


def _title(option: Option) -> str:
    if option.shown.operand:
        return option.shown.metavar
    names = f"{option.shown.short}, {option.flag}" if option.shown.short else option.flag
    return names if option.is_switch else f"{names} {option.shown.metavar}"


def _text(option: Option, values: Mapping[str, Any]) -> str:
    """Returns what an option means, with its default. The docstring says what None means."""
    value = values.get(option.name, option.default)
    if value is None or value is dataclasses.MISSING or value == () or option.is_switch:
        return option.about
    about = re.sub(r"\s*Default: [^.]*(\.(?=\S)[^.]*)*\.$", "", option.about)
    return f"{about} Default: {value_text(option.name, value)}."


def _rows(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Returns names and their texts in two columns; the text of a long name begins on the next line."""
    lines = []
    indent = " " * _COLUMN
    for name, text in rows:
        wrapped = textwrap.wrap(text, _width() - _COLUMN, break_on_hyphens=False) or [""]
        if len(name) <= _COLUMN - 4:
            lines.append(f"  {name:<{_COLUMN - 2}}{wrapped.pop(0)}".rstrip())
        else:
            lines.append(f"  {name}")
        lines += [f"{indent}{line}" for line in wrapped]
    return lines


def _width() -> int:
    return max(_COLUMN + 24, min(_WIDTH, shutil.get_terminal_size().columns))
