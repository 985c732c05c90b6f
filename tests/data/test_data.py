"""What a data set is: splits, checks, augmentation, fingerprint; the embedded sets; finding a set by name."""

import hashlib
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxevo.data
from jaxevo.data.augmentation import augmentation_for
from jaxevo.data.dataset import make_dataset

Arrays = tuple[np.ndarray, np.ndarray]


def arrays(number: int, shape: tuple[int, ...] = (6, 5, 3), classes: int = 3, seed: int = 0) -> Arrays:
    """Random images of a shape, and labels that go round the classes."""
    images = np.random.default_rng(seed).integers(0, 256, (number, *shape), np.uint8)
    return images, np.arange(number) % classes


def test_validation_is_the_last_tenth_of_train() -> None:
    images, labels = arrays(39)
    test_images, test_labels = arrays(7, seed=1)
    dataset = make_dataset("some", (images, labels), (test_images, test_labels))
    np.testing.assert_array_equal(dataset.train.images, images[:36])
    np.testing.assert_array_equal(dataset.train.labels, labels[:36])
    np.testing.assert_array_equal(dataset.validation.images, images[36:])
    np.testing.assert_array_equal(dataset.validation.labels, labels[36:])
    np.testing.assert_array_equal(dataset.test.images, test_images)
    np.testing.assert_array_equal(dataset.test.labels, test_labels)
    assert dataset.image_shape == (6, 5, 3)
    assert dataset.num_classes == 3
    assert dataset.class_names == ("0", "1", "2")


def test_unknown_images_are_shifted_by_an_eighth_of_their_shorter_side() -> None:
    """Taller ones would be shifted out of sight."""
    assert augmentation_for("mels", (128, 9, 1)) == (1, False)
    assert augmentation_for("photographs", (64, 96, 3)) == (8, True)


def test_what_is_said_of_labels_is_the_same_where_they_are_as_given() -> None:
    images, labels = arrays(60)
    dataset = make_dataset("some", (images, labels * 100 + 100), None)
    given = dataset.as_given()
    assert set(given.train.labels) == {100, 200, 300}
    assert given.notices == dataset.notices
    assert given.fingerprint == dataset.fingerprint


def test_validation_is_five_thousand_of_fifty_thousand() -> None:
    dataset = make_dataset("some", arrays(50_000, (1, 1, 1)), arrays(10, (1, 1, 1)))
    assert len(dataset.train.images) == 45_000
    assert len(dataset.validation.images) == 5_000


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_labels_of_any_integer_dtype_become_int32(dtype: type) -> None:
    images, labels = arrays(20)
    dataset = make_dataset("some", (images, labels.astype(dtype)), (images, labels.astype(dtype)))
    assert {split.labels.dtype for split in (dataset.train, dataset.validation, dataset.test)} == {np.dtype(np.int32)}


def test_grey_images_get_a_channel() -> None:
    dataset = make_dataset("some", arrays(20, (6, 5)), arrays(10, (6, 5)))
    assert dataset.image_shape == (6, 5, 1)


def test_arrays_cannot_be_written_to_and_those_given_stay_writable() -> None:
    images, labels = arrays(20)
    dataset = make_dataset("some", (images, labels), (images, labels))
    for split in (dataset.train, dataset.validation, dataset.test):
        for array in split:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    images[0] = 0


