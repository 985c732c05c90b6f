"""The program beside an exported network that converts it to ONNX. It needs neither jaxevo nor Orbax."""

from collections.abc import Sequence

_SOURCE = '''\
"""Converts the network in this folder to ONNX: `python to_onnx.py [network.onnx]`.

Needs jax, flax, safetensors and jax2onnx. The ONNX network takes pixels of 0 to 255, float32
[batch, {image_shape}], and returns logits.
"""

import sys

import jax
import jax.numpy as jnp
from jax2onnx import to_onnx
from network import IMAGE_SHAPE, Network, load

variables = load()
# ONNX runtimes have no convolutions of bfloat16 on CPU. Weights and statistics are float32 in any case.
network = Network(dtype=jnp.float32) if hasattr(Network, "dtype") else Network()


def classify(pixels: jax.Array) -> jax.Array:
    """Returns logits of float32 pixels of 0 to 255: few runtimes take uint8."""
    return network.apply(variables, pixels.astype(jnp.uint8))


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "network.onnx"
    to_onnx(classify, [("batch", *IMAGE_SHAPE)], return_mode="file", output_path=path)
    print(f"wrote {{path}}")
'''


def to_onnx_source(image_shape: Sequence[int]) -> str:
    """Returns the program that converts an exported network of images of this shape."""
    return _SOURCE.format(image_shape=", ".join(map(str, image_shape)))
