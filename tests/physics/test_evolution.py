"""Evolution of parton densities: sum rules, derivatives, back and forth, operators."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from physics.reference import pdf_parameters
from support import quickly

from diffpipe.pipelines.physics.pdf import flavours, grid
from diffpipe.pipelines.physics.pdf.inputs.catalogue import INPUTS
from diffpipe.pipelines.physics.pdf.stage import (
    check_pdf_evolution,
    pdf_evolution,
    pdf_from_operator,
    pdf_operator,
)

TOY = {"input": "les_houches_toy", "order": "NNLO"}
SMALL = TOY | {"points": 24, "steps": 2, "x_min": 1e-5}
Q0 = 2.0**0.5
SMALL_TO_CHARM = SMALL | {"nf_max": 4}  # one threshold of the densities is enough to compile
THEORY = {  # charm's threshold a little above q0; from m_z the coupling passes that of b as well
    "alphas_mz": 0.118,
    "mc": 1.5,
    "mb": 4.5,
    "kr": 1.3,
    "q0": Q0,
    "scales": [1.45, 20.0],  # on each side of the threshold
}


def parameters(**changed):
    """All that the toy's evolution depends on, as float64 arrays."""
    own = {f"pdf.{name}": value for name, value in INPUTS["les_houches_toy"].defaults.items()}
    return {name: np.asarray(value) for name, value in (THEORY | own | changed).items()}


def evolved(given):
    return pdf_evolution(given, {}, **SMALL_TO_CHARM, alphas_flavours=5)


@functools.cache
def directions():
    """A random tangent of the parameters and a random cotangent of the outputs."""
    rng = np.random.default_rng(3)
    shapes = jax.eval_shape(evolved, parameters())
    tangent = {name: rng.normal(size=v.shape) * v for name, v in parameters().items()}
    return tangent, {name: jnp.asarray(rng.normal(size=v.shape)) for name, v in shapes.items()}


@quickly
def push_and_pull(given, tangent, cotangent):
    """All that the tests of derivatives need, in one program: it is compiled once."""
    value, pushed = jax.jvp(evolved, (given,), (tangent,))
    _, pull = jax.vjp(evolved, given)
    return value, pushed, pull(cotangent)[0]


class Linearised(NamedTuple):
    """An evolution at one point: outputs, pushforward and pullback."""

    outputs: Mapping[str, Array]
    pushed: Mapping[str, Array]
    pulled: Mapping[str, Array]


@pytest.fixture(scope="module")
def linearised():
    return Linearised(*push_and_pull(parameters(), *directions()))


def inner(left, right):
    """The terms of the inner product of two dicts of arrays, one per name."""
    return [float(np.vdot(left[name], right[name])) for name in left]


@pytest.mark.slow  # derivatives in all parameters are compiled
@pytest.mark.parametrize("name", sorted(parameters()))
def test_derivatives_are_those_of_finite_differences(linearised, name):
    tangent, cotangent = directions()
    value = parameters()[name]
    direction = value * np.linspace(0.5, 1.0, value.size).reshape(value.shape)
    step = 2e-4 if name in ("mc", "q0") else 1e-3  # their leg is short: 1.414 to 1.5 GeV

    def projected(k):
        moved = parameters(**{name: value + k * step * direction})
        return sum(inner(cotangent, push_and_pull(moved, tangent, cotangent)[0]))

    low, below, above, high = (projected(k) for k in (-2, -1, 1, 2))
    slope = (low - 8.0 * below + 8.0 * above - high) / (12.0 * step)
    found = float(np.vdot(linearised.pulled[name], direction))
    # fourth-order differences: truncation step^4, rounding 1e-15/step of the projection
    assert found == pytest.approx(slope, rel=1e-7, abs=3e-11 * abs(below))


def test_adjoint_identity(linearised):
    tangent, cotangent = directions()
    left = sum(inner(cotangent, linearised.pushed))
    right = inner(linearised.pulled, tangent)
    assert abs(left - sum(right)) < 1e-12 * sum(map(abs, right))  # rounding of many operations