GOOD_IMAGES, GOOD_LABELS = arrays(20)
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "normalised images": (
        {"train_images": GOOD_IMAGES / 127.5 - 1},
        "train_images: float64 pixels are -1 to 1; give uint8, integers from 0, or floats of 0 to 1 or 0 to 255",
    ),
    "floats above 255": ({"train_images": GOOD_IMAGES * 2.0}, "train_images: float64 pixels are 0 to 510; give"),
    "no number": ({"train_images": GOOD_IMAGES * np.nan}, "train_images: a pixel is not a finite number"),
    "negative pixels": ({"train_images": GOOD_IMAGES.astype(int) - 9}, "train_images: int64 pixels are -9 to"),
    "another range in test": (
        {"train_images": GOOD_IMAGES / 255, "test_images": GOOD_IMAGES * 1.0},
        "test_images: pixels are 0 to 255, but must be 0 to 1, as train_images are read",
    ),
    "text for images": ({"train_images": GOOD_IMAGES.astype(str)}, "train_images: dtype is <U3; give uint8 pixels"),
    "flat images": (
        {"train_images": GOOD_IMAGES.reshape(20, -1)},
        r"train_images: shape is \(20, 90\); give",
    ),
    "no test images": (
        {"test_images": GOOD_IMAGES[:0], "test_labels": GOOD_LABELS[:0]},
        r"test_images: shape is \(0, 6, 5, 3\); give .* no length 0",
    ),
    "other test shape": (
        {"test_images": GOOD_IMAGES[:, :4]},
        r"test_images: .* are \(4, 5, 3\), but \(6, 5, 3\) in train_images; give all images the same shape",
    ),
    "too few images": (
        {"train_images": GOOD_IMAGES[:3], "train_labels": GOOD_LABELS[:3]},
        "train_images: 3 images, 3 of them different, are too few to train on one of every class and to hold one out",
    ),
    "fractions for labels": (
        {"train_labels": GOOD_LABELS + 0.5},
        "train_labels: label 0.5 at index 0 is no whole number",
    ),
    "several labels an image": (
        {"train_labels": np.ones((20, 3), int)},
        r"train_labels: shape is \(20, 3\), but the rows are not one-hot; give one class an image",
    ),
    "text beside numbers": ({"test_labels": np.array(list("abc"))[GOOD_LABELS]}, "labels: some splits have text"),
    "lacking labels": ({"test_labels": GOOD_LABELS[:9]}, r"test_labels: shape is \(9,\); .* per image, \[20\]"),
    "negative label": (
        {"train_labels": np.where(np.arange(20) == 4, -1, GOOD_LABELS)},
        "train_labels: label -1 at index 4 is out of range; give labels from 0, or remove images without a class",
    ),
    "class of test images alone": (
        {"test_labels": GOOD_LABELS + 1},
        "test_labels: no training image has the class '3' of test images",
    ),
    "a class for every image": (
        {"train_labels": np.arange(20), "test_labels": np.arange(20) + 1},
        "train_labels: 21 different labels for 20 images are no classes",
    ),
    "too few names": ({"class_names": ["ant", "bee"]}, "train_labels: label 2 at index 2 is out of range"),
    "one class": (
        {"train_labels": GOOD_LABELS * 0, "test_labels": GOOD_LABELS * 0},
        "class_names: the number of classes is 1; give images",
    ),
    "name no text": ({"class_names": ["ant", 5, "cat"]}, "class_names: 5 is not text; give one text per class"),
    "label without a name": (
        {"train_labels": np.array(list("abc"))[GOOD_LABELS], "test_labels": np.array(list("abc"))[GOOD_LABELS]}
        | {"class_names": ["a", "b"]},
        "class_names: 'c' is a label, but no class name",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_told_in_a_sentence(fault: str) -> None:
    changes, sentence = FAULTS[fault]
    given: dict[str, Any] = {
        "train_images": GOOD_IMAGES,
        "train_labels": GOOD_LABELS,
        "test_images": GOOD_IMAGES,
        "test_labels": GOOD_LABELS,
        "class_names": None,
    } | changes
    train, test = (given["train_images"], given["train_labels"]), (given["test_images"], given["test_labels"])
    with pytest.raises(ValueError, match=f"^{sentence}"):
        make_dataset("some", train, test, given["class_names"])


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.3, 0.5), (0.96, 0.04)])
def test_shuffled_images_are_accepted_whatever_the_shares_of_the_classes(shares: tuple[float, ...]) -> None:
    generator = np.random.default_rng(8)
    labels = np.repeat(np.arange(len(shares)), [round(600 * share) for share in shares])
    images = np.zeros((600, 4, 4, 1), np.uint8)
    for _ in range(20):
        shuffled = generator.permutation(labels)
        make_dataset("some", (images, shuffled), (images, shuffled))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.3, 0.5)])
