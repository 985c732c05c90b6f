"""Evolve image classifiers as estimators of scikit-learn, with the extra `sklearn`."""

import math
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from jaxevo.api import evolve
from jaxevo.data.dataset import make_dataset
from jaxevo.data.memory import Data
from jaxevo.data.pixels import Pixels
from jaxevo.presets import PresetName
from jaxevo.reports.network import Network
from jaxevo.storage.workdir import Workdir

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.validation import check_is_fitted
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "jaxevo.sklearn needs scikit-learn, which is not installed: pip install 'jaxevo[sklearn]'", name="sklearn"
    ) from missing


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of images that is evolved by `fit`.

    A tenth of the training images is held out for selection. Images are `[N, H, W]` or `[N, H, W, C]`; dtypes and
    labels are read as `jaxevo.data.dataset.make_dataset` does, and `predict` reads pixels as `fit` did.

    Attributes:
        classes_: sorted labels, as given to `fit`.
        network_: the best network; its test accuracy is NaN, since `fit` has no test images.
        fingerprint_: fingerprint of the run.
    """

    def __init__(
        self,
        *,
        preset: PresetName = "demo",
        seed: int = 0,
        max_individuals: int | None = None,
        max_seconds: float | None = None,
        lanes: int | None = None,
        workdir: str | Path | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        """Makes a classifier.

        Args:
            preset: settings and limits to start from.
            seed: random seed; the same seed and data give the same classifier.
            max_individuals: individuals to train; None for no limit.
            max_seconds: seconds to evolve; None for no limit. With neither of the two, the preset's FLOPs end it.
            lanes: individuals that train at once; None for one a core.
            workdir: new work folder of the run; None for a temporary one, which is removed. The images for selection
                stand for its test images, so the test accuracies of `jaxevo show` and `test` say nothing.
            settings: other keyword arguments of `jaxevo.evolve`, such as `{"train_steps": 200}`.
        """
        self.preset = preset
        self.seed = seed
        self.max_individuals = max_individuals
        self.max_seconds = max_seconds
        self.lanes = lanes
        self.workdir = workdir
        self.settings = settings

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 - scikit-learn's name
        """Evolves networks on images and labels, and keeps the best.

        Args:
            X: images `[N, H, W]` or `[N, H, W, C]`.
            y: labels `[N]`, integers or text.

        Raises:
            ValueError: if images, labels or a setting cannot be meant.
            RuntimeError: if a training could not be carried out.
        """
        self.classes_, labels = np.unique(np.asarray(y), return_inverse=True)
        images = np.asarray(X)
        # All images but those for selection are for training: whoever calls `score` has others for a test.
        dataset = make_dataset("fit", (images, labels), (images[:1], labels[:1]), cut_at_end=False)
        self._pixels: Pixels = dataset.pixels
        names = [str(label) for label in self.classes_]
        data = Data(train=dataset.train, validation=dataset.validation, test=dataset.validation, class_names=names)
        with tempfile.TemporaryDirectory(prefix="jaxevo-fit-") as folder:
            run = evolve(
                self.workdir if self.workdir is not None else Path(folder) / "run",
                preset=self.preset,
                **{**self._limits(), **(self.settings or {})},
                dataset=data,
            )
            self.network_: Network = run.best
            # There is no test set: the validation images stand for it, on which the finish has trained.
            self.network_.test_accuracy = math.nan
            self.network_.variables  # noqa: B018 - reads the weights before a temporary folder goes.
            self.fingerprint_ = run.fingerprint
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """Returns the label of each image, as given to `fit`, `[N]`."""
        check_is_fitted(self)
        return self.classes_[self.network_.predict_classes(self._read(X))]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """Returns the probability of each class, in the order of `classes_`, float32 `[N, classes]`."""
        check_is_fitted(self)
        return self.network_.predict_proba(self._read(X))

    def _limits(self) -> dict[str, Any]:
        given = {"max_individuals": self.max_individuals, "max_seconds": self.max_seconds, "lanes": self.lanes}
        return {"seed": self.seed} | {name: value for name, value in given.items() if value is not None}

    def _read(self, images: ArrayLike) -> np.ndarray:
        return self._pixels.convert("X", np.asarray(images))

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to pickle: of the network, only what it is made of, with its weights."""
        state = dict(super().__getstate__())
        network = state.pop("network_", None)
        if network is not None:
            state["_network"] = network.parts()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores a pickled classifier."""
        parts = state.pop("_network", None)
        super().__setstate__(state)
        if parts is not None:
            self.network_ = Network.from_parts(parts, Workdir(Path()))
