"""Labelled images as NumPy arrays, from wherever they are kept. Knows no JAX."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from jaxevo.data.dataset import Dataset, Split
from jaxevo.data.embedded import EMBEDDED

__all__ = ["Dataset", "Split", "absolute_name", "load"]


def load(name_or_path: str | os.PathLike[str]) -> Dataset:
    """Loads a data set by name or path.

    An embedded name (`digits`, `fashion_mini`) is taken first, then a path: a `.npz` file
    (`jaxevo.data.files.load_npz` says what is in it) or a folder of class folders of images (`load_folder`).
    Everything else is the name of a TensorFlow Datasets set, which has to be prepared once before (`python -m
    jaxevo.data.prepare NAME`).

    Args:
        name_or_path: for example `"digits"`, `"photos.npz"`, `"photos/"`, `"cifar10"` or `"emnist/letters"`.

    Returns:
        The data set, checked, validation images cut off the end of train.

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
    """Returns what loads the same data set from any folder: a path made absolute, a name as it is."""
    path = _path(name_or_path) if name_or_path not in EMBEDDED else None
    return str(path.absolute()) if path is not None else name_or_path


def _path(text: str) -> Path | None:
    """Returns the path of a folder or of an `.npz` file, None for other text."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # Of ~NAME there is no home.
        raise ValueError(f"dataset: {text!r} begins with a home folder that is not there; give a whole path") from error
    return path if text and (path.is_dir() or path.suffix.lower() == ".npz") else None


def _unknown(text: str, names: list[str]) -> str:
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    if Path(text).is_file():
        return f"dataset: {text!r} is a file, but no .npz; save its images with numpy.savez (see jaxevo.data.files)"
    return (
        f"dataset: {text!r} is neither an embedded set, nor a file or folder that exists, nor a set of "
        f"TensorFlow Datasets.{hint} What would do: {', '.join(EMBEDDED)}, the path of an .npz file or of a "
        "folder of class folders, or a TensorFlow Datasets name such as cifar10, cifar100, fashion_mnist, "
        "mnist or svhn_cropped."
    )
