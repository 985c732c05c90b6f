"""Read labels of the usual kinds as numbers of classes, counted from 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxevo.data.checks import check_class_names

_NAMED = 8
"""Classes that a sentence lists; more are counted."""


class Labelled(NamedTuple):
    """The classes of a data set, and the labels of its splits.

    Attributes:
        class_names: names by class.
        values: the given integer of each class, in ascending order; empty if they are 0, 1, ... or text was given.
        labels: class of each image, int32 `[N]`, by split.
        said: a sentence for each change.
    """

    class_names: tuple[str, ...]
    values: tuple[int, ...]
    labels: dict[str, np.ndarray]
    said: list[str]


def read_labels(
    given: Mapping[str, np.ndarray], sizes: Mapping[str, int], class_names: Sequence[str] | None
) -> Labelled:
    """Returns the classes and labels of a data set.

    Labels may be integers, whole floats, truth values or text, `[N]` or `[N, 1]`, or one-hot `[N, classes]`. Integers
    need not be without gaps: classes are those that appear. With class names, integers number them from 0; if they run
    from 1 to the number of names, they number them from 1.

    Args:
        given: labels by split; `train` comes first.
        sizes: number of images by split.
        class_names: names by integer label, or None.

    Raises:
        ValueError: if labels are of another kind, are not one an image, or name a class without a training image.
    """
    said: list[str] = []
    flat = {split: _flat(f"{split}_labels", np.asarray(labels), sizes[split], said) for split, labels in given.items()}
    texts = {labels.dtype.kind == "U" for labels in flat.values()}
    if len(texts) > 1:
        raise ValueError("labels: some splits have text and others integers; give all splits the same kind")
    if True in texts:
        return _of_text(flat, class_names, said)
    return _of_integers(flat, class_names, said)


def _of_text(flat: dict[str, np.ndarray], class_names: Sequence[str] | None, said: list[str]) -> Labelled:
    appearing = sorted({text for labels in flat.values() for text in np.unique(labels).tolist()})
    names = list(check_class_names(class_names)) if class_names is not None else appearing
    unknown = [text for text in appearing if text not in names]
    if unknown:
        raise ValueError(f"class_names: {unknown[0]!r} is a label, but no class name; name every class")
    said += _dropped([name for name in names if name not in appearing])
    names = [name for name in names if name in appearing]
    numbers = {name: number for number, name in enumerate(names)}
    labels = {split: np.array([numbers[text] for text in one.tolist()], np.int32) for split, one in flat.items()}
    return _checked(Labelled(check_class_names(names), (), labels, said))


def _of_integers(flat: dict[str, np.ndarray], class_names: Sequence[str] | None, said: list[str]) -> Labelled:
    appearing = np.unique(np.concatenate(list(flat.values())))
    names = check_class_names(class_names) if class_names is not None else None
    first = 0
    if names is not None:
        first = _first_label(flat, appearing, len(names), said)
        every = range(first, first + len(names))
    else:
        _check_classes(flat, appearing)
        numbered = appearing[0] >= 0 and appearing[-1] < 10 * len(appearing)
        every = range(int(appearing[-1]) + 1) if numbered else range(0)
    used = set(appearing.tolist())
    missing = [str(label) if names is None else names[label - first] for label in every if label not in used]
    said += _dropped(missing)
    if not missing and appearing[0] != 0 and names is None:
        said.append(f"classes are the labels that appear: {_some(list(map(str, appearing.tolist())))}")
    texts = [str(label) if names is None else names[label - first] for label in appearing.tolist()]
    labels = {split: np.searchsorted(appearing, one).astype(np.int32) for split, one in flat.items()}
    plain = appearing[0] == 0 and len(appearing) == appearing[-1] + 1
    values = () if plain else tuple(map(int, appearing))
    return _checked(Labelled(check_class_names(texts), values, labels, said))


def _first_label(flat: dict[str, np.ndarray], appearing: np.ndarray, count: int, said: list[str]) -> int:
    """Returns the label of the first class name: 0, or 1 if the labels run from 1 to the number of names."""
    if appearing[0] == 1 and appearing[-1] == count:
        said.append(f"labels run from 1 to {count}, the number of class names: 1 is the first name")
        return 1
    for split, labels in flat.items():
        outside = np.flatnonzero((labels < 0) | (labels >= count))
        if outside.size:
            raise ValueError(
                f"{split}_labels: label {labels[outside[0]]} at index {outside[0]} is out of range; "
                f"with {count} classes give labels from 0 to {count - 1}"
            )
    return 0


def _check_classes(flat: dict[str, np.ndarray], appearing: np.ndarray) -> None:
    """Raises ValueError for labels that are no classes: negative but for -1 beside 1, or nearly one for each image."""
    for split, labels in flat.items():
        negative = np.flatnonzero(labels < 0)
        if negative.size and appearing.tolist() != [-1, 1]:
            raise ValueError(
                f"{split}_labels: label {labels[negative[0]]} at index {negative[0]} is out of range; give labels "
                "from 0, or remove images without a class"
            )
    images = len(flat["train"])
    if len(appearing) > max(2, images):
        raise ValueError(
            f"train_labels: {len(appearing)} different labels for {images} images are no classes; give each class "
            "several images"
        )


def _checked(labelled: Labelled) -> Labelled:
    """Raises ValueError if a class of another split has no training image."""
    train = set(np.unique(labelled.labels["train"]).tolist())
    for split, labels in labelled.labels.items():
        unknown = sorted(set(np.unique(labels).tolist()) - train)
        if unknown:
            names = _some([repr(labelled.class_names[label]) for label in unknown])
            raise ValueError(
                f"{split}_labels: no training image has the class {names} of {split} images; give training images of "
                "every class, or remove those"
            )
    return labelled


def _flat(array_name: str, labels: np.ndarray, count: int, said: list[str]) -> np.ndarray:
    """Returns labels `[count]` as int64 or text."""
    if labels.ndim == 2 and labels.shape[1] > 1 and len(labels) == count:
        return _from_one_hot(array_name, labels, said)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise ValueError(f"{array_name}: shape is {labels.shape}; give one label per image, [{count}]")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.dtype.kind == "U":
        return labels
    if labels.dtype.kind == "f":
        odd = np.flatnonzero(~np.isfinite(labels) | (labels != np.rint(labels)))
        if odd.size:
            raise ValueError(
                f"{array_name}: label {labels[odd[0]]} at index {odd[0]} is no whole number; give a class an image"
            )
    elif labels.dtype.kind not in "bui":
        raise ValueError(f"{array_name}: dtype is {labels.dtype}; give integers or text, one per image")
    return labels.astype(np.int64)


def _from_one_hot(array_name: str, labels: np.ndarray, said: list[str]) -> np.ndarray:
    numbers = labels.dtype.kind in "buif"
    if not numbers or not np.all((labels == 0) | (labels == 1)) or not np.all(labels.sum(axis=1) == 1):
        raise ValueError(
            f"{array_name}: shape is {labels.shape}, but the rows are not one-hot; give one class an image, as "
            f"[{len(labels)}]"
        )
    sentence = f"one-hot labels are read as {labels.shape[1]} classes"
    if sentence not in said:
        said.append(sentence)
    return labels.argmax(axis=1)


def _dropped(names: list[str]) -> list[str]:
    return [f"classes without an image are dropped: {_some(names)}"] if names else []


def _some(names: list[str]) -> str:
    """Returns names for a sentence."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
