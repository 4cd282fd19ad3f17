"""The shipped Drell-Yan pipelines, composed from their files, against converged references."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from diffpipe.pipelines.library.drell_yan.stages import asymmetry, weight
from diffpipe.pipelines.physics.analysis.histogram import histogram
from diffpipe.pipelines.physics.events.sobol import sobol
from diffpipe.pipelines.physics.likelihood.gaussian import gaussian
from diffpipe.pipelines.physics.matrix_elements.drell_yan import drell_yan_lo
from diffpipe.pipelines.physics.pdf.stage import pdf_evolution

LIBRARY = Path(weight.__code__.co_filename).parent.parent
ELECTROWEAK = ("sin2_theta_eff", "alpha", "m_z", "gamma_z")


class Composed:
    """A pipeline file as plain functions of its parameters."""

    def __init__(self, name):
        self.folder = LIBRARY / name
        self.file = yaml.safe_load((self.folder / "pipeline.yaml").read_text())
        entries = self.file["parameters"].items()
        self.parameters = {key: jnp.asarray(entry["value"]) for key, entry in entries}

    def options(self, stage):
        return self.file["stages"][stage].get("options", {})

    def events(self, start, stop):
        source = self.file["events"]
        columns = sobol(
            start, stop, count=source["count"], seed=source["seed"], **source["options"]
        )
        return {name: jnp.asarray(column) for name, column in columns.items()}

    def densities(self, parameters):
        return pdf_evolution(parameters, {}, **self.options("pdf"))

    def histogram(self, parameters, pdf, events):
        electroweak = {name: parameters[name] for name in ELECTROWEAK}
        inputs = drell_yan_lo(electroweak, events) | events | pdf
        weights = weight({}, inputs, **self.options("weight"))
        return histogram({}, weights | events, **self.options("histogram"))

    @functools.cached_property
    def pdf(self):
        return jax.jit(self.densities)(self.parameters)

    @functools.cached_property
    def shards(self):
        count, shard = self.file["events"]["count"], self.file["events"]["shard"]
        return [self.events(start, start + shard) for start in range(0, count, shard)]

    @functools.cached_property
    def one_shard(self):
        return jax.jit(self.histogram)

    def totals(self, **electroweak):
        """The histogram summed over all shards, with other electroweak parameters."""
        changed = {name: jnp.asarray(value) for name, value in electroweak.items()}
        parameters = self.parameters | changed
        parts = [self.one_shard(parameters, self.pdf, events) for events in self.shards]
        return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *parts)

    def chi2(self, moments):
        folder = self.folder / "data"
        table = np.genfromtxt(folder / "cms13_A4.csv", delimiter=",", names=True)
        covariance = np.loadtxt(folder / "cms13_A4.cov.csv", delimiter=",")
        inputs = {"measured": jnp.asarray(table["A4"]), "covariance": jnp.asarray(covariance)}
        prediction = asymmetry({}, {"moments": moments})["a4"]
        return gaussian({}, inputs | {"prediction": prediction})["chi2"]


@pytest.fixture(scope="module")
def asymmetry_13tev():
    return Composed("drell_yan")


@pytest.fixture(scope="module")
def cross_section_8tev():
    return Composed("drell_yan_8tev")


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


def pullback(function):
    """Cotangents of the arguments from a cotangent of the output, evaluating the function again."""
    return lambda cotangent, *arguments: jax.vjp(function, *arguments)[1](cotangent)


def test_adjoint_identity_of_the_chain_of_events(asymmetry_13tev):
    made, rng = asymmetry_13tev, np.random.default_rng(6)
    events = made.events(0, 1500)  # one block and a rest

    def moments(electroweak, grid):
        pdf = made.pdf | {"grid": grid}
        return made.histogram(electroweak, pdf, events)["moments"]

    point = {name: made.parameters[name] for name in ELECTROWEAK}, made.pdf["grid"]
    tangent = jax.tree.map(lambda leaf: leaf * jnp.asarray(rng.normal(size=leaf.shape)), point)
    value, pushed = jax.jit(lambda x, dx: jax.jvp(moments, x, dx))(point, tangent)
    cotangent = jnp.asarray(rng.normal(size=value.shape))
    pulled = jax.jit(pullback(moments))(cotangent, *point)
    products = jax.tree.map(lambda a, b: float(jnp.vdot(a, b)), pulled, tangent)
    left, right = float(jnp.vdot(cotangent, pushed)), jax.tree.leaves(products)
    assert abs(left - sum(right)) < 1e-11 * sum(map(abs, right))  # rounding over 1500 events


def event(m_ll, abs_y):
    count = len(m_ll)
    columns = {"m_ll": m_ll, "abs_y": abs_y, "density": [1.0] * count, "cos_theta": [0.3] * count}
    return {name: jnp.asarray(column) for name, column in columns.items()}


def test_events_outside_phase_space_weigh_nothing_and_pull_nothing(cross_section_8tev):
    pdf = cross_section_8tev.pdf
    outside = event([91.0, 8001.0, 0.0, -1.0], [4.5, 0.0, 1.0, 0.0])
    dsigma = jnp.ones((4, 4))

    def weights(dsigma, grid, events):
        inputs = events | pdf | {"dsigma": dsigma, "grid": grid}
        return weight({}, inputs, collider_energy=8000.0)["weight"]

    value = jax.jit(weights)(dsigma, pdf["grid"], outside)
    pulled = jax.jit(pullback(weights))(jnp.ones(4), dsigma, pdf["grid"], outside)
    for leaf in jax.tree.leaves((value, pulled)):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


def test_weights_do_not_depend_on_the_block(asymmetry_13tev):
    made = asymmetry_13tev
    pdf, events = made.pdf, made.events(0, 100)
    inputs = events | pdf | drell_yan_lo({n: made.parameters[n] for n in ELECTROWEAK}, events)
    whole, blocks = (
        jax.jit(lambda i, block=block: weight({}, i, collider_energy=13000.0, block=block))(inputs)
        for block in (100, 32)
    )
    whole, blocks = whole["weight"], blocks["weight"]
    np.testing.assert_allclose(blocks, whole, rtol=1e-13)  # rounding: code is compiled anew
    assert float(jnp.min(whole)) > 0.0


@pytest.mark.parametrize("energy", ["13 TeV", 0.0, float("nan"), True])
def test_wrong_energy_is_refused(energy):
    with pytest.raises(ValueError, match="collider_energy"):
        weight({}, {}, collider_energy=energy)


def test_empty_bins_have_no_asymmetry():
    made = asymmetry({}, {"moments": jnp.asarray([[0.0, 0.0], [2.0, 0.5]])})
    np.testing.assert_array_equal(made["a4"], [0.0, 1.0])
