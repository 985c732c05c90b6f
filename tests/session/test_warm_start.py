"""A warm start: the new run begins with what it was given, stands alone, and is the same run every time."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.genotypes import BN_RELU, ONE_CONVOLUTION, convolution
from helpers.tiny_runs import TINY, resume, start

import jaxevo as package
from jaxevo.data import load
from jaxevo.reports.page.repeat import repeat
from jaxevo.reports.verify import verify_run
from jaxevo.session.progress import Watcher
from jaxevo.session.run import replay_run, start_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.storage.checkpoint import CheckpointError
from jaxevo.storage.history import History
from jaxevo.storage.lock import locked
from jaxevo.storage.manifest import read_manifest
from jaxevo.storage.workdir import Workdir, WorkdirError, weight_names

EVENTS = 12


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The earlier run."""
    path = tmp_path_factory.mktemp("source") / "earlier"
    start(path, 10, train_steps=30)
    return path


@pytest.fixture(scope="module")
def alone(source, tmp_path_factory) -> Path:
    """A run that began with a copy of the earlier one, which is gone."""
    folder = tmp_path_factory.mktemp("warm")
    copy = shutil.copytree(source, folder / "earlier")
    warm(folder / "run", EVENTS, from_run=copy)
    shutil.rmtree(copy)
    return folder / "run"


@pytest.fixture
def genotype_file(tmp_path) -> Path:
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps(ONE_CONVOLUTION.to_json()))
    return path


def warm(path, events, lanes=2, from_run=None, from_genotype=None, **changes):
    settings, execution = Settings(**{**TINY, **changes}), Execution(lanes, snapshot_interval=4)
    limits = Limits(max_individuals=events)
    return start_run(path, settings, limits, execution, Watcher(), from_run=from_run, from_genotype=from_genotype)


def living(path):
    population = [one for one in package.open(path).population if one.weights is not None]
    return sorted(population, key=lambda one: (-one.fitness, one.id))


def births(path):
    """Returns the births of the initial individuals that were told."""
    lives = History(Workdir(path)).lives.values()
    return [life.birth for life in lives if life.birth.parent_id is None]


def verify(path, retrain=None):
    return verify_run(path, retrain, lambda _: None)


# From a run.


def test_the_living_begin_the_new_run_the_fittest_first_with_their_weights(source, alone):
    given = living(source)
    begun = births(alone)
    assert len(begun) == TINY["population_size"]
    for birth in begun:
        individual = given[birth.id % len(given)]
        assert birth.genotype == birth.inherited.genotype == individual.genotype
        assert birth.inherited.weights_sha256 == individual.weights_sha256


def test_weights_that_a_run_removes_meanwhile_are_no_damage(source, tmp_path):
    copy = shutil.copytree(source, tmp_path / "earlier")
    for name in weight_names(copy / "weights"):
        shutil.rmtree(copy / "weights" / name)
    with locked(copy), pytest.raises(WorkdirError, match="earlier goes on, and has removed weights meanwhile"):
        warm(tmp_path / "run", EVENTS, from_run=copy)
    with pytest.raises(CheckpointError, match="restore the folder from a copy"):
        warm(tmp_path / "run", EVENTS, from_run=copy)


def test_training_starts_from_the_inherited_weights(tmp_path):
    wide = Genotype(0.1, (convolution(1, 8, activation=BN_RELU),))
    (tmp_path / "genotype.json").write_text(json.dumps(wide.to_json()))
    few = {"population_size": 2, "num_workers": 1, "batch_size": 50}
    warm(
        tmp_path / "trained",
        2,
        from_genotype=tmp_path / "genotype.json",
        train_steps=300,
        schedule="cosine",
        crop_padding=0,
        **few,
    )
    warm(tmp_path / "fresh", 2, from_genotype=tmp_path / "genotype.json", train_steps=1, **few)
    warm(tmp_path / "warm", 2, from_run=tmp_path / "trained", train_steps=1, **few)
    trained, fresh, further = (
        package.open(tmp_path / name).best.validation_accuracy for name in ("trained", "fresh", "warm")
    )
    assert trained > fresh + 0.15
    assert further > trained - 0.1


def test_the_manifest_names_source_event_data_and_weights(source, alone):
    recorded, run = read_manifest(Workdir(alone)).warm_start, package.open(source)
    assert (recorded.source, recorded.sha256, recorded.events) == ("earlier", run.fingerprint, 10)
    assert recorded.trained_on == (("digits", run.manifest.data_fingerprint),)
    assert recorded.weights_sha256 == tuple(one.weights_sha256 for one in living(source))
    assert recorded.genotypes == tuple(one.genotype.to_json() for one in living(source))


