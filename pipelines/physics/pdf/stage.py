"""The stage that evolves parton densities and tabulates them for events."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.pdf import coupling, evolution, grid, kernels
from diffpipe.pipelines.physics.pdf.inputs import INPUTS, MSTW2008LO

STAGE = "pdf_evolution"
PARAMETER_PREFIX = "pdf."
THRESHOLDS = {3: "m_c", 4: "m_b"}  # the mass at which one flavour is added to nf
MIN_POINTS = 10
MIN_SCALES = 4  # interpolation in ln Q is cubic


def pdf_evolution(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    *,
    scales: Sequence[float] | Mapping[str, float],
    order: str = "LO",
    input: str = MSTW2008LO,
    q0: float = 1.0,
    flavours: Sequence[int] = (3, 4, 5),
    x_min: float = 1e-5,
    points: int = 70,
    steps: int = 12,
    steps_between_scales: int = 2,
) -> dict[str, Array]:
    """Parton densities of the proton by DGLAP evolution, on a grid in x and Q.

    Parameters: alphas_q0 = alpha_s(q0) with flavours[0] flavours; m_c, m_b (GeV, pole) for the
    thresholds passed; those of the `input` under their names with "pdf." before.
    Outputs: grid (x, q, flavour), x f(x, Q) in the order of `flavours.FLAVOURS` (u d s c b, their
    antiquarks, g); x (x,), falling; ln_q (q,), Q in GeV; alphas (q,); momentum_sum (), the share of
    the proton's momentum found at the highest scale, with a power of x below x_min.
    Options: scales, rising Q in GeV, or {min, max, count} spaced evenly in ln Q: all of them are
    reached with flavours[-1] flavours, so they belong above the last threshold; q0 in GeV;
    flavours, consecutive; x_min, points of the grid; Runge-Kutta steps to each threshold and to the
    first scale, and between two scales.
    Raises ValueError for a wrong option.
    Source: arXiv:0901.0002 (input), hep-ph/0204316, section 1.3 (conventions and benchmark).
    """
    q, start = _scales(scales), checks.positive_number(STAGE, "q0", q0)
    settings = _settings(order, flavours, x_min, points, steps, steps_between_scales)
    checks.one_of(STAGE, "input", input, INPUTS)
    x = grid.nodes(settings.x_min, settings.points)
    own = {name.removeprefix(PARAMETER_PREFIX): value for name, value in parameters.items()}
    evolved = evolution.evolve(
        INPUTS[input](own, x),
        parameters["alphas_q0"] / coupling.FOUR_PI,
        start,
        [parameters[THRESHOLDS[nf]] for nf in settings.flavours[:-1]],
        q,
        settings,
    )
    return {
        "grid": evolved.densities,
        "x": jnp.asarray(x),
        "ln_q": jnp.asarray(np.log(q)),
        "alphas": coupling.FOUR_PI * evolved.a,
        "momentum_sum": _momentum(jnp.sum(evolved.densities[:, -1], axis=1), x, settings),
    }


def _momentum(total: Array, x: np.ndarray, settings: evolution.Settings) -> Array:
    """int_0^1 F dx of the summed densities F (n,); below x_min F is a power of x."""
    power = jnp.log(total[-1] / total[-2]) / float(np.log(x[-1] / x[-2]))
    above = total @ grid.momentum_weights(settings.x_min, settings.points)
    return above + settings.x_min * total[-1] / (1.0 + power)


def _scales(scales: object) -> np.ndarray:
    if isinstance(scales, Mapping):
        checks.known_keys(STAGE, "option scales", scales, {"min", "max", "count"}, set())
        count = checks.integer(STAGE, "scales.count", scales["count"], at_least=MIN_SCALES)
        ends = checks.rising(STAGE, "scales", [scales["min"], scales["max"]], at_least=2)
        checks.positive_number(STAGE, "scales.min", ends[0])
        return np.geomspace(ends[0], ends[1], count)
    values = checks.rising(STAGE, "scales", scales, at_least=MIN_SCALES)
    checks.positive_number(STAGE, "scales[0]", values[0])
    return np.array(values)


def _settings(
    order: object,
    flavours: object,
    x_min: object,
    points: object,
    steps: object,
    steps_between_scales: object,
) -> evolution.Settings:
    if checks.positive_number(STAGE, "x_min", x_min) > 0.1:
        raise ValueError(f"{STAGE}: option x_min must not be above 0.1, got {x_min!r}")
    return evolution.Settings(
        checks.one_of(STAGE, "order", order, kernels.ORDERS),
        _flavours(flavours),
        checks.positive_number(STAGE, "x_min", x_min),
        checks.integer(STAGE, "points", points, at_least=MIN_POINTS),
        checks.integer(STAGE, "steps", steps, at_least=1),
        checks.integer(STAGE, "steps_between_scales", steps_between_scales, at_least=1),
    )


def _flavours(flavours: object) -> tuple[int, ...]:
    allowed = [(low, *range(low + 1, high + 1)) for low in (3, 4, 5) for high in range(low, 6)]
    if isinstance(flavours, str) or not isinstance(flavours, Sequence):
        raise ValueError(
            f"{STAGE}: option flavours must be a list such as [3, 4, 5], got {flavours!r}"
        )
    if tuple(flavours) not in allowed:
        raise ValueError(
            f"{STAGE}: option flavours must be consecutive numbers from 3 to 5, such as "
            f"[3, 4, 5] or [4], got {list(flavours)!r}"
        )
    return tuple(flavours)
