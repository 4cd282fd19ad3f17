"""What is special to a fit of parton densities: pseudo-data, the table of their response, chi^2."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.pdf import flavours as pdf_flavours
from diffpipe.pipelines.physics.pdf import grid, options
from diffpipe.pipelines.physics.pdf.inputs import catalogue, neural_network
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

STAGE = "pdf_fit"


def density(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    **precision: Any,
) -> dict[str, Array]:
    """The neural network's momentum densities x f at its q0, on the nodes of the grid.

    Parameters: those of the input `nn`; what is not given has its starting value. Output: density
    (11, x). Options: precision, x_min and points, as those of `pdf_operator`.
    """
    return {"density": catalogue.density(neural_network.NN, parameters, _nodes(precision))}


def table(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    flavours: Sequence[str],
    x: Sequence[float],
    **precision: Any,
) -> dict[str, Array]:
    """How each data point responds to the densities at q0: the "FK table" of arXiv:2109.02653.

    A data point is x f(x, Q) of one flavour at one x and Q; they are ordered by flavour, Q, x.
    Input: operator (q, flavour, x, flavour, x) of `pdf_operator`. Output: table (point, flavour,
    node). Options: flavours, names; x, rising; precision, x_min and points, as of `pdf_operator`.
    """
    read = _interpolation(x, precision)
    rows = inputs["operator"][:, _places(flavours)]
    made = jnp.einsum("px,qfxgy->fqpgy", read, rows, optimize="optimal")
    return {"table": made.reshape(-1, *made.shape[3:])}


def pseudo_data(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    flavours: Sequence[str],
    x: Sequence[float],
    relative: float,
    floor: float,
    seed: int,
    **precision: Any,
) -> dict[str, Array]:
    """What an experiment would measure of known densities: their values with Gaussian noise.

    The error of a point is that relative to its value and a floor, added in quadrature.
    Input: grid (x, q, flavour) of `pdf_evolution`. Outputs: truth, measured, error, each (point,),
    points as in `table`. Options: those of `table`; relative; floor, in x f; seed of the noise.
    """
    checks.not_negative(STAGE, "relative", relative)
    checks.positive_number(STAGE, "floor", floor)
    checks.integer(STAGE, "seed", seed, at_least=0)
    chosen = inputs["grid"][:, :, _places(flavours)]
    truth = jnp.einsum("px,xqf->fqp", _interpolation(x, precision), chosen).reshape(-1)
    error = jnp.hypot(relative * truth, jnp.asarray(floor))
    # this stream of numbers never changes between versions
    noise = np.random.RandomState(seed).normal(size=truth.size)
    return {"truth": truth, "measured": truth + error * noise, "error": error}


def prediction(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """The densities at the data points, (point,): `table` times `density`."""
    return {"prediction": jnp.tensordot(inputs["table"], inputs["density"], axes=2)}


def chi2(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """chi2 (), and its pulls (point,) = (prediction - measured)/error, of independent points."""
    pulls = (inputs["prediction"] - inputs["measured"]) / inputs["error"]
    return {"chi2": pulls @ pulls, "pulls": pulls}


def _nodes(precision: Mapping[str, Any]) -> np.ndarray:
    plan = options.plan(**precision)
    return grid.nodes(plan.x_min, plan.points)


def _interpolation(x: Sequence[float], precision: Mapping[str, Any]) -> np.ndarray:
    """From densities on the nodes to those at x, shape (point, node)."""
    plan, values = options.plan(**precision), checks.rising(STAGE, "x", x, at_least=1)
    if not plan.x_min <= values[0] <= values[-1] < 1.0:
        raise RefusedError(
            f"{STAGE}: option x must lie between {plan.x_min:g} and 1, got {values[0]:g} to "
            f"{values[-1]:g}",
            hint="lower x_min, in every stage",
        )
    return grid.basis(np.array(values), plan.x_min, plan.points)


def _places(names: Sequence[str]) -> np.ndarray:
    """Where flavours stand on their axis."""
    for name in names:
        if name not in pdf_flavours.FLAVOURS:
            hint = did_you_mean(name, pdf_flavours.FLAVOURS)
            raise RefusedError(f"{STAGE}: there is no flavour {name!r}", hint=hint)
    return np.array([pdf_flavours.FLAVOURS.index(name) for name in names], np.int32)
