"""How far images of a data set may be shifted, and whether mirrored, without changing what they show."""

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
    """Crop padding (pixels) and whether to flip left to right.

    Sets without an entry of their own get an eighth of the height as padding; colour images (3 channels) are
    flipped, others are not, because grey ones are mostly drawings and signs that mean something else in a
    mirror.

    Args:
        name: of the data set; a TFDS config or version behind it does not count.
        image_shape: height, width, channels.
    """
    base_name = name.split("/")[0].split(":")[0]
    height, _, channels = image_shape
    return _KNOWN.get(base_name, (height // 8, channels == 3))
