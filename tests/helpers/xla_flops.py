"""XLA's own count of a network's FLOPs, one equation at a time."""

import functools

import jax
import numpy as np

from jaxevo.networks.training import carry_shapes, make_train_step
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

BATCH = 3
CLASSES = 4
MATRIX = ("conv_general_dilated", "dot_general")


def equations(jaxpr):
    """Goes through all equations of a jaxpr and of those inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, "eqns"):
                    yield from equations(inner)
                elif hasattr(inner, "jaxpr"):
                    yield from equations(inner.jaxpr)


def counted_flops(function, *arguments, primitives=MATRIX):
    """Returns the FLOPs that XLA counts for some primitives of a function, by default convolutions and products."""
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    found = [equation for equation in equations(jaxpr) if equation.primitive.name in primitives]
    return sum(xla_flops(equation) for equation in found)


_counted: dict = {}
"""XLA's counts by equation: most networks share some."""


def xla_flops(equation):
    """Returns XLA's count for one equation alone."""
    shapes = tuple((variable.aval.shape, variable.aval.dtype) for variable in equation.invars)
    key = equation.primitive.name, str(sorted(equation.params.items(), key=str)), shapes
    if key not in _counted:
        operands = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
        alone = jax.jit(lambda *values: equation.primitive.bind(*values, **equation.params))
        _counted[key] = alone.lower(*operands).cost_analysis()["flops"]
    return _counted[key]


def forward_flops(genotype, shape, primitives=MATRIX):
    network = Phenotype(architecture(genotype, shape), CLASSES)
    images = jax.ShapeDtypeStruct((BATCH, *shape), np.float32)
    apply = functools.partial(network.apply, train=False)
    return counted_flops(apply, variable_shapes(network), images, primitives=primitives)


def training_flops(genotype, shape, primitives=MATRIX):
    network, settings = Phenotype(architecture(genotype, shape), CLASSES), Settings()
    batch = (
        jax.ShapeDtypeStruct((BATCH, *shape), np.float32),
        jax.ShapeDtypeStruct((BATCH,), np.int32),
    )
    carry = carry_shapes(variable_shapes(network), settings)
    return counted_flops(make_train_step(network, settings), carry, batch, np.float32(0.1), primitives=primitives)
