"""Matrix elements against MadGraph's numbers, textbook formulae and the laws they must obey."""

import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import quickly

from diffpipe.pipelines.physics.matrix_elements import points
from diffpipe.pipelines.physics.matrix_elements.amplitude import squared, waves
from diffpipe.pipelines.physics.matrix_elements.amplitude.walk import Walk, has_axis
from diffpipe.pipelines.physics.matrix_elements.element import build
from diffpipe.pipelines.physics.matrix_elements.model.couplings import constants
from diffpipe.pipelines.physics.matrix_elements.model.parameters import DEFAULTS
from diffpipe.pipelines.physics.matrix_elements.stage import matrix_element

MADGRAPH = json.loads((Path(__file__).parent / "madgraph.json").read_text())["processes"]
NO_WIDTHS = dict.fromkeys(("WZ", "WW", "WT", "WH"), 0.0)
METRIC = np.array([1.0, -1.0, -1.0, -1.0])
SIX_FERMIONS = "e+ e- > t t~, (t > b u d~), (t~ > b~ d u~)"
# parameters that set the mass of an external leg: at fixed momenta their derivatives are those of
# a convention for spinors off the mass shell
SET_A_MASS = {"gg_tt": {"MT"}, "ee_tt": {"MT"}, "uu_ww": {"MZ", "aEWM1", "Gf"}}


@cache
def element(process):
    (found,) = build(process)
    return found


def known(**inputs):
    return constants({name: np.asarray(value) for name, value in (DEFAULTS | inputs).items()})


def value(process, momenta, **inputs):
    """|M|^2 by NumPy, which runs the same functions."""
    made = element(process)
    return squared.squared(made.diagrams, known(**inputs), momenta, made.chiralities)


def sample(process, count=6, energy=None, **inputs):
    masses = [float(mass) for mass in element(process).masses(inputs)]
    first = len(element(process).process.initial)
    return points.sample(masses[:first], masses[first:], count, energy)


def invariants(p):
    def product(a, b):
        return (a + b) ** 2 @ METRIC

    return product(p[:, 0], p[:, 1]), product(p[:, 0], -p[:, 2]), product(p[:, 0], -p[:, 3])


@pytest.mark.parametrize("name", MADGRAPH)
def test_values_are_madgraphs(name):
    reference = MADGRAPH[name]
    found = value(reference["process"], np.array(reference["momenta"]))
    # the tolerance: double precision leaves 1e-13, times cancellation near resonances
    np.testing.assert_allclose(found, reference["value"], rtol=1e-10)


# gluons and a mass, bosons, a resonance; the others' derivatives compile for as long each
QUICK = ("gg_tt", "uu_ww", "ee_mumu")
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in MADGRAPH]


@pytest.mark.parametrize("name", EACH)
def test_the_stage_has_madgraphs_values_and_gradients(name):
    reference = MADGRAPH[name]
    momenta = jnp.asarray(reference["momenta"])
    wanted = reference["gradients_fixed_momenta"]

    def each(inputs, p):
        made = matrix_element(inputs, {"momenta": p[None]}, process=reference["process"])
        return made["value"][0]

    inputs = {parameter: jnp.asarray(DEFAULTS[parameter]) for parameter in wanted}
    values, gradient = quickly(jax.vmap(jax.value_and_grad(each), (None, 0)))(inputs, momenta)
    # the tolerances: double precision leaves 1e-13, times cancellation near resonances
    np.testing.assert_allclose(values, reference["value"], rtol=1e-10)
    for parameter in wanted.keys() - SET_A_MASS.get(name, set()):
        largest = np.abs(wanted[parameter]).max()
        np.testing.assert_allclose(
            gradient[parameter], wanted[parameter], rtol=0, atol=1e-8 * largest
        )


@pytest.mark.slow  # test_me has the command give that of ee_tt
@pytest.mark.parametrize("name", ["gg_tt", "ee_tt"])
def test_the_derivative_on_shell_is_madgraphs(name):
    reference = MADGRAPH[name]
    momenta = jnp.asarray(reference["momenta"])

    def each(mt, p):
        inputs = {"momenta": p[None]}
        made = matrix_element({"MT": mt}, inputs, process=reference["process"], on_shell=True)
        return made["value"][0]

    mt = jnp.asarray(DEFAULTS["MT"])
    gradient = quickly(jax.vmap(jax.grad(each), (None, 0)))(mt, momenta)
    wanted = np.array(reference["gradient_MT_onshell"])
    np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


