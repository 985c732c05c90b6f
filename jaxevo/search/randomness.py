"""Random numbers drawn from keys, never from a shared stream.

The key of a draw is the run's seed, the individual, the purpose and up to two indices within the purpose. These five
numbers are the key and the counter of a Philox generator (Salmon et al. 2011), so no draw depends on earlier draws, on
its lane or on its process.
"""

import enum
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence


class Purpose(enum.IntEnum):
    """The purpose of a stream of random numbers."""

    SELECTION = 1
    MUTATION = 2
    INITIAL_ARRAY = 3
    BATCH_ORDER = 4
    AUGMENTATION = 5
    INITIAL_GENOTYPE = 6
    MEASUREMENT = 7


def keyed_generator(
    seed: int, individual_id: int, purpose: Purpose, index: int = 0, sub_index: int = 0
) -> np.random.Generator:
    """Returns the generator of a key; equal keys give equal numbers.

    Args:
        seed: the run's seed, `0 <= seed <= settings.MAX_SEED`.
        individual_id: id of the individual, at least 0.
        purpose: of the numbers.
        index: number of the stream within the purpose (a layer, an epoch).
        sub_index: number of the stream within the index (an array).
    """
    key = _Key(np.array([seed, individual_id], np.uint64))
    # The lowest counter word starts at 0, because the generator counts its blocks in it.
    words = np.array([0, sub_index, index, int(purpose)], np.uint64)
    return np.random.Generator(np.random.Philox(key, counter=words))  # type: ignore[arg-type]  # Not in NumPy's stub.


class _Key(ISeedSequence):
    """The key of a Philox generator. Philox's own argument `key` takes three times as long, for an unused seed."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self._words
