"""What is special to e+ e- > mu+ mu-: its kinematics, cross sections and asymmetries by energy."""

import math
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.constants import GEV2_PB

STAGE = "ee_mumu"


def kinematics(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """Momenta of e+ e- > mu+ mu- in the centre-of-mass frame, masses neglected.

    Inputs: sqrt_s (event,) in GeV; cos_theta (event,), theta being the angle between e+ and mu+,
    which is that between e- and mu-. Output: momenta (event, 4, 4), [E, px, py, pz] in GeV, of
    e+ along +z, e-, mu+ in the x-z plane, mu-.
    """
    cosine = inputs["cos_theta"]
    sine = jnp.sqrt(1.0 - cosine**2)
    zero, one = jnp.zeros_like(cosine), jnp.ones_like(cosine)
    directions = [(zero, one), (zero, -one), (sine, cosine), (-sine, -cosine)]
    legs = [jnp.stack([one, x, zero, z], axis=1) for x, z in directions]
    return {"momenta": 0.5 * inputs["sqrt_s"][:, None, None] * jnp.stack(legs, axis=1)}


def weight(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """Contribution of each event to the cross section times the range of sqrt(s), pb GeV.

    d sigma/d cos(theta) = |M|^2/(32 pi s), over the density of events.
    Inputs, each (event,): squared, |M|^2 with spins summed and averaged; sqrt_s in GeV; density,
    events per GeV of sqrt(s) and unit of cos(theta). Output: weight (event,) in pb GeV.
    Source: Review of Particle Physics, chapter "Kinematics", cross section of 2 to 2.
    """
    differential = GEV2_PB * inputs["squared"] / (32.0 * math.pi * inputs["sqrt_s"] ** 2)
    return {"weight": differential / inputs["density"]}


def line_shape(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    edges: Sequence[float],
    peak: Sequence[float],
) -> dict[str, Array]:
    """Cross section and forward-backward asymmetry over the bins of sqrt(s).

    Exchange of photon and Z gives d sigma/d cos(theta) = sigma (3/8 (1 + cos^2) + A_FB cos), so
    that A_FB = 3/2 <cos(theta)>.
    Input: moments (bin, 2), sums of weight and of weight times cos(theta), pb GeV.
    Outputs: cross_section (bin,), its mean over each bin, pb; asymmetry (bin,); peak (), the mean
    cross section over the bins of the option `peak`, pb.
    Options: edges of the bins, GeV; peak, two of them.
    Source: Ellis, Stirling and Webber, QCD and Collider Physics, chapter 3.
    """
    rising = checks.rising(STAGE, "edges", edges, at_least=2)
    chosen, total = _between(rising, peak), inputs["moments"][:, 0]
    return {
        "cross_section": total / np.diff(rising),
        "asymmetry": 1.5 * inputs["moments"][:, 1] / total,
        "peak": jnp.sum(total[chosen]) / (peak[1] - peak[0]),
    }


def _between(edges: list[float], peak: Sequence[float]) -> slice:
    """The bins between two of the edges."""
    low, high = checks.rising(STAGE, "peak", peak, at_least=2)
    if low not in edges or high not in edges:
        raise ValueError(f"{STAGE}: option peak must be two of the edges {edges}, got {peak}")
    return slice(edges.index(low), edges.index(high))
