"""Sets of TensorFlow Datasets through its real builders, offline."""

import gzip
import importlib.util
import io
import json
import os
import runpy
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxevo.data
from jaxevo.data import builders, tensorflow_standin, tfds
from jaxevo.data.cache import read_arrays, write_arrays
from jaxevo.environment.folders import cache_dir, cache_problem

ROOT = Path(__file__).parents[2]
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

# TFDS knows the sha256 of the published archives only; for the generated ones, it is told theirs. Nothing
# else differs.
PREPARE_GENERATED = """
import sys
from pathlib import Path
from tensorflow_datasets.core.download import checksums

folder = Path(sys.argv[1])
load_url_infos = checksums.load_url_infos


def with_generated(path):
    infos = load_url_infos(path)
    generated = {url: folder / str(info.filename) for url, info in infos.items()}
    return infos | {url: checksums.compute_url_info(file) for url, file in generated.items() if file.exists()}


checksums.load_url_infos = with_generated
from jaxevo.data.prepare import main

sys.exit(main(sys.argv[2:]))
"""


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the project's root, with additions to the environment."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def pack(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def cifar_records(number: int, num_labels: int, classes: int, seed: int) -> np.ndarray:
    """Records as published, uint8 `[N, num_labels + 3072]`: labels, a coarse one first, then planes."""
    records = np.random.default_rng(seed).integers(0, 256, (number, num_labels + 3072), np.uint8)
    records[:, num_labels - 1] = np.random.default_rng(seed).permutation(number) % classes
    if num_labels == 2:
        records[:, 0] = records[:, 1] // 5
    return records


def write_cifar10(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Writes an archive of 250 train and 50 test images; returns their records."""
    train = cifar_records(250, 1, 10, seed=1)
    test = cifar_records(50, 1, 10, seed=2)
    names = ("\n".join(CIFAR10_NAMES) + "\n\n").encode()
    files = {"batches.meta.txt": names, "readme.html": b"<html/>", "test_batch.bin": test.tobytes()}
    files |= {f"data_batch_{i + 1}.bin": train[50 * i : 50 * (i + 1)].tobytes() for i in range(5)}
    pack(folder / "cifar-10-binary.tar.gz", {f"cifar-10-batches-bin/{name}": files[name] for name in files})
    return train, test


def write_cifar100(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Writes an archive of 400 train and 100 test images; returns their records."""
    train = cifar_records(400, 2, 100, seed=3)
    test = cifar_records(100, 2, 100, seed=4)
    files = {
        "fine_label_names.txt": "".join(f"fine{i}\n" for i in range(100)).encode(),
        "coarse_label_names.txt": "".join(f"coarse{i}\n" for i in range(20)).encode(),
        "train.bin": train.tobytes(),
        "test.bin": test.tobytes(),
    }
    pack(folder / "cifar-100-binary.tar.gz", {f"cifar-100-binary/{name}": files[name] for name in files})
    return train, test


def prepare_generated(name: str, archives: Path, data_dir: Path) -> None:
    done = run_python(
        *("-c", PREPARE_GENERATED, str(archives), name),
        *("--archives", str(archives), "--data-dir", str(data_dir)),
    )
    assert done.returncode == 0, done.stderr
    assert f"{name} is prepared in {data_dir}" in done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    write_cifar10(folder)
    write_cifar100(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prepared sets that holds the generated CIFAR-10."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare_generated("cifar10", archives, folder)
    return folder


@pytest.fixture(autouse=True)
def nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test sees folders of its own, empty at first."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("JAXEVO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))


