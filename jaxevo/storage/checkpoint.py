"""What a run keeps through Orbax: trained weights, unfinished trainings, and snapshots of the evolution state.

Orbax restores part of a tree in silence, and most flipped bits too. So weights are hashed over everything that they
are, and a snapshot carries a hash of its text; every load compares.
"""

import contextlib
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from jaxevo.search.evolution import EvolutionState
from jaxevo.search.space import SearchSpace
from jaxevo.search.state_json import state_from_json, state_to_json
from jaxevo.spaces import space_from
from jaxevo.spaces.large_scale.inheritance import Variables
from jaxevo.storage.durable import force_tree
from jaxevo.storage.faults import kill_point
from jaxevo.storage.history import task_of_manifest
from jaxevo.storage.workdir import Manifest

_KEPT_SNAPSHOTS = 2
_TRAINING_NAME = re.compile(r"\d{6,}-\d+-\d+")


class CheckpointError(ValueError):
    """A checkpoint is missing or is not what was written; the message says which and what to do."""


class WeightStore:
    """The folder of trained weights: one folder an attempt, with its genotype beside them.

    Every thread needs a store of its own.
    """

    def __init__(self, folder: Path, space: SearchSpace[Any]) -> None:
        """Opens a folder of weights of a space's genotypes; it is created with the first ones."""
        self._folder = folder
        self._space = space
        self._checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())

    def save(self, name: str, genotype: Any, variables: Variables) -> str:
        """Saves an individual's trained variables (NumPy arrays) and returns their sha256.

        They are on disk, whole, when this returns: a journal's record may name them.
        """
        folder = self._folder / name
        folder.mkdir(parents=True)
        (folder / "genotype.json").write_text(json.dumps(self._space.to_json(genotype), indent=1) + "\n")
        kill_point("before weights commit")
        self._checkpointer.save(folder.absolute() / "variables", args=ocp.args.PyTreeSave(variables))
        force_tree(folder)  # Orbax forces the arrays only.
        kill_point("after weights commit")
        return variables_sha256(variables)

    def load(self, name: str, sha256: str, genotype: Any) -> Variables:
        """Returns an individual's variables as NumPy arrays.

        Raises:
            CheckpointError: if they are missing, or they or the genotype beside them differ from what was saved.
        """
        folder = self._folder / name
        remedy = "restore the folder from a copy; without it the run cannot go on"
        if not (folder / "variables").is_dir():
            raise CheckpointError(f"the weights {folder} are missing; {remedy}")
        try:
            beside = self._space.from_json(json.loads((folder / "genotype.json").read_text()))
            restored = self._checkpointer.restore(folder.absolute() / "variables", args=ocp.args.PyTreeRestore())
        except Exception as error:  # Orbax and TensorStore raise many kinds for a damaged folder.
            raise CheckpointError(f"the weights {folder} cannot be read; {remedy} ({error})") from error
        # Orbax drops empty trees.
        variables = {"params": restored["params"], "batch_stats": restored.get("batch_stats") or {}}
        if beside != genotype or variables_sha256(variables) != sha256:
            raise CheckpointError(f"the weights {folder} are not those that were saved; {remedy}")
        return variables


def variables_sha256(variables: Variables) -> str:
    """Returns the hash of variables over sorted path, dtype, shape and bytes."""
    return _digest(sorted(_leaves(variables))).hex()


def _digest(named: Iterable[tuple[str, Any]]) -> bytes:
    """Returns the sha256 of arrays over name, dtype, shape and bytes."""
    digest = hashlib.sha256()
    for name, array in named:
        array = np.ascontiguousarray(array)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _leaves(variables: Variables) -> list[tuple[str, Any]]:
    return [
        (f"{collection}/{module}/{name}", array)
        for collection, modules in variables.items()
        for module, arrays in modules.items()
        for name, array in arrays.items()
    ]


def remove_weights(folder: Path, names: list[str]) -> None:
    """Removes weights that nobody needs."""
    if not names:
        return
    kill_point("before collection")
    for name in names:
        # Not yet removed where a crash came in between: the next start removes what nobody names.
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder / name)
    kill_point("after collection")


