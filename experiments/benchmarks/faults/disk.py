"""Full and read-only disks: small tmpfs mounts, which only root can make."""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

from experiments.benchmarks.faults.account import Account, Cost, expect
from experiments.benchmarks.faults.host import Host
from experiments.benchmarks.faults.scene import CHECKPOINT_ALWAYS, EVENTS, Scene

_DISK_BYTES = 16 * 2**20
_BLOCK_BYTES = 4096
# Room for the weights of some individuals, so that the disk is full at different moments.
_MOST_BLOCKS_LEFT = 30


class NoDiskError(Exception):
    """A disk that cannot be mounted here."""


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """Mounts a small disk while the context lasts.

    Raises:
        NoDiskError: if this process may not mount one.
    """
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "jaxevo-faults", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: object) -> None:
    try:
        mounted = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoDiskError(f"mount cannot be called ({error})") from error
    if mounted.returncode != 0:
        raise NoDiskError(mounted.stderr.strip())


@contextlib.contextmanager
def _full(folder: Path, blocks_left: int) -> Iterator[None]:
    """Fills a disk but for `blocks_left` blocks while the context lasts."""
    ballast = folder / "ballast"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - blocks_left * _BLOCK_BYTES))
    try:
        yield
    finally:
        ballast.unlink()


def full(scene: Scene, times: int) -> Cost:
    """Fills the disk but for a random rest: the session ends with a message, and the next one, with space, goes on."""
    places = scene.random("full disk")
    cost = Cost()
    while cost.hits < times:
        with disk(scene.new_path()) as folder:
            cost += _full_until_it_ends(scene, folder / "run", times - cost.hits, places)
    return cost


def _full_until_it_ends(scene: Scene, path: Path, times: int, places: Random) -> Cost:
    """Fills the disk of one run until a session has room enough to reach the end, or `times` faults are done."""
    account = Account(path)
    with _full(path.parent, 0), scene.start(path) as host:
        _says(host, "No space left on device")
    account.fault()
    with scene.start(path, EVENTS // 4, **CHECKPOINT_ALWAYS) as host:
        expect(host.wait() == 0, f"a run in a folder where none could begin ends with: {host.output}")
    account.pause()
    for _ in range(times - 1):
        blocks = places.randrange(_MOST_BLOCKS_LEFT)
        with _full(path.parent, blocks), scene.resume(path, EVENTS, **CHECKPOINT_ALWAYS) as host:
            hit = host.wait() != 0
            if hit:
                _says(host, "No space left on device")
        account.fault(hit)
        if not hit:
            break
    return account.close(scene.ends_equal(path))


def read_only(scene: Scene, times: int) -> Cost:
    """Makes the disk read-only: run and resume change nothing and say why."""
    with disk(scene.new_path()) as folder:
        path = folder / "run"
        account = Account(path)
        for number in range(times):
            # A finished run would only be said to be finished.
            with _remounted(folder), scene.start(path) if number == 0 else scene.resume(path, EVENTS) as host:
                _says(host, "Read-only file system")
            account.fault()
            if number == 0:
                with scene.start(path, EVENTS // 4) as host:
                    expect(host.wait() == 0, f"a run in a folder where none could begin ends with: {host.output}")
                account.pause()
        return account.close(scene.ends_equal(path))


@contextlib.contextmanager
def _remounted(folder: Path) -> Iterator[None]:
    _mount("-o", "remount,ro", folder)
    try:
        yield
    finally:
        _mount("-o", "remount,rw", folder)


def _says(host: Host, words: str) -> None:
    """Expects that a session ends with a message that holds the system's words and what to do.

    TensorStore's threads may print lines around it.
    """
    status = host.wait()
    said = re.search(rf"jaxevo: error: workdir \S+ cannot be written \({words}\): ", host.output)
    expect(status == 2 and said is not None, f"with {words!r} a session ends with status {status}: {host.output}")
