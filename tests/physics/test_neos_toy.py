"""The shipped search trained end to end, and that with cuts: derivatives, values, training."""

import json
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pyhf
import pytest
import support
from scipy import optimize, stats
from support import Store, assemble, composed, cut, library, sweep, values
from test_laws import STAGED, partial_scale

from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.library.neos_toy.stages import blobs, templates

EVENTS, SHARD = 1024, 512
YIELDS = {"signal": 20.0, "background": 100.0, "background_up": 100.0, "background_down": 100.0}
NOMINAL = {name: jnp.zeros(4) for name in YIELDS}
QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}  # to compile
WORKSPACE = library.SHIPPED / "neos_toy" / "data" / "workspace.json"


def shipped(name, *left_out):
    """A shipped pipeline of fewer events, without what its objective does not need."""
    made = cut(assemble(library.find(name)), EVENTS, SHARD)
    stages = {stage: each for stage, each in made.stages.items() if stage not in left_out}
    return replace(made, stages=stages)


@pytest.fixture(scope="module")
def toy():
    return shipped("neos_toy", "histogram_hard", "templates_hard", "test_hard")


@pytest.fixture(scope="module")
def search(toy):
    """((log CLs, templates), gradients) of weights and of what is added to the templates."""

    def log_cls(weights, added):
        outputs = {}
        for stage in toy.stages.values():
            found = support._run_whole(toy, stage, weights, outputs)
            if stage.name == "templates":
                found = {name: found[name] + added[name] for name in found}
            outputs[stage.name] = found
        return outputs["loss"]["log_cls"], outputs["templates"]

    gradient = jax.value_and_grad(log_cls, argnums=(0, 1), has_aux=True)
    return jax.jit(gradient, compiler_options=QUICKLY)


@pytest.fixture(scope="module")
def path(toy, search):
    """Weights and CLs along eight steps of Adam (arXiv:1412.6980, algorithm 1) at rate 0.05."""
    weights, found = values(toy), []
    first = second = jax.tree.map(jnp.zeros_like, weights)
    for n in range(1, 10):
        (log_cls, _), (slope, _) = search(weights, NOMINAL)
        found.append((weights, math.exp(log_cls)))
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, slope)
        rate = 0.05 * math.sqrt(1.0 - 0.999**n) / (1.0 - 0.9**n)
        weights = jax.tree.map(
            lambda w, m, v, rate=rate: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, first, second
        )
    return found


@pytest.fixture(scope="module", params=[0, 8], ids=["untrained", "trained"])
def weights(path, request):
    return path[request.param][0]


DIFFERENCES = 1e-6  # relative: terms of step^4 left out, and rounding of 1e-14 over the step


def slope(function, step=1e-3):
    """Derivative of a function at 0, from five points."""
    far, near = (function(k * step) - function(-k * step) for k in (2, 1))
    return (8.0 * near - far) / (12.0 * step)


def inner(one, other):
    return sum(float(np.vdot(one[name], other[name])) for name in one)


def moved(point, way, by):
    return {name: point[name] + by * way[name] for name in point}


