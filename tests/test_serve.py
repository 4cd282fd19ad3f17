"""A served pipeline: what UM-Bridge and Tesseract ask for, wrong questions, a clean end."""

import base64
import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from threading import Thread

import jax
import numpy as np
import psutil
import pytest
from support import (
    CASES,
    Request,
    composed,
    diffpipe,
    document,
    pipeline,
    sweep,
    values,
    with_values,
)

from diffpipe.cache.store import Store
from diffpipe.cli.fit_progress import Quiet
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.results import read_results
from diffpipe.rules.drive import Finished
from diffpipe.rules.fit.sweeps import Sweeps
from diffpipe.rules.here import Here
from diffpipe.rules.serve.component import Component, served
from diffpipe.rules.serve.server import Question, answer
from diffpipe.rules.serve.tesseract import Tesseract
from diffpipe.rules.serve.umbridge import Umbridge

LINE = CASES / "line" / "pipeline.yaml"
AT = {"height": 1.2, "slope": 0.4}
PLACES = ("Evaluate", "Gradient", "ApplyJacobian", "ApplyHessian", "ModelInfo")


@contextlib.contextmanager
def serving(*options, store):
    """`diffpipe serve` as a process, and the address that it says."""
    command = [sys.executable, "-m", "diffpipe.cli.app", "serve", str(LINE), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--cores", "1", "--store", str(store), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline()
        assert " is served at http://127.0.0.1:" in said, process.stderr.read()
        yield process, said.split()[4]
    finally:
        process.send_signal(signal.SIGTERM)
        said, told = process.communicate(timeout=20)
        assert "Traceback" not in told


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The store of both servers."""
    return tmp_path_factory.mktemp("serve") / "store"


@pytest.fixture(scope="module")
def model(folder):
    with serving("--protocol", "umbridge", store=folder) as (_, address):
        yield address


@pytest.fixture(scope="module")
def tesseract(folder):
    with serving("--protocol", "tesseract", "--set", "bend=0.1", store=folder) as (_, address):
        yield address


@pytest.fixture(scope="module")
def expected():
    """The objective and its gradient where the servers are asked, by JAX, of the whole function."""
    made = with_values(assemble(LINE), **AT)
    objective, gradient = jax.value_and_grad(composed(made))(values(made))
    return float(objective), {name: float(gradient[name]) for name in AT}


def ask(address, place, question=None, accept="application/json"):
    """The status and the document of an answer."""
    body = question if isinstance(question, bytes | None) else json.dumps(question).encode()
    headers = {"Content-Type": "application/json", "Accept": accept}
    asked = urllib.request.Request(f"{address}/{place}", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=100) as found:
            return found.status, json.load(found)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def about(**more):
    """A question to the model at the point of these tests."""
    return {"name": "line", "input": [[each] for each in AT.values()], **more}


def test_um_bridge_gets_what_it_asks_of_a_model(model, expected, folder):
    assert ask(model, "Info") == (200, {"protocolVersion": 1.0, "models": ["line"]})
    support = {"Evaluate": True, "Gradient": True, "ApplyJacobian": True, "ApplyHessian": False}
    assert ask(model, "ModelInfo", {"name": "line"}) == (200, {"support": support})
    assert ask(model, "InputSizes", {"name": "line"}) == (200, {"inputSizes": [1, 1]})
    assert ask(model, "OutputSizes", {"name": "line"}) == (200, {"outputSizes": [1]})
    objective, gradient = expected
    status, found = ask(model, "Evaluate", about(config={}))
    assert status == 200
    assert found["output"] == [[pytest.approx(objective, rel=1e-12)]]  # law 1: rounding
    for place, name in enumerate(AT):
        asked = about(outWrt=0, inWrt=place, sens=[-2.0])
        slope = -2.0 * gradient[name]
        found = ask(model, "Gradient", asked)[1]["output"]
        assert found == [pytest.approx(slope, rel=1e-12)]  # law 1
        pushed = ask(model, "ApplyJacobian", asked | {"vec": [-2.0]})[1]["output"]
        assert pushed == pytest.approx(found, rel=1e-15)  # the same product
    point = [text for name, value in AT.items() for text in ("--set", f"{name}={value}")]
    again = document(diffpipe("run", "backward", str(LINE), *point, "--json", store=folder))
    for name, place in zip(AT, (0, 1), strict=True):
        asked = about(outWrt=0, inWrt=place, sens=[1.0])
        assert ask(model, "Gradient", asked)[1]["output"] == [again["gradient"][name]]


@pytest.mark.parametrize("place", PLACES)
def test_um_bridge_another_model_is_not_found(model, place):
    status, found = ask(model, place, {"name": "lime"})
    assert (status, found["error"]["type"]) == (400, "ModelNotFound")


WRONG = {
    "no such input": ("Gradient", {"inWrt": 2, "outWrt": 0, "sens": [1.0]}, "inWrt is 2"),
    "negative input": ("Gradient", {"inWrt": -1, "outWrt": 0, "sens": [1.0]}, "inWrt is -1"),
    "no such output": ("Gradient", {"inWrt": 0, "outWrt": 1, "sens": [1.0]}, "outWrt is 1"),
    "long sens": ("Gradient", {"inWrt": 0, "outWrt": 0, "sens": [1.0, 2.0]}, "sens has 1"),
    "long vec": ("ApplyJacobian", {"inWrt": 0, "outWrt": 0, "vec": [1.0, 2.0]}, "vec has 1"),
    "no sens": ("Gradient", {"inWrt": 0, "outWrt": 0}, "sens"),
    "too few inputs": ("Evaluate", {"input": [[1.0]]}, "2 input vectors, not 1"),
    "long input": ("Evaluate", {"input": [[1.0], [1.0, 2.0]]}, "slope has 1 components, not 2"),
    "text": ("Evaluate", {"input": [["1.0"], [1.0]]}, "Expected `float`"),
    "a config": ("Evaluate", {"config": {"fidelity": 2}}, "fidelity"),
}


@pytest.mark.parametrize("case", WRONG)
def test_um_bridge_wrong_input_is_told_in_its_words(model, case):
    place, more, words = WRONG[case]
    status, found = ask(model, place, about(**more))
    assert (status, found["error"]["type"]) == (400, "InvalidInput")
    assert words in found["error"]["message"]


def test_um_bridge_what_is_not_there_or_cannot_be_read_is_told(model):
    assert ask(model, "ApplyHessian", about())[1]["error"]["type"] == "UnsupportedFeature"
    assert ask(model, "EvaluateShMem", about())[0] == 404
    assert ask(model, "Evaluate")[0] == 404  # a GET
    for body in (b"", b"{", b"[]", b'{"name": "line", "input": [[NaN], [1.0]]}'):
        status, found = ask(model, "Evaluate", body)
        assert (status, found["error"]["type"]) == (400, "InvalidInput")


def test_a_question_without_a_length_or_with_too_much_of_it_is_not_read(model):
    for header, said in (("Content-Length", "99999999999"), ("Transfer-Encoding", "chunked")):
        connection = http.client.HTTPConnection(model.removeprefix("http://"), timeout=20)
        connection.putrequest("POST", "/Evaluate")
        connection.putheader(header, said)
        connection.endheaders()
        assert connection.getresponse().status == 411
        connection.close()


def test_a_stage_that_fails_is_an_answer_and_the_server_goes_on(model, expected):
    status, found = ask(model, "Evaluate", about(input=[[1e308], [1e308]]))
    assert status == 500
    assert "stage count" in found["error"]["message"]
    assert "Traceback" not in found["error"]["message"]
    assert ask(model, "Evaluate", about())[1]["output"][0][0] == pytest.approx(expected[0])
    assert ask(model, "Evaluate", about(input=[[1.3], [0.4]]))[0] == 200


def test_questions_at_the_same_time_are_answered_one_after_the_other(model):
    heights, found = [1.0, 1.1, 1.2, 1.3], {}

    def evaluate(height):
        found[height] = ask(model, "Evaluate", about(input=[[height], [0.4]]))

    threads = [Thread(target=evaluate, args=(height,)) for height in heights]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    outputs = [found[height][1]["output"][0][0] for height in heights]
    bends = np.diff(outputs, 3)  # chi^2 is a parabola in the height
    assert abs(bends).max() < 1e-12 * max(outputs) * 8  # rounding of eight terms


@pytest.mark.extras
def test_the_client_of_um_bridge_takes_it_as_a_model(model, expected):
    umbridge = pytest.importorskip("umbridge")
    there, point = umbridge.HTTPModel(model, "line"), [[each] for each in AT.values()]
    objective, gradient = expected
    assert there(point)[0][0] == pytest.approx(objective, rel=1e-12)  # law 1
    slope = there.gradient(0, 1, point, [1.0])
    assert slope == [pytest.approx(gradient["slope"], rel=1e-12)]
    assert there.apply_jacobian(0, 1, point, [1.0]) == slope
    with pytest.raises(Exception, match="InvalidInput"):
        there([[1.0]])


def number(found):
    return np.frombuffer(base64.b64decode(found["data"]["buffer"]), found["dtype"]).item()


def test_a_tesseract_is_asked_in_json_or_in_base64(tesseract, expected):
    objective, gradient = expected
    assert ask(tesseract, "health") == (200, {"status": "ok"})
    status, found = ask(tesseract, "apply", {"inputs": AT})
    assert status == 200
    assert found["chi2"]["data"]["buffer"] == pytest.approx(objective, rel=1e-12)  # law 1
    names = {"vjp_inputs": ["slope", "height"], "vjp_outputs": ["chi2"]}
    asked = {"inputs": AT, **names, "cotangent_vector": {"chi2": 3.0}}
    status, found = ask(tesseract, "vector_jacobian_product", asked, "application/json+base64")
    for name, slope in gradient.items():
        assert number(found[name]) == pytest.approx(3.0 * slope, rel=1e-12)
    names = {"jvp_inputs": ["slope", "height"], "jvp_outputs": ["chi2"]}
    asked = {"inputs": AT, **names, "tangent_vector": {"slope": 2.0, "height": 1.0}}
    pushed = ask(tesseract, "jacobian_vector_product", asked)[1]["chi2"]["data"]["buffer"]
    assert pushed == pytest.approx(2.0 * gradient["slope"] + gradient["height"], rel=1e-12)
    shapes = {"inputs": dict.fromkeys(AT, SHAPE)}
    assert ask(tesseract, "abstract_eval", shapes) == (200, {"chi2": SHAPE})


SHAPE, NAN = {"shape": [], "dtype": "float64"}, {"encoding": "base64", "buffer": "AAAAAAAA+H8="}
REFUSED = {
    "unknown input": ("apply", {"inputs": {"hight": 1.0}}, "did you mean height"),
    "wrong shape": ("apply", {"inputs": {"height": [1.0, 2.0]}}, "has shape (2,)"),
    "text": ("apply", {"inputs": {"height": "high"}}, "is no array"),
    "unknown field": ("apply", {"inputs": {}, "output": []}, "output"),
    "no inputs": ("apply", {}, "inputs"),
    "no dtype": ("apply", {"inputs": {"height": {"shape": []}}}, "dtype"),
    "nan": ("apply", {"inputs": {"height": {**SHAPE, "data": NAN}}}, "not real and finite"),
    "unknown output": (
        "vector_jacobian_product",
        {"inputs": {}, "vjp_inputs": ["slope"], "vjp_outputs": ["chi"], "cotangent_vector": {}},
        "did you mean chi2",
    ),
    "abstract shape": ("abstract_eval", {"inputs": {"slope": {**SHAPE, "shape": [3]}}}, "(3,)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_tesseract_tells_what_is_wrong_and_where(tesseract, case):
    place, question, words = REFUSED[case]
    status, found = ask(tesseract, place, question)
    assert status == 422
    assert words in found["detail"][0]["msg"]
    assert found["detail"][0]["loc"][0] == "body"


def test_a_tesseract_answers_in_no_encoding_that_it_does_not_know(tesseract):
    accept = "application/json+binref"
    assert ask(tesseract, "apply", {"inputs": {}}, accept)[0] == 406
    assert ask(tesseract, "apply", {"inputs": AT}, f"{accept}, */*;q=0.5")[0] == 200
    assert ask(tesseract, "apply", b"{")[0] == 400
    assert ask(tesseract, "appply", {})[0] == 404


@pytest.mark.extras
def test_the_client_of_tesseract_takes_it_as_one_of_its_own(tesseract, expected):
    core = pytest.importorskip("tesseract_core")
    there, (objective, gradient) = core.Tesseract.from_url(tesseract), expected
    inputs = {name: np.array(each) for name, each in AT.items()}
    assert there.apply(inputs)["chi2"] == pytest.approx(objective, rel=1e-12)  # law 1
    one = {"chi2": np.array(1.0)}
    pulled = there.vector_jacobian_product(inputs, ["slope"], ["chi2"], one)
    assert pulled["slope"] == pytest.approx(gradient["slope"], rel=1e-12)
    tangent = {"slope": np.array(1.0)}
    pushed = there.jacobian_vector_product(inputs, ["slope"], ["chi2"], tangent)
    assert pushed["chi2"] == pytest.approx(pulled["slope"], rel=1e-15)
    assert there.jacobian(inputs, ["slope"], ["chi2"])["chi2"]["slope"] == pulled["slope"]
    assert there.abstract_eval({"height": SHAPE}) == {"chi2": SHAPE}
    with pytest.raises(ValueError, match="did you mean height"):
        there.apply({"hight": np.array(1.0)})


class InProcess(Sweeps):
    """Sweeps in this process, task by task."""

    def run(self, made, request):
        plan, executed = sweep(self.store, made, request)
        return Finished(plan, read_results(self.store, plan), executed, {}, 0.0)


def test_arrays_are_vectors_of_um_bridge_and_arrays_of_a_tesseract(store):
    made = pipeline("blocks")
    sweeps = InProcess(store, made, Request("backward"), Here(1), Quiet())
    component = Component(sweeps, served(made, None))
    Thread(target=component.work, daemon=True).start()
    gradient = jax.grad(composed(made))(values(made))
    point = [np.ravel(each.value).tolist() for each in made.parameters.values()]
    assert any(len(each) > 1 for each in point)
    there, seven = Umbridge(component), {"outWrt": 0, "sens": [7.0], "name": made.name}
    assert answered(there, "POST /InputSizes", seven)["inputSizes"] == [len(x) for x in point]
    inputs = {name: each.value for name, each in made.parameters.items()}
    asked = {"inputs": inputs, "vjp_inputs": list(inputs), "vjp_outputs": [component.output]}
    asked |= {"cotangent_vector": {component.output: 7.0}}
    pulled = answered(Tesseract(component), "POST /vector_jacobian_product", asked)
    for place, name in enumerate(inputs):
        found = answered(there, "POST /Gradient", seven | {"inWrt": place, "input": point})
        # law 1: rounding of sums over a few shards
        np.testing.assert_allclose(found["output"], 7.0 * np.ravel(gradient[name]), rtol=1e-12)
        np.testing.assert_allclose(pulled[name].data.buffer, 7.0 * gradient[name], rtol=1e-12)


def answered(interface, place, document):
    status, found = answer(interface, place, Question(json.dumps(document).encode(), "*/*"))
    assert status == 200, found
    return found


OUTER = """
pipeline: outer
parameters: {{tilt: 0.2}}
stages:
  aim: {{uses: "stages:aim", over: once, parameters: [tilt]}}
  fit:
    uses: "{address}"
    framework: {{name: {name}, arguments: {arguments}{more}}}
    over: once
    inputs: {{height: aim.height, slope: aim.slope}}
    outputs: {{chi2: {{}}}}
objective: fit.chi2
"""
AIM = """
def aim(parameters, inputs):
    return {"height": 1.0 + parameters["tilt"], "slope": 2.0 * parameters["tilt"]}
"""


@pytest.mark.parametrize("name", ["umbridge", "tesseract"])
def test_a_pipeline_that_is_served_is_a_stage_of_another(request, name, expected, tmp_path):
    address = request.getfixturevalue({"umbridge": "model"}.get(name, name))
    words = {"umbridge": ("[height, slope]", ", model: line"), "tesseract": ("{}", "")}[name]
    text = OUTER.format(name=name, address=address, arguments=words[0], more=words[1])
    (tmp_path / "stages.py").write_text(AIM)
    (tmp_path / "pipeline.yaml").write_text(text)
    store = Store.open(tmp_path / "store")
    plan, _ = sweep(store, assemble(tmp_path / "pipeline.yaml"))
    found, (objective, gradient) = read_results(store, plan), expected
    assert found.objective == pytest.approx(objective, rel=1e-12)  # law 1
    slope = gradient["height"] + 2.0 * gradient["slope"]
    assert found.gradient["tilt"] == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_server_and_its_workers(folder, number):
    with serving(store=folder) as (process, address):
        busy = psutil.Process(process.pid)
        if number == signal.SIGTERM:
            Thread(target=_asking, args=(address,), daemon=True).start()
            while not busy.children():  # it is at work
                time.sleep(0.05)
        workers = busy.children(recursive=True)
        process.send_signal(number)
        assert process.wait(20) == 130
        assert not any(each.is_running() for each in workers)


def _asking(address):
    with contextlib.suppress(OSError):  # the server is ended
        ask(address, "Evaluate", about(input=[[0.9], [0.1]]))


MISTAKES = {
    "unknown parameter": (["--wrt", "hight"], "did you mean height"),
    "unknown objective": (["--of", "likelihood.chi"], "chi2"),
    "per event": (["--of", "events.t"], "per event"),
    "unknown protocol": (["--protocol", "grpc"], "grpc"),
    "no host": (["--host", "256.0.0.1"], "cannot listen on 256.0.0.1"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_cannot_be_served_is_refused_before_it_listens(tmp_path, case):
    options, words = MISTAKES[case]
    done = diffpipe("serve", str(LINE), "--port", "0", *options, store=tmp_path / "store")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(model, folder):
    port = model.rpartition(":")[2]
    done = diffpipe("serve", str(LINE), "--port", port, store=folder)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port 0" in done.stderr