def test_the_report_says_with_what_the_run_began(source, alone, genotype_file, tmp_path):
    shown = repeat(History(Workdir(alone)))
    assert "--from-run earlier" in shown["shell"]
    assert "from_run='earlier'" in shown["python"]
    assert shown["from_path"]
    warm(tmp_path / "run", 4, from_genotype=genotype_file)
    assert "--from-genotype genotype.json" in repeat(History(Workdir(tmp_path / "run")))["shell"]
    assert "--from" not in repeat(History(Workdir(source)))["shell"]


def test_a_run_without_a_warm_start_names_none(source):
    assert read_manifest(Workdir(source)).warm_start is None


def test_the_same_warm_start_gives_the_same_run_on_any_lanes(source, alone, tmp_path):
    warm(tmp_path / "again", EVENTS, lanes=1, from_run=source)
    assert package.open(tmp_path / "again").fingerprint == package.open(alone).fingerprint


def test_without_its_source_a_run_is_verified_retrained_and_replayed(alone, tmp_path):
    assert verify(alone) == []
    assert verify(alone, "best") == []
    replay_run(alone, tmp_path / "replay", Execution(2), Watcher())
    assert package.open(tmp_path / "replay").fingerprint == package.open(alone).fingerprint
    assert verify(tmp_path / "replay", 1) == []


def test_without_its_source_a_run_is_resumed_and_its_first_weights_stay(source, alone, tmp_path):
    path = Path(shutil.copytree(alone, tmp_path / "longer"))
    resume(path, EVENTS + 3)
    warm(tmp_path / "at once", EVENTS + 3, from_run=source)
    assert package.open(path).fingerprint == package.open(tmp_path / "at once").fingerprint
    first = [f"initial-{place:06d}" for place in range(len(living(source)))]
    assert [name for name in weight_names(path / "weights") if name.startswith("initial")] == first
    assert verify(path) == []


def test_a_larger_population_goes_round_and_a_smaller_one_takes_the_fittest(source, tmp_path):
    given = living(source)
    for size in (2, len(given) + 3):
        path = tmp_path / str(size)
        warm(path, size, from_run=source, population_size=size, num_workers=1, train_steps=1)
        taken = given[:size]
        assert len(weight_names(path / "weights")) >= len(taken)
        assert read_manifest(Workdir(path)).warm_start.weights_sha256 == tuple(one.weights_sha256 for one in taken)
        for birth in births(path):
            assert birth.inherited.weights_sha256 == taken[birth.id % len(taken)].weights_sha256


def test_altered_copies_are_named_and_nothing_is_trained_from_them(alone, tmp_path):
    path = Path(shutil.copytree(alone, tmp_path / "altered"))
    shutil.rmtree(path / "weights" / "initial-000001")
    assert any("initial-000001 are missing" in finding for finding in verify(path))
    with pytest.raises(CheckpointError, match="initial-000001 are missing"):
        replay_run(path, tmp_path / "replay", Execution(1), Watcher())


def test_what_a_start_that_was_killed_has_left_is_no_obstacle(source, alone, tmp_path):
    path = tmp_path / "run"
    (path / "weights" / "initial-000000").mkdir(parents=True)
    (path / "weights" / "initial-000099").mkdir()
    warm(path, 3, from_run=source)
    assert "initial-000099" not in weight_names(path / "weights")
    assert package.open(path).fingerprint == package.open(alone, 3).fingerprint
    (tmp_path / "other" / "weights" / "mine").mkdir(parents=True)
    with pytest.raises(WorkdirError, match="not empty"):
        warm(tmp_path / "other", 3, from_run=source)


# Sources that do not fit. Nothing is written then.


def refused(tmp_path, sentence, **given):
    with pytest.raises(ValueError, match=sentence):
        warm(tmp_path / "refused", 3, **given)
    assert not (tmp_path / "refused").exists()


