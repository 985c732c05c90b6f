"""Default augmentation by data set: shifts and mirroring that do not change what an image shows."""

from __future__ import annotations

_KNOWN: dict[str, tuple[int, bool]] = {
    "digits": (1, False),
    "mnist": (2, False),
    "fashion_mini": (2, True),
    "fashion_mnist": (2, True),
    "svhn_cropped": (4, False),
    "cifar10": (4, True),
    "cifar100": (4, True),
}


def augmentation_for(name: str, image_shape: tuple[int, ...]) -> tuple[int, bool]:
    """Returns the crop padding in pixels, and True if images are flipped left to right.

    The padding of unknown sets is an eighth of height or width, whichever is less. They are flipped if they are colour
    images (3 channels): grey ones are mostly drawings and signs, whose meaning a mirror changes.

    Args:
        name: of the data set; a TFDS config or version after it is ignored.
        image_shape: height, width, channels.
    """
    base_name = name.split("/")[0].split(":")[0]
    height, width, channels = image_shape
    return _KNOWN.get(base_name, (min(height, width) // 8, channels == 3))
