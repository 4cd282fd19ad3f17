"""What is special to top-quark pairs: their kinematics, hadronic weight and mass spectrum."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.constants import GEV2_PB
from diffpipe.pipelines.physics.pdf import flavours, interpolation
from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "ttbar"
QUARKS = len(flavours.QUARKS)
FALL = 4  # events are spread as m^-FALL falls, about as the cross section does
AZIMUTH = 0.0  # unpolarised beams along z have no preferred azimuth


def kinematics(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    collider_energy: float,
    edges: Sequence[float],
) -> dict[str, Array]:
    """Mass and rapidity of the pair and the direction of the top, from numbers of fixed ranges.

    Panels of the mass are the bins of its histogram. The first begins at the threshold 2 MT, and
    its masses move with MT; all others stay. So no event ever changes its bin, and derivatives of
    binned cross sections with respect to MT are exact. At the way v through a panel (a, b):

        first     m = 2 MT + (b - 2 MT) v^2: phase space times dm/dv goes as v^2 dv at threshold
        others    m^-4 = a^-4 + (b^-4 - a^-4) v

    Parameters: MT in GeV. Inputs, each (event,): panel, number of the panel plus v; boost in
    (-1, 1), y over its limit ln(sqrt(S)/m); polar in (0, 1), (1 + cos(theta))/2.
    Outputs: m_tt (event,) in GeV; rapidity (event,); angles (event, 2), what `phase_space` takes;
    jacobian (event,), d(m, y)/d(panel, boost) in GeV.
    Options: collider_energy sqrt(S) in GeV; edges of the panels in GeV, 2 MT being in the first.
    """
    energy, edges = _panels(collider_energy, edges)
    number, way = _split(inputs["panel"], len(edges) - 1)
    near, far = _from_threshold(parameters["MT"], edges[1], way), _falling(edges, number, way)
    m_tt, slope = (jnp.where(number == 0, *each) for each in zip(near, far, strict=True))
    limit = jnp.log(energy / m_tt)
    azimuth = jnp.full_like(inputs["polar"], AZIMUTH)
    return {
        "m_tt": m_tt,
        "rapidity": limit * inputs["boost"],
        "angles": jnp.stack([inputs["polar"], azimuth], axis=1),
        "jacobian": slope * limit,
    }


def check_kinematics(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],  # noqa: ARG001  the runner gives both
    *,
    edges: Sequence[float],
    **options: Any,  # noqa: ARG001
) -> None:
    """Refuse a threshold outside the first panel (the runner calls it for one shard)."""
    threshold = 2.0 * float(parameters["MT"])
    if not edges[0] <= threshold < edges[1]:
        raise RefusedError(
            f"the threshold 2 MT = {threshold:g} GeV is outside the first bin, "
            f"{edges[0]:g} to {edges[1]:g} GeV",
            hint="choose another MT, or move the first two edges of m_tt",
        )


def weight(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    collider_energy: float,
    block: int = 1024,
) -> dict[str, Array]:
    """Contribution of each event to the cross section of p p -> t t~ X, pb.

    d sigma = sum_ij dx1 dx2 f_i(x1) f_j(x2) |M_ij|^2/(2 s) dPhi_2 at s = m^2, momentum fractions
    x1,2 = m/sqrt(S) exp(+-y) and densities at Q = MT. The light quarks are alike, and exchanging
    the beams leaves |M|^2 as it is at this order.
    Parameters: MT in GeV. Inputs: m_tt in GeV, rapidity, jacobian in GeV, density (events per unit
    volume of panel, boost and polar), phase_space (int dPhi_2 where |M|^2 is 1), gluons and quarks
    (|M|^2 of g g and q q~, spins and colours averaged), each (event,); grid, x, ln_q from
    `pdf_evolution`. Output: weight (event,) in pb.
    An event with x2 below the grid has weight NaN: lower x_min.
    Options: collider_energy sqrt(S) in GeV; block, events evaluated at a time.
    Source: Ellis, Stirling and Webber, QCD and Collider Physics, chapters 7 (cross sections of
    hadrons) and 10 (heavy quarks).
    """
    energy = checks.positive_number(STAGE, "collider_energy", collider_energy)
    checks.integer(STAGE, "block", block, at_least=1)
    table = _at_scale(inputs, parameters["MT"])
    names = ("m_tt", "rapidity", "jacobian", "density", "phase_space", "gluons", "quarks")
    columns = {name: inputs[name] for name in names}
    return {"weight": map_blocks(lambda e: _weights(table, e, energy), columns, block)}


def spectrum(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    edges: Sequence[float],
) -> dict[str, Array]:
    """d sigma/d m over the bins of the mass.

    Input: moments (bin, 1), the cross section in each bin, pb. Output: dsigma_dm (bin,), pb/GeV,
    averaged over the bin (the first one from its lower edge, not from the threshold).
    Option: edges of the bins, GeV.
    """
    widths = np.diff(checks.rising(STAGE, "edges", edges, at_least=2))
    return {"dsigma_dm": inputs["moments"][:, 0] / widths}


def _panels(collider_energy: float, edges: Sequence[float]) -> tuple[float, list[float]]:
    energy = checks.positive_number(STAGE, "collider_energy", collider_energy)
    rising = checks.rising(STAGE, "edges", edges, at_least=2)
    if not 0.0 < rising[0] < rising[-1] <= energy:
        raise ValueError(
            f"{STAGE}: option edges must be above zero and not above the collider energy "
            f"{energy:g} GeV, got {rising}"
        )
    return energy, rising


def _split(place: Array, panels: int) -> tuple[Array, Array]:
    """The number of each event's panel, and the way through it."""
    number = jnp.clip(jnp.floor(place), 0.0, panels - 1.0)
    return number.astype(jnp.int32), place - number


