"""Trained networks of a run."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from jaxevo.doors.opening import built_in
from jaxevo.environment import check_not_forked, prepare_process
from jaxevo.reports.classifier import Classifier
from jaxevo.reports.drawing import drawing_text
from jaxevo.search.population import Individual
from jaxevo.search.space import Drawing, SearchSpace
from jaxevo.storage.finish import Finish
from jaxevo.storage.history import History
from jaxevo.storage.manifest import Manifest
from jaxevo.storage.workdir import Workdir

if TYPE_CHECKING:
    from flax import linen

_PROGRAMS = 64
"""Number of architectures whose compiled predictions are kept."""


class Network(Classifier):
    """A trained individual of a run.

    Attributes:
        individual: the individual.
        test_accuracy: test accuracy in [0, 1] as measured after training, NaN if there is none. Selection never saw it.
        finished: True if its weights are finished ones: trained on, on training and validation images.
    """

    def __init__(
        self,
        manifest: Manifest,
        space: SearchSpace[Any],
        workdir: Workdir,
        individual: Individual,
        test_accuracy: float,
        finish: Finish | None = None,
    ) -> None:
        """Makes a network of an individual, with the weights of its finish if given; reads them on first use."""
        self.individual = individual
        self.test_accuracy = test_accuracy
        self.image_shape = manifest.image_shape
        self.class_names = manifest.class_names
        self.finished = finish is not None
        self._finish = finish
        self.label_values = manifest.label_values
        self._manifest = manifest
        self._space = space
        self._workdir = workdir

    def __repr__(self) -> str:
        """Returns its id, weights and accuracies."""
        accuracies = f"validation {self.validation_accuracy:.1%}"
        if math.isfinite(self.test_accuracy):
            accuracies += f", test {self.test_accuracy:.1%}"
        return f"<Network: individual {self.individual.id}, {self.weights_kind} weights, {accuracies}>"

    @property
    def genotype(self) -> Any:
        """The individual's genotype."""
        return self.individual.genotype

    @property
    def validation_accuracy(self) -> float:
        """The individual's validation accuracy in [0, 1], with its evolved weights."""
        return self.individual.accuracy

    def predict_classes(self, images: ArrayLike) -> np.ndarray:
        """Returns the most probable class of each image; see `Classifier.predict_classes`."""
        return self._logits(images).argmax(axis=-1).astype(np.int32)

    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Returns the softmax of the logits; see `Classifier.predict_proba`."""
        logits = self._logits(images)
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    @cached_property
    def module(self) -> "linen.Module":
        """The Flax module: `module.apply(variables, images, train=False)` returns logits.

        It takes normalised images, float32 [batch, height, width, channels]: `(pixels / 255 - mean) / deviation`. It
        cannot detect images that are not normalised; `predict` takes pixels.

        Raises:
            RuntimeError: in a fork of a process in which JAX has run, where it would hang.
        """
        prepare_process()
        check_not_forked()
        import jax

        from jaxevo.layers.convolution import convolve_on
        from jaxevo.spaces.network_space import Kernels, networks_of

        task = self._manifest.task
        kernels = Kernels(convolve_on(jax.local_devices()[0].platform))
        architecture = self._space.architecture(self.genotype, task)
        return networks_of(self._space).module(architecture, task, self._manifest.settings, kernels=kernels)

    @cached_property
    def variables(self) -> dict[str, Any]:
        """The trained variables, {"params": ..., "batch_stats": ...}, as NumPy arrays.

        Raises:
            ValueError: if the training failed, the individual is dead and its weights were removed, or they are missing
                or altered.
            RuntimeError: in a fork of a process in which JAX has run: TensorStore's threads are lost as JAX's are.
        """
        prepare_process()
        check_not_forked()
        from jaxevo.storage.checkpoint import WeightStore

        one = self.individual
        if self._finish is not None and self._finish.weights is not None and self._finish.weights_sha256 is not None:
            finished = WeightStore(self._workdir.finish / "weights", self._space)
            return finished.load(self._finish.weights, self._finish.weights_sha256, one.genotype)
        if one.weights is None or one.weights_sha256 is None:
            reason = "its training failed" if one.failure is not None else "nothing is trained in its search space"
            raise ValueError(f"individual {one.id} has no weights: {reason}")
        if not (self._workdir.weights / one.weights).exists() and not self._kept():
            raise ValueError(
                f"individual {one.id} is dead, and only the weights of the population and of the best individual are "
                f"kept: choose one of the population that 'jaxevo show {self._workdir.path}' lists"
            )
        store = WeightStore(self._workdir.weights, self._space)
        return store.load(one.weights, one.weights_sha256, one.genotype)

    def parts(self) -> dict[str, Any]:
        """Returns what the network is made of, with its weights, to be pickled; see `from_parts`."""
        return {
            "manifest": self._manifest,
            "individual": self.individual,
            "test_accuracy": self.test_accuracy,
            "finish": self._finish,
            "variables": self.variables,
        }

    @classmethod
    def from_parts(cls, parts: dict[str, Any], workdir: Workdir) -> Self:
        """Returns the network of `parts`, which needs no work folder for its weights.

        Raises:
            ValueError: if the search space is not built in.
        """
        manifest = parts["manifest"]
        space = built_in(manifest.settings).space
        network = cls(manifest, space, workdir, parts["individual"], parts["test_accuracy"], parts["finish"])
        vars(network)["variables"] = parts["variables"]
        return network

    @property
    def drawing(self) -> Drawing:
        """The network as boxes and edges."""
        return self._space.drawing(self.genotype, self._manifest.task)

    def describe(self) -> str:
        """Returns the network as text, one line per layer with its shape."""
        return drawing_text(self.drawing)

    def export(self, folder: str | Path, facts: Mapping[str, float | str] | None = None) -> Path:
        """Exports the network to a folder that works without jaxevo: Flax source, weights, StableHLO, and a README.

        Args:
            folder: target folder; must not exist or must be empty.
            facts: facts for the README beside the accuracies.

        Returns:
            The folder.

        Raises:
            ValueError: if the folder cannot be written, or the weights are not available; see `variables`.
        """
        prepare_process()
        check_not_forked()
        from jaxevo.reports.export import export_network

        path = Path(folder).expanduser()
        facts = self.known_facts | dict(facts or {})
        export_network(self._space, self.genotype, self.variables, self._manifest, facts, path)
        return path

    @property
    def manifest(self) -> Manifest:
        """The manifest of the network's run."""
        return self._manifest

    @property
    def space(self) -> SearchSpace[Any]:
        """The search space of the network's run."""
        return self._space

    @property
    def known_facts(self) -> dict[str, float | str]:
        """The individual and its accuracies, for the README of an export."""
        return {
            "individual": self.individual.id,
            "weights": "finished: trained on, on training and validation images" if self.finished else "evolved",
            "validation accuracy": f"{self.validation_accuracy:.2%}",
            "test accuracy": f"{self.test_accuracy:.2%}",
        }

    def _kept(self) -> bool:
        """Returns True if the run must still have the weights, after all its events so far."""
        history = History(self._workdir)
        life = history.lives.get(self.individual.id)
        return life is not None and (life.death is None or life.individual == history.best)

    def _logits(self, images: ArrayLike) -> np.ndarray:
        """Returns logits, float32 [images, classes]."""
        images = self._checked(images)
        apply, variables = _compiled(self.module), self._placed
        mean, deviation = np.array((self._manifest.mean, self._manifest.deviation), np.float32)
        size = self._manifest.settings.evaluation_batch_size
        logits = [np.asarray(apply(variables, batch, mean, deviation)) for batch in _batches(images, size)]
        return np.concatenate(logits)[: len(images)]

    @cached_property
    def _placed(self) -> Any:
        """The variables on the device that predicts, to transfer them only once."""
        variables = self.variables
        import jax

        return jax.device_put(variables, jax.local_devices()[0])


