"""Splitting functions and their matrices on the grid.

A splitting function is P(z) = A/(1-z)_+ + D delta(1-z) + R(z), with alpha_s/(4 pi) as the expansion
parameter: d F/d ln mu^2 = sum_k a^(k+1) P_k (x) F, (P (x) F)(x) = int_x^1 dz P(z) F(x/z), F = x f.
Its matrix K_ij = int_x_i^1 dz P(z) w_j(x_i/z) depends on the grid alone, not on coupling, masses or
densities, so it is a constant of the evolution. An order is a `KernelMatrices`; further orders
are further entries of `ORDERS`.
Source: hep-ph/0403192 (non-singlet) and hep-ph/0404111 (singlet), in their normalisation; at
leading order also Ellis, Stirling and Webber, QCD and Collider Physics, chapter 4, whose functions
multiply alpha_s/(2 pi) and are half of those here.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.physics.pdf import grid

CF, CA, TR = 4.0 / 3.0, 3.0, 0.5
SOFT_GAUSS_POINTS = 28
SOFT_POWER = 4  # points crowd towards z = 1, where the subtracted integrand varies fastest


class SplittingFunction(NamedTuple):
    """P(z) = plus/(1-z)_+ + delta delta(1-z) + regular(z)."""

    plus: float
    delta: float
    regular: Callable[[np.ndarray], np.ndarray]


class KernelMatrices(NamedTuple):
    """Matrices of one order; from P^(2) on V would need a further one, as its P is not P_ns-."""

    quarks: np.ndarray  # (2, n, n): P_ns+ for Sigma, T3, ... and P_ns- for V, V3, ...
    singlet: np.ndarray  # (2n, 2n) on (g, Sigma): all but P_ns+, which `quarks` has


def p_qq_lo() -> SplittingFunction:
    """P_qq^(0) = 2 CF [(1+z^2)/(1-z)_+ + 3/2 delta(1-z)]."""
    return SplittingFunction(4.0 * CF, 3.0 * CF, lambda z: -2.0 * CF * (1.0 + z))


def p_qg_lo(nf: int) -> SplittingFunction:
    """P_qg^(0) = 4 nf TR [z^2 + (1-z)^2], from g into Sigma, all quarks and antiquarks."""
    return SplittingFunction(0.0, 0.0, lambda z: 4.0 * nf * TR * (z**2 + (1.0 - z) ** 2))


def p_gq_lo() -> SplittingFunction:
    """P_gq^(0) = 2 CF [1 + (1-z)^2]/z."""
    return SplittingFunction(0.0, 0.0, lambda z: 2.0 * CF * (1.0 + (1.0 - z) ** 2) / z)


def p_gg_lo(nf: int) -> SplittingFunction:
    """P_gg^(0) = 4 CA [z/(1-z)_+ + (1-z)/z + z(1-z)] + b0 delta(1-z)."""
    delta = (11.0 * CA - 4.0 * nf * TR) / 3.0
    return SplittingFunction(
        4.0 * CA, delta, lambda z: 4.0 * CA * (-1.0 + (1.0 - z) / z + z * (1.0 - z))
    )


def leading_order(nf: int, x_min: float, points: int) -> KernelMatrices:
    """The matrices of P^(0), where P_ns+ = P_ns- = P_qq."""
    qq, qg, gq, gg = (
        matrix(kernel, x_min, points) for kernel in (p_qq_lo(), p_qg_lo(nf), p_gq_lo(), p_gg_lo(nf))
    )
    return KernelMatrices(np.stack([qq, qq]), np.block([[gg, gq], [qg, np.zeros_like(qq)]]))


ORDERS: dict[str, tuple[Callable[[int, float, int], KernelMatrices], ...]] = {
    "LO": (leading_order,)
}


@functools.lru_cache(maxsize=32)
def matrices(order: str, nf: int, x_min: float, points: int) -> tuple[KernelMatrices, ...]:
    """The matrices of P^(0), P^(1), ... up to `order`, for nf flavours, on the grid's nodes."""
    return tuple(build(nf, x_min, points) for build in ORDERS[order])


def matrix(kernel: SplittingFunction, x_min: float, points: int) -> np.ndarray:
    """K_ij of one splitting function, shape (points, points).

    Cells away from z = 1 are plain Gauss sums over d ln xi, xi = x/z; in the cell that ends at
    z = 1 the delta function at node i is subtracted under the plus distribution, whose integral
    from z_i = x_i/x_(i-1) leaves A ln(1 - z_i).
    """
    diagonal = kernel.delta + kernel.plus * np.log(-np.expm1(_log_z_of_soft_cell(x_min, points)))
    return (
        _hard_cells(kernel, x_min, points) + _soft_cell(kernel, x_min, points) + np.diag(diagonal)
    )


def _log_z_of_soft_cell(x_min: float, points: int) -> np.ndarray:
    """ln(x_i/x_(i-1)), shape (points,)."""
    log_x = np.log(grid.nodes(x_min, points))
    return np.diff(log_x, prepend=0.0)


def _hard_cells(kernel: SplittingFunction, x_min: float, points: int) -> np.ndarray:
    x = grid.nodes(x_min, points)
    xi, weight = grid.cell_quadrature(x_min, points)
    below = np.arange(points)[None, :] < np.arange(points)[:, None]  # cell c lies above node i
    z = np.where(below[..., None], x[:, None, None] / xi, 0.5)
    density = kernel.plus / (1.0 - z) + kernel.regular(z)
    summand = np.where(below[..., None], weight * z * density, 0.0)
    return np.einsum("icp,cpj->ij", summand, _hard_basis(x_min, points), optimize=True)


@functools.lru_cache(maxsize=2)
def _hard_basis(x_min: float, points: int) -> np.ndarray:
    return grid.basis(grid.cell_quadrature(x_min, points)[0], x_min, points)


def _soft_cell(kernel: SplittingFunction, x_min: float, points: int) -> np.ndarray:
    log_ratio, measure = _soft_quadrature(x_min, points)
    z, one_minus_z = np.exp(-log_ratio), -np.expm1(-log_ratio)
    values = _soft_basis(x_min, points)
    subtracted = (kernel.plus / one_minus_z)[..., None] * (values - np.eye(points)[:, None, :])
    regular = kernel.regular(z)[..., None] * values
    return np.einsum("ip,ipj->ij", measure * z, subtracted + regular)  # dz = z d ln xi


def _soft_quadrature(x_min: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """ln(xi/x_i) = -ln z and weights of the points between node i and the one above."""
    length = -_log_z_of_soft_cell(x_min, points)[:, None]
    node, weight = grid.gauss(SOFT_GAUSS_POINTS)
    return length * node**SOFT_POWER, weight * length * SOFT_POWER * node ** (SOFT_POWER - 1)


@functools.lru_cache(maxsize=2)
def _soft_basis(x_min: float, points: int) -> np.ndarray:
    z = np.exp(-_soft_quadrature(x_min, points)[0])
    x = grid.nodes(x_min, points)[:, None]
    return grid.basis(np.minimum(x / z, 1.0), x_min, points)
