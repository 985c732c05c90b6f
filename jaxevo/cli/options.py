"""Options of commands, as a table made from the fields of dataclasses and their docstrings.

A command is a dataclass. A field that is itself `Settings`, `Limits` or `Execution` stands for all fields of it.
argparse is not used: options may come from a preset, a TOML file and the command line, a value must be read in the same
way from both, and every error must name the option, what was given, and what would do. With one table for help, files,
completion and errors, taking the words apart is the least of it.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import re
import textwrap
import types
import typing
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from jaxevo.cli.values import UnreadableError, kinds_of, read_value, unit_of, wanted
from jaxevo.settings import Execution, Limits, Settings

SECTIONS: tuple[type, ...] = (Settings, Limits, Execution)
"""The dataclasses whose fields are options of their own."""

# The fields with which groups begin; a group goes on until the next of them.
_GROUPS = {
    "dataset": "What to evolve",
    "population_size": "How it evolves",
    "train_steps": "Training",
    "max_individuals": "Where to stop",
    "lanes": "Execution",
    "executor": "Cluster",
    "log": "Other tools",
}
_METAVARS = {
    "dataset": "DATASET",
    "image_size": "HEIGHTxWIDTH",
    "space": "SPACE",
    "mutations": "SET",
    "selection": "SELECTION",
    "fitness": "FITNESS",
    "trust_doors": "DOORS",
    "ray_address": "ADDRESS",
    "worker_resources": "RESOURCES",
    "log": "TOOLS",
}


class Shown(NamedTuple):
    """The presentation of a field of a command, in its annotation.

    Attributes:
        metavar: the placeholder of its value; if empty, its type decides.
        operand: True if it is given by its place instead of its name.
        short: short form of the option, such as "-o".
        example: what to give, for the error if a value that must be given is missing.
        group: heading in the help.
    """

    metavar: str = ""
    operand: bool = False
    short: str = ""
    example: str = ""
    group: str = "Options"


@dataclasses.dataclass(frozen=True)
class Option:
    """An option or an operand of a command.

    Attributes:
        name: name of the field.
        hint: type of the field.
        about: docstring of the field.
        default: default value; `dataclasses.MISSING` if it must be given.
        shown: presentation.
    """

    name: str
    hint: Any
    about: str
    default: Any
    shown: Shown

    @property
    def flag(self) -> str:
        """The name on the command line, such as "--max-seconds", or the metavar of an operand."""
        return self.shown.metavar.removesuffix(" ...") if self.shown.operand else f"--{self.key}"

    @property
    def key(self) -> str:
        """The name in a TOML file, such as "max-seconds"."""
        return self.name.replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """True if the option needs no value."""
        return self.hint is bool

    @property
    def is_many(self) -> bool:
        """True if the option takes several values."""
        return typing.get_origin(self.hint) is tuple

    def read(self, given: Any, label: str) -> Any:
        """Returns the value of given text, or of a value of a TOML file; raises `ValueError` with a sentence."""
        try:
            if not self.is_many:
                return read_value(self.name, self.hint, given)
            kind = typing.get_args(self.hint)[0]
            several = given if isinstance(given, list) else [given]
            return tuple(read_value(self.name, kind, one) for one in several)
        except UnreadableError as error:
            raise ValueError(f"{label} is {given!r}, but must be {error}") from None


def options_of(command: type) -> list[Option]:
    """Returns the options and operands of a command, in the order of its fields."""
    found: list[Option] = []
    hints = typing.get_type_hints(command, include_extras=True)
    for field in dataclasses.fields(command):
        hint = hints[field.name]
        if hint in SECTIONS:
            found += _of_section(hint)
        else:
            base, *extras = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
            shown = next((one for one in extras if isinstance(one, Shown)), Shown())
            found.append(_option(field, base, shown, command))
    return found


def _of_section(section: type) -> list[Option]:
    hints, group, found = typing.get_type_hints(section), "", []
    for field in dataclasses.fields(section):
        group = _GROUPS.get(field.name, group)
        found.append(_option(field, hints[field.name], Shown(group=group), section))
    return found


def _option(field: dataclasses.Field[Any], hint: Any, shown: Shown, kind: type) -> Option:
    shown = shown if shown.metavar else shown._replace(metavar=_metavar(field.name, hint))
    return Option(field.name, hint, _docs(kind)[field.name], field.default, shown)


def _metavar(name: str, hint: Any) -> str:
    kind = kinds_of(hint)[0]
    if typing.get_origin(kind) is Literal:
        return "|".join(typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "ID ..."
    plain = {int: "N", float: "X", bool: "true|false"}.get(kind, "TEXT")
    unit = unit_of(name)
    return _METAVARS.get(name, plain) if unit is None else unit.upper()


@functools.cache
def _docs(kind: type) -> Mapping[str, str]:
    """Returns the docstring of each field: the text below it in the source."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return found


