"""CIFAR-10, ten minutes on two cores: the preset `small` with half the steps and a longer finish.

On 45,000 images early networks gain little from more steps. The finish takes a quarter of the seconds, no more.

    python -m jaxevo.data.prepare cifar10
    python -m experiments cifar10

For images of your own add `--dataset FILE.npz`. `jaxevo run --preset small --dataset cifar10 --train-steps 400
--finish-share 0.5` is the same.
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

_SETTINGS, _LIMITS = PRESETS["small"]
EXPERIMENT = Experiment(
    dataclasses.replace(_SETTINGS, dataset="cifar10", train_steps=400), dataclasses.replace(_LIMITS, finish_share=0.5)
)
