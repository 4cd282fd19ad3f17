"""The third step, in TensorFlow."""

from collections.abc import Mapping

import tensorflow as tf


def square(
    parameters: Mapping[str, tf.Tensor],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, tf.Tensor],
) -> dict[str, tf.Tensor]:
    """The mean of the squares of x."""
    return {"y": tf.reduce_mean(tf.square(inputs["x"]))}
