"""The laws of the design, over one list of pipelines."""

from functools import cache, partial

import jax
import numpy as np
import pytest
import support
from support import bits, composed, pipeline, sweep, values

from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Request
from diffpipe.pipelines.core.results import read_results

LONG = pytest.param("drell_yan", marks=pytest.mark.slow)  # as a whole it compiles for a minute
ALL = [*support.SYNTHETIC, LONG, "joins in blocks of 3"]
# Law 1: the staged gradient is the composed function's, up to the order of summation. Each partial
# carries rounding of a few ulp per operation (2.2e-16): 1e-12 leaves room for some thousand.
STAGED = 1e-12


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep of a pipeline, computed once for all tests: its store and its plan."""

    @cache
    def finished(name):
        store = Store.open(tmp_path_factory.mktemp(name) / "store")
        plan, _ = sweep(store, pipeline(name))
        return store, plan

    return finished


def partial_scale(store, made, plan, name):
    """The sum over shards and stages of |partial| of a parameter's gradient."""
    total = np.zeros(np.shape(made.parameters[name].value))
    for step in plan.steps:
        for local in step.active_parameters if step.kind == "pullback" else ():
            if made.stages[step.stage].parameters[local] == name:
                artefact = store.get(step.key)
                block = artefact.specs[f"gradient.{local}"].block
                parts = range(0, artefact.slots, block)
                total = total + sum(abs(artefact.read(f"gradient.{local}", k)) for k in parts)
    return total


@pytest.mark.parametrize("name", ALL)
def test_law_1_staged_gradient_is_the_gradient_of_the_composed_function(swept, name):
    agrees_with_the_composed_function(*swept(name), pipeline(name))


CUTS = [("joins", 5), ("joins", 103), ("joins", 200), ("blocks", 5), ("blocks", 41)]
CUTS += [("joins in blocks of 4", 5), ("joins in blocks of 100", 5)]


@pytest.mark.parametrize(("name", "shard"), CUTS)
def test_law_1_holds_for_any_shard_size_and_block(store, name, shard):
    made = pipeline(name, shard)
    plan, _ = sweep(store, made)
    agrees_with_the_composed_function(store, plan, made)


def agrees_with_the_composed_function(store, plan, made):
    found = read_results(store, plan)
    value, gradient = jax.jit(jax.value_and_grad(composed(made)))(values(made))
    np.testing.assert_allclose(found.objective, value, rtol=STAGED)
    for each in made.parameters:
        difference = abs(np.asarray(found.gradient[each]) - gradient[each])
        assert (difference <= STAGED * partial_scale(store, made, plan, each)).all(), each


def test_law_1_a_parameter_that_nothing_uses_has_gradient_zero(swept):
    assert read_results(*swept("joins")).gradient["unused"] == 0.0


@pytest.mark.parametrize("name", ALL)
def test_law_2_bits_do_not_depend_on_batches_or_order(swept, tmp_path, name):
    seen = [bits(*swept(name))]
    for cores, order in ((2, slice(None, None, 1)), (5, slice(None, None, -1))):
        store = Store.open(tmp_path / str(cores))
        plan, _ = sweep(store, pipeline(name), Request("backward", jobs=cores), order)
        seen.append(bits(store, plan))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("name", ALL)
def test_law_3_adjoint_identity_end_to_end(swept, name):
    made = pipeline(name)
    found = read_results(*swept(name))
    generator = np.random.default_rng(3)
    tangent = {n: generator.normal(size=v.shape) * (0.1 + abs(v)) for n, v in values(made).items()}
    _, pushed = jax.jit(partial(jax.jvp, composed(made)))((values(made),), (tangent,))
    terms = {n: np.asarray(found.gradient[n]) * tangent[n] for n in tangent}
    pulled = sum(float(np.sum(each)) for each in terms.values())
    scale = sum(float(np.sum(abs(each))) for each in terms.values())
    assert (
        abs(pushed - pulled) <= 1e-11 * scale
    )  # forward and reverse round differently: law 1 x 10


@pytest.mark.parametrize("name", ALL)
def test_law_3_adjoint_identity_of_each_stage(swept, name):
    """<w, J v> = <v, J^T w> for random v and w, by the framework that the sweep uses."""
    store, plan = swept(name)
    generator = np.random.default_rng(7)
    for step in plan.steps:
        if step.kind == "pullback":
            forward, backward, scale = support.adjoint_pair(store, step, generator)
            assert abs(forward - backward) <= 1e-12 * scale, step.id  # as law 1


@pytest.mark.parametrize("name", ALL)
def test_law_4_an_unchanged_rerun_executes_nothing(swept, name):
    store, _ = swept(name)
    plan, executed = sweep(store, pipeline(name))
    assert plan.tasks == []
    assert not executed


def test_law_4_another_wrt_executes_no_forward_stage(store):
    made = pipeline("joins")
    sweep(store, made, Request("backward", wrt=["width"]))
    _, executed = sweep(store, made, Request("backward", wrt=["matrix", "slope"]))
    assert executed
    assert not [stage for stage, kind in executed if kind == "primal"]


def test_law_4_another_objective_executes_no_forward_stage(swept):
    store, _ = swept("joins")
    _, executed = sweep(store, pipeline("joins"), Request("backward", of=["centre.mean"]))
    assert {kind for _, kind in executed} == {"pullback", "reduction"}


def test_law_4_a_superset_serves_a_subset(swept):
    store, _ = swept("joins")
    plan, executed = sweep(store, pipeline("joins"), Request("backward", wrt=["matrix"]))
    assert not executed
    assert list(plan.gradients) == ["matrix"]


def test_law_4_a_parameter_change_executes_its_stages_and_their_descendants(store):
    made = pipeline("joins")
    sweep(store, made)
    changed = support.with_values(made, matrix=((1.0, 0.2), (-0.3, 0.9)))
    _, executed = sweep(store, changed, Request("forward"))
    stages = {stage for stage, kind in executed if kind == "primal"}
    assert stages == {"mix", "join", "first", "centre", "second", "fit"}


def test_residuals_stored_for_every_stage_give_the_same_gradient_without_a_forward_pass(store):
    made = support.with_residuals(pipeline("joins"))
    sweep(store, made, Request("forward"))
    plan, executed = sweep(store, made)
    assert {kind for _, kind in executed} == {"pullback", "reduction"}
    agrees_with_the_composed_function(store, plan, made)
    for direction in ("forward", "backward"):
        assert sweep(store, made, Request(direction))[0].tasks == []


@pytest.mark.parametrize("name", ALL)
def test_force_computes_everything_again_with_the_same_bits(swept, name):
    store, plan = swept(name)
    before = bits(store, plan)
    plan, executed = sweep(store, pipeline(name), Request("backward", force=True))
    assert {stage for stage, kind in executed if kind == "primal"} == set(pipeline(name).stages)
    assert bits(store, plan) == before
