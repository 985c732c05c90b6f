"""Load and save data sets as `.npz` files. Pickled objects are never loaded."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import numpy as np

from jaxevo.data.checks import check_same_image_shape
from jaxevo.data.dataset import Dataset, make_dataset
from jaxevo.data.images import ImageSize, check_memory, resize
from jaxevo.data.pixels import check_image_axes, image_shape_of

_ERRORS = (OSError, EOFError, ValueError, AttributeError, TypeError, KeyError, zipfile.BadZipFile, zlib.error)
_SPLITS = {"train": "train|training", "validation": "val|valid|validation|dev", "test": "test|testing"}
_KINDS = {"images": "images?|x|data|imgs?", "labels": "labels?|y|targets?"}
_CLASS_NAMES = ("class_names", "label_names")
_NAMES = "train_images, train_labels and, if there are, val_images, val_labels, test_images, test_labels, class_names"


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


def load_npz(path: Path, size: ImageSize | None = None) -> Dataset:
    """Loads images and labels of train and, if the file has them, of validation and test; and class names.

    Arrays are named as in MedMNIST (`train_images`, `val_labels`, ...), as in Keras (`x_train`, `y_test`, ...), or, in
    a file without splits, `images` and `labels` or `x` and `y`. `make_dataset` says what they may hold, and what is cut
    if a split is missing. Class names are text, `[classes]`. Other arrays are left out.

    Args:
        path: of the file.
        size: height and width to resize the images to, or None.

    Raises:
        ValueError: if the file is missing or damaged, lacks the training arrays, is too large for this machine's
            memory, or an array cannot be meant.
    """
    if not path.is_file():
        raise ValueError(f"dataset: there is no file {str(path)!r}; give the path of an .npz file that exists")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            headers = _headers(file)
            roles = _roles(path, list(headers))
            _check_headers(path, {role: headers[name] for role, name in roles.items()})
            arrays = {role: archive[name] for role, name in roles.items()}
    except _RefusedError as error:
        raise ValueError(str(error)) from error
    except _ERRORS as error:
        raise ValueError(
            f"dataset: {str(path)!r} cannot be read ({error}); give a file that numpy.savez wrote, plain arrays only"
        ) from error
    said = _left_out(headers.keys() - set(roles.values()))
    names = _class_names(arrays["class_names"]) if "class_names" in arrays else None
    splits = {
        split: (resize(arrays[f"{split} images"], size), arrays[f"{split} labels"])
        for split in _SPLITS
        if f"{split} images" in arrays
    }
    return make_dataset(
        path.stem,
        splits["train"],
        splits.get("test"),
        names,
        validation_split=splits.get("validation"),
        said=said,
        cut_at_end=size is None and roles["train images"] == "train_images",
    )


class _RefusedError(Exception):
    """The arrays of a file do not fit; the message is for the user."""


def _headers(file: BinaryIO) -> dict[str, _Header]:
    """Returns shape and dtype of every array, without reading any."""
    headers = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if not name.endswith(".npy"):
                continue
            with archive.open(name) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else _read_later_header
                shape, _, dtype = read(member)
            headers[name.removesuffix(".npy")] = _Header(shape, dtype)
    file.seek(0)
    return headers


def _read_later_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    return np.lib.format.read_array_header_2_0(member)


def _roles(path: Path, names: list[str]) -> dict[str, str]:
    """Returns the name of the array for each role, such as `train images` or `class_names`."""
    roles: dict[str, str] = {}
    for name in names:
        role = _role(name)
        if role is not None and roles.setdefault(role, name) != name:
            raise _RefusedError(f"dataset: {str(path)!r} has {roles[role]} and {name}; leave one out")
    for split in _SPLITS:
        have = [kind for kind in _KINDS if f"{split} {kind}" in roles]
        if len(have) == 1 or (split == "train" and not have):
            lacking = [kind for kind in _KINDS if kind not in have]
            raise _RefusedError(
                f"dataset: {str(path)!r} has no {' and no '.join(f'{split}_{kind}' for kind in lacking)}, only "
                f"{', '.join(sorted(names)) or 'nothing'}; save it with {_NAMES}"
            )
    return roles


def _role(name: str) -> str | None:
    if name in _CLASS_NAMES:
        return "class_names"
    for kind, words in _KINDS.items():
        if re.fullmatch(words, name, re.IGNORECASE):
            return f"train {kind}"
        for split, spelled in _SPLITS.items():
            if re.fullmatch(rf"({spelled})_({words})|({words})_({spelled})", name, re.IGNORECASE):
                return f"{split} {kind}"
    return None


def _check_headers(path: Path, headers: dict[str, _Header]) -> None:
    """Raises an error if arrays are pickled, do not fit each other, or are larger than the memory."""
    for role, header in headers.items():
        if header.dtype.hasobject:
            raise _RefusedError(
                f"dataset: {str(path)!r} cannot be read ({role} are pickled objects); give a file that numpy.savez "
                "wrote, plain arrays only"
            )
    stand_ins = {
        split: np.broadcast_to(np.zeros((), images_header.dtype), images_header.shape)
        for split in _SPLITS
        if (images_header := headers.get(f"{split} images")) is not None
    }
    try:
        train_shape = image_shape_of(check_image_axes("train_images", stand_ins["train"]).shape)
        for split, images in stand_ins.items():
            shape = image_shape_of(check_image_axes(f"{split}_images", images).shape)
            check_same_image_shape(f"{split}_images", shape, train_shape)
            labels = headers[f"{split} labels"].shape
            if not labels or labels[0] != len(images):
                raise ValueError(f"{split}_labels: shape is {labels}; give one label per image, [{len(images)}]")
        check_memory(str(path), sum(header.dtype.itemsize * int(np.prod(header.shape)) for header in headers.values()))
    except ValueError as error:
        raise _RefusedError(str(error)) from error


def _left_out(names: set[str]) -> list[str]:
    return [f"arrays that are not used: {', '.join(sorted(names))}"] if names else []


def _class_names(array: np.ndarray) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise ValueError(f"class_names: dtype is {array.dtype}, shape {array.shape}; give text [num_classes]")
    return [name.decode() if isinstance(name, bytes) else name for name in array.tolist()]
