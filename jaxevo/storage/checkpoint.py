"""Orbax checkpoints of a run: trained weights, unfinished trainings, and snapshots of the evolution state.

Orbax restores an incomplete tree, and most flipped bits, without an error. So every checkpoint has a hash over its
whole content, and every load compares it.
"""

import contextlib
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from jaxevo.search.evolution import EvolutionState
from jaxevo.search.space import SearchSpace
from jaxevo.search.state_json import state_from_json, state_to_json
from jaxevo.spaces.network_space import Variables, leaves
from jaxevo.storage.durable import force_tree
from jaxevo.storage.faults import kill_point
from jaxevo.storage.manifest import Manifest

_KEPT_SNAPSHOTS = 2
_TRAINING_NAME = re.compile(r"\d{6,}-\d+-\d+")
_INCOMPLETE_TRAINING = re.compile(_TRAINING_NAME.pattern + r"\.orbax-checkpoint-tmp.*")


class CheckpointError(ValueError):
    """A checkpoint is missing or differs from what was written; the message names it and says what to do."""


class WeightStore:
    """The trained weights: one folder per attempt, with the genotype beside the weights.

    Each thread needs a store of its own.
    """

    def __init__(self, folder: Path, space: SearchSpace[Any]) -> None:
        """Opens a folder of weights of genotypes of a space; the first save creates it."""
        self._folder = folder
        self._space = space
        self._checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())

    def save(self, name: str, genotype: Any, variables: Variables) -> str:
        """Saves an individual's trained variables (NumPy arrays) and returns their sha256.

        They are completely on disk when this returns, so that a record may name them.

        Raises:
            OSError: if they cannot be written.
        """
        folder = self._folder / name
        folder.mkdir(parents=True)
        (folder / "genotype.json").write_text(json.dumps(self._space.to_json(genotype), indent=1) + "\n")
        kill_point("before weights commit")
        with _writing(folder):
            self._checkpointer.save(folder.absolute() / "variables", args=ocp.args.PyTreeSave(variables))
        force_tree(folder)  # Orbax syncs only the arrays to disk.
        kill_point("after weights commit")
        return variables_sha256(variables)

    def load(self, name: str, sha256: str, genotype: Any) -> Variables:
        """Returns an individual's variables as NumPy arrays.

        Raises:
            CheckpointError: if the weights are missing, or they or the genotype beside them differ from what was saved.
        """
        folder = self._folder / name
        remedy = "restore the folder from a copy; the run cannot be resumed without it"
        if not (folder / "variables").is_dir():
            raise CheckpointError(f"the weights {folder} are missing; {remedy}")
        try:
            beside = self._space.from_json(json.loads((folder / "genotype.json").read_text()))
            restored = self._checkpointer.restore(folder.absolute() / "variables", args=ocp.args.PyTreeRestore())
        except Exception as error:  # Orbax and TensorStore raise many exception types for a damaged folder.
            raise CheckpointError(f"the weights {folder} cannot be read; {remedy} ({error})") from error
        # Orbax drops empty trees.
        variables = {"params": restored["params"], "batch_stats": restored.get("batch_stats") or {}}
        if beside != genotype or variables_sha256(variables) != sha256:
            raise CheckpointError(f"the weights {folder} are not those that were saved; {remedy}")
        return variables

    def damage(self, name: str, sha256: str, genotype: Any) -> list[str]:
        """Returns the sentence with which `load` would raise; empty if the weights are as they were saved."""
        try:
            self.load(name, sha256, genotype)
        except CheckpointError as error:
            return [str(error)]
        return []


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raises `OSError` where Orbax and TensorStore raise other types of errors, with the system's message in them."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise OSError(f"{folder} cannot be written ({error})") from error


def variables_sha256(variables: Variables) -> str:
    """Returns the sha256 of variables over path, dtype, shape and bytes, sorted by path."""
    return _digest(sorted(("/".join(path), array) for path, array in leaves(variables))).hex()


def _digest(named: Iterable[tuple[str, Any]]) -> bytes:
    """Returns the sha256 of named arrays over name, dtype, shape and bytes, in their order."""
    digest = hashlib.sha256()
    for name, array in named:
        array = np.ascontiguousarray(array)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.digest()


def remove_weights(folder: Path, names: list[str]) -> None:
    """Removes the weights of the given names."""
    if not names:
        return
    kill_point("before collection")
    for name in names:
        # After a crash halfway, the next session removes the rest, and some of these may be gone already.
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder / name)
    kill_point("after collection")


