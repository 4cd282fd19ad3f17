"""Sums over bins with hard edges: linear in what is summed, constant in the binned variables."""

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.analysis.binning import Axis, Group


def sums(group: Group, events: Mapping[str, Array], values: Array, *, overflow: bool) -> Array:
    """Sums of values (event, k) over the bins of one group, (bins of the group, k)."""
    number, bins = jnp.zeros(values.shape[0], dtype=jnp.int32), 1
    inside = jnp.ones(values.shape[0], dtype=bool)
    for axis in group:
        interval = _interval(events[axis.variable], axis, overflow)
        inside = inside & (interval >= 0) & (interval < axis.intervals)
        number, bins = number * axis.intervals + interval, bins * axis.intervals
    slot = jnp.where(inside, number, bins)  # one slot more, for events outside
    total = jnp.zeros((bins + 1, values.shape[1]), values.dtype)
    return total.at[slot].add(values, mode="promise_in_bounds")[:bins]


def _interval(variable: Array, axis: Axis, overflow: bool) -> Array:
    """Number of the interval that holds each value: -1 below the edges, `intervals` above.

    With overflow the first and the last interval hold what lies outside.
    """
    passed = variable[:, None] >= axis.edges[None, :]
    number = jnp.sum(passed, axis=1, dtype=jnp.int32) - 1
    return jnp.clip(number, 0, axis.intervals - 1) if overflow else number
