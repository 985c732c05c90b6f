"""A data set of arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_SPLITS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True, eq=False)
class Data:
    """Images and labels in memory, for `jaxevo.evolve(dataset=jaxevo.Data(train=(images, labels)))`.

    The run keeps them in its work folder. `jaxevo.data.dataset.make_dataset` says which images and labels are read, and
    how splits that are not given are cut.

    Attributes:
        train: images `[N, H, W]` or `[N, H, W, C]`, and labels `[N]`.
        test: the same, or None to hold a sixth of train out.
        validation: the same, or None to hold a tenth of train out.
        class_names: name of each class, by label; None to name them by their labels.
    """

    train: tuple[ArrayLike, ArrayLike]
    test: tuple[ArrayLike, ArrayLike] | None = None
    validation: tuple[ArrayLike, ArrayLike] | None = None
    class_names: Sequence[str] | None = None

    def save(self, path: Path) -> None:
        """Writes the arrays to an `.npz` file that `jaxevo.data.load` loads.

        Raises:
            ValueError: if they are no arrays of numbers or text.
        """
        arrays = {}
        for split, name in _SPLITS.items():
            given = getattr(self, split)
            if given is None:
                continue
            if not isinstance(given, tuple | list) or len(given) != 2:
                raise ValueError(f"{split}: {type(given).__name__} is given; give a pair, (images, labels)")
            arrays[f"{name}_images"] = _plain(f"{split} images", given[0])
            arrays[f"{name}_labels"] = _plain(f"{split} labels", given[1])
        if self.class_names is not None:
            arrays["class_names"] = _plain("class_names", list(self.class_names))
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def _plain(name: str, given: Any) -> np.ndarray:
    """Returns an array without Python objects; text in an object array, as pandas has it, becomes text."""
    array = np.asarray(given)
    if array.dtype.hasobject and all(isinstance(one, str) for one in array.flat):
        array = array.astype(np.str_)
    if array.dtype.hasobject:
        raise ValueError(f"{name}: {type(next(array.flat, None)).__name__} objects are given; give numbers or text")
    return array
