"""The source of a door from outside: find it, hash it, and load it.

The source of a file is loaded by its hash, so that every process of a run has the same one, wherever the file is by
then. Modules that a file imports are not covered.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import types
from pathlib import Path

from jaxevo.doors.spec import Kind, Spec

_PREFIX = "jaxevo_door_"


def source_of(kind: Kind, spec: Spec) -> bytes:
    """Returns the source of a door without running it; empty for a module without source.

    Raises:
        ValueError: if there is no such module, or the file cannot be read.
    """
    return _source_of_file(kind, spec) if spec.is_file else _source_of_module(kind, spec)


def _source_of_file(kind: Kind, spec: Spec) -> bytes:
    path = Path(spec.place).expanduser()
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{kind} is {spec.name!r}, but {path} cannot be read ({error.strerror}): give the path of a Python file, "
            "or package.module:object"
        ) from error


def module_of_source(source: bytes, shown: str) -> types.ModuleType:
    """Returns the module of a source, which runs once in a process.

    Args:
        source: of the file.
        shown: path of the file, for tracebacks.
    """
    name = _PREFIX + sha256_of(source)[:16]
    if name not in sys.modules:
        module = types.ModuleType(name)
        module.__file__ = shown
        sys.modules[name] = module  # Before it runs: dataclasses look their module up.
        try:
            exec(compile(source, shown, "exec"), vars(module))
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def module_named(kind: Kind, spec: Spec) -> types.ModuleType:
    """Returns an installed module; raises `ValueError` if there is none of that name."""
    try:
        return importlib.import_module(spec.place)
    except ImportError as error:
        raise ValueError(
            f"{kind} is {spec.name!r}, but {spec.place} cannot be imported ({error}): give an installed module, or a "
            "file such as my_door.py:object"
        ) from error


def _source_of_module(kind: Kind, spec: Spec) -> bytes:
    try:
        found = importlib.util.find_spec(spec.place)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ValueError(
            f"{kind} is {spec.name!r}, but there is no module {spec.place}: install it, or give a file such as "
            "my_door.py:object"
        )
    origin = found.origin
    return Path(origin).read_bytes() if origin is not None and origin.endswith(".py") else b""


def object_in(kind: Kind, spec: Spec, module: types.ModuleType) -> object:
    """Returns the object of a door; raises `ValueError` if the module has none of that name."""
    found: object = module
    for part in spec.object_name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        names = [name for name, one in vars(module).items() if inspect.isfunction(one) or inspect.isclass(one)]
        own = [name for name in names if getattr(vars(module)[name], "__module__", "") == module.__name__]
        raise ValueError(
            f"{kind} is {spec.name!r}, but {spec.place} has no function or class {spec.object_name!r}: it has "
            f"{', '.join(own) or 'none'}"
        )
    return found


def door_text(kind: Kind, given: object) -> str:
    """Returns the text that names a function or class of a module, or of the program that runs.

    Raises:
        ValueError: if it is of neither, as in a notebook.
    """
    module, name = getattr(given, "__module__", ""), getattr(given, "__qualname__", "<locals>")
    file = getattr(sys.modules.get(module), "__file__", None)
    if not callable(given) or "<" in name or file is None:
        raise ValueError(
            f"{kind} is {given!r}, but must be a function or class at the top of a module or of a program's file, or "
            "text such as my_door.py:object: other processes must find it"
        )
    return f"{file}:{name}" if module == "__main__" else f"{module}:{name}"


def sha256_of(source: bytes) -> str:
    """Returns the hash of a source."""
    return hashlib.sha256(source).hexdigest()
