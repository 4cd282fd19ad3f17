"""Stages that are programs: in C++ with derivatives, in C without, in shell with every mistake."""

import importlib.util
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from support import sweep

from diffpipe.cache.errors import PipelineError, StageError, WorkerError
from diffpipe.cache.store import Store
from diffpipe.cli.init import TEMPLATES
from diffpipe.pipelines.core import compute
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request
from diffpipe.pipelines.frameworks.base import Pull, Push
from diffpipe.pipelines.frameworks.registry import framework

PROGRAMS = Path(__file__).parent / "programs"
EDGES = [25, 35, 45, 55, 70, 90]
has_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++ here")


def compiled(compiler, source, folder, *libraries):
    """The program made of a source file."""
    program = folder / source.stem
    command = [compiler, "-O2", "-o", str(program), str(source), *libraries]
    subprocess.run(command, check=True, timeout=120)
    return program


# ---- a program in C++ between two stages in JAX

CHAIN = """
pipeline: chain
parameters: {stretch: 1.1, shift: 2.0, scale: 0.96, saturation: 250.0, power: 1.7}
events: {uses: sobol, count: 50, shard: 16, options: {columns: {x: {range: [20, 90]}}}}
stages:
  truth: {uses: "chain:truth", over: events, inputs: {x: events.x}, parameters: [stretch, shift]}
  smear:
    uses: ./smear
    framework: {name: command, arguments: ["25", "35", "45", "55", "70", "90"], jvp: true}
    over: events
    inputs: {energy: truth.energy}
    parameters: [scale, saturation]
    outputs: {content: {sum: true, shape: [5]}}
  spread: {uses: "chain:spread", over: once, inputs: {content: smear.content}, parameters: [power]}
objective: spread.value
"""
STAGES = """
import jax.numpy as jnp


def truth(parameters, inputs):
    return {"energy": parameters["stretch"] * inputs["x"] + parameters["shift"]}


def spread(parameters, inputs):
    return {"value": jnp.sum(inputs["content"] ** parameters["power"])}
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The plan of a pipeline with a program in its middle, its store, and what was computed."""
    folder = tmp_path_factory.mktemp("chain")
    compiled("g++", TEMPLATES / "command" / "smear.cpp", folder, "-std=c++17")
    (folder / "pipeline.yaml").write_text(CHAIN)
    (folder / "chain.py").write_text(STAGES)
    store = Store.open(folder / "store")
    plan, _ = sweep(store, assemble(folder / "pipeline.yaml"))
    return plan, store


def stored(store, source, shard=0):
    return store.get(source.key).read(source.array, shard)


