"""Bad input: each mistake is named, with its place and what to try; nothing stored is lost."""

# ruff: noqa: E501, RUF005, RUF043 (one case a line reads better; patterns are meant as such)

import re
import shutil

import numpy as np
import pytest
import support
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import diffpipe, sweep

from diffpipe.cache.errors import DiffpipeError, NonFiniteError, PipelineError, StageError
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.describe import Description
from diffpipe.pipelines.core.plan import Request, make_plan

FILE = """
pipeline: bad
parameters: {a: 1.5, b: {value: [1.0, 2.0], unit: GeV}}
data: {points: {reader: csv, path: points.csv}}
events: {uses: "code:ramp", count: 20, shard: 6}
stages:
  shape: {uses: "code:shape", over: once, parameters: [b]}
  value: {uses: "code:value", over: events, inputs: {x: events.x, shape: shape.shape}, parameters: [a], options: {power: 2}, outputs: {value: {unit: pb}}}
  total: {uses: "code:total", over: events, inputs: {value: value.value}, outputs: {total: {sum: true}}}
  loss:  {uses: "code:loss", over: once, inputs: {total: total.total, y: data.points.y}}
objective: loss.loss
"""
CODE = """
import jax.numpy as jnp
import numpy as np

def ramp(start, stop, *, count, seed):
    x = np.arange(start, stop) / count
    return {"x": x}

def shape(parameters, inputs):
    return {"shape": parameters["b"]}

def value(parameters, inputs, *, power):
    return {"value": parameters["a"] * inputs["x"] ** power + inputs["shape"][0]}

def total(parameters, inputs):
    return {"total": jnp.sum(inputs["value"])}

def loss(parameters, inputs):
    return {"loss": (inputs["total"] - inputs["y"][0]) ** 2}
"""


@pytest.fixture
def project(tmp_path):
    """Writes the pipeline with some text replaced, and gives its path."""

    def write(*changes):
        files = {"pipeline.yaml": FILE, "code.py": CODE, "points.csv": "y\n3.0\n"}
        for name, old, new in changes:
            assert old in files[name], old
            files[name] = files[name].replace(old, new)
        folder = tmp_path / f"project{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        # a module of its own name for each project, as each would be a process of its own
        module = f"code_{abs(hash(str(folder)))}"
        (folder / f"{module}.py").write_text(files["code.py"])
        (folder / "points.csv").write_text(files["points.csv"])
        path = folder / "pipeline.yaml"
        path.write_text(files["pipeline.yaml"].replace("code:", f"{module}:"))
        return path

    return write


def run(path, store, **request):
    return sweep(store, assemble(path), Request("backward", **request))


YAML, PY, CSV = "pipeline.yaml", "code.py", "points.csv"