def test_images_sorted_or_in_groups_of_a_class_are_shuffled_and_that_is_said(shares: tuple[float, ...]) -> None:
    images, _ = arrays(600, (4, 4, 1))
    labels = np.repeat(np.arange(len(shares)), [round(600 * share) for share in shares])
    for given in (labels, labels[::-1], np.roll(labels, 60)):  # The last neither rise nor fall all the way.
        dataset = make_dataset("some", (images, given), (images[:9], given[:9]))
        assert any("sorted or grouped by class: they are shuffled" in one for one in dataset.said)
        assert np.bincount(dataset.validation.labels).tolist() == [round(60 * share) for share in shares]
        assert len(np.unique(dataset.train.labels[:50])) == len(shares)


def test_a_class_without_test_images_is_allowed() -> None:
    images, labels = arrays(20)
    dataset = make_dataset("some", (images, labels), (images[:1], labels[:1]))
    assert dataset.num_classes == 3


def test_mean_and_std_are_those_of_the_train_pixels() -> None:
    dataset = make_dataset("some", arrays(500, (8, 8, 3)), arrays(10, (8, 8, 3)))
    pixels = dataset.train.images.reshape(-1, 3) / 255
    assert dataset.mean.dtype == dataset.std.dtype == np.float32
    assert dataset.mean.shape == dataset.std.shape == (3,)
    np.testing.assert_allclose(dataset.mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, pixels.std(axis=0), rtol=1e-6)


def test_mean_and_std_do_not_depend_on_the_order_of_images() -> None:
    images, labels = arrays(40, (8, 8, 3))
    order = np.random.default_rng(3).permutation(36)
    other = images.copy()
    other[:36] = images[order]
    first, second = (make_dataset("some", (given, labels), (images, labels)) for given in (images, other))
    assert first.mean.tobytes() == second.mean.tobytes()
    assert first.std.tobytes() == second.std.tobytes()


def test_std_of_a_constant_channel_is_one() -> None:
    images, labels = arrays(20)
    images[..., 1] = 7
    dataset = make_dataset("some", (images, labels), (images, labels))
    assert dataset.std[1] == 1
    assert dataset.mean[1] == np.float32(7 / 255)


def test_fingerprint_covers_images_labels_shapes_splits_and_class_names_but_not_the_name() -> None:
    images, labels = arrays(20, (4, 4, 1))
    changed = images.copy()
    changed[-1, -1, -1, 0] ^= 1
    relabelled = np.roll(labels, 1)
    given = [
        make_dataset("some", (images, labels), (images, labels)),
        make_dataset("some", (changed, labels), (images, labels)),
        make_dataset("some", (images, labels), (changed, labels)),
        make_dataset("some", (images, relabelled), (images, labels)),
        make_dataset("some", (images, labels), (images, relabelled)),
        make_dataset("some", (images.reshape(20, 2, 8), labels), (images.reshape(20, 2, 8), labels)),
        make_dataset("some", (images, labels), (images, labels), ["ant", "bee", "cat"]),
    ]
    fingerprints = [dataset.fingerprint for dataset in given]
    assert len(set(fingerprints)) == len(given)
    assert all(len(bytes.fromhex(text)) == hashlib.sha256().digest_size for text in fingerprints)
    again = make_dataset("other", (images.copy(), labels.astype(np.uint8)), (images, labels))
    assert again.fingerprint == fingerprints[0]


@pytest.mark.parametrize(
    ("name", "shape", "crop_padding", "flip"),
    [
        ("digits", (8, 8, 1), 1, False),
        ("mnist", (28, 28, 1), 2, False),
        ("fashion_mini", (28, 28, 1), 2, True),
        ("fashion_mnist", (28, 28, 1), 2, True),
        ("svhn_cropped", (32, 32, 3), 4, False),
        ("cifar10", (32, 32, 3), 4, True),
        ("cifar10:3.0.2", (32, 32, 3), 4, True),
        ("cifar100", (32, 32, 3), 4, True),
        ("emnist/letters", (28, 28, 1), 3, False),
        ("photos", (64, 48, 3), 6, True),
        ("scans", (64, 48, 1), 6, False),
    ],
)
def test_augmentation_suits_the_data_set(name: str, shape: tuple[int, ...], crop_padding: int, flip: bool) -> None:
    dataset = make_dataset(name, arrays(20, shape), arrays(10, shape))
    assert (dataset.crop_padding, dataset.flip) == (crop_padding, flip)


