"""Soft selections with their yields, and gradients through discrete choices."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from support import assemble, composed, sweep, values
from test_laws import STAGED, partial_scale

from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.physics.analysis.cut_flow import check_cut_flow, cut_flow
from diffpipe.pipelines.physics.analysis.histogram import histogram
from diffpipe.pipelines.physics.analysis.score_function import score_function
from diffpipe.pipelines.physics.analysis.selection import check_selection, selection
from diffpipe.pipelines.physics.refusal import RefusedError

CUTS = [
    {"variable": "charge", "below": 0.0, "hard": True},
    {"variable": "pt", "above": "pt_min", "temperature": "width"},
    {"variable": "eta", "below": 2, "temperature": 0.1},
]
POINT = {"pt_min": jnp.asarray(25.0), "width": jnp.asarray(1.5)}


def events(count=2000):
    rng = np.random.default_rng(3)
    columns = {"pt": rng.exponential(30.0, count), "eta": rng.uniform(0.0, 3.0, count)}
    columns |= {"charge": rng.choice([-1.0, 1.0], count), "weight": rng.uniform(0.5, 1.5, count)}
    return {name: jnp.asarray(column) for name, column in columns.items()}


@jax.jit
def selected(parameters, sample):
    return selection(parameters, sample, cuts=CUTS)


def test_a_selection_is_the_product_of_its_cuts_beside_the_hard_ones():
    sample, made = events(), selected(POINT, events())
    charge, pt, eta, weight = (np.asarray(sample[n]) for n in ("charge", "pt", "eta", "weight"))
    hard = [weight, charge < 0.0, pt >= 25.0, eta < 2.0]
    soft = [weight, charge < 0.0, expit((pt - 25.0) / 1.5), expit((2.0 - eta) / 0.1)]
    for row, name, factors in ((0, "weight", soft), (1, "hard_weight", hard)):
        after = list(itertools.accumulate(factors, np.multiply))
        np.testing.assert_allclose(made[name], after[-1], rtol=1e-13)  # rounding of the sigmoids
        np.testing.assert_allclose(made["yields"][row], np.sum(after, axis=1), rtol=1e-13)


def test_an_event_on_the_threshold_is_above_and_not_below():
    cuts = [{"variable": "x", side: 1.0, "hard": True} for side in ("above", "below")]
    sample = {"x": jnp.asarray([0.5, 1.0, 2.0])}
    above, below = (selection({}, sample, cuts=[cut])["weight"] for cut in cuts)
    np.testing.assert_array_equal(above, [0.0, 1.0, 1.0])
    np.testing.assert_array_equal(above + below, 1.0)


def test_what_is_cut_on_may_be_an_integer():
    cuts = [{"variable": "charge", "below": 0, "hard": True}]
    made = selection({}, {"charge": jnp.asarray([1, -1, -1])}, cuts=cuts)
    np.testing.assert_array_equal(made["weight"], [0.0, 1.0, 1.0])


def test_a_second_selection_goes_on_from_the_first():
    sample = events()
    first, second = CUTS[:2], CUTS[2:]
    made = selection(POINT, sample, cuts=first)
    given = sample | {name: made[name] for name in ("weight", "hard_weight")}
    both = selection({}, given, cuts=second)
    whole = selected(POINT, sample)
    np.testing.assert_allclose(both["yields"][:, -1], whole["yields"][:, -1], rtol=1e-13)
    np.testing.assert_allclose(both["hard_weight"], whole["hard_weight"], rtol=1e-13)


@pytest.mark.parametrize("temperature", [3.0, 1.5])
def test_the_bias_of_a_soft_cut_on_an_exponential_is_that_of_the_closed_form(temperature):
    """exp(-x/L) sigmoid((x - c)/T) integrates to a/sin(a) times that of the step, a = pi T/L."""
    fractions = (np.arange(20000) + 0.5) / 20000
    sample = {"pt": jnp.asarray(-30.0 * np.log1p(-fractions))}
    cuts = [{"variable": "pt", "above": 25.0, "temperature": temperature}]
    made = cut_flow({}, {"yields": selection({}, sample, cuts=cuts)["yields"]})
    angle = np.pi * temperature / 30.0
    # half an event of 8692, and what the closed form has below x = 0: exp(-c/T) T/L of the yield
    tolerance = 6e-5 + np.exp(-25.0 / temperature)
    assert float(made["relative_bias"][1]) == pytest.approx(
        angle / np.sin(angle) - 1.0, abs=tolerance
    )
    np.testing.assert_allclose(made["soft"] / made["hard"] - 1.0, made["relative_bias"])


def test_far_from_the_threshold_nothing_overflows():
    sample = {"x": jnp.asarray([-1e6, 1e6])}
    cuts = [{"variable": "x", "above": "c", "temperature": 1e-3}]

    @jax.jit
    def both(c):
        made, pull = jax.vjp(lambda c: selection({"c": c}, sample, cuts=cuts)["weight"], c)
        return made, pull(jnp.ones(2))[0]

    made, slope = both(jnp.asarray(0.0))
    np.testing.assert_array_equal(made, [0.0, 1.0])
    assert float(slope) == 0.0


def smooth(parameters, sample):
    made = selected(parameters, sample)
    return {name: made[name] for name in ("weight", "yields")}


@jax.jit
def both_ways(point, tangent, cotangent):
    made, pushed = jax.jvp(lambda p: smooth(*p), (point,), (tangent,))
    return made, pushed, jax.vjp(lambda p: smooth(*p), point)[1](cotangent)[0]


def test_derivatives_of_a_selection_are_those_of_finite_differences_and_transpose():
    rng = np.random.default_rng(5)
    point = (POINT, events(50))
    tangent = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), point)
    tangent[1]["charge"] = jnp.zeros(50)  # its cut is hard
    shapes = jax.eval_shape(lambda p: smooth(*p), point)
    cotangent = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), shapes)
    _, pushed, pulled = both_ways(point, tangent, cotangent)
    step = 1e-6
    sides = [jax.tree.map(lambda p, t, s=s: p + s * t, point, tangent) for s in (step, -step)]
    above, below = (both_ways(side, tangent, cotangent)[0] for side in sides)
    # step^2 and rounding over the step; the hard yields jump where an event crosses
    slope = (above["weight"] - below["weight"]) / (2 * step)
    np.testing.assert_allclose(pushed["weight"], slope, rtol=1e-6, atol=1e-8)
    slope = (above["yields"][0] - below["yields"][0]) / (2 * step)
    np.testing.assert_allclose(pushed["yields"][0], slope, rtol=1e-6, atol=1e-8)
    left = sum(np.vdot(cotangent[name], pushed[name]) for name in pushed)
    right = jax.tree.map(lambda a, b: float(np.vdot(a, b)), pulled, tangent)
    assert left == pytest.approx(sum(jax.tree.leaves(right)), rel=1e-12)


CUT = {"variable": "pt", "above": 1.0, "temperature": 1.0}


@pytest.mark.parametrize(
    ("cuts", "word"),
    [
        ([], "must be a list of cuts"),
        ("pt > 1", "must be a list of cuts"),
        (["pt > 1"], "must be a mapping"),
        ([{"variable": "pt", "temperature": 1.0}], "needs one of above and below"),
        ([CUT | {"below": 2.0}], "needs one of above and below"),
        ([CUT | {"above": "pt_max"}], "parameter 'pt_max', which the stage is not given"),
        ([CUT | {"above": float("inf")}], "must be a finite number or the name"),
        ([CUT | {"temperature": 0.0}], r"cuts\[0\].temperature must be above zero, got 0.0"),
        ([CUT | {"temperature": -1}], "must be above zero, got -1"),
        ([CUT | {"temperature": True}], "must be a number"),
        ([CUT | {"hard": True}], "either a temperature or hard"),
        ([{"variable": "pt", "above": 1.0}], "either a temperature or hard"),
        ([{"variable": "pt", "above": 1.0, "hard": "yes"}], "either a temperature or hard"),
        ([CUT | {"variable": "p_t"}], "variable 'p_t', which is no input"),
        ([CUT | {"unit": "GeV"}], r"unknown keys \['unit'\]"),
    ],
)
def test_wrong_cuts_are_refused(cuts, word):
    with pytest.raises(ValueError, match=word):
        selection({}, {"pt": jnp.ones(3)}, cuts=cuts)


def test_an_unknown_variable_is_met_with_the_nearest_one():
    with pytest.raises(RefusedError) as caught:
        selection({}, {"pt1": jnp.ones(3), "eta": jnp.ones(3)}, cuts=[CUT])
    assert caught.value.hint == "did you mean pt1?"


def test_numbers_that_select_nothing_are_refused():
    sample = {name: np.asarray(column) for name, column in events(4).items()}
    with pytest.raises(RefusedError, match=r"temperature of cuts\[1\] \(pt\) must be above zero"):
        check_selection(POINT | {"width": jnp.asarray(0.0)}, sample, cuts=CUTS)
    sample["weight"] = np.array([1.0, 1.0, np.nan, 1.0])
    with pytest.raises(RefusedError, match="weight of event 2 is nan"):
        check_selection(POINT, sample, cuts=CUTS)


@pytest.mark.parametrize(
    ("hard", "word"),
    [([3.0, 1.0, 0.0], "empty selection.*after cut 2 of 2"), ([0.0] * 3, "before all cuts")],
)
def test_an_empty_selection_is_refused(hard, word):
    with pytest.raises(RefusedError, match=word):
        check_cut_flow({}, {"yields": np.array([[3.0, 1.0, 0.1], hard])})


def test_yields_of_something_else_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        cut_flow({}, {"yields": jnp.ones(4)})


# A choice with probability p: accepted events count VALUES[1], others VALUES[0].
VALUES = jnp.asarray([4.0, 7.0])


def chosen_total(p, accepted, baseline):
    """The figure of merit of events that were accepted, or not, with probability p."""
    log_probability = jnp.where(accepted, jnp.log(p), jnp.log1p(-p))
    value = VALUES[accepted.astype(jnp.int32)]
    inputs = {"log_probability": log_probability, "value": value}
    return score_function({}, inputs, baseline=baseline)["total"]


@cache
def slopes(baseline):
    """d total/dp of many samples (sample, event)."""
    return jax.jit(jax.vmap(jax.grad(partial(chosen_total, baseline=baseline)), (None, 0)))


@pytest.mark.parametrize("baseline", ["leave_one_out", "none"])
def test_over_all_outcomes_the_gradient_is_exact(baseline):
    p, accepted = 0.3, np.array(list(itertools.product([False, True], repeat=5)))
    probability = np.prod(np.where(accepted, p, 1.0 - p), axis=1)
    mean = probability @ slopes(baseline)(p, accepted)
    assert mean == pytest.approx(5 * 3.0, rel=1e-13)  # d/dp of 5 (4 (1 - p) + 7 p); rounding


def test_the_baseline_takes_most_of_the_noise():
    p, samples, size = 0.3, 400, 256
    accepted = np.random.default_rng(7).uniform(size=(samples, size)) < p
    noise = {}
    for baseline in ("leave_one_out", "none"):
        found = np.asarray(slopes(baseline)(p, accepted)) / size
        noise[baseline] = np.std(found)
        assert abs(np.mean(found) - 3.0) < 4 * noise[baseline] / np.sqrt(samples)  # 4 sigma
    # variances of f d ln p/dp and of (f - mean) d ln p/dp, f = 4 or 7
    score, value = np.array([-1 / (1 - p), 1 / p]), np.array([4.0, 7.0])
    shares, mean = np.array([1 - p, p]), 4.0 + 3.0 * p
    plain, reduced = (shares @ (v * score) ** 2 - 9.0 for v in (value, value - mean))
    # an estimate of a spread from 400 samples is good to 4 %; 4 sigma, and 1/256 of the others
    for baseline, variance in (("none", plain), ("leave_one_out", reduced)):
        assert noise[baseline] == pytest.approx(np.sqrt(variance / size), rel=0.16)
    assert noise["leave_one_out"] < noise["none"] / 5


def branchings(p, count, seed):
    """How often each event branches, where it goes on with probability p, and ln of that."""
    number = jnp.asarray(np.random.default_rng(seed).geometric(1.0 - float(p), count) - 1.0)
    return number, lambda p: number * jnp.log(p) + jnp.log1p(-p)


def test_counts_of_branchings_have_the_gradient_of_the_closed_form():
    p, count = 0.6, 20000
    number, log_probability = branchings(p, count, 9)

    def means(p):
        """Mean number of branchings, and the shares of 0, 1, 2 and 3 of them."""
        inputs = {"log_probability": log_probability(p), "value": number}
        made = score_function({}, inputs)
        binned = {"weight": made["weight"], "n": number}
        shares = histogram({}, binned, bins=[{"n": [-0.5, 0.5, 1.5, 2.5, 3.5]}])["moments"]
        return made["total"] / count, shares[:, 0] / count

    (mean, shares), slope = jax.jit(lambda p: jax.jvp(means, (p,), (1.0,)))(p)
    assert float(mean) == float(jnp.sum(number)) / count, "the value does not change"
    n = np.arange(4)
    exact = n * p ** (n - 1) * (1 - p) - p**n
    # noise, four times: of the estimates' variances (n - mean)^2 score^2 and score^2
    score = np.asarray(number) / p - 1 / (1 - p)
    merit = np.asarray(number) - np.mean(number)
    noise = float(np.std(merit * score)) / np.sqrt(count)
    assert float(slope[0]) == pytest.approx(1 / (1 - p) ** 2, abs=4 * noise)
    np.testing.assert_allclose(slope[1], exact, atol=4 * np.std(score) / np.sqrt(count))
    np.testing.assert_allclose(shares, p**n * (1 - p), atol=4 * 0.5 / np.sqrt(count))


def test_weights_pass_unchanged_and_transpose():
    rng = np.random.default_rng(11)
    weight, log_probability, tangent, cotangent = jnp.asarray(rng.normal(size=(4, 300)))

    def weighted(log_probability):
        given = {"log_probability": log_probability, "weight": weight}
        return score_function({}, given)["weight"]

    @jax.jit
    def both(at):
        pushed = jax.jvp(weighted, (at,), (tangent,))
        return *pushed, *jax.vjp(weighted, at)[1](cotangent)

    made, pushed, pulled = both(log_probability)
    assert np.array_equal(made, weight), "to the bit"
    assert np.vdot(cotangent, pushed) == pytest.approx(np.vdot(pulled, tangent), rel=1e-12)
    others = np.sum(weight * cotangent) - weight * cotangent
    np.testing.assert_allclose(pulled, weight * cotangent - others / 299, atol=1e-13)


def test_one_event_alone_has_no_baseline():
    slope = jax.grad(lambda x: score_function({}, {"log_probability": x})["weight"][0])(jnp.ones(1))
    np.testing.assert_array_equal(slope, [1.0])


def test_values_of_several_columns_are_added_up_each():
    inputs = {"log_probability": jnp.ones(3), "value": jnp.arange(6.0).reshape(3, 2)}
    np.testing.assert_array_equal(score_function({}, inputs)["total"], [6.0, 9.0])


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"value": np.ones(2)}, "input value has shape"),
        ({"value": np.ones(())}, "input value has shape"),
        ({"weight": np.ones((3, 1))}, "input weight has shape"),
        ({"log_probability": np.ones((3, 1))}, "input log_probability has shape"),
    ],
)
def test_wrong_shapes_are_refused(changed, word):
    with pytest.raises(ValueError, match=word):
        score_function({}, {"log_probability": jnp.ones(3), **changed})


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="baseline must be one of leave_one_out, none"):
        score_function({}, {"log_probability": jnp.ones(3)}, baseline="mean")


PIPELINE = """
pipeline: chosen
parameters: {scale: 1.3, width: 0.15}
events: {uses: sobol, count: 600, shard: 250, seed: 3, options: {columns: {u: {range: [0, 1]}, x: {range: [0, 4]}}}}
stages:
  choice: {uses: "choice:choice", over: events, inputs: {u: events.u, x: events.x}, parameters: [scale]}
  score: {uses: score_function, over: events, inputs: {log_probability: choice.log_probability, weight: choice.weight, value: events.x}, options: {baseline: none}, outputs: {total: {sum: true}}}
  fine: {uses: histogram, over: events, inputs: {weight: score.weight, y: choice.y}, parameters: [width], options: {bins: [{y: [0, 1, 2, 3, 4, 5, 6]}], mode: kde, bandwidth: width, overflow: true}, outputs: {moments: {sum: true}, sigma_pb: {sum: true}}}
  quantiles: {uses: quantile_bins, over: once, inputs: {moments: fine.moments}, options: {edges: {range: [0, 6], count: 6}, quantiles: [0, 0.3, 0.8, 1]}}
  coarse: {uses: histogram, over: events, inputs: {weight: score.weight, y: choice.y, edges: quantiles.edges}, parameters: [width], options: {bins: [{y: edges}], mode: kde, bandwidth: {y: width}, variance: true}, outputs: {moments: {sum: true}, sigma_pb: {sum: true}, variance: {sum: true}}}
  loss: {uses: "choice:loss", over: once, inputs: {moments: coarse.moments, variance: coarse.variance, total: score.total}}
