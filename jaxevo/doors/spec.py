"""The text that names a door: NAME, PACKAGE.MODULE:OBJECT or FILE.py:OBJECT, and parameters after commas."""

from dataclasses import dataclass, field
from typing import Literal

from jaxevo.settings import Settings

Kind = Literal["space", "mutations", "selection", "fitness"]
KINDS: tuple[Kind, ...] = ("space", "mutations", "selection", "fitness")
"""The kinds of doors, each of which is a setting."""

Value = bool | int | float | str


@dataclass(frozen=True)
class Spec:
    """A door as a setting names it.

    Attributes:
        name: a built-in name, or `module:object`, where the module may be a Python file.
        parameters: arguments of the object, by name.
    """

    name: str
    parameters: dict[str, Value] = field(default_factory=dict)

    @property
    def outside(self) -> bool:
        """True if the door is not built in."""
        return ":" in self.name

    @property
    def place(self) -> str:
        """The module or file of a door from outside."""
        return self.name.rpartition(":")[0]

    @property
    def object_name(self) -> str:
        """The name of the object in it."""
        return self.name.rpartition(":")[2]

    @property
    def is_file(self) -> bool:
        """True if the object is in a file, not in an installed module."""
        return self.place.endswith(".py")


def spec_from(kind: Kind, text: str) -> Spec:
    """Returns the door that a setting names.

    Raises:
        ValueError: if a parameter is not KEY=VALUE, or is given twice.
    """
    name, *parts = (part.strip() for part in text.split(","))
    parameters: dict[str, Value] = {}
    for part in filter(None, parts):
        key, equals, value = (one.strip() for one in part.partition("="))
        if not equals or not key or not value:
            raise ValueError(f"{kind} is {text!r}, but {part!r} must be KEY=VALUE")
        if key in parameters:
            raise ValueError(f"{kind} is {text!r}, but {key} must be given once")
        parameters[key] = _value(value)
    return Spec(name, parameters)


def outside(settings: Settings) -> dict[Kind, Spec]:
    """Returns the doors of a run that are not built in."""
    specs = {kind: spec_from(kind, getattr(settings, kind)) for kind in KINDS}
    return {kind: spec for kind, spec in specs.items() if spec.outside}


def _value(text: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
