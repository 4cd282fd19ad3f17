"""What a splitting function is, and the group's constants.

P(z) = plus/(1-z)_+ + delta delta(1-z) + regular(z), with a = alpha_s/(4 pi) as the expansion
parameter: d F/d ln mu^2 = sum_k a^(k+1) P_k (x) F, (P (x) F)(x) = int_x^1 dz P(z) F(x/z), F = x f.
Source: hep-ph/0403192 and hep-ph/0404111, whose normalisation this is.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.physics.pdf.kernels.argument import Argument

CF, CA, TR = 4.0 / 3.0, 3.0, 0.5
ZETA_2, ZETA_3 = np.pi**2 / 6.0, 1.2020569031595942


class SplittingFunction(NamedTuple):
    """P(z) = plus/(1-z)_+ + delta delta(1-z) + regular(z)."""

    plus: float
    delta: float
    regular: Callable[[Argument], np.ndarray]


def added(*terms: SplittingFunction) -> SplittingFunction:
    """The sum of splitting functions."""
    return SplittingFunction(
        sum(term.plus for term in terms),
        sum(term.delta for term in terms),
        lambda z: sum((term.regular(z) for term in terms[1:]), terms[0].regular(z)),
    )


class Order(NamedTuple):
    """The splitting functions of one order in alpha_s."""

    ns_plus: SplittingFunction  # of q+ differences, T3, T8, ...
    ns_minus: SplittingFunction  # of q- differences, V3, V8, ...
    valence: SplittingFunction  # of V, the sum of q-
    qq: SplittingFunction  # of (g, Sigma), as the others: from the second into the first
    qg: SplittingFunction
    gq: SplittingFunction
    gg: SplittingFunction
