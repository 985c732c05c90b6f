"""Load labelled images as NumPy arrays, without JAX."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable
from pathlib import Path

from jaxevo.data.augmentation import augmentation_for
from jaxevo.data.dataset import Dataset, Split
from jaxevo.data.embedded import EMBEDDED

__all__ = ["Dataset", "Split", "absolute_name", "is_at_hand", "load"]


def load(
    name_or_path: str | os.PathLike[str],
    image_size: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
    *,
    recorded: bool = False,
) -> Dataset:
    """Loads a data set by name or path.

    Embedded names (`digits`, `fashion_mini`) come first, then paths: an `.npz` file (see `jaxevo.data.npz.load_npz`)
    or a folder of images (see `jaxevo.data.photographs.load_folder`). Any other name is that of a TensorFlow Datasets
    set, which must have been prepared once (`python -m jaxevo.data.prepare NAME`).

    Args:
        name_or_path: for example `"digits"`, `"photos.npz"`, `"photos/"`, `"cifar10"` or `"emnist/letters"`; a `Path`
            is never a name.
        image_size: height and width to resize all images to, such as `"32x32"`; None to leave them as they are.
        tell: receives the progress of a long reading.
        recorded: True for a name that a run has recorded: only absolute ones are paths, whatever is in this folder.

    Returns:
        The checked data set; `notices` says what was changed or left out.

    Raises:
        ValueError: if there is no such data set, it is not prepared, or its images or labels cannot be meant.
    """
    size = None
    if image_size is not None:
        from jaxevo.data.images import image_size_of

        size = image_size_of(image_size)
    named = recorded and not os.path.isabs(name_or_path)
    source = os.fspath(name_or_path) if named else absolute_name(name_or_path)
    # As a resumed run has it: a folder that is a link has two names.
    return augmented_as(
        dataclasses.replace(_load(source, None if named else _path(source), size, tell), source=source), source
    )


def _load(text: str, path: Path | None, size: tuple[int, int] | None, tell: Callable[[str], None]) -> Dataset:
    if text in EMBEDDED:
        return _embedded(text, size)
    if path is not None and path.is_dir():
        from jaxevo.data.photographs import load_folder

        return load_folder(path, size, tell)
    if path is not None:
        from jaxevo.data.npz import load_npz

        return load_npz(path, size)
    from jaxevo.data.builders import known_names
    from jaxevo.data.tfds import load_tfds

    dataset = load_tfds(text, size)
    if dataset is None:
        raise ValueError(_unknown(text, [*EMBEDDED, *known_names()]))
    return dataset


def is_at_hand(name_or_path: str) -> bool:
    """Returns True for an embedded set, a file or folder that exists, or a prepared set, without reading it."""
    if name_or_path in EMBEDDED:
        return True
    path = _path(name_or_path)
    if path is not None:
        return path.exists()
    from jaxevo.data.builders import prepared_folder

    return prepared_folder(name_or_path).is_dir()


def absolute_name(name_or_path: str | os.PathLike[str]) -> str:
    """Returns a name or path that works from any folder: paths become absolute, names stay the same."""
    text = os.fspath(name_or_path)
    if not isinstance(name_or_path, str):
        return str(Path(text).expanduser().absolute())
    path = _path(text) if text not in EMBEDDED else None
    return str(path.absolute()) if path is not None else text


def augmented_as(dataset: Dataset, name_or_path: str) -> Dataset:
    """Returns a data set with the default augmentation of another name: that which its run began with."""
    path = Path(name_or_path)
    name = name_or_path
    if path.is_absolute():
        name = path.stem if path.suffix.lower() == ".npz" else path.name
    crop_padding, flip = augmentation_for(name, dataset.image_shape)
    return dataclasses.replace(dataset, crop_padding=crop_padding, flip=flip)


def _embedded(name: str, size: tuple[int, int] | None) -> Dataset:
    dataset = EMBEDDED[name]()
    said = []
    if Path(name).is_dir():
        said.append(f"{name} is the embedded data set; for the folder of this name give ./{name}")
    if size is not None:
        from jaxevo.data.images import resize

        dataset = dataset.mapped(lambda split: Split(resize(split.images, size), split.labels))
    return dataclasses.replace(dataset, said=(*dataset.said, *said))


def _path(text: str) -> Path | None:
    """Returns the path of a folder or an `.npz` file, None for other text."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # `~NAME` of an unknown user.
        raise ValueError(f"dataset: {text!r} begins with the home of an unknown user; give a full path") from error
    return path if text and (path.is_dir() or path.suffix.lower() == ".npz") else None


def _unknown(text: str, names: list[str]) -> str:
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    if Path(text).is_file():
        return f"dataset: {text!r} is not an .npz file; save its images with numpy.savez (see jaxevo.data.npz)"
    return (
        f"dataset: {text!r} is neither an embedded set, nor a file or folder that exists, nor a set of "
        f"TensorFlow Datasets.{hint} Give {', '.join(EMBEDDED)}, the path of an .npz file or of a "
        "folder of class folders, or a TensorFlow Datasets name such as cifar10, cifar100, fashion_mnist, "
        "mnist or svhn_cropped."
    )
