"""Prepares a set of TensorFlow Datasets once: `python -m jaxevo.data.prepare cifar10`.

TFDS's own builder does the work, checksums included; TensorFlow is not needed for most sets.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxevo.data import tensorflow_standin
from jaxevo.data.builders import archives_dir, check_readable, data_dir, is_prepared, open_builder
from jaxevo.signals import INTERRUPTED_STATUS

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

NETWORK_SECONDS = 5.0


def prepare(name: str, archives: Path | None, folder: Path) -> Path:
    """Prepares a set as array_record, one file a split, from archives at hand or from the network.

    Meant for a process of its own: where TensorFlow is missing, TFDS sees a stand-in for it from here on.

    Args:
        name: TFDS name, optionally with config and version.
        archives: folder with archives under their published file names; None looks in
            `folder/downloads/manual`. What is not there is downloaded.
        folder: the folder of prepared sets.

    Returns:
        Where the prepared set lies.

    Raises:
        ValueError: if the set is unknown, an archive is missing and its host not reachable within five
            seconds, an archive is not the published one, or the builder needs the real TensorFlow.
    """
    if archives is not None and not archives.is_dir():
        raise ValueError(f"--archives: there is no folder {str(archives)!r}; give the one that holds the archives")
    tensorflow_standin.install()
    builder = open_builder(name, folder)
    if is_prepared(builder):
        check_readable(name, builder)
    else:
        archives = archives or archives_dir(folder)
        _check_archives(name, builder, archives, folder / "downloads")
        _download_and_prepare(name, builder, archives)
    return Path(builder.data_path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jaxevo.data.prepare", description=__doc__)
    parser.add_argument("name", help="name of the set, such as cifar10, mnist or emnist/letters")
    parser.add_argument("--archives", type=Path, help="folder with the set's archives, to work without a network")
    parser.add_argument(
        "--data-dir", type=Path, default=data_dir(), help="folder of prepared sets (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    folder = options.data_dir.expanduser()
    try:
        place = prepare(options.name, options.archives, folder)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {options.name} cannot be prepared in {folder} ({error}): see to that folder", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what was downloaded whole is kept.")
        return INTERRUPTED_STATUS
    print(f"{options.name} is prepared in {place}")
    if folder != data_dir():
        print(f"For jaxevo to find it there: export TFDS_DATA_DIR={shlex.quote(str(folder.absolute()))}")
    return 0


def _check_archives(name: str, builder: DatasetBuilder, archives: Path, downloads: Path) -> None:
    """Asks the host of the first missing archive for a sign of life: TFDS itself would retry for minutes."""
    import requests

    for url, info in (builder.url_infos or {}).items():
        if (info.filename and (archives / info.filename).exists()) or _is_downloaded(url, info.checksum, downloads):
            continue
        try:
            requests.head(url, timeout=NETWORK_SECONDS, allow_redirects=True)
        except requests.RequestException as error:
            raise ValueError(
                f"{info.filename or url} is not in {str(archives)!r}, and {url} cannot be reached; put the "
                "file there by hand (or name its folder with --archives), or run this again with a network"
            ) from error
        return


def _is_downloaded(url: str, checksum: str, downloads: Path) -> bool:
    """Whether TFDS kept the file of an earlier download."""
    from tensorflow_datasets.core.download import resource

    file_name = resource.get_dl_fname(url, checksum)
    return downloads.is_dir() and any(True for _ in downloads.rglob(file_name))


def _download_and_prepare(name: str, builder: DatasetBuilder, archives: Path) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    # One shard a split: the stored order then is the builder's own, whatever TFDS thinks of shard sizes.
    config = tfds.download.DownloadConfig(
        manual_dir=str(archives), num_shards=1, register_checksums=False, try_download_gcs=False
    )
    try:
        builder.download_and_prepare(
            download_config=config,
            download_dir=str(Path(builder.data_dir_root, "downloads")),
            file_format="array_record",
        )
    except NonMatchingChecksumError as error:
        raise ValueError(f"an archive of {name!r} is not the published one; get it again. {_said(error)}") from error
    except DownloadError as error:
        raise ValueError(f"downloading {name!r} failed; run this again. {_said(error)}") from error
    except Exception as error:
        missing = _missing_tensorflow(error)
        if missing is None:
            raise
        raise ValueError(
            f"preparing {name!r} needs TensorFlow itself ({missing}): `pip install tensorflow`, run this "
            "again, and remove it afterwards if you like; reading needs none"
        ) from error


def _said(error: Exception) -> str:
    return f"TFDS says: {' '.join(str(error).split())}"


def _missing_tensorflow(error: BaseException | None) -> str | None:
    """What the stand-in was asked for in vain, if that is at the bottom of an error."""
    while error is not None:
        if isinstance(error, tensorflow_standin.NeedsTensorFlowError):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


if __name__ == "__main__":
    sys.exit(main())