def _from_threshold(top_mass: Array, upper: float, way: Array) -> tuple[Array, Array]:
    """m and dm/dv in the first panel."""
    span = upper - 2.0 * top_mass
    return 2.0 * top_mass + span * way**2, 2.0 * span * way


def _falling(edges: Sequence[float], number: Array, way: Array) -> tuple[Array, Array]:
    """m and dm/dv in the other panels."""
    power = jnp.asarray(edges) ** -FALL
    low, high = power[number], power[number + 1]
    m_tt = (low + (high - low) * way) ** (-1.0 / FALL)
    return m_tt, (low - high) * m_tt ** (FALL + 1) / FALL


def _at_scale(inputs: Mapping[str, Array], scale: Array) -> interpolation.Table:
    """The densities at one scale in GeV, as a table that holds no other."""
    grid, x, ln_q = inputs["grid"], inputs["x"], inputs["ln_q"]
    (weights,) = interpolation.scale_weights(
        interpolation.table(grid, x, ln_q), jnp.log(scale)[None]
    )
    return interpolation.table(jnp.einsum("xqf,q->xf", grid, weights)[:, None], x, ln_q[:1])


def _weights(table: interpolation.Table, events: Mapping[str, Array], energy: float) -> Array:
    m_tt, boost = events["m_tt"], jnp.exp(events["rapidity"])
    fractions = jnp.concatenate([m_tt / energy * boost, m_tt / energy / boost])
    both = interpolation.densities(table, fractions, jnp.ones((fractions.size, 1)))
    first, second = jnp.split(both, 2)
    squared = _summed(first, second, events["gluons"], events["quarks"])
    # d x1 d x2 f f = (2 m/S) dm dy f f, and x1 x2 = m^2/S turns f f into x f x f
    measure = 2.0 / m_tt * events["jacobian"] / events["density"]
    return GEV2_PB * measure * squared * events["phase_space"] / (2.0 * m_tt**2)


def _summed(first: Array, second: Array, gluons: Array, quarks: Array) -> Array:
    """Sum over partons of x f of the first beam, x f of the second (event, 11) and |M|^2."""
    swapped = jnp.roll(second[:, : 2 * QUARKS], QUARKS, axis=1)  # the antiparton of each
    annihilating = jnp.sum(first[:, : 2 * QUARKS] * swapped, axis=1)
    return first[:, flavours.GLUON] * second[:, flavours.GLUON] * gluons + annihilating * quarks
