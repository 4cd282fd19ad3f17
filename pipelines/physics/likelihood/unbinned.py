"""Unbinned likelihood of events, and the Poisson term that extends it by their number."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln

from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "unbinned"


def unbinned(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """-2 sum w log p over events with probability density p.

    Inputs: density p (event,), normalised over the space of events, above zero, in the inverse
    unit of that space; weight w (event,), 1 if not given.
    Outputs, each a sum over events (`sum: true`): twice_nll (); events (), the sum of weights.
    Errors from the curvature are those of data only for weights of 1.
    Raises ValueError for shapes that do not agree.
    """
    density = inputs["density"]
    weight = inputs.get("weight", jnp.ones_like(density))
    if density.ndim != 1 or density.shape != weight.shape:
        raise ValueError(
            f"{STAGE}: needs density (event,) and weight (event,), got {density.shape} and "
            f"{weight.shape}"
        )
    return {"twice_nll": -2.0 * jnp.sum(weight * jnp.log(density)), "events": jnp.sum(weight)}


def explain_unbinned(
    parameters: Mapping[str, Any],  # noqa: ARG001  the runner gives both
    inputs: Mapping[str, Any],
) -> str | None:
    """Which event of a shard has no logarithm, if one has not."""
    for name, least in (("density", 0.0), ("weight", -np.inf)):
        values = np.asarray(inputs.get(name, np.ones(1)))
        bad = np.flatnonzero(~(np.isfinite(values) & (values > least)))
        if bad.size:
            more = f", and of {bad.size - 1} more" if bad.size > 1 else ""
            return f"the {name} of event {bad[0]} of the shard{more} is {values[bad[0]]:.6g}"
    return None


def check_unbinned(parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Refuse densities that are not above zero and weights that are not finite, by event."""
    problem = explain_unbinned(parameters, inputs)
    if problem is not None:
        hint = "densities have to be above zero and finite wherever there are events"
        raise RefusedError(problem, hint=hint)


def extended(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """-2 log L of events and of their number N, which is Poisson with expectation nu.

    Inputs, each (): twice_nll and events (N), from `unbinned`; expected nu, above zero.
    Output: twice_nll () = the one given - 2 (N log nu - nu - log Gamma(N + 1)).
    Source: Barlow, Nucl. Instrum. Methods A 297 (1990) 496.
    """
    number, expected = inputs["events"], inputs["expected"]
    log_poisson = number * jnp.log(expected) - expected - gammaln(number + 1.0)
    return {"twice_nll": inputs["twice_nll"] - 2.0 * log_poisson}
