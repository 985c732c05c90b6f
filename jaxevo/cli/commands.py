"""The commands and their options; see `jaxevo COMMAND --help`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from jaxevo.cli.help import ShellName
from jaxevo.cli.options import Shown
from jaxevo.presets import PresetName
from jaxevo.reports.ensemble import ENSEMBLE_SIZE
from jaxevo.settings import Execution, Limits, Settings

_A_RUN = "the folder of a run, such as runs/digits-seed0"
WorkdirArgument = Annotated[str, Shown("WORKDIR", operand=True, example=_A_RUN)]
FileOption = Annotated[str | None, Shown("FILE")]
DatasetOption = Annotated[str | None, Shown("DATASET")]
IndividualOption = Annotated[int | None, Shown("ID")]
ClockName = Literal["flops", "virtual", "individuals"]
_WHAT = "What to evolve"


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """Start a run in a new folder.

    Compiled programs (at most 512 MB) and decoded images are cached in $JAXEVO_CACHE_DIR, by default ~/.cache/jaxevo,
    which may be deleted at any time.
    """

    preset: Annotated[PresetName, Shown(group=_WHAT)] = "demo"
    """Settings and limits to start from: demo (fashion_mini, five to seven minutes on two cores), small (ten minutes on
    one), large (an hour on one), gpu (cifar10 on one GPU), paper (Real et al. 2017: days to weeks)."""
    from_run: Annotated[str | None, Shown("FOLDER", group=_WHAT)] = None
    """Folder of an earlier run whose living population begins this one, with its weights. Image shape and number of
    classes must be the same."""
    from_genotype: Annotated[str | None, Shown("FILE", group=_WHAT)] = None
    """JSON file with one genotype, such as the genotype.json beside the weights of a run, from which all initial
    individuals start, with fresh weights."""
    settings: Settings
    limits: Limits
    execution: Execution
    workdir: Annotated[str | None, Shown("FOLDER", group="Files")] = None
    """Folder of the run. Default: a new folder under runs."""
    report: Annotated[bool, Shown(group="Files")] = False
    """Write the run as one HTML page at its end."""


@dataclass(frozen=True)
class ResumeCommand:
    """Resume a run after a crash, an interruption, or its end.

    Limits that are not given stay those of the last session, except the one that ended it, which is lifted if another
    is given.
    """

    workdir: WorkdirArgument
    """The run's folder."""
    dataset: DatasetOption = None
    """Name or path of the data set, if it has moved without the work folder."""
    skip_birth: tuple[int, ...] = ()
    """Births in training to count as failed, for one that keeps killing the process. The run is then not reproducible
    from its seed alone."""
    limits: Limits = field(default_factory=Limits)
    execution: Execution = field(default_factory=Execution)


@dataclass(frozen=True)
class FinishCommand:
    """Train the best individual of a run for longer, on training and validation images, and keep its weights too.

    For example: jaxevo finish runs/digits-seed0 --share 0.4 --ensemble-size 5
    """

    workdir: WorkdirArgument
    """The run's folder."""
    share: Annotated[float, Shown("X", example="--share 0.5")]
    """FLOPs of the finish as a share of those that the run took: 0.4 trains for two fifths of them."""
    ensemble_size: int = 1
    """Individuals to train on, the fittest, so that test and export have an ensemble of finished weights; each takes
    the same FLOPs. Default: the best alone."""
    dataset: DatasetOption = None
    """Name or path of the data set, if it has moved without the work folder."""
    execution: Execution = field(default_factory=Execution)


@dataclass(frozen=True)
class ReplayCommand:
    """Train all individuals of a run again, in a new folder and in the recorded order, and compare fingerprints."""

    source: WorkdirArgument
    """The folder of the run to replay."""
    workdir: Annotated[str, Shown("FOLDER", example="a new folder")]
    """The new folder."""
    dataset: DatasetOption = None
    """Name or path of the data set, if it has moved without the work folder."""
    execution: Execution = field(default_factory=Execution)


@dataclass(frozen=True)
class VerifyCommand:
    """Recompute every decision of a run, check the hashes of its files, and retrain lineages on demand."""

    workdir: WorkdirArgument
    """The run's folder."""
    retrain: Annotated[str | None, Shown("best|N")] = None
    """Lineages to train again from the first ancestor: that of the best, or those of N random individuals."""
    dataset: DatasetOption = None
    """Name or path of the data set, if it has moved without the work folder."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class ListCommand:
    """List the runs in a folder: data set, seed, individuals, best validation accuracy, state.

    Damaged runs are listed with what is wrong. Decisions and weights are not checked: see jaxevo verify.
    """

    folder: Annotated[str, Shown("FOLDER", operand=True)] = "runs"
    """The folder that holds the runs."""


@dataclass(frozen=True)
class ShowCommand:
    """Print the best network of a run, its lineage and the population, or one individual.

    For example: jaxevo show runs/digits-seed0 17 --svg network.svg
    """

    workdir: WorkdirArgument
    """The run's folder."""
    individual: Annotated[int | None, Shown("ID", operand=True)] = None
    """Show this individual instead: its network, its lineage, and what it cost."""
    json: bool = False
    """Print all of it as JSON, and nothing else."""
    svg: FileOption = None
    """SVG file to write with the network, of the best or of the individual."""


