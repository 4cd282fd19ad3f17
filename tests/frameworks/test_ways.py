"""What a pipeline file may say of how a stage is run and differentiated, and what is refused."""

# ruff: noqa: E501 (one case a line reads better)

import numpy as np
import pytest
from support import diffpipe, document, sweep

from diffpipe.cache.errors import DiffpipeError, PipelineError, StageError
from diffpipe.pipelines.core import environment
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.results import read_results

FILE = """
pipeline: chain
parameters: {k: 1.3, m: [0.2, 0.5], q: 1.1, spare: 1}
events: {uses: "source:rows", count: 50, shard: 20}
stages:
  before: {uses: "ends:before", over: events, inputs: {u: events.u}, parameters: [q]}
  middle: {uses: "middle:bend", framework: numpy, over: events, inputs: {v: before.v}, parameters: [k, m], outputs: {y: {}}}
  sums:   {uses: "ends:sums", over: events, inputs: {y: middle.y}, outputs: {s: {sum: true}}}
  after:  {uses: "ends:after", over: once, inputs: {s: sums.s}, parameters: [spare]}
objective: after.loss
"""
SOURCE = """
import numpy as np

def rows(start, stop, *, count, seed):
    u = (np.arange(start, stop) + 0.5) / count
    return {"u": u}
"""
ENDS = """
import jax.numpy as jnp

def before(parameters, inputs):
    u = inputs["u"] * parameters["q"]
    return {"v": jnp.stack([u, u**2], axis=1)}

def sums(parameters, inputs):
    return {"s": jnp.sum(inputs["y"] ** 2)}

def after(parameters, inputs):
    return {"loss": jnp.log(inputs["s"]) * parameters["spare"]}
"""
MIDDLE = """
import numpy as np

def bend(parameters, inputs):
    v = inputs["v"]
    return {"y": np.sin(parameters["k"] * v[:, 0]) + (v @ parameters["m"]) ** 2}

def vjp_bend(parameters, inputs, cotangents):
    v, w, k, m = inputs["v"], cotangents["y"], parameters["k"], parameters["m"]
    slope, line = np.cos(k * v[:, 0]), 2.0 * (v @ m)
    of_v = (w * line)[:, None] * m
    of_v[:, 0] += w * k * slope
    return {"k": np.sum(w * slope * v[:, 0]), "m": (w * line) @ v}, {"v": of_v}
"""


@pytest.fixture
def write(tmp_path):
    """Writes the pipeline, with words of its files replaced; gives its path."""

    def written(*replaced, middle=MIDDLE):
        text = FILE
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        for name, source in (("source", SOURCE), ("ends", ENDS), ("middle", middle)):
            (tmp_path / f"{name}.py").write_text(source)
        (tmp_path / "pipeline.yaml").write_text(text)
        return tmp_path / "pipeline.yaml"

    return written


def by_jax(q=1.1, k=1.3, m=(0.2, 0.5)):
    """The loss and its gradient, of the same maths in JAX over all events."""
    import jax
    import jax.numpy as jnp

    u = jnp.asarray((np.arange(50) + 0.5) / 50)

    def loss(q, k, m):
        v = jnp.stack([u * q, (u * q) ** 2], axis=1)
        y = jnp.sin(k * v[:, 0]) + (v @ m) ** 2
        return jnp.log(jnp.sum(y**2))

    return jax.value_and_grad(loss, (0, 1, 2))(q, k, jnp.array(m))


def gradient(store, path, **request):
    plan, _ = sweep(store, assemble(path), Request("backward", **request))
    return read_results(store, plan), plan


def test_a_vjp_by_hand_stands_in_a_chain_of_jax(store, write):
    results, _ = gradient(store, write())
    value, slopes = by_jax()
    assert results.objective == pytest.approx(float(value), rel=1e-14)
    for name, slope in zip("qkm", slopes, strict=True):
        np.testing.assert_allclose(results.gradient[name], slope, rtol=1e-12)  # as law 1


