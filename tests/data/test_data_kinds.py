"""Kinds of arrays and folders that people have: each is read, and what was changed is said."""

import errno
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import jaxevo.data
from jaxevo.data import augmented_as, splits
from jaxevo.data.dataset import make_dataset


def images_of(number: int, shape: tuple[int, ...] = (6, 5, 3), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (number, *shape), np.uint8)


def plain(number: int = 60, classes: int = 3) -> dict[str, Any]:
    labels = np.random.default_rng(1).permutation(np.arange(number) % classes)
    return {
        "train_images": images_of(number),
        "train_labels": labels,
        "test_images": images_of(12, seed=2),
        "test_labels": np.arange(12) % classes,
    }


def load_saved(tmp_path: Path, **arrays: Any) -> jaxevo.data.Dataset:
    np.savez(tmp_path / "mine.npz", **arrays)
    return jaxevo.data.load(tmp_path / "mine.npz")


def everything(dataset: jaxevo.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    found = (dataset.train, dataset.validation, dataset.test)
    return np.concatenate([one.images for one in found]), np.concatenate([one.labels for one in found])


def test_a_validation_split_of_its_own_is_used_as_in_medmnist(tmp_path: Path) -> None:
    given = plain()
    own = {"val_images": images_of(20, seed=3), "val_labels": np.arange(20)[:, None] % 3}
    dataset = load_saved(tmp_path, **given, **own)
    np.testing.assert_array_equal(dataset.train.images, given["train_images"])
    np.testing.assert_array_equal(dataset.validation.images, own["val_images"])
    np.testing.assert_array_equal(dataset.validation.labels, np.arange(20) % 3)


@pytest.mark.parametrize("names", [("x_{}", "y_{}"), ("X_{}", "Y_{}"), ("{}_x", "{}_y"), ("{}_data", "{}_targets")])
def test_names_of_arrays_as_in_keras_and_others(tmp_path: Path, names: tuple[str, str]) -> None:
    given = plain()
    renamed = {
        names[kind == "labels"].format(split): given[f"{split}_{kind}"]
        for split in ("train", "test")
        for kind in ("images", "labels")
    }
    dataset = load_saved(tmp_path, **renamed)
    np.testing.assert_array_equal(dataset.test.images, given["test_images"])
    assert np.bincount(dataset.validation.labels).tolist() == [2, 2, 2]


def test_a_file_without_splits_is_cut(tmp_path: Path) -> None:
    given = plain()
    dataset = load_saved(tmp_path, images=given["train_images"], labels=given["train_labels"], more=np.zeros(3))
    assert [len(one.labels) for one in (dataset.train, dataset.validation, dataset.test)] == [45, 5, 10]
    assert "no test split: 10 of 60 images are held out as test" in dataset.said
    assert "arrays that are not used: more" in dataset.said


NAMES = np.array(["ant", "bee", "cat"])
LABELS = {
    "column": (lambda labels: labels[:, None], ("0", "1", "2"), ()),
    "one-hot": (lambda labels: np.eye(3, dtype=np.float32)[labels], ("0", "1", "2"), ()),
    "text": (lambda labels: NAMES[labels], ("ant", "bee", "cat"), ()),
    "bytes": (lambda labels: NAMES.astype("S")[labels], ("ant", "bee", "cat"), ()),
    "whole floats": (lambda labels: labels * 1.0, ("0", "1", "2"), ()),
    "gaps": (lambda labels: np.array([1, 5, 9])[labels], ("1", "5", "9"), (1, 5, 9)),
    "from 1": (lambda labels: labels + 1, ("1", "2", "3"), (1, 2, 3)),
    "large": (
        lambda labels: labels + 10**15,
        tuple(str(10**15 + label) for label in range(3)),
        tuple(range(10**15, 10**15 + 3)),
    ),
    "signs": (lambda labels: np.where(labels == 0, -1, 1), ("-1", "1"), (-1, 1)),
    "truth": (lambda labels: labels > 0, ("0", "1"), ()),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_kind(tmp_path: Path, kind: str) -> None:
    change, names, values = LABELS[kind]
    given = plain()
    changed = {name: change(array) if name.endswith("labels") else array for name, array in given.items()}
    dataset = load_saved(tmp_path, **changed)
    assert dataset.class_names == names
    assert dataset.values == values
    expected = np.minimum(given["test_labels"], len(names) - 1)
    np.testing.assert_array_equal(dataset.test.labels, expected)
    if values:
        np.testing.assert_array_equal(dataset.as_given().test.labels, changed["test_labels"])


def test_classes_that_appear_nowhere_are_dropped_and_said(tmp_path: Path) -> None:
    given = plain()
    for name in ("train_labels", "test_labels"):
        given[name] = given[name] * 2
    dataset = load_saved(tmp_path, **given, class_names=np.array(list("abcde")))
    assert dataset.class_names == ("a", "c", "e")
    assert dataset.values == (0, 2, 4)
    assert "classes without an image are dropped: b, d" in dataset.said


def test_labels_from_1_with_as_many_names(tmp_path: Path) -> None:
    given = plain()
    for name in ("train_labels", "test_labels"):
        given[name] = given[name] + 1
    dataset = load_saved(tmp_path, **given, class_names=NAMES)
    assert dataset.class_names == ("ant", "bee", "cat")
    assert "labels run from 1 to 3, the number of class names: 1 is the first name" in dataset.said


PIXELS = {
    "wide": (lambda pixels: pixels.astype(np.int64), "int64 pixels of 0 to 255 are taken as they are"),
    "16 bits": (lambda pixels: pixels.astype(np.uint16) * 257, "scaled linearly: 0 to 0, and 65535"),
    "12 bits": (lambda pixels: np.rint(pixels * (4095 / 255)).astype(np.uint16), "scaled linearly: 0 to 0, and 4095"),
    "0 to 1": (lambda pixels: pixels / np.float32(255), "float32 pixels of 0 to 1 are multiplied by 255 and rounded"),
    "0 to 255": (lambda pixels: pixels * 1.0, "float64 pixels of 0 to 255 are rounded"),
    "channels first": (lambda pixels: np.moveaxis(pixels, -1, 1), r"channels first (3, 6, 5): they are moved last"),
}


@pytest.mark.parametrize("kind", PIXELS)
def test_pixels_of_every_kind_become_the_same_bytes(tmp_path: Path, kind: str) -> None:
    change, sentence = PIXELS[kind]
    given = plain()
    given["train_images"][0, 0, 0, 0], given["train_images"][1, 0, 0, 0] = 255, 0
    changed = {name: change(array) if name.endswith("images") else array for name, array in given.items()}
    dataset = load_saved(tmp_path, **changed)
    np.testing.assert_array_equal(dataset.test.images, given["test_images"])
    assert any(sentence in one for one in dataset.said)


def test_truth_values_are_black_and_white(tmp_path: Path) -> None:
    given = plain()
    dataset = load_saved(tmp_path, **given | {name: given[name] > 127 for name in ("train_images", "test_images")})
    np.testing.assert_array_equal(dataset.test.images, np.where(given["test_images"] > 127, 255, 0))


def test_sizes_are_checked_from_headers_before_anything_is_read(tmp_path: Path) -> None:
    """Only the headers of these arrays exist."""
    import zipfile

    def header(shape: tuple[int, ...], dtype: str) -> bytes:
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
        return buffer.getvalue()

    def write(**headers: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
            for name, content in headers.items():
                archive.writestr(f"{name}.npy", content)
        return tmp_path / "mine.npz"

    huge = write(train_images=header((10**9, 64, 64), "|u1"), train_labels=header((10**9,), "<i8"))
    with pytest.raises(ValueError, match=r"take 4,104.0 GB, and this machine has .* GB of memory"):
        jaxevo.data.load(huge)
    pickled = write(train_images=header((9, 4, 4), "|O"), train_labels=header((9,), "<i8"))
    with pytest.raises(ValueError, match=r"train images are pickled objects\); give .* plain arrays only"):
        jaxevo.data.load(pickled)
    short = write(train_images=header((9, 4, 4), "|u1"), train_labels=header((8,), "<i8"))
    with pytest.raises(ValueError, match=r"train_labels: shape is \(8,\); give one label per image, \[9\]"):
        jaxevo.data.load(short)


def test_images_in_two_given_splits_are_counted() -> None:
    images, labels = images_of(60), np.arange(60) % 3
    dataset = make_dataset("some", (images, labels), (images[:7], labels[:7]))
    assert (
        "test images that are also training or validation images: 7, so that accuracy is overrated" in dataset.notices
    )


def test_identical_images_fall_into_one_split_and_every_class_gives_its_share() -> None:
    images = np.repeat(images_of(150), 2, axis=0)
    labels = np.repeat(np.arange(150) % 3, 2)
    dataset = make_dataset("some", (images, labels), None)
    found = [set(map(bytes, one.images)) for one in (dataset.train, dataset.validation, dataset.test)]
    assert [len(one) for one in found] == [114, 12, 24]
    assert not found[0] & found[1] | found[0] & found[2] | found[1] & found[2]
    assert max(np.bincount(dataset.test.labels)) - min(np.bincount(dataset.test.labels)) <= 2
    assert not [one for one in dataset.notices if "overrated" in one]


def test_cuts_depend_on_the_images_and_not_on_their_order() -> None:
    images, labels = images_of(90), np.arange(90) % 3
    order = np.random.default_rng(5).permutation(90)
    one = make_dataset("some", (images, labels), None)
    other = make_dataset("some", (images[order], labels[order]), None)
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("counts", [(40, 3, 2), (2, 2, 2), (9, 1, 1)])
def test_no_class_loses_its_last_training_image(counts: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(3), counts)
    dataset = make_dataset("some", (images_of(len(labels)), labels), None)
    assert set(dataset.train.labels.tolist()) == {0, 1, 2}
    assert min(len(dataset.validation.labels), len(dataset.test.labels)) >= 1


def test_a_tenth_is_held_out_in_proportion() -> None:
    labels = np.repeat(np.arange(3), (700, 270, 30))
    held = splits.cut_validation(images_of(1000), labels, 3)
    assert np.bincount(labels[held]).tolist() == [70, 27, 3]


def test_rare_classes_and_a_small_validation_split_are_told() -> None:
    labels = np.repeat(np.arange(2), (200, 4))
    notices = make_dataset("some", (images_of(204), labels), None).notices
    assert any(one.startswith("rare classes: 1 (2 to train on)") for one in notices)
    assert any(one.startswith("validation has 18 images, each worth 5.6% of the accuracy") for one in notices)


def picture(path: Path, size: tuple[int, int] = (5, 6), mode: str = "RGB", **options: Any) -> np.ndarray:
    """Writes an image of pixels that its path decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = images_of(1, (size[1], size[0], 3), seed=sum(path.name.encode()) + 7 * len(path.parent.name))[0]
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return pixels


def folder_of(path: Path, *classes: str, number: int = 8, ending: str = ".png") -> None:
    for name in classes:
        for index in range(number):
            picture(path / name / f"{name}{index}{ending}")


@pytest.mark.parametrize(
    "spelled", [("train", "val", "test"), ("Training", "Validation", "Testing"), ("TRAIN", "dev", "Test")]
)
def test_folders_of_splits_in_the_usual_spellings(tmp_path: Path, spelled: tuple[str, str, str]) -> None:
    for split, number in zip(spelled, (10, 4, 3), strict=True):
        folder_of(tmp_path / split, "cat", "dog", number=number)
    dataset = jaxevo.data.load(tmp_path)
    assert [len(one.labels) for one in (dataset.train, dataset.validation, dataset.test)] == [20, 8, 6]


def test_train_and_val_alone_hold_a_test_split_out(tmp_path: Path) -> None:
    folder_of(tmp_path / "train", "ants", "bees", number=12)
    folder_of(tmp_path / "val", "ants", "bees", number=5)
    dataset = jaxevo.data.load(tmp_path)
    assert [len(one.labels) for one in (dataset.train, dataset.validation, dataset.test)] == [20, 10, 4]


@pytest.mark.parametrize("name", ["train", "test", "val"])
def test_a_class_may_be_called_like_a_split(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, "bus", "car", name)
    assert jaxevo.data.load(tmp_path).class_names == tuple(sorted(("bus", "car", name)))


def test_nested_folders_odd_endings_and_what_is_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path / "photos", "cat")
    folder_of(tmp_path / "photos" / "dog", "old", "new", number=4)
    for index in range(4):
        picture(tmp_path / "photos" / "cat" / f"{index}.ppm")
        picture(tmp_path / "photos" / "cat" / f"{index}.jpg")
        (tmp_path / "photos" / "cat" / f"{index}.jpg").rename(tmp_path / "photos" / "cat" / f"{index}.JFIF")
    (tmp_path / "photos" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "photos" / "dog" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    dataset = jaxevo.data.load(tmp_path)
    assert np.bincount(everything(dataset)[1]).tolist() == [16, 8]
    assert "the images are in the folder photos inside it" in dataset.said
    assert "files left out, since they are no images: 1 with .txt, 2 hidden or of the system" in dataset.said


def test_images_beside_the_class_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    folder_of(tmp_path, "cat", "dog")
    picture(tmp_path / "cover.png")
    (tmp_path / "notes.txt").write_text("no image")
    said = jaxevo.data.load(tmp_path).said
    assert "files left out, since they are no images: 1 with .txt" in said
    assert "images left out, since they lie outside of class folders: 1" in said


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    folder_of(tmp_path, "cat", "dog")
    pixels = np.zeros((6, 5, 3), np.uint8)
    pixels[0] = 255
    orientation = Image.Exif()
    orientation[0x0112] = 8  # To be turned left by a quarter.
    Image.fromarray(np.rot90(pixels, -1)).save(tmp_path / "cat" / "turned.png", exif=orientation)
    images, _ = everything(jaxevo.data.load(tmp_path))
    assert any(np.array_equal(image, pixels) for image in images)


@pytest.mark.parametrize("turned", range(5, 9))
def test_exif_orientation_of_tiff_is_applied_as_that_of_png(tmp_path: Path, turned: int) -> None:
    """Some versions of Pillow turn TIFF themselves."""
    folder_of(tmp_path, "cat", "dog")
    orientation = Image.Exif()
    orientation[0x0112] = turned
    given = Image.fromarray(images_of(1, (5, 6, 3), seed=9)[0])
    given.save(tmp_path / "cat" / "turned.png", exif=orientation)
    given.save(tmp_path / "cat" / "plain.tif", exif=orientation)
    given.save(tmp_path / "cat" / "packed.tif", exif=orientation, compression="tiff_lzw")
    images, _ = everything(jaxevo.data.load(tmp_path))
    assert images.shape[1:] == (6, 5, 3)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "cat" / "turned.png")))
    assert sum(np.array_equal(image, expected) for image in images) == 3


@pytest.mark.parametrize("hidden", ["cat", "cat/old"])
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even root sees it so."""
    folder_of(tmp_path, "cat", "dog", "emu")
    folder_of(tmp_path / "cat", "old")
    scan = os.scandir

    def scandir(path: str) -> Any:
        if os.fspath(path) == str(tmp_path / hidden):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr("os.scandir", scandir)
    sentence = f"dataset: '{tmp_path / hidden}' cannot be read (Permission denied); give yourself the right to read it"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        jaxevo.data.load(tmp_path)


@pytest.mark.parametrize("mode", ["CMYK", "P", "LA", "RGBA", "1"])
def test_images_of_every_mode(tmp_path: Path, mode: str) -> None:
    folder_of(tmp_path, "cat", "dog")
    picture(tmp_path / "cat" / "other.tif", mode=mode)
    assert jaxevo.data.load(tmp_path).image_shape == (6, 5, 3)


def test_several_sizes_are_resized_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXEVO_CACHE_DIR", str(tmp_path / "cache"))
    folder_of(tmp_path / "photos", "cat", "dog")
    pixels = picture(tmp_path / "photos" / "cat" / "large.png", (40, 30))
    dataset = jaxevo.data.load(tmp_path / "photos", "6x5")
    assert dataset.image_shape == (6, 5, 3)
    assert "1 of 17 images are resized to 6x5, stretched" in dataset.said
    expected = np.asarray(Image.fromarray(pixels).resize((5, 6), Image.Resampling.BILINEAR))
    assert any(np.array_equal(image, expected) for image in everything(dataset)[0])
    assert len(list((tmp_path / "cache" / "data").iterdir())) == 1
    monkeypatch.setattr("jaxevo.data.photographs.read_pixels", None)
    assert jaxevo.data.load(tmp_path / "photos", "6x5").fingerprint == dataset.fingerprint


def test_an_image_size_beyond_all_memory_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"the images of 'image_size 99999x99999' take [\d,.]+ GB, and this machine has"
    ):
        jaxevo.data.load("digits", "99999x99999")


def test_an_image_size_suits_any_data_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **plain())
    assert jaxevo.data.load(tmp_path / "mine.npz", "9x7").image_shape == (9, 7, 3)
    assert jaxevo.data.load("digits", "16x16").image_shape == (16, 16, 1)
    for text in ("0x5", "32", "axb", "-1x4"):
        with pytest.raises(ValueError, match=f"image_size is '{text}', but must be HEIGHTxWIDTH in pixels"):
            jaxevo.data.load("digits", text)


def test_a_folder_of_a_built_in_name_does_not_lose_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "digits", "cat", "dog")
    assert jaxevo.data.load("digits").said == (
        "digits is the embedded data set; for the folder of this name give ./digits",
    )
    assert jaxevo.data.load("./digits").class_names == ("cat", "dog")
    assert jaxevo.data.load(Path("digits")).class_names == ("cat", "dog")


