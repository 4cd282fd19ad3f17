"""Options that are a number, or the local name of a parameter through which a gradient flows."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean


def scalar(stage: str, option: str, value: object, parameters: Mapping[str, Any]) -> Array:
    """What an option says, as a float64 scalar; ValueError for no number and no such parameter."""
    if isinstance(value, str):
        return _parameter(stage, option, value, parameters)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(
            f"{stage}: option {option} must be a finite number or the name of a parameter, got "
            f"{value!r}"
        )
    return jnp.asarray(float(value))


def positive(stage: str, option: str, value: object, parameters: Mapping[str, Any]) -> Array:
    """As `scalar`; a number is refused unless it is above zero, a parameter by `check_positive`."""
    if not isinstance(value, str):
        checks.positive_number(stage, option, value)
    return scalar(stage, option, value, parameters)


def check_positive(stage: str, option: str, value: Array) -> None:
    """RefusedError unless a concrete scalar is above zero."""
    if not float(value) > 0.0:
        raise RefusedError(
            f"{stage}: {option} must be above zero, got {float(value)!r}",
            hint="set the parameter that it names to a number above zero",
        )


def _parameter(stage: str, option: str, name: str, parameters: Mapping[str, Any]) -> Array:
    if name not in parameters:
        raise RefusedError(
            f"{stage}: option {option} names the parameter {name!r}, which the stage is not given",
            hint=did_you_mean(name, parameters) if parameters else f"write parameters: [{name}]",
        )
    if parameters[name].shape:
        raise RefusedError(
            f"{stage}: option {option} names the parameter {name!r} of shape "
            f"{parameters[name].shape}, and one number is needed"
        )
    return jnp.asarray(parameters[name])
