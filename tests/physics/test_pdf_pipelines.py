"""Evolution in a pipeline: kernels kept in the store, densities from a function or from a set."""

import jax
import numpy as np
import pytest
from support import Request, assemble, composed, executions, sweep, values, with_values

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.physics.pdf import flavours, grid
from diffpipe.pipelines.physics.pdf.lhapdf import writer
from diffpipe.pipelines.physics.pdf.lhapdf.settings import Settings

OPTIONS = "order: LO, nf_max: 4, points: 12, steps: 1, x_min: 1.0e-4, sum_rules: ignored"
PIPELINE = """
pipeline: evolved
parameters:
  alphas_mz: 0.13
  mc: 1.5
  mb: 4.5
  pdf.hardness: 4.0
stages:
  pdf:
    uses: pdf_evolution
    over: once
    parameters: [alphas_mz, mc, mb, PARAMETERS]
    options: {scales: [91.2], OPTIONS, input: "INPUT"}
  total: {uses: "stages:total", over: once, inputs: {grid: pdf.grid}}
objective: total.total
"""
STAGES = """
import jax.numpy as jnp


def density(parameters, inputs):
    x, hardness = inputs["x"], parameters["pdf.hardness"]
    one = x**0.3 * jnp.exp(hardness * jnp.log1p(-x))
    return {"density": jnp.stack([one * (1.0 + flavour % 3) for flavour in range(11)])}


def total(parameters, inputs):
    return {"total": jnp.sum(inputs["grid"] ** 2)}
"""


def write(folder, source, parameters='"pdf.*"', options=OPTIONS):
    text = PIPELINE.replace("INPUT", source).replace("PARAMETERS", parameters)
    (folder / "pipeline.yaml").write_text(text.replace("OPTIONS", options))
    (folder / "stages.py").write_text(STAGES)
    return assemble(folder / "pipeline.yaml")


def function(folder):
    return write(folder, "stages:density", options=OPTIONS + ", q0: 1.3")


def set_of_lhapdf(folder):
    """A small set of analytic densities in the folder."""
    x = grid.nodes(1e-4, 20)
    q = np.geomspace(1.3, 10.0, 5)
    shapes = x**0.3 * (1.0 - x) ** 4
    xf = shapes[:, None, None] * (1.0 + 0.1 * np.log(q))[None, :, None] * np.ones(11)
    settings = Settings(
        "analytic densities",
        [flavours.pid(name) for name in flavours.FLAVOURS],
        order=0,
        m_z=91.1876,
        alphas_m_z=0.13,
        alphas_q=[1.3, 2.0, 5.0, 10.0],
        alphas=[0.4, 0.3, 0.25, 0.2],
    )
    writer.write(folder, "analytic", [[writer.subgrid(x, q, xf)]], settings)
    return write(folder, "lhapdf:analytic/0", "alphas_mz")


@pytest.mark.slow  # the composed functions take a while to compile
@pytest.mark.parametrize("make", [function, set_of_lhapdf])
def test_the_staged_gradient_is_that_of_the_composed_function(make, store, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    made = make(tmp_path)
    plan, _ = sweep(store, made, Request("backward", wrt=tuple(plan_wrt(made))))
    found = read_results(store, plan)
    objective = composed(made)
    value, gradient = jax.jit(jax.value_and_grad(objective))(values(made))
    assert found.objective == pytest.approx(float(value), rel=1e-13)  # rounding
    for name in plan_wrt(made):
        assert abs(float(gradient[name])) > 0.0
        np.testing.assert_allclose(found.gradient[name], gradient[name], rtol=1e-11)


def plan_wrt(made):
    """What the objective depends on: a set has no parameters of its own."""
    own = ["pdf.hardness"] if "pdf.hardness" in made.stages["pdf.density"].parameters else []
    return ["alphas_mz", "mc", *own]


@pytest.mark.slow  # whole runs
def test_kernels_are_computed_once(store, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    made = function(tmp_path)
    sweep(store, made)
    sweep(store, with_values(made, alphas_mz=0.12))
    steps = [step for step, _ in executions(store)]
    assert steps.count("pdf.kernels:primal") == 1
    assert steps.count("pdf:primal") == 2
    assert not any(step.startswith("pdf.kernels:pullback") for step in steps)


def test_a_changed_set_is_another_key(store, tmp_path):
    made = set_of_lhapdf(tmp_path)
    sweep(store, made, Request("forward"))
    member = tmp_path / "analytic" / "analytic_0000.dat"
    member.write_text(member.read_text().replace("e-01", "e-02", 1))
    _, executed = sweep(store, assemble(tmp_path / "pipeline.yaml"), Request("forward"))
    assert {stage for stage, _ in executed} == {"pdf.density", "pdf", "total"}


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("lhapdf:nowhere/0", "nowhere"),
        ("lhapdf:analytic/7", "member"),
        ("stages:missing", "missing"),
    ],
)
def test_a_density_that_is_not_there_is_refused(source, word, store, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    set_of_lhapdf(tmp_path)
    with pytest.raises(PipelineError, match=word):
        sweep(store, write(tmp_path, source), Request("forward"))


@pytest.mark.parametrize(
    ("options", "word"),
    [("order: N4LO", "order"), ("x_min: 2.0", "x_min"), ("nf: 9", "nf"), ("ordre: LO", "ordre")],
)
def test_wrong_options_name_the_stage(options, word, store, tmp_path):
    with pytest.raises(PipelineError, match=word) as refused:
        sweep(store, write(tmp_path, "les_houches_toy", options=options), Request("forward"))
    assert "pdf" in str(refused.value)
