"""Evolution of parton densities: published tables, sum rules, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
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

SCALES = {"min": 50.0, "max": 160.0, "count": 4}
TOY = {"input": "les_houches_toy", "q0": 2.0**0.5, "x_min": 1e-7, "points": 70, "steps": 16}
TOY_SCALES = [10.0, 30.0, 60.0, 100.0]


def evolved(parameters, **options):
    return jax.jit(lambda p: pdf_evolution(p, {}, **options))(parameters)


def toy_columns(flavours, thresholds):
    parameters = {"alphas_q0": jnp.asarray(0.35), **thresholds}
    made = evolved(parameters, scales=TOY_SCALES, flavours=flavours, **TOY)
    weights = grid.basis(TABLE_X, TOY["x_min"], TOY["points"])
    x_f = dict(zip(FLAVOURS, (weights @ np.asarray(made["grid"][:, -1, :])).T, strict=True))
    columns = {
        "xu_v": x_f["u"] - x_f["ubar"],
        "xd_v": x_f["d"] - x_f["dbar"],
        "xL_-": x_f["dbar"] - x_f["ubar"],
        "2xL_+": 2.0 * (x_f["dbar"] + x_f["ubar"]),
        "xg": x_f["g"],
    }
    sums = {f"x{q}_+": x_f[q] + x_f[f"{q}bar"] for q in ("s", "c", "b")}
    return columns | sums, float(made["alphas"][-1])


@pytest.mark.parametrize(
    ("flavours", "thresholds", "table", "alphas"),
    [
        ([4], {}, TABLE_FIXED_FLAVOURS, 0.1175740),
        ([3, 4, 5], {"m_c": 2.0**0.5, "m_b": 4.5}, TABLE_VARIABLE_FLAVOURS, 0.1223055),
    ],
)
def test_evolution_gives_the_les_houches_tables(flavours, thresholds, table, alphas):
    masses = {name: jnp.asarray(value) for name, value in thresholds.items()}
    columns, coupling = toy_columns(flavours, masses)
    assert coupling == pytest.approx(alphas, abs=1e-7)  # rounding of the published value
    for name, published in table.items():
        # five digits are printed, so 5e-5 is rounding; the rest is the grid's
        np.testing.assert_allclose(columns[name], published, rtol=1e-4, err_msg=name)


def integral(power, flavours):
    """int dx x^power sum of c f over {flavour: c}, at the starting scale."""
    node, weight = grid.gauss(200)
    x = node**12  # removes the x^-0.84 of the gluon
    measure = weight * 12.0 * node**11
    own = {name: jnp.asarray(value) for name, value in MSTW2008LO.items()}
    x_f = dict(zip(FLAVOURS, np.asarray(inputs.mstw2008lo(own, x)), strict=True))
    return sum(c * (measure * x ** (power - 1.0)) @ x_f[name] for name, c in flavours.items())


def test_input_obeys_the_sum_rules():
    # to the five digits of the published parameters
    assert integral(0, {"u": 1.0, "ubar": -1.0}) == pytest.approx(2.0, abs=2e-4)
    assert integral(0, {"d": 1.0, "dbar": -1.0}) == pytest.approx(1.0, abs=2e-4)
    assert integral(0, {"s": 1.0, "sbar": -1.0}) == pytest.approx(0.0, abs=2e-4)
    assert integral(0, {"dbar": 1.0, "ubar": -1.0}) == pytest.approx(0.091031, abs=1e-5)
    assert integral(1, dict.fromkeys(FLAVOURS, 1.0)) == pytest.approx(1.0, abs=2e-4)


def test_evolution_keeps_the_momentum():
    made = evolved(pdf_parameters(), scales=SCALES, x_min=1e-8, points=100)
    # 4e-4 of the momentum starts below 1e-8, where a power of x stands in for the densities
    assert float(made["momentum_sum"]) == pytest.approx(1.0, abs=4e-4)


def test_coupling_at_the_z_is_the_published_one():
    made = evolved(pdf_parameters(), scales=[20.0, 50.0, 91.1876, 100.0], points=20)
    assert float(made["alphas"][2]) == pytest.approx(0.13939, abs=1e-5)  # rounding


def test_heavy_quarks_have_no_asymmetry():
    made = evolved(pdf_parameters(), scales=SCALES, points=20)
    for quark in ("c", "b"):
        pair = [FLAVOURS.index(name) for name in (quark, f"{quark}bar")]
        np.testing.assert_allclose(
            made["grid"][..., pair[0]], made["grid"][..., pair[1]], atol=1e-14
        )


def test_derivatives_are_those_of_finite_differences():
    parameters = pdf_parameters()
    rng = np.random.default_rng(7)
    cotangent = jnp.asarray(rng.normal(size=(20, 4, len(FLAVOURS))))

    @jax.jit
    def projected(p):
        return jnp.vdot(cotangent, pdf_evolution(p, {}, scales=SCALES, points=20)["grid"])

    gradient = jax.jit(jax.grad(projected))(parameters)
    for name in ("alphas_q0", "m_c", "m_b", "pdf.A_u", "pdf.delta_g", "pdf.eta_S", "pdf.x_0"):
        step = 1e-4 * abs(parameters[name])
        at = [
            float(projected(parameters | {name: parameters[name] + k * step}))
            for k in (-2, -1, 1, 2)
        ]
        slope = (at[0] - 8.0 * at[1] + 8.0 * at[2] - at[3]) / (12.0 * float(step))
        # fourth-order differences: truncation 1e-12, rounding 1e-16/1e-4 of the projection
        assert float(gradient[name]) == pytest.approx(slope, rel=1e-7, abs=1e-10 * abs(at[1])), name


def test_adjoint_identity():
    parameters = pdf_parameters()
    rng = np.random.default_rng(3)

    def densities(p):
        return pdf_evolution(p, {}, scales=SCALES, points=20)["grid"]

    tangent = {name: jnp.asarray(rng.normal()) * value for name, value in parameters.items()}
    value, pushed = jax.jit(lambda p, t: jax.jvp(densities, (p,), (t,)))(parameters, tangent)
    cotangent = jnp.asarray(rng.normal(size=value.shape))
    (pulled,) = jax.jit(lambda p, c: jax.vjp(densities, p)[1](c))(parameters, cotangent)
    left = float(jnp.vdot(cotangent, pushed))
    right = sum(float(pulled[name] * tangent[name]) for name in parameters)
    size = sum(abs(float(pulled[name] * tangent[name])) for name in parameters)
    assert abs(left - right) < 1e-12 * size  # rounding of a few thousand operations


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
        pdf_evolution(pdf_parameters(), {}, **({"scales": SCALES} | options))