@functools.cache
def precise(**options):
    return quickly(lambda p, density: pdf_evolution(p, density, **TOY, **options))


@pytest.mark.parametrize("scheme", ["VFNS", "FFNS"])
def test_momentum_and_numbers_stay(scheme):
    made = precise(scheme=scheme, scales=(2.0, 100.0))({}, {})
    # 1e-4 is the splitting functions' parametrisation; a power of x stands in below 1e-7
    assert float(made["momentum_sum"]) == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(made["number_sums"], [2.0, 1.0, 0.0], atol=2e-4)


@pytest.mark.slow  # derivatives in all parameters are compiled
def test_back_and_forth_gives_the_input_back():
    far = 30.0
    up = precise(scales=(Q0 * (1 + 1e-9), far))({}, {})
    there = {"density": jnp.asarray(up["grid"])[:, 1].T}
    coupling = {"alphas_scale": Q0, "alphas_flavours": 3}
    down = precise(scales=(Q0,), q0=far, nf=5, backward=True, **coupling)({}, there)
    before, after = np.asarray(up["grid"])[:, 0].T, np.asarray(down["grid"])[:, 0].T
    light = [*range(3), *range(5, 8), 10]
    size = np.abs(before).max(axis=1)[:, None]
    error = np.abs(after - before)[light] / np.maximum(np.abs(before), 1e-3 * size)[light]
    usual = np.asarray(up["x"]) < 0.8
    assert error[:, usual].max() < 1e-6  # of the density, or of a thousandth of its peak


@pytest.mark.slow  # an operator and its derivatives are compiled
def test_an_operator_does_what_the_evolution_does_with_derivatives_in_the_theory():
    options = SMALL_TO_CHARM | {"scales": [20.0], "alphas_flavours": 5}
    given = {name: np.asarray(THEORY[name]) for name in ("alphas_mz", "mc", "mb")}
    tangent = {name: np.asarray(1.0 + n) for n, name in enumerate(given)}
    toy = INPUTS["les_houches_toy"]
    density = toy.density(
        {name: jnp.asarray(value) for name, value in toy.defaults.items()},
        grid.nodes(SMALL["x_min"], SMALL["points"]),
    )
    members = jnp.stack([density, 2.0 * density])

    def by_operator(p):
        made = pdf_operator(p, {}, **options)["operator"]
        return pdf_from_operator({}, {"operator": made, "density": members})["grid"]

    def direct(p):
        return pdf_evolution(p, {}, **options)["grid"]

    many, pushed_many = quickly(lambda: jax.jvp(by_operator, (given,), (tangent,)))()
    one, pushed_one = quickly(lambda: jax.jvp(direct, (given,), (tangent,)))()
    for found, expected in ((many, one), (pushed_many, pushed_one)):
        rounding = 1e-13 * np.abs(expected).max()
        np.testing.assert_allclose(found[0], expected, atol=rounding)
        np.testing.assert_allclose(found[1], 2.0 * found[0], atol=rounding)


@pytest.mark.parametrize("nf", [3, 4, 5, 6])
def test_fixed_numbers_of_flavours(nf):
    options = SMALL | {"scheme": "FFNS", "nf": nf, "scales": [10.0], "order": "LO"}
    made = quickly(lambda: pdf_evolution({}, {}, **options))()
    names = flavours.names(nf)
    assert made["grid"].shape == (24, 1, len(names))
    x_f = dict(zip(names, np.asarray(made["grid"])[:, 0].T, strict=True))
    for place, quark in enumerate(flavours.quarks(nf)):
        assert (np.abs(x_f[quark]).max() > 0.0) == (place < nf)


def test_top_appears_at_its_threshold():
    options = SMALL | {"nf_max": 6, "scales": [150.0, 400.0], "order": "LO"}
    made = quickly(lambda: pdf_evolution({}, {}, **options))()
    top = np.asarray(made["grid"])[:, :, flavours.names(6).index("t")]
    assert np.abs(top[:, 0]).max() == 0.0
    assert top[:, 1].max() > 0.01