def test_finite_differences_are_right_to_the_error_that_they_estimate(store, write):
    path = write(("framework: numpy,", "framework: numpy, derivative: finite-difference,"))
    results, plan = gradient(store, path)
    _, slopes = by_jax()
    for name, slope in zip("qkm", slopes, strict=True):
        found = np.asarray(results.gradient[name])
        np.testing.assert_allclose(found, slope, rtol=1e-9)  # h^4 = 1e-12, and derivatives of sin
        if name != "q":
            assert (abs(found - np.asarray(slope)) <= np.asarray(results.errors[name])).all()
            assert np.max(results.errors[name]) < 1e-5 * np.max(abs(found))  # h^2 and its factor
    assert any("middle is differentiated by finite differences" in each for each in plan.remarks)


def test_the_step_of_a_finite_difference_can_be_said(store, write):
    said = "derivative: {by: finite-difference, step: {k: 0.5}}"
    rough, _ = gradient(store, write(("framework: numpy,", f"framework: numpy, {said},")))
    _, (_, slope, _) = by_jax()
    assert 1e-6 < abs(rough.gradient["k"] / slope - 1) < 1e-2  # a step of 0.5 is coarse
    assert rough.errors["k"] >= abs(rough.gradient["k"] - slope)


def test_a_stop_passes_nothing_and_says_so(store, write):
    path = write(("framework: numpy,", "framework: numpy, derivative: stop,"))
    results, plan = gradient(store, path)
    assert results.gradient["q"] == results.gradient["k"] == 0.0
    assert results.gradient["spare"] == pytest.approx(float(by_jax()[0]), rel=1e-14)
    assert (
        "stage middle stops derivatives: none passes through it, as if they were zero"
        in plan.remarks
    )


def test_without_a_derivative_a_gradient_is_refused_and_others_are_given(store, write):
    no_vjp = MIDDLE.replace("vjp_bend", "other")
    path = write(middle=no_vjp)
    with pytest.raises(
        PipelineError, match=r"stage middle has no derivative.* k, m, q pass"
    ) as said:
        gradient(store, path)
    assert "derivative: finite-difference" in said.value.hint
    assert gradient(store, path, wrt=["spare"])[0].gradient == {
        "spare": pytest.approx(float(by_jax()[0]))
    }


def test_a_declared_shape_that_is_mended_is_another_artefact(store, write):
    with pytest.raises(StageError, match=r"output y has shape \(20,\), declared \(20, 3\)"):
        gradient(store, write(("outputs: {y: {}}", "outputs: {y: {shape: [3]}}")))
    assert gradient(store, write())[0].gradient["k"]


