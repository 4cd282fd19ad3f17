"""Poisson likelihood of observed numbers of events."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln

from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "poisson"


def poisson(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """-2 log L of observed numbers of events n in bins that expect nu.

    Inputs: expected nu (bin,), above zero; observed n (bin,), not below zero, whole or not (Asimov
    data are not).
    Outputs: twice_nll () = -2 sum(n log nu - nu - log Gamma(n + 1)), constants included; saturated
    () = 2 sum(nu - n + n log(n/nu)), -2 log of the likelihood over that of a model with nu = n: it
    tells how good the fit is, as chi^2 does (Baker and Cousins, Nucl. Instrum. Methods 221 (1984)
    437); pulls (bin,) = (nu - n)/sqrt(nu).
    Raises ValueError for shapes that do not agree.
    """
    expected, observed = inputs["expected"], inputs["observed"]
    if expected.ndim != 1 or expected.shape != observed.shape:
        raise ValueError(
            f"{STAGE}: needs expected (bin,) and observed (bin,), got {expected.shape} and "
            f"{observed.shape}; check that the histogram's bins are those of the data"
        )
    log_likelihood = observed * jnp.log(expected) - expected - gammaln(observed + 1.0)
    above = expected - observed
    # n log(n/nu) and its derivatives are zero for n = 0
    logarithm = jnp.log(jnp.where(observed == 0.0, expected, observed) / expected)
    deviance = above + observed * logarithm
    return {
        "twice_nll": -2.0 * jnp.sum(log_likelihood),
        "saturated": 2.0 * jnp.sum(deviance),
        "pulls": above / jnp.sqrt(expected),
    }


def check_poisson(
    parameters: Mapping[str, Any],  # noqa: ARG001  the runner gives both
    inputs: Mapping[str, Any],
) -> None:
    """Refuse negative numbers of events, and bins that expect none, naming them from 0."""
    expected, observed = np.asarray(inputs["expected"]), np.asarray(inputs["observed"])
    _refuse("observed", observed, observed >= 0.0, "numbers of events are not below zero")
    _refuse(
        "expected",
        expected,
        expected > 0.0,
        "a bin needs an expectation above zero: merge bins, or take this one out",
    )


def _refuse(name: str, values: np.ndarray, good: np.ndarray, hint: str) -> None:
    good = good & np.isfinite(values)
    if not good.all():
        bins = np.flatnonzero(~good)
        first = bins[0]
        more = f", and {len(bins) - 1} more" if len(bins) > 1 else ""
        raise RefusedError(f"{name} is {values[first]:.6g} in bin {first}{more}", hint=hint)
