"""What is special to the Drell-Yan pipelines: the hadronic weight and the angular coefficient."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.pdf import flavours, interpolation

STAGE = "drell_yan weight"
UP_TYPE = np.array([1.0, 0.0, 0.0, 1.0, 0.0])  # of the quarks u d s c b
DOWN_TYPE = 1.0 - UP_TYPE
QUARKS = len(flavours.QUARKS)
SIGNS_OF_RAPIDITY = 2.0


def weight(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    collider_energy: float,
    block: int = 1024,
) -> dict[str, Array]:
    """Contribution of each event to the cross section of pp -> l- l+ X, pb.

    weight = d^3 sigma/(d m d|y| d cos theta)/density, summed over five flavours, both beams as
    origin of the quark and both signs of the rapidity, which contribute equally in pp. The pair has
    no transverse momentum, so theta is the Collins-Soper angle of the l-; its axis is the beam that
    flies the way of the pair. Momentum fractions x1,2 = m/sqrt(S) exp(+-|y|), densities at Q = m.
    Inputs: dsigma (event, 4) in pb from `drell_yan_lo`, beam 1 being the axis; m_ll in GeV, abs_y,
    density (events per GeV of m, unit |y| and unit cos theta), each (event,); grid, x, ln_q from
    `pdf_evolution`. Output: weight (event,) in pb; zero where x1 >= 1.
    An event with x2 below the grid has weight NaN: lower x_min.
    Options: collider_energy sqrt(S) in GeV; block, events evaluated at a time.
    """
    energy = checks.positive_number(STAGE, "collider_energy", collider_energy)
    checks.integer(STAGE, "block", block, at_least=1)
    quarks = inputs["grid"][:, :, : 2 * QUARKS]  # the gluon does not annihilate at this order
    table = interpolation.table(quarks, inputs["x"], inputs["ln_q"])
    columns = {name: inputs[name] for name in ("dsigma", "m_ll", "abs_y", "density")}
    return {"weight": map_blocks(lambda e: _weights(table, e, energy), columns, block)}


def asymmetry(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """The angular coefficient A4 = 4 <cos theta> and the cross section per bin.

    Input: moments (bins, 2), sums of weight and of weight times cos theta, pb.
    Outputs: a4 (bins,), zero in a bin without events; cross_section (bins,), pb. A_FB = 3/8 A4.
    Source: arXiv:2408.07622 (definition and measurement).
    """
    total, signed = inputs["moments"][:, 0], inputs["moments"][:, 1]
    filled = total != 0.0
    a4 = jnp.where(filled, 4.0 * signed / jnp.where(filled, total, 1.0), 0.0)
    return {"a4": a4, "cross_section": total}


def _weights(table: interpolation.Table, events: Mapping[str, Array], energy: float) -> Array:
    m_ll, abs_y = events["m_ll"], events["abs_y"]
    physical = (m_ll > 0.0) & (abs_y >= 0.0) & (m_ll * jnp.exp(abs_y) < energy)
    mass = jnp.where(physical, m_ll, jnp.exp(table.ln_q[0]))  # any that is on the grid
    boost = jnp.exp(jnp.where(physical, abs_y, 0.0))
    scales = interpolation.scale_weights(table, jnp.log(mass))
    fractions = jnp.concatenate([mass / energy * boost, mass / energy / boost])
    both = interpolation.densities(table, fractions, jnp.concatenate([scales, scales]))
    first, second = jnp.split(both, 2)
    # d x1 d x2 f f = (2 m/S) dm dy f f, and x1 x2 = m^2/S turns f f into x f x f
    jacobian = SIGNS_OF_RAPIDITY * 2.0 / mass
    cross_section = jacobian * _luminosity_sum(first, second, events["dsigma"])
    return jnp.where(physical, cross_section, 0.0) / events["density"]


def _luminosity_sum(first: Array, second: Array, dsigma: Array) -> Array:
    """Sum over flavours and beams of densities (event, 10) times dsigma (event, 4)."""
    quark_first = first[:, :QUARKS] * second[:, QUARKS:]
    quark_second = first[:, QUARKS:] * second[:, :QUARKS]
    up, down = jnp.asarray(UP_TYPE), jnp.asarray(DOWN_TYPE)
    return (
        (quark_first @ up) * dsigma[:, 0]
        + (quark_first @ down) * dsigma[:, 1]
        + (quark_second @ up) * dsigma[:, 2]
        + (quark_second @ down) * dsigma[:, 3]
    )
