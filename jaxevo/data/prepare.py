"""Prepare a TensorFlow Datasets set once: `python -m jaxevo.data.prepare cifar10`.

TFDS's own builder does the work and checks the checksums. Most sets do not need TensorFlow.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tarfile
import zipfile
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
    """Prepares a set as array_record, one file per split, from local archives or the network.

    Run it in a process of its own: if TensorFlow is missing, TFDS uses a stand-in for it from then on.

    Args:
        name: TFDS name, optionally with config and version.
        archives: folder with archives under their published file names, None for `folder/downloads/manual`; missing
            ones are downloaded.
        folder: the folder of prepared sets.

    Returns:
        The folder of this prepared set.

    Raises:
        ValueError: if the set is unknown, an archive is missing and its host cannot be reached within five seconds, an
            archive is not the published one or cannot be unpacked, files that TFDS does not download are missing, or
            the builder needs TensorFlow itself.
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
    parser.add_argument("--data-dir", type=Path, help="folder of prepared sets (default: where jaxevo looks for them)")
    options = parser.parse_args(arguments)
    folder = options.data_dir
    try:
        folder = data_dir() if folder is None else folder.expanduser()
        place = prepare(options.name, options.archives, folder)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {options.name} cannot be prepared in {folder} ({error}): check that folder", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; complete downloads are kept.")
        return INTERRUPTED_STATUS
    print(f"{options.name} is prepared in {place}")
    if not _is_looked_into(folder):
        print(f"To let jaxevo find it: export TFDS_DATA_DIR={shlex.quote(str(folder.absolute()))}")
    return 0


def _is_looked_into(folder: Path) -> bool:
    """Returns True for the folder in which jaxevo looks for prepared sets."""
    try:
        return folder == data_dir()
    except ValueError:
        return False


def _check_archives(name: str, builder: DatasetBuilder, archives: Path, downloads: Path) -> None:
    """Checks that the host of the first missing archive can be reached, since TFDS would retry for minutes."""
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
    """Returns True if TFDS kept the file of an earlier download."""
    from tensorflow_datasets.core.download import resource

    file_name = resource.get_dl_fname(url, checksum)
    return downloads.is_dir() and any(True for _ in downloads.rglob(file_name))


def _download_and_prepare(name: str, builder: DatasetBuilder, archives: Path) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.extractor import ExtractError
    from tensorflow_datasets.core.download.util import DownloadError

    # One shard per split keeps the builder's own order, whatever shard sizes TFDS would choose.
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
        if missing is not None:
            raise ValueError(
                f"preparing {name!r} needs TensorFlow itself ({missing}): `pip install tensorflow`, run this "
                "again, and remove it afterwards if you like; reading does not need it"
            ) from error
        if isinstance(error, (ExtractError, tarfile.TarError, zipfile.BadZipFile)):
            raise ValueError(
                f"an archive of {name!r} cannot be unpacked; if the disk is not full, get the archive again, then run "
                f"this again. {_said(error)}"
            ) from error
        if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and isinstance(error, (AssertionError, FileNotFoundError)):
            raise ValueError(
                f"{name!r} needs files that TFDS does not download; put them into {str(archives)!r} by hand (or name "
                f"their folder with --archives), as TFDS expects them, and run this again. {_said(error)}"
            ) from error
        raise


def _said(error: Exception) -> str:
    return f"TFDS says: {' '.join(str(error).split())}"


def _missing_tensorflow(error: BaseException | None) -> str | None:
    """Returns the part of TensorFlow that the stand-in lacks, if that caused an error, or None."""
    while error is not None:
        if isinstance(error, tensorflow_standin.NeedsTensorFlowError):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


if __name__ == "__main__":
    sys.exit(main())