# R. K. Ellis, W. J. Stirling and B. R. Webber, QCD and Collider Physics, table 7.1: over g^4,
# averaged over incoming states; one half for identical particles that leave
TEXTBOOK = {
    "u d > u d": lambda s, t, u: 4 / 9 * (s**2 + u**2) / t**2,
    "u u > u u": lambda s, t, u: (
        0.5 * (4 / 9 * ((s**2 + u**2) / t**2 + (s**2 + t**2) / u**2) - 8 / 27 * s**2 / (u * t))
    ),
    "u u~ > d d~": lambda s, t, u: 4 / 9 * (t**2 + u**2) / s**2,
    "u u~ > u u~": lambda s, t, u: (
        4 / 9 * ((s**2 + u**2) / t**2 + (t**2 + u**2) / s**2) - 8 / 27 * u**2 / (s * t)
    ),
    "u u~ > g g": lambda s, t, u: (
        0.5 * (32 / 27 * (t**2 + u**2) / (t * u) - 8 / 3 * (t**2 + u**2) / s**2)
    ),
    "g g > u u~": lambda s, t, u: 1 / 6 * (t**2 + u**2) / (t * u) - 3 / 8 * (t**2 + u**2) / s**2,
    "u g > u g": lambda s, t, u: -4 / 9 * (s**2 + u**2) / (s * u) + (s**2 + u**2) / t**2,
    "g u~ > g u~": lambda s, t, u: -4 / 9 * (s**2 + u**2) / (s * u) + (s**2 + u**2) / t**2,
    "g g > g g": lambda s, t, u: 0.5 * 9 / 2 * (3 - t * u / s**2 - s * u / t**2 - s * t / u**2),
}


@pytest.mark.parametrize("process", TEXTBOOK)
def test_crossed_qcd_processes_are_the_textbooks(process):
    momenta = sample(process)
    strong = 4.0 * np.pi * DEFAULTS["aS"]
    wanted = strong**2 * TEXTBOOK[process](*invariants(momenta))
    # rounding, times cancellations between diagrams of about 1e2
    np.testing.assert_allclose(value(process, momenta), wanted, rtol=1e-12)


def test_photon_scattering_is_klein_and_nishinas():
    """a e- > a e-, massless: 2 e^4 (-u/s - s/u); Peskin and Schroeder, eq. (5.87) at m = 0."""
    momenta = sample("a e- > a e-")
    s, _, u = invariants(momenta)
    e2 = 4.0 * np.pi / DEFAULTS["aEWM1"]
    np.testing.assert_allclose(
        value("a e- > a e-", momenta), -2 * e2**2 * (u / s + s / u), rtol=1e-12
    )


def test_muon_decay_is_fermis():
    """mu- > vm e- ve~: 128 Gf^2 (p.k_ve~)(k_vm.k_e)/2 far below MW; the muon is massless here."""
    p = sample("ta- > vt e- ve~")
    tau_ve, vt_e = (p[:, 0] * p[:, 3]) @ METRIC, (p[:, 1] * p[:, 2]) @ METRIC
    wanted = 64.0 * DEFAULTS["Gf"] ** 2 * tau_ve * vt_e
    # corrections of order (m_tau/MW)^2 = 5e-4; MW comes from Gf itself
    np.testing.assert_allclose(value("ta- > vt e- ve~", p, WW=0.0), wanted, rtol=2e-3)


def test_top_decay_is_known():
    """t > b w+ with massless b: g^2 MT^2/4 (1 - r)(2 + 1/r) averaged, r = MW^2/MT^2."""
    p = sample("t > b w+", MB=0.0)
    c = known()
    r = (c["MW"] / c["MT"]) ** 2
    wanted = c["w"] ** 2 * c["MT"] ** 2 * (1 - r) * (2 + 1 / r)
    np.testing.assert_allclose(value("t > b w+", p, MB=0.0), 0.5 * wanted, rtol=1e-12)


def test_higgs_decays_are_known():
    """h > ta+ ta-: 2 (y/v)^2 (MH^2 - 4 m^2); h > g g: gs^4 MH^4/(144 pi^4 v^2)... with its form."""
    c = known()
    p = sample("h > ta+ ta-")
    wanted = 2 * c["h_ta-"] ** 2 * (c["MH"] ** 2 - 4 * c["MTA"] ** 2)
    np.testing.assert_allclose(value("h > ta+ ta-", p), wanted, rtol=1e-12)
    gluons = 0.5 * 8 * 2 * (c["gs"] ** 2 * c["ggh"] * c["MH"] ** 2 / 2) ** 2
    np.testing.assert_allclose(value("h > g g", sample("h > g g")), gluons, rtol=1e-12)