def test_the_unchanged_pipeline_is_sound(project, store):
    plan, executed = run(project(), store)
    assert executed["value", "primal"] == 4
    assert plan.gradients["a"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((YAML, "total.total,", "totl.total,"), "unknown stage 'totl'.*did you mean total.total"),
        ((YAML, "[a]", "[aa]"), "unknown parameter 'aa'.*did you mean a"),
        ((YAML, "unit: GeV", "unit: GEV"), "unknown unit 'GEV'.*did you mean.*GeV"),
        ((YAML, "unit: pb}", "unit: pbb}"), "unknown unit 'pbb'.*did you mean.*pb"),
        ((YAML, "over: once, parameters", "ovr: once, parameters"), "line 7.*`ovr`.*did you mean over"),
        ((YAML, "reader: csv", "reader: cvs"), "unknown 'cvs'.*did you mean csv"),
        ((YAML, "points.csv", "point.csv"), "no file 'point.csv'"),
        ((YAML, "objective: loss.loss", "objective: los.loss"), "did you mean loss.loss"),
        ((YAML, "{x: events.x,", "{x: loss.loss,"), "a cycle: value -> loss -> total -> value"),
        ((YAML, "shape: shape.shape}", "shape: total.total}"), "cycle"),
        ((YAML, "{total: total.total,", "{total: value.value,"), "value.value is per event.*sum: true"),
        ((YAML, "{value: value.value}", "{value: loss.loss}"), "cycle"),
        ((YAML, "count: 20", "count: -1"), "line 5: events.count"),
        ((YAML, "count: 20", "count: many"), "line 5: events.count"),
        ((YAML, "pipeline: bad", "pipeline: ../bad"), "name '../bad'"),
        ((YAML, "  loss: ", "  ../loss: "), "name '../loss'"),
        ((YAML, "  loss: ", "  events: "), "'events' is taken"),
        ((YAML, "a: 1.5,", "a: .nan,"), "line 3.*nan is not a finite number"),
        ((YAML, "a: 1.5,", "a: 1.5, a: 2,"), "line 3: 'a' stands twice"),
        ((YAML, "a: 1.5,", "a: [[1], [1, 2]],"), "rectangular"),
        ((YAML, "data.points.y", "data.point.y"), "unknown dataset 'point'.*did you mean points"),
        ((YAML, "stages:", "stages: [1, 2]\nx:"), "stages"),
        ((YAML, "{power: 2}", "{power: 2"), "line"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named_with_its_place(project, store, change, says):
    with pytest.raises(PipelineError) as caught:
        run(project(change), store)
    text = f"{caught.value.message} | {caught.value.hint}"
    assert re.search(says, text, re.DOTALL), text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((YAML, "{power: 2}", "{powr: 2}"), "unknown option 'powr'.*did you mean power"),
        ((YAML, "value.value}", "value.valu}"), "uses value.valu, .*did you mean value"),
        ((YAML, "{value: {unit: pb}}", "{valu: {unit: pb}}"), "declares output 'valu'.*did you mean"),
        ((YAML, "{value: {unit: pb}}", "{value: {shape: [3]}}"), r"shape \[\], declared"),
        ((YAML, "{value: {unit: pb}}", "{value: {dtype: int64}}"), "dtype float64, declared int64"),
        ((YAML, "shape: shape.shape}", "shap: shape.shape}"), "asks for 'shape'.*did you mean shap"),
        ((YAML, "code:value", "code:valu"), "no function valu.*did you mean value"),
        ((YAML, "code:value", "cod:value"), "no module cod"),
        ((YAML, ", outputs: {total: {sum: true}}", ""), "total.total is per event"),
        ((PY, 'jnp.sum(inputs["value"])', 'inputs["value"][:3]'), "scalar"),
        ((PY, '"value": parameters', '"value": inputs["shape"] * parameters'), "shape|broadcast"),
        ((PY, '{"shape": parameters["b"]}', 'parameters["b"]'), "not named arrays"),
        ((PY, '{"shape": parameters["b"]}', '{"shape": parameters["b"].astype("f4")}'), "float32"),
        ((PY, '{"shape": parameters["b"]}', '{"shape": "text"}'), "not an array|not a valid JAX type"),
        ((PY, "def shape(", "def shape(:"), "cannot read"),
        ((CSV, "3.0", "x3"), "points.csv, line 2.*x3"),
        ((CSV, "3.0", "nan"), "y, row 0 is nan"),
        ((CSV, "y\n", "z\n"), "no column 'y'"),
        ((CSV, "3.0", "3.0,4.0"), "line 2: 2 cells for 1 columns"),
    ],
)  # fmt: skip
def test_a_mistake_in_code_or_data_is_named_before_anything_runs(project, store, change, says):
    with pytest.raises(DiffpipeError) as caught:
        run(project(change), store)
    text = f"{caught.value.message} | {caught.value.hint}"
    assert re.search(says, text, re.DOTALL), text
    assert caught.value.exit_code == 2
    assert not [key for key in store.artefact_keys() if store.get(key).present()]