@pytest.fixture(scope="module")
def smear_in_jax():
    """The same physics as the program's."""
    path = TEMPLATES / "jax" / "smear.py"
    spec = importlib.util.spec_from_file_location("smear_in_jax", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda parameters, inputs: module.smear(parameters, inputs, edges=EDGES)


@has_compiler
def test_the_gradient_through_a_program_is_that_of_the_same_maths_in_jax(chain, smear_in_jax):
    plan, store = chain
    x = np.concatenate([column(store, plan, "events", "x", shard) for shard in range(4)])

    def objective(p):
        energy = p["stretch"] * x + p["shift"]
        content = smear_in_jax(p, {"energy": energy})["content"]
        return jnp.sum(content ** p["power"])

    point = {"stretch": 1.1, "shift": 2.0, "scale": 0.96, "saturation": 250.0, "power": 1.7}
    there = {name: jnp.asarray(value) for name, value in point.items()}
    value, slopes = jax.jit(jax.value_and_grad(objective))(there)
    # rounding of sums over 50 events
    assert stored(store, plan.objective) == pytest.approx(float(value), rel=1e-12)
    for name, (source,) in plan.gradients.items():
        assert stored(store, source) == pytest.approx(float(slopes[name]), rel=1e-12)


def column(store, plan, stage, name, shard):
    return store.get(plan.step(f"{stage}:primal").key).read(name, shard)


@has_compiler
def test_vjp_and_jvp_of_a_program_are_adjoint_and_those_of_jax(chain, smear_in_jax):
    plan, store = chain
    step = plan.step("smear:primal")
    numbers, rng = compute.parameters(step.call), np.random.default_rng(3)
    given = {"energy": column(store, plan, "truth", "energy", shard=1)}
    w = {"content": rng.normal(size=5)}
    pull = Pull(("content",), ("energy",), tuple(numbers), 16, frozenset(["energy"]))
    pulled = framework("command").pullback(step.call, pull, numbers, given, w)
    # three directions: each parameter, and the energies
    push = Push(
        count=3,
        outputs=("content",),
        parameters=("scale", "saturation"),
        inputs=(("energy", (2,)),),
        event_inputs=frozenset(["energy"]),
        event_outputs=frozenset(),
    )
    v = rng.normal(size=(16, 1))
    units = {"scale": np.array([1.0, 0, 0]), "saturation": np.array([0, 1.0, 0])}
    moving = units, {"energy": v}
    pushed = framework("command").pushforward(step.call, push, numbers, given, moving)
    products = pushed["tangent.content"] @ w["content"]
    backward = [
        pulled["gradient.scale"],
        pulled["gradient.saturation"],
        v[:, 0] @ pulled["cotangent.energy"],
    ]
    np.testing.assert_allclose(products, backward, rtol=1e-12)  # rounding of 16 x 5 terms

    def weighted(p, x):
        return smear_in_jax(p, x)["content"] @ w["content"]

    slopes, cotangents = jax.jit(jax.grad(weighted, (0, 1)))(numbers, given)
    np.testing.assert_allclose(pulled["gradient.scale"], slopes["scale"], rtol=1e-12)
    np.testing.assert_allclose(pulled["cotangent.energy"], cotangents["energy"], rtol=1e-11)


# ---- a program in C with a text format of its own, and no derivatives

RESOLUTION = """
pipeline: resolution
parameters: {stochastic: 0.1, constant: 0.007}
data: {beam: {reader: csv, path: beam.csv}}
stages:
  resolution:
    uses: ./adapter.py
    framework: {name: command, arguments: [resolution]}
    derivative: {by: finite-difference, step: {constant: 0.001}}
    over: once
    inputs: {energy: data.beam.energy}
    parameters: [stochastic, constant]
    outputs: {resolution: {shape: [4]}}
  mean: {uses: "mean:mean", over: once, inputs: {values: resolution.resolution}}
objective: mean.mean
"""
MEAN = """
import jax.numpy as jnp


def mean(parameters, inputs):
    return {"mean": jnp.mean(inputs["values"])}
"""


@has_compiler
def test_a_program_without_derivatives_is_differenced_within_its_error(tmp_path, store):
    compiled("gcc", PROGRAMS / "resolution.c", tmp_path, "-lm")
    script(tmp_path / "adapter.py", (PROGRAMS / "adapter.py").read_text(), sys.executable)
    (tmp_path / "pipeline.yaml").write_text(RESOLUTION)
    (tmp_path / "mean.py").write_text(MEAN)
    (tmp_path / "beam.csv").write_text("energy\n10\n20\n50\n100\n")
    plan, _ = sweep(store, assemble(tmp_path / "pipeline.yaml"))
    energy, a, b = np.array([10.0, 20.0, 50.0, 100.0]), 0.1, 0.007
    resolution = np.sqrt(a**2 / energy + b**2)
    exact = {"stochastic": a / energy / resolution, "constant": b / resolution}
    for name, (source,) in plan.gradients.items():
        error = store.get(source.key).read(f"error.{source.array}", 0)
        truth = 100 * np.mean(exact[name])
        assert 0 < error < 1e-3 * truth
        assert abs(stored(store, source) - truth) <= error


# ---- what a program is given


def script(path, text, interpreter="/bin/sh"):
    """Write a program that an interpreter runs."""
    path.write_text(f"#!{interpreter}\n{text}")
    path.chmod(0o755)
    return path


ONE = """
pipeline: one
parameters: {{a: {value}}}
data: {{table: {{reader: csv, path: table.csv}}}}
stages:
  one:
    uses: ./program
    framework: {{name: command, timeout: {timeout}, arguments: [{arguments}]}}
    over: once
    parameters: [a]
    inputs: {inputs}
    outputs: {{y: {output}}}
    options: {options}
objective: one.y
"""


def one(folder, text, **said):
    """The pipeline of a single stage, which is a shell script."""
    if text is not None:
        script(folder / "program", text)
    words = {"value": 2.5, "timeout": "20 s", "arguments": "", "inputs": "{}", "output": "{}"}
    (folder / "table.csv").write_text("x,y\n1,10\n2,20\n")
    (folder / "pipeline.yaml").write_text(ONE.format(**words | {"options": "{}"} | said))
    return assemble(folder / "pipeline.yaml")


def forward(store, made):
    """Sweep forward: the value of y, and how often each step was computed."""
    plan, executed = sweep(store, made, Request("forward"))
    return store.get(plan.step("one:primal").key).read("y", 0), executed


COPY = "cp parameters/a.npy outputs/y.npy"
COPY_GIVEN = 'cp "$1" outputs/y.npy'


def test_the_request_says_what_is_given_and_what_is_wanted(tmp_path, store):
    text = f'{COPY}; cp request.json inputs/table/x.npy "$(dirname "$0")"; echo "$@" > "$0.words"'
    said = {"inputs": "{table: data.table}", "options": "{bias: 2, kind: [fast, 1.5]}"}
    value, _ = forward(store, one(tmp_path, text, arguments="--level, '3'", **said))
    assert value == 2.5
    assert (tmp_path / "program.words").read_text() == "--level 3 forward\n"
    assert json.loads((tmp_path / "request.json").read_text()) == {
        "protocol": 1,
        "do": "forward",
        "stage": "one",
        "options": {"bias": 2, "kind": ["fast", 1.5]},
        "given": {
            "parameters": {"a": {"file": "parameters/a.npy", "shape": [], "dtype": "float64"}},
            "inputs": {
                "table": {
                    "x": {"file": "inputs/table/x.npy", "shape": [2], "dtype": "float64"},
                    "y": {"file": "inputs/table/y.npy", "shape": [2], "dtype": "float64"},
                }
            },
        },
        "wanted": {"outputs": {"y": {"file": "outputs/y.npy", "shape": [], "dtype": "float64"}}},
    }
    assert np.load(tmp_path / "x.npy").tolist() == [1.0, 2.0]


def test_a_column_whose_name_is_no_file_is_refused(tmp_path, store):
    made = one(tmp_path, COPY, inputs="{table: data.table}")
    (tmp_path / "table.csv").write_text("../x\n1\n")
    with pytest.raises(
        PipelineError, match=r"table\.\.\./x cannot be given to a program as a file"
    ):
        forward(store, made)


def test_standard_input_is_empty_and_the_work_folder_goes(tmp_path, store, monkeypatch, capfd):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    text = f'test -z "$(cat)" || exit 9; pwd; echo careful >&2; {COPY}'
    forward(store, one(tmp_path, text))
    assert not list(work.iterdir())
    shown = capfd.readouterr().err  # of a worker, its log
    assert str(work) in shown
    assert "careful" in shown
    with pytest.raises(StageError):
        forward(store, one(tmp_path, "touch outputs/rest; exit 1"))
    assert not list(work.iterdir())


def test_a_changed_program_or_file_is_another_stage(tmp_path, store):
    given, once = tmp_path / "given.npy", Counter({("one", "primal"): 1})

    def swept(text=COPY_GIVEN, arguments="given.npy", **said):
        return forward(store, one(tmp_path, text, arguments=arguments, **said))

    np.save(given, 1.0)
    assert swept() == (1.0, once)
    assert swept() == (1.0, Counter())
    np.save(given, 2.0)
    assert swept() == (2.0, once)
    changed = f"{COPY_GIVEN} # another"
    assert swept(changed) == (2.0, once)
    assert swept(changed, arguments="given.npy, -x") == (2.0, once)
    assert swept(changed, timeout="9 s") == (2.0, Counter())  # as long as it may take


# ---- programs that fail


def test_a_program_that_is_missing_or_may_not_be_executed_is_refused_before_anything(tmp_path):
    with pytest.raises(PipelineError, match=r"there is no program '\./program'") as caught:
        one(tmp_path, None)
    assert "build it first" in caught.value.hint
    (tmp_path / "program").write_text("no program")
    with pytest.raises(PipelineError, match="may not be executed"):
        one(tmp_path, None)


def test_a_program_that_is_for_no_machine_is_refused(tmp_path, store):
    (tmp_path / "program").write_bytes(b"\x7fELF of nowhere")
    (tmp_path / "program").chmod(0o755)
    with pytest.raises(PipelineError, match="program cannot be started: Exec format error"):
        forward(store, one(tmp_path, None))


def test_an_exit_code_is_shown_with_the_last_words(tmp_path, store):
    text = 'seq 1 100 >&2; echo "no field map" >&2; exit 3'
    with pytest.raises(StageError) as caught:
        forward(store, one(tmp_path, text))
    lines = caught.value.message.splitlines()
    assert lines[0] == "stage one: ./program forward ended with exit code 3; its last words:"
    assert [line.strip() for line in lines[1:]] == [*map(str, range(82, 101)), "no field map"]
    assert caught.value.stage == "one"


def test_a_program_that_crashes_half_way_is_named_with_its_signal(tmp_path, store):
    text = "head -c 100 parameters/a.npy > outputs/y.npy; kill -SEGV $$"
    with pytest.raises(StageError, match=r"forward ended with the signal SIGSEGV$"):
        forward(store, one(tmp_path, text))


LINGER = 'sleep 600 & echo $$ $! > "$0.partial"; mv "$0.partial" "$0.pids"; wait'


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path, store):
    with pytest.raises(StageError, match="took longer than 1 s and was ended") as caught:
        forward(store, one(tmp_path, LINGER, timeout="1 s"))
    assert "timeout: 10 min" in caught.value.hint
    pids = [int(each) for each in (tmp_path / "program.pids").read_text().split()]
    assert not any(lives(pid) for pid in pids)