class TrainingStore:
    """The checkpoints of unfinished trainings, from which a long training continues after a crash.

    A training checkpoint is a folder `{id}-{attempt}-{step}`. Each thread needs a store of its own.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a folder of training checkpoints; the first save creates it."""
        self._folder = folder
        self._checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())

    def save(self, birth_id: int, attempt: int, step: int, arrays: Sequence[np.ndarray]) -> None:
        """Saves the state of a training after `step` steps, and removes what the attempt saved before.

        Raises:
            OSError: if it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        earlier = [name for name in self._names(birth_id) if _parts(name)[:2] == (birth_id, attempt)]
        content = {
            "arrays": dict(_numbered(arrays)),
            "sha256": np.frombuffer(_digest(_numbered(arrays)), np.uint8),
        }
        kill_point("before training checkpoint")
        name = f"{birth_id:06d}-{attempt}-{step}"
        with _writing(self._folder / name):
            self._checkpointer.save(self._folder.absolute() / name, args=ocp.args.PyTreeSave(content))
        force_tree(self._folder / name)
        kill_point("after training checkpoint")
        for name in earlier:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def last_step(self, birth_id: int) -> int:
        """Returns the last step that any attempt saved, 0 if there is none."""
        return max((_parts(name)[2] for name in self._names(birth_id)), default=0)

    def load(self, birth_id: int) -> tuple[int, list[np.ndarray]] | None:
        """Returns the last saved step and its arrays, None if there is no usable checkpoint.

        A damaged checkpoint is removed and skipped; the training then starts from an earlier step, to the same result.
        """
        for name in sorted(self._names(birth_id), key=lambda name: _parts(name)[2], reverse=True):
            try:
                content = self._checkpointer.restore(self._folder.absolute() / name, args=ocp.args.PyTreeRestore())
                arrays = [content["arrays"][key] for key in sorted(content["arrays"], key=int)]
                if content["sha256"].tobytes() == _digest(_numbered(arrays)):
                    return _parts(name)[2], arrays
            except Exception as error:  # Orbax and TensorStore raise many exception types for a damaged folder.
                logging.getLogger(__name__).debug("the training checkpoint %s cannot be read: %s", name, error)
            shutil.rmtree(self._folder / name, ignore_errors=True)
        return None

    def remove(self, birth_ids: Iterable[int]) -> None:
        """Removes the checkpoints of births that have finished."""
        for birth_id in birth_ids:
            for name in self._names(birth_id):
                shutil.rmtree(self._folder / name, ignore_errors=True)

    def keep_only(self, needed: Callable[[int], bool]) -> None:
        """Removes incomplete checkpoints, and those of births for which `needed(birth id)` is False.

        Names that are not ours are left alone.
        """
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            unneeded = _TRAINING_NAME.fullmatch(path.name) and not needed(_parts(path.name)[0])
            if unneeded or _INCOMPLETE_TRAINING.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)

    def _names(self, birth_id: int) -> list[str]:
        # Orbax writes under a temporary name first, so this finds complete checkpoints only.
        found = self._folder.glob(f"{birth_id:06d}-*") if self._folder.is_dir() else ()
        return sorted(path.name for path in found if _TRAINING_NAME.fullmatch(path.name))


def _parts(name: str) -> tuple[int, int, int]:
    birth_id, attempt, step = map(int, name.split("-"))
    return birth_id, attempt, step


def _numbered(arrays: Sequence[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    return [(str(place), array) for place, array in enumerate(arrays)]


class SnapshotStore:
    """The snapshots of the evolution state; the last two are kept."""

    def __init__(self, folder: Path, space: SearchSpace[Any]) -> None:
        """Opens or creates a folder of snapshots, and removes incomplete ones."""
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT_SNAPSHOTS, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._folder = folder
        self._space = space
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, state: EvolutionState) -> None:
        """Saves a state under its number of events; does nothing if there is one already."""
        if state.events in self._manager.all_steps():
            return
        text = json.dumps(state_to_json(state, self._space))
        content = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "state": text}
        kill_point("before snapshot")
        self._manager.save(state.events, args=ocp.args.JsonSave(content))
        force_tree(self._folder / str(state.events))
        kill_point("after snapshot")

    def close(self) -> None:
        """Stops Orbax's threads."""
        self._manager.close()


def load_snapshots(
    folder: Path, manifest: Manifest, space: SearchSpace[Any], last: int | None = None
) -> dict[int, EvolutionState]:
    """Returns the saved states by event, the latest last; changes nothing in the folder.

    Args:
        folder: folder of the snapshots.
        manifest: manifest of the run, to derive what snapshots omit.
        space: its search space.
        last: number of latest states to load; None for all.

    Raises:
        CheckpointError: if a snapshot differs from what was saved.
    """
    if not folder.is_dir():
        return {}
    with ocp.CheckpointManager(folder.absolute(), options=ocp.CheckpointManagerOptions(read_only=True)) as manager:
        steps = sorted(manager.all_steps())
        wanted = steps[-last if last else None :]
        return {step: _load_snapshot(manager, folder, manifest, space, step) for step in wanted}


def load_latest_snapshot(folder: Path, manifest: Manifest, space: SearchSpace[Any]) -> EvolutionState | None:
    """Returns the latest state, None if there is none; raises as `load_snapshots` does."""
    return next(iter(load_snapshots(folder, manifest, space, last=1).values()), None)


def _load_snapshot(
    manager: ocp.CheckpointManager, folder: Path, manifest: Manifest, space: SearchSpace[Any], step: int
) -> EvolutionState:
    try:
        content = manager.restore(step, args=ocp.args.JsonRestore())
        text = content["state"]
        if hashlib.sha256(text.encode()).hexdigest() != content["sha256"]:
            raise ValueError("its checksum does not match")
        return state_from_json(json.loads(text), manifest.settings, space, manifest.task)
    except Exception as error:  # Orbax raises many exception types for a damaged folder.
        raise CheckpointError(
            f"the snapshot {folder / str(step)} is damaged ({error}); delete that folder: the journal still holds the "
            "whole run. Nothing was changed"
        ) from error
