"""Read image-classification sets of TensorFlow Datasets, without TensorFlow."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxevo.data.builders import check_readable, data_dir, how_to_prepare, is_known, is_prepared, open_builder
from jaxevo.data.cache import read_arrays, write_arrays
from jaxevo.data.dataset import Dataset, make_dataset
from jaxevo.environment.folders import cache_dir

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

SPLITS = ("train", "test")
BATCH = 1000  # Records fetched at once: three times as fast as one by one.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def load_tfds(name: str) -> Dataset | None:
    """Loads a prepared set. The decoded arrays are cached, so the next time takes less than a second.

    The set must have the splits `train` and `test`; its supervised keys name the image and the label. Images keep their
    stored order, which was shuffled once when the set was prepared.

    Args:
        name: TFDS name, optionally with config and version, as in `emnist/letters` or `cifar10:3.0.2`.

    Returns:
        The set; None if TFDS has no builder of that name and no such set is prepared.

    Raises:
        ValueError: if TFDS has no such config or version, the set is not prepared (the message gives the command, and
            the folder for manual downloads), or it does not hold images of one size with one class label each.
    """
    entry = _cache_entry(name)
    arrays = read_arrays(entry, _is_current)
    if arrays is None:
        if not is_known(name):
            return None
        builder = open_builder(name, data_dir())
        if not is_prepared(builder):
            raise ValueError(how_to_prepare(name, builder))
        arrays = _read(name, builder)
        _try_to_cache(entry, _identity(Path(builder.data_path)), arrays)
    train, test = ((arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS)
    return make_dataset(name, train, test, arrays["class_names"].tolist())


def _read(name: str, builder: DatasetBuilder) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    check_readable(name, builder)
    image_key, label_key = _keys(name, builder)
    missing = [split for split in SPLITS if split not in builder.info.splits]
    if missing:
        raise ValueError(
            f"dataset: {name!r} has no split {missing[0]!r}, only {', '.join(builder.info.splits)}; give a "
            "set with the splits train and test"
        )
    arrays = {"class_names": np.array(builder.info.features[label_key].names)}
    # Images stay encoded: TFDS would decode with OpenCV if that is installed, whose JPEG pixels differ.
    decoders = {image_key: tfds.decode.SkipDecoding()}
    for split in SPLITS:
        records = builder.as_data_source(split, decoders=decoders)
        images, labels = _read_split(name, records, image_key, label_key)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return arrays


def _keys(name: str, builder: DatasetBuilder) -> tuple[str, str]:
    """Returns the names of the image and the label among a record's features."""
    import tensorflow_datasets as tfds

    keys: tuple[Any, ...] = tuple(builder.info.supervised_keys or ())
    kinds = [builder.info.features[key] for key in keys if isinstance(key, str)]
    if not (
        len(kinds) == 2
        and isinstance(kinds[0], tfds.features.Image)
        and kinds[0].np_dtype == np.uint8
        and kinds[0].shape[-1] in _MODES
        and isinstance(kinds[1], tfds.features.ClassLabel)
    ):
        raise ValueError(
            f"dataset: {name!r} is not an image-classification set (its supervised keys are {keys or None}); "
            "give one whose supervised keys are an 8-bit image and a class label"
        )
    return keys[0], keys[1]


def _read_split(name: str, records: Any, image_key: str, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 `[N, H, W, C]` and int64 `[N]`."""
    mode = _MODES[records.dataset_info.features[image_key].shape[-1]]
    labels = np.empty(len(records), np.int64)
    images = np.empty((0,), np.uint8)
    for start in range(0, len(records), BATCH):
        batch = records.__getitems__(range(start, min(start + BATCH, len(records))))
        for index, record in enumerate(batch, start):
            image = _decode(record[image_key], mode)
            if index == 0:
                images = np.empty((len(records), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                raise ValueError(
                    f"dataset: the images of {name!r} have different sizes, {images.shape[1:]} and "
                    f"{image.shape}; give a set whose images have one size, or resize them and save an .npz "
                    "file"
                )
            images[index], labels[index] = image, record[label_key]
    return images, labels


def _decode(encoded: bytes, mode: str) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        pixels = np.asarray(picture.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _cache_entry(name: str) -> Path:
    """Returns the cache file of a set in this folder of prepared sets; the key in it tells if it is current."""
    place = hashlib.sha256(f"{name}\n{data_dir().resolve()}".encode()).hexdigest()[:16]
    return cache_dir() / "data" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)[:80]}-{place}.npz"


def _identity(folder: Path) -> dict[str, Any]:
    """Returns the cache key of a prepared set: its files, and the versions prepared beside it.

    It is computed without TFDS, whose import alone takes half of a quick start.
    """
    files = sorted((file.name, file.stat()) for file in folder.iterdir() if file.is_file())
    return {
        "format": 1,
        "tfds": metadata.version("tensorflow-datasets"),
        "folder": str(folder.resolve()),
        "versions": sorted(entry.name for entry in folder.parent.iterdir()),
        "files": [[file_name, status.st_size, status.st_mtime_ns] for file_name, status in files],
    }


def _is_current(key: Any) -> bool:
    return bool(key == _identity(Path(key["folder"])))


def _try_to_cache(entry: Path, key: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    try:
        write_arrays(entry, key, arrays)
    except OSError as error:
        warnings.warn(f"decoded images are not cached, the next start decodes them again: {error}", stacklevel=3)
