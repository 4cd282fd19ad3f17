"""Flavours of the grids and the evolution basis.

Order of the flavour axis everywhere outside the evolution: `FLAVOURS`, quarks, antiquarks, gluon.
The evolution basis for nf flavours, with q+- = q +- qbar:

    singlet  = (Sigma, g), Sigma = sum of q+
    plus     = (T3, T8, T15, ...), T_(k^2-1) = q1+ + ... + q(k-1)+ - (k-1) qk+, as in `QUARKS`
    valence  = V = sum of q-
    minus    = (V3, V8, V15, ...), built from q- as plus is from q+
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

QUARKS = ("u", "d", "s", "c", "b")
ANTIQUARKS = tuple(f"{quark}bar" for quark in QUARKS)
FLAVOURS = (*QUARKS, *ANTIQUARKS, "g")
GLUON = len(FLAVOURS) - 1


class Basis(NamedTuple):
    """Momentum densities F = x f in the evolution basis of nf flavours, x nodes last."""

    singlet: Array  # (2, n)
    plus: Array  # (nf - 1, n)
    valence: Array  # (1, n)
    minus: Array  # (nf - 1, n)


def rotation(nf: int) -> np.ndarray:
    """Rows Sigma (or V), T3, T8, ... over the quarks, shape (nf, nf)."""
    rows = np.tril(np.ones((nf, nf)), -1) - np.diag(np.arange(nf, dtype=np.float64))
    rows[0] = 1.0
    return rows


def to_basis(physical: Array, nf: int) -> Basis:
    """From x f of all `FLAVOURS`, shape (11, n); the flavours above nf are dropped."""
    quark, antiquark = physical[:nf], physical[len(QUARKS) : len(QUARKS) + nf]
    even = jnp.asarray(rotation(nf)) @ (quark + antiquark)
    odd = jnp.asarray(rotation(nf)) @ (quark - antiquark)
    return Basis(jnp.stack([even[0], physical[GLUON]]), even[1:], odd[:1], odd[1:])


def to_physical(state: Basis, nf: int) -> Array:
    """To x f of all `FLAVOURS`, shape (11, n); the flavours above nf are zero."""
    inverse = jnp.asarray(np.linalg.inv(rotation(nf)))
    even = inverse @ jnp.concatenate([state.singlet[:1], state.plus])
    odd = inverse @ jnp.concatenate([state.valence, state.minus])
    absent = jnp.zeros((len(QUARKS) - nf, even.shape[-1]))
    quark, antiquark = 0.5 * (even + odd), 0.5 * (even - odd)
    return jnp.concatenate([quark, absent, antiquark, absent, state.singlet[1:]])


def pack(state: Basis) -> Array:
    """All rows in one array, (2 nf + 1, n): fewer operations where rows are treated alike."""
    return jnp.concatenate(state)


def unpack(rows: Array) -> Basis:
    """The inverse of `pack`; further axes may come first."""
    nf = rows.shape[-2] // 2
    return Basis(
        rows[..., :2, :],
        rows[..., 2 : nf + 1, :],
        rows[..., nf + 1 : nf + 2, :],
        rows[..., nf + 2 :, :],
    )


def widen(state: Basis, nf: int) -> Basis:
    """The same state with room for nf flavours: zero T and V that are to arrive later."""
    room = nf - 1 - state.plus.shape[0]
    plus, minus = (jnp.pad(part, ((0, room), (0, 0))) for part in (state.plus, state.minus))
    return Basis(state.singlet, plus, state.valence, minus)


def add_flavours(state: Basis, arrives: Array) -> Basis:
    """Flavours at their threshold, where their density is zero (trivial matching).

    arrives (nf - 1,) marks rows of `plus` and `minus`: there T = Sigma and V_k = V.
    """
    rows = arrives[:, None]
    plus = jnp.where(rows, state.singlet[:1], state.plus)
    minus = jnp.where(rows, state.valence, state.minus)
    return Basis(state.singlet, plus, state.valence, minus)