def test_a_per_event_output_with_the_wrong_rows_says_how_to_declare_a_sum(project, store):
    change = (PY, '"value": parameters["a"] * inputs["x"] ** power', '"value": jnp.ones(3)')
    with pytest.raises(PipelineError, match="one row per event|3") as caught:
        run(project(change), store)
    assert "sum: true" in (caught.value.hint or "")


def test_a_summed_output_used_per_event_is_refused(project, store):
    changes = [
        (YAML, "  loss:", '  more: {uses: "code:value", over: events, inputs: {x: events.x, shape: total.total}, parameters: [a], options: {power: 1}}\n  loss:')
    ]  # fmt: skip
    with pytest.raises(PipelineError, match="summed over events, and this stage runs per event"):
        run(project(*changes), store)


def test_a_stage_that_raises_at_one_shard_keeps_the_finished_ones(project, store):
    broken = (PY, "    x = np.arange", '    assert start != 12, "boom"\n    x = np.arange')
    path = project(broken)
    with pytest.raises(StageError, match="stage events, shard 2: AssertionError: boom.*line 6"):
        run(path, store)
    plan = make_plan(store, assemble(path), Request("backward"))
    assert plan.slots_present["value:primal"] == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((PY, '{"x": x}', '{"x": np.where(x == 0.7, np.nan, x)}'), "events, shard 2: output x is nan at event 14"),
        ((PY, '"value": parameters', '"value": 1 / (inputs["x"] - 0.35) * parameters'), "value, shard 1: output value is .*inf at event 7"),
        ((PY, '"loss": (', '"loss": jnp.log(-1.0) + ('), "stage loss, shard 0: output loss is nan"),
        ((PY, '"shape": parameters["b"]', '"shape": jnp.sqrt(parameters["b"] - 1.0)'), "shape, shard 0: gradient.b is"),
    ],
)  # fmt: skip
def test_nan_and_inf_are_refused_by_stage_shard_output_and_event(project, store, change, says):
    with pytest.raises(NonFiniteError, match=says):
        run(project(change), store)


def test_an_unknown_wrt_or_objective_on_the_command_line_is_a_usage_error(project, store):
    for request, says in (
        ({"wrt": ["aa"]}, "unknown parameter 'aa'"),
        ({"of": ["los.loss"]}, "names no stage's output"),
        ({"of": ["loss.los"]}, "does not exist"),
        ({"of": ["value.value"]}, "per event"),
        ({"of": ["shape.shape"]}, r"shape \(2,\)"),
    ):
        with pytest.raises(DiffpipeError, match=says) as caught:
            run(project(), store, **request)
        assert caught.value.exit_code == 2


VALID = FILE.replace("code:", "fuzzed:")
WORDS = st.sampled_from(
    [
        "pipeline",
        "parameters",
        "events",
        "stages",
        "data",
        "objective",
        "uses",
        "over",
        "inputs",
        "outputs",
        "options",
        "count",
        "shard",
        "value",
        "unit",
        "fuzzed:value",
        "events.x",
        "once",
        "sum",
        "a",
        "b",
        ".",
        "..",
        "../x",
        "/",
        "data.points.y",
        "sobol",
        "drell_yan",
    ]
)
LEAVES = WORDS | st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=8)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)
PLACES = st.sampled_from(
    [("stages", "loss"), ("stages", "value", "inputs"), ("stages", "value", "options"), ("events",)]
    + [("stages",), ("parameters",), ("parameters", "a"), ("data", "points"), ("objective",), ()]
    + [("stages", "total", "outputs", "total"), ("events", "options"), ("stages", "shape", "uses")]
)
FUZZ = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def attempt(tmp_path, store):
    """What a dry run does with a file's text; only our own errors may come out of it."""
    (tmp_path / "points.csv").write_text("y\n3.0\n")
    (tmp_path / "fuzzed.py").write_text(CODE)

    def run(text):
        path = tmp_path / "fuzzed.yaml"
        path.write_text(text, errors="surrogateescape")
        try:
            Description(make_plan(store, assemble(path), Request("backward")), store).run()
        except DiffpipeError as error:
            return str(error)
        return None

    assert run(VALID) is None
    return run


