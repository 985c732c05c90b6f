"""CIFAR-100 with the numbers of Real et al. 2017, nothing changed from CIFAR-10 but the data set.

    python -m jaxevo.data.prepare cifar100
    python -m experiments cifar100_paper --seeds 0

The paper: 77.0 % test accuracy in one run, 40.4 M parameters, after 2e20 FLOPs. Not run yet: it needs accelerators
for days.
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.settings import PRESETS, Limits

EXPERIMENT = Experiment(dataclasses.replace(PRESETS["paper"][0], dataset="cifar100"), Limits(max_flops=2e20))
