"""Densities given as values at nodes in x, interpolated to the nodes of the evolution.

Between nodes F = x f is a polynomial of degree 5 in u(x) = ln(1/x) + 8 (1 - x), through the six
nodes around, times (1 - x)^3: the interpolation of the evolution's own grid, for nodes anywhere.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.grid import LARGE_X_POWER, u_of_x
from diffpipe.pipelines.physics.pdf.inputs.base import Density
from diffpipe.pipelines.physics.refusal import RefusedError

STENCIL = 6
ROUNDING = 1e-9  # of a first node that is meant to be x_min
SMALLEST_LAST_NODE = 0.9  # from there to x = 1, where F = 0, it is fair to extrapolate
PIDS = tuple(flavours.pid(name) for name in flavours.FLAVOURS)


def from_table(x_nodes: np.ndarray, xf: Array, pids: Sequence[int] = PIDS) -> Density:
    """A density from its values x f (pid, node) at x_nodes, linear in them.

    pids: the PDG number of each row, by default the order of `FLAVOURS`; flavours without a row are
    zero. The density takes no parameters; xf may itself be traced. Raises RefusedError for nodes or
    numbers that cannot be used, and, when called, for x below the nodes.
    """
    unknown = set(pids) - set(PIDS)
    if unknown:
        raise RefusedError(
            f"a table of densities holds the PDG numbers {sorted(unknown)}",
            hint="leave those rows out: only d u s c b, their antiquarks and the gluon (21) evolve",
        )
    to_flavours = np.array([[float(pid == own) for pid in pids] for own in PIDS])

    def density(parameters: Mapping[str, Array], x: np.ndarray) -> Array:  # noqa: ARG001
        return to_flavours @ xf @ table_matrix(x_nodes, x).T

    return density


def table_matrix(x_nodes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Weights with F(x) = matrix @ F(x_nodes), shape (n, nodes): exact at the nodes.

    Both in any order, 0 < x < 1. A node at x = 1 is allowed and has no weight, as F is zero there.
    Raises RefusedError unless there are six nodes below 1, the last not below 0.9, and x lies at or
    above the first.
    """
    order = np.argsort(x_nodes)
    order = order[x_nodes[order] < 1.0]
    nodes = x_nodes[order]
    _check(nodes, x)
    position = np.searchsorted(nodes, x) - STENCIL // 2
    stencil = np.clip(position, 0, nodes.size - STENCIL)[:, None] + np.arange(STENCIL)
    ratio = ((1.0 - x)[:, None] / (1.0 - nodes[stencil])) ** LARGE_X_POWER
    matrix = np.zeros((x.size, x_nodes.size))
    values = ratio * _lagrange(u_of_x(nodes)[stencil], u_of_x(x))
    np.put_along_axis(matrix, order[stencil], values, axis=1)
    return matrix


def _lagrange(nodes: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Lagrange polynomials on each row of nodes (n, 6) at one point per row (n,)."""
    values = np.ones_like(nodes)
    for j in range(STENCIL):
        others = np.arange(STENCIL) != j
        values[:, others] *= (at[:, None] - nodes[:, j, None]) / (
            nodes[:, others] - nodes[:, j, None]
        )
    return values


def _check(nodes: np.ndarray, x: np.ndarray) -> None:
    """`nodes` are those below 1, rising."""
    if nodes.size < STENCIL or not np.all(np.diff(nodes) > 0.0) or nodes[0] <= 0.0:
        raise RefusedError(
            f"a table of densities needs {STENCIL} different nodes with 0 < x < 1, got {nodes}",
            hint="leave out repeated nodes",
        )
    if nodes[-1] < SMALLEST_LAST_NODE:
        raise RefusedError(
            f"a table of densities ends at x = {nodes[-1]:g}, far from 1",
            hint=f"give values up to x = {SMALLEST_LAST_NODE} at least; x = 1 may be among them",
        )
    if np.min(x) < nodes[0] * (1.0 - ROUNDING):
        raise RefusedError(
            f"a table of densities begins at x = {nodes[0]:g}, but x = {np.min(x):g} is asked for",
            hint="set x_min of the evolution to where the table begins, or above",
        )
