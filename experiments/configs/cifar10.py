"""CIFAR-10, ten minutes on two cores: the preset `small` with half the steps, larger networks, and a longer finish.

The finish takes a quarter of all FLOPs. On 45,000 images early networks gain little from more steps.

    python -m jaxevo.data.prepare cifar10
    python -m experiments cifar10

For images of your own add `--dataset FILE.npz`. `jaxevo run --preset small --dataset cifar10 --train-steps 400
--max-flops-per-image 3e7 --finish-share 0.33` is the same.
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

_SETTINGS, _LIMITS = PRESETS["small"]
EXPERIMENT = Experiment(
    dataclasses.replace(_SETTINGS, dataset="cifar10", train_steps=400, max_flops_per_image=30_000_000),
    dataclasses.replace(_LIMITS, finish_share=0.33),
)
