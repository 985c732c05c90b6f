"""Early stopping: which births may be stopped, below which accuracy, and how an early stop counts."""

import collections
import dataclasses
import hashlib
import json
import math

import pytest
from helpers.births import birth_of
from helpers.genotypes import INITIAL

from jaxevo.doors.opening import built_in
from jaxevo.search.births import Outcome, Threshold, birth_sha256
from jaxevo.search.early_stopping import thresholds
from jaxevo.search.evolution import evolution
from jaxevo.search.space import Task
from jaxevo.search.state_json import state_from_json, state_to_json
from jaxevo.settings import Settings

TASK = Task(input_shape=(8, 8, 1), num_classes=10, validation_images=180)
NEVER = Settings(population_size=12, num_workers=3, train_steps=300, selection="aging", sample_size=5)
MEDIAN = dataclasses.replace(NEVER, early_stopping=0.5)
SPACE = built_in(MEDIAN).space


def drawn(*facts):
    """Returns a number in [0, 1) that depends on facts alone."""
    return int.from_bytes(hashlib.sha256(repr(facts).encode()).digest()[:4], "big") / 2**32


def trained(birth):
    """Returns an outcome as a lane would: made-up accuracies, and the first one below its threshold ends it."""
    if drawn(birth.id, "fails") < 1 / 8:
        return Outcome(birth.id, 0.0, None, None, "the loss is not finite")
    checks, stopped_at = [], None
    for step, accuracy in birth.thresholds:
        checks.append(drawn(birth.id, step))
        if checks[-1] < accuracy:
            stopped_at = step
            break
    fitness = drawn(birth.id) if stopped_at is None else checks[-1]
    weights = f"hash of {birth.id}"
    return Outcome(birth.id, fitness, f"weights/{birth.id}", weights, checks=tuple(checks), stopped_at=stopped_at)


class Run:
    """An evolution that remembers its births and what was told."""

    def __init__(self, settings, state=None):
        self.settings = settings
        self.evolution = evolution(settings, built_in(settings), TASK)
        self.state = self.evolution.init() if state is None else state
        self.births = {}
        self.told = {}

    def ask(self):
        self.state, births = self.evolution.ask(self.state)
        self.births |= {birth.id: birth for birth in births}
        return births

    def step(self):
        self.ask()
        outcome = trained(self.state.in_flight[0])
        self.state = self.evolution.tell(self.state, outcome)
        self.told[outcome.id] = outcome
        return outcome

    def until(self, events):
        while self.state.events < events:
            self.step()
        return self


def test_by_default_nothing_is_ever_checked():
    assert Settings().early_stopping is None
    assert not any(birth.thresholds for birth in Run(NEVER).until(60).births.values())


@pytest.mark.parametrize("inheritance", ["shape", "none"])
def test_only_children_that_start_alike_are_checked(inheritance):
    run = Run(dataclasses.replace(MEDIAN, inheritance=inheritance)).until(200)
    kinds = collections.Counter()
    for birth in run.births.values():
        expected = birth.parent_id is not None if inheritance == "none" else birth.inherited is not None
        assert bool(birth.thresholds) == expected
        kinds[expected, birth.parent_id is not None] += 1
    assert kinds[True, True] > 100
    assert kinds[False, False] == 12
    assert (kinds[False, True] > 0) == (inheritance != "none"), "a child that starts anew has nobody to be compared to"


@pytest.mark.parametrize(
    ("train_steps", "steps"), [(1, []), (2, [1]), (3, [1]), (4, [1, 2]), (300, [75, 150]), (25_600, [6400, 12_800])]
)
def test_checks_are_made_after_a_quarter_and_half_of_the_steps(train_steps, steps):
    assert [threshold.step for threshold in thresholds((), 0.5, train_steps)] == steps


@pytest.mark.parametrize(("quantile", "expected"), [(0.01, 0.1), (0.2, 0.1), (0.25, 0.2), (0.5, 0.3), (0.9, 0.5)])
def test_a_threshold_is_the_quantile_of_those_at_the_same_check(quantile, expected):
    history = ((0.5, 0.9), (0.1,), (0.4, 0.8), (0.2,), (0.3, 0.7))
    assert thresholds(history, quantile, 100) == (Threshold(25, expected), Threshold(50, 0.0))


def test_thresholds_follow_from_the_sixteen_told_last_and_below_five_stop_nobody():
    run, checked, states = Run(MEDIAN), [], set()
    for _ in range(150):
        for birth in run.ask():
            for place, threshold in enumerate(birth.thresholds):
                same_check = sorted(checks[place] for checks in checked[-16:] if len(checks) > place)
                middle = (len(same_check) + 1) // 2 - 1
                assert threshold.accuracy == (same_check[middle] if len(same_check) >= 5 else 0.0)
                states.add((place, len(same_check) >= 5))
        outcome = run.step()
        checked += [outcome.checks] if outcome.checks else []
    assert states == {(0, False), (0, True), (1, False), (1, True)}


