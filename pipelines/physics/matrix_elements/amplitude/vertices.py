"""Vertices: what the waves that enter give in the open slot. One small function each.

Waves as in `waves`; k are the entering momenta as components (4, event). Products of vectors are
V.U = (a d' + d a' - b c' - c b')/2. Spinors that enter are psi; adjoint spinors are called chi.
"""

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from jax import Array

from diffpipe.pipelines.physics.matrix_elements.amplitude.kernel import kernel
from diffpipe.pipelines.physics.matrix_elements.amplitude.waves import Spinor

_METRIC = 0.5 * np.array([1.0, -1.0, -1.0, 1.0])[:, None]
_SWAPPED = np.array([1.0, -1.0])[:, None]
Coupling = Any  # a number, an array over events, or None


def lowered(v: Array) -> Array:
    """The components that sum with another vector's to their product."""
    return v[..., ::-1, :] * _METRIC


@kernel
def dot(v: Array, u: Array) -> Array:
    """V.U, with an axis of length 1 for components."""
    return (v * lowered(u)).sum(axis=-2, keepdims=True)


def _halves(matrix: Array) -> Array:
    """(..., 4, event) as (..., 2, 2, event)."""
    return matrix.reshape(*matrix.shape[:-2], 2, 2, matrix.shape[-1])


def times(matrix: Array, spinor: Array) -> Array:
    """(V0 + V.sigma) psi."""
    rows = _halves(matrix)
    return rows[..., 0, :] * spinor[..., None, 0, :] + rows[..., 1, :] * spinor[..., None, 1, :]


def transposed_times(matrix: Array, spinor: Array) -> Array:
    """chi (V0 + V.sigma)."""
    rows = _halves(matrix)
    return (
        rows[..., 0, :, :] * spinor[..., 0, None, :] + rows[..., 1, :, :] * spinor[..., 1, None, :]
    )


def _turned(spinor: Array) -> Array:
    """(psi_2, -psi_1)."""
    return spinor[..., ::-1, :] * _SWAPPED


def adjugate_times(matrix: Array, spinor: Array) -> Array:
    """(V0 - V.sigma) psi; the adjugate of M is e M^T e^-1 with e psi = (psi_2, -psi_1)."""
    return -_turned(transposed_times(matrix, _turned(spinor)))


def transposed_adjugate_times(matrix: Array, spinor: Array) -> Array:
    """chi (V0 - V.sigma)."""
    return -_turned(times(matrix, _turned(spinor)))


def spinor_vector(psi: Spinor, v: Array, left: Coupling, right: Coupling) -> Spinor:
    """V-slash (gL P_L + gR P_R) psi."""
    return Spinor(_scaled(right, adjugate_times, v, psi.right), _scaled(left, times, v, psi.left))


def adjoint_vector(chi: Spinor, v: Array, left: Coupling, right: Coupling) -> Spinor:
    """chi V-slash (gL P_L + gR P_R)."""
    return Spinor(
        _scaled(left, transposed_times, v, chi.right),
        _scaled(right, transposed_adjugate_times, v, chi.left),
    )


def _scaled(
    coupling: Coupling, function: Callable[[Array, Array], Array], v: Array, half: Array | None
) -> Array | None:
    """coupling * function(v, half), where either may be absent."""
    return None if coupling is None or half is None else coupling * function(v, half)


def spinor_spinor_vector(chi: Spinor, psi: Spinor, left: Coupling, right: Coupling) -> Array | None:
    """chi gamma^mu (gL P_L + gR P_R) psi, by Fierz: 2 psi chi, and its adjugate for left halves."""
    parts = []
    if chi.right is not None and psi.left is not None and left is not None:
        parts.append(left * _outer(_turned(chi.right), _turned(psi.left)))
    if chi.left is not None and psi.right is not None and right is not None:
        parts.append(right * _outer(psi.right, chi.left))
    return total(parts)


def _outer(first: Array, second: Array) -> Array:
    """2 first second^T as a vector's components."""
    product = 2.0 * first[..., :, None, :] * second[..., None, :, :]
    return product.reshape(*product.shape[:-3], 4, product.shape[-1])


def total(parts: Sequence[Array]) -> Array | None:
    """The sum; None of nothing."""
    return reduce(operator.add, parts) if parts else None


def spinor_scalar(psi: Spinor, s: Array, y: Coupling) -> Spinor:
    """y S psi, for psi or chi."""
    return Spinor(*(None if half is None else y * s * half for half in psi))


def spinor_spinor(chi: Spinor, psi: Spinor) -> Array | None:
    """chi psi, with an axis of length 1 for components."""
    return total(
        [
            (one * other).sum(axis=-2, keepdims=True)
            for one, other in zip(chi, psi, strict=True)
            if one is not None and other is not None
        ]
    )


def vector_vector(v: Array, u: Array, kv: Array, ku: Array, kw: Array) -> Array:
    """V.U (kv - ku) + (ku - kw).V U + (kw - kv).U V: three vectors, the third open.

    Peskin and Schroeder, An Introduction to Quantum Field Theory, fig. 16.1, kw entering.
    """
    return dot(v, u) * (kv - ku) + dot(v, ku - kw) * u + dot(u, kw - kv) * v


def four_vectors(partner: Array, v: Array, u: Array) -> Array:
    """2 (V.U) partner - (partner.U) V - (partner.V) U: W W with two W, photons or Z."""
    return 2.0 * dot(v, u) * partner - dot(partner, u) * v - dot(partner, v) * u


def four_gluons(v: Array, u: Array, w: Array) -> Array:
    """(V.W) U - (U.W) V: the part with colours f(V, U, e) f(W, open, e)."""
    return dot(v, w) * u - dot(u, w) * v


def gluons_to_scalar(v: Array, u: Array, kv: Array, ku: Array) -> Array:
    """(kv.ku)(V.U) - (V.ku)(U.kv): the effective vertex."""
    return dot(kv, ku) * dot(v, u) - dot(v, ku) * dot(u, kv)


def gluon_scalar(v: Array, s: Array, kv: Array, kw: Array) -> Array:
    """(kv.kw) V - (V.kw) kv times S: the same with one gluon open, kw entering."""
    return (dot(kv, kw) * v - dot(v, kw) * kv) * s


def product(*scalars: Any) -> Any:
    """Scalars and at most one vector, multiplied."""
    found = scalars[0]
    for each in scalars[1:]:
        found = found * each
    return found
