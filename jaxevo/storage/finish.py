"""The finish of a run in its work folder: the best individual, trained on.

It lies in `finish/`, outside of journal and fingerprint: it decides nothing. It belongs to one event of the run, whose
fingerprint it names; after a later event it is out of date.
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass

from jaxevo.storage.workdir import Workdir, WorkdirError, write_json


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


def write_finish(workdir: Workdir, finish: Finish) -> None:
    """Writes the finish of a run, atomically, after its weights."""
    write_json(workdir.finish / "finish.json", dataclasses.asdict(finish))


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


def remove_finish(workdir: Workdir) -> None:
    """Removes a finish that is out of date."""
    shutil.rmtree(workdir.finish, ignore_errors=True)
