"""Evolution of parton densities: published tables, sum rules, derivatives."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from physics.reference import (
    MSTW2008LO,
    TABLE_FIXED_FLAVOURS,
    TABLE_VARIABLE_FLAVOURS,
    TABLE_X,
    pdf_parameters,
)

from diffpipe.pipelines.physics.pdf import grid, inputs
from diffpipe.pipelines.physics.pdf.flavours import FLAVOURS
from diffpipe.pipelines.physics.pdf.stage import pdf_evolution

SMALL = {"scales": [20.0, 50.0, 91.1876, 100.0], "points": 20}
TOY = {
    "input": "les_houches_toy",
    "q0": 2.0**0.5,
    "scales": [10.0, 30.0, 60.0, 100.0],
    "x_min": 1e-7,
    "points": 70,
    "steps": 16,
}


class Linearised(NamedTuple):
    """An evolution at one point: outputs, pushforward and pullback of a random direction."""

    outputs: Mapping[str, Array]
    tangent: Mapping[str, Array]
    pushed: Mapping[str, Array]
    cotangent: Mapping[str, Array]
    pulled: Mapping[str, Array]


def small(parameters):
    return pdf_evolution(parameters, {}, **SMALL)


@jax.jit
def push_and_pull(parameters, tangent, cotangent):
    """All that the tests of derivatives need, in one program: it is compiled once."""
    value, pushed = jax.jvp(small, (parameters,), (tangent,))
    (pulled,) = jax.vjp(small, parameters)[1](cotangent)
    return value, pushed, pulled


@pytest.fixture(scope="module")
def linearised():
    rng, parameters = np.random.default_rng(3), pdf_parameters()
    shapes = jax.eval_shape(small, parameters)
    tangent = {name: rng.normal() * value for name, value in parameters.items()}
    cotangent = {name: jnp.asarray(rng.normal(size=of.shape)) for name, of in shapes.items()}
    value, pushed, pulled = push_and_pull(parameters, tangent, cotangent)
    return Linearised(value, tangent, pushed, cotangent, pulled)


def inner(left, right):
    """The terms of the inner product of two dicts of arrays, one per name."""
    return [float(np.vdot(left[name], right[name])) for name in left]


@functools.cache
def toy(scheme):
    """The benchmark's evolution to 100 GeV."""
    thresholds = {"fixed": {}, "variable": {"m_c": 2.0**0.5, "m_b": 4.5}}[scheme]
    flavours = {"fixed": [4], "variable": [3, 4, 5]}[scheme]
    parameters = {name: np.asarray(v) for name, v in {"alphas_q0": 0.35, **thresholds}.items()}
    return jax.jit(lambda p: pdf_evolution(p, {}, flavours=flavours, **TOY))(parameters)


def published_columns(grid_at_q):
    """The combinations of flavours that the published tables list, from a grid (x, flavour)."""
    weights = grid.basis(TABLE_X, TOY["x_min"], TOY["points"])
    x_f = dict(zip(FLAVOURS, (weights @ np.asarray(grid_at_q)).T, strict=True))
    columns = {
        "xu_v": x_f["u"] - x_f["ubar"],
        "xd_v": x_f["d"] - x_f["dbar"],
        "xL_-": x_f["dbar"] - x_f["ubar"],
        "2xL_+": 2.0 * (x_f["dbar"] + x_f["ubar"]),
        "xg": x_f["g"],
    }
    return columns | {f"x{q}_+": x_f[q] + x_f[f"{q}bar"] for q in ("s", "c", "b")}


