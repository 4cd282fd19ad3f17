"""What is special to the toy: its blobs, a small network, and templates out of histograms."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtri

STAGE = "neos_toy"


def blobs(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    means: Mapping[str, Sequence[float]],
) -> dict[str, Array]:
    """Points of normal distributions in the plane, unit covariance, one of each blob an event.

    Input: unit (event, 2), uniform in the unit square, which the inverse of the normal distribution
    function makes normal; all blobs are the same points about other means. Outputs: those of the
    means by name (event, 2), and weight (event,), one.
    Option: means, {blob: [x, y]}.
    Source: the toy of arXiv:2203.05570, whose blobs share their random numbers too.
    """
    centres = {name: _mean(name, mean) for name, mean in means.items()}
    normal = ndtri(inputs["unit"])
    points = {name: normal + centre[None, :] for name, centre in centres.items()}
    return {**points, "weight": jnp.ones(normal.shape[0])}


def network(parameters: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """A small network's output for the points of each blob, (event,) by name, between 0 and 1.

    sigmoid(w_2 . tanh(w_1^T x + b_1) + b_2): parameters w_1 (2, unit), b_1 (unit,), w_2 (unit,) and
    b_2 (). Inputs: points x (event, 2) of blobs, by name.
    """
    w_1, b_1, w_2, b_2 = (parameters[name] for name in ("w_1", "b_1", "w_2", "b_2"))

    def output(points: Array) -> Array:
        hidden = jnp.tanh(points @ w_1 + b_1[None, :])
        return jax.nn.sigmoid(hidden @ w_2 + b_2)

    return {name: output(points) for name, points in inputs.items()}


def templates(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    yields: Mapping[str, float],
) -> dict[str, Array]:
    """Expected events in bins, (bin,) of each blob by name, out of one histogram of all blobs.

    Input: moments (blobs x bins, 1), sums of weights, one group of bins for each blob, which holds
    every event of it. Each group is scaled to its yield.
    Option: yields, {blob: expected events}, in the order of the groups.
    """
    sums = inputs["moments"][:, 0]
    if not yields or sums.size % len(yields):
        raise ValueError(
            f"{STAGE}: the histogram has {sums.size} bins, which {len(yields)} blobs cannot share; "
            "give each blob of option yields a group of as many bins"
        )
    groups = sums.reshape(len(yields), -1)
    named = zip(yields.items(), groups, strict=True)
    return {name: events * group / jnp.sum(group) for (name, events), group in named}


def loss(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """log_cls (), the logarithm of the input cls (): as steep however small CLs has become."""
    return {"log_cls": jnp.log(inputs["cls"])}


def _mean(name: str, mean: Sequence[float]) -> np.ndarray:
    if isinstance(mean, str) or not isinstance(mean, Sequence) or len(mean) != 2:
        raise ValueError(f"{STAGE}: option means: {name} must be [x, y], got {mean!r}")
    return np.array(mean, np.float64)