@dataclass(frozen=True)
class ReportCommand:
    """Write a run as one HTML page, or compare several runs in one.

    The page needs no network: open it, mail it, keep it. For example: jaxevo report runs/digits-seed0
    """

    workdir: Annotated[tuple[str, ...], Shown("WORKDIR ...", operand=True, example=_A_RUN)]
    """The folder of the run, or of each run to compare."""
    output: Annotated[str | None, Shown("FILE", short="-o")] = None
    """The file to write. Default: report.html in the folder of the run, or comparison.html here."""
    no_images: bool = False
    """Leave out what the best network does with the test images."""
    phylogeny: FileOption = None
    """File for the descent as CSV in the ALife data standard."""
    watch: bool = False
    """Write the page again every ten seconds while the run goes on; the open page reloads itself."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class FiguresCommand:
    """Draw runs as figures 1 to 3 of Real et al. 2017, as SVG and PDF for a two-column page.

    Figure 1 shows the individuals of the first run, and networks of the winner's lineage. Figure 2 shows runs that
    differ in seed, selection or inheritance, with their mean; figure 3 the accuracy at the end against population-size
    and train-steps. Figures 2 and 3 need several runs. The same runs give the same files, byte for byte. Needs
    matplotlib: pip install 'jaxevo[figures]'. For example: jaxevo figures runs/digits-* --out figures
    """

    workdir: Annotated[tuple[str, ...], Shown("WORKDIR ...", operand=True, example=_A_RUN)]
    """The folders of one or more runs of one data set."""
    out: Annotated[str, Shown("DIR", example="--out figures")]
    """The folder to write to; figures of the same name are replaced."""
    clock: ClockName = "flops"
    """Unit of time of figures 1 and 2: flops (training FLOPs so far), virtual (the virtual clock) or individuals."""


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
    dataset: DatasetOption = None
    """Name or path of the data set, if it has moved without the work folder."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class PredictCommand:
    """Classify image files with the best network of a run, or with an exported one.

    Files of any format that Pillow reads; those of another size are resized to that of the training images.
    """

    source: Annotated[str, Shown("RUN|EXPORT", operand=True, example="the folder of a run or of an exported network")]
    """Work folder of a run, or folder of an exported network."""
    images: Annotated[tuple[str, ...], Shown("IMAGE ...", operand=True, example="the paths of image files")]
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
    folder: Annotated[str, Shown("FOLDER", operand=True, example="a new folder")]
    """The new folder to write."""
    individual: IndividualOption = None
    """Export this individual, with its evolved weights, instead of the best. Its weights must be there: it is alive,
    the best, or the run has --keep all."""
    ensemble: bool = False
    """Export the fittest individuals, and their majority vote."""
    ensemble_size: int | None = None
    """Members of the ensemble: this many of the fittest individuals. Default: five."""
    trust_code: bool = False
    """Run the code from outside that the run names: search space, mutations, selection, fitness. Only for folders whose
    origin you know."""


@dataclass(frozen=True)
class BenchCommand:
    """Measure this machine in a few minutes: device, training, batch sizes, compiling, evolution, scaling, memory.

    Tables are printed as they are measured.

    For example: jaxevo bench --json bench.json
    """

    json: FileOption = None
    """File to write all figures to, with versions and flags."""
    quick: bool = False
    """Take under two minutes: fewer networks, fewer samples."""
    lanes: int | None = None
    """Lanes of the evolution, and most lanes of the scaling. Default: the lanes of jaxevo run; for scaling on
    accelerators, eight a device."""
    compare: Annotated[tuple[str, ...], Shown("A.json B.json")] = ()
    """Measure nothing, and print the figures of two such files side by side, with their ratios."""


@dataclass(frozen=True)
class CompletionCommand:
    """Print a script that completes commands and options in a shell.

    For example, in ~/.bashrc: eval "$(jaxevo completion bash)"
    """

    shell: Annotated[ShellName, Shown("SHELL", operand=True, example="bash or zsh")]
    """bash or zsh."""


@dataclass(frozen=True)
class PrintCommand:
    """Print a text that was asked for: help, a configuration.

    Attributes:
        text: the text.
    """

    text: str


COMMANDS: dict[str, type] = {
    "run": RunCommand,
    "resume": ResumeCommand,
    "finish": FinishCommand,
    "list": ListCommand,
    "show": ShowCommand,
    "report": ReportCommand,
    "figures": FiguresCommand,
    "test": TestCommand,
    "predict": PredictCommand,
    "export": ExportCommand,
    "verify": VerifyCommand,
    "replay": ReplayCommand,
    "bench": BenchCommand,
    "completion": CompletionCommand,
}
"""The commands by name, in the order of the help."""

Command = (
    RunCommand
    | ResumeCommand
    | FinishCommand
    | ReplayCommand
    | VerifyCommand
    | ListCommand
    | ShowCommand
    | ReportCommand
    | FiguresCommand
    | TestCommand
    | PredictCommand
    | ExportCommand
    | BenchCommand
    | CompletionCommand
    | PrintCommand
)
