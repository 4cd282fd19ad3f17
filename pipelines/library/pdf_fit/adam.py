"""Gradient descent by Adam, with a learning rate that falls to zero along a cosine."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

MEAN_MEMORY, SQUARE_MEMORY = 0.9, 0.999  # beta_1 and beta_2 of the paper
TINY = 1e-8


class Adam(NamedTuple):
    """Weights, and running means of their gradient and of its square, each (weight,)."""

    weights: Array
    mean: Array
    square: Array


def begin(weights: Array) -> Adam:
    """Before the first step."""
    return Adam(weights, jnp.zeros_like(weights), jnp.zeros_like(weights))


def step(now: Adam, gradient: Array, number: Array, rate: Array) -> Adam:
    """One step, the `number`-th from 0 on: Algorithm 1 of arXiv:1412.6980."""
    mean = MEAN_MEMORY * now.mean + (1.0 - MEAN_MEMORY) * gradient
    square = SQUARE_MEMORY * now.square + (1.0 - SQUARE_MEMORY) * gradient**2
    slope = mean / (1.0 - MEAN_MEMORY ** (number + 1.0))
    size = jnp.sqrt(square / (1.0 - SQUARE_MEMORY ** (number + 1.0))) + TINY
    return Adam(now.weights - rate * slope / size, mean, square)


def rate(number: Array, steps: int, peak: float) -> Array:
    """The learning rate of a step of so many: eq. (5) of arXiv:1608.03983, without restarts."""
    return 0.5 * peak * (1.0 + jnp.cos(jnp.pi * number / steps))
