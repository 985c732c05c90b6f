"""A run in a work folder: read, resume, verify and replay it, and export its networks."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from jaxevo.data import Dataset, absolute_name
from jaxevo.doors.trust import trust_of
from jaxevo.reports.arguments import ExecutionArguments, ResumeArguments, split_arguments
from jaxevo.reports.child import carry_out
from jaxevo.reports.ensemble import ENSEMBLE_SIZE, Ensemble, check_ensemble_size, ensemble_of
from jaxevo.reports.jobs import Finish as FinishJob
from jaxevo.reports.jobs import Replay, Resume, Verify
from jaxevo.reports.model_card import facts_of
from jaxevo.reports.network import Network, best_network, network_of
from jaxevo.reports.overview import read_result
from jaxevo.reports.scores import Scores, scores_of
from jaxevo.search.population import Individual, Population
from jaxevo.search.space import Drawing
from jaxevo.session.events import OnEvent
from jaxevo.session.limits import check_changes
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.finish import Finish
from jaxevo.storage.history import History
from jaxevo.storage.manifest import Manifest, read_manifest, recorded_execution
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.workdir import Workdir, check_path

if TYPE_CHECKING:
    import pandas


class Run:
    """A run up to its last event, or up to an earlier one.

    It shows the run as it was when it was opened; later sessions do not change it.

    Attributes:
        path: the work folder.
        settings: settings of the run.
    """

    def __init__(
        self,
        path: str | Path,
        max_events: int | None = None,
        dataset: str | Path | None = None,
        *,
        trust_code: bool = False,
        trust_doors: str | None = None,
    ) -> None:
        """Reads a run, or its first `max_events` events, without training anything.

        Weights are kept only of individuals that are alive after the last event, and of the best individual, unless the
        run was executed with `keep="all"`.

        Args:
            path: the work folder.
            max_events: number of events, None for all.
            dataset: name or path of the data set, if it has moved without the work folder.
            trust_code: True to run the code from outside that the run names, as `Execution.trust_code` does. Without it
                such a run is read, but no decision is recomputed and no network runs.
            trust_doors: doors whose code may run, as `Execution.trust_doors`.

        Raises:
            ValueError: if the folder holds no run or is damaged, its decisions differ from those of this version of
                jaxevo, or `max_events` is not a whole number, 0 or more.
        """
        if max_events is not None and (type(max_events) is not int or max_events < 0):
            raise ValueError(f"max_events is {max_events!r}, but must be a whole number, 0 or more")
        self.path = check_path(str(path))
        self._workdir = Workdir(self.path)
        self._dataset_place = _place(dataset)
        self._trust: dict[str, Any] = {"trust_code": trust_code, "trust_doors": trust_doors}
        self._history = History(self._workdir, max_events, trust=trust_of(Execution(**self._trust)))
        self.settings: Settings = self._history.manifest.settings

    def __repr__(self) -> str:
        """Returns its folder, data set, number of individuals, and best validation accuracy."""
        best = self._history.state.best
        accuracy = "" if best is None else f", best validation {best.accuracy:.1%}"
        return f"<Run in {self.path}: {self.settings.dataset}, {self.events} individuals{accuracy}>"

    @property
    def manifest(self) -> Manifest:
        """The manifest: settings, limits, data and machine."""
        return self._history.manifest

    @property
    def events(self) -> int:
        """Number of events: individuals that were trained and told."""
        return self._history.state.events

    @property
    def fingerprint(self) -> str:
        """Sha256 of the whole history up to `events`: every individual, fitness bit, death and weights hash."""
        return self._history.state.fingerprint

    @property
    def population(self) -> Population:
        """The individuals that are alive."""
        return self._history.state.population

    @cached_property
    def front(self) -> list[Individual]:
        """The front of fitness and cost over all individuals ever told, dead or alive, the cheapest first.

        No other individual is at least as fit and as cheap, and better in one of both.
        The cost is the setting `pareto_cost`. Of the dead only the best has weights, unless the run keeps all.
        """
        return self._history.front

    @cached_property
    def history(self) -> "pandas.DataFrame":
        """A DataFrame with one row per individual, in the order of events."""
        return self._history.frame()

    @property
    def skipped(self) -> list[int]:
        """Ids of individuals that the user skipped. If there are any, the seed alone does not reproduce the run."""
        return self._history.skipped

    @property
    def result(self) -> dict[str, Any]:
        """The content of `result.json`; empty if a signal or an error ended the last session, until it is finished."""
        return read_result(self.path)

    @cached_property
    def dataset(self) -> Dataset:
        """The images and labels of the run: `dataset.test.images`, `dataset.test.labels`, ...

        Labels are as classifiers take and return them: the integers that were given, or for text and folders of classes
        the place in the class names.

        Raises:
            ValueError: if the data set is missing or has changed.
        """
        return load_run_data(self._workdir, self.manifest, self._dataset_place).as_given()

    @property
    def best(self) -> Network:
        """The fittest network ever, with finished weights if the run was finished.

        Ties go to the earliest. `network(run.best.individual)` has the evolved weights.

        Raises:
            ValueError: if no individual has finished yet.
        """
        return best_network(self._history, self._workdir)

    @property
    def ensemble(self) -> Ensemble:
        """The five fittest networks; see `ensemble_of`."""
        return self.ensemble_of()

    def ensemble_of(self, size: int = ENSEMBLE_SIZE) -> Ensemble:
        """Returns an ensemble of the fittest networks of the population and the best individual.

        They have finished weights if all of them were finished.

        Args:
            size: number of members, 1 or more; fewer if fewer individuals have weights.

        Raises:
            ValueError: if no training has succeeded yet.
        """
        return ensemble_of(self._history, self._workdir, size)

    def individual(self, individual_id: int) -> Individual:
        """Returns an individual, dead or alive; raises `ValueError` for an unknown id."""
        if individual_id not in self._history.lives:
            raise ValueError(f"individual is {individual_id}, but the run has {self.events} finished ones so far")
        return self._history.lives[individual_id].individual

    def facts(self, individual_id: int) -> dict[str, Any]:
        """Returns an individual's row of `history` as JSON values; raises `ValueError` for an unknown id."""
        return self._history.row(self.individual(individual_id).id)

    def network(self, individual: Individual | int) -> Network:
        """Returns the network of an individual or an id, with evolved weights.

        Raises:
            ValueError: if the run has no such individual.
        """
        individual_id = individual.id if isinstance(individual, Individual) else individual
        return network_of(self._history, self._workdir, self.individual(individual_id))

    def drawing(self, individual_id: int) -> Drawing:
        """Returns an individual's network as boxes and edges; raises `ValueError` for an unknown id."""
        return self._history.space.drawing(self.individual(individual_id).genotype, self.manifest.task)

    def lineage(self, individual_id: int) -> list[Individual]:
        """Returns an individual's ancestors, oldest first, and itself; raises `ValueError` for an unknown id."""
        return self._history.lineage(self.individual(individual_id).id)

    def summary(self, individual_id: int) -> Mapping[str, float | str]:
        """Returns what the search space says of an individual, by name; raises `ValueError` for an unknown id."""
        return self._history.space.summary(self.individual(individual_id).genotype, self.manifest.task)

    def test_accuracy(self, individual_id: int) -> float | None:
        """Returns an individual's test accuracy in [0, 1], which selection never saw; None if there is none."""
        return self._history.lives[self.individual(individual_id).id].record.test_accuracy

    def test(self, ensemble_size: int = ENSEMBLE_SIZE) -> Scores:
        """Measures the test accuracy of the best network by validation, and of an ensemble by majority vote.

        Raises:
            ValueError: if no training has succeeded, or the data set is missing or has changed.
        """
        return scores_of(self.best, self.ensemble_of(ensemble_size), self.dataset)

    def export(self, folder: str | Path, individual: Individual | int | None = None) -> Path:
        """Exports the best network, or another one, to a folder that works without jaxevo; see `Network.export`."""
        network = self.best if individual is None else self.network(individual)
        return network.export(folder, facts_of(self._history, network, self.result))

    def report(
        self, file: str | Path | None = None, *, images: bool = True, phylogeny: str | Path | None = None
    ) -> Path:
        """Writes the run as one HTML page that needs no network, and returns its path.

        Args:
            file: the file to write; by default `report.html` in the work folder.
            images: True to show what the best network does with the test images, with at most twelve of them.
            phylogeny: a file for the descent as CSV in the ALife data standard; None for none.

        Raises:
            ValueError: if a file cannot be written.
        """
        from jaxevo.reports.page.assemble import write_page
        from jaxevo.reports.page.descent import phylogeny as descent
        from jaxevo.reports.page.story import page, story

        found, note = self._winner() if images else (None, "The test images were left out on demand.")
        path = self._workdir.report if file is None else Path(file).expanduser()
        write_page(path, page(story(self._history, found, note)))
        if phylogeny is not None:
            write_page(Path(phylogeny).expanduser(), descent(self._history))
        return path

    def _winner(self) -> tuple[dict[str, Any] | None, str]:
        """Returns what the best network does with the test images, or None and the reason why that is not known."""
        from jaxevo.reports.page.winner import winner

        if not self.manifest.class_names:
            return None, "Nothing is trained in this search space."
        if self._history.state.best_trained is None:
            return None, "No individual has been trained successfully yet."
        try:
            dataset = load_run_data(self._workdir, self.manifest, self._dataset_place)
        except (ValueError, OSError):
            return None, "The data set of the run is not on the machine that wrote this page."
        if not self._history.recomputed:
            return (
                None,
                "The winner is code from outside, which did not run: see --trust-code.",
            )
        try:
            return winner(self.best, dataset, self.result.get("linear_test_accuracy")), ""
        except (ValueError, OSError, RuntimeError):
            return None, "The winner could not be run on the machine that wrote this page."

    def export_ensemble(self, folder: str | Path, size: int = ENSEMBLE_SIZE) -> Path:
        """Exports the fittest networks, and their majority vote, to a folder that works without jaxevo.

        Args:
            folder: target folder; must not exist or must be empty.
            size: number of members.

        Raises:
            ValueError: if the folder cannot be written, or no training has succeeded.
        """
        return self.ensemble_of(size).export(folder, lambda one: facts_of(self._history, one, self.result))

    def resume(
        self,
        *,
        skip_birth: tuple[int, ...] = (),
        dataset: str | Path | None = None,
        on_event: OnEvent | None = None,
        **changes: Unpack[ResumeArguments],
    ) -> "Run":
        """Resumes the run from its last event, even if it was opened at an earlier one, and returns the new run.

        Args:
            skip_birth: births in training to count as failed, because they keep killing the process.
            dataset: name or path of the data set, if it has moved without the work folder.
            on_event: called after every told event; see `jaxevo.evolve`.
            **changes: fields of `Limits` and `Execution`, such as `max_individuals=200` or `lanes=1`. Other limits stay
                as in the last session, but for the one that ended it.

        Raises:
            ValueError: if a setting, folder or data set is not valid.
            RuntimeError: if a training could not be carried out.
            KeyboardInterrupt: if a signal stopped the session; `resume` again to continue.
        """
        limits, execution = split_arguments(changes, Limits, Execution)
        check_changes(limits)
        place = self._dataset_place if dataset is None else _place(dataset)
        trusted = self._trust | execution
        job = Resume(self.path, Execution(**trusted), Limits(**limits), tuple(skip_birth), place)
        carry_out(job, on_event)
        return self._opened(self.path, place, trusted)

    def finish(self, share: float, ensemble_size: int = 1, **changes: Unpack[ExecutionArguments]) -> Finish:
        """Trains the best individual on, on training and validation images; see `best`.

        Args:
            share: FLOPs of the finish over those that the run took, above 0.
            ensemble_size: individuals to train on, the fittest; each costs as much as the best. See `ensemble_of`.
            **changes: fields of `Execution`, such as `checkpoint_seconds=60`; `lanes` is not used.

        Returns:
            The finish of the best individual; an earlier one that succeeded stays if this one fails.

        Raises:
            ValueError, RuntimeError, KeyboardInterrupt: as for `resume`.
        """
        check_share(share)
        check_ensemble_size(ensemble_size)
        (execution,) = split_arguments(changes, Execution)
        trusted = self._trust | execution
        carry_out(FinishJob(self.path, Execution(**trusted), share, self._dataset_place, ensemble_size))
        finish = self._opened(self.path, self._dataset_place, trusted)._history.finish
        if finish is None:
            raise RuntimeError(f"the run in {self.path} went on while it was finished: finish it again")
        return finish

    def replay(self, path: str | Path, **changes: Unpack[ExecutionArguments]) -> "Run":
        """Trains all individuals again in a new folder, in the same order; equal fingerprints reproduce the run.

        Args:
            path: new work folder.
            **changes: fields of `Execution`, such as `lanes=1`.

        Returns:
            The new run.

        Raises:
            ValueError, RuntimeError, KeyboardInterrupt: as for `resume`.
        """
        (execution,) = split_arguments(changes, Execution)
        new = check_path(str(path))
        trusted = self._trust | execution
        carry_out(Replay(new, Execution(**trusted), self.path, self._dataset_place))
        return self._opened(new, self._dataset_place, trusted)

    def _opened(self, path: Path, place: str | None, execution: Mapping[str, Any]) -> "Run":
        """Returns a run that a session with these arguments has left, whose code may run if it might in the session."""
        return Run(path, dataset=place, **{name: execution[name] for name in self._trust})

    def verify(self, retrain: Literal["best"] | int | None = None) -> list[str]:
        """Returns a sentence for each difference; see `verify`."""
        return verify(self.path, retrain, self._dataset_place, **self._trust)


