"""The second step of `mixed_wide` as a Tesseract, in JAX."""

import jax
import numpy as np
from pydantic import BaseModel
from tesseract_core.runtime import Array, Differentiable, Float64

jax.config.update("jax_enable_x64", True)
Vector = Differentiable[Array[(None,), Float64]]


class InputSchema(BaseModel):
    sum: Vector
    b: Vector


class OutputSchema(BaseModel):
    product: Vector


def apply(inputs: InputSchema) -> OutputSchema:
    return OutputSchema(product=np.asarray(_multiply(inputs.sum, inputs.b)))


def vector_jacobian_product(
    inputs: InputSchema,
    vjp_inputs: set[str],
    vjp_outputs: set[str],  # noqa: ARG001  there is one
    cotangent_vector: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    both = _pull(inputs.sum, inputs.b, cotangent_vector["product"])
    pulled = dict(zip(("sum", "b"), both, strict=True))
    return {name: np.asarray(pulled[name]) for name in vjp_inputs}


@jax.jit
def _multiply(total: jax.Array, b: jax.Array) -> jax.Array:
    return total * b


@jax.jit
def _pull(total: jax.Array, b: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(_multiply, total, b)[1](cotangent)