ANY = [
    "g g > g g", "u u > u u", "g g > t t~ g", "u u~ > w+ w-", "w+ w- > w+ w-", "w+ w- > z z",
    "z z > h h", "h h > h h", "e+ e- > w+ w- a", "a a > w+ w-", "w+ a > w+ z", "g g > g g g",
    "g g > h g g", "b b~ > h g", "u d~ > w+ h", "u u~ > u u~ g QCD=3 QED=2", "t t~ > w+ w-",
    "t > b w+ g", "g u > w+ d a",
]  # fmt: skip


@pytest.mark.parametrize("process", ANY)
def test_the_value_does_not_depend_on_the_frame(process):
    """At zero widths: with them it depends on the gauge of the gluons, which a boost changes."""
    momenta = sample(process, **NO_WIDTHS)
    moved = momenta @ transformation().T
    # rounding, times cancellations between diagrams and between components of a boosted event
    np.testing.assert_allclose(
        value(process, moved, **NO_WIDTHS), value(process, momenta, **NO_WIDTHS), rtol=1e-9
    )


def transformation():
    """A rotation and a boost, in no special direction."""
    axis, boost = np.array([0.3, -0.5, 0.81]), np.array([0.4, 0.3, -0.5])
    axis = axis / np.linalg.norm(axis)
    cross = np.cross(np.eye(3), axis)
    rotation = np.eye(4)
    rotation[1:, 1:] = np.eye(3) + np.sin(1.1) * cross + (1 - np.cos(1.1)) * cross @ cross
    gamma = 1.0 / np.sqrt(1.0 - boost @ boost)
    matrix = np.eye(4) * 1.0
    matrix[0, 0], matrix[0, 1:], matrix[1:, 0] = gamma, gamma * boost, gamma * boost
    matrix[1:, 1:] += (gamma - 1.0) * np.outer(boost, boost) / (boost @ boost)
    return matrix @ rotation


GAUGE = [
    ("g g > g g", 0), ("g g > g g g", 2), ("u u~ > g g g", 4), ("g g > t t~ g", 1),
    ("u u~ > e+ e- g", 4), ("e+ e- > w+ w- a", 4), ("a a > w+ w-", 0), ("w+ a > w+ z", 1),
    ("g g > h g", 0), ("g g > h g g", 3), ("g g > g g g g", 5), ("t > b w+ g", 3),
    ("g u > w+ d a", 4), ("u d~ > w+ z a", 4), ("u u~ > w+ w- g a", 5), ("a w+ > w+ a h", 0),
]  # fmt: skip


@pytest.mark.parametrize(("process", "leg"), GAUGE)
def test_a_polarisation_along_the_momentum_gives_zero(process, leg):
    made, momenta = element(process), sample(process, **NO_WIDTHS)
    walk = Walk(made.diagrams.legs, known(**NO_WIDTHS), momenta)
    normal = amplitudes(made, walk)
    walk = Walk(made.diagrams.legs, known(**NO_WIDTHS), momenta)
    axes = sum(has_axis(each) for each in made.diagrams.legs)
    p = waves.momentum(momenta[:, leg])
    walk._states[leg] = [(p / momenta[:, leg, 0]).reshape((1,) * axes + p.shape)]
    # rounding, times the size of single diagrams over their sum
    assert np.abs(amplitudes(made, walk)).max() < 1e-9 * np.abs(normal).max()


def amplitudes(made, walk):
    found = []
    for chirality in made.chiralities:
        along = squared.along_colours(made.diagrams, walk, chirality)
        columns = [made.diagrams.colours.index(number) for number in along]
        stacked = np.stack([each.reshape(-1, each.shape[-1]) for each in along.values()])
        found.append(np.tensordot(made.diagrams.colour_root[:, columns], stacked, 1).ravel())
    return np.concatenate(found)


@pytest.mark.parametrize(
    "process",
    ["w+ w- > w+ w-", "w+ w- > z z", "w+ z > w+ z", "z z > z z", "w+ w- > h h", "z z > h h",
     "e+ e- > w+ w-", "t t~ > w+ w-", "t t~ > z z", "t b~ > w+ h", "t t~ > z h"],
)  # fmt: skip
def test_boson_scattering_does_not_grow_with_energy(process):
    """Longitudinal bosons would let |M|^2 grow like s^2 or more if one coupling were wrong."""
    at = [value(process, sample(process, energy=e, **NO_WIDTHS), **NO_WIDTHS) for e in (5e3, 5e4)]
    # a factor of 10 in energy: 1e2 to 1e4 where a coupling is wrong, at most logarithms and masses
    assert (at[1] / at[0]).max() < 3.0


