"""Fits and asymptotic tests: published numbers, other minimisers, implicit derivatives."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln
from scipy import optimize, stats
from support import assemble, composed, values

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.physics.likelihood.inference import explanation
from diffpipe.pipelines.physics.likelihood.inference.asymptotic import (
    Likelihood,
    discovery,
    hypothesis,
)
from diffpipe.pipelines.physics.likelihood.inference.covariance import covariance
from diffpipe.pipelines.physics.likelihood.inference.fit import maximise


def expected(theta, model):
    """A signal of strength mu over a background with one factor per bin, and auxiliary data."""
    auxiliary = theta[1:] * (model["b"] / model["db"]) ** 2
    return jnp.concatenate([theta[0] * model["s"] + theta[1:] * model["b"], auxiliary])


def counting(theta, model, data):
    """log L of Poisson numbers, constants included: pyhf's `uncorrelated_background`."""
    rate = expected(theta, model)
    return jnp.sum(data * jnp.log(rate) - rate - gammaln(data + 1.0))


LIKELIHOOD = Likelihood(counting, expected)
MODEL = {"s": jnp.array([12.0, 11.0]), "b": jnp.array([50.0, 52.0]), "db": jnp.array([3.0, 7.0])}
AUXILIARY = (MODEL["b"] / MODEL["db"]) ** 2
FEW = jnp.concatenate([jnp.array([51.0, 48.0]), AUXILIARY])  # mu_hat at its bound 0
SOME = jnp.concatenate([jnp.array([55.0, 58.0]), AUXILIARY])  # between 0 and 1
MANY = jnp.concatenate([jnp.array([68.0, 63.0]), AUXILIARY])  # above 1
SPACE = {
    "start": jnp.ones(3),
    "lower": jnp.array([0.0, 1e-10, 1e-10]),
    "upper": jnp.full(3, 10.0),
    "fixed": jnp.zeros(3, bool),
}


compiled = functools.partial(jax.jit, compiler_options={"xla_cpu_use_fusion_emitters": False})
likelihood = jax.jit(counting)
slopes = jax.jit(jax.grad(counting))


@compiled
def fit_and_push(model, data, space, along):
    """The fit, and how its theta, value and covariance move along (model, data, start)."""

    def numbers(model, data, start):
        fit = maximise(counting, model, data, **(space | {"start": start}))
        errors = covariance(counting, model, data, fit.theta, space["fixed"])
        return (fit.theta, fit.log_likelihood, errors), fit

    return jax.jvp(numbers, (model, data, space["start"]), along, has_aux=True)


@compiled
def pulled(model, data, space, cotangents):
    def both(model, data, start):
        fit = maximise(counting, model, data, **(space | {"start": start}))
        return fit.theta, fit.log_likelihood

    return jax.vjp(both, model, data, space["start"])[1](cotangents)


def fitted(model, data, space):
    return fit_and_push(model, data, space, direction())[2]


def pushed(model, data, space, along):
    return fit_and_push(model, data, space, along)[1][:2]


def slope(function, step=1e-3):
    """Derivative of a function at 0: five points, so that rounding and terms left out are small."""
    far, near = (np.asarray(function(k * step)) - np.asarray(function(-k * step)) for k in (2, 1))
    return (8.0 * near - far) / (12.0 * step)


def moved(tree, direction, by):
    return jax.tree.map(lambda leaf, way: leaf + by * way, tree, direction)


def direction(seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), (MODEL, MANY, jnp.zeros(3))
    )


