"""The momentum-fraction grid: nodes, interpolation basis and quadrature of F = x f(x).

The nodes are uniform in u(x) = ln(1/x) + 8 (1 - x), which is logarithmic at small x and linear at
large x: x_j = x(j h), j = 1..n, so x falls with j and x_n = x_min. The point x = 1 is no node, as
F(1) = 0. Between nodes F is a piecewise polynomial in u times (1 - x)^3; without that factor the
large-x tail, which falls like a high power of 1 - x, is lost.
"""

import functools

import numpy as np

LARGE_X_DENSITY = 8.0
LARGE_X_POWER = 3
BASIS_DEGREE = 5
GAUSS_POINTS_PER_CELL = 16


def u_of_x(x: np.ndarray) -> np.ndarray:
    """The variable in which the nodes are uniform: u = ln(1/x) + 8 (1 - x)."""
    return -np.log(x) + LARGE_X_DENSITY * (1.0 - x)


def x_of_u(u: np.ndarray) -> np.ndarray:
    """The inverse of `u_of_x`, by Newton steps in ln x: u is concave in it, so they converge."""
    log_x = -np.asarray(u, dtype=np.float64)
    for _ in range(60):
        x = np.exp(log_x)
        log_x = log_x + (u_of_x(x) - u) / (1.0 + LARGE_X_DENSITY * x)
    return np.exp(log_x)


@functools.lru_cache(maxsize=8)
def nodes(x_min: float, points: int) -> np.ndarray:
    """The nodes x_j, shape (points,), falling from just below 1 to x_min."""
    spacing = _spacing(x_min, points)
    return x_of_u(spacing * np.arange(1, points + 1))


def _spacing(x_min: float, points: int) -> float:
    return float(u_of_x(np.array(x_min))) / points


def basis(x: np.ndarray, x_min: float, points: int) -> np.ndarray:
    """Values w_j(x) with F(x) = sum_j w_j(x) F(x_j), shape (*x.shape, points); all zero at x = 1.

    Lagrange polynomials of degree 5 in u on the six nodes around the cell of x, times
    (1 - x)^3 / (1 - x_j)^3. x must lie in [x_min, 1].
    """
    spacing = _spacing(x_min, points)
    position = u_of_x(x) / spacing - 1.0  # node j is at position j - 1
    first = np.clip(
        np.floor(position).astype(int) - BASIS_DEGREE // 2, 0, points - 1 - BASIS_DEGREE
    )
    stencil = first[..., None] + np.arange(BASIS_DEGREE + 1)
    ratio = ((1.0 - x)[..., None] / (1.0 - nodes(x_min, points)[stencil])) ** LARGE_X_POWER
    values = np.zeros((*x.shape, points))
    np.put_along_axis(values, stencil, ratio * _lagrange(position - first), axis=-1)
    return values


def _lagrange(position: np.ndarray) -> np.ndarray:
    """Lagrange polynomials of degree 5 on the nodes 0..5, shape (*position.shape, 6)."""
    offsets = np.arange(BASIS_DEGREE + 1)
    factors = np.ones((*position.shape, BASIS_DEGREE + 1))
    for node in offsets:
        others = offsets != node
        factors[..., others] *= (position[..., None] - node) / (offsets[others] - node)
    return factors


def gauss(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    node, weight = np.polynomial.legendre.leggauss(points)
    return 0.5 * (node + 1.0), 0.5 * weight


def cell_quadrature(x_min: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Points x and weights for the integral over d ln x, per cell, each (points, 16).

    Cell j lies between x_j and x_(j-1), where x_0 = 1.
    """
    edges = np.concatenate([[0.0], np.log(nodes(x_min, points))])
    node, weight = gauss(GAUSS_POINTS_PER_CELL)
    width = (edges[:-1] - edges[1:])[:, None]
    return np.exp(edges[1:, None] + width * node), width * weight


@functools.lru_cache(maxsize=8)
def moment_weights(x_min: float, points: int, power: int) -> np.ndarray:
    """Weights m_j with int_{x_min}^1 x^(power - 1) F(x) dx = sum_j m_j F(x_j), shape (points,)."""
    x, weight = cell_quadrature(x_min, points)
    return np.einsum("cp,cpj->j", x**power * weight, basis(x, x_min, points))