def npy(values):
    written = io.BytesIO()
    np.save(written, values, allow_pickle=True)
    return written.getvalue()


def npz(values):
    written = io.BytesIO()
    np.savez(written, values)
    return written.getvalue()


RIGHT = np.arange(6.0).reshape(2, 3)


NOT_WANTED = {
    "float32": (npy(RIGHT.astype(np.float32)), "as float32, wanted float64"),
    "big endian": (npy(RIGHT.astype(">f8")), "as >f8, wanted float64"),
    "wrong shape": (npy(RIGHT.T), r"with shape \(3, 2\), wanted \(2, 3\)"),
    "wrong rank": (npy(RIGHT[None]), r"with shape \(1, 2, 3\), wanted \(2, 3\)"),
    "half": (npy(RIGHT)[:-8], "that is no whole .npy file"),
    "half a header": (npy(RIGHT)[:40], "that is no whole .npy file"),
    "empty": (b"", "that is no whole .npy file"),
    "text": (b"1.0 2.0 3.0\n" * 20, "that is no whole .npy file"),
    "zipped": (npz(RIGHT), "that is no whole .npy file"),
    "pickled": (npy(np.array([[{}] * 3] * 2)), "that is no whole .npy file: .*objects"),
}


@pytest.mark.parametrize("what", NOT_WANTED)
def test_files_that_are_not_what_was_wanted_are_refused(tmp_path, store, what):
    written, said = NOT_WANTED[what]
    (tmp_path / "given.npy").write_bytes(written)
    with pytest.raises(StageError, match=rf"wrote (a )?outputs/y\.npy {said}"):
        forward(store, one(tmp_path, COPY_GIVEN, arguments="given.npy", output="{shape: [2, 3]}"))