@pytest.fixture(scope="module")
def mstw_lo():
    options = {"input": "mstw2008lo", "scales": [91.1876], "points": 20, "x_min": 1e-5}
    return quickly(lambda p: pdf_evolution(p, {}, **options))(pdf_parameters())


def test_coupling_at_the_z_is_the_published_one(mstw_lo):
    assert float(mstw_lo["alphas"][0]) == pytest.approx(0.13939, abs=1e-5)  # rounding
    # 1 at the start, to 1e-4; a power of x is a rough stand-in for the steep gluon below 1e-5
    assert float(mstw_lo["momentum_sum"]) == pytest.approx(1.0, abs=1e-3)


def test_heavy_quarks_have_no_asymmetry_at_leading_order(mstw_lo):
    table = np.asarray(mstw_lo["grid"])
    x_f = dict(zip(flavours.FLAVOURS, np.moveaxis(table, 2, 0), strict=True))
    for quark in ("c", "b"):
        assert x_f[quark].max() > 0.1
        np.testing.assert_allclose(x_f[quark], x_f[f"{quark}bar"], atol=1e-13)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"order": "N3LO"}, "one of LO"),
        ({"input": "mine"}, "no input 'mine'"),
        ({"scheme": "GMVFNS"}, "one of FFNS, VFNS"),
        ({"nf": 7}, "not be above 6"),
        ({"nf_max": 2}, "at least 3"),
        ({"scheme": "FFNS", "nf": 4, "nf_max": 5}, "nf_max is for VFNS"),
        ({"scales": [100.0, 50.0]}, "above the one"),
        ({"scales": {"min": 50.0, "max": 100.0}}, "missing keys"),
        ({"scales": None}, "scales are not given"),
        ({"x_min": 0.5}, "x_min"),
        ({"points": 70.0}, "integer"),
        ({"steps": 0}, "at least 1"),
        ({"q0": -1.0}, "above zero"),
        ({"precison": "fast"}, "unknown option 'precison'"),
        ({"input": "table"}, "q0 is not given"),
        ({"input": "table", "q0": 1.4}, "alphas_mz is not given"),
    ],
)
def test_wrong_options_are_refused_by_name(options, word):
    with pytest.raises(ValueError, match=word):
        pdf_evolution({}, {}, **(SMALL | {"scales": [10.0]} | options))


@pytest.mark.parametrize(
    ("changed", "options", "word"),
    [
        ({"scales": [1.0, 20.0]}, {}, "the scale 1 GeV lies below q0"),
        ({"alphas_mz": 0.3}, {}, "Landau pole"),
        ({"scales": [0.4, 20.0]}, {"backward": True}, "Landau pole"),
        ({"mc": 5.0}, {}, "masses out of order"),
        ({"mc": 1.2}, {}, "mc = 1.2 GeV lies below q0"),
        ({"pdf.N_g": 3.0}, {}, "of the proton's momentum|momentum, not 1"),
        ({"pdf.N_uv": 5.6, "pdf.N_g": 1.56}, {}, "u quarks less antiquarks, not 2"),
        ({"pdf.N_x": 3.0}, {}, "no parameter 'N_x'"),
        ({"alphas_mx": 0.118}, {}, "takes no parameter 'alphas_mx'"),
        ({"alphas_q0": 0.35}, {}, "more than once"),
        ({"kr": -1.0}, {}, "kr must be above zero"),
    ],
)
def test_wrong_values_are_refused(changed, options, word):
    with pytest.raises(ValueError, match=word):
        check_pdf_evolution(parameters(**changed), {}, **(SMALL | options))


def test_sum_rules_can_be_ignored():
    check_pdf_evolution(parameters(**{"pdf.N_g": 3.0}), {}, **SMALL, sum_rules="ignored")
