"""The commands and their flags, which are the fields of the settings; see `jaxevo COMMAND --help`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from jaxevo.presets import PRESETS, PresetName
from jaxevo.reports.network import ENSEMBLE_SIZE
from jaxevo.settings import Execution, Limits, Settings

DatasetArgument = Annotated[str | None, tyro.conf.arg(metavar="DATASET")]
WorkdirArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]


@dataclass(frozen=True)
class RunCommand:
    """Start a run in a new folder.

    Compiled programs (at most 512 MB) and decoded images are cached in $JAXEVO_CACHE_DIR, by default ~/.cache/jaxevo,
    which may be deleted at any time.
    """

    settings: Annotated[Settings, tyro.conf.arg(name="")]
    limits: Annotated[Limits, tyro.conf.arg(name="")]
    preset: PresetName = "demo"
    """Default settings and limits: demo (fashion_mini, five minutes on two cores), small (ten minutes), large (an
    hour), paper (the numbers of Real et al. 2017)."""
    workdir: str | None = None
    """Folder of the run. Default: a new folder under runs."""
    from_run: str | None = None
    """Folder of an earlier run whose living population begins this one, with its weights. Image shape and classes must
    be the same."""
    from_genotype: str | None = None
    """JSON file with the genotype of every initial individual, such as the genotype.json beside the weights of a
    run. Their weights are fresh."""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)
    report: bool = False
    """Write the run as one HTML page at its end."""


@dataclass(frozen=True)
class ResumeCommand:
    """Resume a run after a crash, an interruption, or its end.

    Limits that are not given stay those of the last session, except the one that ended it, which is lifted if another
    is given.
    """

    workdir: WorkdirArgument
    """The run's folder."""
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)
    dataset: DatasetArgument = None
    """Name or path of the data set, if it has moved without the work folder."""
    skip_birth: tuple[int, ...] = ()
    """Births in training to count as failed, for one that keeps killing the process. The run is then not reproducible
    from its seed alone."""


@dataclass(frozen=True)
class FinishCommand:
    """Train the best individual of a run on, on training and validation images, and keep its weights beside the run's.

    For example: jaxevo finish runs/digits-0 --share 0.5
    """

    workdir: WorkdirArgument
    """The run's folder."""
    share: float
    """FLOPs of the finish over those that the run took."""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)


@dataclass(frozen=True)
class ReplayCommand:
    """Train all individuals of a run again, in a new folder and in the recorded order, and compare fingerprints."""

    source: WorkdirArgument
    """The folder of the run to replay."""
    workdir: str
    """The new folder."""
    dataset: DatasetArgument = None
    """Name or path of the data set, if it has moved without the work folder."""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)


@dataclass(frozen=True)
class VerifyCommand:
    """Recompute every decision of a run, check the hashes of its files, and retrain lineages on demand."""

    workdir: WorkdirArgument
    """The run's folder."""
    retrain: Annotated[str | None, tyro.conf.arg(metavar="best|NUMBER")] = None
    """Lineages to train again from the first ancestor: that of the best, or those of NUMBER random individuals."""
    dataset: DatasetArgument = None
    """Name or path of the data set, if it has moved without the work folder."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class ShowCommand:
    """Print the best network, its lineage and the population."""

    workdir: WorkdirArgument
    """The run's folder."""
    individual: int | None = None
    """Show this individual instead of the best."""


