"""The levers: the statistics of paired differences, the arms, and rows that are not run twice."""

import dataclasses
import itertools
import json
import threading
import time

import numpy as np
import pytest

from experiments.levers import __main__ as program
from experiments.levers import arms as known_arms
from experiments.levers.arms import BUNDLES, CONTROLS, DEFAULT, OLD_DEFAULT, arms, without_insertion, without_odds
from experiments.levers.held_out import available, held_out
from experiments.levers.row import Budget, Result, Rows, Wanted, evolve
from experiments.levers.statistics import interval, sign_flip_p
from experiments.levers.tables import comparison
from experiments.make_fashion_mini import SOURCE
from jaxevo.data import load
from jaxevo.presets import PRESETS
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.mutation_sets import mutation_set

NEW = Settings(
    dataset="fashion_mini",
    population_size=8,
    num_workers=3,
    mutations="growth,max_channels=48,IDENTITY=4",
    mutations_per_birth=3,
    inheritance="morph",
    schedule="cosine",
)
RESULT = Result(0.8, 0.82, 1_000, 5, 20, 10**12, 120.1, 130.0, 0.4, None, "abc")
needs_files = pytest.mark.skipif(not available(), reason="the files of Fashion-MNIST are not installed")


# Worked out by hand. Of 1, 2 and -0.5 the sum is 2.5; of the eight choices of signs, +++ and --- give 3.5, the observed
# ++- and its opposite 2.5, the others 0.5 and 1.5.
@pytest.mark.parametrize(
    ("differences", "p"),
    [((1.0, 2.0, -0.5), 4 / 8), ((1.0, 2.0, 3.0), 2 / 8), ((1.0, -1.0), 1.0), ((0.0, 0.0), 1.0), ((0.3,), 1.0)],
)
def test_sign_flip_by_hand(differences, p):
    assert sign_flip_p(differences) == p


@pytest.mark.parametrize("seed", range(4))
def test_sign_flip_counts_all_choices_of_signs(seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, 7)
    means = [abs(np.mean(signs * differences)) for signs in itertools.product((1, -1), repeat=7)]
    expected = np.mean([mean >= abs(differences.mean()) - 1e-9 for mean in means])
    assert sign_flip_p(list(differences)) == pytest.approx(expected)


def test_ten_differences_of_one_sign_have_the_least_p():
    assert sign_flip_p([0.01] * 10) == 2 / 1024


@pytest.mark.parametrize("count", [0, 21])
def test_other_numbers_of_pairs_are_refused(count):
    with pytest.raises(ValueError, match=f"there are {count} pairs, but there must be 1 to 20"):
        sign_flip_p([0.1] * count)


def test_interval_by_hand():
    # The means of the subsets of 1, 2 and 6 are 1, 1.5, 2, 3, 3.5, 4 and 6. A quarter is 2 of 8 choices of signs, one
    # at each end.
    assert interval((1.0, 2.0, 6.0), confidence=0.75) == (1.0, 6.0)
    assert interval((1.0, 2.0, 6.0), confidence=0.5) == (1.5, 4.0)


