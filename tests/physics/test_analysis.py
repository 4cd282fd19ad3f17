"""Histograms, likelihood and the evaluation in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffpipe.pipelines.physics.analysis.histogram import histogram
from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.likelihood.gaussian import gaussian

BINS = [
    {"abs_y": [0, 0.4, 0.8], "m_ll": [54, 66, 76, 150]},
    {"abs_y": [0.8, 2.4], "m_ll": [66, 86, 116]},
]


def events(count=5000):
    rng = np.random.default_rng(2)
    columns = {"weight": rng.normal(size=count), "m_ll": rng.uniform(40.0, 160.0, count)}
    columns |= {"abs_y": rng.uniform(0.0, 3.0, count), "cos_theta": rng.uniform(-1.0, 1.0, count)}
    return {name: jnp.asarray(column) for name, column in columns.items()}


def numpy_histogram(sample, power):
    values = sample["weight"] * sample["cos_theta"] ** power
    parts = [
        np.histogram2d(
            sample["abs_y"], sample["m_ll"], bins=[group["abs_y"], group["m_ll"]], weights=values
        )[0].ravel()
        for group in BINS
    ]
    return np.concatenate(parts)


@jax.jit
def binned(weight, sample):
    return histogram({}, sample | {"weight": weight}, bins=BINS, moments=["cos_theta"])


def test_bins_are_those_of_numpy_in_the_order_of_the_groups():
    made = binned(events()["weight"], events())
    for power in (0, 1):
        # rounding of sums of a few hundred numbers of order one
        np.testing.assert_allclose(
            made["moments"][:, power], numpy_histogram(events(), power), atol=1e-11
        )
    assert float(made["sigma_pb"]) == pytest.approx(float(jnp.sum(made["moments"][:, 0])))


def test_an_interval_holds_its_lower_edge_and_not_its_upper():
    edges = jnp.asarray([1.0, 2.0, 3.0])
    count = jax.jit(lambda sample: histogram({}, sample, bins=[{"x": [1.0, 2.0, 3.0]}]))
    made = count({"weight": jnp.ones(3), "x": edges})
    np.testing.assert_array_equal(made["moments"], [[1.0], [1.0]])


def test_histogram_transposes():
    sample, rng = events(), np.random.default_rng(1)
    weight, tangent = sample["weight"], rng.normal(size=5000)
    # linear in the weights: the pushforward is the histogram of the tangent
    pushed = binned(tangent, sample)
    cotangent = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), pushed)
    pull = jax.jit(lambda w, c: jax.vjp(lambda w: binned(w, sample), w)[1](c))
    (pulled,) = pull(weight, cotangent)
    left = sum(np.vdot(cotangent[name], pushed[name]) for name in pushed)
    assert left == pytest.approx(np.vdot(pulled, tangent), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"bins": []}, "list of groups"),
        ({"bins": [{}]}, "must map variables"),
        ({"bins": [{"m_ll": [3, 2]}]}, "above the one"),
        ({"bins": [{"mass": [1, 2]}]}, "mass"),
        ({"bins": BINS, "moments": "cos_theta"}, "list of inputs"),
    ],
)
def test_wrong_bins_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        histogram({}, events(10), **options)


def correlated(size=5):
    rng = np.random.default_rng(4)
    root = rng.normal(size=(size, size))
    return {
        "prediction": jnp.asarray(rng.normal(size=size)),
        "measured": jnp.asarray(rng.normal(size=size)),
        "covariance": jnp.asarray(root @ root.T + size * np.eye(size)),
    }


@jax.jit
def chi2_and_gradient(inputs):
    def chi2(prediction):
        made = gaussian({}, inputs | {"prediction": prediction})
        return made["chi2"], made

    return jax.grad(chi2, has_aux=True)(inputs["prediction"])


def test_chi2_is_the_quadratic_form_of_the_inverse():
    inputs = correlated()
    made = chi2_and_gradient(inputs)[1]
    residual = np.asarray(inputs["prediction"] - inputs["measured"])
    direct = residual @ np.linalg.solve(np.asarray(inputs["covariance"]), residual)
    assert float(made["chi2"]) == pytest.approx(direct, rel=1e-12)  # rounding
    assert float(jnp.sum(made["decorrelated"] ** 2)) == pytest.approx(direct, rel=1e-12)
    np.testing.assert_allclose(
        made["pulls"], residual / np.sqrt(np.diag(inputs["covariance"])), rtol=1e-14
    )


def test_gradient_of_chi2_is_twice_the_solution():
    inputs = correlated()
    solution = np.linalg.solve(
        np.asarray(inputs["covariance"]), np.asarray(inputs["prediction"] - inputs["measured"])
    )
    np.testing.assert_allclose(chi2_and_gradient(inputs)[0], 2.0 * solution, rtol=1e-12)


@pytest.mark.parametrize("name", ["prediction", "measured", "covariance"])
def test_shapes_that_do_not_agree_are_refused(name):
    inputs = correlated()
    with pytest.raises(ValueError, match="bins are those of the data"):
        gaussian({}, inputs | {name: inputs[name][1:]})


@pytest.mark.parametrize("block", [1, 7, 10, 32])
def test_blocks_change_nothing_and_transpose(block):
    columns = {"a": jnp.arange(10.0), "b": jnp.linspace(0.0, 1.0, 10)}

    def product(events):
        return jnp.sin(events["a"]) * events["b"]

    def blocked(events):
        return map_blocks(product, events, block)

    @jax.jit
    def both(columns, cotangent):
        parts = [jax.vjp(function, columns) for function in (blocked, product)]
        return [(value, pull(cotangent)[0]) for value, pull in parts]

    (value, pulled), (plain_value, plain_pulled) = both(columns, jnp.arange(10.0))
    np.testing.assert_allclose(value, plain_value, rtol=1e-15)
    for name, cotangent in pulled.items():
        np.testing.assert_allclose(cotangent, plain_pulled[name], rtol=1e-14)