@dataclass(frozen=True)
class ReportCommand:
    """Write a run as one HTML page, or compare several runs in one.

    The page needs no network: open it, mail it, keep it. For example: jaxevo report runs/digits-seed0
    """

    workdir: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR [WORKDIR ...]")]
    """The folder of the run, or of each run to compare."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None
    """The file to write. Default: report.html in the folder of the run, or comparison.html here."""
    no_images: bool = False
    """Leave out what the best network does with the test images."""
    phylogeny: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """File for the descent as CSV in the ALife data standard."""
    watch: bool = False
    """Write the page again every ten seconds while the run goes on; the open page reloads itself."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class TestCommand:
    """Measure the best individual by validation, and the ensemble's majority vote, on the test images.

    Accuracy with its 95 % interval, balanced accuracy, accuracy by class, top-k, confusions, and what always answering
    the most frequent class would give.
    """

    workdir: WorkdirArgument
    """The run's folder."""
    ensemble_size: int = ENSEMBLE_SIZE
    """Members of the ensemble: this many of the fittest individuals."""
    json: bool = False
    """Print all measures as JSON, and nothing else."""
    dataset: DatasetArgument = None
    """Name or path of the data set, if it has moved without the work folder."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class PredictCommand:
    """Classify image files with the best network of a run, or with an exported one.

    Files of any format that Pillow reads; those of another size are resized to that of the training images.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|EXPORT")]
    """Work folder of a run, or folder of an exported network."""
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")]
    """Image files."""
    top: int = 1
    """Classes to print for each image, the most probable first."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class ExportCommand:
    """Write the best network as a folder that works without jaxevo."""

    workdir: WorkdirArgument
    """The run's folder."""
    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """The new folder to write."""
    individual: int | None = None
    """Export this individual, with its evolved weights, instead of the best; it must be alive."""
    ensemble: bool = False
    """Export the fittest individuals, and their majority vote."""
    ensemble_size: int = ENSEMBLE_SIZE
    """Members of the ensemble: this many of the fittest individuals."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class BenchCommand:
    """Measure this machine in a few minutes: device, training, compiling, evolution, scaling.

    Tables are printed as they are measured. For example: jaxevo bench --json bench.json
    """

    json: str | None = None
    """File to write all figures to, with versions and flags."""
    quick: bool = False
    """Take about a minute: fewer networks, fewer samples."""
    lanes: int | None = None
    """Lanes of the evolution, and most lanes of the scaling. Default: the lanes of jaxevo run; for scaling on
    accelerators, twice as many."""


Command = (
    RunCommand
    | ResumeCommand
    | FinishCommand
    | ReplayCommand
    | VerifyCommand
    | ShowCommand
    | ReportCommand
    | TestCommand
    | PredictCommand
    | ExportCommand
    | BenchCommand
)


def parse(arguments: Sequence[str]) -> Command:
    """Returns the command that the arguments describe; the preset gives the defaults of `run`."""
    preset = _preset(arguments)
    settings, limits = PRESETS[preset]
    commands = (
        Annotated[RunCommand, tyro.conf.subcommand("run", default=RunCommand(settings, limits, preset))]
        | Annotated[ResumeCommand, tyro.conf.subcommand("resume")]
        | Annotated[FinishCommand, tyro.conf.subcommand("finish")]
        | Annotated[ReplayCommand, tyro.conf.subcommand("replay")]
        | Annotated[VerifyCommand, tyro.conf.subcommand("verify")]
        | Annotated[ShowCommand, tyro.conf.subcommand("show")]
        | Annotated[ReportCommand, tyro.conf.subcommand("report")]
        | Annotated[TestCommand, tyro.conf.subcommand("test")]
        | Annotated[PredictCommand, tyro.conf.subcommand("predict")]
        | Annotated[ExportCommand, tyro.conf.subcommand("export")]
        | Annotated[BenchCommand, tyro.conf.subcommand("bench")]
    )
    return tyro.cli(
        commands,
        prog="jaxevo",
        description="Evolve image classifiers: the same run from the same seed.",
        args=list(arguments),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def _preset(arguments: Sequence[str]) -> PresetName:
    """Returns the preset that the arguments name, or demo if they name none or an unknown one, which tyro reports."""
    for place, argument in enumerate(arguments):
        value = argument.partition("=")[2] if argument.startswith("--preset=") else None
        if argument == "--preset" and place + 1 < len(arguments):
            value = arguments[place + 1]
        if value in PRESETS:
            return value  # type: ignore[return-value]
    return "demo"