def network_of(history: History, workdir: Workdir, individual: Individual) -> Network:
    """Returns an individual of a run as a network."""
    accuracy = history.lives[individual.id].record.test_accuracy
    return Network(history.manifest, history.space, workdir, individual, float("nan") if accuracy is None else accuracy)


def best_network(history: History, workdir: Workdir) -> Network:
    """Returns the best individual of a run as a network, with finished weights if there are any."""
    return finished_network(history, workdir, history.best) or network_of(history, workdir, history.best)


def finished_network(history: History, workdir: Workdir, individual: Individual) -> Network | None:
    """Returns an individual of a run as a network with finished weights, None if there are none."""
    finish = history.finishes.get(individual.id)
    if finish is None or finish.test_accuracy is None:
        return None
    return Network(history.manifest, history.space, workdir, individual, finish.test_accuracy, finish)


def _batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yields images in batches of one shape, the last one padded. Fewer than `size` images are one smaller batch."""
    size = min(size, len(images))
    for first in range(0, len(images), size):
        batch = images[first : first + size]
        yield np.pad(batch, ((0, size - len(batch)), (0, 0), (0, 0), (0, 0)))


@functools.lru_cache(_PROGRAMS)
def _compiled(module: "linen.Module") -> Callable[..., Any]:
    """Returns `(variables, uint8 images, mean, deviation) -> logits`, compiled once per batch shape.

    Networks of one architecture share it. Normalisation is a separate program, as in a run, because fused with the
    network it would round differently.
    """
    import jax

    from jaxevo.networks.batches import normalise

    normalised = jax.jit(normalise)
    apply = jax.jit(functools.partial(module.apply, train=False))
    return lambda variables, images, mean, deviation: apply(variables, normalised(images, mean, deviation))
