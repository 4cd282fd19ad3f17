"""Stages that UM-Bridge and Tesseract serve: exact gradients, adjoints, and servers that fail."""

import contextlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from servers import SERVERS, free_port, serving
from support import needs, sweep, with_values

from diffpipe.cache.errors import NonFiniteError, PipelineError, StageError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.core.targets import Service
from diffpipe.pipelines.frameworks import tesseract, umbridge
from diffpipe.pipelines.frameworks.base import Abstract, Pull, Push
from diffpipe.pipelines.frameworks.http import Client
from diffpipe.pipelines.frameworks.registry import framework

STAGES = """
import jax.numpy as jnp

def before(parameters, inputs):
    a = parameters["a"]
    return {"x": jnp.stack([jnp.sin(a), jnp.cos(a), a * a])}

def after(parameters, inputs):
    return {"value": jnp.sum(jnp.exp(inputs["y"])) * inputs["s"]}
"""
FILE = """
pipeline: remote
parameters: {{a: 0.7, k: 1.3}}
stages:
  before: {{uses: "stages:before", over: once, parameters: [a]}}
  solver:
    uses: "{address}"
    framework: {{name: {name}, arguments: {arguments}, timeout: {more}}}
    over: once
    inputs: {{x: before.x}}
    parameters: {{stiffness: k}}
    options: {{power: 3}}
    outputs: {outputs}
    derivative: {derivative}
  after: {{uses: "stages:after", over: once, inputs: {{y: solver.y, s: solver.s}}}}
objective: after.value
"""
OUTPUTS = "{y: {shape: [3]}, s: {}}"
ARGUMENTS = {"umbridge": "[stiffness, x]", "tesseract": "{x: x, stiffness: k}"}
# y = k x^power, s = k^2 sum(x)
UMBRIDGE = """
import sys
from functools import partial

import aiohttp.web as web
import numpy as np
import umbridge

web.run_app = partial(web.run_app, host="127.0.0.1", print=None)  # it listens everywhere else


class Solver(umbridge.Model):
    supports_evaluate = supports_gradient = supports_apply_jacobian = lambda self: True
    get_input_sizes = lambda self, config: [1, 3]
    get_output_sizes = lambda self, config: [3, 1]

    def __call__(self, parameters, config):
        (k,), x = parameters
        return [(k * np.power(x, config["power"])).tolist(), [k * k * sum(x)]]

    def jacobian(self, out, into, parameters, config):
        (k,), x = parameters
        power = config["power"]
        slopes = [
            [np.power(x, power)[:, None], np.diag(k * power * np.power(x, power - 1))],
            [np.array([[2 * k * sum(x)]]), np.full((1, 3), k * k)],
        ]
        return slopes[out][into]

    def gradient(self, out, into, parameters, sens, config):
        return (self.jacobian(out, into, parameters, config).T @ sens).tolist()

    def apply_jacobian(self, out, into, parameters, vec, config):
        return (self.jacobian(out, into, parameters, config) @ vec).tolist()


class Forward(umbridge.Model):
    supports_evaluate = lambda self: True
    get_input_sizes, get_output_sizes = Solver.get_input_sizes, Solver.get_output_sizes
    __call__ = Solver.__call__


umbridge.serve_models([Solver("forward"), Forward("blunt")], int(sys.argv[1]))
"""
TESSERACT = """
import numpy as np
from pydantic import BaseModel
from tesseract_core.runtime import Array, Differentiable, Float64, ShapeDType


class InputSchema(BaseModel):
    x: Differentiable[Array[(None,), Float64]]
    k: Differentiable[Float64]
    power: int = 2


class OutputSchema(BaseModel):
    y: Differentiable[Array[(None,), Float64]]
    s: Differentiable[Float64]


def apply(inputs):
    k, x = inputs.k, inputs.x
    return OutputSchema(y=k * x**inputs.power, s=k * k * np.sum(x))


def vector_jacobian_product(inputs, vjp_inputs, vjp_outputs, cotangent_vector):
    k, x, power = inputs.k, inputs.x, inputs.power
    w = cotangent_vector.get("y", np.zeros(x.shape))
    v = cotangent_vector.get("s", np.float64(0.0))
    pulled = {
        "x": k * power * x ** (power - 1) * w + k * k * v,
        "k": np.sum(w * x**power) + 2 * k * np.sum(x) * v,
    }
    return {name: pulled[name] for name in vjp_inputs}


def jacobian_vector_product(inputs, jvp_inputs, jvp_outputs, tangent_vector):
    k, x, power = inputs.k, inputs.x, inputs.power
    dx = tangent_vector.get("x", np.zeros(x.shape))
    dk = tangent_vector.get("k", np.float64(0.0))
    pushed = {
        "y": dk * x**power + k * power * x ** (power - 1) * dx,
        "s": 2 * k * np.sum(x) * dk + k * k * np.sum(dx),
    }
    return {name: pushed[name] for name in jvp_outputs}


def abstract_eval(abstract_inputs):
    there = ShapeDType(shape=abstract_inputs.x.shape, dtype="float64")
    return {"y": there, "s": ShapeDType(shape=(), dtype="float64")}
"""
PROTOCOLS = {"umbridge": umbridge.PROTOCOL, "tesseract": tesseract.PROTOCOL}
Vectors = dict[str, list[list[float]]]