@pytest.mark.parametrize(
    ("process", "diagrams", "kept", "of"),
    [
        ("e+ e- > mu+ mu-", 2, 4, 16), ("g g > g g", 4, 6, 16), ("g g > g g g", 25, 20, 32),
        ("u u~ > e+ e- g", 4, 8, 32), (SIX_FERMIONS, 2, 8, 256), ("g g > t t~", 3, 16, 16),
        ("g g > g g g g", 220, 50, 64), ("u u > u u", 2, 6, 16), ("e+ e- > w+ w-", 3, 18, 36),
    ],
)  # fmt: skip
def test_diagrams_and_helicities_are_counted(process, diagrams, kept, of):
    made = element(process)
    assert (made.diagrams.count, made.kept, made.configurations) == (diagrams, kept, of)


@pytest.mark.parametrize(
    ("chain", "whole"),
    [
        ("e+ e- > z h, z > mu+ mu-, h > b b~", "e+ e- > z h > mu+ mu- b b~"),
        ("t > b w+, w+ > u d~", "t > w+ > b u d~"),
        (SIX_FERMIONS, "e+ e- > t t~ > b u d~ b~ d u~ QCD=0 QED=6 / h"),
        (
            "u u~ > t t~, (t > b w+, w+ > e+ ve), t~ > b~ w-",
            "u u~ > t t~ > b e+ ve b~ w- QCD=2 QED=3",
        ),
    ],
)
def test_decay_chains_are_the_diagrams_with_those_resonances(chain, whole):
    momenta = sample(whole)
    made = element(whole)
    assert made.diagrams.count == element(chain).diagrams.count
    np.testing.assert_allclose(value(chain, momenta), value(whole, momenta), rtol=1e-12)


@pytest.mark.slow  # a pullback in all inputs and momenta is compiled
def test_momenta_and_all_parameters_have_finite_right_gradients():
    """Against central differences, beams along z, for a process in which every part takes part."""
    process = "b b~ > t t~ h"
    made = element(process)
    momenta = jnp.asarray(sample(process, count=3))
    inputs = {name: jnp.asarray(each) for name, each in DEFAULTS.items()}
    total = jax.jit(lambda i, p: jnp.sum(made.squared(i, p) * jnp.array([1.0, -0.5, 2.0])))
    by_input, by_momentum = jax.jit(jax.grad(total, (0, 1)))(inputs, momenta)
    scale = abs(total(inputs, momenta))
    for name, at in inputs.items():
        step = 1e-5 * at
        there = total(inputs | {name: at + step}, momenta) - total(
            inputs | {name: at - step}, momenta
        )
        # third derivatives times 1e-10, rounding over 1e-5
        assert abs(there / (2 * step) - by_input[name]) < 1e-7 * scale / at
    assert np.isfinite(by_momentum).all()
    direction = jnp.asarray(np.random.default_rng(1).normal(size=momenta.shape))
    difference = total(inputs, momenta + 1e-3 * direction) - total(
        inputs, momenta - 1e-3 * direction
    )
    wanted = jnp.sum(by_momentum * direction)
    np.testing.assert_allclose(difference / 2e-3, wanted, rtol=1e-6)  # steps of 1e-6 of the energy


@pytest.mark.slow  # forward and reverse mode are compiled for each
@pytest.mark.parametrize("process", ["u u~ > e+ e- g", "g g > t t~", "u u~ > w+ w-"])
def test_the_pullback_is_the_adjoint_of_the_pushforward(process):
    momenta = jnp.asarray(sample(process, count=4))
    inputs = {name: jnp.asarray(each) for name, each in DEFAULTS.items()}
    random = np.random.default_rng(2)
    tangents = jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape)), (inputs, momenta))

    def run(inputs, momenta):
        return matrix_element(inputs, {"momenta": momenta}, process=process, block=2)["value"]

    values, pushed = jax.jit(lambda t: jax.jvp(run, (inputs, momenta), t))(tangents)
    cotangent = jnp.asarray(random.normal(size=values.shape))
    pulled = jax.jit(lambda w: jax.vjp(run, inputs, momenta)[1](w))(cotangent)
    products = jax.tree.map(lambda a, b: jnp.sum(a * b), tangents, pulled)
    parts = jax.tree.leaves(products)
    # rounding of sums that cancel
    assert abs(sum(parts) - jnp.sum(cotangent * pushed)) < 1e-12 * sum(map(abs, parts))
