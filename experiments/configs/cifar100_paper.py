"""CIFAR-100 with the settings of Real et al. 2017, which are those of CIFAR-10.

    python -m jaxevo.data.prepare cifar100
    python -m experiments cifar100_paper --seeds 0

The paper reports 77.0 % test accuracy for one run, with 40.4 M parameters, after 2e20 FLOPs. Not run yet: it takes
accelerators for days.
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS
from jaxevo.settings import Limits

EXPERIMENT = Experiment(dataclasses.replace(PRESETS["paper"][0], dataset="cifar100"), Limits(max_flops=2e20))
