"""Find the builders of TensorFlow Datasets and check if their sets are prepared."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

# A config or version may follow. Other forms, such as `huggingface:name`, would make TFDS use the network.
_NAME = re.compile(r"[A-Za-z]\w*(/[\w.\-]+)?(:\d+\.\d+\.\d+)?")


def data_dir() -> Path:
    """Returns the folder of prepared sets, TFDS's own default: `$TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    Raises:
        ValueError: if neither is known, as in a container whose user has no home.
    """
    try:
        return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets").expanduser()
    except RuntimeError as error:
        raise ValueError("dataset: the user has no home folder; set TFDS_DATA_DIR to a folder for data sets") from error


def archives_dir(folder: Path) -> Path:
    """Returns the folder where TFDS looks for manually downloaded archives, given the folder of prepared sets."""
    return folder / "downloads" / "manual"


def known_names() -> tuple[str, ...]:
    """Returns the names of all sets with a TFDS builder, for classification or not, without using the network."""
    import tensorflow_datasets as tfds

    return tuple(tfds.list_builders(with_community_datasets=False))


def is_known(name: str) -> bool:
    """Returns True if TFDS has a builder of this name or a set of this name was prepared, with any config."""
    folder = prepared_folder(name)
    return folder.name in known_names() or (folder.name.isidentifier() and folder.is_dir())


def prepared_folder(name: str) -> Path:
    """Returns the folder of the prepared sets of a name, with any config and version, whether it exists or not."""
    return data_dir() / re.split("[/:]", name)[0]


def open_builder(name: str, folder: Path, **options: Any) -> DatasetBuilder:
    """Returns TFDS's builder of a set, prepared or not, in a folder of prepared sets.

    Raises:
        ValueError: if TFDS has no such set, config or version, or its builder needs a missing package.
    """
    import tensorflow_datasets as tfds

    if not _NAME.fullmatch(name):
        raise ValueError(
            f"dataset: {name!r} is not a TFDS name; give one such as cifar10, emnist/letters or cifar10:3.0.2"
        )
    try:
        with _quiet():
            return tfds.builder(name, data_dir=str(folder), **options)
    except ImportError as error:
        raise ValueError(
            f"dataset: TFDS cannot open {name!r} ({_first_line(error)}); install that package, or "
            "give a set that does not need it"
        ) from error
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise ValueError(
            f"dataset: TFDS cannot open {name!r} ({_first_line(error)}); give a name, config and version it has"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def is_prepared(builder: DatasetBuilder) -> bool:
    """Returns True if the builder's folder holds the prepared set."""
    return Path(builder.data_path, "dataset_info.json").is_file()


def check_readable(name: str, builder: DatasetBuilder) -> None:
    """Raises ValueError if a prepared set is in a format that only TensorFlow reads."""
    from tensorflow_datasets.core.file_adapters import FileFormat

    if not builder.info.available_file_formats() & FileFormat.with_random_access():
        raise ValueError(
            f"dataset: {name!r} is prepared in {str(builder.data_path)!r} as "
            f"{builder.info.file_format.value}, which cannot be read without TensorFlow; remove that folder "
            f"or set TFDS_DATA_DIR to another, then run `{_prepare(name)}`"
        )


def how_to_prepare(name: str, builder: DatasetBuilder) -> str:
    """Returns the message for a set that is not prepared: the command, and the folder for manual downloads."""
    infos = builder.url_infos or {}
    megabytes = sum(int(info.size) for info in infos.values()) / 1e6
    size = f"{megabytes:,.0f} MB" if infos else "its archives"
    where = str(data_dir())
    text = f"dataset: {name!r} is not prepared in {where!r}; run `{_prepare(name)}` once, which downloads {size}."
    archives = [f"{info.filename} ({url})" for url, info in infos.items() if info.filename]
    if archives and len(archives) <= 8:
        text += (
            f" It needs no network if you put {', '.join(archives)} into {str(archives_dir(data_dir()))!r} "
            "by hand first, or name the folder that holds them with `--archives FOLDER`."
        )
    return text


def _prepare(name: str) -> str:
    """Returns the command that prepares a set, which works from any folder and outside of the environment."""
    return f"{sys.executable} -m jaxevo.data.prepare {name}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences TFDS's warning about sets that are not prepared, since callers check just that."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
