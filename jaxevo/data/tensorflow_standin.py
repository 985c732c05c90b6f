"""Stand-in for the few TensorFlow calls that TFDS makes to prepare a set.

To prepare array_record files, TFDS needs TensorFlow only to open files, convert bytes and text, and write PNG. These
calls are here, under TensorFlow's names. Any other raises `NeedsTensorFlowError`.
"""

from __future__ import annotations

import glob
import importlib.util
import io
import os
import sys
import types
from typing import IO, Any

import numpy as np


class NeedsTensorFlowError(AttributeError):
    """A builder needs a part of TensorFlow that has no stand-in."""


class _EagerBytes:
    """The result of an eager operation, as far as TFDS uses it."""

    def __init__(self, content: bytes):
        self._content = content

    def numpy(self) -> bytes:
        return self._content


class _Namespace(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # Python itself looks these up on modules.
        raise NeedsTensorFlowError(f"{self.__name__}.{name}")


def install() -> None:
    """Makes TFDS use the stand-in in this process, unless TensorFlow is installed.

    Only TFDS sees it: `tensorflow` is in `sys.modules` only while TFDS resolves its lazy import, because other packages
    change their behaviour if they find that name.
    """
    if importlib.util.find_spec("tensorflow") is not None:
        return
    from tensorflow_datasets.core.utils import lazy_imports_utils

    sys.modules["tensorflow"] = _standin()
    try:
        lazy_imports_utils.tensorflow.__version__  # noqa: B018  Any attribute resolves it.
    finally:
        del sys.modules["tensorflow"]


def _standin() -> types.ModuleType:
    gfile = _namespace(
        "tensorflow.io.gfile",
        GFile=_open,
        exists=os.path.exists,
        isdir=os.path.isdir,
        listdir=os.listdir,
        glob=glob.glob,
    )
    return _namespace(
        "tensorflow",
        __version__="2.99",  # TFDS requires at least 2.1.
        executing_eagerly=lambda: True,
        io=_namespace("tensorflow.io", gfile=gfile),
        compat=_namespace("tensorflow.compat", as_text=_as_text, as_bytes=_as_bytes),
        image=_namespace("tensorflow.image", encode_png=_encode_png),
    )


def _namespace(name: str, **members: Any) -> types.ModuleType:
    module = _Namespace(name)
    vars(module).update(members)
    return module


def _open(path: str | os.PathLike[str], mode: str = "r") -> IO[Any]:
    return open(path, mode)


def _as_text(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _encode_png(image: np.ndarray) -> _EagerBytes:
    """Returns the PNG of a uint8 image `[H, W, C]`, C from 1 to 4."""
    from PIL import Image

    if image.dtype != np.uint8:
        raise NeedsTensorFlowError(f"tensorflow.image.encode_png of {image.dtype}")
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return _EagerBytes(buffer.getvalue())
