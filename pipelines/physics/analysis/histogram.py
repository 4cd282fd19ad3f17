"""Weighted histograms with hard edges, and moments per bin."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics import checks

STAGE = "histogram"


def histogram(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    bins: Sequence[Mapping[str, Sequence[float]]],
    moments: Sequence[str] = (),
) -> dict[str, Array]:
    """Sums of weights, and of weights times each variable in `moments`, per bin.

    Inputs: weight (event,); every binned variable and every variable of `moments`, each (event,).
    Outputs: moments (bins, 1 + len(moments)) with rows [sum w, sum w v1, ...] in the weight's unit
    times the variable's; sigma_pb (), the sum of weights over all bins.
    Options: bins, a list of groups; a group maps variable names to rising edges and stands for
    all combinations of its intervals, the last name running fastest; bins are numbered group after
    group. An interval holds its lower edge and not its upper. Events outside every bin count
    nowhere.
    Raises ValueError for a wrong option or an input that is missing.
    """
    groups = [parse_group(number, group) for number, group in enumerate(_listed(bins))]
    _check_inputs(groups, moments, inputs)
    weight = inputs["weight"]
    values = jnp.stack([weight, *(weight * inputs[name] for name in moments)], axis=1)
    total = jnp.concatenate([_group_sums(group, inputs, values) for group in groups])
    return {"moments": total, "sigma_pb": jnp.sum(total[:, 0])}


def parse_group(number: int, group: object) -> dict[str, list[float]]:
    """The edges of one group of bins by variable."""
    if not isinstance(group, Mapping) or not group:
        raise ValueError(
            f"{STAGE}: bins[{number}] must map variables to edges, such as {{m_ll: [60, 120]}}, "
            f"got {group!r}"
        )
    return {
        str(name): checks.rising(STAGE, f"bins[{number}].{name}", edges, at_least=2)
        for name, edges in group.items()
    }


def _listed(bins: object) -> Sequence[object]:
    if isinstance(bins, str) or not isinstance(bins, Sequence) or not bins:
        raise ValueError(f"{STAGE}: option bins must be a list of groups, got {bins!r}")
    return bins


def _check_inputs(
    groups: Sequence[Mapping[str, object]], moments: object, inputs: Mapping[str, Array]
) -> None:
    if isinstance(moments, str) or not isinstance(moments, Sequence):
        raise ValueError(f"{STAGE}: option moments must be a list of inputs, got {moments!r}")
    needed = {"weight", *(name for group in groups for name in group), *moments}
    missing = needed - inputs.keys()
    if missing:
        raise ValueError(
            f"{STAGE}: bins, moments and weight need the inputs {sorted(missing)}, which are not "
            f"given; got {sorted(inputs)}"
        )


def _group_sums(
    group: Mapping[str, list[float]], events: Mapping[str, Array], values: Array
) -> Array:
    """Sums of values (event, k) over the bins of one group, (bins of the group, k)."""
    number, bins = jnp.zeros(values.shape[0], dtype=jnp.int32), 1
    inside = jnp.ones(values.shape[0], dtype=bool)
    for name, edges in group.items():
        interval = _interval(events[name], edges)
        inside = inside & (interval >= 0) & (interval < len(edges) - 1)
        number, bins = number * (len(edges) - 1) + interval, bins * (len(edges) - 1)
    slot = jnp.where(inside, number, bins)  # one slot more, for events outside
    sums = jnp.zeros((bins + 1, values.shape[1]), values.dtype)
    return sums.at[slot].add(values, mode="promise_in_bounds")[:bins]


def _interval(variable: Array, edges: Sequence[float]) -> Array:
    """Number of the interval that holds each value: -1 below the edges, len(edges) - 1 above."""
    passed = variable[:, None] >= jnp.asarray(edges)[None, :]
    return jnp.sum(passed, axis=1, dtype=jnp.int32) - 1
