"""Bin edges at weighted quantiles, from a fine histogram that was summed over all events."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "quantile_bins"


def quantile_bins(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    edges: Sequence[float] | Mapping[str, Any],
    quantiles: Sequence[float],
) -> dict[str, Array]:
    """Where the cumulative weight reaches given fractions of the total.

    Weight is taken as spread evenly over each fine bin, so that an edge is exact to the width of
    the fine bin that it lies in, and moves smoothly with its content and with what lies below; its
    derivative with respect to the variable comes from a fine histogram with kernels (mode: kde).
    Input: moments (fine bins, k), a histogram whose first column holds the weights, not negative.
    Output: edges (len(quantiles),), in the variable's unit, what `histogram` takes as edges by
    name.
    Options: edges of the fine bins, rising, or {range: [low, high], count: of equal bins};
    quantiles, rising fractions from 0 to 1, where 0 and 1 stand for the outermost fine edges. At a
    fraction that is reached in an empty stretch, the edge is at the end of that stretch.
    Raises ValueError for a wrong option or shape.
    """
    fine, fractions = _fine(edges), _fractions(quantiles)
    content = _content(inputs["moments"], fine.size - 1)
    cumulative = jnp.concatenate([jnp.zeros(1), jnp.cumsum(content)])
    reached = jnp.asarray(fractions) * cumulative[-1]
    below = jnp.searchsorted(cumulative, reached, side="right") - 1
    below = jnp.clip(below, 0, content.size - 1)
    way = (reached - cumulative[below]) / jnp.where(content[below] > 0.0, content[below], 1.0)
    found = jnp.asarray(fine)[below] + way * jnp.asarray(np.diff(fine))[below]
    ends = jnp.where(fractions == 0.0, fine[0], fine[-1])
    return {"edges": jnp.where((fractions > 0.0) & (fractions < 1.0), found, ends)}


def check_quantile_bins(
    parameters: Mapping[str, Any],  # noqa: ARG001  the runner gives both
    inputs: Mapping[str, Any],
    **options: Any,  # noqa: ARG001
) -> None:
    """Refuse negative contents, and a histogram without any."""
    content = np.asarray(inputs["moments"])[:, 0]
    if (content < 0.0).any():
        first = int(np.argmax(content < 0.0))
        raise RefusedError(
            f"{STAGE}: fine bin {first} has the content {content[first]!r}",
            hint="quantiles need weights that are not negative; take wider fine bins",
        )
    if not content.sum() > 0.0:
        raise RefusedError(
            f"{STAGE}: empty selection: all {content.size} fine bins are empty",
            hint="loosen the cuts, or let the fine bins cover the variable's range",
        )


def _fine(edges: object) -> np.ndarray:
    if not isinstance(edges, Mapping):
        return np.array(checks.rising(STAGE, "edges", edges, at_least=2))
    checks.known_keys(STAGE, "edges", edges, {"range", "count"}, set())
    low, high = _ends(checks.rising(STAGE, "edges.range", edges["range"], at_least=2))
    return np.linspace(
        low, high, checks.integer(STAGE, "edges.count", edges["count"], at_least=1) + 1
    )


def _ends(values: list[float]) -> list[float]:
    if len(values) != 2:
        raise ValueError(f"{STAGE}: option edges.range must be [low, high], got {values}")
    return values


def _fractions(quantiles: object) -> np.ndarray:
    found = checks.rising(STAGE, "quantiles", quantiles, at_least=1)
    if found[0] < 0.0 or found[-1] > 1.0:
        raise ValueError(f"{STAGE}: option quantiles must lie in [0, 1], got {found}")
    return np.array(found)


def _content(moments: Array, bins: int) -> Array:
    if moments.ndim != 2 or moments.shape[0] != bins:
        raise ValueError(
            f"{STAGE}: input moments has shape {moments.shape}; {bins} fine bins are those of the "
            f"option edges, so ({bins}, 1 or more) is needed"
        )
    return moments[:, 0]