def inner(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return sum(float(np.vdot(a, b)) for a, b in pairs)


def test_the_best_fit_of_pyhf():
    fit = fitted(MODEL, FEW, SPACE)
    assert bool(fit.converged)
    # pyhf's minimiser stops at 1e-6
    np.testing.assert_allclose(fit.theta, [0.0, 1.003051, 0.962670], atol=2e-5)
    assert -2.0 * float(fit.log_likelihood) == pytest.approx(24.9839352, abs=5e-8)
    np.testing.assert_array_equal(fit.at_bound, [True, False, False])
    assert float(fit.gradient[0]) < 0.0  # it pushes against the bound


def banana(theta, model, data):
    """A curved valley far from quadratic, Rosenbrock's, in units that differ by 1e5."""
    x, y = theta[0], 1e5 * theta[1]
    return -jnp.sum(model * (data - x) ** 2) - 5.0 * (y - x**2) ** 2


def resonance(theta, model, data):
    """Events of a normal peak over a flat background: mean, log of width, fraction."""
    peak = jnp.exp(-0.5 * ((data - theta[0]) * jnp.exp(-theta[1])) ** 2 - theta[1]) * model
    return jnp.sum(jnp.log(theta[2] * peak + (1.0 - theta[2]) * 0.1))


EVENTS = np.random.default_rng(3)
EVENTS = jnp.asarray(np.concatenate([EVENTS.normal(4.0, 0.5, 200), EVENTS.uniform(0.0, 10.0, 300)]))
CASES = {
    "counting": (counting, MODEL, MANY, SPACE),
    "counting, from afar": (counting, MODEL, MANY, SPACE | {"start": jnp.array([9.0, 0.1, 5.0])}),
    "counting, at a bound": (counting, MODEL, FEW, SPACE),
    "counting, at two": (counting, MODEL, MANY, SPACE | {"upper": jnp.array([10.0, 1.01, 10.0])}),
    "banana": (
        banana,
        jnp.asarray(0.5),
        jnp.array([0.5, 1.5, 1.7]),
        {
            "start": jnp.array([-1.2, 1e-5]),
            "lower": jnp.full(2, -jnp.inf),
            "upper": jnp.full(2, jnp.inf),
            "fixed": jnp.zeros(2, bool),
        },
    ),
    "resonance": (
        resonance,
        jnp.asarray(1.0 / np.sqrt(2.0 * np.pi)),
        EVENTS,
        {
            "start": jnp.array([5.0, 0.0, 0.5]),
            "lower": jnp.array([0.0, -5.0, 0.0]),
            "upper": jnp.array([10.0, 3.0, 1.0]),
            "fixed": jnp.zeros(3, bool),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_no_other_minimiser_does_better(name):
    log_likelihood, model, data, space = CASES[name]
    if log_likelihood is counting:
        fit = fitted(model, data, space)
    else:
        fit = compiled(lambda: maximise(log_likelihood, model, data, **space))()
    value = jax.jit(jax.value_and_grad(lambda theta: -log_likelihood(theta, model, data)))
    bounds = list(zip(space["lower"], space["upper"], strict=True))
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000}
    theta = np.asarray(fit.theta)
    near = np.clip(theta * 1.001, *(np.asarray(space[side]) for side in ("lower", "upper")))
    other = optimize.minimize(
        lambda t: tuple(map(np.asarray, value(t))), near, jac=True, bounds=bounds, options=options
    )
    assert bool(fit.converged)
    assert -float(fit.log_likelihood) <= other.fun + 1e-12 * abs(other.fun)  # rounding of the sums
    inside = ~np.asarray(fit.at_bound)
    # the other's theta is as good as the root of its value's rounding
    np.testing.assert_allclose(other.x[inside], theta[inside], rtol=3e-6)
    assert np.max(np.abs(fit.gradient * fit.theta)[inside]) < 1e-8  # flat to rounding


def test_theta_follows_model_and_data():
    along = direction()
    theta, _ = pushed(MODEL, MANY, SPACE, along)

    def at(by):
        model, data, _ = moved((MODEL, MANY, SPACE["start"]), along, by)
        return fitted(model, data, SPACE).theta

    np.testing.assert_allclose(theta, slope(at), rtol=1e-8)  # rounding over the step: 1e-12


@pytest.mark.parametrize("data", [FEW, MANY], ids=["at a bound", "inside"])
def test_the_value_follows_too_with_mu_at_its_bound_or_not(data):
    along = direction()
    _, value = pushed(MODEL, data, SPACE, along)

    def at(by):
        return fitted(*moved((MODEL, data), along[:2], by), SPACE).log_likelihood

    np.testing.assert_allclose(value, slope(at), rtol=1e-8)


def test_a_profile_follows_the_parameter_that_is_fixed():
    space, along = SPACE | {"fixed": jnp.array([True, False, False])}, direction()
    theta, value = pushed(MODEL, FEW, space, along)

    def at(by):
        model, data, start = moved((MODEL, FEW, SPACE["start"]), along, by)
        fit = fitted(model, data, space | {"start": start})
        return jnp.append(fit.theta, fit.log_likelihood)

    np.testing.assert_allclose(jnp.append(theta, value), slope(at), rtol=1e-8)
    assert float(theta[0]) == float(along[2][0])


def test_forward_and_reverse_are_adjoint():
    along, rng = direction(1), np.random.default_rng(5)
    ahead = pushed(MODEL, MANY, SPACE, along)
    cotangents = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), ahead)
    back = pulled(MODEL, MANY, SPACE, cotangents)
    assert inner(cotangents, ahead) == pytest.approx(inner(back, along), rel=1e-12)  # rounding


def test_a_fit_at_its_bound_refuses_what_it_does_not_know_and_no_more():
    theta, value = pushed(MODEL, FEW, SPACE, direction())
    assert np.isnan(theta).all()
    assert np.isfinite(value)
    of_theta = pulled(MODEL, FEW, SPACE, (jnp.ones(3), jnp.asarray(0.0)))
    assert np.isnan(of_theta[0]["s"]).all()
    of_value = pulled(MODEL, FEW, SPACE, (jnp.zeros(3), jnp.asarray(1.0)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_value))


def test_a_fit_that_has_not_converged_has_no_derivatives():
    lost = SPACE | {"start": jnp.array([-9.0, 1.0, 1.0]), "lower": jnp.full(3, -10.0)}
    fit = fitted(MODEL, MANY, lost)  # starts where nothing is expected less than nothing
    assert not bool(fit.converged)
    assert int(fit.iterations) == 1
    theta, value = pushed(MODEL, MANY, lost, direction())
    assert np.isnan(theta).all()
    assert np.isnan(value)


def test_where_the_likelihood_is_flat_nothing_moves():
    """Without a signal template mu means nothing: it stays, and the others follow as ever."""
    model = MODEL | {"s": jnp.zeros(2)}
    fit = fitted(model, MANY, SPACE)
    assert bool(fit.converged)
    assert float(fit.theta[0]) == 1.0
    total = MANY[:2] + AUXILIARY  # both measure the factor: gamma = (n + m)/(b + tau)
    np.testing.assert_allclose(fit.theta[1:], total / (MODEL["b"] + AUXILIARY), rtol=1e-13)
    along = ({name: jnp.zeros(2) for name in MODEL}, jnp.array([1.0, 0.0, 0.0, 0.0]), jnp.zeros(3))
    theta, _ = pushed(model, MANY, SPACE, along)
    np.testing.assert_allclose(theta, [0.0, 1.0 / (50.0 + AUXILIARY[0]), 0.0], atol=1e-15)


def test_the_value_curves_as_its_slopes_change():
    way = direction(2)[1]

    @compiled
    def curved(by):
        def value(by):
            return maximise(counting, MODEL, MANY + by * way, **SPACE).log_likelihood

        return jax.grad(value)(by), jax.jvp(jax.grad(value), (by,), (1.0,))[1]

    assert float(curved(0.0)[1]) == pytest.approx(float(slope(lambda x: curved(x)[0])), rel=1e-7)


def test_covariance_is_that_of_the_curvature_and_follows_the_model():
    space, along = SPACE | {"fixed": jnp.array([False, False, True])}, direction()
    (theta, _, errors), (_, _, ahead), _ = fit_and_push(MODEL, MANY, space, along)

    def at(by):
        model, data, start = moved((MODEL, MANY, SPACE["start"]), along, by)
        return fit_and_push(model, data, space | {"start": start}, along)[0][2]

    curvature = [
        slope(lambda by, i=i: -slopes(theta.at[i].add(by), MODEL, MANY)[:2]) for i in range(2)
    ]
    np.testing.assert_allclose(errors[:2, :2], np.linalg.inv(curvature), rtol=1e-9)
    assert not np.asarray(errors)[2].any()
    np.testing.assert_allclose(ahead, slope(at), rtol=1e-7, atol=1e-12)


def asked(statistic):
    """Of (by, model, data, mu): values of a test, and their derivatives along a direction."""

    def numbers(by, model, data, mu):
        model, data, start = moved((model, data, jnp.zeros(3)), direction(), by)
        if statistic == "q0":
            made = discovery(LIKELIHOOD, model, data, poi=0, **SPACE)
            parts = (made.q, made.q_asimov, made.p0, made.significance_expected)
            return jnp.append(jnp.stack(parts), made.p0_expected)
        mu = mu + start[0]
        made = hypothesis(LIKELIHOOD, model, data, poi=0, mu=mu, statistic=statistic, **SPACE)
        parts = (made.q, made.q_asimov, made.cls_observed, made.clsb, made.clb)
        return jnp.append(jnp.stack(parts), made.cls_expected)

    @compiled
    def both(by, model, data, mu):
        return jax.jvp(lambda by: numbers(by, model, data, mu), (by,), (1.0,))

    return (
        lambda by, data, mu, model=MODEL: both(by, model, data, mu)[0],
        lambda data, mu: both(0.0, MODEL, data, mu)[1],
    )


@pytest.fixture(scope="module")
def qtilde():
    return asked("qtilde")


def test_cls_of_pyhf(qtilde):
    made = qtilde[0](0.0, FEW, 1.0)
    # pyhf's minimiser stops at 1e-6 in its objective
    assert float(made[2]) == pytest.approx(0.05251497, abs=1e-6)
    band = [0.00260626, 0.01382005, 0.06445319, 0.23525641, 0.57303617]
    np.testing.assert_allclose(made[5:], band, atol=1e-5)


def root_of_slopes(model, data, mu):
    """-2 log L at mu by another program, to rounding: the roots of the slopes in the others."""
    found = optimize.root(
        lambda t: np.asarray(slopes(jnp.append(mu, t), model, data)[1:]), np.ones(2), tol=1e-14
    )
    theta = jnp.append(mu, found.x)
    return -2.0 * float(likelihood(theta, model, data)), theta


def test_cls_are_those_of_the_formulas(qtilde):
    made = np.asarray(qtilde[0](0.0, FEW, 1.0))
    best, theta = root_of_slopes(MODEL, FEW, 0.0)  # mu_hat is at its bound
    asimov = expected(theta, MODEL)
    q = root_of_slopes(MODEL, FEW, 1.0)[0] - best
    q_asimov = root_of_slopes(MODEL, asimov, 1.0)[0] + 2.0 * float(likelihood(theta, MODEL, asimov))
    assert q > q_asimov  # Eqs. (65) and (66) beyond mu^2/sigma^2
    clsb, clb = (stats.norm.sf((q + sign * q_asimov) / (2 * np.sqrt(q_asimov))) for sign in (1, -1))
    sigmas = np.array([-2, -1, 0, 1, 2])
    median = stats.norm.sf(np.sqrt(q_asimov) - sigmas) / stats.norm.cdf(sigmas)
    want = [q, q_asimov, clsb / clb, clsb, clb, *median]
    np.testing.assert_allclose(made, want, rtol=1e-11)  # rounding of log L of about 10


@pytest.mark.parametrize("data", [FEW, SOME], ids=["beyond the Asimov value", "below it"])
def test_cls_follow_templates_data_and_mu(qtilde, data):
    numbers, ahead = qtilde
    # values of 0.01 to 10 round by 1e-14: slopes by 1e-11
    np.testing.assert_allclose(
        ahead(data, 1.0), slope(lambda by: numbers(by, data, 1.0)), rtol=1e-7, atol=1e-10
    )


def test_where_mu_hat_is_above_mu_q_is_zero_and_so_is_its_slope(qtilde):
    numbers, ahead = qtilde
    made, slopes = numbers(0.0, MANY, 1.0), np.asarray(ahead(MANY, 1.0))
    assert float(made[0]) == 0.0
    assert slopes[0] == 0.0
    assert float(made[3]) == 0.5
    assert np.isfinite(slopes).all()
    np.testing.assert_allclose(slopes[2], slope(lambda by: numbers(by, MANY, 1.0)[2]), rtol=1e-7)


def best_of_slopes(model, data):
    """-2 log L without bounds, by the roots of all slopes."""
    found = optimize.root(lambda t: np.asarray(slopes(t, model, data)), np.ones(3), tol=1e-14)
    return -2.0 * float(likelihood(found.x, model, data))


def test_discovery_is_that_of_the_formulas_and_follows_too():
    numbers, ahead = asked("q0")
    made = np.asarray(numbers(0.0, SOME, 1.0))
    np.testing.assert_allclose(
        ahead(SOME, 1.0), slope(lambda by: numbers(by, SOME, 1.0)), rtol=1e-7, atol=1e-10
    )
    background, _ = root_of_slopes(MODEL, SOME, 0.0)
    _, theta = root_of_slopes(MODEL, SOME, 1.0)
    asimov = expected(theta, MODEL)
    q = background - best_of_slopes(MODEL, SOME)
    q_asimov = root_of_slopes(MODEL, asimov, 0.0)[0] + 2 * float(likelihood(theta, MODEL, asimov))
    median = np.sqrt(q_asimov)
    want = [q, q_asimov, stats.norm.sf(np.sqrt(q)), median]
    band = stats.norm.sf(median + np.array([2, 1, 0, -1, -2]))
    np.testing.assert_allclose(made, [*want, *band], rtol=1e-10)  # rounding of log L of about 10


def test_without_a_bound_q_knows_a_negative_best_fit():
    q, q_asimov, mu_hat, clsb, clb = compiled(
        lambda: [
            getattr(hypothesis(LIKELIHOOD, MODEL, FEW, poi=0, mu=1.0, statistic="q", **SPACE), name)
            for name in ("q", "q_asimov", "mu_hat", "clsb", "clb")
        ]
    )()
    assert float(mu_hat) < 0.0
    direct = root_of_slopes(MODEL, FEW, 1.0)[0] - best_of_slopes(MODEL, FEW)
    assert float(q) == pytest.approx(direct, rel=1e-10)
    assert float(clsb) == pytest.approx(stats.norm.sf(np.sqrt(q)), rel=1e-12)
    assert float(clb) == pytest.approx(stats.norm.sf(np.sqrt(q) - np.sqrt(q_asimov)), rel=1e-12)


def test_statistics_that_are_none_are_refused():
    with pytest.raises(ValueError, match="must be one of q, qtilde"):
        hypothesis(LIKELIHOOD, MODEL, FEW, poi=0, mu=1.0, statistic="t", **SPACE)


WORKSPACE = {
    "channels": [
        {
            "name": "SR",
            "samples": [
                {
                    "name": "signal",
                    "data": [12.0, 11.0],
                    "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                },
                {
                    "name": "background",
                    "data": [50.0, 52.0],
                    "modifiers": [{"name": "gamma", "type": "shapesys", "data": [3.0, 7.0]}],
                },
            ],
        }
    ],
    "observations": [{"name": "SR", "data": [51.0, 48.0]}],
    "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
    "version": "1.0.0",
}
TOY = """
import jax.numpy as jnp


def toy(parameters, inputs):
    cut = parameters["cut"]
    return {"signal": jnp.stack([12.0 - 3.0 * cut**2, 11.0 - cut])}

"""
PIPELINE = """
pipeline: search
parameters: {cut: 0.1}
stages:
  toy: {uses: "toy:toy", over: once, parameters: [cut]}
  test:
    uses: inference
    over: once
    inputs: {signal: toy.signal}
    options:
      workspace: ws.json
      templates: {signal: {channel: SR, sample: signal}}
      mu: 1.0
objective: test.cls_median
"""


@pytest.fixture
def search(tmp_path):
    (tmp_path / "ws.json").write_text(json.dumps(WORKSPACE))
    (tmp_path / "toy.py").write_text(TOY)

    def write(old="", new=""):
        (tmp_path / "pipeline.yaml").write_text(PIPELINE.replace(old, new, 1))
        return tmp_path / "pipeline.yaml"

    return write


@pytest.mark.slow  # fits within fits are compiled
def test_the_median_cls_of_a_workspace_follows_a_cut(search, qtilde):
    made = assemble(search())
    run = composed(made)
    found, ahead = compiled(
        lambda cut: jax.jvp(lambda cut: run(values(made) | {"cut": cut}), (cut,), (1.0,))
    )(0.1)

    def median(by):
        cut = 0.1 + by
        signal = jnp.stack([12.0 - 3.0 * cut**2, 11.0 - cut])
        return qtilde[0](0.0, FEW, 1.0, MODEL | {"s": signal})[7]

    assert float(found) == pytest.approx(float(median(0.0)), rel=1e-12)
    np.testing.assert_allclose(ahead, slope(median, step=1e-2), rtol=1e-7)


def test_a_parameter_at_its_bound_is_named():
    names = ["mu", "gamma[0]", "gamma[1]"]
    bounds = SPACE["lower"], SPACE["upper"]
    told = explanation.at_bound(fitted(MODEL, FEW, SPACE), names, *bounds)
    assert told is not None
    assert "a parameter sits at its bound (mu at 0)" in told
    assert explanation.at_bound(fitted(MODEL, MANY, SPACE), names, *bounds) is None


def test_a_fit_that_has_not_converged_is_named():
    lost = SPACE | {"start": jnp.array([-9.0, 1.0, 1.0]), "lower": jnp.full(3, -10.0)}
    both = [fitted(MODEL, MANY, space) for space in (SPACE, lost)]
    fits = jax.tree.map(lambda *each: jnp.stack(each), *both)
    rates = [expected(theta, MODEL)[:2] for theta in fits.theta]
    names = ["mu", "gamma[0]", "gamma[1]"]
    told = explanation.not_converged(("one", "other"), fits, names, rates, MANY, {"SR": 2})
    assert told is not None
    assert "the other has not converged after 1 iterations" in told
    assert "bin 0 of channel SR expects -58 events" in told


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mu: 1.0", "statistic: q", "tests a value of mu"),
        ("mu: 1.0", "{mu: 1.0, statistic: t}", "one of q, q0, qtilde"),
        ("mu: 1.0", "{mu: 1.0, poi: nu}", "no parameter 'nu'"),
        ("mu: 1.0", "{mu: 1.0, fix: [delta]}", "no parameter 'delta'"),
        ("mu: 1.0", "{mu: 1.0, poi: gamma}", "has 2 values"),
    ],
)
def test_a_test_that_is_none_is_refused(search, old, new, said):
    options = "\n      ".join(new.strip("{}").split(", ")) if new.startswith("{") else new
    with pytest.raises(PipelineError, match=said):
        assemble(search(old, options))


def test_what_data_do_not_determine_is_named():
    curvature = -np.diag([4.0, 1.0, 0.0])
    names = ["mu", "alpha", "norm"]
    told = explanation.undetermined(curvature, np.zeros(3, bool), names)
    assert told is not None
    assert "do not determine norm" in told
    assert explanation.undetermined(curvature, np.array([False, False, True]), names) is None
