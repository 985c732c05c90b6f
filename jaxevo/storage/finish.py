"""Finishes of a run in its work folder: the best individual, or each of the ensemble, trained on.

They lie in `finish/`, outside of journal and fingerprint: they decide nothing. They belong to one event of the run,
whose fingerprint they name; after a later event they are out of date. Until one is complete, its checkpoints and
weights lie in a folder that its number of steps names, because a checkpoint belongs to one schedule.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxevo.search.births import Birth
from jaxevo.storage.attempts import AttemptsError
from jaxevo.storage.durable import force, write_json
from jaxevo.storage.machine import Machine, differences, machine_from_json
from jaxevo.storage.workdir import Workdir, WorkdirError, weight_names

_ATTEMPTED = re.compile(r"\d{6,}-(\d+)\b.*")


@dataclass(frozen=True)
class Finish:
    """The finish of an individual.

    Attributes:
        individual_id: the individual that was trained on.
        fingerprint: of the run when it was finished.
        share: FLOPs of the finish over those of all trainings before it.
        learning_rate: peak of the schedule.
        steps: training steps.
        flops: FLOPs of the steps.
        seconds: seconds that the training took; of one that went on from a checkpoint, those since then.
        machine: the machine that trained it.
        weights: the folder of the finished weights, None if the training failed; the evolved ones then stay.
        weights_sha256: their hash, None if the training failed.
        test_accuracy: in [0, 1], None if the training failed or a test logit is not a finite number.
        failure: reason of the failure, None if the training succeeded.
        failed_share: share of a later finish that failed, so that this one stayed; None if there was none.
    """

    individual_id: int
    fingerprint: str
    share: float
    learning_rate: float
    steps: int
    flops: int
    seconds: float
    machine: Machine
    weights: str | None
    weights_sha256: str | None
    test_accuracy: float | None
    failure: str | None = None
    failed_share: float | None = None

    @property
    def tried_share(self) -> float:
        """The largest share that was tried: a longer finish that failed would fail again."""
        return max(self.share, self.failed_share or 0.0)

    def failed(self, share: float) -> bool:
        """Returns True if the finish of this share failed, or has no test accuracy."""
        return self.failed_share == share or (self.share == share and self.test_accuracy is None)


def unfinished(workdir: Workdir, steps: int) -> Workdir:
    """Returns the folder of a finish of a number of steps that is not complete."""
    return Workdir(workdir.finish / "training" / str(steps))


def begin_finish(folder: Workdir, machine: Machine) -> list[str]:
    """Notes the machine of a finish that begins or goes on, and removes what another machine has left of it.

    Otherwise the finished weights would have the bits of neither.

    Args:
        folder: of the finish; see `unfinished`.
        machine: the machine that trains.

    Returns:
        In what the other machine differs; empty if there was none.
    """
    path = folder.path / "machine.json"
    unlike: list[str] = []
    if path.exists():
        try:
            unlike = differences(machine, machine_from_json(json.loads(path.read_text())))
        except ValueError as error:
            unlike = [f"{path} is damaged ({error})"]
        if not unlike:
            return []
        shutil.rmtree(folder.path)
    folder.path.mkdir(parents=True, exist_ok=True)
    write_json(path, dataclasses.asdict(machine))
    return unlike


def write_finish(workdir: Workdir, finish: Finish) -> Finish:
    """Moves the weights of a finish to their place, writes it, and removes what is out of date, and all checkpoints.

    The individual's earlier finish, and those at other events, are out of date; but one with a test accuracy stays if
    this one has none. A crash in between costs at most the steps since the last checkpoint.

    Returns:
        The individual's finish from now on.
    """
    others = read_finishes(workdir, finish.fingerprint)
    earlier = others.get(finish.individual_id)
    if finish.test_accuracy is None and earlier is not None and earlier.test_accuracy is not None:
        stays = dataclasses.replace(earlier, failed_share=finish.share)
        _write(workdir, {**others, finish.individual_id: stays}.values())
        shutil.rmtree(workdir.finish / "training", ignore_errors=True)
        return stays
    others.pop(finish.individual_id, None)
    weights = workdir.finish / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    # No finish may name weights that are gone, so the earlier one goes before its weights.
    _write(workdir, others.values())
    kept = {other.weights for other in others.values()}
    for name in weight_names(weights):
        if name not in kept:
            shutil.rmtree(weights / name)
    if finish.weights is not None:
        (unfinished(workdir, finish.steps).weights / finish.weights).rename(weights / finish.weights)
        force(weights)
    _write(workdir, (*others.values(), finish))
    shutil.rmtree(workdir.finish / "training", ignore_errors=True)
    return finish


def _write(workdir: Workdir, finishes: Iterable[Finish]) -> None:
    write_json(workdir.finish / "finish.json", [dataclasses.asdict(finish) for finish in finishes])


def read_finishes(workdir: Workdir, fingerprint: str) -> dict[int, Finish]:
    """Returns the finishes of a run that has this fingerprint, by individual, in the order in which they were made.

    Raises:
        WorkdirError: if their file is damaged.
    """
    path = workdir.finish / "finish.json"
    if not path.exists():
        return {}
    try:
        finishes = [_finish_from_json({**fields}) for fields in json.loads(path.read_text())]
    except (ValueError, TypeError) as error:
        raise WorkdirError(
            f"{path} is damaged ({error}): delete the folder {workdir.finish} and finish the run again. Nothing was "
            "changed"
        ) from error
    return {finish.individual_id: finish for finish in finishes if finish.fingerprint == fingerprint}


def _finish_from_json(fields: dict[str, Any]) -> Finish:
    return Finish(**{**fields, "machine": machine_from_json(fields.get("machine"))})


class FinishAttempts:
    """The attempts at a finish in this session: numbered, with a count of the workers that died in them."""

    def __init__(self, folder: Workdir, max_deaths: int, last_step: Callable[[int], int]) -> None:
        """Counts the attempts that earlier sessions left traces of.

        Args:
            folder: of the finish, which is not complete; see `unfinished`.
            max_deaths: number of deaths without a later checkpoint after which there is no other attempt.
            last_step: `(individual id) -> step`, the step of the last checkpoint.
        """
        self._made = max(
            (_number(path) for part in (folder.weights, folder.training) for path in part.glob("*")), default=0
        )
        self._max_deaths = max_deaths
        self._last_step = last_step
        self._step = self._deaths = 0

    def begin(self, births: Sequence[Birth]) -> list[int]:
        """Returns the numbers of new attempts.

        Raises:
            AttemptsError: if the training has killed its worker too often.
        """
        for birth in births:
            step = self._last_step(birth.id)
            if step > self._step:
                self._step, self._deaths = step, 0
            if self._deaths >= self._max_deaths:
                raise AttemptsError(
                    f"the worker died {self._deaths} times while it trained individual {birth.id} on from "
                    f"step {step}: finish the run with workers of more memory, or with a larger --max-deaths. The run "
                    "is complete, and its finish has the last checkpoint"
                )
            self._made += 1
        return list(range(self._made - len(births) + 1, self._made + 1))

    def lost(self, birth_id: int, number: int, reason: str) -> None:
        """Counts a death."""
        self._deaths += 1

    def suspicious(self, birth_id: int) -> bool:
        """Returns False: a finish is always trained alone."""
        return False


def _number(path: Path) -> int:
    """Returns the number of the attempt that left weights or a checkpoint, 0 for names that are not ours."""
    found = _ATTEMPTED.fullmatch(path.name)
    return int(found[1]) if found else 0