ONLY_UMBRIDGE = [pytest.param("umbridge", marks=needs("umbridge"))]


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=needs(package)) for name, package in SERVERS.items()],
)
def remote(request, tmp_path_factory):
    """The name of a framework and the address of a server from its own package."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    (folder / "umbridge_server.py").write_text(UMBRIDGE)
    (folder / "tesseract_api.py").write_text(TESSERACT)
    with serving(name, folder) as address:
        yield name, address


def written(folder, name, address, arguments=None, more="20 s", **words):
    """The pipeline with a stage at an address; more: its timeout, and what is said after it."""
    words = {"outputs": OUTPUTS, "derivative": "exact"} | words
    words |= {"arguments": arguments or ARGUMENTS[name], "more": more}
    (folder / "stages.py").write_text(STAGES)
    (folder / "pipeline.yaml").write_text(FILE.format(name=name, address=address, **words))
    return assemble(folder / "pipeline.yaml")


def call_of(made, folder):
    """The call of the stage that is served."""
    store = Store.open(folder / "calls")
    return make_plan(store, made, Request("forward")).step("solver:primal").call


def composed(parameters):
    a, k = parameters["a"], parameters["k"]
    x = jnp.stack([jnp.sin(a), jnp.cos(a), a * a])
    return jnp.sum(jnp.exp(k * x**3)) * k * k * jnp.sum(x)


def test_law_1_the_gradient_through_a_server_is_that_of_the_composed_function(
    remote, store, tmp_path
):
    made = written(tmp_path, *remote)
    plan, executed = sweep(store, made)
    found = read_results(store, plan)
    point = {"a": jnp.asarray(0.7), "k": jnp.asarray(1.3)}
    value, gradient = jax.value_and_grad(composed)(point)
    # law 1, of one shard: rounding of a dozen operations
    assert found.objective == pytest.approx(float(value), rel=1e-12)
    for name, slope in gradient.items():
        assert found.gradient[name] == pytest.approx(float(slope), rel=1e-12)
    assert executed["solver", "primal"] == executed["solver", "pullback"] == 1
    assert sweep(store, made)[1].total() == 0
    moved = with_values(made, k=1.4)
    assert sweep(store, moved)[1]["before", "primal"] == 0


EVENTS = """
pipeline: events
parameters: {{k: 1.3, shift: 0.4}}
events: {{uses: "stages:grid", count: {count}, shard: 3}}
stages:
  move:   {{uses: "stages:move", over: events, inputs: {{t: events.t}}, parameters: [shift]}}
  solver:
    uses: "{address}"
    framework: {{name: {name}, arguments: {arguments}}}
    over: events
    inputs: {{x: move.x}}
    parameters: {{stiffness: k}}
    options: {{power: 3}}
    outputs: {{y: {{}}, s: {{sum: true}}}}
  total:
    uses: "stages:total"
    over: events
    inputs: {{y: solver.y}}
    outputs: {{y: {{sum: true}}}}
  after:  {{uses: "stages:product", over: once, inputs: {{y: total.y, s: solver.s}}}}