REFUSED = [
    ("framework: numpy", "framework: nunpy", "unknown framework 'nunpy'", "did you mean numpy"),
    ("framework: numpy", "framework: {name: numpy, timeout: 1 s}", "numpy takes no settings, not 'timeout'", None),
    ("framework: numpy", "framework: {name: umbridge, files: [a]}", "umbridge takes timeout, retries, arguments", None),
    ("outputs: {y: {}}", "outputs: {}", "shapes cannot be found without running", "declare every output"),
    ("outputs: {y: {}}", "outputs: {y: {constant: true}}", "constant can be checked for stages of jax alone", "derivative: stop"),
    ("framework: numpy", "framework: numpy, checkpoint: residuals", "residuals can be stored for stages of jax alone", None),
    ("framework: numpy", "framework: numpy, derivative: magic", "Invalid enum value 'magic'", None),
    ("framework: numpy", "framework: numpy, derivative: {by: exact, step: {k: 1}}", "only finite differences have steps", None),
    ("framework: numpy", "framework: numpy, derivative: {by: finite-difference, step: {kk: 1}}", "unknown parameter or input 'kk'", "did you mean k"),
    ('uses: "middle:bend", framework: numpy', 'uses: "./bend", framework: command', "there is no program './bend'", "build it first"),
    ('uses: "middle:bend", framework: numpy', 'uses: "bend", framework: tesseract', "'bend' is no address", "http://"),
    ('uses: "middle:bend", framework: numpy', 'uses: "http://127.0.0.1:9", framework: {name: umbridge, arguments: [k]}', "are not the stage's parameters and inputs", "name each of them once: k, m, v"),
    ('uses: "middle:bend", framework: numpy', 'uses: ./middle.py, framework: command', "may not be executed", "chmod +x"),
    ('uses: "middle:bend", framework: numpy', 'uses: "http://127.0.0.1:9", framework: {name: umbridge, timeout: soon}', "'soon' is not a number with a unit", None),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message", "hint"), REFUSED)
def test_what_a_file_may_not_say_is_refused_with_its_place(write, old, new, message, hint):
    path = write((old, new))
    with pytest.raises(PipelineError) as said:
        assemble(path)
    assert message in said.value.message
    assert "pipeline.yaml, line" in said.value.message
    assert hint is None or hint in str(said.value.hint)


WRONG = [
    ('return {"y": ', 'return {"z": ', "output y is not given; given: z"),
    ("** 2}", "** 2, 'z': v}", "output z is given, and was not declared"),
    ("** 2}", "** 2 + 0j}", "output y is complex128, declared float64"),
    ("np.sin(parameters", "np.float32(1) * np.sin(parameters", None),
    ('return {"y": np.sin', 'return {"y": 0 * np.float32(v[:, 0])}\n    return {"y": np.sin', "output y is float32, declared float64"),
    ('return {"y": np.sin', 'v[0] = 1.0\n    return {"y": np.sin', "assignment destination is read-only"),
    ('return {"k": np.sum(w * slope * v[:, 0]), "m"', 'return {"m"', "its VJP gives nothing for 'k'"),
    ('return {"k": ', 'return {"k": np.ones(2) * ', "gradient.k has shape (2,), declared ()"),
    ('}, {"v": of_v}', ', "v": of_v}', "its VJP gives a dict"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_what_a_stage_gives_has_to_be_what_it_declares(store, write, old, new, message):
    assert old in MIDDLE
    path = write(middle=MIDDLE.replace(old, new))
    if message is None:  # a float32 among float64 numbers changes no dtype
        assert gradient(store, path)[0].gradient["k"]
        return
    with pytest.raises(DiffpipeError) as said:
        gradient(store, path)
    assert message in said.value.message
    assert said.value.stage == "middle"


def test_a_framework_that_is_not_installed_is_named_with_its_extra(store, write, monkeypatch):
    monkeypatch.setattr(
        environment,
        "_installed",
        lambda: dict.fromkeys(("jax", "jaxlib", "numpy", "scipy"), "1"),
    )
    with pytest.raises(
        PipelineError, match="middle is written for torch: torch is not installed"
    ) as said:
        make_plan(
            store, assemble(write(("framework: numpy", "framework: torch"))), Request("forward")
        )
    assert said.value.hint == "pip install 'diffpipe[torch]'"


def test_a_sum_of_many_events_is_not_differenced(store, write):
    path = write(
        ("framework: numpy,", "framework: numpy, derivative: finite-difference,"),
        ("outputs: {y: {}}", "outputs: {y: {sum: true}}"),
        (
            '  sums:   {uses: "ends:sums", over: events,',
            '  sums:   {uses: "ends:sums", over: once,',
        ),
        ("outputs: {s: {sum: true}}", "outputs: {}"),
    )
    with pytest.raises(PipelineError, match="finite differences of the sum y with respect to v"):
        gradient(store, path)


def test_steps_by_hand_and_in_jax_give_the_numbers_of_the_founding_example(tmp_path):
    done = diffpipe("run", "backward", "distributed_gradients_numpy", "--json", store=tmp_path)
    assert done.returncode == 0, done.stderr
    found = document(done)
    assert found["objective"]["value"] == 36.0
    assert found["gradient"] == {"a": 24.0, "b": 60.0}
