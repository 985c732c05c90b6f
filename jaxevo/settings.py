"""Settings of a run, limits that end it, and options of its execution.

`Settings` decide the result and are stored in the run's manifest. `Limits` decide only where a run ends, so a finished
run can be extended with other limits. `Execution` selects hardware and resources, and may differ between sessions.
"""

import dataclasses
import math
import os
import sys
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

SelectionName = Literal["tournament", "aging", "pareto", "random"]
FitnessName = Literal["accuracy", "balanced_accuracy", "macro_f1"]
CostName = Literal["flops", "parameters"]
InheritanceName = Literal["shape", "overlap", "morph", "none"]
ScheduleName = Literal["constant", "cosine", "one_cycle"]
ComputeDtype = Literal["float32", "bfloat16"]
ExecutorName = Literal["local", "ray"]
KeepName = Literal["living", "all"]
TrackerName = Literal["tensorboard", "wandb"]

MAX_SEED = 2**63 - 1
"""The largest seed that random keys can hold."""


@dataclass(frozen=True)
class Settings:
    """Settings that decide the result of a run."""

    dataset: str = "digits"
    """Data set: digits, fashion_mini, an .npz file, a folder of class folders, or a TFDS name such as cifar10."""
    image_size: str | None = None
    """HEIGHTxWIDTH in pixels, such as 32x32, to which all images are resized: antialiased bilinear, stretched. Default:
    as they are, which must be of one size."""
    seed: int = 0
    """Random seed, 0 or more. The same seed and settings give the same run."""

    population_size: int = 100
    """Target size of the population: living individuals and births in flight."""
    num_workers: int | None = None
    """Births in flight, at most half the population: the workers of the simulated cluster, no processes and no data
    loaders. Unlike lanes, they are part of the algorithm. Default: a quarter of the population."""
    space: str = "large_scale"
    """Search space: large_scale (Real et al. 2017), or one of yours, as package.module:object or file.py:object.
    Parameters follow after commas, such as mixer.py:Mixer,patch=2."""
    selection: str = "tournament"
    """tournament: of a random pair, the less fit dies or the fitter reproduces (Real et al. 2017). aging: the fittest
    of sample-size reproduces, the oldest dies (Real et al. 2019). pareto: for networks that are accurate and small; the
    best of sample-size by fitness and pareto-cost reproduces, the worst of all dies (Deb et al. 2002, NSGA-II, has
    sample-size 2). random: fitness is ignored (control). Or one of yours, as for space."""
    fitness: str = "accuracy"
    """The number to maximise, computed from the validation images: accuracy, balanced_accuracy or macro_f1, less a
    price for FLOPs per image or parameters, such as accuracy,flops=1e-9. Or one of yours, as for space."""
    sample_size: int = 25
    """Individuals that compete to be a parent with --selection aging or pareto."""
    pareto_cost: CostName = "flops"
    """Cost that --selection pareto and the front in show minimise: flops (forward pass of one image) or parameters."""
    inheritance: InheritanceName = "shape"
    """shape: a child starts from its parent's arrays if layer and shape match. overlap: also from the overlapping part
    of arrays of another shape. morph: as overlap, and new parts start such that the child computes what its parent
    does where the mutation allows. none: from fresh arrays (control)."""
    mutations: str = "paper"
    """Set of mutations of the space: paper (Real et al. 2017) or growth, with odds and parameters after commas, such
    as growth,INSERT-CONVOLUTION=3,max_channels=32. Or a set of yours, as for space."""
    mutations_per_birth: int = 1
    """Mutations that make a child, one after the other."""
    initial_learning_rate: float = 0.1
    """Learning rate of the initial individuals."""
    max_parameters: int | None = None
    """Budget of trainable parameters per individual."""
    max_flops_per_image: int | None = None
    """Budget of FLOPs per individual for the forward pass of one image."""
    budget_births: int = 0
    """Births over which max-flops-per-image rises, exponentially, from a tenth of its value, so that the first networks
    are quick to train. 0, or with --from-run or --from-genotype: it holds from the first birth."""
    max_memory: int | None = None
    """Budget of memory per individual: estimated bytes of training or evaluation, whichever takes more, with full
    batches of batch-size and evaluation-batch-size."""

    wall_clock: bool = False
    """Tell outcomes in the order they really finish, not in virtual order. No lane ever waits, but the seed alone no
    longer reproduces the run."""
    birth_overhead: float = 1.0
    """Virtual seconds per birth in addition to its FLOPs, for loading and saving."""
    compile_overhead: float = 3.0
    """Extra virtual seconds for a birth whose layers or skips differ from its parent's, since it must compile. Saves
    most of the waiting with many lanes."""
    virtual_rate: float = 2e9
    """FLOPs a virtual worker trains per virtual second."""

    train_steps: int = 25_600
    """Training steps per individual."""
    batch_size: int = 50
    """Images per training batch."""
    schedule: ScheduleName = "constant"
    """Learning rate within each training, with the evolved rate as its peak. constant (Real et al. 2017). cosine: a
    short warm-up, then down to 0. one_cycle: up for three tenths of the steps, then down to 0."""
    early_stopping: float | None = None
    """Stop a training after a quarter or half of its steps if its validation accuracy is below this quantile of those
    that the last individuals had then, such as 0.5 for the median (Golovin et al. 2017); its fitness is this accuracy.
    Only children that inherit are stopped, or all children with --inheritance none; with morph the first convolution
    of a lineage, which begins with fresh weights, is one of them. Default: none."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 1e-4
    """Weight decay of the convolution filters."""
    label_smoothing: float = 0.0
    """Share of the target probability that is spread evenly over all classes."""
    batch_norm_decay: float = 0.9
    """Decay of the running statistics of batch normalisation."""
    crop_padding: int | None = None
    """Pixels of zero padding before the random crop, 0 for none. Default: depends on the data set."""
    flip: bool | None = None
    """Flip training images left to right at random. Default: depends on the data set."""
    evaluation_batch_size: int = 500
    """Images per validation or test batch."""
    compute_dtype: ComputeDtype = "float32"
    """Data type of convolutions, normalised activations and the classifier's product. bfloat16 is meant for
    accelerators and slow on CPU. Parameters, momentum, running statistics, logits and their gradient are always
    float32."""

    def __post_init__(self) -> None:
        """Checks every setting; raises `ValueError` for the first invalid one."""
        _check_types(self)
        _check("seed", self.seed, 0 <= self.seed <= MAX_SEED, f"a number from 0 to {MAX_SEED}")
        _check("population_size", self.population_size, self.population_size >= 2, "2 or more")
        if self.num_workers is not None:
            fits = 1 <= self.num_workers <= self.population_size // 2
            _check(
                "num_workers",
                self.num_workers,
                fits,
                f"1 to {self.population_size // 2}, half the population_size {self.population_size}: give both",
            )
        _door("selection", self.selection, SelectionName)
        _door("fitness", self.fitness, FitnessName)
        _choice("pareto_cost", self.pareto_cost, CostName)
        _choice("inheritance", self.inheritance, InheritanceName)
        _choice("schedule", self.schedule, ScheduleName)
        _choice("compute_dtype", self.compute_dtype, ComputeDtype)
        for name in ("sample_size", "mutations_per_birth", "train_steps", "batch_size", "evaluation_batch_size"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        _check("budget_births", self.budget_births, self.budget_births >= 0, "0 or more")
        for name in ("max_parameters", "max_flops_per_image", "max_memory"):
            value = getattr(self, name)
            _check(name, value, value is None or value >= 1, "1 or more")
        for name in ("initial_learning_rate", "virtual_rate"):
            _check(name, getattr(self, name), 0 < getattr(self, name) < math.inf, "a finite number above 0")
        for name in ("birth_overhead", "compile_overhead", "weight_decay"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < math.inf, "a finite number, 0 or more")
        for name in ("momentum", "label_smoothing", "batch_norm_decay"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < 1, "0 or more and below 1")
        quantile = self.early_stopping
        _check("early_stopping", quantile, quantile is None or 0 < quantile < 1, "above 0 and below 1")
        _check(
            "crop_padding",
            self.crop_padding,
            self.crop_padding is None or self.crop_padding >= 0,
            "0 or more",
        )

    @property
    def virtual_workers(self) -> int:
        """The number of virtual workers: `num_workers`, or a quarter of the population (Real et al. 2017)."""
        return self.num_workers if self.num_workers is not None else max(1, self.population_size // 4)


@dataclass(frozen=True)
class Limits:
    """Limits of a run, which ends at the first told event that meets one of them."""

    max_individuals: int | None = None
    """Stop after this many trained individuals."""
    max_flops: float | None = None
    """Stop once all individuals together have cost this many FLOPs."""
    max_seconds: float | None = None
    """Stop after this many seconds of this command."""
    target_accuracy: float | None = None
    """Stop once an individual reaches this validation accuracy, above 0 and at most 1."""
    finish_share: float | None = None
    """After the last individual, train the best one for longer, on training and validation images together, with this
    share of the FLOPs that the run took; 0 for no finish. Its schedule, weight decay and label smoothing are fixed
    (cosine from 0.2, 5e-4, 0.1). max-seconds includes it."""

    def __post_init__(self) -> None:
        """Checks every limit; raises `ValueError` for the first invalid one."""
        _check_types(self)
        for name in ("max_individuals", "max_flops", "max_seconds"):
            value = getattr(self, name)
            _check(name, value, value is None or 0 < value < math.inf, "a finite number above 0")
        share = self.finish_share
        _check("finish_share", share, share is None or 0 <= share < math.inf, "a finite number, 0 or more")
        target = self.target_accuracy
        _check("target_accuracy", target, target is None or 0 < target <= 1, "above 0 and at most 1")

    def reached(self, events: int, flops: float, seconds: float, accuracy: float) -> str | None:
        """Returns the name of the first limit that is met, or None."""
        values = {
            "max_individuals": events,
            "max_flops": flops,
            "max_seconds": seconds,
            "target_accuracy": accuracy,
        }
        for name, value in values.items():
            limit = getattr(self, name)
            if limit is not None and value >= limit:
                return name
        return None


@dataclass(frozen=True)
class Execution:
    """Options of how a session is executed.

    Most never affect the result; devices_per_lane and fast affect its last bits, and so, over generations, all of it.
    """

    lanes: int | None = None
    """Individuals that train at once, on a cluster per worker. Does not affect the result. Default: set by
    lanes-per-device."""
    devices_per_lane: int = 1
    """Devices that share the training of an individual, each with a part of every batch; must divide batch-size.
    Affects the last bits of the result, which are reproducible with the same number."""
    lanes_per_device: int | None = None
    """Lanes that share each device, to fill one that small networks leave idle. Does not affect the result. Replaces
    lanes, and needs devices-per-lane 1. Default: one; on CPU, one per core in total."""
    fast: bool = False
    """Turn off deterministic operations on GPUs. Trains faster, but the same seed no longer gives
    the same run."""
    programs_in_memory: int = 64
    """Architectures whose programs stay in memory, on CPU 5 to 10 MB each. Programs dropped from memory are read from
    disk when needed again."""
    keep: KeepName = "living"
    """Weights that stay in the work folder: those of living individuals and of the best, or all."""
    max_deaths: int = 5
    """Process deaths in the training of one individual, without progress in between, after which the run stops and
    names the individual."""
    checkpoint_seconds: float = 300.0
    """Seconds between checkpoints of a long training, which continues from the last one after a crash."""
    snapshot_interval: int | None = None
    """Events between snapshots of the evolution state. After a crash, the events since the last one are told again.
    Default: four times the population size, 50 or more."""

    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""
    trust_doors: str | None = None
    """Run the code from outside if it is the same as that of your own parts, named as when the run began, such as
    mixer.py:Mixer; several with spaces between them, one with spaces in quotes."""

    executor: ExecutorName = "local"
    """local: the devices of this machine. ray: the workers of a Ray cluster, all with access to the work folder."""
    ray_address: str | None = None
    """Ray cluster to connect to: auto, or HOST:PORT. Default: start Ray on this machine only, for this session."""
    ray_workers: int | None = None
    """Ray workers, each a process. Default: one on every node that has worker-resources, even if it joins late."""
    worker_resources: str | None = None
    """Resources of each Ray worker, such as CPU=2,GPU=1; nodes without them get no worker. Default: CPU=1 and all GPUs
    and TPU chips of the node."""
    lease_seconds: float = 900.0
    """Seconds without a sign of life from a training after which its Ray worker counts as hung and its individuals are
    trained elsewhere. Training gives a sign every second; compiling and saving give none, so they must take less."""

    log: str | None = None
    """Tools to log this session to: tensorboard, wandb, or tensorboard,wandb. Does not affect the result; each needs
    the extra of its name. Event files and wandb's files are in the work folder."""

    def __post_init__(self) -> None:
        """Checks every field; raises `ValueError` for the first invalid one."""
        _check_types(self)
        _choice("executor", self.executor, ExecutorName)
        _choice("keep", self.keep, KeepName)
        counts = ("lanes", "devices_per_lane", "lanes_per_device", "programs_in_memory", "max_deaths", "ray_workers")
        for name in (*counts, "snapshot_interval"):
            value = getattr(self, name)
            _check(name, value, value is None or value >= 1, "1 or more")
        for name in ("checkpoint_seconds", "lease_seconds"):
            _check(name, getattr(self, name), getattr(self, name) > 0, "above 0")
        self._check_lanes_per_device()
        self.resources()
        tracker_names(self.log)
        for name in ("ray_address", "ray_workers", "worker_resources"):
            value = getattr(self, name)
            _check(name, value, value is None or self.executor == "ray", "left out without executor='ray'")

    def events_a_snapshot(self, population_size: int) -> int:
        """Returns the number of events between snapshots.

        A snapshot holds the whole population. The default keeps its cost per event independent of the population size.
        """
        return self.snapshot_interval if self.snapshot_interval is not None else max(50, 4 * population_size)

    def resources(self) -> dict[str, float] | None:
        """Returns `worker_resources` by name, None for the default.

        Raises:
            ValueError: if they are not NAME=AMOUNT, separated by commas.
        """
        if self.worker_resources is None:
            return None
        parts = [part.partition("=") for part in self.worker_resources.split(",")]
        try:
            amounts = {name.strip(): float(amount) for name, _, amount in parts}
        except ValueError:
            amounts = {}
        fits = bool(amounts) and all(name and 0 < amount < math.inf for name, amount in amounts.items())
        _check("worker_resources", self.worker_resources, fits, "such as CPU=2,GPU=1, with amounts above 0")
        return amounts

    def _check_lanes_per_device(self) -> None:
        given = self.lanes_per_device
        wanted = f"left out beside lanes {self.lanes}, which counts those of all devices together"
        _check("lanes_per_device", given, given is None or self.lanes is None, wanted)
        # Such lanes would deadlock: see `execution.placement.lane_devices`.
        wanted = f"1 with devices_per_lane {self.devices_per_lane}: lanes cannot share several devices"
        _check("lanes_per_device", given, given is None or given == 1 or self.devices_per_lane == 1, wanted)

    def check_batch_size(self, batch_size: int) -> None:
        """Raises `ValueError` if the devices of a lane cannot share a batch evenly."""
        devices = self.devices_per_lane
        below = batch_size // devices * devices
        near = " or ".join(str(size) for size in (below, below + devices) if size > 0)
        wanted = f"divisible by devices_per_lane {devices}: {near} would do"
        _check("batch_size", batch_size, batch_size % devices == 0, wanted)