def test_class_names_in_another_unicode_form_or_not_in_utf_8(tmp_path: Path) -> None:
    import unicodedata

    folder_of(tmp_path / "one" / "train", "café", "thé")
    folder_of(tmp_path / "one" / "test", *(unicodedata.normalize("NFD", name) for name in ("café", "thé")))
    assert jaxevo.data.load(tmp_path / "one").class_names == ("café", "thé")
    folder_of(tmp_path / "two", "chat", "chien")
    os.rename(tmp_path / "two" / "chien", os.fsencode(tmp_path / "two") + b"/chi\xe9n")
    assert jaxevo.data.load(tmp_path / "two").class_names == ("chat", "chién")


def test_no_luck_of_file_names_decides(tmp_path: Path) -> None:
    """Some names would hold the only two images of a class out."""
    for number in range(6):
        folder = tmp_path / str(number)
        for name in ("cat", "dog", "emu"):
            for index in range(2):
                picture(folder / name / f"{number}{name}{index}.png")
        assert jaxevo.data.load(folder).num_classes == 3


def test_a_folder_that_is_a_link_is_augmented_as_a_resumed_run_augments_it(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for index in range(12):
            picture(tmp_path / "svhn_cropped" / name / f"{name}{index}.png")
    (tmp_path / "data").symlink_to(tmp_path / "svhn_cropped")
    for place in (tmp_path / "data", tmp_path / "svhn_cropped"):
        dataset = jaxevo.data.load(place)
        again = augmented_as(dataset, dataset.source)
        assert (dataset.crop_padding, dataset.flip) == (again.crop_padding, again.flip)


def test_each_array_has_its_channels_moved_last(tmp_path: Path) -> None:
    train, test = images_of(40, (12, 10, 3)), images_of(20, (12, 10, 3), seed=5)
    labels = np.arange(40) % 2
    np.savez(
        tmp_path / "mixed.npz",
        train_images=np.moveaxis(train, -1, 1),
        train_labels=labels,
        test_images=test,
        test_labels=labels[:20],
    )
    dataset = jaxevo.data.load(tmp_path / "mixed.npz")
    assert np.array_equal(dataset.test.images, test)


def test_floats_beside_whole_numbers_are_refused(tmp_path: Path) -> None:
    images, labels = images_of(40, (12, 10, 1)), np.arange(40) % 2
    np.savez(
        tmp_path / "two.npz", train_images=images, train_labels=labels, test_images=images / 255, test_labels=labels
    )
    with pytest.raises(ValueError, match="test_images: float64 of 0 to 1 is given, but the training images are uint8"):
        jaxevo.data.load(tmp_path / "two.npz")


@pytest.mark.parametrize("given", [images_of(20, (12, 10)) / np.float32(255), images_of(20, (12, 10)) > 127])
def test_floats_of_0_to_1_and_truth_values_beside_floats_of_0_to_255_are_refused(given: np.ndarray) -> None:
    images, labels = images_of(40, (12, 10)).astype(np.float32), np.arange(40) % 2
    sentence = f"test_images: {given.dtype} of 0 to 1 is given, but the training images are float32 of 0 to 255"
    with pytest.raises(ValueError, match=sentence):
        make_dataset("some", (images, labels), (given, labels[:20]))


def test_dark_images_beside_floats_of_0_to_255_are_taken() -> None:
    images, labels = images_of(40, (12, 10)).astype(np.float32), np.arange(40) % 2
    dark = (images[:20] > 127).astype(np.float32)
    dataset = make_dataset("some", (images, labels), (dark, labels[:20]))
    np.testing.assert_array_equal(dataset.test.images[..., 0], dark)


def test_images_of_8_bits_beside_deeper_ones_are_taken_as_they_are() -> None:
    images, labels = images_of(40, (12, 10)), np.arange(40) % 2
    images[0, 0, 0] = 255
    deep = np.rint(images * (4095 / 255)).astype(np.uint16)
    dataset = make_dataset("some", (deep, labels), (images, labels), validation_split=(deep[20:], labels[20:]))
    for split, expected in ((dataset.train, images), (dataset.validation, images[20:]), (dataset.test, images)):
        np.testing.assert_array_equal(split.images[..., 0], expected)
    assert "test_images are uint8: they are taken as they are" in dataset.said


def test_a_recorded_name_is_not_that_of_a_folder_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "photographs", "cat", "dog")
    monkeypatch.chdir(tmp_path)
    assert jaxevo.data.load("photographs").num_classes == 2
    with pytest.raises(ValueError, match="photographs"):
        jaxevo.data.load("photographs", recorded=True)


def test_negative_labels_drop_no_class(tmp_path: Path) -> None:
    images, labels = images_of(40, (12, 10, 1)), np.where(np.arange(40) % 2, 1, -1)
    np.savez(tmp_path / "signs.npz", train_images=images, train_labels=labels)
    dataset = jaxevo.data.load(tmp_path / "signs.npz")
    assert dataset.class_names == ("-1", "1")
    assert not [sentence for sentence in dataset.notices if "dropped" in sentence]