objective: loss.loss
"""  # noqa: E501
CODE = """
import jax.numpy as jnp


def choice(parameters, inputs):
    p = jnp.exp(-inputs["x"] / parameters["scale"] / 4)
    accepted = inputs["u"] < 0.6
    log_probability = jnp.where(accepted, jnp.log(p), jnp.log1p(-p + 1e-3))
    weight = accepted.astype(p.dtype)
    return {"log_probability": log_probability, "weight": weight, "y": inputs["x"] * parameters["scale"]}


def loss(parameters, inputs):
    pulls = inputs["moments"][:, 0] ** 2 / inputs["variance"]
    return {"loss": jnp.sum(pulls * jnp.arange(1.0, 4.0)) + inputs["total"]}
"""  # noqa: E501


@pytest.mark.slow  # a whole pipeline is compiled
def test_choices_quantiles_and_kernels_work_together_in_a_pipeline(tmp_path, store):
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "choice.py").write_text(CODE)
    made = assemble(tmp_path / "pipeline.yaml")
    plan, _ = sweep(store, made)
    found = read_results(store, plan)
    value, gradient = jax.jit(jax.value_and_grad(composed(made)))(values(made))
    assert found.objective == pytest.approx(float(value), rel=1e-13)  # order of summation
    for name, slope in gradient.items():
        assert found.gradient[name] != 0.0
        difference = abs(found.gradient[name] - slope)
        assert difference <= STAGED * partial_scale(store, made, plan, name), name
