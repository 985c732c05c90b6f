"""Missing and altered bytes: a torn journal, flipped bits in journal, snapshot and weights."""

import shutil
from pathlib import Path
from random import Random

import jax
import numpy as np

from experiments.benchmarks.faults.account import Account, Cost, expect
from experiments.benchmarks.faults.host import SIGKILLED, apart
from experiments.benchmarks.faults.scene import EVENTS, Scene, journal
from jaxevo.doors.opening import built_in
from jaxevo.storage.checkpoint import CheckpointError, WeightStore, load_latest_snapshot, load_snapshots
from jaxevo.storage.history import History
from jaxevo.storage.journal import Journal, JournalError, read_journal
from jaxevo.storage.manifest import read_manifest
from jaxevo.storage.workdir import Workdir

_TOLD = EVENTS // 4


def journal_cut(scene: Scene, times: int) -> Cost:
    """Cuts a journal at every byte of its last record, as a crash while writing would; resumes some of the runs."""
    # Killed right after that record: weights that only its training needed would be collected later.
    path = scene.new_path()
    with scene.start(path, kill_point=f"after journal record:{_TOLD}") as host:
        expect(host.wait() == SIGKILLED, f"a run to be killed after a record ends with: {host.output}")
    file = path / "journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if line.startswith(b'{"kind": "record"'))
    before, record = b"".join(lines[:last]), lines[last]
    file.write_bytes(before)
    expected = journal(path)
    for length in range(len(record)):
        file.write_bytes(before + record[:length])
        expect(journal(path) == expected, f"a journal cut at byte {length} of its last record reads differently")
        Journal(file).close()
        expect(file.read_bytes() == before, f"a journal cut at byte {length} of its last record is repaired wrongly")
    cost = Cost(len(record), len(record), note=f"{times} of them were resumed to the end")
    for length in scene.random("journal cut").sample(range(len(record)), times):
        again = Path(shutil.copytree(path, scene.new_path()))
        account = Account(again)
        account.pause()
        (again / "journal.jsonl").write_bytes(before + record[:length])
        cost += account.close(scene.ends_equal(again))
    return cost


