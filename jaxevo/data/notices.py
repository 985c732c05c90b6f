"""Say what a user should know about the splits of a data set."""

from __future__ import annotations

import numpy as np

from jaxevo.data.splits import image_hashes

_FEW_VALIDATION = 100
_RARE = 10
_NAMED = 5


def about(
    train_images: np.ndarray,
    train_labels: np.ndarray,
    validation_images: np.ndarray,
    validation_labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    class_names: tuple[str, ...],
) -> list[str]:
    """Returns a sentence for each: rare and lacking classes, a validation split of few images, images in two splits."""
    said = []
    counts = np.bincount(train_labels, minlength=len(class_names))
    # What is rare among many is not worth a sentence in a set that has few of each.
    rare = np.flatnonzero((counts < _RARE) & (counts * _RARE < counts.max()))
    if rare.size:
        said.append(f"rare classes: {_some([f'{class_names[one]} ({counts[one]} to train on)' for one in rare])}")
    for split, labels in (("validation", validation_labels), ("test", test_labels)):
        lacking = np.flatnonzero(np.bincount(labels, minlength=len(class_names)) == 0)
        if lacking.size:
            said.append(f"no {split} images of: {_some([class_names[one] for one in lacking])}")
    number = len(validation_labels)
    if number < _FEW_VALIDATION:
        said.append(
            f"validation has {number} image{'s' if number > 1 else ''}, each worth {1 / number:.1%} of the accuracy "
            "that selects networks: small differences are luck"
        )
    return said + _shared(train_images, validation_images, test_images)


def _shared(train: np.ndarray, validation: np.ndarray, test: np.ndarray) -> list[str]:
    """Returns sentences about images that stand in two splits."""
    seen = image_hashes(train)
    held, unseen = image_hashes(validation), image_hashes(test)
    shared = {
        "validation images that are also training images": _common(held, seen),
        "test images that are also training or validation images": _common(unseen, np.concatenate([seen, held])),
    }
    return [f"{kind}: {count}, so that accuracy is overrated" for kind, count in shared.items() if count]


def _common(some: np.ndarray, others: np.ndarray) -> int:
    known = set(others.tolist())
    return sum(one in known for one in some.tolist())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