def test_fortran_order_is_read(tmp_path, store):
    np.save(tmp_path / "given.npy", np.asfortranarray(RIGHT))
    said = {"arguments": "given.npy", "output": "{shape: [2, 3]}"}
    value, _ = forward(store, one(tmp_path, COPY_GIVEN, **said))
    np.testing.assert_array_equal(value, RIGHT)


@pytest.mark.parametrize(
    ("text", "there"),
    [("true", "nothing"), ("cp parameters/a.npy outputs/Y.npy", "Y.npy"), ("rm -r *", "nothing")],
)
def test_a_program_that_does_not_write_what_is_wanted_is_refused(tmp_path, store, text, there):
    with pytest.raises(StageError, match=f"wrote no outputs/y.npy; it wrote {there}$"):
        forward(store, one(tmp_path, text))


def test_a_pipe_in_the_place_of_a_file_stops_nothing(tmp_path, store):
    with pytest.raises(StageError, match=r"wrote no outputs/y\.npy"):
        forward(store, one(tmp_path, "mkfifo outputs/y.npy"))


# ---- the end of a worker is the end of its programs

WORKER = """
import sys
from pathlib import Path
from diffpipe.pipelines.core.targets import Program
from diffpipe.pipelines.frameworks import programs

programs.run("one", Program("program", sys.argv[1]), "forward", Path(sys.argv[2]))
"""


def test_a_worker_that_is_killed_takes_its_program_along(tmp_path):
    program, work = script(tmp_path / "program", LINGER), tmp_path / "work"
    work.mkdir()
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(program), str(work)])
    pids = tmp_path / "program.pids"
    assert soon(pids.exists)
    started = [int(each) for each in pids.read_text().split()]
    assert all(lives(pid) for pid in started)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert soon(lambda: not any(lives(pid) for pid in started))
    assert soon(lambda: not work.exists())


def test_a_keeper_that_is_killed_is_said_and_replaced(tmp_path, store):
    made = one(tmp_path, f'kill -KILL "$PPID"; {COPY}')
    with pytest.raises(WorkerError, match="the process that runs the worker's programs was"):
        forward(store, made)
    assert forward(store, one(tmp_path, COPY))[0] == 2.5


def lives(pid):
    """Whether a process runs; one that has ended may still be listed."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def soon(found, seconds=30.0):
    """Whether a thing comes true in a while, however busy the machine is."""
    deadline = time.monotonic() + seconds
    while not found() and time.monotonic() < deadline:
        time.sleep(0.02)
    return found()
