"""The shipped Drell-Yan pipelines against converged references, and the stages of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import quickly

from diffpipe.pipelines.library.drell_yan.stages import asymmetry, weight


def test_cross_section_at_8_tev(cross_section_8tev):
    total = float(cross_section_8tev.totals()["sigma_pb"])
    # the reference is an independent Gauss integration with densities from another solver
    assert total == pytest.approx(884.124, rel=5e-4)


def test_fit_of_the_mixing_angle_finds_the_converged_minimum(asymmetry_13tev):
    made = asymmetry_13tev
    at = 0.23152 + np.array([-3e-4, 0.0, 3e-4])
    chi2 = [float(made.chi2(made.totals(sin2_theta_eff=s2)["moments"])) for s2 in at]
    parabola = np.polynomial.Polynomial.fit(at, chi2, 2)  # A4 is linear in s2 to 1e-3 here
    best = float(parabola.deriv().roots()[0])
    # converged: 0.2314934 and 158.9252; the sample's error is 2e-7 and 0.02
    assert best == pytest.approx(0.2314934, abs=2e-6)
    assert float(parabola(best)) == pytest.approx(158.925, abs=0.1)


OUTSIDE = 4  # the first events of the sample below, which no pair of partons can make


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(6)
    return {
        "m_ll": np.concatenate([[91.0, 8001.0, 0.0, -1.0], rng.uniform(60.0, 120.0, 60)]),
        "abs_y": np.concatenate([[4.5, 0.0, 1.0, 0.0], rng.uniform(0.0, 4.0, 60)]),
        "density": rng.uniform(1.0, 2.0, 64),
        "dsigma": rng.uniform(1.0, 2.0, (64, 4)),
    }


@pytest.fixture(scope="module")
def weights(cross_section_8tev):
    """Of events: weights in blocks of 32, pushforward and pullback of dsigma and grid."""
    pdf, rng = cross_section_8tev.pdf, np.random.default_rng(7)
    directions = {"dsigma": rng.normal(size=(64, 4)), "grid": rng.normal(size=pdf["grid"].shape)}

    @quickly
    def push_and_pull(events, cotangent):
        def chosen(varied):
            inputs = events | pdf | varied
            return weight({}, inputs, collider_energy=8000.0, block=32)["weight"]

        point = {"dsigma": events["dsigma"], "grid": pdf["grid"]}
        tangent = {name: point[name] * directions[name] for name in point}
        value, pushed = jax.jvp(chosen, (point,), (tangent,))
        return value, pushed, tangent, jax.vjp(chosen, point)[1](cotangent)[0]

    return lambda events, cotangent: jax.tree.map(np.asarray, push_and_pull(events, cotangent))


def test_adjoint_identity_of_the_weight(weights, sample):
    cotangent = np.random.default_rng(8).normal(size=64)
    _, pushed, tangent, pulled = weights(sample, cotangent)
    right = [np.vdot(pulled[name], tangent[name]) for name in tangent]
    assert abs(cotangent @ pushed - sum(right)) < 1e-12 * sum(map(abs, right))  # rounding


def test_events_outside_phase_space_weigh_nothing_and_pull_nothing(weights, sample):
    value, pushed, _, pulled = weights(sample, np.where(np.arange(64) < OUTSIDE, 1.0, 0.0))
    for leaf in (value[:OUTSIDE], pushed[:OUTSIDE], pulled["dsigma"], pulled["grid"]):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


def test_weights_do_not_depend_on_the_other_events_of_a_block(weights, sample):
    shifted = {name: np.roll(column, 16, axis=0) for name, column in sample.items()}
    here, there = (weights(events, np.zeros(64))[0] for events in (sample, shifted))
    np.testing.assert_array_equal(np.roll(here, 16), there)
    assert here[OUTSIDE:].min() > 0.0


@pytest.mark.parametrize("energy", ["13 TeV", 0.0, float("nan"), True])
def test_wrong_energy_is_refused(energy):
    with pytest.raises(ValueError, match="collider_energy"):
        weight({}, {}, collider_energy=energy)


def test_empty_bins_have_no_asymmetry():
    made = asymmetry({}, {"moments": jnp.asarray([[0.0, 0.0], [2.0, 0.5]])})
    np.testing.assert_array_equal(made["a4"], [0.0, 1.0])
