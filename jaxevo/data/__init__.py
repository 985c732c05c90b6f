"""Load labelled images as NumPy arrays, without JAX."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from jaxevo.data.dataset import Dataset, Split
from jaxevo.data.embedded import EMBEDDED

__all__ = ["Dataset", "Split", "absolute_name", "load"]


def load(name_or_path: str | os.PathLike[str]) -> Dataset:
    """Loads a data set by name or path.

    Embedded names (`digits`, `fashion_mini`) come first, then paths: an `.npz` file (see `jaxevo.data.files.load_npz`)
    or a folder of class folders of images (see `load_folder`). Any other name is that of a TensorFlow Datasets set,
    which must have been prepared once (`python -m jaxevo.data.prepare NAME`).

    Args:
        name_or_path: for example `"digits"`, `"photos.npz"`, `"photos/"`, `"cifar10"` or `"emnist/letters"`.

    Returns:
        The checked data set, with validation images cut off the end of train.

    Raises:
        ValueError: if there is no such data set, it is not prepared, or its images or labels cannot be used.
    """
    text = os.fspath(name_or_path)
    if text in EMBEDDED:
        return EMBEDDED[text]()
    path = _path(text)
    if path is not None:
        from jaxevo.data.files import load_folder, load_npz

        return load_folder(path) if path.is_dir() else load_npz(path)
    from jaxevo.data.builders import known_names
    from jaxevo.data.tfds import load_tfds

    dataset = load_tfds(text)
    if dataset is None:
        raise ValueError(_unknown(text, [*EMBEDDED, *known_names()]))
    return dataset


def absolute_name(name_or_path: str) -> str:
    """Returns a name or path that works from any folder: paths become absolute, names stay the same."""
    path = _path(name_or_path) if name_or_path not in EMBEDDED else None
    return str(path.absolute()) if path is not None else name_or_path


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
        return f"dataset: {text!r} is not an .npz file; save its images with numpy.savez (see jaxevo.data.files)"
    return (
        f"dataset: {text!r} is neither an embedded set, nor a file or folder that exists, nor a set of "
        f"TensorFlow Datasets.{hint} Give {', '.join(EMBEDDED)}, the path of an .npz file or of a "
        "folder of class folders, or a TensorFlow Datasets name such as cifar10, cifar100, fashion_mnist, "
        "mnist or svhn_cropped."
    )