def tracker_names(log: str | None) -> tuple[str, ...]:
    """Returns the names of the tools that `Execution.log` names, each once.

    Raises:
        ValueError: if it names another one.
    """
    names = () if log is None else tuple(dict.fromkeys(name.strip() for name in log.split(",")))
    known = typing.get_args(TrackerName)
    wanted = f"one of {', '.join(known)}, or several with commas between them"
    _check("log", log, all(name in known for name in names), wanted)
    return names


def settings_from_json(fields: Any) -> Settings:
    """Returns the settings that `dataclasses.asdict` wrote.

    Raises:
        ValueError: if a field is missing, unknown or invalid.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"the settings are {fields!r}, but must be an object with one field per setting")
    known = {field.name for field in dataclasses.fields(Settings)}
    if fields.keys() != known:
        raise ValueError(f"the settings have missing or unknown fields: {', '.join(sorted(known ^ set(fields)))}")
    return Settings(**fields)


def _door(name: str, value: str, choices: Any) -> None:
    """Checks the name of a door; `jaxevo.doors` checks the rest."""
    known = choices.__args__
    fits = ":" in value or value.split(",")[0].strip() in known
    _check(name, value, fits, f"one of {', '.join(known)}, package.module:object or file.py:object")


def _check(name: str, value: object, fits: bool, wanted: str) -> None:
    if not fits:
        raise ValueError(f"{name} is {value!r}, but must be {wanted}")


def _choice(name: str, value: str, choices: Any) -> None:
    _check(name, value, value in choices.__args__, f"one of {', '.join(choices.__args__)}")


def _check_types(given: Settings | Limits | Execution) -> None:
    """Raises `ValueError` for a field of the wrong type; floats may be given as whole numbers.

    NumPy's scalars become Python's, and a `Path` an absolute path.
    """
    for name, hint in typing.get_type_hints(type(given)).items():
        value = getattr(given, name)
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, os.PathLike):
            value = str(Path(value).expanduser().absolute())
        object.__setattr__(given, name, value)
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        if value is None and types.NoneType in kinds:
            continue
        kind = next((kind for kind in kinds if kind in _KINDS), str)
        accepted, words = _KINDS[kind]
        # To Python True is an int, to a user it is not.
        fits = isinstance(value, accepted) and isinstance(value, bool) == (kind is bool)
        _check(name, value, fits, words)
        if kind is float and isinstance(value, int):
            _check(name, value, abs(value) <= sys.float_info.max, "a number that a float can hold")


_KINDS: dict[type, tuple[type | types.UnionType, str]] = {
    bool: (bool, "True or False"),
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    str: (str, "text"),
}
