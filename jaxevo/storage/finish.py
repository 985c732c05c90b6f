"""The finish of a run in its work folder: the best individual, trained on.

It lies in `finish/`, outside of journal and fingerprint: it decides nothing. It belongs to one event of the run, whose
fingerprint it names; after a later event it is out of date. Until it is complete, its checkpoints and weights lie in a
folder that its number of steps names, because a checkpoint belongs to one schedule.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxevo.search.births import Birth
from jaxevo.storage.attempts import AttemptsError
from jaxevo.storage.durable import force
from jaxevo.storage.workdir import Workdir, WorkdirError, write_json

_ATTEMPTED = re.compile(r"\d{6,}-(\d+)\b.*")


@dataclass(frozen=True)
class Finish:
    """The finish of a run.

    Attributes:
        individual_id: the individual that was trained on, the best by validation.
        fingerprint: of the run when it was finished.
        share: FLOPs of the finish over those of all trainings before it.
        learning_rate: peak of the schedule.
        steps: training steps.
        flops: FLOPs of the steps.
        seconds: seconds that the training took.
        weights: the folder of the finished weights, None if the training failed; the evolved ones then stay.
        weights_sha256: their hash, None if the training failed.
        test_accuracy: in [0, 1], None if the training failed.
        failure: reason of the failure, None if the training succeeded.
    """

    individual_id: int
    fingerprint: str
    share: float
    learning_rate: float
    steps: int
    flops: int
    seconds: float
    weights: str | None
    weights_sha256: str | None
    test_accuracy: float | None
    failure: str | None = None


def unfinished(workdir: Workdir, steps: int) -> Workdir:
    """Returns the folder of a finish of a number of steps that is not complete."""
    return Workdir(workdir.finish / "training" / str(steps))


def write_finish(workdir: Workdir, finish: Finish) -> None:
    """Moves the weights of a finish to their place, writes it, and removes an earlier one and all checkpoints.

    A crash in between costs at most the steps since the last checkpoint.
    """
    (workdir.finish / "finish.json").unlink(missing_ok=True)
    weights = workdir.finish / "weights"
    shutil.rmtree(weights, ignore_errors=True)
    weights.mkdir(parents=True)
    if finish.weights is not None:
        (unfinished(workdir, finish.steps).weights / finish.weights).rename(weights / finish.weights)
        force(weights)
    write_json(workdir.finish / "finish.json", dataclasses.asdict(finish))
    shutil.rmtree(workdir.finish / "training", ignore_errors=True)


def read_finish(workdir: Workdir, fingerprint: str) -> Finish | None:
    """Returns the finish of a run that has this fingerprint, None if there is none.

    Raises:
        WorkdirError: if it is damaged.
    """
    path = workdir.finish / "finish.json"
    if not path.exists():
        return None
    try:
        finish = Finish(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise WorkdirError(
            f"{path} is damaged ({error}): delete the folder {workdir.finish} and finish the run again. Nothing was "
            "changed"
        ) from error
    return finish if finish.fingerprint == fingerprint else None


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
                    f"the worker died {self._deaths} times while it trained the best individual, {birth.id}, on from "
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
