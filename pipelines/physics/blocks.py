"""Evaluation of per-event functions in blocks of events that fit the processor's cache.

The blocks are an inner matter of a stage: what is computed per event does not depend on them. In
the reverse pass a block is evaluated again rather than kept, so memory does not grow with events.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import Array


def map_blocks(
    function: Callable[[Mapping[str, Array]], Array], events: Mapping[str, Array], block: int
) -> Array:
    """function of all events, (event, ...), evaluated at most `block` events at a time.

    Blocks have one size, so that the function is compiled once: the last one is filled up with
    copies of the last event, whose values are dropped.
    """
    count = next(iter(events.values())).shape[0]
    if count <= block:
        return function(events)
    blocks = -(-count // block)
    size = -(-count // blocks)
    shaped = {name: _cut(column, blocks, size) for name, column in events.items()}
    result = jax.lax.map(jax.checkpoint(function), shaped)
    return result.reshape(blocks * size, *result.shape[2:])[:count]


def _cut(column: Array, blocks: int, size: int) -> Array:
    """A column as (block, event of the block, ...)."""
    missing = blocks * size - column.shape[0]
    if missing:
        column = jnp.concatenate([column, jnp.repeat(column[-1:], missing, axis=0)])
    return column.reshape(blocks, size, *column.shape[1:])
