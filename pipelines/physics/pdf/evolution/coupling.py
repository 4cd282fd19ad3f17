"""The running coupling a = alpha_s/(4 pi) in the MSbar scheme, up to three loops, with thresholds.

da/d ln mu^2 = -a^2 (b0 + b1 a + b2 a^2), integrated numerically and not expanded. A flavour of pole
mass m joins at mu^2 = kR m^2, where kR = muR^2/muF^2 and densities and coupling change together.
"""

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

FOUR_PI = 4.0 * math.pi
STEPS = 40  # from 1.4 GeV to 1 TeV good to 1e-8
NEWTON_STEPS = 6


Number = float | Array  # of flavours: known beforehand, or met on the way


class Running(NamedTuple):
    """What the coupling runs with.

    log_m2: number of flavours above a threshold -> ln of its position in muR^2 = kR m^2, GeV^2.
    """

    order: str
    log_kr: Array
    log_m2: Mapping[int, Array]


def beta_coefficients(order: str, nf: Number) -> tuple[Number, ...]:
    """(b0, b1, ...) up to `order`: eq. (8) of hep-ph/9701390, whose a is the one used here."""
    b0 = 11.0 - 2.0 * nf / 3.0
    b1 = 102.0 - 38.0 * nf / 3.0
    b2 = 2857.0 / 2.0 - 5033.0 * nf / 18.0 + 325.0 * nf**2 / 54.0
    return (b0, b1, b2)[: {"LO": 1, "NLO": 2, "NNLO": 3}[order]]


@functools.partial(jax.jit, static_argnames="order")  # compiled once where it stands alone
def run(a: Array, log_ratio: Array, order: str, nf: Number) -> Array:
    """a at mu^2 = exp(log_ratio) times the scale of `a`, with nf flavours; shapes broadcast.

    Runge-Kutta steps of 1/a, which at LO is linear in ln mu^2. Beyond the Landau pole the value is
    not positive or not finite.
    """
    betas = beta_coefficients(order, nf)
    inverse = 1.0 / jnp.broadcast_to(a, jnp.broadcast_shapes(a.shape, log_ratio.shape))
    if order == "LO":
        return 1.0 / (inverse + betas[0] * log_ratio)
    step = log_ratio / STEPS

    def slope(inverse: Array) -> Array:
        terms = [beta / inverse**k for k, beta in enumerate(betas)]
        return sum(terms[1:], terms[0])

    def advance(inverse: Array, _: None) -> tuple[Array, None]:
        k1 = slope(inverse)
        k2 = slope(inverse + 0.5 * step * k1)
        k3 = slope(inverse + 0.5 * step * k2)
        k4 = slope(inverse + step * k3)
        return inverse + step * (k1 + 2.0 * k2 + 2.0 * k3 + k4) / 6.0, None

    return 1.0 / jax.lax.scan(advance, inverse, None, length=STEPS)[0]


def gain_flavour(a: Array, running: Running) -> Array:
    """a with nf + 1 flavours from a with nf, at muR^2 = kR m^2, m the pole mass.

    a [1 + 2/3 l a + (14/3 + 38/3 l + 4/9 l^2) a^2], l = ln kR, cut at the order of the running.
    Source: eqs. (20) and (23) of hep-ph/9706430, in a = alpha_s/(4 pi).
    """
    log = running.log_kr
    first = 2.0 / 3.0 * log * a
    second = (14.0 / 3.0 + 38.0 / 3.0 * log + 4.0 / 9.0 * log**2) * a**2
    return a * (1.0 + sum((first, second)[: _terms(running.order)], jnp.zeros_like(a)))


def lose_flavour(a: Array, running: Running) -> Array:
    """The inverse of `gain_flavour`, by Newton's method."""
    below = a
    for _ in range(NEWTON_STEPS if _terms(running.order) else 0):
        value, slope = jax.jvp(lambda b: gain_flavour(b, running), (below,), (jnp.ones_like(a),))
        below = below - (value - a) / slope
    return below


def _terms(order: str) -> int:
    return {"LO": 0, "NLO": 1, "NNLO": 2}[order]


def to_flavours(
    a: Array, log_mu2: Array, nf: int, target: int, running: Running
) -> tuple[Array, Array]:
    """a with `target` flavours, at the last threshold passed, and ln mu^2 there.

    The way from nf flavours leads over each threshold between, wherever mu lies.
    """
    while nf != target:
        threshold = running.log_m2[nf + 1 if target > nf else nf]
        a = run(a, threshold - log_mu2, running.order, nf)
        a = gain_flavour(a, running) if target > nf else lose_flavour(a, running)
        nf, log_mu2 = nf + (1 if target > nf else -1), threshold
    return a, log_mu2
