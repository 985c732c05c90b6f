"""The lock of a work folder, and what to do when the folder cannot be written."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from jaxevo.storage.workdir import WorkdirError

_LOCK_TRIES, _LOCK_SECONDS = 10, 0.02

# Remedies by the error code of a failed write.
_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "correct its permissions",
}


class WorkdirInUseError(WorkdirError):
    """Another process writes to a work folder."""


@contextlib.contextmanager
def locked(path: Path, command: str = "resume") -> Iterator[None]:
    """Locks the work folder for one writer.

    Args:
        path: the work folder.
        command: of jaxevo, to give again where the folder cannot be written.

    Raises:
        WorkdirInUseError: if another process has locked the folder.
        WorkdirError: if it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkdirError(
            f"workdir {path} cannot be written ({error.strerror}): correct that, or choose another folder"
        ) from error
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            raise WorkdirInUseError(
                f"workdir {path} is in use by another process: wait for it, stop it, or choose another folder"
            ) from error
        with writing_explained(path, command):
            yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Locks a file; tries again for a moment, since whoever asks whether it is locked locks it for an instant."""
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOCK_SECONDS)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Returns True if a process writes to the work folder now."""
    try:
        descriptor = os.open(path / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def writing_explained(path: Path, command: str = "resume") -> Iterator[None]:
    """Explains why the work folder cannot be written, such as a full or read-only disk, and what to do.

    Orbax and TensorStore raise several types of errors; all of them contain the system's message.

    Raises:
        WorkdirError: in place of such an error.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if not _may_be_of(error, path):
            raise
        for number, remedy in _REMEDIES.items():
            words = os.strerror(number)
            if words in str(error):
                begun = (path / "manifest.json").exists()
                then = f"and {command} with 'jaxevo {command} {path}'" if begun else "or choose another folder"
                raise WorkdirError(
                    f"workdir {path} cannot be written ({words}): {remedy}, {then}. Finished individuals are kept"
                ) from error
        raise


def _may_be_of(error: Exception, path: Path) -> bool:
    """Returns False for an error that names a file outside of the folder, such as one of the data set."""
    name = getattr(error, "filename", None)
    return not isinstance(name, str | os.PathLike) or Path(name).absolute().is_relative_to(path.absolute())