def check_share(share: float) -> None:
    """Raises `ValueError` unless a finish may cost this share of its run."""
    if not 0 < share < float("inf"):
        raise ValueError(f"share is {share!r}, but must be a finite number above 0")


def verify(
    path: str | Path,
    retrain: Literal["best"] | int | None = None,
    dataset: str | Path | None = None,
    *,
    trust_code: bool = False,
    trust_doors: str | None = None,
) -> list[str]:
    """Verifies a run: recomputes its decisions, hashes its weights, and returns a sentence for each difference.

    It prints what it has checked, changes nothing, and also reads folders that `open` refuses.

    Args:
        path: the work folder.
        retrain: lineages to train again from the first ancestor: "best", or a number of random individuals.
        dataset: name or path of the data set, if it has moved without the work folder.
        trust_code: True to run the code from outside that the run names; without it, decisions of such a run are not
            recomputed.
        trust_doors: doors whose code may run, as `Execution.trust_doors`.

    Raises:
        ValueError: if there is no run, or `retrain` is not valid.
    """
    if not (retrain is None or retrain == "best" or (type(retrain) is int and retrain >= 1)):
        raise ValueError(f"retrain is {retrain!r}, but must be best, or a number from 1")
    folder = check_path(str(path))
    recorded = recorded_execution(read_manifest(Workdir(folder)))
    execution = dataclasses.replace(recorded, trust_code=trust_code, trust_doors=trust_doors)
    findings: list[str] = carry_out(Verify(folder, execution, retrain, _place(dataset)))
    return findings


def _place(dataset: str | Path | None) -> str | None:
    return absolute_name(dataset) if dataset is not None else None
