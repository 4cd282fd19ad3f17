"""The matrices of all splitting functions that an evolution needs, order by order."""

import functools
from typing import NamedTuple

import numpy as np
from jax import Array as JaxArray

from diffpipe.pipelines.physics.pdf.kernels import matching, quadrature, splitting
from diffpipe.pipelines.physics.pdf.kernels.leading import leading
from diffpipe.pipelines.physics.pdf.kernels.next_to_leading import next_to_leading
from diffpipe.pipelines.physics.pdf.kernels.nnlo import next_to_next_to_leading

Array = np.ndarray | JaxArray  # constants, or what the store gave back

ORDERS = {
    "LO": (leading,),
    "NLO": (leading, next_to_leading),
    "NNLO": (leading, next_to_leading, next_to_next_to_leading),
}


class KernelMatrices(NamedTuple):
    """P^(0), P^(1), ... for one number of flavours, on a grid of n nodes."""

    non_singlet: Array  # (3, order, n, n): ns+, ns-, valence
    singlet: Array  # (order, 2n, 2n) on (g, Sigma)


class MatchingMatrices(NamedTuple):
    """The operator matrix elements of order a^2 on the grid, each (n, n)."""

    qq: Array
    gq: Array
    gg: Array
    hq: Array
    hg: Array


@functools.lru_cache(maxsize=16)
def kernel_matrices(order: str, nf: int, x_min: float, points: int) -> KernelMatrices:
    """All orders up to `order` for nf flavours."""
    made = [_one_order(build(nf), x_min, points) for build in ORDERS[order]]
    non_singlet = np.stack([each.non_singlet for each in made], axis=1)
    return KernelMatrices(non_singlet, np.stack([each.singlet for each in made]))


def _one_order(functions: splitting.Order, x_min: float, points: int) -> KernelMatrices:
    ns_plus, ns_minus, valence, qq, qg, gq, gg = (
        quadrature.matrix(function, x_min, points) for function in functions
    )
    return KernelMatrices(np.stack([ns_plus, ns_minus, valence]), np.block([[gg, gq], [qg, qq]]))


@functools.lru_cache(maxsize=4)
def matching_matrices(heavy_from_gluon: str, x_min: float, points: int) -> MatchingMatrices:
    """The operator matrix elements at mu = m_h."""
    functions = matching.second_order(heavy_from_gluon)
    return MatchingMatrices(*(quadrature.matrix(each, x_min, points) for each in functions))