class TrainingStore:
    """The folder of unfinished trainings: what a long training has come to, so that it can go on after a crash.

    A training checkpoint is a folder `{id}-{attempt}-{step}`. Every thread needs a store of its own.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a folder of training checkpoints; it is created with the first one."""
        self._folder = folder
        self._checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())

    def save(self, birth_id: int, attempt: int, step: int, arrays: Sequence[np.ndarray]) -> None:
        """Saves what a training has come to after `step` steps, in place of what its attempt saved before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        earlier = [name for name in self._names(birth_id) if _parts(name)[:2] == (birth_id, attempt)]
        content = {
            "arrays": dict(_numbered(arrays)),
            "sha256": np.frombuffer(_digest(_numbered(arrays)), np.uint8),
        }
        kill_point("before training checkpoint")
        name = f"{birth_id:06d}-{attempt}-{step}"
        self._checkpointer.save(self._folder.absolute() / name, args=ocp.args.PyTreeSave(content))
        force_tree(self._folder / name)
        kill_point("after training checkpoint")
        for name in earlier:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def last_step(self, birth_id: int) -> int:
        """Returns the last step that any attempt saved, 0 where none did."""
        return max((_parts(name)[2] for name in self._names(birth_id)), default=0)

    def load(self, birth_id: int) -> tuple[int, list[np.ndarray]] | None:
        """Returns the last step that was saved, and its arrays; None where there is none to go on from.

        A damaged one is removed and passed over: then the training begins further back, and comes to the same.
        """
        for name in sorted(self._names(birth_id), key=lambda name: _parts(name)[2], reverse=True):
            try:
                content = self._checkpointer.restore(self._folder.absolute() / name, args=ocp.args.PyTreeRestore())
                arrays = [content["arrays"][key] for key in sorted(content["arrays"], key=int)]
                if content["sha256"].tobytes() == _digest(_numbered(arrays)):
                    return _parts(name)[2], arrays
            except Exception as error:  # Orbax and TensorStore raise many kinds for a damaged folder.
                logging.getLogger(__name__).debug("the training checkpoint %s cannot be read: %s", name, error)
            shutil.rmtree(self._folder / name, ignore_errors=True)
        return None

    def remove(self, birth_ids: Iterable[int]) -> None:
        """Removes the checkpoints of births that have finished."""
        for birth_id in birth_ids:
            for name in self._names(birth_id):
                shutil.rmtree(self._folder / name, ignore_errors=True)

    def keep_only(self, needed: Callable[[int], bool]) -> None:
        """Removes all but those of births that are `needed(birth id)`, and what a crash left half written."""
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if not _TRAINING_NAME.fullmatch(path.name) or not needed(_parts(path.name)[0]):
                shutil.rmtree(path, ignore_errors=True)

    def _names(self, birth_id: int) -> list[str]:
        # Whole ones only: Orbax writes under another name first.
        found = self._folder.glob(f"{birth_id:06d}-*") if self._folder.is_dir() else ()
        return sorted(path.name for path in found if _TRAINING_NAME.fullmatch(path.name))


def _parts(name: str) -> tuple[int, int, int]:
    birth_id, attempt, step = map(int, name.split("-"))
    return birth_id, attempt, step


def _numbered(arrays: Sequence[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    return [(str(place), array) for place, array in enumerate(arrays)]


class SnapshotStore:
    """The folder of snapshots; the last two are kept."""

    def __init__(self, folder: Path, space: SearchSpace[Any]) -> None:
        """Opens a folder of snapshots, creating it where there is none, and removes what a crash left half written."""
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT_SNAPSHOTS, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._folder = folder
        self._space = space
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, state: EvolutionState) -> None:
        """Saves a state under its number of events; one that is there already is kept."""
        if state.events in self._manager.all_steps():
            return
        text = json.dumps(state_to_json(state, self._space))
        content = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "state": text}
        kill_point("before snapshot")
        self._manager.save(state.events, args=ocp.args.JsonSave(content))
        force_tree(self._folder / str(state.events))
        kill_point("after snapshot")

    def close(self) -> None:
        """Ends Orbax's threads."""
        self._manager.close()


def load_snapshots(folder: Path, manifest: Manifest, last: int | None = None) -> dict[int, EvolutionState]:
    """Returns the states that a folder of snapshots holds, by event, the latest last, and changes nothing in it.

    Args:
        folder: of the snapshots.
        manifest: of the run, by which is derived what they leave out.
        last: how many of the latest; None for all.

    Raises:
        CheckpointError: if one is not what was saved.
    """
    if not folder.is_dir():
        return {}
    with ocp.CheckpointManager(folder.absolute(), options=ocp.CheckpointManagerOptions(read_only=True)) as manager:
        steps = sorted(manager.all_steps())
        return {step: _load_snapshot(manager, folder, manifest, step) for step in steps[-last if last else None :]}


def load_latest_snapshot(folder: Path, manifest: Manifest) -> EvolutionState | None:
    """Returns the latest state, or None where none was saved, as `load_snapshots` does."""
    return next(iter(load_snapshots(folder, manifest, last=1).values()), None)


def _load_snapshot(manager: ocp.CheckpointManager, folder: Path, manifest: Manifest, step: int) -> EvolutionState:
    try:
        content = manager.restore(step, args=ocp.args.JsonRestore())
        text = content["state"]
        if hashlib.sha256(text.encode()).hexdigest() != content["sha256"]:
            raise ValueError("its checksum does not agree")
        settings = manifest.settings
        return state_from_json(json.loads(text), settings, space_from(settings), task_of_manifest(manifest))
    except Exception as error:  # Orbax raises many kinds for a damaged folder.
        raise CheckpointError(
            f"the snapshot {folder / str(step)} is damaged ({error}); delete that folder: the journal still holds the "
            "whole run. Nothing was changed"
        ) from error


def save_tree(path: Path, tree: Any) -> None:
    """Saves a tree of arrays to a path where nothing is yet; it is committed when this returns."""
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(path.absolute(), args=ocp.args.PyTreeSave(tree))
