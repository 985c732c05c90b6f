"""The majority class and the linear model that stand beside a run's accuracy."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_runs import start

import jaxevo as package
from jaxevo.data import Split, load
from jaxevo.data.dataset import make_dataset
from jaxevo.reports import result
from jaxevo.reports.baselines import LinearModel, _loss_and_gradient, fit_linear, majority_accuracy, plan_linear
from jaxevo.reports.jobs import Resume
from jaxevo.reports.lbfgs import minimise
from jaxevo.settings import Execution, Limits

PLENTY = 1e12


def noise(images, labels_of=lambda generator, count: generator.integers(0, 3, count), shape=(4, 4, 1)):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, *shape), np.uint8)
    return pixels, labels_of(generator, images)


def test_minimise_finds_the_minimum_of_an_ill_conditioned_quadratic():
    scales = np.logspace(0, 3, 8)
    target = np.arange(8.0)
    found = minimise(
        lambda point: (((point - target) ** 2 * scales).sum(), 2 * scales * (point - target)), 0 * target, 99
    )
    np.testing.assert_allclose(found, target, atol=0.02)


def test_minimise_evaluates_no_more_often_than_it_may_and_never_gets_worse():
    values = []

    def rosenbrock(point):
        x, y = point
        values.append((1 - x) ** 2 + 100 * (y - x * x) ** 2)
        return values[-1], np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])

    for evaluations in (1, 2, 5, 20):
        values.clear()
        found = minimise(rosenbrock, np.array([-1.2, 1.0]), evaluations)
        assert len(values) == evaluations
        assert rosenbrock(found)[0] == min(values)


def test_the_gradient_is_that_of_the_loss():
    images, labels = noise(30)
    generator = np.random.default_rng(1)
    model = LinearModel(np.float32([100] * 16), np.float32(60), generator.normal(size=(3, 17)).astype(np.float32))
    split = Split(images, labels)
    _, gradient = _loss_and_gradient(model, split, 0.1, model.weights)
    for place in [(0, 0), (2, 7), (1, 16)]:
        change = np.zeros((3, 17), np.float32)
        change[place] = 1e-2
        above, below = (_loss_and_gradient(model, split, 0.1, model.weights + sign * change)[0] for sign in (1, -1))
        assert gradient[place] == pytest.approx((above - below) / 2e-2, rel=1e-2, abs=1e-4)


def test_a_part_of_sorted_images_has_all_classes():
    generator = np.random.default_rng(0)

    def bright(images):
        labels = np.sort(generator.integers(0, 4, images)).astype(np.int32)
        pixels = 60 * labels[:, None, None, None] + generator.integers(0, 20, (images, 4, 4, 1))
        return pixels.astype(np.uint8), labels

    data = make_dataset("bright", bright(4000), bright(400), validation_split=bright(400))
    assert (np.diff(data.train.labels) >= 0).all()
    plan = plan_linear(data, 20 * 4 * 16 * 4 * 400)
    assert plan.images == 400
    assert fit_linear(data, plan).accuracy(data.test) > 0.9


@pytest.mark.parametrize(("name", "least"), [("digits", 0.97), ("fashion_mini", 0.82)])
def test_the_linear_model_is_as_good_as_one_gets(name, least):
    dataset = load(name)
    plan = plan_linear(dataset, PLENTY)
    assert plan.images == len(dataset.train.labels)
    assert fit_linear(dataset, plan).accuracy(dataset.test) >= least


def test_the_linear_model_is_the_same_each_time_and_does_not_look_at_the_test_split():
    dataset = load("digits")
    images, labels = dataset.test
    altered = dataclasses.replace(dataset, test=Split(255 - images, labels[::-1]))
    plan = plan_linear(dataset, PLENTY)
    first, second = fit_linear(dataset, plan), fit_linear(altered, plan)
    assert first.weights.tobytes() == second.weights.tobytes()


@pytest.mark.parametrize("flops", [1e6, 1e7, 1e8, 1e9, 1e10])
def test_a_plan_costs_no_more_than_it_may(flops):
    plan = plan_linear(load("digits"), flops)
    if plan is None:
        assert flops < 20 * 4 * 64 * 10 * 50  # Twenty evaluations over five images of each class.
    else:
        assert plan.flops == plan.evaluations * plan.images * 4 * 64 * 10 <= flops
        assert plan.evaluations >= 20 and plan.images >= 50


def test_with_few_flops_the_linear_model_learns_from_a_part_of_the_images():
    dataset = load("digits")
    plan = plan_linear(dataset, 1e7)
    assert plan.images < len(dataset.train.labels)
    assert fit_linear(dataset, plan).accuracy(dataset.test) > 0.8


def test_the_majority_class_is_that_of_the_training_images():
    train = noise(40, lambda generator, count: generator.permutation([0, 1, 2, 2] * (count // 4)))
    test = noise(8, lambda generator, count: np.array([0, 0, 0, 0, 0, 0, 2, 2]))
    assert majority_accuracy(make_dataset("noise", train, test)) == 0.25


def test_a_result_names_the_majority_class_and_the_linear_model(tmp_path):
    start(tmp_path / "run", 6)
    found = result.write_result(tmp_path / "run")
    dataset = load("digits")
    assert found["majority_test_accuracy"] == majority_accuracy(dataset)
    assert found["linear_test_accuracy"] > 0.95
    # 6 births of 1 virtual second each at 2e9 FLOPs a second, and their trainings.
    assert 0 < found["linear_flops"] <= 0.02 * (6 * 2e9 + found["total_flops"])


def resumed(path: Path, max_individuals: int) -> dict:
    Resume(path, Execution(2), Limits(max_individuals=max_individuals)).carry_out()
    return package.open(path).result


def test_a_finished_run_that_is_resumed_keeps_its_linear_model(tmp_path, monkeypatch):
    path = tmp_path / "run"
    start(path, 3)
    before = result.write_result(path)
    fits = []

    def counted(*arguments):
        fits.append(arguments)
        return fit_linear(*arguments)

    monkeypatch.setattr(result, "fit_linear", counted)
    again = resumed(path, 3)
    assert [again[name] for name in before if name.startswith("linear")] == [
        before[name] for name in before if name.startswith("linear")
    ]
    assert fits == []
    # A longer run affords more, and its result must not depend on its sessions.
    extended = resumed(path, 5)
    assert len(fits) == 1
    straight = tmp_path / "straight"
    start(straight, 5)
    assert result.write_result(straight)["linear_test_accuracy"] == extended["linear_test_accuracy"]


def test_a_damaged_result_is_replaced(tmp_path):
    path = tmp_path / "run"
    start(path, 3)
    (path / "result.json").write_text("{")
    assert resumed(path, 3)["linear_test_accuracy"] is not None