def test_augmentation_can_be_given() -> None:
    dataset = make_dataset("cifar10", arrays(20), arrays(10), crop_padding=0, flip=False)
    assert (dataset.crop_padding, dataset.flip) == (0, False)


def test_digits() -> None:
    dataset = jaxevo.data.load("digits")
    assert dataset.name == "digits"
    assert dataset.image_shape == (8, 8, 1)
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split.labels) for split in splits] == [1294, 143, 360]
    assert dataset.class_names == tuple("0123456789")
    assert (dataset.crop_padding, dataset.flip) == (1, False)
    assert dataset.fingerprint == jaxevo.data.load("digits").fingerprint


def test_digits_are_all_of_scikit_learns_each_once() -> None:
    from sklearn.datasets import load_digits

    dataset = jaxevo.data.load("digits")
    splits = (dataset.train, dataset.validation, dataset.test)
    images = np.concatenate([split.images for split in splits])
    levels = np.rint(images.reshape(-1, 64) * (16 / 255)).astype(int)
    labels = np.concatenate([split.labels for split in splits])
    found = sorted(zip(levels.tolist(), labels.tolist(), strict=True))
    original_levels, original_labels = load_digits(return_X_y=True)
    original = zip(original_levels.astype(int).tolist(), original_labels.tolist(), strict=True)
    assert found == sorted(original)
    assert len(np.unique(images)) == 17
    assert images.max() == 255
    # The shuffle mixes: every class is in every split, and the first image is not the first of
    # scikit-learn's.
    assert all(len(np.unique(split.labels)) == 10 for split in splits)
    assert levels[0].tolist() != original_levels[0].tolist()


def test_fashion_mini() -> None:
    dataset = jaxevo.data.load("fashion_mini")
    assert dataset.name == "fashion_mini"
    assert dataset.image_shape == (28, 28, 1)
    splits = (dataset.train, dataset.validation, dataset.test)
    counts = [np.bincount(split.labels).tolist() for split in splits]
    assert counts == [[540] * 10, [60] * 10, [100] * 10]
    assert dataset.class_names[0] == "T-shirt/top"
    assert dataset.class_names[9] == "Ankle boot"
    assert (dataset.crop_padding, dataset.flip) == (2, True)
    # Trousers are narrower than coats: labels and images belong together.
    width = (dataset.train.images[..., 0] > 0).any(axis=1).sum(axis=1)
    assert width[dataset.train.labels == 1].mean() < width[dataset.train.labels == 4].mean() - 5


def test_the_licence_of_fashion_mini_lies_beside_it() -> None:
    from importlib.resources import files

    notice = files("jaxevo.data").joinpath("assets", "fashion_mini.LICENSE.txt").read_text()
    assert "MIT License" in notice
    assert "Copyright (c) 2017 Zalando SE" in notice


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("digitz", "Did you mean 'digits'"),
        ("fashion_mni", "'fashion_mini' or 'fashion_mnist'"),
        ("cifar11", "'cifar10'"),
        ("huggingface:mnist", "Give digits, fashion_mini, the path of"),
        ("no/such/folder", "nor a file or folder that exists"),
        ("", "Give digits"),
    ],
)
def test_an_unknown_name_is_told_with_near_ones(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("JAXEVO_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="is neither an embedded set") as caught:
        jaxevo.data.load(name)
    assert hint in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_importing_loads_nothing_heavier_than_numpy_and_loading_no_jax() -> None:
    program = (
        "import sys, jaxevo.data\n"
        "heavy = {'jax', 'flax', 'tensorflow', 'tensorflow_datasets', 'sklearn', 'PIL', 'scipy', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "jaxevo.data.load('digits'), jaxevo.data.load('fashion_mini')\n"
        "import jaxevo.data.npz, jaxevo.data.photographs, jaxevo.data.tfds, jaxevo.data.prepare\n"
        "assert not {'jax', 'flax', 'tensorflow_datasets'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_std_is_never_zero_even_for_one_odd_pixel() -> None:
    images, labels = np.zeros((20, 100, 100, 1), np.uint8), np.arange(20) % 2
    images[0, 0, 0, 0] = 1
    dataset = make_dataset("some", (images, labels), (images, labels))
    number = 18 * 100 * 100
    assert dataset.std[0] == pytest.approx(math.sqrt(number - 1) / number / 255)
