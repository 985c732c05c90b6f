"""Read image-classification sets of TensorFlow Datasets, without TensorFlow."""

from __future__ import annotations

import io
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxevo.data.builders import check_readable, data_dir, how_to_prepare, is_known, is_prepared, open_builder
from jaxevo.data.cache import data_entry, read_arrays, try_to_write
from jaxevo.data.dataset import Dataset, make_dataset

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

    from jaxevo.data.images import ImageSize

SPLITS = ("train", "validation", "test")
BATCH = 1000  # Records fetched at once: three times as fast as one by one.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def load_tfds(name: str, size: ImageSize | None = None) -> Dataset | None:
    """Loads a prepared set. The decoded arrays are cached, so the next time takes less than a second.

    The set must have the split `train`; its supervised keys name the image and the label. Images keep their stored
    order, which was shuffled once when the set was prepared. Validation is cut off train, unless the set has a split
    `validation` and no `test`: then test is cut.

    Args:
        name: TFDS name, optionally with config and version, as in `emnist/letters` or `cifar10:3.0.2`.
        size: height and width to resize the images to, or None if they are of one size.

    Returns:
        The set; None if TFDS has no builder of that name and no such set is prepared.

    Raises:
        ValueError: if TFDS has no such config or version, the set is not prepared (the message gives the command, and
            the folder for manual downloads), or it does not hold images of one size with one class label each.
    """
    sized = "" if size is None else f" {size[0]}x{size[1]}"
    entry = data_entry(name + sized, f"{name}{sized}\n{data_dir().resolve()}")
    arrays = read_arrays(entry, _is_current)
    if arrays is None:
        if not is_known(name):
            return None
        builder = open_builder(name, data_dir())
        if not is_prepared(builder):
            raise ValueError(how_to_prepare(name, builder))
        arrays = _read(name, builder, size)
        try_to_write(entry, _identity(Path(builder.data_path)), arrays)
    found = {
        split: (arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS if f"{split}_images" in arrays
    }
    return make_dataset(
        name,
        found["train"],
        found.get("test"),
        arrays["class_names"].tolist(),
        validation_split=found.get("validation"),
        cut_at_end=size is None,
    )


def _read(name: str, builder: DatasetBuilder, size: ImageSize | None) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    check_readable(name, builder)
    image_key, label_key = _keys(name, builder)
    if "train" not in builder.info.splits:
        raise ValueError(
            f"dataset: {name!r} has no split 'train', only {', '.join(builder.info.splits)}; give a set that has one"
        )
    arrays = {"class_names": np.array(builder.info.features[label_key].names)}
    # Images stay encoded: TFDS would decode with OpenCV if that is installed, whose JPEG pixels differ.
    decoders = {image_key: tfds.decode.SkipDecoding()}
    held_out = "test" if "test" in builder.info.splits else "validation"
    for split in [split for split in ("train", held_out) if split in builder.info.splits]:
        records = builder.as_data_source(split, decoders=decoders)
        images, labels = _read_split(name, records, image_key, label_key, size)
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


def _read_split(
    name: str, records: Any, image_key: str, label_key: str, size: ImageSize | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 `[N, H, W, C]` and int64 `[N]`."""
    mode = _MODES[records.dataset_info.features[image_key].shape[-1]]
    labels = np.empty(len(records), np.int64)
    images = np.empty((0,), np.uint8)
    for start in range(0, len(records), BATCH):
        batch = records.__getitems__(range(start, min(start + BATCH, len(records))))
        for index, record in enumerate(batch, start):
            image = _decode(record[image_key], mode, size)
            if index == 0:
                images = np.empty((len(records), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                raise ValueError(
                    f"dataset: the images of {name!r} have different sizes, {images.shape[1:]} and "
                    f"{image.shape}; give --image-size, such as --image-size 32x32, to resize all to one"
                )
            images[index], labels[index] = image, record[label_key]
    return images, labels


def _decode(encoded: bytes, mode: str, size: ImageSize | None) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        converted = picture.convert(mode)
        if size is not None:
            converted = converted.resize(size[::-1], Image.Resampling.BILINEAR)
        pixels = np.asarray(converted)
    return pixels[..., None] if pixels.ndim == 2 else pixels


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
