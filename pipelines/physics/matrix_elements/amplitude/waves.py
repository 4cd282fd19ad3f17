"""Wavefunctions of external legs, and the components in which waves are kept.

A vector V is kept as the matrix V0 + V.sigma = [[a, b], [c, d]], in the order a, b, c, d. A spinor
is kept in the chiral basis, gamma^mu = [[0, sigma^mu], [sigma-bar^mu, 0]], as its upper (left) and
lower (right) halves; None is a half that is zero. An adjoint spinor's halves are named after what
they multiply. Axes: one for every leg with several spin states (length 1 where the leg has no part
in the wave), components, events.

All wavefunctions are taken with the same light-like reference q = (1, n), n a direction that no
beam has, so that they and their derivatives are finite for every other momentum. Any complete set
of spin states gives the same sum. See R. Kleiss and W. J. Stirling, Nucl. Phys. B262 (1985) 235.
"""

from typing import Any, NamedTuple

import numpy as np
from jax import Array

from diffpipe.pipelines.physics.matrix_elements.amplitude.kernel import as_complex, namespace

DIRECTION = np.array([0.36, 0.48, 0.8])


class Spinor(NamedTuple):
    """Halves (..., 2, event)."""

    left: Array | None
    right: Array | None


def _reference() -> tuple[np.ndarray, np.ndarray]:
    """Spinors xi, mu with xi xi+ = 1 - n.sigma and mu mu+ = 1 + n.sigma."""
    x, y, z = DIRECTION
    mu = np.array([1.0 + z, x + 1j * y]) / np.sqrt(1.0 + z)
    xi = np.array([-(x - 1j * y), 1.0 + z]) / np.sqrt(1.0 + z)
    return xi, mu


XI, MU = _reference()


def momentum(p: Any) -> Array:
    """Components (4, event) of real momenta (event, 4), [E, px, py, pz]."""
    e, x, y, z = (p[:, i] for i in range(4))
    stack = namespace(p).stack
    return as_complex(stack([e + z, x, x, e - z]), stack([0.0 * e, -y, y, 0.0 * e]))


def reference_product(p: Array) -> Array:
    """2 p.q, (event,), for real momenta (event, 4)."""
    return 2.0 * (p[:, 0] - p[:, 1:] @ DIRECTION)


def _times_spinor(matrix: Array, spinor: np.ndarray) -> Array:
    """A vector's matrix (4, event) times a fixed spinor: (2, event)."""
    return matrix[0::2] * spinor[0] + matrix[1::2] * spinor[1]


def _flip(matrix: Array) -> Array:
    """The adjugate: the matrix of V0 - V.sigma."""
    return namespace(matrix).stack([matrix[3], -matrix[1], -matrix[2], matrix[0]])


def fermion(p: Array, mass: Array | None, *, anti: bool) -> tuple[Spinor, Spinor]:
    """The two states of u(p), or of v(p) for anti, halves (2, event).

    (p-slash +- m) chi/sqrt(2 p.q) with chi the two spinors of q: their sum over states is
    p-slash +- m. The first state of a massless fermion has only a right half, the second a left.
    """
    matrix, norm = momentum(p), reference_product(p) ** -0.5
    right, left = _times_spinor(matrix, XI) * norm, _times_spinor(_flip(matrix), MU) * norm
    if mass is None:
        return Spinor(None, right), Spinor(left, None)
    signed: Array = (-mass if anti else mass) * norm
    return Spinor(signed * XI[:, None], right), Spinor(left, signed * MU[:, None])


def adjoint(spinor: Spinor) -> Spinor:
    """psi-bar = psi+ gamma^0: its left half multiplies left halves."""
    left, right = spinor
    return Spinor(None if right is None else right.conj(), None if left is None else left.conj())


def vector(p: Array, mass: Array | None, *, outgoing: bool) -> list[Array]:
    """Polarisation vectors (4, event): two transverse ones, and the longitudinal if massive.

    e+ = P xi mu+/(sqrt(2) p.q) and its adjoint, with P the momentum's matrix, and
    (p - q m^2/p.q)/m; conjugated for outgoing legs. Massless ones are shifted along p to have no
    time component: with widths in the propagators results depend on that choice, the usual one.
    """
    matrix, twice = momentum(p), reference_product(p)
    half = _times_spinor(matrix, XI) * (np.sqrt(2.0) / twice)
    stack = namespace(p).stack
    plus = stack([half[i] * MU[j].conj() for i in (0, 1) for j in (0, 1)])
    minus = stack([half[j].conj() * MU[i] for i in (0, 1) for j in (0, 1)])
    transverse = [minus, plus] if outgoing else [plus, minus]
    if mass is None:
        return [each - matrix * ((each[0] + each[3]) * (0.5 / p[:, 0])) for each in transverse]
    q = momentum(np.array([[1.0, *DIRECTION]]))
    return [*transverse, (matrix - q * (2.0 * mass**2 / twice)) / mass]
