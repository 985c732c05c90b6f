"""Batches and plans, against NumPy written out by hand."""

import chex
import jax
import numpy as np
import pytest
from helpers.random_images import SHAPE, dataset_of, settings_of

from jaxevo.networks.batches import Images, Plan, bytes_held, draw_batch_on, images_on, plan_training, put_images

PLATFORMS = ("cpu", "gpu", "tpu")


# Batches.


def cropped(image, offset, flip):
    """Returns an image (height, width, channels) moved by an offset, zeros where nothing was, then flipped."""
    height, width = image.shape[:2]
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            source = row + offset[0], column + offset[1]
            if 0 <= source[0] < height and 0 <= source[1] < width:
                result[row, column] = image[source]
    return result[:, ::-1] if flip else result


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_batch_is_picked_cropped_with_zero_padding_flipped_and_normalised(platform):
    dataset = dataset_of()
    images = images_on(platform, dataset)
    generator = np.random.default_rng(0)
    count = len(dataset.train.labels)
    # Offsets up to the size of the image and beyond: nothing of it may be left.
    plan = Plan(
        generator.integers(0, count, (3, 30)).astype(np.int32),
        generator.integers(-7, 8, (3, 30, 2)).astype(np.int32),
        generator.integers(0, 2, (3, 30)).astype(bool),
    )
    for step in range(3):
        pixels, labels = jax.jit(draw_batch_on(platform, SHAPE))(images, plan, np.int32(step))
        moved = [
            cropped(dataset.train.images[index], offset, flip)
            for index, offset, flip in zip(plan.order[step], plan.offsets[step], plan.flips[step], strict=True)
        ]
        expected = (np.stack(moved) / 255 - dataset.mean) / dataset.std
        chex.assert_type([pixels, labels], [np.float32, np.int32])
        np.testing.assert_allclose(pixels, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(labels, dataset.train.labels[plan.order[step]])


@pytest.mark.parametrize("shape", [SHAPE, (8, 8, 1), (32, 32, 3)])
def test_every_platform_picks_exactly_the_same_pixels(shape):
    dataset = dataset_of(300, shape, padding=4)
    # Subtracting a mean rounds otherwise where a compiler fuses it with the division.
    plain = {"mean": np.zeros_like(dataset.mean), "deviation": np.ones_like(dataset.std)}
    plan = plan_training(0, 1, settings_of(batch_size=50), dataset)
    batches = [
        jax.jit(draw_batch_on(platform, shape))(images_on(platform, dataset)._replace(**plain), plan, np.int32(3))
        for platform in PLATFORMS
    ]
    assert len(np.unique(batches[0][0])) > 200
    for batch in batches[1:]:
        chex.assert_trees_all_equal(batch, batches[0])


def test_a_tpu_picks_whole_images():
    """It would pick every pixel on its own, and lay all images out anew for each chunk."""
    dataset = dataset_of()
    plan = plan_training(0, 1, settings_of(), dataset)

    def gathered(platform):
        drawn = jax.jit(draw_batch_on(platform, SHAPE)).lower(images_on(platform, dataset), plan, np.int32(0))
        return [line for line in drawn.as_text().splitlines() if "gather" in line and "ui8" in line]

    [row] = gathered("tpu")
    assert "slice_sizes = array<i64: 1, 60>" in row
    assert any("slice_sizes = array<i64: 1, 1, 1, 2>" in line for line in gathered("cpu"))


def test_the_device_holds_the_train_images_as_bytes():
    dataset = dataset_of()
    images = put_images(dataset, jax.local_devices()[0])
    chex.assert_type(list(images), [np.uint8, np.int32, np.float32, np.float32])
    chex.assert_trees_all_equal(images, Images(dataset.train.images, dataset.train.labels, dataset.mean, dataset.std))


def test_what_a_device_holds_beside_networks_is_counted():
    dataset, settings = dataset_of(), settings_of()
    plan = plan_training(0, 1, settings, dataset)
    splits = (dataset.train, dataset.validation, dataset.test)
    held = sum(split.images.nbytes + 4 * len(split.labels) for split in splits) + sum(array.nbytes for array in plan)
    assert bytes_held(settings, dataset) == held


# Plans.


def test_every_epoch_is_a_shuffle_of_all_train_images():
    dataset = dataset_of(50)
    count = len(dataset.train.labels)
    # Three whole epochs and a part of a fourth; batches run over their borders.
    order = plan_training(0, 1, settings_of(train_steps=21), dataset).order
    assert order.shape == (21, 7)
    shown = order.reshape(-1)
    epochs = [shown[first : first + count] for first in range(0, len(shown), count)]
    assert [len(epoch) for epoch in epochs] == [45, 45, 45, 12]
    for epoch in epochs[:3]:
        assert sorted(epoch) == list(range(count))
    assert len(set(epochs[3])) == 12
    assert len({tuple(epoch[:12]) for epoch in epochs}) == 4


def test_a_plan_depends_on_seed_and_individual_alone():
    dataset = dataset_of()
    plan = plan_training(3, 4, settings_of(), dataset)
    others = settings_of(seed=9, momentum=0.5, weight_decay=0.1, selection="random", initial_learning_rate=0.7)
    chex.assert_trees_all_equal(plan, plan_training(3, 4, others, dataset))
    for seed, individual_id in ((3, 5), (4, 4), (4, 3)):
        other = plan_training(seed, individual_id, settings_of(), dataset)
        for one, another in zip(plan, other, strict=True):
            assert (one != another).any()


def test_a_plan_is_made_of_small_numbers_of_the_documented_shapes():
    plan = plan_training(0, 1, settings_of(), dataset_of())
    chex.assert_shape(list(plan), [(12, 7), (12, 7, 2), (12, 7)])
    chex.assert_type(list(plan), [np.int32, np.int32, bool])


def test_offsets_reach_everything_within_the_padding_and_nothing_beyond():
    plan = plan_training(0, 1, settings_of(train_steps=100), dataset_of(padding=2))
    seen = {tuple(offset) for offset in plan.offsets.reshape(-1, 2).tolist()}
    assert seen == {(row, column) for row in range(-2, 3) for column in range(-2, 3)}
    assert 0.4 < plan.flips.mean() < 0.6


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("flip", [False, True])
def test_augmentation_is_the_data_sets(padding, flip):
    plan = plan_training(0, 1, settings_of(), dataset_of(padding=padding, flip=flip))
    assert set(plan.offsets.reshape(-1)) == set(range(-padding, padding + 1))
    assert plan.flips.any() == flip


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_the_settings_override_the_data_sets_augmentation(padding, flip):
    settings = settings_of(crop_padding=padding, flip=flip)
    plan = plan_training(0, 1, settings, dataset_of(padding=1, flip=not flip))
    assert set(plan.offsets.reshape(-1)) == set(range(-padding, padding + 1))
    assert plan.flips.any() == flip
