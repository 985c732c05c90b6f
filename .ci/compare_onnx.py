"""Compares an exported network with its ONNX form, which computes in float32, in the folder of the export."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime

sys.path.insert(0, ".")
from network import IMAGE_SHAPE, Network, load

TOLERANCE = 1e-4

images = np.random.default_rng(0).integers(256, size=(50, *IMAGE_SHAPE), dtype=np.uint8)
network = Network(dtype=jnp.float32) if hasattr(Network, "dtype") else Network()
expected = np.asarray(jax.jit(network.apply)(load(), images))
session = onnxruntime.InferenceSession("network.onnx")
(logits,) = session.run(None, {session.get_inputs()[0].name: images.astype(np.float32)})
largest = float(np.abs(logits - expected).max())
print(f"largest difference of the logits: {largest:.2g}")
sys.exit(largest > TOLERANCE)