def read_words(words: Iterable[str], command: str, options: Sequence[Option]) -> dict[str, Any]:
    """Returns the values that the words after a command give, by the names of options.

    Raises:
        ValueError: with a sentence, for an unknown option, or a value that is missing, unreadable or left over.
    """
    by_flag = {flag: one for one in options if not one.shown.operand for flag in (one.flag, one.shown.short) if flag}
    rest, operands, found = deque(words), list[str](), dict[str, Any]()
    while rest:
        word = rest.popleft()
        if word == "--":
            operands += rest
            break
        if not _is_flag(word):
            operands.append(word)
            continue
        name, equals, value = word.partition("=")
        if name not in by_flag:
            raise ValueError(f"{name} is no option of jaxevo {command}: did you mean {_closest(name, by_flag)}?")
        option = by_flag[name]
        read = option.read(value if equals else _following(option, rest), option.flag)
        found[option.name] = (*found.get(option.name, ()), *read) if option.is_many else read
    return found | _of_operands(operands, command, [one for one in options if one.shown.operand])


def _is_flag(word: str) -> bool:
    return re.fullmatch(r"-[a-zA-Z].*|--.+", word, re.DOTALL) is not None


def _closest(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, [*known, "--help"], n=1, cutoff=0)), "--help")


def _following(option: Option, rest: deque[str]) -> Any:
    """Takes the value that follows an option; those of an option that takes several end with the next option."""
    if option.is_switch:
        return "true"
    values: list[str] = []
    while rest and rest[0] != "--" and not _is_flag(rest[0]) and (option.is_many or not values):
        values.append(rest.popleft())
    if not values:
        kind = typing.get_args(option.hint)[0] if option.is_many else option.hint
        raise ValueError(f"{option.flag} is given without a value, but must be {wanted(option.name, kind)}")
    return values if option.is_many else values[0]


def _of_operands(given: list[str], command: str, operands: Sequence[Option]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rest = deque(given)
    for operand in operands:
        if operand.is_many and rest:
            found[operand.name] = operand.read(list(rest), operand.flag)
            rest.clear()
        elif rest:
            found[operand.name] = operand.read(rest.popleft(), operand.flag)
    if rest:
        takes = " ".join(operand.flag for operand in operands) or "options alone"
        raise ValueError(f"{rest[0]!r} is one word too many for jaxevo {command}, which takes {takes}")
    return found


def from_table(table: Mapping[str, Any], source: str, command: str, options: Sequence[Option]) -> dict[str, Any]:
    """Returns the values that a TOML file gives, by the names of options; names may have underscores.

    Raises:
        ValueError: with a sentence, for an unknown name or a value that is unreadable.
    """
    known = {one.key: one for one in options if not one.shown.operand}
    found = {}
    for key, given in table.items():
        option = known.get(key.replace("_", "-"))
        if option is None:
            raise ValueError(
                f"{key} in {source} is no option of jaxevo {command}: did you mean {_closest(key, known)}?"
            )
        found[option.name] = option.read(given, f"{key} in {source}")
    return found


def as_typed(sentence: str, options: Sequence[Option]) -> str:
    """Returns the sentence of an error with the options as they are typed: --max-seconds instead of max_seconds."""
    flags = {one.name: one.flag for one in options if not one.shown.operand}
    long = "|".join(name for name in sorted(flags, key=len, reverse=True) if "_" in name)
    # Names of one word are words of sentences too, but for the one that a sentence is about.
    pattern = rf"^({'|'.join(flags)})(?= is |:)"
    if long:
        pattern += rf"|(?<![\w/.=-])({long})(?![\w/(=-]|\.\w)"
    return re.sub(pattern, lambda found: flags[found[0]], sentence) if flags else sentence


def check_complete(values: Mapping[str, Any], command: str, options: Sequence[Option]) -> None:
    """Raises `ValueError` for an option or operand that must be given and is not."""
    for option in options:
        if option.default is dataclasses.MISSING and option.name not in values:
            raise ValueError(f"{option.flag} is missing for jaxevo {command}: give {option.shown.example}")


def build(command: type, values: Mapping[str, Any], defaults: Mapping[type, Any] = types.MappingProxyType({})) -> Any:
    """Returns a command from the values of its options.

    Args:
        command: the dataclass of the command.
        values: values by name; an option that is left out has its default.
        defaults: the `Settings`, `Limits` or `Execution` to start from, by type.

    Raises:
        ValueError: if a value does not fit.
    """
    hints, fields = typing.get_type_hints(command), {}
    for field in dataclasses.fields(command):
        section = hints[field.name]
        if section in SECTIONS:
            of_section = {one.name: values[one.name] for one in dataclasses.fields(section) if one.name in values}
            fields[field.name] = dataclasses.replace(defaults.get(section) or section(), **of_section)
        elif field.name in values:
            fields[field.name] = values[field.name]
    return command(**fields)
