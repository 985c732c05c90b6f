"""The baselines learn, cost what they say, and are printed as a table."""

import importlib.util

import numpy as np
import pytest

from experiments.baselines import neighbours
from experiments.baselines.__main__ import main
from experiments.baselines.recipe import Batches, Recipe, forward_flops, train
from jaxevo.data import Split, load
from jaxevo.data.dataset import make_dataset

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def stripes(images, seed, channels=1):
    """Returns images of one class with rows and one with columns, which no pixel alone tells apart."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, images).astype(np.int32)
    waves = 100 * np.sin(np.arange(8) * np.pi / 2 + generator.uniform(0, 6, (images, 1)))
    pictures = np.where(labels[:, None, None] == 0, waves[:, :, None], waves[:, None, :]) + 127
    return np.repeat(pictures[..., None], channels, axis=3).astype(np.uint8), labels


@pytest.fixture(scope="module")
def dataset():
    return make_dataset("stripes", stripes(200, 0), stripes(50, 1))


def learner(name):
    if name == "flax":
        from experiments.baselines.cnn_flax import FlaxLearner

        return FlaxLearner
    from experiments.baselines.cnn_torch import TorchLearner

    return TorchLearner


@pytest.mark.parametrize("as_finish", [False, True])
@pytest.mark.parametrize("name", ["flax", pytest.param("torch", marks=needs_torch)])
def test_the_cnn_learns_what_no_pixel_alone_tells(name, as_finish, dataset):
    trained = train(learner(name), dataset, Recipe(20, 0.05, as_finish=as_finish), 0.5, seed=0)
    assert trained.steps >= 1
    assert trained.flops == 3 * forward_flops((8, 8, 1), 2) * 20 * trained.steps
    assert trained.test > 0.8


def test_every_training_compiles_and_says_how_long():
    small = make_dataset("stripes", stripes(40, 0), stripes(10, 1))
    trained = [train(learner("flax"), small, Recipe(batch_size=20), 0.01, seed) for seed in (0, 0, 1)]
    assert all(one.compile_seconds > 0 for one in trained)


@pytest.mark.parametrize("name", ["flax", pytest.param("torch", marks=needs_torch)])
def test_a_reset_learner_is_a_fresh_one(name, dataset):
    used = learner(name)(dataset, Recipe(), 0)
    fresh = used.accuracy(dataset.train)
    for _ in range(5):
        used.step(*Batches(dataset, Recipe(), 0).draw(), 0.1)
    trained = used.accuracy(dataset.train)
    used.reset()
    assert used.accuracy(dataset.train) == fresh != trained


def test_the_schedule_rises_to_the_peak_and_falls_to_zero():
    recipe = Recipe(peak_rate=0.2)
    rates = [recipe.rate(step, 100) for step in range(100)]
    assert max(rates) == 0.2 == rates[24]
    assert rates[:25] == sorted(rates[:25]) and rates[24:] == sorted(rates[24:], reverse=True)
    assert 0 < rates[0] < 0.01 and 0 < rates[-1] < 0.01
    assert Recipe().rate(0, 1) > 0


def test_an_epoch_shows_every_image_once_and_grey_ones_as_they_are(dataset):
    batches = Batches(dataset, Recipe(batch_size=20), seed=0)
    drawn = [batches.draw() for _ in range(len(dataset.train.labels) // 20)]
    images = np.concatenate([images for images, _ in drawn])
    assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in dataset.train.images)


def test_as_a_finish_grey_images_are_cropped_and_flipped_and_validation_images_are_learnt_from():
    dark, bright = (np.full((20, 8, 8, 1), level, np.uint8) for level in (50, 200))
    labels = np.arange(20, dtype=np.int32) % 2
    dataset = make_dataset("levels", (dark, labels), (dark, labels), flip=True, validation_split=(bright, labels))
    images = Batches(dataset, Recipe(batch_size=40, as_finish=True), seed=0).draw()[0]
    centres = images[:, 4, 4, 0]
    assert sorted(centres) == [50] * 20 + [200] * 20
    # A crop of one pixel shows the black rim of the padding, at one side or two.
    assert ((images[:, 1:-1, 1:-1, 0] == centres[:, None, None]).all()) and (images == 0).any()
    plain = Batches(dataset, Recipe(batch_size=20), seed=0).draw()[0]
    assert (plain == 50).all()


def test_colour_images_are_cropped_and_flipped():
    colour = make_dataset("stripes", stripes(200, 0, 3), stripes(50, 1, 3), crop_padding=2, flip=True)
    images, labels = Batches(colour, Recipe(batch_size=100), seed=0).draw()
    assert images.shape == (100, 8, 8, 3) and images.dtype == np.uint8 and labels.shape == (100,)
    known = {image.tobytes() for image in colour.train.images}
    assert sum(image.tobytes() in known for image in images) < 50


def test_flops_are_those_of_products():
    assert forward_flops((4, 4, 1), 2) == 2 * (
        9 * 16 * 16 + 9 * 16 * 32 * 4 + 9 * 32 * 32 * 4 + 9 * 32 * 64 + 9 * 64 * 64 + 64 * 2
    )


def test_neighbours_vote():
    values, labels = np.repeat([10, 40, 60, 200, 250], 4), np.repeat([0, 1, 1, 0, 0], 4).astype(np.int32)
    order = np.random.default_rng(0).permutation(20)
    train_split = np.uint8(values[order])[:, None, None, None], labels[order]
    made = make_dataset("levels", train_split, (np.uint8([[[[12]]], [[[55]]], [[[230]]]]), np.array([0, 1, 0])))
    assert neighbours.accuracy(made, made.test, 3) == 1.0
    assert neighbours.accuracy(made, Split(made.test.images, 1 - made.test.labels), 3) == 0.0


def test_nearest_neighbours_of_digits_are_as_good_as_known():
    digits = load("digits")
    assert neighbours.accuracy(digits, digits.test, 5) == pytest.approx(0.989, abs=0.004)


def test_a_budget_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"cpu-seconds is 0.0, but must be above 0"):
        main(["digits", "--cpu-seconds", "0"])
