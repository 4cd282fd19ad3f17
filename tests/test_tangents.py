"""Tangents of all parameters at once, and the curvature of the objective that they give."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from support import Request, Store, composed, data_of, pipeline, sweep, values, with_values

from diffpipe.cache.errors import UsageError
from diffpipe.pipelines.core import functions
from diffpipe.pipelines.core.plan import make_plan
from diffpipe.pipelines.core.results import read_results

# what the objective of each depends on; drell_yan's ones enter before and after the densities
MOVING = {
    "joins": ["slope", "offsets", "matrix", "width"],
    "joins in blocks of 3": ["offsets", "width"],
    "nested": ["rate", "ratio", "right.height"],
    "blocks": ["rate", "height"],
    "drell_yan": ["sin2_theta_eff", "m_z", "pdf.eta_1"],
}
STAGED = 1e-12  # of the largest term: rounding of some thousand operations, in another order


def curvature(store, made, wrt):
    plan, executed = sweep(store, made, Request("curvature", wrt=wrt))
    return read_results(store, plan).curvature, plan, executed


def around(made, wrt):
    """The objective as a function of steps t along the directions, with what stands before the
    last stage replaced by its tangent at t = 0: its Hessian is that of Gauss and Newton."""
    last = made.stages[made.objective.stage]
    known = values(made)
    start, unravel = ravel_pytree([known[name] for name in wrt])
    own = functions.load(last.function)
    inputs = {}
    for local, ref in last.output_inputs():
        output = composed(replace(made, objective=ref))

        def of_steps(t, output=output):
            return output(known | dict(zip(wrt, unravel(start + t), strict=True)))

        inputs[local] = jax.jit(of_steps)(0.0 * start), jax.jit(jax.jacfwd(of_steps))(0.0 * start)
    constant = fixed(made, last)

    def objective(t):
        moved = known | dict(zip(wrt, unravel(start + t), strict=True))
        parameters = {local: moved[name] for local, name in last.parameters.items()}
        given = {local: value + slope @ t for local, (value, slope) in inputs.items()}
        return own(parameters, constant | given, **last.options)[made.objective.output]

    return objective, start.size


def fixed(made, last):
    """The data that a stage reads."""
    read = dict(last.output_inputs())
    return {local: data_of(made, ref) for local, ref in last.inputs.items() if local not in read}


SLOW = pytest.mark.slow  # the densities' evolution is compiled three times more


@pytest.mark.parametrize("name", [*list(MOVING)[:-1], pytest.param("drell_yan", marks=SLOW)])
def test_the_curvature_is_that_of_the_last_stage_along_the_tangents_before_it(store, name):
    made, wrt = pipeline(name), MOVING[name]
    found, _, _ = curvature(store, made, wrt)
    objective, count = around(made, wrt)
    slope, bent = jax.jit(jax.grad(objective)), jax.jit(jax.hessian(objective))
    zero = jnp.zeros(count)
    for value, wanted in ((found.gradient, slope(zero)), (found.matrix, bent(zero))):
        np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-11 * np.max(abs(wanted)))


def test_the_slope_along_the_directions_is_the_gradient_of_the_backward_sweep(store):
    made, wrt = pipeline("joins"), MOVING["joins"]
    found, _, _ = curvature(store, made, wrt)
    plan, _ = sweep(store, made, Request("backward", wrt=wrt))
    gradient = read_results(store, plan).gradient
    flat = np.concatenate([np.ravel(gradient[name]) for name in wrt])
    # both are sums of terms of the size of the largest component
    np.testing.assert_allclose(found.gradient, flat, rtol=0, atol=STAGED * np.max(abs(flat)))


def test_directions_are_named_and_in_the_order_of_the_pipeline(store):
    found, _, _ = curvature(store, pipeline("joins"), ["width", "offsets", "slope"])
    assert found.along == ["slope", "offsets[0]", "offsets[1]", "offsets[2]", "width"]


def test_one_component_does_not_depend_on_what_else_is_asked(store):
    made = pipeline("joins")
    all_of_them, _, _ = curvature(store, made, MOVING["joins"])
    one, _, _ = curvature(store, made, ["width"])
    place = all_of_them.along.index("width")
    matrix = np.array(all_of_them.matrix)
    assert one.matrix[0][0] == pytest.approx(matrix[place, place], rel=1e-12)  # other products


def test_what_does_not_move_is_not_pushed_and_what_is_stored_is_not_computed_again(store):
    made = pipeline("joins")
    _, plan, executed = curvature(store, made, ["width"])
    pushed = {step.stage for step in plan.steps if step.kind == "tangent"}
    assert pushed == {"second"}
    assert sum(executed.values()) > 0
    assert not make_plan(store, made, Request("curvature", wrt=["width"])).tasks
    after = make_plan(store, made, Request("backward", wrt=["width"]))
    assert all(step.kind != "primal" for step in after.steps if after.missing[step.id])
    elsewhere = with_values(made, width=0.3)
    missing = make_plan(store, elsewhere, Request("curvature", wrt=["width"])).missing
    assert {each.partition(":")[0] for each, count in missing.items() if count} == {"second", "fit"}


@pytest.mark.parametrize("name", ["joins", "blocks"])
def test_bits_do_not_depend_on_how_tasks_are_cut_and_ordered(tmp_path, name):
    made, wrt = pipeline(name), MOVING[name]
    found = []
    for jobs, order in ((1, slice(None)), (5, slice(None, None, -1))):
        store = Store.open(tmp_path / f"store-{jobs}")
        plan, _ = sweep(store, made, Request("curvature", wrt=wrt, jobs=jobs), order)
        found.append(read_results(store, plan).curvature)
    assert found[0] == found[1]


def test_a_parameter_that_the_objective_does_not_depend_on_is_refused(store):
    with pytest.raises(UsageError, match=r"fit\.chi2 does not depend on unused"):
        make_plan(store, pipeline("joins"), Request("curvature", wrt=["unused", "width"]))


def test_an_objective_that_is_a_sum_over_events_has_no_curvature(store):
    with pytest.raises(UsageError, match=r"area\.area is a sum over events"):
        make_plan(store, pipeline("curve"), Request("curvature", wrt=["rate"]))
