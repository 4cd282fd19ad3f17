"""Interpolation between templates at alpha = -1, 0, 1 (HistFactory, CERN-OPEN-2012-016).

Additive shifts (histosys) are, for every code, odd(alpha) S + even(alpha) D with S = (hi - lo)/2
and D = (hi + lo)/2 - nominal: one pair of functions of each parameter serves all templates.
Factors (normsys) are exponential outside |alpha| < alpha_0 and, inside, the polynomial of sixth
order that joins with its first two derivatives: code 4 with alpha_0 = 1; code 1 has alpha_0 = 0.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

SHIFTS = {"code0": 0, "code2": 2, "code4p": 4}  # of histosys
FACTORS = {"code1": 0.0, "code4": 1.0}  # of normsys: alpha_0

# powers of alpha that the polynomial of code 4 has
_POWERS = np.arange(1, 7)


def shift_basis(alpha: Array, code: Array) -> tuple[Array, Array]:
    """odd(alpha) and even(alpha), each (n,), of a code () in `SHIFTS`.

    code 0: alpha, |alpha|. code 4p: alpha, and for |alpha| < 1 instead of |alpha|
    alpha^2 (15 - 10 alpha^2 + 3 alpha^4)/8. code 2: alpha, alpha^2 for |alpha| < 1; beyond, as
    pyhf has it: (alpha - 1) (S + 2 D) above, alpha (S - 2 D) below. These jump at |alpha| = 1.
    """
    square = alpha * alpha
    inside, above = jnp.abs(alpha) <= 1.0, alpha > 1.0
    smooth = square * (15.0 + square * (3.0 * square - 10.0)) / 8.0
    size = jnp.where(alpha > 0.0, alpha, -alpha)
    even = jnp.where((code == SHIFTS["code4p"]) & inside, smooth, size)
    beyond = jnp.where(above, 2.0 * (alpha - 1.0), -2.0 * alpha)
    quadratic = jnp.where(inside, square, beyond)
    is_two = code == SHIFTS["code2"]
    odd = jnp.where(is_two & above, alpha - 1.0, alpha)
    return odd, jnp.where(is_two, quadratic, even)


def polynomial(lo: Any, hi: Any, xp: Any) -> Any:
    """The coefficients (6, n) of alpha, ..., alpha^6 of code 4; lo, hi (n,); xp: NumPy or JAX's."""
    log_hi, log_lo = xp.log(hi), xp.log(lo)
    conditions = [hi - 1.0, lo - 1.0, log_hi * hi, -log_lo * lo, log_hi**2 * hi, log_lo**2 * lo]
    return xp.asarray(_JOIN) @ xp.stack(conditions)


def log_factors(alpha: Array, log_lo: Array, log_hi: Array, series: Array, alpha_0: Array) -> Array:
    """The logarithm (n,) of each normsys factor.

    series (6, n): `polynomial`; alpha_0 () of the code. The polynomial is above zero for lo and hi
    up to 10, and NaN is what comes of it where it is not.
    """
    exponential = jnp.where(alpha > 0.0, alpha * log_hi, -alpha * log_lo)
    powers = jnp.stack([alpha**power for power in range(1, 7)])
    inside = jnp.abs(alpha) < alpha_0
    # outside, where it may be negative, it is not taken
    polynomial = jnp.where(inside, 1.0 + jnp.sum(series * powers, axis=0), 1.0)
    return jnp.where(inside, jnp.log(polynomial), exponential)


def _join() -> np.ndarray:
    """From value - 1, first and second derivative at alpha = 1, -1 to the coefficients."""
    rows = []
    for order in range(3):
        for sign in (1.0, -1.0):
            fall = np.prod([_POWERS - i for i in range(order)], axis=0)
            rows.append(fall * sign ** (_POWERS - order))
    return np.linalg.inv(np.array(rows, np.float64))


_JOIN = _join()
