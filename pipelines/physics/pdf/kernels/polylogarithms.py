"""Li3 and the Nielsen polylogarithm S12(y) = 1/2 int_0^y dt/t ln^2(1-t) where kernels need them.

With t = 1 - exp(-v) those of 1 - z become integrals of smooth functions up to v = ln(1/z),

    Li2(1-z) = int_0^v w/(e^w - 1) dw,          Li3(1-z) = int_0^v Li2(1 - e^-w)/(e^w - 1) dw,
    S12(1-z) = 1/2 int_0^v w^2/(e^w - 1) dw,

and those of -z are integrals of functions analytic on [0, 1]. Each integrand is interpolated by
Chebyshev polynomials to rounding, and these are integrated.
"""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev
from scipy.special import spence

LARGEST_LOG = 24.0  # ln(1/z) of the smallest z, 4e-11
TERMS_OF_LOG, TERMS_OF_Z = 90, 30  # a further term changes nothing above 1e-15


def li3_one_minus(minus_log_z: np.ndarray) -> np.ndarray:
    """Li3(1-z) at ln(1/z) up to 24."""
    return _LI3_ONE_MINUS(minus_log_z)


def s12_one_minus(minus_log_z: np.ndarray) -> np.ndarray:
    """S12(1-z) at ln(1/z) up to 24."""
    return _S12_ONE_MINUS(minus_log_z)


def li3_minus(z: np.ndarray) -> np.ndarray:
    """Li3(-z), 0 <= z <= 1."""
    return _LI3_MINUS(z)


def s12_minus(z: np.ndarray) -> np.ndarray:
    """S12(-z), 0 <= z <= 1."""
    return _S12_MINUS(z)


def _integral(
    integrand: Callable[[np.ndarray], np.ndarray], end: float, terms: int
) -> Callable[[np.ndarray], np.ndarray]:
    """int_0^y of an integrand that is smooth on [0, end]."""
    return Chebyshev.interpolate(integrand, terms, domain=[0.0, end]).integ(lbnd=0.0)


_LI3_ONE_MINUS = _integral(lambda w: spence(np.exp(-w)) / np.expm1(w), LARGEST_LOG, TERMS_OF_LOG)
_S12_ONE_MINUS = _integral(lambda w: 0.5 * w * w / np.expm1(w), LARGEST_LOG, TERMS_OF_LOG)
_LI3_MINUS = _integral(lambda z: spence(1.0 + z) / z, 1.0, TERMS_OF_Z)
_S12_MINUS = _integral(lambda z: 0.5 * np.log1p(z) ** 2 / z, 1.0, TERMS_OF_Z)
