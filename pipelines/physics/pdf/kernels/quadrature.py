"""The matrix of a splitting function on the grid: K_ij = int_x_i^1 dz P(z) w_j(x_i/z).

It depends on the grid alone, not on coupling, masses or densities. Cells away from z = 1 are plain
Gauss sums over d ln xi, xi = x_i/z. In the cell that ends at z = 1 the delta function at node i is
subtracted under the plus distribution, whose integral from z_i = x_i/x_(i-1) leaves
plus ln(1 - z_i).
"""

import functools
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.physics.pdf import grid
from diffpipe.pipelines.physics.pdf.kernels.argument import Argument
from diffpipe.pipelines.physics.pdf.kernels.splitting import SplittingFunction

SOFT_GAUSS_POINTS = 28
SOFT_POWER = 4  # points crowd towards z = 1, where the subtracted integrand varies fastest


def matrix(function: SplittingFunction, x_min: float, points: int) -> np.ndarray:
    """K_ij of one splitting function, shape (points, points)."""
    hard, soft = _hard(x_min, points), _soft(x_min, points)
    diagonal = function.delta + function.plus * np.log(-np.expm1(soft.log_z_of_cell))
    return _hard_cells(function, hard) + _soft_cell(function, soft) + np.diag(diagonal)


class _Hard(NamedTuple):
    """Cells above node i that do not end at it; z is kept for the (node, cell) pairs there are."""

    argument: Argument  # (pair, p)
    measure: np.ndarray  # (pair, p), dz = z d ln xi with the weights of the points
    pairs: np.ndarray  # (node, cell), whether a cell lies above a node
    basis: np.ndarray  # (cell * p, j)


class _Soft(NamedTuple):
    """The cell between node i and the one above."""

    argument: Argument  # (i, p)
    measure: np.ndarray  # (i, p)
    basis: np.ndarray  # (i, p, j)
    log_z_of_cell: np.ndarray  # (i,), ln(x_i/x_(i-1))


@functools.lru_cache(maxsize=2)
def _hard(x_min: float, points: int) -> _Hard:
    log_x = np.log(grid.nodes(x_min, points))
    xi, weight = grid.cell_quadrature(x_min, points)
    pairs = np.arange(points)[None, :] < np.arange(points)[:, None]
    node, cell = np.nonzero(pairs)
    argument = Argument.of_log(np.log(xi)[cell] - log_x[node, None])
    basis = grid.basis(xi, x_min, points).reshape(-1, points)
    return _Hard(argument, weight[cell] * argument.z, pairs, basis)


def _hard_cells(function: SplittingFunction, hard: _Hard) -> np.ndarray:
    density = function.regular(hard.argument)
    if function.plus:
        density = density + function.plus / hard.argument.one_minus_z
    summand = np.zeros((*hard.pairs.shape, grid.GAUSS_POINTS_PER_CELL))
    summand[hard.pairs] = hard.measure * density
    return summand.reshape(len(summand), -1) @ hard.basis


@functools.lru_cache(maxsize=2)
def _soft(x_min: float, points: int) -> _Soft:
    x = grid.nodes(x_min, points)
    log_z_of_cell = np.diff(np.log(x), prepend=0.0)
    node, weight = grid.gauss(SOFT_GAUSS_POINTS)
    length = -log_z_of_cell[:, None]
    argument = Argument.of_log(length * node**SOFT_POWER)
    measure = weight * length * SOFT_POWER * node ** (SOFT_POWER - 1) * argument.z
    basis = grid.basis(np.minimum(x[:, None] / argument.z, 1.0), x_min, points)
    return _Soft(argument, measure, basis, log_z_of_cell)


def _soft_cell(function: SplittingFunction, soft: _Soft) -> np.ndarray:
    size = len(soft.basis)
    values = soft.measure * function.regular(soft.argument)
    matrix = np.einsum("ip,ipj->ij", values, soft.basis)
    if function.plus:
        plus = soft.measure * function.plus / soft.argument.one_minus_z
        matrix += np.einsum("ip,ipj->ij", plus, soft.basis - np.eye(size)[:, None, :])
    return matrix