objective: after.value
"""
GRID = """
import jax.numpy as jnp
import numpy as np

def grid(start, stop, *, count, seed):
    return {"t": np.arange(start, stop) / count}

def move(parameters, inputs):
    return {"x": jnp.sin(inputs["t"] + parameters["shift"])}

def total(parameters, inputs):
    return {"y": jnp.sum(inputs["y"])}

def product(parameters, inputs):
    return {"value": inputs["y"] * inputs["s"]}
"""


def over_events(folder, name, address, count):
    words = {"name": name, "address": address, "arguments": ARGUMENTS[name], "count": count}
    (folder / "stages.py").write_text(GRID)
    (folder / "pipeline.yaml").write_text(EVENTS.format(**words))
    return assemble(folder / "pipeline.yaml")


def test_a_server_is_asked_shard_by_shard(remote, store, tmp_path):
    count = {"umbridge": 6, "tesseract": 7}[remote[0]]  # vectors of UM-Bridge have fixed sizes
    plan, executed = sweep(store, over_events(tmp_path, *remote, count))
    found, t = read_results(store, plan), np.arange(count) / count

    def objective(k, shift):
        x = jnp.sin(jnp.asarray(t) + shift)
        return jnp.sum(k * x**3) * k * k * jnp.sum(x)

    slopes = jax.grad(objective, (0, 1))(1.3, 0.4)
    for name, slope in zip(("k", "shift"), slopes, strict=True):
        assert found.gradient[name] == pytest.approx(float(slope), rel=1e-12)  # law 1
    assert executed["solver", "pullback"] == -(-count // 3)


@pytest.mark.parametrize("remote", ONLY_UMBRIDGE, indirect=True)
def test_a_short_last_shard_does_not_fit_a_vector_of_fixed_size(remote, store, tmp_path):
    with pytest.raises(PipelineError, match="input x has 1 values, that of the model 3"):
        sweep(store, over_events(tmp_path, *remote, 7))


def test_the_pullback_is_the_adjoint_of_the_pushforward(remote, tmp_path):
    call, served = call_of(written(tmp_path, *remote), tmp_path), framework(remote[0])
    random = np.random.default_rng(3)
    x, w = random.normal(size=3), {"y": random.normal(size=3), "s": random.normal()}
    given, inputs = {"stiffness": np.array(1.3)}, {"x": x}
    pull = Pull(("y", "s"), ("x",), ("stiffness",))
    pulled = served.pullback(call, pull, given, inputs, w)
    tangents = {"x": random.normal(size=(2, 3))}
    push = Push(2, ("y", "s"), ("stiffness",), (("x", (0, 1)),), frozenset(), frozenset())
    moving = {"stiffness": np.array([1.0, 0.0])}, tangents
    pushed = served.pushforward(call, push, given, inputs, moving)
    for k in range(2):
        there = np.sum(w["y"] * pushed["tangent.y"][k]) + w["s"] * pushed["tangent.s"][k]
        back = np.sum(pulled["cotangent.x"] * tangents["x"][k])
        back += pulled["gradient.stiffness"] * (k == 0)
        assert there == pytest.approx(back, rel=1e-12)  # rounding of twenty terms


def test_sizes_of_other_arrays_are_refused_at_the_join(remote, store, tmp_path):
    made = written(tmp_path, *remote, outputs="{y: {shape: [4]}, s: {}}")
    with pytest.raises(PipelineError, match=r"stage solver: output y .*4.*3") as refused:
        sweep(store, made)
    assert refused.value.stage == "solver"
    given = {"stiffness": Abstract((), "float64")}, {"x": Abstract((2,), "float32")}
    call = call_of(written(tmp_path, *remote), tmp_path)
    with pytest.raises(PipelineError, match=r"x.*float32"):
        framework(remote[0]).describe(call, 1, *given)


@pytest.mark.parametrize("remote", ONLY_UMBRIDGE, indirect=True)
def test_a_derivative_that_a_server_does_not_have_is_refused_with_what_to_write(remote, tmp_path):
    name, address = remote
    made = written(tmp_path, name, address, more="20 s, model: blunt")
    call, given = call_of(made, tmp_path), ({"stiffness": 1.3}, {"x": np.ones(3)})
    pull = Pull(("y",), ("x",), ())
    with pytest.raises(PipelineError, match=r"stage solver.*does not have /Gradient") as refused:
        framework(name).pullback(call, pull, *given, {"y": np.ones(3)})
    assert "derivative: finite-difference" in refused.value.hint
    push = Push(1, ("y",), ("stiffness",), (), frozenset(), frozenset())
    with pytest.raises(PipelineError, match="does not have /ApplyJacobian") as refused:
        framework(name).pushforward(call, push, *given, ({"stiffness": np.ones(1)}, {}))
    assert "jvp: false" in refused.value.hint


@pytest.mark.parametrize("remote", ONLY_UMBRIDGE, indirect=True)
def test_a_model_without_derivatives_is_differentiated_by_differences(remote, store, tmp_path):
    words = {"more": "20 s, model: blunt", "derivative": "finite-difference"}
    plan, _ = sweep(store, written(tmp_path, *remote, **words))
    found = read_results(store, plan).gradient
    for name, slope in jax.grad(composed)({"a": jnp.asarray(0.7), "k": jnp.asarray(1.3)}).items():
        # of polynomials of third order what is left is rounding, 1e-16 over a step of 1e-3
        assert found[name] == pytest.approx(float(slope), rel=1e-11)


def test_another_version_or_model_than_the_one_meant_is_refused(remote, tmp_path):
    name, address = remote
    what = {"umbridge": "model: forwards", "tesseract": 'version: "1.3"'}[name]
    call = call_of(written(tmp_path, name, address, more=f"20 s, {what}"), tmp_path)
    given = {"stiffness": Abstract((), "float64")}, {"x": Abstract((3,), "float64")}
    words = {"umbridge": "no model 'forwards'", "tesseract": r"version '1\.2', not '1\.3'"}[name]
    with pytest.raises(PipelineError, match=words):
        framework(name).describe(call, 1, *given)


def test_the_order_of_vectors_and_the_version_stand_in_the_key(tmp_path):
    changes = (
        {},
        {"more": "20 s, version: new"},
        {"address": "http://there:4242"},
        {"arguments": "[x, stiffness]"},
        {"outputs": "{s: {}, y: {shape: [3]}}"},
    )
    files = (written(tmp_path, "umbridge", **{"address": "http://here:1", **c}) for c in changes)
    keys = {Identity(made, Environment.current()).primals["solver"] for made in files}
    assert len(keys) == len(changes)


@contextlib.contextmanager
def answering(*answers):
    """A server that gives these (status, bytes), one after the other, the last for ever.

    An answer that is a number is that many seconds of silence. Gives the address, and a list that
    has the path of every question.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self):
            asked.append(self.path)
            answer = answers[min(len(asked), len(answers)) - 1]
            if isinstance(answer, float):
                time.sleep(answer)
                return
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def client(address, name="umbridge", seconds=5.0, retries=1):
    service = Service(address, "forward", {"x": "x"}, seconds=seconds, retries=retries)
    return Client("solver", service, PROTOCOLS[name])


