"""Chains over several frameworks: the founding example, a million floats, a calibration."""

# ruff: noqa: E501 (a stage of a pipeline file is a line)

import shutil
import sys

import numpy as np
import pytest
from support import bits, cut, diffpipe, document, needs, sweep, with_values

from diffpipe.cache.store import Store
from diffpipe.pipelines.core import library
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.results import read_results
from diffpipe.rules import runs

pytestmark = needs("torch", "tensorflow")
CONSTANTS = {"scale_barrel", "scale_endcap", "smear_barrel", "smear_endcap"}


def results(store, made, direction="backward", jobs=1, order=slice(None)):
    plan, _ = sweep(store, made, Request(direction, jobs=jobs), order)
    return read_results(store, plan), plan


def test_the_founding_example_has_its_value_and_gradient_with_a_process_for_each_framework(
    tmp_path,
):
    done = diffpipe("run", "backward", "distributed_gradients", "--json", store=tmp_path)
    assert done.returncode == 0, done.stderr
    found = document(done)
    assert found["objective"]["value"] == 36.0
    assert found["gradient"] == {"a": 24.0, "b": 60.0}
    (run,) = runs.all_runs(Store.open(tmp_path))
    at_work = {path.stem: path.read_text() for path in run.records.glob("worker-*")}
    for lines in filter(None, at_work.values()):
        stages = {stage for stage in ("add", "multiply", "square") if f'"{stage}"' in lines}
        assert len(stages) == 1, "a process has one framework"


def test_wide_rows_have_the_gradient_of_the_closed_form(store, tmp_path):
    folder = shutil.copytree(library.find("mixed_wide").parent, tmp_path / "mixed")
    text = (folder / "pipeline.yaml").read_text()
    (folder / "pipeline.yaml").write_text(text.replace("1000000", "1000"))
    found, _ = results(store, assemble(folder / "pipeline.yaml"))
    u = (np.arange(1000) + 0.5) / 1000
    a, b = 1.0 * u, 2.0 * (1.0 - u)
    x = (a + b) * b
    assert found.objective == pytest.approx(np.mean(x**2), rel=1e-14)
    # sums of a thousand terms of one sign: rounding of some 1e-14
    assert found.gradient["scale_a"] == pytest.approx(np.mean(2 * x * b * u), rel=1e-13)
    slope = np.mean(2 * x * (a + 2 * b) * (1.0 - u))
    assert found.gradient["scale_b"] == pytest.approx(slope, rel=1e-13)


def calibration(count=4096, shard=1024):
    made = cut(assemble(library.find("detector_calibration")), count, shard)
    values = {"scale_barrel": -0.004, "scale_endcap": 0.01, "smear_barrel": 0.013}
    return with_values(made, **values)


def test_the_gradient_of_a_calibration_is_that_of_finite_differences(store):
    """Through branches and a hard acceptance in PyTorch, and JAX on both sides."""
    made = calibration()
    found, _ = results(store, made)
    for name in (*sorted(CONSTANTS), "m_z"):
        value = made.parameters[name].value
        step = 1e-4 * max(abs(value), 0.1)
        slopes = []
        for h in (step, step / 2):
            up, down = (
                results(store, with_values(made, **{name: value + sign * h}), direction="forward")[
                    0
                ]
                for sign in (1, -1)
            )
            slopes.append((up.objective - down.objective) / (2 * h))
        best = (4 * slopes[1] - slopes[0]) / 3
        # rounding: 1e-16 of an objective of some 1e5, over 1e-5, against slopes of 1e5 and more
        assert found.gradient[name] == pytest.approx(best, rel=1e-7, abs=1e-4), name


def test_products_with_the_hessian_of_a_calibration_are_differences_of_its_gradients(store):
    """Forward over reverse in PyTorch between stages of JAX."""
    made, along = calibration(), {"scale_barrel": 1e-2, "smear_endcap": 2e-3, "m_z": 0.1}
    names = ["scale_barrel", "scale_endcap", "smear_endcap", "m_z"]
    plan, _ = sweep(store, made, Request("hvp", wrt=names, along=along))
    found = read_results(store, plan).products
    slopes = []
    for h in (1e-3, 5e-4):
        up, down = (moved_gradient(store, made, along, sign * h) for sign in (1, -1))
        slopes.append({name: (up[name] - down[name]) / (2 * h) for name in names})
    for name in names:
        best = (4 * slopes[1][name] - slopes[0][name]) / 3
        # rounding: 1e-16 of gradients of some 1e7, over 1e-3, against products of 1e5 and more
        assert found[name][0] == pytest.approx(best, rel=1e-7, abs=1e-3), name


def test_a_jacobian_through_pytorch_is_the_same_forward_and_reverse(store):
    made = calibration()
    sweep(store, made, Request("forward"))
    found = []
    for mode in ("forward", "reverse"):
        request = Request("jacobian", of=["expected.counts"], wrt=sorted(CONSTANTS), mode=mode)
        plan, _ = sweep(store, made, request)
        found.append(read_results(store, plan).jacobian["expected.counts"])
    for name in CONSTANTS:
        forward, reverse = (each[name] for each in found)
        assert forward.shape == (39,)
        # sums of four thousand terms of both signs
        np.testing.assert_allclose(forward, reverse, rtol=0, atol=1e-11 * np.max(abs(forward)))


def moved_gradient(store, made, along, h):
    values = {name: made.parameters[name].value + h * v for name, v in along.items()}
    return results(store, with_values(made, **values))[0].gradient


