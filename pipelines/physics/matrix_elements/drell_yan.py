"""Quark-antiquark annihilation to a charged-lepton pair through photon and Z, at leading order."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.constants import GEV2_PB

UP = (2.0 / 3.0, 0.5)  # (charge, weak isospin)
DOWN = (-1.0 / 3.0, -0.5)
LEPTON = (-1.0, -0.5)


def drell_yan_lo(parameters: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """d sigma-hat/d cos(theta) of q qbar -> gamma*/Z -> l- l+, in pb, averaged over colour.

    Parameters: sin2_theta_eff, alpha (at the Z), m_z and gamma_z in GeV (fixed width).
    Inputs: m_ll (event,) in GeV, cos_theta (event,), theta being the angle between the l- and the
    parton of beam 1, which moves along +z, in the pair's rest frame.
    Output: dsigma (event, 4) in pb for (u ubar, d dbar, ubar u, dbar d), the first parton from
    beam 1; so the forward-backward term has one sign in the first two and the other in the last
    two. One lepton flavour, massless and of either helicity. Zero for |cos_theta| > 1 or m_ll <= 0.
    Source: Ellis, Stirling and Webber, QCD and Collider Physics, chapters 3 (annihilation through
    photon and Z) and 9 (the Drell-Yan mechanism).
    """
    m_ll, cos_theta = inputs["m_ll"], inputs["cos_theta"]
    physical = (m_ll > 0.0) & (jnp.abs(cos_theta) <= 1.0)
    mass2 = jnp.where(physical, m_ll, 1.0) ** 2
    angle = jnp.where(physical, cos_theta, 0.0)
    point_like = jnp.where(physical, point_cross_section(parameters["alpha"], mass2), 0.0)
    terms = z_exchange(mass2, parameters["m_z"], parameters["gamma_z"])
    even, odd = point_like * 0.375 * (1.0 + angle**2), point_like * 0.75 * angle
    up = structure(couplings(parameters["sin2_theta_eff"], UP), terms)
    down = structure(couplings(parameters["sin2_theta_eff"], DOWN), terms)
    return {
        "dsigma": jnp.stack(
            [even * f + beam * odd * g for beam in (1.0, -1.0) for f, g in (up, down)], axis=1
        )
    }


class Couplings(NamedTuple):
    """Coefficients of (1, R, A) in the symmetric F and of (R, A) in the forward G."""

    f_photon: float
    f_interference: Array
    f_z: Array
    g_interference: Array
    g_z: Array


def point_cross_section(alpha: Array, mass2: Array) -> Array:
    """4 pi alpha^2/(9 M^2) in pb: q qbar -> l- l+ for unit charges, averaged over colour."""
    return (4.0 * math.pi / 9.0 * GEV2_PB) * alpha**2 / mass2


def z_exchange(mass2: Array, m_z: Array, gamma_z: Array) -> tuple[Array, Array]:
    """R = Re(M^2/D) and A = M^4/|D|^2, with D = M^2 - MZ^2 + i MZ GammaZ."""
    distance, width = mass2 - m_z**2, m_z * gamma_z
    inverse = mass2 / (distance**2 + width**2)
    return distance * inverse, mass2 * inverse


def couplings(sin2: Array, quark: tuple[float, float]) -> Couplings:
    """Products of v_f = (T_f - 2 e_f s2)/(2c) and a_f = T_f/(2c), c = sqrt(s2 (1 - s2))."""
    charge = quark[0]
    norm = 4.0 * sin2 * (1.0 - sin2)  # (2c)^2
    (vq, aq), (vl, al) = _vector_axial(sin2, quark), _vector_axial(sin2, LEPTON)
    return Couplings(
        charge**2,
        -2.0 * charge * vq * vl / norm,
        (vq**2 + aq**2) * (vl**2 + al**2) / norm**2,
        -2.0 * charge * aq * al / norm,
        4.0 * vq * aq * vl * al / norm**2,
    )


def structure(of: Couplings, terms: tuple[Array, Array]) -> tuple[Array, Array]:
    """F and G: sigma = 4 pi alpha^2/(9 M^2) F, forward-backward asymmetry = (3/4) G/F."""
    real, resonant = terms
    symmetric = of.f_photon + of.f_interference * real + of.f_z * resonant
    return symmetric, of.g_interference * real + of.g_z * resonant


def _vector_axial(sin2: Array, fermion: tuple[float, float]) -> tuple[Array, float]:
    """2c v_f and 2c a_f."""
    charge, isospin = fermion
    return isospin - 2.0 * charge * sin2, isospin
