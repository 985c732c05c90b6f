"""Trained networks of a run that decide together."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from jaxevo.environment import check_not_forked, prepare_process
from jaxevo.reports.classifier import Classifier
from jaxevo.reports.network import Network, finished_network, network_of
from jaxevo.search.population import Individual, ensemble_members
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

ENSEMBLE_SIZE = 5
"""Default number of members of an ensemble."""


class Ensemble(Classifier):
    """An ensemble of networks of a run, which decides by majority vote; ties go to the fittest of the tied.

    Attributes:
        members: networks, the fittest first.
        finished: True if the weights of all are finished ones.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        """Makes an ensemble of one or more networks of one run."""
        self.members = tuple(members)
        self.finished = all(member.finished for member in self.members)
        self.image_shape = members[0].image_shape
        self.class_names = members[0].class_names
        self.label_values = members[0].label_values

    def __repr__(self) -> str:
        """Returns the number and the ids of its members, and their weights."""
        ids = ", ".join(str(member.individual.id) for member in self.members)
        return f"<Ensemble of {len(self.members)}: individuals {ids}, {self.weights_kind} weights>"

    def __len__(self) -> int:
        """Returns the number of members."""
        return len(self.members)

    def predict_classes(self, images: ArrayLike) -> np.ndarray:
        """Returns the class that most members predict for each image; see `Classifier.predict_classes`."""
        images = self._checked(images)
        prepare_process()
        from jaxevo.networks.evaluation import majority_vote

        predictions = [member.predict_classes(images) for member in self.members]
        return majority_vote(predictions, len(self.class_names)).astype(np.int32)

    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Returns each class's share of the members' votes; see `Classifier.predict_proba`."""
        images = self._checked(images)
        votes = [member.predict_classes(images)[:, None] == np.arange(len(self.class_names)) for member in self.members]
        return np.asarray(np.mean(votes, axis=0), np.float32)

    def export(self, folder: str | Path, facts: Callable[[Network], Mapping[str, float | str]]) -> Path:
        """Exports the members, and their majority vote, to a folder that works without jaxevo.

        Args:
            folder: target folder; must not exist or must be empty.
            facts: returns facts of a member for its README.

        Returns:
            The folder.

        Raises:
            ValueError: if the folder cannot be written, or weights are not available.
        """
        prepare_process()
        check_not_forked()
        from jaxevo.reports.export.ensemble import Member, export_ensemble

        members = [
            Member(one.individual.id, one.genotype, one.variables, one.known_facts | dict(facts(one)))
            for one in self.members
        ]
        path = Path(folder).expanduser()
        export_ensemble(self.members[0].space, members, self.members[0].manifest, path)
        return path


def ensemble_of(history: History, workdir: Workdir, size: int) -> Ensemble:
    """Returns the fittest networks of a run as an ensemble, fewer than `size` if fewer have weights.

    They have finished weights if all of them have any: votes of networks trained less would drag the others down.

    Raises:
        ValueError: if `size` is not a whole number, 1 or more, or no training has succeeded.
    """
    return finished_ensemble_of(history, workdir, size) or evolved_ensemble_of(history, workdir, size)


def finished_ensemble_of(history: History, workdir: Workdir, size: int) -> Ensemble | None:
    """Returns the ensemble with finished weights, None unless all of its members have any; see `ensemble_of`."""
    networks = [finished_network(history, workdir, member) for member in _members(history, size)]
    finished = [network for network in networks if network is not None]
    return Ensemble(finished) if len(finished) == len(networks) else None


def evolved_ensemble_of(history: History, workdir: Workdir, size: int) -> Ensemble:
    """Returns the fittest networks of a run as an ensemble with evolved weights; see `ensemble_of`."""
    return Ensemble([network_of(history, workdir, member) for member in _members(history, size)])


def check_ensemble_size(size: int) -> None:
    """Raises `ValueError` unless an ensemble may have this many members."""
    if type(size) is not int or size < 1:
        raise ValueError(f"ensemble_size is {size!r}, but must be a whole number, 1 or more")


def _members(history: History, size: int) -> list[Individual]:
    check_ensemble_size(size)
    members = ensemble_members(history.state.population, history.best, size)
    if not members:
        raise ValueError("no individual of the run has been trained successfully yet: there is nothing to test")
    return members