def test_other_images_or_classes_are_refused_with_what_would_do(source, tmp_path):
    digits = load("digits")
    sentence = r"images are \(8, 8, 1\) .* in 10 classes, but .* \(28, 28, 1\) in 10: give --dataset digits, or"
    refused(tmp_path, sentence, from_run=source, dataset="fashion_mini")
    few = [split.labels < 9 for split in (digits.train, digits.test)]
    saved(
        tmp_path / "nine.npz",
        *(array[chosen] for split, chosen in zip((digits.train, digits.test), few, strict=True) for array in split),
    )
    refused(tmp_path, r"in 10 classes, but .* in 9", from_run=source, dataset=str(tmp_path / "nine.npz"))


def saved(path, train_images, train_labels, test_images, test_labels):
    arrays = {"train_images": train_images, "train_labels": train_labels}
    np.savez(path, **arrays, test_images=test_images, test_labels=test_labels)
    return str(path)


def test_a_run_of_another_search_space_is_refused(source, tmp_path):
    sentence = r"search space is 'large_scale', but that of the new run, '.*:Residual', cannot read its genotypes"
    space = "experiments/spaces/residual.py:Residual"
    refused(tmp_path, sentence, from_run=source, space=space, mutations="blocks")


def test_a_run_without_inheritance_takes_no_weights(source, tmp_path):
    refused(tmp_path, "inheritance is 'none': choose another", from_run=source, inheritance="none")


def test_what_is_no_run_is_refused(tmp_path):
    refused(tmp_path, "holds no run", from_run=tmp_path / "nowhere")