def journal_bits(scene: Scene, times: int) -> Cost:
    """Flips bits of the journal: each is refused, or the last line is dropped as torn, or the content is the same."""
    places = scene.random("journal bits")
    path = _copy(scene)
    file = path / "journal.jsonl"
    whole = file.read_bytes()
    # A flipped bit at the end of the last line makes it a torn one.
    file.write_bytes(whole[: whole.rstrip(b"\n").rfind(b"\n") + 1])
    shorter = journal(path)
    file.write_bytes(whole)
    same = (journal(path), shorter)
    found = 0
    for _ in range(times):
        file.write_bytes(_flipped(whole, places))
        try:
            read = read_journal(file)
        except JournalError as error:
            expect("restore the file from a copy" in str(error), f"a flipped bit of the journal gives: {error}")
            found += 1
        else:
            expect(read in same, "a flipped bit of the journal is not noticed")
    damaged = _flipped(whole[: len(whole) // 2], places) + whole[len(whole) // 2 :]
    file.write_bytes(damaged)
    account = Account(path)
    with scene.resume(path, EVENTS) as host:
        expect(host.wait() == 2 and "is damaged" in host.output, f"with a damaged journal: {host.output}")
    expect(file.read_bytes() == damaged, "a damaged journal is changed")
    file.write_bytes(whole)
    account.pause()
    return Cost(times, found) + account.close(scene.ends_equal(path))


def snapshot_bits(scene: Scene, times: int) -> Cost:
    """Flips bits of the last snapshot: each is refused or harmless, and deleting the snapshot helps."""
    path = _copy(scene)
    account = Account(path)
    account.pause()
    latest = (
        path / "snapshots" / str(max(int(one.name) for one in (path / "snapshots").iterdir() if one.name.isdigit()))
    )
    whole = Path(shutil.copytree(latest, scene.new_path()))
    found = apart(_flip_snapshot, latest, whole, scene.random("snapshot bits"), times)
    _spoil(latest)
    with scene.resume(path, EVENTS) as host:
        expect(host.wait() == 2 and "delete that folder" in host.output, f"with a damaged snapshot: {host.output}")
    shutil.rmtree(latest)
    return Cost(times, found) + account.close(scene.ends_equal(path))


def _flip_snapshot(latest: Path, whole: Path, places: Random, times: int) -> int:
    """Returns how many flips were found."""
    manifest = read_manifest(Workdir(latest.parent.parent))
    space = built_in(manifest.settings).space
    expected = load_snapshots(latest.parent, manifest, space)[int(latest.name)]
    found = 0
    for _ in range(times):
        name = _flip_a_bit(latest, places)
        try:
            state = load_latest_snapshot(latest.parent, manifest, space)
        except CheckpointError as error:
            expect("delete that folder" in str(error), f"a flipped bit of a snapshot gives: {error}")
            found += 1
        else:
            expect(state == expected, f"a flipped bit of a snapshot, in {name}, is not noticed")
        _put(latest, whole)
    return found


def weight_bits(scene: Scene, times: int) -> Cost:
    """Flips bits of trained weights: each is refused or harmless, and restoring a copy helps."""
    path = _copy(scene)
    account = Account(path)
    account.pause()
    whole = Path(shutil.copytree(path / "weights", scene.new_path()))
    found = apart(_flip_weights, path, whole, scene.random("weight bits"), times)
    for individual in History(Workdir(path)).state.population:
        if individual.weights is not None:
            _spoil(path / "weights" / individual.weights / "variables")
    with scene.resume(path, EVENTS) as host:
        expect(host.wait() == 2 and "restore the folder from a copy" in host.output, f"damaged weights: {host.output}")
    account.pause()
    for copy in whole.iterdir():
        _put(path / "weights" / copy.name, copy)
    return Cost(times, found) + account.close(scene.ends_equal(path))


def _flip_weights(path: Path, whole: Path, places: Random, times: int) -> int:
    """Returns how many flips were found."""
    history, found = History(Workdir(path)), 0
    store = WeightStore(path / "weights", history.space)
    living = [one for one in history.state.population if one.weights is not None]
    expected = {one.id: store.load(one.weights or "", one.weights_sha256 or "", one.genotype) for one in living}
    for _ in range(times):
        one = places.choice(living)
        assert one.weights is not None
        assert one.weights_sha256 is not None
        folder = path / "weights" / one.weights
        name = _flip_a_bit(folder, places)
        try:
            loaded = store.load(one.weights, one.weights_sha256, one.genotype)
        except CheckpointError as error:
            expect("restore the folder from a copy" in str(error), f"a flipped bit of weights gives: {error}")
            found += 1
        else:
            same = jax.tree.map(np.array_equal, loaded, expected[one.id])
            expect(jax.tree.all(same), f"a flipped bit of weights, in {name}, is not noticed")
        _put(folder, whole / one.weights)
    return found


def _copy(scene: Scene) -> Path:
    """Returns a copy of an undisturbed run that stopped early."""
    return Path(shutil.copytree(scene.undisturbed(_TOLD), scene.new_path()))


def _put(folder: Path, whole: Path) -> None:
    """Replaces a folder by its copy."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)


def _spoil(folder: Path) -> None:
    """Alters every byte of every file in a folder."""
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(bytes(byte ^ 0x55 for byte in file.read_bytes()))


def _flip_a_bit(folder: Path, places: Random) -> Path:
    """Flips a bit of a random file that is not empty; returns the file's name."""
    file = places.choice(sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size))
    file.write_bytes(_flipped(file.read_bytes(), places))
    return file.relative_to(folder)


def _flipped(data: bytes, places: Random) -> bytes:
    flipped = bytearray(data)
    flipped[places.randrange(len(data))] ^= 1 << places.randrange(8)
    return bytes(flipped)
