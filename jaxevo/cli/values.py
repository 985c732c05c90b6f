"""Read the values of options, from the command line and from TOML files alike."""

import decimal
import math
import re
import types
import typing
from typing import Any, Literal

_SIZES = {"": 1, "b": 1} | {
    f"{letter}{ending}": base ** (power + 1)
    for power, letter in enumerate("kmgt")
    for ending, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SIZE = re.compile(r"([\d.]+(?:e\d+)?)\s*([a-z]*)", re.IGNORECASE)
_TIME = re.compile(r"\s*([\d.]+)\s*([dhms])", re.IGNORECASE)
_LARGEST_EXPONENT = 30

Unit = Literal["time", "size"]


class UnreadableError(ValueError):
    """A value cannot be read; the message says what would do."""


def unit_of(name: str) -> Unit | None:
    """Returns the unit in which an option may be given beside plain numbers."""
    if name.endswith("_seconds"):
        return "time"
    return "size" if name == "max_memory" else None


def read_value(name: str, hint: Any, given: Any) -> Any:
    """Returns a value of the type of an option.

    Args:
        name: name of the option, which decides the unit.
        hint: type of the option. If it allows None, the text "none" is None.
        given: text from the command line, or a value from a TOML file.

    Raises:
        UnreadableError: if the value cannot be read.
    """
    kinds = kinds_of(hint)
    if types.NoneType in kinds and isinstance(given, str) and given.lower() == "none":
        return None
    kind = kinds[0]
    read = _READERS.get(unit_of(name) or kind)
    if typing.get_origin(kind) is Literal:
        value = given if given in typing.get_args(kind) else None
    elif read is not None and isinstance(given, str):
        value = read(given)
    else:
        value = _of_toml(kind, given)
    if value is None:
        raise UnreadableError(wanted(name, hint))
    return value


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Returns the types of a union, or the type itself; None comes last."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def wanted(name: str, hint: Any) -> str:
    """Returns what an option takes, for the end of a sentence."""
    kind = kinds_of(hint)[0]
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    return _WANTED[unit_of(name) or kind]


def value_text(name: str, value: Any) -> str:
    """Returns a value as a user would type it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _time_text(value) if unit_of(name) == "time" else _number_text(value)
    return str(value)


def _of_toml(kind: Any, given: Any) -> Any:
    """Returns a value of a TOML file, None if it is of another type."""
    if isinstance(given, bool):
        return given if kind is bool else None
    if kind is float and isinstance(given, int | float):
        return float(given)
    if kind is int and isinstance(given, int | float):  # To TOML 1e6 is no whole number, to a user it is.
        return int(given) if math.isfinite(given) and given == int(given) else None
    return given if kind is str and isinstance(given, str) else None


def _whole(text: str) -> int | None:
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() > _LARGEST_EXPONENT or number != number.to_integral_value():
        return None
    return int(number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _size(text: str) -> int | None:
    """Returns the bytes of a size such as 8GB, 512MiB or 1000."""
    found = _SIZE.fullmatch(text.strip())
    factor = _SIZES.get(found[2].lower()) if found else None
    number = _number(found[1]) if found else None
    return round(number * factor) if number is not None and math.isfinite(number) and factor is not None else None


def _time(text: str) -> float | None:
    """Returns the seconds of a time such as 1h30m or 90."""
    plain = _number(text)
    if plain is not None:
        return plain
    parts = _TIME.findall(text)
    numbers = [_number(amount) for amount, _ in parts]
    units = [unit.lower() for _, unit in parts]
    if not parts or _TIME.sub("", text).strip() or None in numbers or units != sorted(set(units), key="dhms".index):
        return None
    return sum(number * _SECONDS[unit] for number, unit in zip(numbers, units, strict=True) if number is not None)


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _number_text(value: float) -> str:
    if abs(value) < 1_000_000:
        return repr(value).removesuffix(".0")
    return str(decimal.Decimal(repr(value)).normalize()).replace("E+", "e")


def _time_text(seconds: float) -> str:
    for unit, length in _SECONDS.items():
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return _number_text(seconds)


_READERS: dict[Any, Any] = {int: _whole, float: _number, bool: _truth, "size": _size, "time": _time}
_WANTED: dict[Any, str] = {
    str: "text",
    int: "a whole number, such as 100 or 1e6",
    float: "a number, such as 0.5 or 4.5e12",
    bool: "true or false",
    "time": "seconds, or a time such as 90m, 2h or 1h30m",
    "size": "bytes, or a size such as 512MiB or 8GB",
}
