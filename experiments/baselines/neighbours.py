"""Classification by the nearest training images."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.data import Dataset, Split

_CHUNK = 200


def accuracy(dataset: Dataset, split: Split, k: int) -> float:
    """Returns the accuracy of a vote of the k nearest training images by Euclidean distance of pixels.

    If classes have equally many votes, the one with the nearest image wins.
    """
    known = jnp.asarray(_flat(dataset.train.images))
    squares = jnp.square(known).sum(axis=1)
    images, right = _flat(split.images), 0
    for start in range(0, len(images), _CHUNK):
        nearest = np.asarray(_nearest(images[start : start + _CHUNK], known, squares, k))
        votes = np.zeros((len(nearest), dataset.num_classes))
        for rank in range(k):
            # A vote of a nearer image counts a little more, all k together less than one vote.
            votes[np.arange(len(nearest)), dataset.train.labels[nearest[:, rank]]] += 1 + 0.5 ** (rank + k)
        right += int((votes.argmax(axis=1) == split.labels[start : start + _CHUNK]).sum())
    return right / len(images)


@jax.jit(static_argnames="k")
def _nearest(images: jax.Array, known: jax.Array, squares: jax.Array, k: int) -> jax.Array:
    """Returns int32 [images, k], the indices of the nearest known images, the nearest first."""
    return jax.lax.top_k(2 * images @ known.T - squares, k)[1]


def _flat(images: np.ndarray) -> np.ndarray:
    # Less than one, so that float32 holds the differences of the distances.
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255) - np.float32(0.5)
