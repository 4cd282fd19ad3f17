"""Many directions at once: their tangents stacked, one row each, and products with them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.frameworks.base import Push


def stacked(push: Push, parameters: Any, inputs: Any, tangents: Any) -> tuple[Any, Any]:
    """What moves, and its tangents with a row per direction: zero where an input does not move."""
    seeded = dict.fromkeys(local for local, *_ in push.seeds)
    moving = dict(push.inputs)
    point = {
        "parameters": {name: parameters[name] for name in seeded},
        "inputs": {name: inputs[name] for name in moving},
    }
    along = {
        "parameters": {name: _unit_vectors(push, name, parameters[name]) for name in seeded},
        "inputs": {
            name: _rows(push, name, numbers, tangents[name]) for name, numbers in moving.items()
        },
    }
    return point, along


def inner(along: Any, slope: Any) -> Array:
    """The product of a gradient with each direction, (direction,)."""
    rows = jax.tree.map(lambda t, g: jnp.reshape(t, (t.shape[0], -1)) @ jnp.ravel(g), along, slope)
    return sum(jax.tree.leaves(rows), start=jnp.zeros(()))


def _unit_vectors(push: Push, name: str, value: Array) -> Array:
    flat = jnp.zeros((push.count, value.size))
    for local, component, number in push.seeds:
        if local == name:
            flat = flat.at[number, component].set(1.0)
    return flat.reshape(push.count, *value.shape)


def _rows(push: Push, name: str, numbers: tuple[int, ...], tangent: Array) -> Array:
    first = jnp.moveaxis(tangent, 1, 0) if name in push.event_inputs else tangent
    if numbers == tuple(range(push.count)):
        return first
    zeros = jnp.zeros((push.count, *first.shape[1:]), first.dtype)
    return zeros.at[jnp.asarray(numbers, dtype=jnp.int32)].set(first)
