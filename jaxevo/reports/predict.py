"""Classify image files with a run's best network, or with an exported one."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxevo.data.images import UnreadableImageError, read_header, read_pixels
from jaxevo.data.pixels import Pixels, eight_bits
from jaxevo.environment import check_not_forked, prepare_process
from jaxevo.reports.run import Run
from jaxevo.search.space import ImageShape

_PROGRAM = "network.stablehlo"
_AT_ONCE = 500
"""Images that an exported network classifies at once, so that their activations fit into memory."""


class Prediction(NamedTuple):
    """The most probable classes of an image.

    Attributes:
        image: path of the file.
        ranked: class names with their probabilities, the most probable first.
    """

    image: str
    ranked: tuple[tuple[str, float], ...]


class _Network(NamedTuple):
    image_shape: ImageShape
    class_names: tuple[str, ...]
    pixel_factor: float
    probabilities: Callable[[np.ndarray], np.ndarray]


def predict_files(
    source: str | Path,
    paths: Sequence[str | Path],
    top: int,
    tell: Callable[[str], None],
    trust_code: bool = False,
) -> list[Prediction]:
    """Returns the most probable classes of image files; each is read as the training images were.

    Args:
        source: work folder of a run, or folder of an exported network.
        paths: image files of any format that Pillow reads; other sizes are resized as `image_size` does.
        top: number of classes for each image.
        tell: receives a sentence for each file that is resized.
        trust_code: True to run the code from outside that the run names.

    Raises:
        ValueError: if the folder is neither, `top` is less than 1, or a file cannot be read.
    """
    if top < 1:
        raise ValueError(f"top is {top}, but must be 1 or more")
    network = _network(Path(source).expanduser(), trust_code)
    images = np.stack([_read(Path(path), network, tell) for path in paths])
    probabilities = network.probabilities(images)
    ranks = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        Prediction(str(path), tuple((network.class_names[one], float(row[one])) for one in ranked))
        for path, row, ranked in zip(paths, probabilities, ranks, strict=True)
    ]


def _network(folder: Path, trust_code: bool) -> _Network:
    if not (folder / _PROGRAM).is_file():
        run = Run(folder, trust_code=trust_code)
        best = run.best
        return _Network(run.manifest.task.image_shape, best.class_names, run.manifest.pixel_factor, best.predict_proba)
    prepare_process()
    check_not_forked()
    import jax.export

    try:
        program = jax.export.deserialize(bytearray((folder / _PROGRAM).read_bytes()))
        facts = json.loads((folder / "class_names.json").read_text(encoding="utf-8"))
        height, width, channels = program.in_avals[0].shape[1:]
        pixel_factor = json.loads((folder / "images.json").read_text(encoding="utf-8"))["pixel_factor"]
    except Exception as error:  # JAX raises many exception types for a damaged program.
        raise ValueError(f"the export {folder} is incomplete or damaged ({error}): export the network again") from error

    def probabilities(images: np.ndarray) -> np.ndarray:
        parts = (images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE))
        logits = np.concatenate([np.asarray(program.call(part), np.float32) for part in parts])
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    return _Network((height, width, channels), tuple(facts), pixel_factor, probabilities)


def _read(path: Path, network: _Network, tell: Callable[[str], None]) -> np.ndarray:
    """Returns the pixels of a file, uint8 [height, width, channels]."""
    height, width, channels = network.image_shape
    if channels not in (1, 3):
        raise ValueError(f"the network takes images of {channels} channels, but image files have 1 or 3")
    try:
        picture = read_header(path.expanduser())
        pixels = read_pixels(picture, channels == 1, (height, width))
    except UnreadableImageError as error:
        raise ValueError(f"{str(path)!r} is not a readable image ({error})") from error
    if picture.size != (height, width):
        tell(f"{path}: resized from {picture.size[0]}x{picture.size[1]} to {height}x{width}, stretched")
    if picture.deep:
        if network.pixel_factor < 1:  # So were all training images, which were scaled by their largest pixel.
            trained = Pixels(np.dtype(np.int32), network.pixel_factor, 255 / network.pixel_factor, cut=True)
            pixels = trained.convert(str(path), pixels[None])[0, ..., 0]
        else:
            pixels = eight_bits(str(path), pixels)
    return np.repeat(pixels[..., None], channels, axis=-1) if pixels.ndim == 2 else pixels