def test_the_share_that_is_stopped_at_a_check_is_about_the_quantile():
    """If nobody gets better; during a run that does, it is less."""
    for quantile in (0.25, 0.5):
        run = Run(dataclasses.replace(MEDIAN, early_stopping=quantile)).until(400)
        reached = [outcome for outcome in run.told.values() if outcome.checks]
        stopped = [outcome for outcome in reached if outcome.stopped_at == 75]
        later = [outcome for outcome in reached if outcome.stopped_at == 150]
        assert len(stopped) / len(reached) == pytest.approx(quantile, abs=0.1)
        assert len(later) / (len(reached) - len(stopped)) == pytest.approx(quantile, abs=0.1)


def test_a_stopped_individual_lives_with_its_fitness_at_the_stop():
    run, stopped = Run(MEDIAN), 0
    for _ in range(150):
        outcome = run.step()
        if outcome.stopped_at is not None:
            stopped += 1
            individual = run.state.population.find(outcome.id)
            assert individual.fitness == outcome.checks[-1]
            assert individual.weights == outcome.weights
    assert stopped > 30


def test_flops_count_the_steps_done_and_every_check():
    run = Run(MEDIAN).until(150)
    total = 0
    for outcome in run.told.values():
        cost = run.births[outcome.id].cost
        steps = 300 if outcome.stopped_at is None else outcome.stopped_at
        # The accuracy at a stop is the fitness: there is no validation after it.
        validations = len(outcome.checks) + (1 if outcome.stopped_at is None else 0)
        total += (cost.forward_flops + cost.backward_flops) * 50 * steps + cost.forward_flops * 180 * validations
    assert run.state.total_flops == total
    assert total < 0.8 * sum(run.births[outcome.id].flops for outcome in run.told.values())


def test_a_birth_is_due_as_if_it_were_trained_to_the_end():
    run = Run(MEDIAN)
    for _ in range(60):
        clock = run.state.clock
        for birth in run.ask():
            cost = birth.cost
            flops = (cost.forward_flops + cost.backward_flops) * 50 * 300 + cost.forward_flops * 180
            assert birth.flops == flops
            dues = [clock + overhead + flops / MEDIAN.virtual_rate for overhead in (1.0, 4.0)]
            assert min(abs(birth.due - due) for due in dues) < 1e-9
        run.step()


# Hashes and states.


def test_a_birth_without_checks_hashes_as_before_there_were_any():
    birth = birth_of(7, INITIAL, due=2.5)
    words = f"birth 7 None None {birth.genotype_sha256} None 2.5 {birth.flops}"
    assert birth_sha256(birth) == hashlib.sha256(words.encode()).hexdigest()


def test_the_hash_of_a_birth_covers_its_thresholds():
    accuracy = 0.625
    variants = [
        (),
        (Threshold(75, 0.0),),
        (Threshold(75, accuracy),),
        (Threshold(75, math.nextafter(accuracy, 1.0)),),
        (Threshold(76, accuracy),),
        (Threshold(75, accuracy), Threshold(150, 0.0)),
    ]
    hashes = {birth_sha256(birth_of(7, INITIAL, thresholds=thresholds)) for thresholds in variants}
    assert len(hashes) == len(variants)


def test_the_fingerprint_covers_checks_and_stop():
    run = Run(MEDIAN).until(60)
    while not run.state.in_flight[0].thresholds:
        run.step()
        run.ask()
    birth = run.state.in_flight[0]
    whole = Outcome(birth.id, 0.5, "weights", "hash", checks=(0.25, 0.5))
    outcomes = [
        whole,
        dataclasses.replace(whole, checks=(0.25, math.nextafter(0.5, 1.0))),
        dataclasses.replace(whole, checks=(0.5,), stopped_at=75),
        dataclasses.replace(whole, checks=(0.25, 0.5), stopped_at=150),
    ]
    states = [run.evolution.tell(run.state, outcome) for outcome in outcomes]
    assert len({state.fingerprint for state in states}) == len(outcomes)


@pytest.mark.parametrize("checks", [(1.5,), (0.5, -0.1), (math.nan,)])
def test_accuracies_that_are_none_are_refused(checks):
    with pytest.raises(ValueError, match="checks of individual 3"):
        Outcome(3, 0.5, "weights", "hash", checks=checks)


@pytest.mark.parametrize("events", [1, 15, 40, 77])
def test_a_run_is_the_prefix_of_a_longer_one_and_goes_on_from_json(events):
    longer = Run(MEDIAN).until(120)
    shorter = Run(MEDIAN).until(events)
    assert list(longer.told.values())[:events] == list(shorter.told.values())
    for asked in (False, True):
        if asked:
            shorter.ask()
        text = json.dumps(state_to_json(shorter.state, SPACE))
        read = state_from_json(json.loads(text), MEDIAN, SPACE, TASK)
        assert read == shorter.state
        assert Run(MEDIAN, read).until(120).state == longer.state


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.5, math.nan, "half", True])
def test_a_quantile_is_between_0_and_1(quantile):
    with pytest.raises(ValueError, match="^early_stopping is .*, but must be "):
        Settings(early_stopping=quantile)