def test_a_server_that_is_down_is_named_with_its_address():
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StageError, match=rf"stage solver: {address} cannot be asked") as down:
        client(address).ask("/Info", dict)
    assert "start the service" in down.value.hint


def test_a_server_that_is_slow_is_named_with_how_to_wait_longer():
    with answering(1.0) as (address, asked):
        with pytest.raises(StageError, match=r"did not answer /Info within 0\.1 s") as slow:
            client(address, seconds=0.1, retries=3).ask("/Info", dict)
        assert "timeout: 30 min" in slow.value.hint
        assert asked == ["/Info"]  # it may still be at work on the first question


def test_a_server_that_fails_or_hangs_up_is_asked_again():
    right = (200, b'{"a": 1.5}')
    for first in ((500, b"Internal Server Error"), 0.0):
        with answering(first, right) as (address, asked):
            assert client(address).ask("/x", dict[str, float], {}) == {"a": 1.5}
            assert len(asked) == 2
    with answering((500, b"no room")) as (address, asked):
        with pytest.raises(StageError, match="status 500: no room"):
            client(address, retries=2).ask("/x", dict, {})
        assert len(asked) == 3


def test_nonsense_is_shown_and_not_believed():
    page = b"<html> nan " + 1000 * b"hello "
    with answering((200, page)) as (address, _), pytest.raises(StageError) as refused:
        client(address).ask("/Evaluate", dict, {})
    assert "answers /Evaluate with nonsense" in refused.value.message
    assert "<html> nan hello" in refused.value.message
    assert len(refused.value.message) < 400
    with (
        answering((200, b'{"output": [[1.0], "two"]}')) as (address, _),
        pytest.raises(StageError, match=r"Expected `array`.*\[1\]"),
    ):
        client(address).ask("/Evaluate", Vectors, {})


