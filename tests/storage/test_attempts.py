"""Attempts: durable before a training starts, numbered, and counted where a process died in them.

A run whose process really dies five times is in test_faults.py.
"""

import dataclasses

import pytest
from helpers.births import birth_of
from helpers.tiny_runs import jaxevo, resume, run_arguments, start

from jaxevo.search.births import Inherited, Outcome, birth_sha256
from jaxevo.settings import Execution
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.storage.attempts import Attempts, AttemptsError, deaths
from jaxevo.storage.journal import Attempt, Journal, JournalContent, LostAttempt, Record, Stop, read_journal

MAX_DEATHS = Execution().max_deaths

BIRTH = birth_of(
    7,
    Genotype(0.1),
    due=3.0,
    parent_id=2,
    mutation="IDENTITY",
    inherited=Inherited(Genotype(0.1), "000002-1", "aa"),
)
OTHER = dataclasses.replace(BIRTH, id=8)


def attempt(birth_id, number, session, first_step=0):
    return Attempt(birth_id, number, session, first_step, "")


def stop(session):
    return Stop(session, 0, "interrupted", "", 1.0)


def record(birth_id, number):
    return Record(Outcome(birth_id, 0.5, "w", "h"), 0.5, 0.0, 0.0, 0.0, 1, number)


def test_the_hash_of_a_birth_tells_what_was_decided_and_not_which_attempt_gave_the_weights():
    again = dataclasses.replace(BIRTH, inherited=Inherited(Genotype(0.1), "000002-4", "aa"))
    assert birth_sha256(again) == birth_sha256(BIRTH)
    changes = {
        "id": 9,
        "parent_id": 3,
        "mutation": "RESET-WEIGHTS",
        "genotype_sha256": birth_of(7, Genotype(0.2)).genotype_sha256,
        "inherited": Inherited(Genotype(0.1), "000002-1", "bb"),
        "due": 4.0,
    }
    others = {birth_sha256(dataclasses.replace(BIRTH, **{name: value})) for name, value in changes.items()}
    assert len(others - {birth_sha256(BIRTH)}) == len(changes)


def test_attempts_are_durable_and_numbered_over_sessions(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        attempts = Attempts(journal, JournalContent(), 1, MAX_DEATHS)
        assert attempts.begin([BIRTH, OTHER]) == [1, 1]
        assert attempts.begin([BIRTH]) == [2]
        found = read_journal(path).attempts
    assert [(one.id, one.number, one.session) for one in found] == [(7, 1, 1), (8, 1, 1), (7, 2, 1)]
    assert found[0].birth_sha256 == birth_sha256(BIRTH)
    with Journal(path) as journal:
        assert Attempts(journal, read_journal(path), 2, MAX_DEATHS, lambda birth_id: 30).begin([BIRTH]) == [3]
    assert read_journal(path).attempts[-1] == Attempt(7, 3, 2, 30, birth_sha256(BIRTH))


def test_a_session_that_was_killed_counts_as_a_death_of_all_that_were_in_training():
    content = JournalContent(attempts=(attempt(1, 1, 1), attempt(2, 1, 1), attempt(2, 2, 2)), records={1: record(1, 1)})
    assert deaths(content) == {2: 2}


def test_a_clean_end_is_no_death():
    content = JournalContent(stops=(stop(1),), attempts=(attempt(1, 1, 1), attempt(1, 2, 2)))
    assert deaths(content) == {1: 1}


def test_a_loss_that_its_session_noticed_is_one_death():
    content = JournalContent(
        stops=(stop(1),), attempts=(attempt(1, 1, 1), attempt(1, 2, 1)), lost=(LostAttempt(1, 1, "its worker died"),)
    )
    assert deaths(content) == {1: 1}


def test_a_training_that_comes_further_between_deaths_starts_counting_anew():
    steps = (0, 0, 500, 1000, 1000)
    attempts = tuple(attempt(1, number, number, step) for number, step in enumerate(steps, start=1))
    assert deaths(JournalContent(attempts=attempts)) == {1: 2}


def test_after_five_deaths_the_birth_is_named_and_not_begun(tmp_path):
    content = JournalContent(attempts=tuple(attempt(7, number, number) for number in range(1, MAX_DEATHS)))
    with Journal(tmp_path / "journal.jsonl") as journal:
        attempts = Attempts(journal, content, 9, MAX_DEATHS)
        assert attempts.suspicious(7)
        assert not attempts.suspicious(8)
        assert attempts.begin([BIRTH]) == [MAX_DEATHS]
        attempts.lost(7, MAX_DEATHS, "its worker died")
        with pytest.raises(
            AttemptsError, match=r"died 5 times while it trained individual 7 \(its worker died\).*--skip-birth 7"
        ):
            attempts.begin([OTHER, BIRTH])
    written = read_journal(tmp_path / "journal.jsonl")
    assert [one.id for one in written.attempts] == [7]
    assert written.lost == (LostAttempt(7, MAX_DEATHS, "its worker died"),)


def test_only_the_reason_of_the_last_death_is_told(tmp_path):
    attempts = tuple(attempt(7, number, number) for number in range(1, MAX_DEATHS + 1))
    content = JournalContent(attempts=attempts, lost=(LostAttempt(7, 1, "its disk was full"),))
    with (
        Journal(tmp_path / "journal.jsonl") as journal,
        pytest.raises(AttemptsError, match="died 5 times while it trained individual 7, perhaps for lack of memory"),
    ):
        Attempts(journal, content, 9, MAX_DEATHS).begin([BIRTH])


def test_a_training_that_comes_further_within_a_session_starts_counting_anew_too(tmp_path):
    steps = iter([0] * (MAX_DEATHS - 1) + [500] * (MAX_DEATHS + 1))
    with Journal(tmp_path / "journal.jsonl") as journal:
        attempts = Attempts(journal, JournalContent(), 1, MAX_DEATHS, lambda birth_id: next(steps))
        for number in range(1, 2 * MAX_DEATHS):
            assert attempts.begin([BIRTH]) == [number]
            attempts.lost(BIRTH.id, number, "its worker died")
        with pytest.raises(AttemptsError):
            attempts.begin([BIRTH])
    assert deaths(read_journal(tmp_path / "journal.jsonl")) == {BIRTH.id: MAX_DEATHS}


def test_only_a_birth_in_training_can_be_skipped(tmp_path):
    path = tmp_path / "run"
    start(path, 6)
    before = (path / "journal.jsonl").read_bytes()
    told = jaxevo("resume", path, "--skip-birth", 2)
    assert told.returncode == 2
    assert "--skip-birth is 2, but must be an individual that was in training" in told.stderr
    assert (path / "journal.jsonl").read_bytes() == before


def test_a_birth_that_comes_out_otherwise_than_journalled_stops_the_run(tmp_path):
    path = tmp_path / "run"
    jaxevo(*run_arguments(path, 14), kill_point="after attempt:8")
    content = read_journal(path / "journal.jsonl")
    unfinished = next(one for one in content.attempts if one.id not in content.records)
    with Journal(path / "journal.jsonl") as journal:
        journal.append([dataclasses.replace(unfinished, number=2, birth_sha256="0" * 64)])
    with pytest.raises(
        ValueError, match=f"individual {unfinished.id} was trained as another birth than the evolution decides"
    ):
        resume(path)
