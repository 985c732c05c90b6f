"""CIFAR-10 with the settings of Real et al. 2017: population 1000, 250 workers, 25,600 steps of batch 50.

    python -m jaxevo.data.prepare cifar10
    python -m experiments cifar10_paper --seeds 0

The paper reports 94.6 % test accuracy for the best of five runs and 94.1 % +- 0.4 % on average, after 9e19 FLOPs a
run. Not run yet: it takes accelerators for days.
"""

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS
from jaxevo.settings import Limits

EXPERIMENT = Experiment(PRESETS["paper"][0], Limits(max_flops=9e19))