def test_a_run_without_weights_is_refused(source, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(source / "manifest.json", begun)
    refused(tmp_path, "no individual with weights lives there", from_run=begun)


def test_a_run_and_a_genotype_together_are_refused(source, genotype_file, tmp_path):
    refused(tmp_path, "left out beside from_run", from_run=source, from_genotype=genotype_file)


# Images that the weights have seen.


def test_images_that_the_weights_were_trained_on_are_not_validated_or_tested_with(source, tmp_path):
    digits = load("digits")
    train, validation, test = digits.train, digits.validation, digits.test
    # The new validation images are the last tenth of what is given to train on.
    given = (np.concatenate([test.images, train.images[:30]]), np.concatenate([test.labels, train.labels[:30]]))
    count = len(given[0]) // 10
    held = (
        np.concatenate([validation.images, train.images[-7:]]),
        np.concatenate([validation.labels, train.labels[-7:]]),
    )
    name = saved(tmp_path / "seen.npz", *given, *held)
    sentence = rf"on {min(30, count)} of the validation images and 7 of the test images .* 'digits'"
    refused(tmp_path, sentence, from_run=source, dataset=name)


def test_other_images_of_the_same_kind_are_taken_and_their_origin_is_remembered(source, tmp_path):
    digits = load("digits")
    # Training images of both sets are no harm, nor are images that the new set repeats by itself.
    images = np.concatenate([digits.train.images[:200], digits.test.images])
    labels = np.concatenate([digits.train.labels[:200], digits.test.labels])
    held = (
        np.concatenate([digits.validation.images, digits.train.images[:3]]),
        np.concatenate([digits.validation.labels, digits.train.labels[:3]]),
    )
    name = saved(tmp_path / "others.npz", images, labels, *held)
    warm(tmp_path / "second", 8, from_run=source, dataset=name)
    recorded = read_manifest(Workdir(tmp_path / "second")).warm_start
    assert recorded.trained_on == (("digits", load("digits").fingerprint),)
    # A third run on digits would be tested with images that the second trained on.
    refused(tmp_path, "of the test images", from_run=tmp_path / "second", dataset="digits")
    # The data of the first are looked at too, although the second run did not train on these images.
    late = saved(tmp_path / "late.npz", images, labels, digits.train.images[-9:], digits.train.labels[-9:])
    refused(tmp_path, "9 of the test images .* 'digits'", from_run=tmp_path / "second", dataset=late)


def test_images_of_a_source_that_has_moved_with_its_data_are_looked_at(tmp_path):
    digits = load("digits")
    (tmp_path / "before").mkdir()
    name = saved(tmp_path / "before" / "first.npz", *digits.train, *digits.test)
    start(tmp_path / "before" / "earlier", 3, dataset=name, image_size="10x10")
    # Without the size, none of these would be found among the images that the weights have seen.
    large = load("digits", "10x10").test
    seen = saved(tmp_path / "seen.npz", *large, *(array[:40] for array in load(name, "10x10").train))
    (tmp_path / "before").rename(tmp_path / "after")
    sentence = "on 0 of the validation images and 40 of the test images"
    refused(tmp_path, sentence, from_run=tmp_path / "after" / "earlier", dataset=seen, image_size="10x10")
    (tmp_path / "after" / "first.npz").unlink()
    refused(
        tmp_path,
        "lies neither there nor beside",
        from_run=tmp_path / "after" / "earlier",
        dataset=seen,
        image_size="10x10",
    )


def part(path, dataset, train, test):
    train_arrays = (array[train : train + 200] for array in dataset.train)
    return saved(path, *train_arrays, *(array[test : test + 50] for array in dataset.test))


def test_a_third_run_finds_the_data_of_the_first_in_the_size_that_it_was_resized_to(tmp_path):
    digits = load("digits")
    first = part(tmp_path / "first.npz", digits, 0, 0)
    start(tmp_path / "one", 3, dataset=first, image_size="10x10")
    large = load("digits", "10x10")
    second = part(tmp_path / "second.npz", large, 200, 50)
    warm(tmp_path / "two", 3, from_run=tmp_path / "one", dataset=second)
    third = part(tmp_path / "third.npz", large, 400, 100)
    warm(tmp_path / "three", 3, from_run=tmp_path / "two", dataset=third)
    assert len(read_manifest(Workdir(tmp_path / "three")).warm_start.trained_on) == 2


# From a genotype.


def test_every_initial_individual_has_the_genotype_with_fresh_weights(genotype_file, tmp_path):
    warm(tmp_path / "run", TINY["population_size"], from_genotype=genotype_file)
    begun = births(tmp_path / "run")
    assert len(begun) == TINY["population_size"]
    assert {birth.genotype for birth in begun} == {ONE_CONVOLUTION}
    assert {birth.inherited for birth in begun} == {None}
    trained = [package.open(tmp_path / "run").individual(birth.id).weights_sha256 for birth in begun]
    assert len(set(trained)) == len(trained)
    genotype_file.unlink()
    assert verify(tmp_path / "run", "best") == []
    recorded = read_manifest(Workdir(tmp_path / "run")).warm_start
    assert (recorded.source, recorded.events, recorded.weights_sha256) == ("genotype.json", None, ())


def test_a_genotype_beside_weights_and_a_row_of_a_history_are_read(source, tmp_path):
    individual = living(source)[0]
    row = package.open(source).history.set_index("id").loc[individual.id]
    (tmp_path / "row.json").write_text(json.dumps({"id": individual.id, "genotype": row["genotype"]}))
    for number, file in enumerate((source / "weights" / individual.weights / "genotype.json", tmp_path / "row.json")):
        warm(tmp_path / str(number), 1, from_genotype=file)
        assert births(tmp_path / str(number))[0].genotype == individual.genotype


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "which cannot be read .*: give a JSON file"),
        ("{", "which holds no genotype"),
        ("[]", "which holds no genotype"),
        ('{"genotype": {"learning_rate": 0.1}}', "which holds no genotype"),
        (json.dumps({**ONE_CONVOLUTION.to_json(), "learning_rate": -1.0}), "learning_rate is -1.0"),
    ],
)
def test_what_is_no_genotype_is_refused(content, sentence, tmp_path):
    if content is not None:
        (tmp_path / "file.json").write_text(content)
    refused(tmp_path, sentence, from_genotype=tmp_path / "file.json")


def test_a_genotype_over_budget_is_refused(genotype_file, tmp_path):
    refused(tmp_path, "max_parameters is 5", from_genotype=genotype_file, max_parameters=5)


def test_a_budget_that_rises_is_whole_from_the_first_birth(genotype_file, tmp_path):
    warm(tmp_path / "free", 1, from_genotype=genotype_file)
    needed = int(package.open(tmp_path / "free").history.flops_per_image[0])
    rising = {"max_flops_per_image": 2 * needed, "budget_births": 40}
    assert warm(tmp_path / "rising", 7, from_genotype=genotype_file, **rising).progress.state.events == 7
    refused(tmp_path, "max_flops_per_image is", from_genotype=genotype_file, max_flops_per_image=needed - 1)


def test_a_rate_that_the_genotype_has_evolved_is_kept(tmp_path):
    evolved = dataclasses.replace(ONE_CONVOLUTION, learning_rate=0.025)
    (tmp_path / "genotype.json").write_text(json.dumps(evolved.to_json()))
    warm(tmp_path / "run", 1, from_genotype=tmp_path / "genotype.json", initial_learning_rate=0.1)
    assert births(tmp_path / "run")[0].training.learning_rate == 0.025
