"""Gradients through discrete choices, by their probability, with a control variate.

Events that came out of a random choice (accepted or not, which branch) have a value that does not
move with the parameters; its expectation does, since the choice has a probability p:

    d E[f] = E[f d ln p + d f].

A weight w exp(ln p - ln p(fixed)), which is w, has that derivative. Scores d ln p average to zero,
so for independent events the mean score of the others may be taken from each,

    d w_i = w_i (d ln p_i - mean over j != i of d ln p_j),

which is to say that for a figure of merit F = sum_i w_i f_i

    d F = sum_i d ln p_i (w_i f_i - mean over j != i of w_j f_j):

the score function with the leave-one-out mean as baseline, whatever stage makes f of the events.
It has the same expectation and a variance smaller by about that of f over the mean square of f.

Sources: R. J. Williams, Machine Learning 8 (1992) 229 (the estimator and its baseline);
J. Foerster et al., arXiv:1802.05098 (the weight that is one); M. Kagan and L. Heinrich,
arXiv:2308.16680 (branching processes in particle physics).
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics import checks

STAGE = "score_function"
LEAVE_ONE_OUT, NONE = BASELINES = ("leave_one_out", "none")


def score_function(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    baseline: str = LEAVE_ONE_OUT,
) -> dict[str, Array]:
    """Weights, unchanged in value, that carry the derivative of the probability of the choices.

    Inputs: log_probability (event,), ln p of all choices of an event, differentiable in the
    parameters; weight (event,), 1 if not given; value (event,) or (event, k), optional, figures of
    merit of what came after the choices.
    Outputs: weight (event,), the given one to the bit; with `value`, total () or (k,), the sum of
    weight times value over events (`sum: true`).
    The derivative of any sum over events of weight times a figure of merit (a histogram's bin, for
    one) estimates that of its expectation without bias; its noise falls as one over the root of the
    number of events.
    Option: baseline, leave_one_out, which asks for events whose choices are independent, and takes
    the mean over the other events of the shard (so the noise, not the expectation, of a gradient
    depends on the size of shards); or none.
    Raises ValueError for a wrong option or shape.
    """
    checks.one_of(STAGE, "baseline", baseline, BASELINES)
    log_probability = inputs["log_probability"]
    _check_column("log_probability", log_probability, log_probability.shape)
    given = inputs.get("weight", jnp.ones_like(log_probability))
    _check_column("weight", given, log_probability.shape)
    zero = log_probability - jax.lax.stop_gradient(log_probability)
    weight = given * jnp.exp(_centred(zero) if baseline == LEAVE_ONE_OUT else zero)
    if "value" not in inputs:
        return {"weight": weight}
    return {"weight": weight, "total": _total(weight, inputs["value"])}


def _centred(score: Array) -> Array:
    """Each score less the mean of all others; as it is where there is no other."""
    others = score.size - 1
    if others < 1:
        return score
    return score - (jnp.sum(score) - score) / others


def _total(weight: Array, value: Array) -> Array:
    _check_column("value", value[:, 0] if value.ndim == 2 else value, weight.shape)
    return jnp.einsum("e,e...->...", weight, value)


def _check_column(name: str, column: Array, shape: tuple[int, ...]) -> None:
    if column.ndim != 1 or column.shape != shape:
        raise ValueError(
            f"{STAGE}: input {name} has shape {column.shape}; one number for each of "
            f"{shape[0] if shape else 0} events is needed"
        )
