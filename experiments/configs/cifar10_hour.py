"""CIFAR-10, an hour on one core: the preset `large`.

    python -m jaxevo.data.prepare cifar10
    python -m experiments cifar10_hour

For images of your own add `--dataset FILE.npz`.
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

_SETTINGS, _LIMITS = PRESETS["large"]
EXPERIMENT = Experiment(dataclasses.replace(_SETTINGS, dataset="cifar10"), _LIMITS)
