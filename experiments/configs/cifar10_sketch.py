"""Ten minutes of CIFAR-10 on a laptop: evolution at work on photographs, without the time to become accurate.

    python -m jaxevo.data.prepare cifar10
    python -m experiments cifar10_sketch --seeds 0

For images of your own add `--dataset FILE.npz`. The initial networks reach about 20 %.
"""

from experiments.experiment import Experiment
from jaxevo.settings import Limits, Settings

EXPERIMENT = Experiment(
    Settings(
        dataset="cifar10",
        population_size=32,
        num_workers=8,
        selection="aging",
        sample_size=10,
        train_steps=400,
        max_flops_per_image=5_000_000,
    ),
    Limits(max_seconds=600),
)
