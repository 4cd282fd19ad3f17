"""Integrals over 0 < x < 1 of densities known as functions, on nodes that are constants.

With x = exp(-exp(s)) the range becomes all s: an integrand like x^a falls as exp(-a exp(s)) to one
side, one like (1-x)^b as exp((b+1) s) to the other. For such an integrand the trapezoidal rule
converges exponentially in 1/step, whatever a and b are (double-exponential rule, Takahasi and Mori,
Publ. RIMS 9 (1974) 721), where Gauss-Legendre nodes would meet both end-point singularities.
"""

import functools

import numpy as np

STEP = 0.05
LARGEST_X = 1.0 - 1e-10


@functools.cache
def log_nodes(x_min: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x and weights w with int_0^1 F(x) dx/x = sum w F(x), each (n,), x falling to x_min.

    What is cut off is of order x_min^a / a for F ~ x^a, and 1e-10^(b+1) for F ~ (1-x)^b.
    """
    first, last = np.log(-np.log([LARGEST_X, x_min]))
    minus_log_x = np.exp(np.arange(first, last, STEP))
    return np.exp(-minus_log_x), STEP * minus_log_x