@FUZZ
@given(place=st.integers(0, len(VALID)), cut=st.integers(0, 30), text=st.text(max_size=12))
def test_no_edit_of_a_pipeline_file_ends_in_a_traceback(attempt, place, cut, text):
    attempt(VALID[:place] + text + VALID[place + cut :])


@FUZZ
@given(tree=TREES, place=PLACES)
def test_no_tree_of_values_ends_in_a_traceback(attempt, tree, place):
    document = grafted(yaml.safe_load(VALID), place, tree)
    attempt(yaml.safe_dump(document, allow_unicode=True))


def grafted(document, place, tree):
    """The document with another tree at one place."""
    if not place:
        return tree
    return {**document, place[0]: grafted(document.get(place[0], {}), place[1:], tree)}


def test_aliases_that_unfold_to_billions_are_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(PipelineError, match="too large"):
        assemble(path)


def test_hostile_values_of_set_are_refused():
    from diffpipe.cache.errors import UsageError
    from diffpipe.cli.options import _setting

    for text in ("a", "a=", "a=nan", "a=inf", "a=[1,[2]]", "a=x", "a=" + "[" * 10**5, "a=1e999"):
        with pytest.raises(UsageError):
            _setting(text)
    assert _setting("a=[1, 2]") == ("a", (1.0, 2.0))
    assert np.isclose(_setting("a=1e-3")[1], 1e-3)


@pytest.mark.parametrize("name", ["shape", "norm"])
def test_an_output_declared_constant_must_be_one(project, store, name):
    changes = [
        (YAML, "parameters: [b]}", f"parameters: [b], outputs: {{{name}: {{constant: true}}}}}}"),
        (PY, '{"shape": parameters["b"]}', '{"shape": parameters["b"], "norm": jnp.ones(3)}'),
    ]
    if name == "norm":
        assert run(project(*changes), store)
    else:
        with pytest.raises(PipelineError, match="output shape is declared constant, and is not"):
            run(project(*changes), store)


@pytest.mark.parametrize(
    "command", [["run", "backward", "--profile", "slurm"], ["submit", "backward"]]
)
def test_a_machine_without_slurm_is_said(tmp_path, monkeypatch, command):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = diffpipe(*command, "--json", store=tmp_path / "store")
    assert done.returncode == 2
    assert "there is no Slurm here" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--partition", "debug"], "--partition is for a cluster"),
        (["--profile", "slurm", "--mem", "8"], "--mem: '8' is not a number with a unit"),
        (["--profile", "slurm", "--time", "soon"], "--time: 'soon' is not a number with a unit"),
        (["--profile", "lsf"], "'lsf'"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_a_wrong_place_is_named(tmp_path, options, words):
    done = diffpipe("run", "backward", *options, "--json", store=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ("{cpu: 2}", "unknown resource 'cpu'; known: cpus, gpus, mem, runtime"),
        ("{cpus: 0}", "cpus: 0 is not a whole number of at least 1"),
        ("{gpus: 1.5}", "gpus: 1.5 is not a whole number"),
        ("{mem: 8}", "mem: 8 is not a number with a unit: write '8 GB'"),
        ("{runtime: -1 h}", "runtime: '-1 h' is not a number with a unit"),
    ],
)
def test_wrong_resources_are_named_with_their_line(tmp_path, resources, words):
    text = (support.CASES / "curve" / "pipeline.yaml").read_text()
    changed = text.replace("over: once,", f"over: once, resources: {resources},", 1)
    (tmp_path / "pipeline.yaml").write_text(changed)
    shutil.copy(support.CASES / "curve" / "stages.py", tmp_path)
    with pytest.raises(PipelineError, match="line 8: stages.height.resources") as caught:
        assemble(tmp_path / "pipeline.yaml")
    assert words in caught.value.message
