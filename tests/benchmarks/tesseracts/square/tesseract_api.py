"""The third step of `mixed_wide` as a Tesseract, in TensorFlow."""

import numpy as np
import tensorflow as tf
from pydantic import BaseModel
from tesseract_core.runtime import Array, Differentiable, Float64


class InputSchema(BaseModel):
    product: Differentiable[Array[(None,), Float64]]


class OutputSchema(BaseModel):
    y: Differentiable[Float64]


def apply(inputs: InputSchema) -> OutputSchema:
    return OutputSchema(y=_square(tf.constant(inputs.product)).numpy())


def vector_jacobian_product(
    inputs: InputSchema,
    vjp_inputs: set[str],  # noqa: ARG001  there is one
    vjp_outputs: set[str],  # noqa: ARG001  there is one
    cotangent_vector: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    slope = _pull(tf.constant(inputs.product), tf.constant(cotangent_vector["y"], tf.float64))
    return {"product": slope.numpy()}


@tf.function(autograph=False)
def _square(product: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.square(product))


@tf.function(autograph=False)
def _pull(product: tf.Tensor, cotangent: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(product)
        y = _square(product)
    return tape.gradient(y, product, cotangent)
