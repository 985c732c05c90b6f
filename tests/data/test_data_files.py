"""Data sets of the user's own: `.npz` files and folders of class folders."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jaxevo.data

CLASSES = ("ant", "bee", "cat")


def plain_arrays(number: int = 30) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (number, 6, 5, 3), np.uint8)
    labels = np.arange(number) % 3
    return {
        "train_images": images,
        "train_labels": labels,
        "test_images": images[:6] ^ 255,
        "test_labels": labels[:6],
    }


def save_images(
    folder: Path, number: int, *, mode: str = "RGB", size: tuple[int, int] = (5, 6), suffix: str = ".png"
) -> None:
    """Writes images of one colour each, the red or grey level counting up; all classes differ."""
    folder.mkdir(parents=True)
    for index in range(number):
        level = 7 * index + 1
        colour = {"RGB": (level, 0, len(folder.name)), "RGBA": (level, 0, 0, 9)}.get(mode, level)
        Image.new(mode, size, colour).save(folder / f"image{index}{suffix}")


def test_npz(tmp_path: Path) -> None:
    given = plain_arrays()
    np.savez(tmp_path / "mine.npz", **given)
    dataset = jaxevo.data.load(tmp_path / "mine.npz")
    assert dataset.name == "mine"
    assert dataset.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(dataset.train.images, given["train_images"][:27])
    np.testing.assert_array_equal(dataset.validation.labels, given["train_labels"][27:])
    np.testing.assert_array_equal(dataset.test.images, given["test_images"])


@pytest.mark.parametrize("names", [np.array(CLASSES), np.array([name.encode() for name in CLASSES])])
def test_npz_with_class_names_compressed(tmp_path: Path, names: np.ndarray) -> None:
    np.savez_compressed(tmp_path / "mine.npz", **plain_arrays(), class_names=names, more=np.arange(3))
    assert jaxevo.data.load(str(tmp_path / "mine.npz")).class_names == CLASSES


def test_npz_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "mine.npz", **plain_arrays())
    assert jaxevo.data.load("~/mine.npz").num_classes == 3


def test_npz_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file .*mine.npz'; give the path of an .npz file"):
        jaxevo.data.load(tmp_path / "mine.npz")


def test_npz_that_lacks_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", train_images=np.zeros(3), test_labels=np.zeros(3))
    with pytest.raises(ValueError, match="mine.npz' has no train_labels, only test_labels, train_images; save"):
        jaxevo.data.load(tmp_path / "mine.npz")


def test_npz_with_pickled_objects(tmp_path: Path) -> None:
    names = np.array(list(CLASSES), dtype=object)
    np.savez(tmp_path / "mine.npz", **plain_arrays(), class_names=names)
    with pytest.raises(ValueError, match="cannot be read .* plain arrays only"):
        jaxevo.data.load(tmp_path / "mine.npz")


def test_npz_with_two_classes_of_one_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **plain_arrays(), class_names=np.array(["a", "b", "a"]))
    with pytest.raises(ValueError, match="class_names: 'a' is the name of class 0 and 2; give each its own name"):
        jaxevo.data.load(str(tmp_path / "mine.npz"))


def test_npz_by_the_name_that_another_system_gave(tmp_path: Path) -> None:
    with (tmp_path / "MINE.NPZ").open("wb") as file:
        np.savez(file, **plain_arrays())
    assert jaxevo.data.load(str(tmp_path / "MINE.NPZ")).num_classes == 3


def test_npz_with_class_names_that_are_no_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **plain_arrays(), class_names=np.arange(3))
    with pytest.raises(ValueError, match=r"class_names: dtype is int64, shape \(3,\); give text"):
        jaxevo.data.load(tmp_path / "mine.npz")


@pytest.mark.parametrize("kept", [0, 10, 1000, -1])
def test_npz_that_is_torn(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **plain_arrays())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="mine.npz' cannot be read"):
        jaxevo.data.load(path)


def test_npy_under_the_name_of_an_npz(tmp_path: Path) -> None:
    with open(tmp_path / "mine.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="mine.npz' cannot be read"):
        jaxevo.data.load(tmp_path / "mine.npz")


def test_folder_with_train_and_test(tmp_path: Path) -> None:
    for index, name in enumerate(CLASSES):
        save_images(tmp_path / "photos" / "train" / name, 10 + index)
        save_images(tmp_path / "photos" / "test" / name, 4)
    dataset = jaxevo.data.load(tmp_path / "photos")
    assert dataset.name == "photos"
    assert dataset.class_names == CLASSES
    assert dataset.image_shape == (6, 5, 3)
    assert dataset.flip
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    assert np.bincount(labels).tolist() == [10, 11, 12]
    assert len(dataset.validation.labels) == 3
    assert np.bincount(dataset.test.labels).tolist() == [4, 4, 4]


def test_folder_without_splits_holds_every_sixth_of_each_class_out(tmp_path: Path) -> None:
    for number, name in zip((20, 12, 5), CLASSES, strict=True):
        save_images(tmp_path / name, number)
    dataset = jaxevo.data.load(tmp_path)
    assert np.bincount(dataset.test.labels).tolist() == [3, 2, 1]
    assert len(dataset.train.labels) + len(dataset.validation.labels) == 20 + 12 + 5 - 6
    levels = [
        sorted(split.images[split.labels == 0, 0, 0, 0].tolist())
        for split in (dataset.train, dataset.validation, dataset.test)
    ]
    # Each image is in just one split.
    assert sorted(level for split in levels for level in split) == [7 * index + 1 for index in range(20)]


def test_folder_order_depends_on_names_alone(tmp_path: Path) -> None:
    for place in ("here", "there/deep"):
        for name in CLASSES if place == "here" else reversed(CLASSES):
            save_images(tmp_path / place / name, 14)
    here, there = jaxevo.data.load(tmp_path / "here"), jaxevo.data.load(tmp_path / "there" / "deep")
    assert here.fingerprint == there.fingerprint
    assert np.any(np.diff(here.train.labels) < 0)  # Shuffled.


def test_folder_order_is_fixed(tmp_path: Path) -> None:
    for name in CLASSES:
        save_images(tmp_path / name, 7)
    dataset = jaxevo.data.load(tmp_path)
    # The documented rule must stay as it is, or results would no longer compare.
    assert held_out_by_definition(tmp_path) == {
        (CLASSES[label], int(image[0, 0, 0]))
        for image, label in zip(dataset.test.images, dataset.test.labels, strict=True)
    }


def held_out_by_definition(folder: Path) -> set[tuple[str, int]]:
    found = set()
    for name in CLASSES:
        hashes = [sha256(f"{name}/image{index}.png".encode()).digest() for index in range(7)]
        found.add((name, 7 * hashes.index(sorted(hashes)[5]) + 1))
    return found


def test_folder_of_grey_images_has_one_channel_and_is_not_flipped(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 6, mode="L")
    save_images(tmp_path / "bee", 8, mode="1", suffix=".bmp")
    dataset = jaxevo.data.load(tmp_path)
    assert dataset.image_shape == (6, 5, 1)
    assert not dataset.flip


def test_folder_of_mixed_images_has_three_channels(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 6, mode="L")
    save_images(tmp_path / "bee", 8, mode="RGBA")
    save_images(tmp_path / "cat", 8, suffix=".JPG")
    (tmp_path / "ant" / "notes.txt").write_text("not an image")
    (tmp_path / "ant" / ".hidden.png").write_text("not an image")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("not a class")
    dataset = jaxevo.data.load(tmp_path)
    assert dataset.image_shape == (6, 5, 3)
    assert dataset.class_names == CLASSES


def test_folder_with_images_of_different_sizes_names_them_and_the_flag(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 8)
    save_images(tmp_path / "bee", 8)
    Image.new("RGB", (7, 9)).save(tmp_path / "bee" / "image3.png")
    with pytest.raises(
        ValueError, match=r"2 sizes, height x width: 6x5 \(15, .*9x7 \(1, .*image3.png'\); give --image-size"
    ):
        jaxevo.data.load(tmp_path)


def test_folder_with_broken_images_names_them(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 8)
    save_images(tmp_path / "bee", 8)
    for name in ("image3.png", "image5.png"):
        (tmp_path / "bee" / name).write_bytes((tmp_path / "bee" / name).read_bytes()[:9])
    with pytest.raises(ValueError, match=r"2 image files .* cannot be read: .*image3.png' .*image5.png' .*repair or"):
        jaxevo.data.load(tmp_path)


def test_folder_with_a_torn_image(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 8)
    save_images(tmp_path / "bee", 8)
    (tmp_path / "bee" / "image3.png").write_bytes((tmp_path / "bee" / "image3.png").read_bytes()[:45])
    with pytest.raises(ValueError, match=r"image3.png' \(image file is truncated\); repair or remove it"):
        jaxevo.data.load(tmp_path)


def test_folder_with_an_image_above_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    save_images(tmp_path / "ant", 8, size=(3, 3))
    save_images(tmp_path / "bee", 8, size=(3, 3))
    Image.new("RGB", (7, 9)).save(tmp_path / "bee" / "image3.png")
    with pytest.raises(ValueError, match=r"image3.png' \(it has more pixels than Pillow's limit .*, 40\)"):
        jaxevo.data.load(tmp_path)


def test_folder_of_16_bit_images_is_scaled_by_the_largest_of_train(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for index in range(10):
            level = 100 * index + len(name) + (name == "bee")
            Image.new("I;16", (5, 6), level).save(tmp_path / name / f"{index}.png")
    dataset = jaxevo.data.load(tmp_path)
    assert dataset.image_shape == (6, 5, 1)
    assert any("int32 pixels are scaled linearly: 0 to 0, and 904" in one for one in dataset.said)
    levels = np.concatenate([dataset.train.images, dataset.validation.images, dataset.test.images])[:, 0, 0, 0]
    assert sorted(levels.tolist()) == sorted(
        round((100 * index + one) * 255 / 904) for index in range(10) for one in (3, 4)
    )


def test_folder_with_16_bit_images_among_others(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 8, mode="L")
    save_images(tmp_path / "bee", 8, mode="L")
    Image.new("I;16", (5, 6), 65535).save(tmp_path / "bee" / "image3.png")
    dataset = jaxevo.data.load(tmp_path)
    assert any(
        "1 of 16 images have 16 bits: in each with a pixel above 255, 65535 becomes 255" in one for one in dataset.said
    )
    assert max(split.images.max() for split in (dataset.train, dataset.validation, dataset.test)) == 255


def test_deep_pictures_among_others_are_read_by_what_they_hold(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 8, mode="L")
    save_images(tmp_path / "bee", 8, mode="L")
    Image.new("I;16", (5, 6), 201).save(tmp_path / "ant" / "image2.png")
    Image.new("F", (5, 6), 0.8).save(tmp_path / "bee" / "image3.tiff")
    dataset = jaxevo.data.load(tmp_path)
    splits = (dataset.train, dataset.validation, dataset.test)
    levels = {int(image.max()) for split in splits for image in split.images}
    assert {201, 204} <= levels
    Image.new("F", (5, 6), 70000.0).save(tmp_path / "bee" / "image3.tiff")
    with pytest.raises(ValueError, match="image3.tiff' has pixels of 70000 to 70000; save it with 8 or 16 bits"):
        jaxevo.data.load(tmp_path)


def test_folder_without_class_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has images of 0 classes; give a folder with a folder of images"):
        jaxevo.data.load(tmp_path)


def test_folder_with_an_empty_class_leaves_it_out_and_says_so(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 8)
    save_images(tmp_path / "cat", 8)
    (tmp_path / "bee").mkdir()
    dataset = jaxevo.data.load(tmp_path)
    assert dataset.class_names == ("ant", "cat")
    assert "class folders without images are left out: bee" in dataset.said


def test_folder_with_one_image_of_a_class_trains_on_it(tmp_path: Path) -> None:
    save_images(tmp_path / "ant", 12)
    save_images(tmp_path / "bee", 1)
    dataset = jaxevo.data.load(tmp_path)
    assert dataset.train.labels.tolist().count(1) == 1
    assert "no test images of: bee" in dataset.notices


def test_folder_with_train_but_no_test_holds_a_sixth_out(tmp_path: Path) -> None:
    for name in CLASSES:
        save_images(tmp_path / "train" / name, 12)
    dataset = jaxevo.data.load(tmp_path)
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    assert "no test split: 6 of 36 images are held out as test" in dataset.said


def test_folder_with_other_classes_in_test_names_them(tmp_path: Path) -> None:
    for name in CLASSES:
        save_images(tmp_path / "train" / name, 5)
        save_images(tmp_path / "test" / f"{name}s", 5)
    with pytest.raises(ValueError, match="has classes in test that train lacks: ants, bees, cats; give training"):
        jaxevo.data.load(tmp_path)


def test_folder_with_a_class_that_test_lacks(tmp_path: Path) -> None:
    for name in CLASSES:
        save_images(tmp_path / "train" / name, 10)
        if name != "bee":
            save_images(tmp_path / "test" / name, 5)
    dataset = jaxevo.data.load(tmp_path)
    assert dataset.class_names == CLASSES
    assert "no test images of: bee" in dataset.notices
    assert set(dataset.validation.labels.tolist()) == {0, 1, 2}
