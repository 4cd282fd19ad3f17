"""The partonic matrix element against anchors, its derivatives, and what lies outside."""

import jax
import numpy as np
import pytest
from physics.reference import electroweak

from diffpipe.pipelines.physics.matrix_elements.drell_yan import drell_yan_lo

# sigma in pb and A_FB for sqrt(s-hat) in GeV, computed independently from the textbook formulas
ANCHORS = [
    ("effective", 0, 91.1876, 749.4177641093469, 0.07343926515115522),
    ("effective", 1, 91.1876, 964.3153383567064, 0.10312023071456276),
    ("effective", 0, 200.0, 0.562773618106447, 0.6689521700843376),
    ("effective", 1, 200.0, 0.3423612648099512, 0.6019222318580192),
    ("on-shell", 0, 91.1876, 767.739713199355, 0.11170950633735176),
    ("on-shell", 1, 91.1876, 983.200971057622, 0.1511456478397836),
    ("on-shell", 0, 200.0, 0.5562773366278575, 0.6747580957360408),
    ("on-shell", 1, 200.0, 0.34813987892265763, 0.6144131220158082),
]
SCHEMES = {
    "effective": {},
    "on-shell": {"sin2_theta_eff": 0.22290, "alpha": 1 / 132.23},
}


@jax.jit
def element(parameters, m_ll, cos_theta):
    """d sigma of four events: every test has as many, so that all share one compilation."""
    return drell_yan_lo(parameters, {"m_ll": m_ll, "cos_theta": cos_theta})["dsigma"]


@pytest.mark.parametrize(("scheme", "column", "mass", "sigma", "asymmetry"), ANCHORS)
def test_integrated_element_gives_the_anchors(scheme, column, mass, sigma, asymmetry):
    node, weight = np.polynomial.legendre.leggauss(4)  # exact: the element is quadratic in cos
    parameters, masses = electroweak(**SCHEMES[scheme]), np.full(4, mass)
    total = weight @ np.asarray(element(parameters, masses, node))[:, column]
    half = 0.5 * (node + 1.0)
    forward = 0.5 * weight @ np.asarray(element(parameters, masses, half))[:, column]
    assert total == pytest.approx(sigma, rel=1e-9)  # the anchors' own (hbar c)^2 and alpha
    assert 2.0 * forward / total - 1.0 == pytest.approx(asymmetry, rel=1e-9)


def test_exchange_of_the_beams_reverses_the_angle():
    cos_theta = np.array([-0.9, -0.2, 0.4, 1.0])
    mass = np.array([60.0, 91.0, 120.0, 500.0])
    here, there = (
        np.asarray(element(electroweak(), mass, sign * cos_theta)) for sign in (1.0, -1.0)
    )
    np.testing.assert_array_equal(here[:, :2], there[:, 2:])


@jax.jit
def pullback(parameters, m_ll, cos_theta, cotangent):
    """The value and the cotangents of parameters, masses and angles."""
    value, pull = jax.vjp(element, parameters, m_ll, cos_theta)
    return value, pull(cotangent)


def test_derivatives_are_those_of_finite_differences():
    mass, cos_theta = np.array([70.0, 90.0, 91.2, 130.0]), np.array([-0.7, 0.1, 0.5, 0.9])
    parameters, cotangent = electroweak(), np.random.default_rng(8).normal(size=(4, 4))
    gradient = pullback(parameters, mass, cos_theta, cotangent)[1][0]
    for name, value in parameters.items():
        step = 1e-5 * value  # truncation and rounding both below 1e-8 of the value
        up, down = (
            np.asarray(element(parameters | {name: value + sign * step}, mass, cos_theta))
            for sign in (1.0, -1.0)
        )
        terms = cotangent * (up - down) / (2.0 * step)
        scale = np.abs(terms).sum()
        np.testing.assert_allclose(gradient[name], terms.sum(), rtol=0.0, atol=1e-7 * scale)


def test_events_outside_phase_space_are_zero_with_zero_gradient():
    mass, cos_theta = np.array([0.0, -5.0, 91.0, 91.0]), np.array([0.1, 0.2, 1.01, -2.0])
    for leaf in jax.tree.leaves(pullback(electroweak(), mass, cos_theta, np.ones((4, 4)))):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))