def test_eight_steps_lower_cls_by_orders_of_magnitude(path):
    cls = [each for _, each in path]
    assert cls[0] == pytest.approx(0.06, abs=0.003)  # that of a count of events, to 5 per cent
    assert cls[-1] < 1e-4 * cls[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_in_weights_is_that_of_finite_differences(search, weights, seed):
    rng = np.random.default_rng(seed)
    way = {name: rng.normal(size=each.shape) for name, each in weights.items()}
    (_, _), (gradient, _) = search(weights, NOMINAL)
    differences = slope(lambda by: float(search(moved(weights, way, by), NOMINAL)[0][0]))
    assert inner(gradient, way) == pytest.approx(differences, rel=DIFFERENCES)


@pytest.mark.parametrize("blob", YIELDS)
def test_the_gradient_in_templates_is_that_of_finite_differences(search, weights, blob):
    (_, nominal), (_, gradient) = search(weights, NOMINAL)
    for number in range(4):
        way = NOMINAL[blob].at[number].set(nominal[blob][number])
        differences = slope(
            lambda by, way=way: float(search(weights, NOMINAL | {blob: by * way})[0][0])
        )
        assert float(gradient[blob] @ way) == pytest.approx(differences, rel=DIFFERENCES, abs=1e-9)


# pyhf 0.7 calls what jsonschema has deprecated
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cls_is_that_of_pyhf(search, weights):
    (log_cls, found), _ = search(weights, NOMINAL)
    raw = json.loads(WORKSPACE.read_text())
    signal, background = raw["channels"][0]["samples"]
    signal["data"] = found["signal"].tolist()
    background["data"] = found["background"].tolist()
    shift = background["modifiers"][0]["data"]
    shift["hi_data"], shift["lo_data"] = (
        found[f"background_{side}"].tolist() for side in ("up", "down")
    )
    pyhf.set_backend("numpy", precision="64b")
    codes = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    model = pyhf.Workspace(raw).model(modifier_settings=codes)
    data = background["data"] + model.config.auxdata
    _, expected = pyhf.infer.hypotest(1.0, data, model, return_expected=True)
    # pyhf's minimiser stops at 1e-6 or so of the objective, and CLs falls as exp(-q/2)
    assert math.exp(log_cls) == pytest.approx(float(expected), rel=1e-4)


def test_a_network_that_says_nothing_counts_events(toy, search):
    weights = values(toy)
    mute = weights | {"nn.w_2": jnp.zeros_like(weights["nn.w_2"])}
    q = 2.0 * (20.0 - 100.0 * math.log(1.2))  # of 100 events if 120 are expected
    found = math.exp(search(mute, NOMINAL)[0][0])
    assert found == pytest.approx(2.0 * stats.norm.sf(math.sqrt(q)), rel=1e-12)  # rounding of log L


def outputs_of(made, weights, *names):
    """Outputs of stages of a pipeline, by stage."""
    outputs = {"events": support._run_whole(made, made.stages["events"], {}, {})}

    def rest(weights, outputs):
        for name in names:
            found = support._run_whole(made, made.stages[name], weights, outputs)
            outputs = {**outputs, name: found}
        return outputs

    return jax.jit(rest, compiler_options=QUICKLY)(weights, outputs)


def test_blobs_are_where_the_paper_has_them():
    made = assemble(library.find("neos_toy"))
    found = outputs_of(made, values(made), "blobs")["blobs"]
    means = {"signal": [-1, 1], "background": [1, -1]}
    means |= {"background_up": [2.5, 2], "background_down": [-2.5, -1.5]}
    for name, mean in means.items():
        points = np.asarray(found[name])
        assert points.shape == (8192, 2)
        # a Sobol' sequence of 8192: better than the 0.011 of random points
        np.testing.assert_allclose(points.mean(axis=0), mean, atol=2e-3)
        np.testing.assert_allclose(np.cov(points.T), np.eye(2), atol=5e-3)


def test_templates_are_histograms_of_the_network_and_hold_all_events(path):
    names = ("blobs", "network", "histogram", "templates", "histogram_hard", "templates_hard")
    found = outputs_of(shipped("neos_toy"), path[-1][0], *names)
    for name, events in YIELDS.items():
        plain, _ = np.histogram(found["network"][name], bins=4, range=(0.0, 1.0))
        np.testing.assert_allclose(found["templates_hard"][name], events / EVENTS * plain)
        assert float(found["templates"][name].sum()) == pytest.approx(events, rel=1e-12)
        # kernels of a third of a bin's width: some of the events leave their bin
        assert abs(found["templates"][name] - found["templates_hard"][name]).max() < 0.1 * events


@pytest.mark.slow  # other stages are compiled
def test_hard_edges_find_the_improvement_too(search, path):
    """CLs with the templates of the hard histogram in place of those of the kernels."""

    def hard(weights):
        names = ("blobs", "network", "histogram_hard", "templates_hard")
        wanted = outputs_of(shipped("neos_toy"), weights, *names)["templates_hard"]
        smooth = search(weights, NOMINAL)[0][1]
        added = {name: wanted[name] - smooth[name] for name in wanted}
        return math.exp(search(weights, added)[0][0])

    first, last = (hard(path[n][0]) for n in (0, -1))
    assert last < 1e-3 * first


@pytest.mark.parametrize("means", [{"a": [1.0]}, {"a": 1.0}, {"a": "12"}])
def test_a_mean_that_is_no_point_is_refused(means):
    with pytest.raises(ValueError, match=r"means: a must be \[x, y\]"):
        blobs({}, {"unit": jnp.full((3, 2), 0.5)}, means=means)


def test_a_histogram_that_is_not_one_group_for_each_blob_is_refused():
    with pytest.raises(ValueError, match="15 bins, which 4 blobs cannot share"):
        templates({}, {"moments": jnp.ones((15, 1))}, yields=YIELDS)


@pytest.fixture(scope="module")
def cuts():
    """Log CLs and its gradient in the thresholds x_max and y_min."""
    made = shipped("neos_cuts", "test_hard")
    gradient = jax.jit(jax.value_and_grad(composed(made)), compiler_options=QUICKLY)

    def of(x_max, y_min):
        at = {"x_max": np.float64(x_max), "y_min": np.float64(y_min)}
        value, slopes = gradient(at)
        return float(value), np.array([slopes["x_max"], slopes["y_min"]])

    return of


@pytest.mark.parametrize("at", [(1.0, -1.0), (0.2, 0.5)], ids=["start", "near the minimum"])
def test_the_gradient_in_thresholds_is_that_of_finite_differences(cuts, at):
    x_max, y_min = at
    along_x = slope(lambda by: cuts(x_max + by, y_min)[0])
    along_y = slope(lambda by: cuts(x_max, y_min + by)[0])
    np.testing.assert_allclose(cuts(x_max, y_min)[1], [along_x, along_y], rtol=DIFFERENCES)


def test_cuts_that_are_moved_lower_cls_by_orders_of_magnitude(cuts):
    made = optimize.minimize(lambda at: cuts(*at), [1.0, -1.0], jac=True, method="L-BFGS-B")
    assert math.exp(made.fun) < 1e-3 * math.exp(cuts(1.0, -1.0)[0])
    # the signal is at (-1, 1), the background at (1, -1)
    np.testing.assert_allclose(made.x, [0.1, 0.4], atol=0.3)


def test_hard_cuts_count_nearly_what_soft_ones_do():
    made = shipped("neos_cuts")
    names = ("blobs", "coordinates", *YIELDS, "counts")
    found = outputs_of(made, values(made), *names)
    for name, events in YIELDS.items():
        x, y = np.asarray(found["blobs"][name]).T
        plain = events * np.mean((x < 1.0) & (y >= -1.0))
        assert float(found["counts"][f"hard_{name}"][0]) == pytest.approx(plain, rel=1e-12)
        assert float(found["counts"][name][0]) == pytest.approx(plain, abs=0.01 * events)


@pytest.mark.slow  # every stage is compiled by itself, and the test of CLs takes 20 s of that
@pytest.mark.parametrize("name", ["neos_toy", "neos_cuts"])
def test_law_1_staged_gradient_is_the_gradient_of_the_composed_function(tmp_path, name):
    hard = ("histogram_hard", "templates_hard", "test_hard")
    made, store = shipped(name, *hard), Store.open(tmp_path / "store")
    plan, _ = sweep(store, made)
    results = read_results(store, plan)
    value, gradient = jax.jit(jax.value_and_grad(composed(made)))(values(made))
    assert float(results.objective) == pytest.approx(float(value), rel=1e-12)
    # events cancel in a shard's partial: the largest of all says how large their terms are
    scale = max(partial_scale(store, made, plan, each).max() for each in made.parameters)
    for parameter in made.parameters:
        difference = abs(np.asarray(results.gradient[parameter]) - gradient[parameter])
        assert difference.max() <= STAGED * scale, parameter
