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
    """b0 = 11 - 2 nf/3: the one-loop term of hep-ph/9701390, whose a is the one used here."""
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

    flavours: the number before each threshold, then the one for all scales. Shape (thresholds +
    scales,).
    """
    log_mu2 = 2.0 * jnp.log(jnp.stack([jnp.asarray(q0), *thresholds]))
    values = []
    for number, nf in enumerate(flavours[:-1]):
        a = run(a, log_mu2[number + 1] - log_mu2[number], order, nf)
        values.append(a[None])
    above = 2.0 * np.log(scales) - log_mu2[-1]
    return jnp.concatenate([*values, run(a, above, order, flavours[-1])])
