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
    """function of all events, (event, ...), evaluated `block` events at a time."""
    count = next(iter(events.values())).shape[0]
    cut = count // block * block
    parts = []
    if cut:
        whole = {name: c[:cut].reshape(-1, block, *c.shape[1:]) for name, c in events.items()}
        result = jax.lax.map(jax.checkpoint(function), whole)
        parts.append(result.reshape(cut, *result.shape[2:]))
    if count > cut:
        parts.append(function({name: column[cut:] for name, column in events.items()}))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts)
