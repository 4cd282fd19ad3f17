"""What evolves: columns of densities on the grid, sorted by the kernel that each evolves with.

A column is one density, or one column of an evolution operator: the evolution does not ask. The
gluon stands above Sigma in the columns of the singlet. There is room for the T_k and V_k of every
flavour that is to come; until then their columns are zero.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.kernels.tables import MatchingMatrices


class State(NamedTuple):
    """Columns on a grid of n nodes; of densities, m at a time."""

    singlet: Array  # (2n, m): g above Sigma
    plus: Array  # (n, (room - 1) m): T3, T8, ..., each with its m columns
    minus: Array  # (n, (room - 1) m): V3, V8, ...
    valence: Array  # (n, m): V


def from_flavours(densities: Array, nf: int, room: int) -> State:
    """From x f of shape (flavour, n, m), with room for so many flavours."""
    rows = jnp.einsum("rf,fnm->rnm", flavours.to_basis(nf, len(densities)), densities)
    _, n, m = rows.shape
    return with_room(
        State(
            rows[:2].reshape(2 * n, m),
            _side_by_side(rows[2 : nf + 1]),
            _side_by_side(rows[nf + 2 :]),
            rows[nf + 1],
        ),
        room - nf,
    )


def with_room(state: State, flavours_to_come: int) -> State:
    """The state with columns of zeros for flavours to come."""
    more_plus = flavours_to_come * state.singlet.shape[1]
    more_minus = flavours_to_come * state.valence.shape[1]
    return state._replace(
        plus=jnp.pad(state.plus, ((0, 0), (0, more_plus))),
        minus=jnp.pad(state.minus, ((0, 0), (0, more_minus))),
    )


def to_flavours(state: State, projection: Array) -> Array:
    """x f of shape (flavour, n, m), by a matrix of `flavours.to_physical` (flavour, row)."""
    n, m = state.valence.shape
    rows = [
        state.singlet.reshape(2, n, m),
        _stacked(state.plus, m),
        state.valence[None],
        _stacked(state.minus, m),
    ]
    return jnp.einsum("fr,rnm->fnm", projection, jnp.concatenate(rows))


def gain_flavour(
    state: State, nf: Array, to_come: Array, a: Array, matching: MatchingMatrices | None
) -> State:
    """The state of nf + 1 flavours from that of nf at the threshold of the new one.

    to_come: how many flavours there is still room for. a: the coupling with nf + 1 flavours.
    Without `matching` (up to NLO) all densities go on, and the new flavour starts from zero.
    """
    gluon, quarks = jnp.split(state.singlet, 2)
    heavy = jnp.zeros_like(quarks)
    if matching is not None:
        a2 = a * a
        heavy = a2 * (matching.hq @ quarks + matching.hg @ gluon)
        gluon = gluon + a2 * (matching.gq @ quarks + matching.gg @ gluon)
        light = [block + a2 * (matching.qq @ block) for block in (quarks, *state[1:])]
        quarks, state = light[0], State(state.singlet, *light[1:])
    return State(
        jnp.concatenate([gluon, quarks + heavy]),
        _put(state.plus, quarks - nf.astype(a.dtype) * heavy, to_come),
        _put(state.minus, state.valence, to_come),
        state.valence,
    )


def lose_flavour(state: State, nf: Array, a: Array, matching: MatchingMatrices | None) -> State:
    """The state of nf - 1 flavours from that of nf: the inverse of `gain_flavour`.

    a: the coupling with nf flavours. What the heavy flavour has beyond its perturbative part is
    dropped; its T and V stand on, without a meaning.
    """
    m = state.valence.shape[1]
    gluon, total = jnp.split(state.singlet, 2)
    number = nf.astype(total.dtype)
    heavy_row = jax.lax.dynamic_slice_in_dim(state.plus, (nf - 2) * m, m, axis=1)
    quarks = ((number - 1.0) * total + heavy_row) / number  # without the heavy flavour
    light = [quarks, *state[1:]]
    if matching is not None:
        a2, unit = a * a, jnp.eye(len(gluon))
        light = [jnp.linalg.solve(unit + a2 * matching.qq, block) for block in light]
        gluon = jnp.linalg.solve(unit + a2 * matching.gg, gluon - a2 * (matching.gq @ light[0]))
    return State(jnp.concatenate([gluon, light[0]]), *light[1:])


def _put(columns: Array, new: Array, to_come: Array) -> Array:
    """`new` in the first place of those that are left."""
    width = new.shape[1]
    start = columns.shape[1] - to_come * width
    return jax.lax.dynamic_update_slice_in_dim(columns, new, start, axis=1)


def _side_by_side(rows: Array) -> Array:
    """(row, n, m) to (n, row * m)."""
    return jnp.moveaxis(rows, 0, 1).reshape(rows.shape[1], -1)


def _stacked(columns: Array, m: int) -> Array:
    """(n, row * m) to (row, n, m)."""
    n, width = columns.shape
    return jnp.moveaxis(columns.reshape(n, width // m, m), 1, 0)