def test_the_founding_example_has_its_hessian_through_three_frameworks(store):
    """y = u^2, u = a b + b^2, at (1, 2): y_aa = 2 b^2, y_ab = 2 u + 2 b (a + 2 b), y_bb = ..."""
    made = assemble(library.find("distributed_gradients"))
    plan, _ = sweep(store, made, Request("hvp"))
    found = read_results(store, plan)
    assert found.gradient == {"a": 24.0, "b": 60.0}
    assert found.products == {"a": [8.0, 32.0], "b": [32.0, 74.0]}


COUNTED = """
pipeline: counted
parameters: {a: 0.7}
stages:
  one:  {uses: "stages:one", over: once, parameters: [a]}
  two:  {uses: "turn:two", framework: torch, over: once, inputs: {n: one.n}}
  last: {uses: "stages:last", over: once, inputs: {t: two.t, x: one.x}}
objective: last.v
"""


def test_a_stage_that_integers_alone_reach_does_not_move(store, tmp_path):
    (tmp_path / "pipeline.yaml").write_text(COUNTED)
    (tmp_path / "turn.py").write_text(
        "def two(parameters, inputs):\n    return {'t': inputs['n'] * 1.5}\n"
    )
    (tmp_path / "stages.py").write_text(
        "import jax.numpy as jnp\n"
        "def one(parameters, inputs):\n"
        "    return {'x': 2.0 * parameters['a'], 'n': jnp.arange(3)}\n"
        "def last(parameters, inputs):\n"
        "    return {'v': jnp.sum(inputs['t']) + inputs['x']}\n"
    )
    plan, _ = sweep(
        store, assemble(tmp_path / "pipeline.yaml"), Request("tangent", along={"a": 1.0})
    )
    assert read_results(store, plan).tangents == {"last.v": 2.0}


def test_law_2_bits_of_a_mixed_chain_do_not_depend_on_batches_or_order(tmp_path):
    seen = []
    for jobs, order in ((1, slice(None)), (3, slice(None, None, -1))):
        store = Store.open(tmp_path / str(jobs))
        _, plan = results(store, calibration(), jobs=jobs, order=order)
        seen.append(bits(store, plan))
    assert seen[0] == seen[1]


def test_law_4_another_constant_executes_the_detector_and_what_follows(store):
    made = calibration()
    results(store, made)
    plan = make_plan(store, with_values(made, scale_barrel=0.0), Request("backward"))
    primals = {step.id for step in plan.steps if step.kind == "primal" and plan.missing[step.id]}
    assert primals == {
        f"{n}:primal" for n in ("detector", "mass", "histogram", "expected", "likelihood")
    }


def test_a_fit_finds_the_constants_that_the_counts_were_made_with(tmp_path):
    done = diffpipe(
        "fit", "detector_calibration", "--minimizer", "gauss-newton", "--json", store=tmp_path
    )
    assert done.returncode == 0, done.stderr
    fitted = document(done)["parameters"]
    made_with = {"scale_barrel": -0.008, "scale_endcap": 0.012, "smear_barrel": 0.015,
                 "smear_endcap": 0.028, "n_events": 200000}  # fmt: skip
    for name, value in made_with.items():
        pull = (fitted[name]["value"] - value) / fitted[name]["error"]
        assert abs(pull) < 3, name  # counts with Poisson noise


NETWORK = """
pipeline: network
parameters: {w: [[0.5, -0.3]], b: [0.1]}
events: {uses: "rows:rows", count: 24, shard: 6}
stages:
  score: {uses: "net:score", framework: torch, over: events, inputs: {x: events.x}, parameters: [w, b]}
  mean:  {uses: "mean:mean", framework: tensorflow, over: events, inputs: {y: score.y}, outputs: {total: {sum: true}}}
objective: mean.total
"""
ROWS = """
import numpy as np

def rows(start, stop, *, count, seed):
    n = np.arange(start, stop) / count
    return {"x": np.stack([n, n**2], axis=1)}
"""
NET = """
import torch

NET = torch.nn.Linear(2, 1)

def score(parameters, inputs):
    weights = {"weight": parameters["w"], "bias": parameters["b"]}
    return {"y": torch.tanh(torch.func.functional_call(NET, weights, inputs["x"]))[:, 0]}
"""
MEAN = """
import tensorflow as tf

TRACES = []

def mean(parameters, inputs):
    TRACES.append(1)  # when it is traced, not when it is run
    return {"total": tf.reduce_sum(inputs["y"])}
"""


def test_weights_of_a_module_are_parameters_and_a_graph_is_traced_once_a_worker(store, tmp_path):
    for name, text in (("rows.py", ROWS), ("net.py", NET), ("mean.py", MEAN)):
        (tmp_path / name).write_text(text)
    (tmp_path / "pipeline.yaml").write_text(NETWORK)
    found, plan = results(store, assemble(tmp_path / "pipeline.yaml"))
    n = np.arange(24) / 24
    x, w, b = np.stack([n, n**2], axis=1), np.array([0.5, -0.3]), 0.1
    slope = 1.0 - np.tanh(x @ w + b) ** 2
    np.testing.assert_allclose(np.ravel(found.gradient["w"]), slope @ x, rtol=1e-13)
    np.testing.assert_allclose(found.gradient["b"], [slope.sum()], rtol=1e-13)  # sums of 24 terms
    assert (
        len(sys.modules["mean"].TRACES) == 2
    )  # forward, and the pullback; four shards have one shape
    assert {step.framework for step in plan.steps} == {"jax", "torch", "tensorflow"}
