"""A HistFactory workspace as a stage: a function of parameters and of any template."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.likelihood.histfactory import derive, model
from diffpipe.pipelines.physics.likelihood.histfactory.diagnosis import told
from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "histfactory"
EVENTS = ("nominal", "shift_lo", "shift_hi")  # arrays of templates that are events in bins
FACTORS = ("norm_lo", "norm_hi")


def histfactory(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Any],
    *,
    at: Mapping[str, Sequence[int]],
    templates: Mapping[str, Mapping[str, Any]],
    channels: Mapping[str, int],  # noqa: ARG001  for `explain_histfactory`
) -> dict[str, Array]:
    """The likelihood of a workspace, differentiable in parameters and templates.

    Outputs: log_likelihood (), pyhf's logpdf; twice_nll () = -2 log L; expected (bin,), events.
    Inputs: workspace, what the reader `histfactory` gives; templates from other stages, each of the
    shape of what it replaces; observed (bin,), in place of the workspace's. What follows from a
    template follows from one that is replaced: the widths of its shapesys and staterror.
    Parameters that are not given stay where the measurement starts them.
    Options are those that `companions.py` makes of a user's: at, where each parameter is in theta;
    templates, where each input goes; channels, bins of each, in order.
    Raises ValueError for shapes that do not agree.
    """
    tables = tables_of(inputs, templates)
    theta = theta_of(parameters, tables["init"], at)
    log_likelihood = model.log_likelihood(theta, tables, tables["data"])
    return {
        "log_likelihood": log_likelihood,
        "twice_nll": -2.0 * log_likelihood,
        "expected": model.expected_bins(theta, tables),
    }


def check_histfactory(
    parameters: Mapping[str, Any],  # noqa: ARG001  the stage's own arguments
    inputs: Mapping[str, Any],
    *,
    templates: Mapping[str, Mapping[str, Any]],
    **options: Any,  # noqa: ARG001
) -> None:
    """Refuse templates that are negative, empty or no numbers, with channel, sample and bin."""
    for name, place in templates.items():
        values = np.atleast_1d(np.asarray(inputs[name]))
        where = f"the input {name} ({place['label']})"
        positive = place["array"] in FACTORS
        wrong = np.flatnonzero(~np.isfinite(values) | (values < 0.0) | (positive & (values == 0.0)))
        if wrong.size:
            raise RefusedError(
                f"{where}: bin {wrong[0]} is {values[wrong[0]]:g}",
                hint=f"a template is {'above zero' if positive else 'zero or above'} in every bin",
            )
        if place["array"] in EVENTS and not values.any():
            raise RefusedError(
                f"{where} is empty: zero in all {values.size} bins",
                hint="look at the weights and the bin edges of the histogram it comes from",
            )


def explain_histfactory(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    at: Mapping[str, Sequence[int]],
    templates: Mapping[str, Mapping[str, Any]],
    channels: Mapping[str, int],
) -> str | None:
    """Which bin has no likelihood."""

    def run(numbers: Any, given: Any) -> Any:
        tables = tables_of(given, templates)
        theta = theta_of(numbers, tables["init"], at)
        return model.expected_bins(theta, tables), tables["data"]

    expected, data = jax.jit(run)(dict(parameters), dict(inputs))
    return told(expected, data, channels)


def tables_of(
    inputs: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]
) -> dict[str, Array]:
    """The tables of the workspace with templates of other stages in their places."""
    arrays = {name: jnp.asarray(each) for name, each in inputs["workspace"].items()}
    for name, place in templates.items():
        old = arrays[place["array"]]
        at = np.array(place["at"], np.int32)
        given = _shaped(name, place["label"], inputs[name], len(at))
        arrays[place["array"]] = old.reshape(-1).at[at].set(given).reshape(old.shape)
    if "observed" in inputs:
        bins = arrays["observed"].shape[0]
        label = "the observations of all channels"
        arrays["observed"] = _shaped("observed", label, inputs["observed"], bins)
    return derive.tables(arrays, jnp)


def theta_of(
    parameters: Mapping[str, Array], start: Array, at: Mapping[str, Sequence[int]]
) -> Array:
    theta = start
    for name, indices in at.items():
        given = _shaped(name, "the parameter set", parameters[name], len(indices))
        theta = theta.at[np.array(indices, np.int32)].set(given)
    return theta


def _shaped(name: str, label: str, values: Array, size: int) -> Array:
    """Values as (size,); a scalar is a list of one."""
    given = jnp.atleast_1d(values)
    if given.shape != (size,):
        raise ValueError(
            f"{STAGE}: {name} has the shape {values.shape}, {label} has {size} numbers; check that "
            "the bins are those of the workspace"
        )
    return given
