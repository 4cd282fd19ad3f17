"""Gradient modes: tangents, Jacobians and products with the Hessian, staged, against JAX's own."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from msgspec import structs
from support import (
    CASES,
    IN_BLOCKS,
    Request,
    Store,
    assemble,
    composed,
    make_plan,
    pipeline,
    sweep,
    values,
    with_values,
)

from diffpipe.cache.errors import DiffpipeError, PipelineError, UsageError
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.model import Derivative, OutputRef
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.core.sweeps import jacobian
from diffpipe.pipelines.core.sweeps.backward import exact_pullback
from diffpipe.pipelines.core.sweeps.wrt import parse
from diffpipe.rules import costs, modes

# the parameters that the objective of each pipeline depends on
MOVING = {
    "joins": ["slope", "offsets", "matrix", "width"],
    "joins in blocks of 3": ["slope", "offsets", "matrix", "width"],
    "nested": ["rate", "ratio", "right.height"],
    "blocks": ["rate", "height"],
    "drell_yan": ["sin2_theta_eff", "m_z", "pdf.eta_1"],
}
LONG = pytest.param("drell_yan", marks=pytest.mark.slow)  # as a whole it compiles for minutes
ALL = [*list(MOVING)[:-1], LONG]
MODES = 1e-11  # of the sum of the magnitudes of what is added: rounding of some thousand operations


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """One store for all: what is stored for one mode serves the others."""
    return Store.open(tmp_path_factory.mktemp("modes") / "store")


@cache
def known(name):
    """Where a vector of parameters is, and back; gradient and Hessian of the composed function."""
    if IN_BLOCKS in name:
        return known(name.partition(IN_BLOCKS)[0])  # which does not know of blocks
    made, wrt = pipeline(name), MOVING[name]
    at, objective = values(made), composed(made)
    start, unravel = ravel_pytree([at[each] for each in wrt])

    def function(x):
        return objective(at | dict(zip(wrt, unravel(x), strict=True)))

    both = jax.jit(lambda x: (jax.grad(function)(x), jax.hessian(function)(x)))
    return start, unravel, *both(start)


def direction(name):
    """A fixed direction, of the size of what moves."""
    start, unravel, *_ = known(name)
    v = np.random.default_rng(1).normal(size=start.size) * (0.1 + abs(start))
    named = zip(MOVING[name], unravel(jnp.asarray(v)), strict=True)
    return v, {each: np.asarray(value).tolist() for each, value in named}


def flat(named, wrt, rows=()):
    return np.concatenate([np.reshape(named[name], (*rows, -1)) for name in wrt], axis=len(rows))


@pytest.mark.parametrize("name", ALL)
def test_a_tangent_is_that_of_the_composed_function(common, name):
    *_, gradient, _ = known(name)
    v, along = direction(name)
    plan, _ = sweep(common, pipeline(name), Request("tangent", along=along))
    (found,) = read_results(common, plan).tangents.values()
    assert abs(found - gradient @ v) <= MODES * np.sum(abs(gradient * v))


@pytest.mark.parametrize("name", ALL)
def test_a_jacobian_is_that_of_the_composed_function_in_either_mode(common, name):
    made, wrt = pipeline(name), MOVING[name]
    sweep(common, made, Request("forward"))
    *_, gradient, _ = known(name)
    for mode in ("forward", "reverse"):
        plan, _ = sweep(common, made, Request("jacobian", wrt=wrt, mode=mode))
        (found,) = read_results(common, plan).jacobian.values()
        difference = abs(flat(found, wrt) - gradient)
        assert np.max(difference) <= MODES * np.max(abs(gradient)), mode


@pytest.mark.parametrize("name", ALL)
def test_a_product_with_the_hessian_is_that_of_the_composed_function(common, name):
    made, wrt = pipeline(name), MOVING[name]
    *_, gradient, hessian = known(name)
    v, along = direction(name)
    plan, _ = sweep(common, made, Request("hvp", wrt=wrt, along=along))
    found = read_results(common, plan)
    assert np.max(abs(flat(found.gradient, wrt) - gradient)) <= MODES * np.max(abs(gradient))
    difference = abs(flat(found.products, wrt, (1,))[0] - hessian @ v)
    assert np.max(difference) <= MODES * np.max(abs(hessian) @ abs(v))
    if IN_BLOCKS in name:
        return
    plan, executed = sweep(common, made, Request("hvp", wrt=wrt))
    whole = flat(read_results(common, plan).products, wrt, (len(v),))
    assert np.max(abs(whole - hessian)) <= MODES * np.max(abs(hessian))
    assert "primal" not in {kind for _, kind in executed}


def wide(name, size=500):
    made = assemble(CASES / "modes" / f"{name}.yaml")
    if "coefficients" not in made.parameters:
        return made
    numbers = np.random.default_rng(2).normal(size=size) / np.arange(1.0, size + 1.0)
    return with_values(made, coefficients=tuple(numbers.tolist()))


WIDE = {
    "many_outputs": ("spectrum.power", "forward"),
    "many_parameters": ("powers.moments", "reverse"),
    "hourglass": ("unfold.power", "mixed"),
}


@pytest.mark.parametrize("name", WIDE)
def test_the_mode_of_fewest_directions_is_picked_and_all_give_the_same(common, name):
    made, (of, best) = wide(name), WIDE[name]
    sweep(common, made, Request("forward"))
    request = Request("jacobian", of=[of])
    options = modes.options(common, made, request, costs.Costs())
    assert options[0].request.mode == best
    stage, _, output = of.rpartition(".")
    function = composed(replace(made, objective=OutputRef(stage, output)))
    at = values(made)
    start, unravel = ravel_pytree(at)
    # nothing is above the line where JAX's own two modes agree
    expected = jax.jit(jax.jacrev(lambda x: function(unravel(x))))(start)
    for option in options:
        plan, _ = sweep(common, made, option.request)
        (found,) = read_results(common, plan).jacobian.values()
        rows = expected.shape[:1]
        difference = abs(flat(found, list(at), rows) - expected)
        assert np.max(difference) <= MODES * np.max(abs(expected)), option.words


def test_a_mixed_jacobian_is_right_at_any_cut(common):
    """Also where a parameter stands above and below it, and where some of it passes beside it."""
    made, of = pipeline("joins"), ["fit.pull", "centre.mean"]
    sweep(common, made, Request("forward"))

    def found(mode, cut=None):
        plan, _ = sweep(common, made, Request("jacobian", of=of, mode=mode, cut=cut))
        return read_results(common, plan).jacobian

    whole = found("forward")
    for cut in (["table.table"], ["first.total"], ["centre.centre", "table.table"]):
        for name, blocks in found("mixed", cut).items():
            scale = max(np.max(abs(each)) for each in whole[name].values())
            for parameter, block in blocks.items():
                difference = np.max(abs(block - whole[name][parameter]))
                assert difference <= MODES * scale, (cut, name, parameter)


def test_the_jacobian_of_a_sum_is_stored_and_serves_any_later_objective(store):
    made = wide("many_outputs")
    sweep(store, made, Request("forward"))
    sweep(store, made, Request("jacobian", of=["spectrum.power"], mode="forward"))
    options = modes.options(store, made, Request("jacobian"), costs.Costs())
    assert options[0].request.mode == "forward"
    _, executed = sweep(store, made, options[0].request)
    assert executed == {("total", "tangent"): 1}


def test_several_objectives_go_through_one_backward_sweep(common):
    made, of = pipeline("joins"), ["fit.chi2", "centre.mean"]
    plan, executed = sweep(common, made, Request("backward", of=of))
    found = read_results(common, plan).gradients
    assert executed["second", "pullback"] == made.stages["second"].slots
    for name in of:
        alone, _ = sweep(common, made, Request("backward", of=[name]))
        gradient = read_results(common, alone).gradient
        for each, slope in gradient.items():
            # the largest component sets the size of the terms
            np.testing.assert_allclose(found[name][each], slope, rtol=1e-12, atol=1e-9)


def test_a_cotangent_from_a_file_starts_the_sweep(common, tmp_path):
    made = wide("many_outputs")
    plan, _ = sweep(common, made, Request("backward"))
    whole = read_results(common, plan).gradient
    power = common.get(plan.outputs["total.value"].key)
    forward, _ = sweep(common, made, Request("forward", of=["spectrum.power"]))
    source = forward.outputs["spectrum.power"]
    power = common.get(source.key).read("power", 0)
    np.savez(tmp_path / "w.npz", **{"spectrum.power": 2 * power})  # d total / d power
    request = Request("backward", cotangent=str(tmp_path / "w.npz"))
    found = read_results(common, sweep(common, made, request)[0]).gradient
    for name, slope in whole.items():
        assert found[name] == pytest.approx(slope, rel=1e-13)
    assert make_plan(common, made, request).tasks == []
    np.savez(tmp_path / "w.npz", **{"spectrum.power": power})
    assert make_plan(common, made, request).tasks


def test_a_cotangent_per_event_is_taken_shard_by_shard(common, tmp_path):
    import zarr

    made = wide("many_outputs")
    w = np.random.default_rng(4).normal(size=200)
    zarr.create_group(tmp_path / "w.zarr").create_array("wave.y", data=w)
    plan, _ = sweep(common, made, Request("backward", cotangent=str(tmp_path / "w.zarr")))
    found = read_results(common, plan).gradient
    x = (np.arange(200) + 0.5) / 200
    assert found["a"] == pytest.approx(np.sum(w * np.sin(2.3 * x)), rel=1e-12)
    assert found["c"] == pytest.approx(np.sum(w * x**2), rel=1e-12)


def test_gradients_of_columns_and_inputs_are_those_of_each_event(common):
    made = wide("many_outputs")
    plan, _ = sweep(common, made, Request("backward", wrt=["events.x", "spectrum.y", "a"]))
    found = read_results(common, plan)

    def objective(x, y):
        power = jnp.cos(jnp.outer(x, jnp.arange(1.0, 501.0))).T @ jnp.tanh(y)
        return jnp.sum(power**2)

    def of_x(x):
        return objective(x, 0.7 * jnp.sin(2.3 * x) - 0.4 * x**2)

    x = jnp.asarray((np.arange(200) + 0.5) / 200)
    y = 0.7 * jnp.sin(2.3 * x) - 0.4 * x**2
    for name, slope in (
        ("events.x", jax.grad(of_x)(x)),
        ("spectrum.y", jax.grad(objective, 1)(x, y)),
    ):
        arrays = [added(common, source) for source in plan.gradients[name]]
        np.testing.assert_allclose(sum(arrays), slope, rtol=0, atol=MODES * np.max(abs(slope)))
        assert found.gradient[name].shape == [200]
        assert found.gradient[name].norm == pytest.approx(float(jnp.linalg.norm(slope)), rel=1e-10)


def added(store, source):
    artefact = store.get(source.key)
    return np.concatenate([artefact.read(source.array, k) for k in range(artefact.slots)])


def results(store, plan):
    found = read_results(store, plan)
    return repr((found.tangents, found.products, found.jacobian, found.gradient))


REQUESTS = [
    Request("tangent", along={"offsets": [0.1, 0.2, -0.3], "width": 0.1}),
    Request("hvp", wrt=["offsets", "width"], along={"width": 1.0}),
    Request("jacobian", of=["fit.chi2", "centre.mean"], mode="reverse"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: each.direction)
def test_a_sweep_that_was_killed_goes_on_to_the_same_bits(common, store, request_):
    """Cut into other tasks, in another order, stopped in the middle: the laws of every sweep."""
    made = pipeline("joins")
    sweep(common, made, Request("forward"))
    whole, _ = sweep(common, made, request_)
    sweep(store, made, Request("forward"))
    before, left = sum(make_plan(store, made, request_).missing.values()), 9

    def still_wanted():
        nonlocal left
        left -= 1
        return left >= 0

    with pytest.raises(DiffpipeError, match="is gone"):
        sweep(store, made, request_, still_wanted=still_wanted)
    assert sum(make_plan(store, made, request_).missing.values()) == before - 9
    otherwise = structs.replace(request_, jobs=5)
    plan, _ = sweep(store, made, otherwise, slice(None, None, -1))
    assert results(store, plan) == results(common, whole)
    assert make_plan(store, made, request_).tasks == []


def without(name, **changed):
    made = pipeline("joins")
    return replace(made, stages={**made.stages, name: replace(made.stages[name], **changed)})


BAD = [
    (Request("tangent", along={"slop": 1.0}), UsageError, r"unknown parameter 'slop'", "slope"),
    (Request("tangent", along={"offsets": 1.0}), UsageError, r"offsets: 1.0 .*shape \(3,\)", None),
    (Request("tangent", along={}), UsageError, "no parameter moves", "name=value"),
    (Request("tangent", along={"unused": 1.0}), UsageError, "does not depend on along", None),
    (Request("backward", wrt=["second.width"]), UsageError, "unknown parameter", None),
    (Request("backward", wrt=["fit.target"]), UsageError, r"is data \(data.target.value\)", None),
    (Request("backward", wrt=["events.y"]), UsageError, "unknown parameter 'events.y'", "events.x"),
    (
        Request("jacobian", wrt=["events.x"], mode="reverse"),
        UsageError,
        "in parameters",
        "backward",
    ),
    (Request("jacobian", of=["join.value"], mode="reverse"), UsageError, "per event", "sum"),
    (Request("jacobian", of=["fit.chi"], mode="reverse"), UsageError, "no output fit.chi", "chi2"),
    (Request("hvp", of=["fit.chi2", "centre.mean"]), UsageError, "2 outputs", None),
]


@pytest.mark.parametrize(("request_", "kind", "said", "hint"), BAD, ids=lambda each: str(each)[:40])
def test_what_cannot_be_asked_is_refused_by_name(common, request_, kind, said, hint):
    sweep(common, pipeline("joins"), Request("forward"))
    with pytest.raises(kind, match=said) as refused:
        make_plan(common, pipeline("joins"), request_)
    assert hint is None or hint in refused.value.hint


def test_a_mode_that_there_is_not_is_refused_by_name(common):
    sweep(common, pipeline("joins"), Request("forward"))
    per_event = Request("jacobian", of=["join.value"], mode="reverse")
    with pytest.raises(UsageError, match=r"join\.value is per event"):
        modes.options(common, pipeline("joins"), per_event, costs.Costs())
    uncut = Request("jacobian", of=["spectrum.power"], mode="mixed")
    with pytest.raises(UsageError, match="no cut for a mixed Jacobian"):
        modes.options(common, wide("many_outputs"), uncut, costs.Costs())


def test_a_stage_without_the_derivative_that_a_mode_needs_is_named(store):
    along = {"slope": 1.0}
    with pytest.raises(PipelineError, match=r"stage warp \(jax\) has no JVP") as refused:
        make_plan(store, without("warp", has_jvp=False), Request("tangent", along=along))
    assert "derivative: finite-difference" in refused.value.hint
    by_differences = without("warp", derivative=Derivative.DIFFERENCES)
    with pytest.raises(PipelineError, match=r"stage warp .* no second derivatives"):
        make_plan(store, by_differences, Request("hvp", along=along))
    plan, _ = sweep(store, by_differences, Request("tangent", along=along))
    exact, _ = sweep(store, pipeline("joins"), Request("tangent", along=along))
    (rough,), (fine,) = (read_results(store, p).tangents.values() for p in (plan, exact))
    assert rough == pytest.approx(fine, rel=1e-8)  # of differences


def test_a_jacobian_that_would_not_fit_into_memory_is_refused_with_its_size():
    made = wide("hourglass", 3)
    chain = Chain(made, Identity(made, Environment()))
    rows = {OutputRef("unfold", "power"): (400_000_000,)}
    with pytest.raises(UsageError, match=r"400000000 x 4 numbers, 12\.8 GB") as refused:
        jacobian.add(chain, rows, parse(made, None), "forward", {}, exact_pullback)
    assert "--wrt" in refused.value.hint


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no arrays at all"])
def test_a_file_of_cotangents_that_cannot_be_read_is_refused(store, tmp_path, content):
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"--cotangent .*w\.npz: ") as refused:
        make_plan(store, pipeline("joins"), Request("backward", cotangent=str(tmp_path / "w.npz")))
    assert "stage.output" in refused.value.hint


@pytest.mark.parametrize(
    ("w", "said"),
    [
        (np.ones(499), r"float64 \(499,\), and the output float64 \(500,\)"),
        (np.ones(500, np.float32), "spectrum.power is float32"),
        (np.full(500, np.nan), r"spectrum.power\[0\] is not finite"),
    ],
)
def test_a_cotangent_that_does_not_fit_is_refused(store, tmp_path, w, said):
    np.savez(tmp_path / "w.npz", **{"spectrum.power": w})
    with pytest.raises(UsageError, match=said):
        sweep(store, wide("many_outputs"), Request("backward", cotangent=str(tmp_path / "w.npz")))


COMPLEX = """
pipeline: waves
parameters: {k: 0.7, phase: [0.1, 0.4]}
stages:
  wave: {uses: "stages:wave", over: once, parameters: [k, phase]}
  size: {uses: "stages:size", over: once, inputs: {z: wave.z}}
