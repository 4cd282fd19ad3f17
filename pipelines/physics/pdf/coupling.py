"""The running coupling a = alpha_s/(4 pi) in the MSbar scheme, with flavour thresholds.

da/d ln mu^2 = -a^2 (b0 + b1 a + ...), solved exactly at the order asked. Matching at a threshold
mu = m_h is trivial at leading order.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

FOUR_PI = 4.0 * math.pi


def beta_0(nf: int) -> float:
    """b0 = 11 - 2 nf/3: eq. (2) of hep-ph/9701390."""
    return 11.0 - 2.0 * nf / 3.0


def beta_coefficients(order: str, nf: int) -> tuple[float, ...]:
    """(b0, b1, ...) up to `order`."""
    return {"LO": (beta_0(nf),)}[order]


def run(a: Array, log_mu2_ratio: Array, order: str, nf: int) -> Array:
    """a at mu^2 = exp(log_mu2_ratio) times the scale of `a`, with nf flavours.

    At LO the exact solution 1/a(mu^2) = 1/a + b0 ln(mu^2/mu_0^2).
    """
    (b0,) = beta_coefficients(order, nf)
    return a / (1.0 + b0 * a * log_mu2_ratio)


def at_scales(
    a: Array,
    q0: float,
    thresholds: Sequence[Array],
    scales: np.ndarray,
    order: str,
    flavours: Sequence[int],
) -> Array:
    """a at each threshold (GeV), then at each scale (GeV), from `a` at q0 GeV.

    flavours: the numbers between thresholds, the last one for all scales. Shape (thresholds +
    scales,).
    """
    values, log_mu2 = [], jnp.asarray(2.0 * math.log(q0))
    for nf, threshold in zip(flavours[:-1], thresholds, strict=True):
        log_threshold2 = 2.0 * jnp.log(threshold)
        a = run(a, log_threshold2 - log_mu2, order, nf)
        values.append(a[None])
        log_mu2 = log_threshold2
    return jnp.concatenate([*values, run(a, 2.0 * np.log(scales) - log_mu2, order, flavours[-1])])
