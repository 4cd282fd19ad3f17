"""Weighted histograms and moments per bin: hard edges, Gaussian kernels, or one for the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.analysis import binning, hard, kde, scalars
from diffpipe.pipelines.physics.analysis.binning import Group
from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "histogram"
HARD, KDE, STRAIGHT_THROUGH = MODES = ("hard", "kde", "straight_through")

Bandwidth = float | str | Mapping[str, float | str] | None
Sums = Callable[[Group, Array, int], Array]  # of values times share^power over bins


def histogram(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    bins: Sequence[Mapping[str, Sequence[float] | str]],
    moments: Sequence[str] = (),
    mode: str = HARD,
    bandwidth: Bandwidth = None,
    overflow: bool = False,
    variance: bool = False,
) -> dict[str, Array]:
    """Sums of weights, and of weights times each variable in `moments`, per bin.

    Inputs: weight (event,); every binned variable and every variable of `moments`, each (event,);
    edges by name, (interval + 1,).
    Outputs: moments (bins, 1 + len(moments)) with rows [sum w, sum w v1, ...] in the weight's unit
    times the variable's; sigma_pb (), the sum of weights over all bins; with `variance`, variance
    (bins,), the sum of w^2 in a bin, which estimates the variance of sum w. All are sums over
    events: a pipeline declares them `sum: true`.
    Options:
    bins, a list of groups; a group maps variable names to rising edges (numbers, or the name of an
    input that holds them) and stands for all combinations of its intervals, the last name running
    fastest; bins are numbered group after group.
    mode: hard, where an interval holds its lower edge and not its upper, and derivatives are those
    of the weights alone; kde, where an event of bandwidth h has the share Phi((b - x)/h) -
    Phi((a - x)/h) in the interval (a, b), of up to three variables, and w times the share counts as
    its weight: exact derivatives of a value that is biased by O(h^2); straight_through, the values
    and weight derivatives of hard, and in variables and edges the derivatives of kde: biased, and
    no finite difference can show them.
    bandwidth: h for kde and straight_through, a number in the variable's unit or the name of a
    parameter, one for all variables or a mapping of variables to such. Well below the width of the
    bins, the bias is small; at a fifth of it, mostly below a percent.
    overflow: the first and last interval of each variable hold what lies beyond; without it, events
    outside every bin count nowhere.
    Raises ValueError for a wrong option or an input that is missing.
    Sources: arXiv:2203.05570 (kde); Y. Bengio et al., arXiv:1308.3432 (straight-through).
    """
    _check_options(mode, bandwidth, moments, overflow, variance)
    binning.check_given(STAGE, {"weight", *moments}, inputs)
    groups = binning.parse(STAGE, bins, inputs)
    widths = _bandwidths(groups, mode, bandwidth, parameters)
    sums = _sums(mode, inputs, widths, overflow)
    weight = inputs["weight"]
    values = jnp.stack([weight, *(weight * inputs[name] for name in moments)], axis=1)
    total = jnp.concatenate([sums(group, values, 1) for group in groups])
    found = {"moments": total, "sigma_pb": jnp.sum(total[:, 0])}
    if variance:
        squares = (weight**2)[:, None]
        found["variance"] = jnp.concatenate([sums(group, squares, 2)[:, 0] for group in groups])
    return found


def check_histogram(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    bins: Any,
    mode: str = HARD,
    bandwidth: Bandwidth = None,
    **options: Any,  # noqa: ARG001  the runner gives all
) -> None:
    """Refuse weights that are not finite, edges that fall and bandwidths not above zero."""
    weight = np.asarray(inputs["weight"])
    if not np.isfinite(weight).all():
        event = int(np.argmin(np.isfinite(weight)))
        raise RefusedError(
            f"{STAGE}: the weight of event {event} is {weight[event]}",
            hint="look at the stage that gives the weights",
        )
    groups = binning.parse(STAGE, bins, inputs)
    binning.check_rising(STAGE, groups)
    for variable, width in _bandwidths(groups, mode, bandwidth, parameters).items():
        scalars.check_positive(STAGE, f"the bandwidth of {variable}", width)


def _check_options(
    mode: object, bandwidth: object, moments: object, overflow: object, variance: object
) -> None:
    checks.one_of(STAGE, "mode", mode, MODES)
    if isinstance(moments, str) or not isinstance(moments, Sequence):
        raise ValueError(f"{STAGE}: option moments must be a list of inputs, got {moments!r}")
    for name, value in (("overflow", overflow), ("variance", variance)):
        if not isinstance(value, bool):
            raise ValueError(f"{STAGE}: option {name} must be true or false, got {value!r}")
    if (bandwidth is None) != (mode == HARD):
        raise ValueError(
            f"{STAGE}: option bandwidth goes with mode {KDE} or {STRAIGHT_THROUGH}, and is needed "
            f"there; got bandwidth {bandwidth!r} with mode {mode}"
        )


def _bandwidths(
    groups: Sequence[Group], mode: str, said: Bandwidth, parameters: Mapping[str, Any]
) -> dict[str, Array]:
    """The bandwidth of each variable; none for hard edges."""
    if mode == HARD:
        return {}
    for group in groups:
        if len(group) > kde.MOST_VARIABLES:
            raise ValueError(
                f"{STAGE}: mode {mode} takes groups of at most {kde.MOST_VARIABLES} variables, got "
                f"{[axis.variable for axis in group]}"
            )
    names = dict.fromkeys(axis.variable for group in groups for axis in group)
    each = said if isinstance(said, Mapping) else dict.fromkeys(names, said)
    if set(each) != set(names):
        raise ValueError(
            f"{STAGE}: option bandwidth must name the binned variables {sorted(names)}, got "
            f"{sorted(map(str, each))}"
        )
    return {
        name: scalars.positive(STAGE, f"bandwidth.{name}", each[name], parameters) for name in names
    }


def _sums(
    mode: str, events: Mapping[str, Array], widths: Mapping[str, Array], overflow: bool
) -> Sums:
    fixed = jax.lax.stop_gradient
    used = widths if mode == KDE else jax.tree.map(fixed, dict(widths))

    def steps(group: Group, values: Array, power: int) -> Array:
        del power  # a share is 0 or 1
        return hard.sums(group, events, values, overflow=overflow)

    def kernels(group: Group, values: Array, power: int) -> Array:
        return kde.sums(group, events, values, used, overflow=overflow, power=power)

    def straight_through(group: Group, values: Array, power: int) -> Array:
        smooth = kernels(group, fixed(values), power)
        return steps(group, values, power) + (smooth - fixed(smooth))

    return {HARD: steps, KDE: kernels, STRAIGHT_THROUGH: straight_through}[mode]
