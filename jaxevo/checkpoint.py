"""What a run keeps through Orbax: trained weights, and snapshots of the evolution state.

Orbax restores part of a tree in silence, and most flipped bits too. So weights are hashed over everything that they
are, and a snapshot carries a hash of its text; every load compares.
"""

import contextlib
import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from jaxevo.evolution import EvolutionState, state_from_json, state_to_json
from jaxevo.faults import kill_point
from jaxevo.genotype import Genotype, genotype_from_json
from jaxevo.inheritance import Variables

_KEPT_SNAPSHOTS = 2


class CheckpointError(ValueError):
    """A checkpoint is missing or is not what was written; the message says which and what to do."""


class WeightStore:
    """The folder of trained weights: one folder an attempt, with its genotype beside them.

    Every thread needs a store of its own.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a folder of weights; it is created with the first ones."""
        self._folder = folder
        self._checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax logs every file.

    def save(self, name: str, genotype: Genotype, variables: Variables) -> str:
        """Saves an individual's trained variables (NumPy arrays) and returns their sha256.

        They are committed, in one rename, when this returns.
        """
        folder = self._folder / name
        folder.mkdir(parents=True)
        (folder / "genotype.json").write_text(json.dumps(genotype.to_json(), indent=1) + "\n")
        kill_point("before weights commit")
        self._checkpointer.save(folder.absolute() / "variables", args=ocp.args.PyTreeSave(variables))
        kill_point("after weights commit")
        return variables_sha256(variables)

    def load(self, name: str, sha256: str, genotype: Genotype) -> Variables:
        """Returns an individual's variables as NumPy arrays.

        Raises:
            CheckpointError: if they are missing, or they or the genotype beside them differ from what was saved.
        """
        folder = self._folder / name
        remedy = "restore the folder from a copy; without it the run cannot go on. Nothing was changed"
        if not (folder / "variables").is_dir():
            raise CheckpointError(f"the weights {folder} are missing; {remedy}")
        try:
            beside = genotype_from_json(json.loads((folder / "genotype.json").read_text()))
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
    digest = hashlib.sha256()
    for path, array in sorted(_leaves(variables)):
        array = np.ascontiguousarray(array)
        digest.update(f"{path} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _leaves(variables: Variables) -> list[tuple[str, Any]]:
    return [
        (f"{collection}/{module}/{name}", array)
        for collection, modules in variables.items()
        for module, arrays in modules.items()
        for name, array in arrays.items()
    ]


def weight_names(folder: Path) -> list[str]:
    """Returns the names of all weights in a folder, whole or not, sorted."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


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


class SnapshotStore:
    """The folder of snapshots; the last two are kept."""

    def __init__(self, folder: Path) -> None:
        """Opens a folder of snapshots, creating it where there is none, and removes what a crash left half written."""
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT_SNAPSHOTS, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._folder = folder
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, state: EvolutionState) -> None:
        """Saves a state under its number of events; one that is there already is kept."""
        if state.events in self._manager.all_steps():
            return
        text = json.dumps(state_to_json(state))
        content = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "state": text}
        kill_point("before snapshot")
        self._manager.save(state.events, args=ocp.args.JsonSave(content))
        kill_point("after snapshot")

    def load_latest(self) -> EvolutionState | None:
        """Returns the latest state, or None where none was saved.

        Raises:
            CheckpointError: if it is not what was saved.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        try:
            content = self._manager.restore(step, args=ocp.args.JsonRestore())
            text = content["state"]
            if hashlib.sha256(text.encode()).hexdigest() != content["sha256"]:
                raise ValueError("its checksum does not agree")
            return state_from_json(json.loads(text))
        except Exception as error:  # Orbax raises many kinds for a damaged folder.
            raise CheckpointError(
                f"the snapshot {self._folder / str(step)} is damaged ({error}); delete that folder: the journal still "
                "holds the whole run. Nothing was changed"
            ) from error

    def close(self) -> None:
        """Ends Orbax's threads."""
        self._manager.close()


def save_tree(path: Path, tree: Any) -> None:
    """Saves a tree of arrays to a path where nothing is yet; it is committed when this returns."""
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(path.absolute(), args=ocp.args.PyTreeSave(tree))
