"""The logarithm of n!, continued to real n."""

import math

import jax.numpy as jnp
from jax import Array

_SHIFT = 7
# B_2k / (2k (2k - 1)), Abramowitz and Stegun 6.1.41
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def log_factorial(n: Array) -> Array:
    """log Gamma(n + 1) for n >= 0, elementwise, to 1e-14 of itself or of 1.

    Stirling's series at n + 8, brought back by Gamma(z + 1) = z Gamma(z): few operations, and no
    branches, which XLA's own has for arguments that counts never are.
    """
    z = n + (_SHIFT + 1.0)
    inverse = 1.0 / z
    square = inverse * inverse
    series = jnp.zeros_like(z)
    for coefficient in reversed(_STIRLING):
        series = coefficient + square * series
    product = n + 1.0
    for step in range(2, _SHIFT + 1):
        product = product * (n + step)
    half_log_2_pi = 0.5 * math.log(2.0 * math.pi)
    return (z - 0.5) * jnp.log(z) - z + half_log_2_pi + inverse * series - jnp.log(product)