def test_fewer_than_six_pairs_have_no_interval():
    assert interval([0.1, 0.2, 0.3, 0.4, 0.5]) is None
    assert interval([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == (0.1, 0.6)


@pytest.mark.parametrize("seed", range(3))
def test_interval_holds_the_shifts_that_the_test_does_not_reject(seed):
    differences = np.random.default_rng(seed).normal(0.3, 1, 10)
    least, most = interval(list(differences))
    for shift, rejected in ((least - 1e-6, True), (least + 1e-6, False), (most - 1e-6, False), (most + 1e-6, True)):
        assert (sign_flip_p(list(differences - shift)) <= 0.05) == rejected


def test_without_insertion_mutations_have_the_papers_forms_at_the_same_odds():
    left, default = without_insertion(NEW), mutation_set(NEW.mutations, 0.1)
    known = mutation_set(left.mutations, 0.1)
    assert {one.name: one.weight for one in known} == {one.name: one.weight for one in default}
    assert [one.apply for one in known] == [one.apply for one in mutation_set("paper", 0.1)]
    assert dataclasses.replace(left, mutations=NEW.mutations) == NEW


def test_without_odds_all_mutations_are_as_likely_and_parameters_stay():
    left = without_odds(NEW)
    assert {one.weight for one in mutation_set(left.mutations, 0.1)} == {1.0}
    assert left.mutations.startswith("growth,max_channels=48,channel_factor=2,")


def test_every_arm_differs_from_the_default_and_lacks_what_it_names():
    found = arms({**BUNDLES, **CONTROLS}, NEW)
    assert list(found) == [*BUNDLES, *CONTROLS]
    assert found["schedule"].schedule == "constant"
    assert found["inheritance"].inheritance == "shape"
    assert found["no inheritance"].inheritance == "none"
    assert found["random selection"].selection == "random"
    assert found["mutations a birth, population"].mutations_per_birth == 1
    assert found["early stopping, added"].early_stopping == 0.25


def test_a_part_that_the_default_lacks_is_no_arm():
    found = arms({**BUNDLES, **CONTROLS}, OLD_DEFAULT)
    assert list(found) == ["early stopping, added", "random selection", "no inheritance"]


def test_the_default_is_the_preset():
    assert known_arms.default_settings() == PRESETS["small"][0]


@needs_files
def test_images_held_out_are_those_that_fashion_mini_lacks():
    images, labels = held_out()
    assert images.shape == (9_000, 28, 28)
    assert list(np.bincount(labels)) == [900] * 10
    everything = {image.tobytes() for image in images}
    test = load("fashion_mini").test.images
    assert sum(image.tobytes() in everything for image in test) == 0


def test_without_the_files_a_sentence_says_so(monkeypatch, capsys):
    monkeypatch.setattr(program, "available", lambda: False)
    assert program.main([]) == 0
    assert f"{SOURCE} is missing" in capsys.readouterr().out


def wanted(arm="default", seed=0, seconds=10.0):
    return Wanted(arm, Settings(seed=seed), Budget(seconds))


def test_finished_rows_are_read_again(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    Rows(path).add(wanted(), RESULT)
    rows = Rows(path)
    assert rows.find(wanted()) == RESULT
    assert [rows.find(other) for other in (wanted("odds"), wanted(seed=1), wanted(seconds=11.0))] == [None] * 3
    fields = json.loads(path.read_text())
    assert (fields["arm"], fields["seed"], fields["settings"]) == ("default", 0, {})


def test_a_row_that_a_crash_cut_off_is_run_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    Rows(path).add(wanted(), RESULT)
    path.write_text(path.read_text() + path.read_text()[:50])
    rows = Rows(path)
    rows.add(wanted(seed=1), RESULT)
    again = Rows(path)
    assert again.find(wanted()) == again.find(wanted(seed=1)) == RESULT


def test_only_missing_rows_are_run_and_a_failure_keeps_the_others(tmp_path):
    path = tmp_path / "rows.jsonl"
    ran = []

    def fake(one, core):
        if one.settings.seed == 2 and not ran.count(2):
            ran.append(2)
            raise RuntimeError("no memory")
        ran.append(one.settings.seed)
        return RESULT

    three = [wanted(seed=seed) for seed in (0, 1, 2)]
    with pytest.raises(RuntimeError, match="no memory"):
        program.run_missing(Rows(path), three, [0], fake)
    assert ran == [0, 1, 2]
    results = program.run_missing(Rows(path), three, [0], fake)
    assert ran == [0, 1, 2, 2]
    assert list(results) == [("default", 0), ("default", 1), ("default", 2)]


def test_a_row_beside_one_that_fails_is_kept(tmp_path):
    both = threading.Barrier(2)

    def fake(one, core):
        both.wait(30)
        if one.settings.seed == 0:
            raise RuntimeError("no memory")
        time.sleep(0.2)  # So that the failure is seen while this one goes on.
        return RESULT

    with pytest.raises(RuntimeError, match="no memory"):
        program.run_missing(Rows(tmp_path / "rows.jsonl"), [wanted(seed=0), wanted(seed=1)], [0, 1], fake)
    assert Rows(tmp_path / "rows.jsonl").find(wanted(seed=1)) == RESULT


def test_controls_get_the_flops_of_their_seeds_default(tmp_path):
    asked = []

    def fake(one, core):
        asked.append((one.arm, one.settings.seed, one.budget))
        return dataclasses.replace(RESULT, flops=1_000 + one.settings.seed)

    compared = {"old default": OLD_DEFAULT}
    rows = Rows(tmp_path / "rows.jsonl")
    measured = program.measure(rows, compared, [4, 5], 10.0, [0], fake)
    assert len(asked) == len(measured) == 4
    asked.clear()
    found = program.measure_at_flops(rows, compared, measured, 10.0, [0], fake)
    assert sorted(found) == [(DEFAULT, 4), (DEFAULT, 5), ("old default", 4), ("old default", 5)]
    assert asked == [("old default", seed, Budget(100.0, 1_000 + seed)) for seed in (4, 5)]


def test_the_table_shows_what_the_default_gains():
    results = {(DEFAULT, seed): dataclasses.replace(RESULT, accuracy=0.85 + seed / 100) for seed in range(6)}
    results |= {("odds", seed): dataclasses.replace(RESULT, accuracy=0.83 + seed / 100) for seed in range(6)}
    text = comparison(results, ["odds"], range(6))
    assert "| odds | 6 | 85.5% | +2.0 | +2.0 to +2.0 | 0.031 |" in text
    assert "| odds | 2 | 83.5% | +2.0 | too few pairs | 0.500 |" in comparison(results, ["odds"], range(2))


def test_the_table_names_rows_that_did_not_reach_the_flops():
    results = {(arm, seed): RESULT for arm in (DEFAULT, "odds", "schedule") for seed in range(2)}
    assert "ended before these FLOPs" not in comparison(results, ["odds", "schedule"], range(2))
    results["odds", 1] = dataclasses.replace(RESULT, reached_flops=False)
    assert "Rows that ended before these FLOPs, at their CPU seconds: odds: 1." in comparison(
        results, ["odds"], range(2)
    )


@needs_files
def test_a_row_evolves_within_its_budget_and_is_scored(tmp_path):
    settings = Settings(dataset="fashion_mini", population_size=2, train_steps=5, seed=1)
    result = program._apart(Wanted("tiny", settings, Budget(600.0, 1e8)), None)
    assert result.reached_flops
    assert result.flops >= 1e8
    assert result.cpu_seconds < 60
    assert 0.05 < result.accuracy < 0.95
    assert evolve.__module__ == "experiments.levers.row"
