"""Many directions at once: their tangents stacked, one row each, and products with them."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.frameworks.base import Push

_TOGETHER_BYTES = 1 << 24  # of arrays that move, all rows of a batch; what is made of them is more


def stacked(push: Push, given: Any, tangents: Any) -> tuple[Any, Any]:
    """What moves, and its tangents with a row per direction: zero where an input does not move.

    given: (parameters, inputs); tangents: theirs.
    """
    parameters, inputs = given
    moving = dict(push.inputs)
    point = {
        "parameters": {name: parameters[name] for name in push.parameters},
        "inputs": {name: inputs[name] for name in moving},
    }
    along = {
        "parameters": {name: tangents[0][name] for name in push.parameters},
        "inputs": {
            name: _rows(push, name, numbers, tangents[1][name]) for name, numbers in moving.items()
        },
    }
    return point, along


def each_of(linear: Callable[[Any], Any], rows: Any) -> Any:
    """A function of each row of some arrays, as many at a time as memory should hold."""
    leaves = jax.tree.leaves(rows)
    count, nbytes = leaves[0].shape[0], sum(_row_bytes(each) for each in leaves)
    together = max(1, _TOGETHER_BYTES // max(1, nbytes))
    if count <= together:
        return jax.vmap(linear)(rows)
    return jax.lax.map(linear, rows, batch_size=together)


def in_front(name: str, value: Array, behind: frozenset[str]) -> Array:
    """The directions of an array in front, which in those with events are behind these."""
    return jnp.moveaxis(value, 1, 0) if name in behind else value


def behind(name: str, value: Array, those: frozenset[str]) -> Array:
    """The directions of an array where they are stored."""
    return jnp.moveaxis(value, 0, 1) if name in those else value


def inner(along: Any, slope: Any) -> Array:
    """The product of a gradient with each direction, (direction,)."""
    rows = jax.tree.map(lambda t, g: jnp.reshape(t, (t.shape[0], -1)) @ jnp.ravel(g), along, slope)
    return sum(jax.tree.leaves(rows), start=jnp.zeros(()))


def _row_bytes(rows: Array) -> int:
    return math.prod(rows.shape[1:]) * rows.dtype.itemsize


def _rows(push: Push, name: str, numbers: tuple[int, ...], tangent: Array) -> Array:
    first = in_front(name, tangent, push.event_inputs)
    if numbers == tuple(range(push.count)):
        return first
    zeros = jnp.zeros((push.count, *first.shape[1:]), first.dtype)
    return zeros.at[jnp.asarray(numbers, dtype=jnp.int32)].set(first)
