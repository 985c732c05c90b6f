"""Random numbers drawn from keys, never from a shared stream.

Every draw of a run names what it is for: the run's seed, the individual, the purpose and, within a purpose, up to
two indices. The five numbers are the key and the counter of a Philox generator (Salmon et al. 2011), so that no draw
depends on which draws were made before it, on which lane, or in which process.
"""

import enum
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence


class Purpose(enum.IntEnum):
    """What a stream of random numbers is drawn for."""

    SELECTION = 1
    MUTATION = 2
    INITIAL_ARRAY = 3
    BATCH_ORDER = 4
    AUGMENTATION = 5


def keyed_generator(
    seed: int, individual_id: int, purpose: Purpose, index: int = 0, sub_index: int = 0
) -> np.random.Generator:
    """Returns the generator that belongs to a key; equal keys give equal numbers.

    Args:
        seed: the run's seed, `0 <= seed <= settings.MAX_SEED`.
        individual_id: whose draw it is, at least 0.
        purpose: what it is for.
        index: which of several streams of that purpose (a layer, an epoch).
        sub_index: which of several streams of that index (an array).
    """
    key = _Key(np.array([seed, individual_id], np.uint64))
    # The lowest counter word is the generator's own: it counts the blocks drawn.
    words = [0, sub_index, index, int(purpose)]
    return np.random.Generator(np.random.Philox(key, counter=words))  # type: ignore[arg-type]  # Not in NumPy's stub.


class _Key(ISeedSequence):
    """Hands Philox its key; given as `key`, it would first seed itself from the system and take three times as long."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self._words