@pytest.mark.parametrize(
    ("scheme", "table", "alphas"),
    [
        ("fixed", TABLE_FIXED_FLAVOURS, 0.1175740),
        ("variable", TABLE_VARIABLE_FLAVOURS, 0.1223055),
    ],
)
def test_evolution_gives_the_les_houches_tables(scheme, table, alphas):
    made = toy(scheme)
    assert float(made["alphas"][-1]) == pytest.approx(alphas, abs=1e-7)  # rounding of the value
    columns = published_columns(made["grid"][:, -1])
    for name, published in table.items():
        # five digits are printed, so 5e-5 is rounding; the rest is the grid's
        np.testing.assert_allclose(columns[name], published, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("scheme", ["fixed", "variable"])
def test_evolution_keeps_the_momentum(scheme):
    # 1 at the start, to 2e-8; what evolves to x below 1e-7 is added as a power of x
    assert float(toy(scheme)["momentum_sum"]) == pytest.approx(1.0, abs=1e-5)


@pytest.fixture(scope="module")
def integral():
    """int dx x^power sum of c f over {flavour: c}, at the starting scale."""
    node, weight = grid.gauss(200)
    x, measure = node**12, weight * 12.0 * node**11  # removes the x^-0.84 of the gluon
    own = {name: jnp.asarray(value) for name, value in MSTW2008LO.items()}
    densities = np.asarray(jax.jit(lambda p: inputs.mstw2008lo(p, x))(own))
    x_f = dict(zip(FLAVOURS, densities, strict=True))
    return lambda power, flavours: sum(
        c * (measure * x ** (power - 1.0)) @ x_f[name] for name, c in flavours.items()
    )


def test_input_obeys_the_sum_rules(integral):
    # to the five digits of the published parameters
    assert integral(0, {"u": 1.0, "ubar": -1.0}) == pytest.approx(2.0, abs=2e-4)
    assert integral(0, {"d": 1.0, "dbar": -1.0}) == pytest.approx(1.0, abs=2e-4)
    assert integral(0, {"s": 1.0, "sbar": -1.0}) == pytest.approx(0.0, abs=2e-4)
    assert integral(0, {"dbar": 1.0, "ubar": -1.0}) == pytest.approx(0.091031, abs=1e-5)
    assert integral(1, dict.fromkeys(FLAVOURS, 1.0)) == pytest.approx(1.0, abs=2e-4)


def test_coupling_at_the_z_is_the_published_one(linearised):
    coupling = float(linearised.outputs["alphas"][2])
    assert coupling == pytest.approx(0.13939, abs=1e-5)  # rounding


def test_evolution_of_the_mstw_input_keeps_the_momentum(linearised):
    # 1 at the start, to 1e-4; a power of x is a rough stand-in for the steep gluon below 1e-5
    assert float(linearised.outputs["momentum_sum"]) == pytest.approx(1.0, abs=1e-3)


def test_heavy_quarks_have_no_asymmetry(linearised):
    table = np.asarray(linearised.outputs["grid"])
    x_f = dict(zip(FLAVOURS, np.moveaxis(table, 2, 0), strict=True))
    for quark in ("c", "b"):
        assert x_f[quark].max() > 0.1
        np.testing.assert_allclose(x_f[quark], x_f[f"{quark}bar"], atol=1e-14)


@pytest.mark.parametrize(
    "name", ["alphas_q0", "m_c", "m_b", "pdf.A_u", "pdf.delta_g", "pdf.eta_S", "pdf.x_0"]
)
def test_derivatives_are_those_of_finite_differences(linearised, name):
    parameters, cotangent = pdf_parameters(), linearised.cotangent
    value = parameters[name]
    step = 1e-4 * abs(value)

    def projected(k):
        moved = parameters | {name: value + k * step}
        return sum(inner(cotangent, push_and_pull(moved, linearised.tangent, cotangent)[0]))

    low, below, above, high = (projected(k) for k in (-2, -1, 1, 2))
    slope = (low - 8.0 * below + 8.0 * above - high) / (12.0 * step)
    # fourth-order differences: truncation 1e-12, rounding 1e-16/1e-4 of the projection
    assert float(linearised.pulled[name]) == pytest.approx(slope, rel=1e-7, abs=1e-10 * abs(below))


def test_adjoint_identity(linearised):
    left = sum(inner(linearised.cotangent, linearised.pushed))
    right = inner(linearised.pulled, linearised.tangent)
    size = sum(map(abs, right))
    assert abs(left - sum(right)) < 1e-12 * size  # rounding of a few thousand operations


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"order": "NLO"}, "one of LO"),
        ({"input": "mine"}, "mstw2008lo"),
        ({"flavours": [3, 5]}, "consecutive"),
        ({"flavours": 4}, "list"),
        ({"scales": [100.0, 50.0, 60.0, 70.0]}, "above the one"),
        ({"scales": {"min": 50.0, "max": 100.0}}, "missing keys"),
        ({"x_min": 0.5}, "x_min"),
        ({"points": 70.0}, "integer"),
        ({"steps": 0}, "at least 1"),
        ({"q0": -1.0}, "above zero"),
    ],
)
def test_wrong_options_are_refused_by_name(options, word):
    with pytest.raises(ValueError, match=word):
        pdf_evolution(pdf_parameters(), {}, **(SMALL | options))