def as_set(records: np.ndarray, num_labels: int) -> set[tuple[bytes, int]]:
    """The (pixels, label) pairs of published records; pixels as `[32, 32, 3]`."""
    images = records[:, num_labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = records[:, num_labels - 1].tolist()
    return {(image.tobytes(), label) for image, label in zip(images, labels, strict=True)}


def splits_as_sets(dataset: jaxevo.data.Dataset) -> tuple[set[tuple[bytes, int]], set[tuple[bytes, int]]]:
    """Train and validation together, and test."""
    found = [
        {(image.tobytes(), label) for image, label in zip(split.images, split.labels.tolist(), strict=True)}
        for split in (dataset.train, dataset.validation, dataset.test)
    ]
    return found[0] | found[1], found[2]


def test_cifar10(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    dataset = jaxevo.data.load("cifar10")
    train, test = write_cifar10(tmp_path)
    assert splits_as_sets(dataset) == (as_set(train, 1), as_set(test, 1))
    assert dataset.name == "cifar10"
    assert dataset.class_names == tuple(CIFAR10_NAMES)
    assert dataset.image_shape == (32, 32, 3)
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [225, 25, 50]
    assert (dataset.crop_padding, dataset.flip) == (4, True)


def test_cifar100_takes_the_fine_labels(archives: Path, tmp_path: Path) -> None:
    prepare_generated("cifar100", archives, tmp_path / "tfds")
    dataset = jaxevo.data.load("cifar100")
    train, test = write_cifar100(tmp_path)
    assert splits_as_sets(dataset) == (as_set(train, 2), as_set(test, 2))
    assert dataset.class_names == tuple(f"fine{i}" for i in range(100))
    assert (dataset.crop_padding, dataset.flip) == (4, True)


def test_preparing_again_gives_the_same_order_in_one_file_a_split(
    archives: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_generated("cifar10", archives, tmp_path / "tfds")
    files = sorted(path.name for path in (tmp_path / "tfds" / "cifar10" / "3.0.2").glob("*array_record*"))
    assert files == [f"cifar10-{split}.array_record-00000-of-00001" for split in ("test", "train")]
    here = jaxevo.data.load("cifar10")
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert jaxevo.data.load("cifar10").fingerprint == here.fingerprint


def test_preparing_what_is_prepared_does_nothing(prepared: Path) -> None:
    done = run_python("-m", "jaxevo.data.prepare", "cifar10", TFDS_DATA_DIR=str(prepared))
    assert done.returncode == 0, done.stderr
    assert "cifar10 is prepared in" in done.stdout


def test_config_and_version_in_the_name(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert jaxevo.data.load("cifar10:3.0.2").flip
    with pytest.raises(ValueError, match="TFDS cannot open 'cifar10:9.9.9'"):
        jaxevo.data.load("cifar10:9.9.9")
    with pytest.raises(ValueError, match="TFDS cannot open 'emnist/nope'"):
        jaxevo.data.load("emnist/nope")


def test_decoded_arrays_are_cached(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    first = jaxevo.data.load("cifar10")
    assert len(list((tmp_path / "cache" / "data").glob("cifar10-*.npz"))) == 1
    monkeypatch.setattr(tfds, "_read", None)
    again = jaxevo.data.load("cifar10")
    assert again.fingerprint == first.fingerprint
    assert again.class_names == first.class_names


@pytest.mark.parametrize("damage", ["torn", "empty", "foreign", "flipped"])
def test_a_damaged_cache_is_made_again(
    damage: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    first = jaxevo.data.load("cifar10")
    (entry,) = (tmp_path / "cache" / "data").iterdir()
    whole = entry.read_bytes()
    if damage == "foreign":
        np.savez(entry, train_images=np.zeros(3))
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        entry.write_bytes({"torn": whole[:middle], "empty": b"", "flipped": flipped}[damage])
    assert jaxevo.data.load("cifar10").fingerprint == first.fingerprint
    assert entry.read_bytes() == whole
    assert list(entry.parent.iterdir()) == [entry]


def test_a_set_prepared_anew_is_read_anew(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "tfds")
    first = jaxevo.data.load("cifar10")
    labels = tmp_path / "tfds" / "cifar10" / "3.0.2" / "label.labels.txt"
    labels.write_text(labels.read_text().replace("automobile", "car"))
    assert "car" not in first.class_names
    assert jaxevo.data.load("cifar10").class_names[1] == "car"


def test_a_cache_folder_that_cannot_be_written_is_no_error(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert jaxevo.data.load("cifar10").num_classes == 10
    problem = cache_problem()
    assert problem is not None
    assert f"the cache folder {tmp_path / 'cache'} cannot be used (" in problem


def test_a_usable_cache_folder_is_no_problem() -> None:
    assert cache_problem() is None


def test_without_a_home_nothing_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("JAXEVO_CACHE_DIR")
    monkeypatch.setattr(Path, "home", nobody)
    problem = cache_problem()
    assert problem is not None
    assert "the user has no home folder" in problem
    assert read_arrays(cache_dir() / "arrays.npz", bool) is None
    with pytest.raises(OSError, match="Not a directory"):
        write_arrays(cache_dir() / "arrays.npz", {}, {})


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion_mnist", "svhn_cropped"])
def test_an_unprepared_set_fails_at_once_with_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^dataset: '{name}' is not prepared in ") as caught:
        jaxevo.data.load(name)
    sentence = str(caught.value)
    assert f"run `{sys.executable} -m jaxevo.data.prepare {name}` once" in sentence
    assert str(tmp_path / "tfds" / "downloads" / "manual") in sentence
    assert "--archives FOLDER" in sentence
    assert all(f"{info.filename} ({url})" in sentence for url, info in url_infos(name).items())
    assert not (tmp_path / "tfds").exists()


def url_infos(name: str) -> dict[str, Any]:
    return dict(builders.open_builder(name, builders.data_dir()).url_infos)


def test_preparing_without_archive_or_network_fails_with_what_to_do(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    proxies = {"HTTPS_PROXY": nowhere, "https_proxy": nowhere, "NO_PROXY": "", "no_proxy": ""}
    done = run_python("-m", "jaxevo.data.prepare", "cifar10", **proxies)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cifar-10-binary.tar.gz is not in ")
    assert "cannot be reached; put the file there by hand" in done.stderr
    assert not (tmp_path / "tfds").exists()


def test_an_archive_that_is_not_the_published_one_is_refused(archives: Path, tmp_path: Path) -> None:
    done = run_python("-m", "jaxevo.data.prepare", "cifar10", "--archives", str(archives))
    assert done.returncode == 1
    assert "error: an archive of 'cifar10' is not the published one; get it again" in done.stderr
    assert not list((tmp_path / "tfds").glob("cifar10/*/dataset_info.json"))


def test_an_archive_that_cannot_be_unpacked_is_told(archives: Path, tmp_path: Path) -> None:
    whole = (archives / "cifar-10-binary.tar.gz").read_bytes()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "cifar-10-binary.tar.gz").write_bytes(whole[: len(whole) // 2])
    torn = str(tmp_path / "torn")
    done = run_python("-c", PREPARE_GENERATED, torn, "cifar10", "--archives", torn)
    assert done.returncode == 1
    sentence = "error: an archive of 'cifar10' cannot be unpacked; if the disk is not full, get the archive again"
    assert sentence in done.stderr
    assert "TFDS says: Error while extracting" in done.stderr


@pytest.mark.parametrize("found", ["nothing", "another file"])
def test_files_that_tfds_does_not_download_are_asked_for(found: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    if found == "another file":
        (tmp_path / "mine" / "notes.txt").write_text("no images")
    done = run_python("-m", "jaxevo.data.prepare", "chexpert", "--archives", str(tmp_path / "mine"))
    assert done.returncode == 1
    sentence = f"error: 'chexpert' needs files that TFDS does not download; put them into '{tmp_path / 'mine'}' by hand"
    assert sentence in done.stderr
    assert f"TFDS says: {'Manual directory' if found == 'nothing' else 'You must download'}" in done.stderr


def test_archives_in_tfds_own_folder_are_found(archives: Path, tmp_path: Path) -> None:
    manual = tmp_path / "tfds" / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "cifar-10-binary.tar.gz").symlink_to(archives / "cifar-10-binary.tar.gz")
    done = run_python("-c", PREPARE_GENERATED, str(archives), "cifar10")
    assert done.returncode == 0, done.stderr
    assert jaxevo.data.load("cifar10").num_classes == 10


def test_a_missing_archives_folder_and_an_unknown_set_are_told(tmp_path: Path) -> None:
    done = run_python("-m", "jaxevo.data.prepare", "cifar10", "--archives", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "error: --archives: there is no folder" in done.stderr
    done = run_python("-m", "jaxevo.data.prepare", "cifar11")
    assert done.returncode == 1
    assert "error: dataset: TFDS cannot open 'cifar11'" in done.stderr


def test_a_set_in_tfrecord_files_is_told(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "tfds")
    info = tmp_path / "tfds" / "cifar10" / "3.0.2" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    sentence = "as tfrecord, which cannot be read without TensorFlow; remove that folder or set TFDS_DATA_DIR"
    with pytest.raises(ValueError, match=sentence):
        jaxevo.data.load("cifar10")
    done = run_python("-m", "jaxevo.data.prepare", "cifar10")
    assert done.returncode == 1
    assert sentence in done.stderr


@pytest.mark.parametrize("kept", ["train", "test"])
def test_a_set_that_lacks_a_split(kept: str, prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "tfds")
    path = tmp_path / "tfds" / "cifar10" / "3.0.2" / "dataset_info.json"
    info = json.loads(path.read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] == kept]
    path.write_text(json.dumps(info))
    if kept == "test":
        with pytest.raises(ValueError, match="'cifar10' has no split 'train', only test; give a set that has one"):
            jaxevo.data.load("cifar10")
        return
    dataset = jaxevo.data.load("cifar10")
    assert len(dataset.test.labels) == 250 // 6
    assert dataset.said == (f"no test split: {250 // 6} of 250 images are held out as test",)


class Records(list[dict[str, Any]]):
    """Stands for a data source of TFDS: encoded images of some sizes."""

    def __init__(self, sizes: list[tuple[int, int]]):
        from PIL import Image

        super().__init__()
        for size in sizes:
            buffer = io.BytesIO()
            Image.new("L", size).save(buffer, "PNG")
            self.append({"picture": buffer.getvalue(), "kind": 1})
        shape = type("Image", (), {"shape": (None, None, 1)})
        self.dataset_info = type("Info", (), {"features": {"picture": shape}})

    def __getitems__(self, keys: range) -> list[dict[str, Any]]:  # noqa: D105
        return [self[key] for key in keys]


def test_records_are_read_over_many_batches() -> None:
    images, labels = tfds._read_split("some", Records([(4, 3)] * 2500), "picture", "kind")
    assert images.shape == (2500, 3, 4, 1)
    assert labels.tolist() == [1] * 2500


def test_images_of_different_sizes_are_told() -> None:
    sentence = r"the images of 'some' have different sizes, \(3, 4, 1\) and \(4, 3, 1\); give --image-size"
    with pytest.raises(ValueError, match=sentence):
        tfds._read_split("some", Records([(4, 3), (4, 3), (3, 4)]), "picture", "kind")


@pytest.mark.parametrize("name", ["ag_news_subset", "celeb_a", "voc", "imdb_reviews"])
def test_a_set_of_another_kind_is_told(name: str) -> None:
    builder = builders.open_builder(name, builders.data_dir())
    with pytest.raises(ValueError, match=f"'{name}' is not an image-classification set .* give one whose"):
        tfds._keys(name, builder)


def test_a_builder_that_lacks_a_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow_datasets

    def lacking(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(tensorflow_datasets, "builder", lacking)
    sentence = r"TFDS cannot open 'coco' \(No module named 'tensorflow'\); install that package, or give"
    with pytest.raises(ValueError, match=sentence):
        jaxevo.data.load("coco")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="with TensorFlow there is no stand-in")
def test_the_standin_is_seen_by_tfds_alone_and_refuses_what_it_lacks() -> None:
    program = (
        "import importlib.util, sys\n"
        "from jaxevo.data import tensorflow_standin\n"
        "tensorflow_standin.install()\n"
        "assert 'tensorflow' not in sys.modules and importlib.util.find_spec('tensorflow') is None\n"
        "from tensorflow_datasets.core.utils.lazy_imports_utils import tensorflow as tf\n"
        "assert tf.compat.as_text(b'a') == tf.compat.as_text('a') == 'a'\n"
        "assert tf.compat.as_bytes(b'a') == tf.compat.as_bytes('a') == b'a'\n"
        "try:\n"
        "    tf.data.Dataset\n"
        "except tensorflow_standin.NeedsTensorFlowError as error:\n"
        "    print(error)\n"
    )
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tensorflow.data\n"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_standin_writes_png_without_loss(channels: int) -> None:
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    with Image.open(io.BytesIO(tensorflow_standin._encode_png(image).numpy())) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)
    with pytest.raises(tensorflow_standin.NeedsTensorFlowError, match="encode_png of uint16"):
        tensorflow_standin._encode_png(image.astype(np.uint16))


def test_a_builder_that_needs_tensorflow_is_told() -> None:
    from jaxevo.data import prepare

    class Builder:
        data_dir_root = "somewhere"

        def download_and_prepare(self, **options: Any) -> None:
            # The order of images then is the builder's own, whatever TFDS thinks of sizes.
            assert options["download_config"].num_shards == 1
            try:
                raise tensorflow_standin.NeedsTensorFlowError("tensorflow.io.decode_raw")
            except AttributeError as error:
                raise RuntimeError("extraction failed") from error

    sentence = r"preparing 'some' needs TensorFlow itself \(tensorflow.io.decode_raw\): `pip install"
    with pytest.raises(ValueError, match=sentence):
        prepare._download_and_prepare("some", Builder(), Path("archives"))


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"JAXEVO_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/jaxevo"),
        ({"HOME": "/c"}, "/c/.cache/jaxevo"),
        ({"JAXEVO_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/jaxevo"),
    ],
)
def test_cache_dir(environment: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAXEVO_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == Path(place)


def test_data_dir_is_that_of_tfds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert builders.data_dir() == tmp_path / "tfds"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert builders.data_dir() == tmp_path / "tensorflow_datasets"


def test_a_failed_write_leaves_the_old_cache_and_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "arrays.npz"
    write_arrays(path, {"version": 1}, {"old": np.arange(3)})

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_arrays(path, {"version": 2}, {"new": np.arange(3)})
    assert list(tmp_path.iterdir()) == [path]
    assert read_arrays(path, lambda key: key == {"version": 2}) is None
    arrays = read_arrays(path, lambda key: key == {"version": 1})
    assert arrays is not None
    assert arrays["old"].tolist() == [0, 1, 2]


needs_debian_fashion = pytest.mark.skipif(
    not (DEBIAN_FASHION / "train-images-idx3-ubyte.gz").exists(),
    reason="needs Debian's package dataset-fashion-mnist",
)


def restore_gzip_header(file: Path) -> bytes:
    """Puts back the file name and time that Debian strips, so that the bytes are the published ones again."""
    packed = file.read_bytes()
    modified = 1504176606 if file.name.startswith("train-") else 1504176627
    name = file.name.removesuffix(".gz").encode() + b"\0"
    return packed[:3] + b"\x08" + struct.pack("<I", modified) + packed[8:10] + name + packed[10:]


@needs_debian_fashion
def test_fashion_mnist_from_debian(tmp_path: Path) -> None:
    manual = tmp_path / "archives"
    manual.mkdir()
    for file in DEBIAN_FASHION.glob("*.gz"):
        (manual / file.name).write_bytes(restore_gzip_header(file))
    done = run_python("-m", "jaxevo.data.prepare", "fashion_mnist", "--archives", str(manual))
    assert done.returncode == 0, done.stderr
    dataset = jaxevo.data.load("fashion_mnist")
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [
        *(54_000, 6_000, 10_000)
    ]
    assert (dataset.crop_padding, dataset.flip) == (2, True)
    published = gzip.decompress((DEBIAN_FASHION / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    images = {published[start : start + 784] for start in range(0, len(published), 784)}
    assert {image.tobytes() for image in dataset.test.images} == images
    mini = jaxevo.data.load("fashion_mini")
    assert mini.class_names == dataset.class_names
    later_start(dataset.fingerprint)


def later_start(fingerprint: str) -> None:
    """A new process finds the decoded arrays, without TFDS, which takes seconds to import."""
    program = (
        "import sys\n"
        "import jaxevo.data\n"
        "dataset = jaxevo.data.load('fashion_mnist')\n"
        "print(dataset.fingerprint, 'tensorflow_datasets' in sys.modules)\n"
    )
    done = run_python("-c", program)
    found, has_tfds = done.stdout.split()
    assert found == fingerprint
    assert has_tfds == "False"


@needs_debian_fashion
def test_fashion_mini_is_made_by_its_script_from_debians_package() -> None:
    script = runpy.run_path(str(ROOT / "experiments" / "make_fashion_mini.py"))
    packed = script["pack"](DEBIAN_FASHION, 6, 1)
    assert packed == script["pack"](DEBIAN_FASHION, 6, 1)
    mini = jaxevo.data.load("fashion_mini")
    images, labels = script["select"](DEBIAN_FASHION, "train", 600)
    np.testing.assert_array_equal(mini.train.images[..., 0], images[:5400])
    np.testing.assert_array_equal(mini.validation.images[..., 0], images[5400:])
    np.testing.assert_array_equal(mini.train.labels, labels[:5400])
    images, labels = script["select"](DEBIAN_FASHION, "t10k", 100)
    np.testing.assert_array_equal(mini.test.images[..., 0], images)
    np.testing.assert_array_equal(mini.test.labels, labels)
