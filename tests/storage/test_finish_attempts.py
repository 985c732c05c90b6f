"""The attempts at a finish: numbered apart from all that left traces, and bounded."""

import pytest
from helpers.births import birth_of
from helpers.genotypes import INITIAL

from jaxevo.storage.attempts import AttemptsError
from jaxevo.storage.finish import FinishAttempts, unfinished
from jaxevo.storage.workdir import Workdir

BIRTH = birth_of(7, INITIAL)


def lose(attempts, times):
    for _ in range(times):
        [number] = attempts.begin([BIRTH])
        attempts.lost(BIRTH.id, number, "it died")


def test_an_attempt_has_a_number_of_its_own(tmp_path):
    folder = unfinished(Workdir(tmp_path), 100)
    attempts = FinishAttempts(folder, 5, lambda _: 0)
    assert [attempts.begin([BIRTH]) for _ in range(2)] == [[1], [2]]
    (folder.weights / "000007-3").mkdir(parents=True)
    (folder.training / "000007-5-60.orbax-checkpoint-tmp").mkdir(parents=True)
    (folder.training / "000007-4-50").mkdir()
    (folder.training / "notes-99").mkdir()
    assert FinishAttempts(folder, 5, lambda _: 0).begin([BIRTH]) == [6]


def test_deaths_without_progress_end_it_with_a_sentence(tmp_path):
    attempts = FinishAttempts(unfinished(Workdir(tmp_path), 100), 3, lambda _: 0)
    lose(attempts, 3)
    with pytest.raises(AttemptsError, match=r"died 3 times .* individual 7 on .*--max-deaths"):
        attempts.begin([BIRTH])


def test_a_later_checkpoint_is_progress(tmp_path):
    step = 10
    attempts = FinishAttempts(unfinished(Workdir(tmp_path), 100), 3, lambda _: step)
    lose(attempts, 2)
    step = 20
    lose(attempts, 3)
    with pytest.raises(AttemptsError, match="from step 20"):
        attempts.begin([BIRTH])
