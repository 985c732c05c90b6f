"""CIFAR-10, ten minutes on one core: the preset `small`.

    python -m jaxevo.data.prepare cifar10
    python -m experiments cifar10

For images of your own add `--dataset FILE.npz`.
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

_SETTINGS, _LIMITS = PRESETS["small"]
EXPERIMENT = Experiment(dataclasses.replace(_SETTINGS, dataset="cifar10"), _LIMITS)