@pytest.mark.parametrize("number", ["nan", "NaN", "-Infinity"])
def test_a_reply_of_nan_or_inf_is_a_refusal(number):
    with answering((200, f'{{"output": [[1.0, {number}]]}}'.encode())) as (address, asked):
        with pytest.raises(NonFiniteError, match=r"stage solver.*/Evaluate with NaN or Inf"):
            client(address).ask("/Evaluate", Vectors, {})
        assert len(asked) == 1


def test_nan_is_not_sent_where_json_has_no_word_for_it(tmp_path):
    with answering((200, b"{}")) as (address, asked):
        call = call_of(written(tmp_path, "umbridge", address), tmp_path)
        given = {"stiffness": np.float64(1.3)}, {"x": np.array([1.0, np.nan, 2.0])}
        with pytest.raises(NonFiniteError, match="stage solver: x is nan at 1"):
            framework("umbridge").forward(call, *given)
        assert asked == []


REFUSALS = {
    "umbridge": (400, {"error": {"type": "InvalidInput", "message": "too hot"}}, "too hot"),
    "umbridge, at work": (500, {"error": {"type": "Solver", "message": "diverged"}}, "diverged"),
    "tesseract": (422, {"detail": [{"loc": ["inputs", "x"], "msg": "absent"}]}, "inputs.x: absent"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_an_error_in_the_words_of_the_protocol_is_told_and_not_asked_again(case):
    status, document, words = REFUSALS[case]
    with answering((status, json.dumps(document).encode())) as (address, asked):
        with pytest.raises(StageError, match=f"refuses /x: .*{words}"):
            client(address, case.partition(",")[0]).ask("/x", dict, {})
        assert len(asked) == 1


def test_a_tesseract_without_a_vjp_is_refused_with_what_to_write():
    with answering((404, b'{"detail": "Not Found"}')) as (address, _):
        with pytest.raises(PipelineError, match="does not have /vector_jac") as refused:
            client(address, "tesseract").ask("/vector_jacobian_product", dict, {})
        assert "derivative: finite-difference" in refused.value.hint


def test_arrays_of_a_tesseract_are_read_in_json_too_and_float32_is_not_taken(store, tmp_path):
    def array(dtype, buffer):
        shape = [3] if isinstance(buffer, list) else []
        return {"shape": shape, "dtype": dtype, "data": {"buffer": buffer, "encoding": "json"}}

    there = (200, b'{"info": {"version": "1"}, "paths": {}}')
    for dtype, first, error, words in (
        ("float64", 1.0, None, ""),
        ("float32", 1.0, StageError, "y is float32, declared float64"),
        ("float64", None, NonFiniteError, "stage solver.* y"),
        ("complex", 1.0, StageError, "y is complex128, declared float64"),
        ("object", 1.0, StageError, "gives y as no array: object is no dtype of numbers"),
    ):
        reply = {"y": array(dtype, [first, 2.0, 3.0]), "s": array("float64", 0.5)}
        with answering(there, (200, json.dumps(reply).encode())) as (address, _):
            made = written(tmp_path, "tesseract", address)
            expected = pytest.raises(error, match=words) if error else contextlib.nullcontext()
            with expected:
                sweep(store, made, Request("forward"))
