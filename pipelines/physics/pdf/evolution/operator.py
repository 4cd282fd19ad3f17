"""The evolution operator: from the densities at q0 on the grid to those at each scale.

What evolves are unit columns, of which there are few: all T_k of flavours known at q0 evolve alike,
as do all V_k, and what appears at a threshold follows from Sigma, g and V.
"""

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.evolution import state
from diffpipe.pipelines.physics.pdf.evolution.state import State


def unit(points: int, flavours_to_come: int) -> State:
    """Unit columns: of g and Sigma, of any T_k, of any V_k, of V."""
    one = jnp.eye(points)
    return state.with_room(State(jnp.eye(2 * points), one, one, one), flavours_to_come)


def in_flavours(now: State, projection: Array, nf_at_start: int) -> Array:
    """The operator (flavour, x, flavour at q0, x at q0) from evolved unit columns.

    projection: a matrix of `flavours.to_physical`, (flavour, row).
    """
    axis, rows = projection.shape
    start = flavours.to_basis(nf_at_start, axis)
    by_row = jnp.einsum("rsij,sg->rigj", _in_basis(now, rows // 2, nf_at_start), start)
    return jnp.einsum("fr,rigj->figj", projection, by_row)


def _in_basis(now: State, room: int, nf_at_start: int) -> Array:
    """Between rows g, Sigma, T_k, V, V_k: shape (2 room + 1, 2 nf_at_start + 1, n, n)."""
    n = len(now.valence)
    blocks = jnp.zeros((2 * room + 1, 2 * nf_at_start + 1, n, n))
    blocks = blocks.at[:2, :2].set(jnp.moveaxis(now.singlet.reshape(2, n, 2, n), 2, 1))
    blocks = blocks.at[room + 1, nf_at_start + 1].set(now.valence)
    for k in range(2, nf_at_start + 1):
        blocks = blocks.at[k, k].set(now.plus[:, :n])
        blocks = blocks.at[room + k, nf_at_start + k].set(now.minus[:, :n])
    for new, k in enumerate(range(nf_at_start + 1, room + 1)):
        plus = now.plus[:, n * (1 + 2 * new) : n * (3 + 2 * new)].reshape(n, 2, n)
        blocks = blocks.at[k, :2].set(jnp.moveaxis(plus, 1, 0))
        minus = now.minus[:, n * (1 + new) : n * (2 + new)]
        blocks = blocks.at[room + k, nf_at_start + 1].set(minus)
    return blocks