objective: size.value
"""


def test_the_jacobian_of_a_complex_output_is_complex_and_taken_forward(store, tmp_path):
    (tmp_path / "pipeline.yaml").write_text(COMPLEX)
    (tmp_path / "stages.py").write_text(
        "import jax\n"
        "import jax.numpy as jnp\n"
        "def wave(parameters, inputs):\n"
        "    k, phase = parameters['k'], parameters['phase']\n"
        "    return {'z': jax.lax.complex(k * jnp.cos(phase), k * jnp.sin(phase))}\n"
        "def size(parameters, inputs):\n"
        "    return {'value': jnp.sum(jnp.abs(inputs['z']) ** 2)}\n"
    )
    made = assemble(tmp_path / "pipeline.yaml")
    sweep(store, made, Request("forward"))
    (option,) = modes.options(store, made, Request("jacobian", of=["wave.z"]), costs.Costs())
    assert option.request.mode == "forward"
    plan, _ = sweep(store, made, option.request)
    found = read_results(store, plan).jacobian["wave.z"]
    z = 0.7 * np.exp(1j * np.array([0.1, 0.4]))
    np.testing.assert_allclose(found["k"], z / 0.7, rtol=1e-14)
    np.testing.assert_allclose(found["phase"], np.diag(1j * z), rtol=1e-14)
