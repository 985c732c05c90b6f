"""Open the doors of a run: from settings for a new run, and as its manifest records them for one that has begun."""

import functools
import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxevo.doors.source import (
    module_named,
    module_of_source,
    object_in,
    sha256_of,
    source_of,
)
from jaxevo.doors.spec import Kind, Spec, Value, outside, spec_from
from jaxevo.search import fitness, selection
from jaxevo.search.doors import Doors
from jaxevo.search.space import Mutation, SearchSpace
from jaxevo.settings import Settings
from jaxevo.spaces import built_in_spaces

FOLDER = "doors"
"""The folder in a work folder with the sources of doors that came in files."""


class DoorError(ValueError):
    """A door of a run cannot be opened; the message says which and what to do."""


@dataclass(frozen=True)
class Door:
    """A door from outside, as the manifest of a run records it.

    Attributes:
        kind: space, mutations, selection or fitness.
        name: `module:object`, or `file.py:object`.
        parameters: arguments of the object, by name.
        version: of the object, as its attribute `version` says; empty if it has none.
        sha256: hash of its source; that of no bytes for a module without source.
    """

    kind: Kind
    name: str
    parameters: dict[str, Value]
    version: str
    sha256: str


@dataclass(frozen=True)
class Opened:
    """The doors of a new run.

    Attributes:
        doors: the doors.
        records: those from outside, for the manifest.
        files: the sources that the work folder keeps, by hash.
    """

    doors: Doors
    records: tuple[Door, ...]
    files: Mapping[str, bytes]


def built_in(settings: Settings) -> Doors:
    """Returns the doors that the settings name, all of them built in; raises `ValueError` for one from outside."""
    for kind, spec in outside(settings).items():
        raise ValueError(f"{kind} is {spec.name!r}, which is not built in")
    return _made(settings, {})


def open_new(settings: Settings) -> Opened:
    """Opens the doors that the settings of a new run name; this runs the code of those from outside.

    Raises:
        ValueError: if a door is unknown, or refuses its parameters.
    """
    makers: dict[Kind, Callable[..., Any]] = {}
    sources: dict[Kind, bytes] = {}
    files: dict[str, bytes] = {}
    for kind, spec in outside(settings).items():
        source = source_of(kind, spec)
        if spec.is_file:
            files[sha256_of(source)] = source
            module = module_of_source(source, spec.place)
        else:
            module = module_named(kind, spec)
        sources[kind] = source
        makers[kind] = object_in(kind, spec, module)  # type: ignore[assignment]
    doors = _made(settings, makers)
    records = tuple(
        Door(kind, spec.name, spec.parameters, _version(doors, kind, makers[kind]), sha256_of(sources[kind]))
        for kind, spec in outside(settings).items()
    )
    return Opened(doors, records, files)


def open_recorded(settings: Settings, records: tuple[Door, ...], workdir: Path) -> Doors:
    """Opens the doors of a run that has begun, from the sources that its manifest records.

    The code of doors from outside runs, so the caller must have asked the user.

    Raises:
        DoorError: if the source of a door is missing or differs from that which the run began with.
    """
    makers: dict[Kind, Callable[..., Any]] = {}
    for door in records:
        spec = Spec(door.name, door.parameters)
        if spec.is_file:
            module = module_of_source(_kept(workdir, door), spec.place)
        else:
            _check_unchanged(door, [spec])
            module = module_named(door.kind, spec)
        makers[door.kind] = object_in(door.kind, spec, module)  # type: ignore[assignment]
    doors = _made(settings, makers)
    for door in records:
        version = _version(doors, door.kind, makers[door.kind])
        if version != door.version:
            raise DoorError(
                f"{door.kind} {door.name} has version {version!r}, but the run began with {door.version!r}: restore "
                "that version, or begin another run"
            )
    return doors


def kept_sources(records: tuple[Door, ...], workdir: Path) -> dict[str, bytes]:
    """Returns the sources that a work folder keeps, by hash, without running them; raises `DoorError`."""
    return {door.sha256: _kept(workdir, door) for door in records if Spec(door.name).is_file}


