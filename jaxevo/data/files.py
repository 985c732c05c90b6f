"""Load a user's own data set: an `.npz` file, or a folder with a folder of images for each class."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxevo.data.dataset import Dataset, make_dataset

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
HELD_OUT_EVERY = 6
_GREY_MODES = frozenset({"1", "L"})
_COLOUR_MODES = frozenset({"P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr"})
_NPZ_ERRORS = (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error)
_NPZ_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def load_npz(path: Path) -> Dataset:
    """Loads `train_images`, `train_labels`, `test_images`, `test_labels` and, optionally, `class_names`.

    Images are uint8 `[N, H, W, C]` or `[N, H, W]`, labels any integers `[N]`, class names text `[num_classes]`; the
    train images must be shuffled. Pickled objects are never loaded.

    Raises:
        ValueError: if the file is missing or damaged, lacks an array, or an array does not fit.
    """
    if not path.is_file():
        raise ValueError(f"dataset: there is no file {str(path)!r}; give the path of an .npz file that exists")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name in (*_NPZ_ARRAYS, "class_names")}
    except _NPZ_ERRORS as error:
        raise ValueError(
            f"dataset: {str(path)!r} cannot be read ({error}); give a file that numpy.savez wrote, plain arrays only"
        ) from error
    missing = [name for name in _NPZ_ARRAYS if name not in arrays]
    if missing:
        raise ValueError(
            f"dataset: {str(path)!r} has no {', '.join(missing)}; save it with {', '.join(_NPZ_ARRAYS)} "
            "and, if you like, class_names"
        )
    names = _class_names(arrays["class_names"]) if "class_names" in arrays else None
    train = arrays["train_images"], arrays["train_labels"]
    return make_dataset(path.stem, train, (arrays["test_images"], arrays["test_labels"]), names)


def load_folder(path: Path) -> Dataset:
    """Loads `path/train/CLASS/*` and `path/test/CLASS/*`, or `path/CLASS/*` with a sixth held out as test.

    Class names are the sorted names of the folders. Images are PNG, JPEG, BMP, GIF (first frame), TIFF or WebP files of
    one size. If all are grey they have one channel, else three; transparency is dropped. The held-out images depend
    only on the names of class and file: in each class, files are ordered by the sha256 of `CLASS/FILE`, and every sixth
    is a test image, at least one. The same hash orders the images of a split.

    Raises:
        ValueError: if there are no class folders, one has no images, train and test have different classes, a file is
            not an image, or sizes differ; the message names the first such file.
    """
    if (path / "train").is_dir() or (path / "test").is_dir():
        class_names = _class_folders(path / "train")
        if _class_folders(path / "test") != class_names:
            raise ValueError(
                f"dataset: {str(path)!r} has different class folders in train and test; give both the same"
            )
        train = [file for name in class_names for file in _image_files(path / "train" / name)]
        test = [file for name in class_names for file in _image_files(path / "test" / name)]
    else:
        class_names = _class_folders(path)
        by_class = [_image_files(path / name) for name in class_names]
        test = [file for files in by_class for file in _held_out(files)]
        train = sorted({file for files in by_class for file in files} - set(test))
    images, labels = _read_images(sorted(train, key=_hash) + sorted(test, key=_hash), class_names)
    cut = len(train)
    return make_dataset(path.resolve().name, (images[:cut], labels[:cut]), (images[cut:], labels[cut:]), class_names)


def _class_names(array: np.ndarray) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise ValueError(f"class_names: dtype is {array.dtype}, shape {array.shape}; give text [num_classes]")
    names = [name.decode() if isinstance(name, bytes) else name for name in array.tolist()]
    for label, name in enumerate(names):
        if name in names[:label]:
            other = names.index(name)
            raise ValueError(f"class_names: {name!r} is the name of class {other} and {label}; give each its own name")
    return names


def _class_folders(path: Path) -> list[str]:
    names = sorted(entry.name for entry in path.iterdir() if _is_class_folder(entry)) if path.is_dir() else []
    if len(names) < 2:
        raise ValueError(
            f"dataset: {str(path)!r} has {len(names)} class folders; give a folder with a folder of images "
            "for each of at least 2 classes, or with such folders in train and in test"
        )
    return names


def _is_class_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _image_files(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "."]
    if not files:
        raise ValueError(f"dataset: class folder {str(folder)!r} has no images; put some in or remove it")
    return sorted(files)


def _held_out(files: list[Path]) -> list[Path]:
    if len(files) < 2:
        raise ValueError(
            f"dataset: class folder {str(files[0].parent)!r} has 1 image; give at least 2, one to train on, one to test"
        )
    ordered = sorted(files, key=_hash)
    return ordered[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] or ordered[-1:]


def _hash(file: Path) -> bytes:
    """Returns the sort key of a fixed shuffle, which depends neither on the folder's path nor on its listing order."""
    return hashlib.sha256(f"{file.parent.name}/{file.name}".encode()).digest()


def _read_images(files: list[Path], class_names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 `[N, H, W, C]` and int32 `[N]`, in the order of the files."""
    pictures = [_open(file) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.size != pictures[0].size:
            raise ValueError(
                f"dataset: {str(file)!r} has {picture.size[0]} x {picture.size[1]} pixels, but "
                f"{str(files[0])!r} has {pictures[0].size[0]} x {pictures[0].size[1]}; give all images one "
                "size"
            )
    mode = "L" if all(picture.mode in _GREY_MODES for picture in pictures) else "RGB"
    images = np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
    labels = np.array([class_names.index(file.parent.name) for file in files], np.int32)
    return (images[..., None] if mode == "L" else images), labels


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ValueError(f"dataset: {str(file)!r} is not a readable image ({error}); repair or remove it") from error
    if picture.mode not in _GREY_MODES | _COLOUR_MODES:
        raise ValueError(
            f"dataset: {str(file)!r} has pixels of mode {picture.mode!r}; save it as 8 bits per channel, grey or colour"
        )
    return picture
