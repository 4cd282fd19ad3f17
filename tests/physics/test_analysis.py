"""Histograms, quantiles, likelihood and the evaluation in blocks."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from diffpipe.pipelines.physics.analysis import kde
from diffpipe.pipelines.physics.analysis.histogram import check_histogram, histogram
from diffpipe.pipelines.physics.analysis.quantile_bins import check_quantile_bins, quantile_bins
from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.likelihood.gaussian import gaussian
from diffpipe.pipelines.physics.refusal import RefusedError

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


EDGES = {"m_ll": [60.0, 80.0, 95.0, 120.0], "abs_y": [0.0, 1.0, 2.5], "cos_theta": [-1.0, 0.2, 1.0]}
BANDWIDTHS = {"m_ll": 4.0, "abs_y": 0.2, "cos_theta": 0.1}


def spread(sample, names, power=1, overflow=False):
    """Shares of each event in the bins of all combinations, by SciPy: (event, bins)."""
    product = np.ones((5001, 1))
    for name in names:
        edges = np.array(EDGES[name])
        if overflow:
            edges[[0, -1]] = -np.inf, np.inf
        below = norm.cdf((edges[None, :] - np.asarray(sample[name])[:, None]) / BANDWIDTHS[name])
        product = (product[:, :, None] * np.diff(below)[:, None, :]).reshape(5001, -1)
    return product**power


@pytest.mark.parametrize(
    ("names", "overflow"),
    [(["m_ll"], False), (["m_ll", "abs_y"], True), (["m_ll", "abs_y", "cos_theta"], False)],
)
def test_kernels_share_each_event_out_as_the_normal_distribution_does(names, overflow, monkeypatch):
    monkeypatch.setattr(kde, "ELEMENTS", 6000)  # blocks that do not divide the events
    sample, width = events(5001), {name: BANDWIDTHS[name] for name in names}
    options = {"bins": [{name: EDGES[name] for name in names}], "moments": ["cos_theta"]}
    options |= {"mode": "kde", "bandwidth": width, "overflow": overflow, "variance": True}
    made = jax.jit(lambda sample: histogram({}, sample, **options))(sample)
    weight, cosine = np.asarray(sample["weight"]), np.asarray(sample["cos_theta"])
    shares = spread(sample, names, overflow=overflow)
    # rounding of sums of thousands of numbers of order one
    np.testing.assert_allclose(made["moments"][:, 0], weight @ shares, atol=1e-11)
    np.testing.assert_allclose(made["moments"][:, 1], (weight * cosine) @ shares, atol=1e-11)
    np.testing.assert_allclose(made["variance"], weight**2 @ shares**2, rtol=1e-12)
    if overflow:
        assert float(made["sigma_pb"]) == pytest.approx(weight.sum(), rel=1e-12)


def test_kernels_of_no_width_are_hard_edges():
    sample, bins = events(300), [{"m_ll": [50.0, 100.0, 150.0]}]
    hard = histogram({}, sample, bins=bins)["moments"]
    narrow = histogram({}, sample, bins=bins, mode="kde", bandwidth=1e-9)["moments"]
    np.testing.assert_allclose(narrow, hard, atol=1e-13)  # no event is within 1e-8 of an edge


def test_hard_overflow_and_variance_are_those_of_numpy():
    sample = events()
    made = histogram({}, sample, bins=[{"m_ll": [70, 90, 110]}], overflow=True, variance=True)
    weight, mass = np.asarray(sample["weight"]), np.asarray(sample["m_ll"])
    for column, summed in ((made["moments"][:, 0], weight), (made["variance"], weight**2)):
        expected, _ = np.histogram(mass, [-np.inf, 90, np.inf], weights=summed)
        np.testing.assert_allclose(column, expected, rtol=1e-12)  # rounding


def test_a_histogram_gives_what_it_is_asked_for_alone():
    made = histogram({}, events(10), bins=[{"m_ll": [0, 200]}])
    assert set(made) == {"moments", "sigma_pb"}


SMOOTH = {"moments": ["abs_y"], "variance": True, "overflow": False}
POINT = {
    "weight": events(40)["weight"],
    "m_ll": events(40)["m_ll"],
    "h": jnp.asarray(5.0),
    "edges": jnp.asarray([50.0, 80.0, 100.0, 140.0]),
}


def smooth(point, mode):
    """All that a histogram of one variable gives, in all that it depends on."""
    sample = {name: point[name] for name in ("weight", "m_ll", "edges")}
    return histogram(
        {"h": point["h"]},
        sample | {"abs_y": events(40)["abs_y"]},
        bins=[{"m_ll": "edges"}],
        mode=mode,
        bandwidth=None if mode == "hard" else "h",
        **SMOOTH,
    )


@cache
def both_ways(mode):
    """The outputs, and a pushforward and a pullback of them as one compiled function."""

    @jax.jit
    def run(point, tangent, cotangent):
        made, pushed = jax.jvp(lambda p: smooth(p, mode), (point,), (tangent,))
        return made, pushed, jax.vjp(lambda p: smooth(p, mode), point)[1](cotangent)[0]

    return run


def random_like(tree, seed):
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape)), tree)


def both(mode, tangent=None):
    made = jax.eval_shape(lambda p: smooth(p, mode), POINT)
    return both_ways(mode)(POINT, tangent or random_like(POINT, 1), random_like(made, 2))


def test_derivatives_of_kernels_are_those_of_finite_differences():
    tangent, step = random_like(POINT, 1), 1e-5
    _, pushed, _ = both("kde", tangent)

    def moved(by):
        point = jax.tree.map(lambda p, t: p + by * t, POINT, tangent)
        return both_ways("kde")(point, tangent, random_like(pushed, 2))[0]

    for name, above in moved(step).items():
        slope = (above - moved(-step)[name]) / (2 * step)
        # step^2 times the third derivative, and rounding over the step
        np.testing.assert_allclose(pushed[name], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("mode", ["kde", "straight_through"])
def test_smooth_histograms_transpose(mode):
    tangent = random_like(POINT, 1)
    made, pushed, pulled = both(mode, tangent)
    cotangent = random_like(made, 2)
    left = sum(np.vdot(cotangent[name], pushed[name]) for name in pushed)
    right = sum(np.vdot(pulled[name], tangent[name]) for name in tangent)
    assert left == pytest.approx(right, rel=1e-12)


def test_straight_through_has_hard_values_and_slopes_of_kernels():
    found, (hard, _, hard_pulled) = both("straight_through"), both("hard")
    kernels = both("kde")[2]
    for name in hard:
        assert np.array_equal(found[0][name], hard[name]), "to the bit"
    np.testing.assert_array_equal(found[2]["weight"], hard_pulled["weight"])
    for name in ("m_ll", "edges"):
        np.testing.assert_allclose(found[2][name], kernels[name], rtol=1e-12)  # rounding
    assert float(found[2]["h"]) == 0.0


def test_memory_of_a_gradient_does_not_grow_with_events_times_bins():
    edges, count = np.linspace(40.0, 160.0, 101).tolist(), 16384

    def loss(mass):
        sample = {"weight": jnp.ones(count), "m_ll": mass}
        made = histogram({}, sample, bins=[{"m_ll": edges}], mode="kde", bandwidth=1.0)
        return jnp.sum(made["moments"] ** 2)

    lowered = jax.jit(jax.grad(loss)).lower(jax.ShapeDtypeStruct((count,), jnp.float64))
    used = lowered.compile().memory_analysis().temp_size_in_bytes
    assert used < 16e6, "one array of events times bins has 13 MB, and some ten are on the way"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"mode": "soft"}, "mode must be one of hard, kde, straight_through"),
        ({"mode": "kde"}, "bandwidth goes with"),
        ({"bandwidth": 1.0}, "bandwidth goes with"),
        ({"mode": "kde", "bandwidth": 0.0}, r"bandwidth.m_ll must be above zero, got 0.0"),
        ({"mode": "kde", "bandwidth": {"m_ll": -1.0}}, "must be above zero, got -1.0"),
        ({"mode": "kde", "bandwidth": {"mass": 1.0}}, r"must name the binned variables \['m_ll'\]"),
        ({"mode": "kde", "bandwidth": "width"}, "parameter 'width', which the stage is not given"),
        ({"overflow": 1}, "overflow must be true or false"),
        ({"variance": "yes"}, "variance must be true or false"),
        ({"bins": [{"m_ll": "edges"}]}, "edges"),
        ({"bins": [{"m_ll": "scalar"}]}, "of shape"),
        (
            {"bins": [{name: [0, 1] for name in "abcd"}], "mode": "kde", "bandwidth": 1.0},
            "at most 3",
        ),
    ],
)
def test_wrong_options_of_smooth_histograms_are_refused(options, word):
    sample = events(10) | dict.fromkeys("abcd", jnp.ones(10)) | {"scalar": jnp.ones(())}
    with pytest.raises(ValueError, match=word):
        histogram({}, sample, **({"bins": [{"m_ll": [60, 120]}]} | options))


@pytest.mark.parametrize(
    ("parameters", "changed", "word"),
    [
        ({"h": 0.0}, {}, "bandwidth of m_ll must be above zero, got 0.0"),
        ({"h": 1.0}, {"weight": np.array([1.0, np.nan, 1.0])}, "weight of event 1 is nan"),
        ({"h": 1.0}, {"weight": np.array([1.0, 1.0, -np.inf])}, "weight of event 2 is -inf"),
        ({"h": 1.0}, {"edges": np.array([1.0, 2.0, 2.0])}, "edges of m_ll do not rise"),
    ],
)
def test_numbers_that_make_no_histogram_are_refused(parameters, changed, word):
    given = {"weight": np.ones(3), "m_ll": np.ones(3), "edges": np.array([0.0, 1.0])} | changed
    options = {"bins": [{"m_ll": "edges"}], "mode": "kde", "bandwidth": "h"}
    with pytest.raises(RefusedError, match=word):
        check_histogram({n: np.asarray(v) for n, v in parameters.items()}, given, **options)


QUANTILES = [0.0, 0.2, 0.5, 0.9, 1.0]
FINE = {"range": [0.0, 10.0], "count": 400}


def test_quantile_bins_are_the_weighted_quantiles_of_numpy():
    rng = np.random.default_rng(6)
    value, weight = rng.gamma(3.0, size=4000), rng.uniform(0.1, 2.0, 4000)
    content, _ = np.histogram(value, np.linspace(0.0, 10.0, 401), weights=weight)
    found = quantile_bins({}, {"moments": content[:, None]}, edges=FINE, quantiles=QUANTILES)
    inside = value < 10.0
    expected = np.quantile(
        value[inside], QUANTILES[1:-1], weights=weight[inside], method="inverted_cdf"
    )
    np.testing.assert_allclose(found["edges"][1:-1], expected, atol=0.025)  # a fine bin's width
    np.testing.assert_array_equal(found["edges"][jnp.array([0, -1])], [0.0, 10.0])
    # as the edges of a histogram they cut the sample into the fractions asked for
    shares = np.histogram(value, found["edges"], weights=weight)[0] / weight[inside].sum()
    np.testing.assert_allclose(shares, np.diff(QUANTILES), atol=0.01)  # a fine bin's content


def test_derivatives_of_quantiles_are_those_of_finite_differences():
    rng = np.random.default_rng(8)
    content, tangent = rng.uniform(1.0, 2.0, (30, 1)), rng.normal(size=(30, 1))

    @jax.jit
    def edges(content):
        options = {"edges": {"range": [0.0, 3.0], "count": 30}, "quantiles": QUANTILES}
        return quantile_bins({}, {"moments": content}, **options)["edges"]

    _, pushed = jax.jvp(edges, (jnp.asarray(content),), (jnp.asarray(tangent),))
    step = 1e-6  # no quantile comes to another fine bin
    slope = (edges(content + step * tangent) - edges(content - step * tangent)) / (2 * step)
    np.testing.assert_allclose(pushed, slope, rtol=1e-7, atol=1e-9)  # rounding over the step
    cotangent = jnp.asarray(rng.normal(size=len(QUANTILES)))
    (pulled,) = jax.jit(lambda at, c: jax.vjp(edges, at)[1](c))(jnp.asarray(content), cotangent)
    assert float(jnp.vdot(pulled, tangent)) == pytest.approx(
        float(jnp.vdot(cotangent, pushed)), rel=1e-12
    )


def test_a_quantile_at_an_empty_stretch_is_at_its_end():
    content = jnp.asarray([[1.0], [0.0], [0.0], [1.0]])
    made = quantile_bins({}, {"moments": content}, edges=[0, 1, 2, 3, 4], quantiles=[0.25, 0.5])
    np.testing.assert_array_equal(made["edges"], [0.5, 3.0])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"edges": [0, 1]}, "1 fine bins"),
        ({"edges": [2, 1]}, "above the one"),
        ({"edges": {"range": [0, 1]}}, r"missing keys \['count'\]"),
        ({"edges": {"range": [0, 1, 2], "count": 2}}, r"must be \[low, high\]"),
        ({"quantiles": [0.5, 0.2]}, "above the one"),
        ({"quantiles": [0.5, 1.2]}, r"must lie in \[0, 1\]"),
    ],
)
def test_wrong_quantiles_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        quantile_bins(
            {},
            {"moments": jnp.ones((2, 1))},
            **({"edges": [0, 1, 2], "quantiles": [0.5]} | options),
        )


@pytest.mark.parametrize(
    ("content", "word"), [([1.0, -0.5], "fine bin 1 has"), ([0.0, 0.0], "empty selection")]
)
def test_contents_without_quantiles_are_refused(content, word):
    with pytest.raises(RefusedError, match=word):
        check_quantile_bins({}, {"moments": np.array(content)[:, None]})


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