def check_named(records: tuple[Door, ...], named: tuple[str, ...]) -> None:
    """Checks that the user names every door from outside again, as it was; runs nothing.

    Raises:
        DoorError: if a door is not named, or its source differs from that which the run began with.
    """
    # Files in several folders may have one name.
    given: dict[str, list[Spec]] = {}
    for text in named:
        spec = spec_from("space", text)
        given.setdefault(_without_folder(spec.name), []).append(spec)
    missing = [door for door in records if _without_folder(door.name) not in given]
    if missing:
        names = list(dict.fromkeys(door.name for door in records))
        raise DoorError(
            f"the run has code from outside ({', '.join(f'{door.kind} {door.name}' for door in missing)}), which does "
            "not run unasked: give --trust-code if you know where the folder comes from, or --trust-doors "
            f"{shlex.quote(shlex.join(names))} to compare it with yours"
        )
    for door in records:
        _check_unchanged(door, given[_without_folder(door.name)])


def _check_unchanged(door: Door, named: Sequence[Spec]) -> None:
    """Raises `DoorError` unless one of the sources of that name is still that of a door."""
    found = [sha256_of(source_of(door.kind, spec)) for spec in named]
    if door.sha256 not in found:
        raise DoorError(
            f"{door.kind} {door.name} differs from what the run began with (its source has sha256 {found[0][:16]}, not "
            f"{door.sha256[:16]}): restore that source, or begin another run"
        )


def _kept(workdir: Path, door: Door) -> bytes:
    """Returns the source of a door that the work folder keeps."""
    path = workdir / FOLDER / f"{door.sha256}.py"
    try:
        source = path.read_bytes()
    except OSError as error:
        raise DoorError(
            f"{path}, the source of {door.kind} {door.name}, cannot be read ({error.strerror}): restore it from a copy"
        ) from error
    if sha256_of(source) != door.sha256:
        raise DoorError(
            f"{path}, the source of {door.kind} {door.name}, was altered: restore it from a copy. Nothing was changed"
        )
    return source


def _made(settings: Settings, makers: Mapping[Kind, Callable[..., Any]]) -> Doors:
    """Makes all doors: those from outside by their makers, the others by name."""
    space = _called(settings, "space", makers, built_in_spaces(settings), SearchSpace)
    outside_mutations = {kind: functools.partial(maker, space) for kind, maker in makers.items()}
    return Doors(
        space,
        _checked(settings, _called(settings, "mutations", outside_mutations, space.mutations, object)),
        _called(settings, "selection", makers, selection.built_in(settings), selection.Selection),
        _called(settings, "fitness", makers, fitness.BUILT_IN, fitness.Fitness),
    )


def _checked(settings: Settings, made: Any) -> tuple[Mutation[Any], ...]:
    """Returns the mutations that a door has made; raises `ValueError` if they cannot be drawn."""
    which = f"mutations is {settings.mutations!r}, but"
    # One mutation is a tuple too, but not of mutations.
    mutations = tuple(made) if isinstance(made, Iterable) else (made,)
    if not all(isinstance(mutation, Mutation) for mutation in mutations):
        raise ValueError(f"{which} must return a sequence of jaxevo.search.space.Mutation")
    for mutation in mutations:
        if not 0 <= mutation.weight < math.inf:
            raise ValueError(f"{which} the weight of {mutation.name} is {mutation.weight}: it must be 0 or more")
    if not any(mutation.weight > 0 for mutation in mutations):
        raise ValueError(f"{which} one mutation must have a weight above 0")
    return mutations


def _called(
    settings: Settings,
    kind: Kind,
    makers: Mapping[Kind, Callable[..., Any]],
    built_in: Mapping[str, Callable[..., Any]],
    expected: type,
) -> Any:
    text = getattr(settings, kind)
    spec = spec_from(kind, text)
    maker = makers[kind] if spec.outside else built_in.get(spec.name)
    if maker is None:
        raise ValueError(
            f"{kind} is {text!r}, but must be {' or '.join(built_in)}, with parameters after commas, or an object of "
            "yours: package.module:object or file.py:object"
        )
    try:
        made = maker(**spec.parameters)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{kind} is {text!r}, but {error}") from error
    if not isinstance(made, expected):
        raise ValueError(f"{kind} is {text!r}, but must return a {expected.__module__}.{expected.__name__}")
    return made


def _version(doors: Doors, kind: Kind, maker: Callable[..., Any]) -> str:
    return str(doors.space.version if kind == "space" else getattr(maker, "version", ""))


def _without_folder(name: str) -> str:
    """Returns a door's name without the folder of its file."""
    return name.rpartition("/")[2]
