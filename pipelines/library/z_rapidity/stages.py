"""What is special to rapidity spectra of the Z: weights, two experiments in one."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import block_diag

from diffpipe.pipelines.library.drell_yan.stages import DOWN_TYPE, UP_TYPE
from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.matrix_elements import drell_yan
from diffpipe.pipelines.physics.pdf import flavours, interpolation

STAGE = "z_rapidity weights"
PROTON, ANTIPROTON = BEAMS = ("proton", "antiproton")
QUARKS = len(flavours.QUARKS)
QUARK_TYPES = np.stack([UP_TYPE, DOWN_TYPE], axis=1)  # (quark, type)
SIGNS_OF_RAPIDITY = 2.0
EXPERIMENTS = ("atlas", "cdf")


def cross_section(parameters: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """sigma-hat of q qbar -> gamma*/Z -> l- l+ over all angles, in pb, averaged over colour.

    Parameters as those of `drell_yan_lo`, whose integral over cos theta this is. Input: m_ll
    (event,) in GeV. Output: sigma (event, 2) in pb for quarks of up and of down type.
    """
    mass2 = inputs["m_ll"] ** 2
    point_like = drell_yan.point_cross_section(parameters["alpha"], mass2)
    terms = drell_yan.z_exchange(mass2, parameters["m_z"], parameters["gamma_z"])
    couplings = (
        drell_yan.couplings(parameters["sin2_theta_eff"], quark)
        for quark in (drell_yan.UP, drell_yan.DOWN)
    )
    even = [drell_yan.structure(each, terms)[0] for each in couplings]
    return {"sigma": jnp.stack([point_like * f for f in even], axis=1)}


def weights(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    colliders: Mapping[str, Mapping[str, Any]],
) -> dict[str, Array]:
    """Contribution of each event to the cross section of p p or p pbar -> l- l+ X, pb.

    weight = d^2 sigma/(d m d|y|)/density, summed over five flavours, both beams as origin of the
    quark and both signs of the rapidity, which contribute equally in p p and, over all angles, in
    p pbar. Momentum fractions x1,2 = m/sqrt(S) exp(+-|y|), densities at Q = m.
    Inputs: sigma (event, 2) in pb from `cross_section`; m_ll in GeV, abs_y, density (events per GeV
    of m and unit |y|), each (event,); grid, x, ln_q from `pdf_evolution`. Output: a weight (event,)
    in pb for each collider, by its name; zero where x1 >= 1. An event with x2 below the grid has
    weight NaN: lower x_min.
    Option colliders: of each name {energy, second_beam}: sqrt(S) in GeV; proton or antiproton.
    """
    energies = [_energy(name, each) for name, each in colliders.items()]
    quarks = inputs["grid"][:, :, : 2 * QUARKS]  # the gluon does not annihilate at this order
    table = interpolation.table(quarks, inputs["x"], inputs["ln_q"])
    mass, boost = inputs["m_ll"], jnp.exp(inputs["abs_y"])
    x = jnp.concatenate([mass / each * way for each in energies for way in (boost, 1.0 / boost)])
    scales = interpolation.scale_weights(table, jnp.log(mass))
    found = interpolation.densities(table, x, jnp.concatenate([scales] * 2 * len(colliders)))
    # d x1 d x2 f f = (2 m/S) dm dy f f, and x1 x2 = m^2/S turns f f into x f x f
    jacobian = SIGNS_OF_RAPIDITY * 2.0 / mass / inputs["density"]
    both = found.reshape(-1, 2, mass.size, 2 * QUARKS)  # of each collider x1 and x2
    return {
        name: jacobian * _annihilation(x12[0], x12[1], collider["second_beam"], inputs["sigma"])
        for (name, collider), x12 in zip(colliders.items(), both, strict=True)
    }


def spectra(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    atlas_abs_y: Sequence[float],
    cdf_abs_y: Sequence[float],
    luminosity_errors: Sequence[float],
) -> dict[str, Array]:
    """Both predicted spectra, normalised, and both measured ones with a covariance: n = 7 + 28.

    Parameters: k_atlas, k_cdf, and the true over the stated luminosities, luminosity_atlas and
    luminosity_cdf. Inputs: atlas (7, 1), cdf (28, 1), cross sections in bins of |y|, pb; of each
    experiment the measured spectrum, `atlas_measured` and `cdf_measured`, pb, and its covariance,
    pb^2, that of the luminosity included. ATLAS gives d sigma/d|y|, CDF d sigma/dy, half as much.
    Outputs: lo (n,), the spectra without normalisations, prediction (n,) and measured (n,) in pb;
    covariance (n, n) in pb^2, without luminosities. Those scale the prediction: as errors of the
    measured values they would pull a fit below its data (D'Agostini, Nucl. Instrum. Methods A 346
    (1994) 306).
    Options: edges of the bins of |y|; luminosity_errors, relative, of ATLAS and of CDF.
    """
    atlas = inputs["atlas"][:, 0] / np.diff(atlas_abs_y)
    cdf = inputs["cdf"][:, 0] / np.diff(cdf_abs_y) / SIGNS_OF_RAPIDITY
    scales = [parameters[f"k_{each}"] * parameters[f"luminosity_{each}"] for each in EXPERIMENTS]
    measured = [inputs[f"{each}_measured"] for each in EXPERIMENTS]
    shifts = [error * each for error, each in zip(luminosity_errors, measured, strict=True)]
    covariances = [
        inputs[f"{each}_covariance"] - jnp.outer(shift, shift)
        for each, shift in zip(EXPERIMENTS, shifts, strict=True)
    ]
    return {
        "lo": jnp.concatenate([atlas, cdf]),
        "prediction": jnp.concatenate([scales[0] * atlas, scales[1] * cdf]),
        "measured": jnp.concatenate(measured),
        "covariance": block_diag(*covariances),
    }


def _energy(name: str, collider: Mapping[str, Any]) -> float:
    checks.known_keys(STAGE, f"colliders.{name}", collider, {"energy", "second_beam"}, set())
    checks.one_of(STAGE, f"colliders.{name}.second_beam", collider["second_beam"], BEAMS)
    return checks.positive_number(STAGE, f"colliders.{name}.energy", collider["energy"])


def _annihilation(first: Array, second: Array, second_beam: str, sigma: Array) -> Array:
    """Sum over flavours and beams of densities (event, 10) times sigma (event, 2)."""
    if second_beam == ANTIPROTON:
        second = jnp.roll(second, QUARKS, axis=1)  # quarks are a proton's antiquarks
    pairs = first[:, :QUARKS] * second[:, QUARKS:] + first[:, QUARKS:] * second[:, :QUARKS]
    return jnp.sum((pairs @ jnp.asarray(QUARK_TYPES)) * sigma, axis=1)
