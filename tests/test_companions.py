"""Companions: what a stage brings along is in the pipeline, in the keys, and in the gradient."""

# ruff: noqa: E501 (one case a line reads better)

import json
import os
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from support import CASES, Request, assemble, composed, sweep, values, with_values

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.model import DataRef, OutputRef
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.physics import registry

CASE = CASES / "companions"
FILE = ("pipeline.yaml", 'input: "densities:wave"', 'input: "file:start.csv"')
NESTED = """
pipeline: nested
parameters: {coupling: 0.7}
stages:
  left: {uses: project/pipeline.yaml, parameters: {coupling: coupling}}
  right: {uses: project/pipeline.yaml}
  sum: {uses: "add:add", over: once, inputs: {left: left.total.total, right: right.total.total}}
objective: sum.sum
"""
ADD = 'def add(parameters, inputs):\n    return {"sum": inputs["left"] - inputs["right"]}\n'


LIBRARY = dict(registry.COMPANIONS)


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    """The case's stage is registered as one of the library would be."""
    monkeypatch.syspath_prepend(CASE)
    monkeypatch.setitem(registry.COMPANIONS, "theory:evolve", "brings:companions")


@pytest.fixture
def project(tmp_path):
    """A copy of the case's folder, in which texts are replaced; gives the pipeline's path."""
    folder = tmp_path / "project"
    shutil.copytree(CASE, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def write(*changes):
        for name, old, new in changes:
            text = (folder / name).read_text()
            assert old in text, old
            (folder / name).write_text(text.replace(old, new))
        return folder / "pipeline.yaml"

    return write


def primals(made):
    return dict(Identity(made, Environment(None)).primals)


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_what_a_stage_brings_along_are_stages_of_the_pipeline(project):
    made = assemble(project())
    assert list(made.stages) == ["events", "pdf.table", "pdf.start", "pdf", "value", "total"]
    table, start, pdf = (made.stages[name] for name in ("pdf.table", "pdf.start", "pdf"))
    assert table.options == {"order": 2, "points": 5}
    assert not table.parameters
    assert start.inputs == {"x": OutputRef("pdf.table", "x")}
    assert pdf.inputs == {
        "matrix": OutputRef("pdf.table", "matrix"),
        "start": OutputRef("pdf.start", "start"),
    }
    assert pdf.options == {"damping": 0.3}


def test_a_companion_has_its_parameters_under_the_names_of_its_stage(project):
    made = assemble(project())
    assert made.stages["pdf.start"].parameters == {"start.a": "shape.a", "start.b": "shape.b"}
    assert made.stages["pdf"].parameters == {"alpha": "coupling"}
    assert set(made.parameters) == {"coupling", "shape.a", "shape.b"}


def test_a_file_that_an_option_names_is_data(project):
    path = project(FILE)
    made = assemble(path)
    assert made.data["pdf.start"].files == {"path": path.parent / "start.csv"}
    assert made.stages["pdf"].inputs["start"] == DataRef("pdf.start", "start")


BELOW_PDF = {"pdf", "value", "total"}


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (("pipeline.yaml", "damping: 0.3", "damping: 0.4"), BELOW_PDF),
        (("pipeline.yaml", "coupling: 0.4", "coupling: 0.5"), BELOW_PDF),
        (("pipeline.yaml", "shape.a: 1.2", "shape.a: 1.3"), {"pdf.start"} | BELOW_PDF),
        (("pipeline.yaml", "order: 2", "order: 4"), {"pdf.table", "pdf.start"} | BELOW_PDF),
        (("densities.py", "(1 + first)", "(1 - first)"), {"pdf.start"} | BELOW_PDF),
        (("densities.py", "one of them far away", "both here"), set()),
        (("table.py", "0.9", "0.8"), {"pdf.table", "pdf.start"} | BELOW_PDF),
    ],
)
def test_only_what_can_change_its_numbers_is_in_the_key_of_a_companion(project, change, seen):
    before = primals(assemble(project()))
    assert changed(before, primals(assemble(project(change)))) == seen


def test_the_content_of_a_file_that_an_option_names_is_in_the_key(project):
    before = primals(assemble(project(FILE)))
    after = primals(assemble(project(("start.csv", "0.7", "0.6"))))
    assert changed(before, after) == BELOW_PDF


def agrees_with_the_composed_function(store, made, plan):
    """Up to rounding: some 100 operations of 2.2e-16 each on numbers of order one."""
    value, gradient = jax.value_and_grad(composed(made))(values(made))
    found = read_results(store, plan)
    np.testing.assert_allclose(found.objective, value, rtol=1e-13)
    for name, each in gradient.items():
        np.testing.assert_allclose(found.gradient[name], each, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("changes", [[], [FILE]], ids=["function", "file"])
def test_the_gradient_is_the_composed_functions_and_none_is_taken_of_a_table(
    project, store, changes
):
    made = assemble(project(*changes))
    plan, executed = sweep(store, made)
    agrees_with_the_composed_function(store, made, plan)
    assert executed["pdf.table", "primal"] == 1
    assert ("pdf.table", "pullback") not in executed
    step = plan.step("pdf:pullback")
    assert step.active_inputs == ([] if changes else ["start"])
    arrays = {"gradient.alpha"} | (set() if changes else {"cotangent.start"})
    assert set(store.get(step.key).specs) == arrays


def test_a_table_is_computed_once_for_all_parameters_and_all_pipelines(project, store):
    made = assemble(project())
    sweep(store, made)
    _, executed = sweep(store, with_values(made, coupling=0.5, **{"shape.a": 1.0}))
    assert {stage for stage, kind in executed if kind == "primal"} == {"pdf.start"} | BELOW_PDF
    _, executed = sweep(store, assemble(project(FILE)))
    assert {stage for stage, kind in executed if kind == "primal"} == BELOW_PDF


def test_a_pipeline_with_companions_can_be_a_stage(project, store):
    root = project().parent.parent
    (root / "outer.yaml").write_text(NESTED)
    (root / "add.py").write_text(ADD)
    made = assemble(root / "outer.yaml")
    assert made.stages["left.pdf.start"].parameters["start.a"] == "left.shape.a"
    assert made.stages["left.pdf"].parameters == {"alpha": "coupling"}
    assert made.stages["left.pdf"].inputs["matrix"] == OutputRef("left.pdf.table", "matrix")
    plan, executed = sweep(store, made)
    agrees_with_the_composed_function(store, made, plan)
    tables = [executed[f"{side}.pdf.table", "primal"] for side in ("left", "right")]
    assert sum(tables) == 1  # the same table


def test_a_stage_can_read_a_companion_of_another(project, store):
    reads = ("pipeline.yaml", "density: pdf.density", "density: pdf.start.start")
    made = assemble(project(reads))
    assert made.stages["value"].inputs["density"] == OutputRef("pdf.start", "start")
    plan, _ = sweep(store, made, Request("backward"))
    agrees_with_the_composed_function(store, made, plan)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("order: 2", "order: two"), r"line 10: stages.pdf: .*number, got 'two'.*write order: 2"),
        (("densities:wave", "densities:"), "stages.pdf.stages.start.uses: unknown 'densities:'"),
        (("densities:wave", "density:wave"), "no module density for density:wave"),
        (("densities:wave", "file:no.csv"), r"line 10: stages.pdf.data.start.path: there is no file"),
        (("over: once, parameters", "over: once, inputs: {start: pdf.table.x}, parameters"), "line 10: stages.pdf.inputs.start: .*brings along itself"),
        (("{alpha: coupling, start.a: shape.a, start.b: shape.b}", "{alpha: coupling}"), r"stages.pdf.stages.start.parameters: unknown parameter 'start\.\*'.*alpha"),
        (("density: pdf.density", "density: pdf.tabel.x"), "unknown stage 'pdf.tabel'.*did you mean pdf.table.x"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_file_and_stage(project, change, says):
    path = project(("pipeline.yaml", *change))
    with pytest.raises(PipelineError) as caught:
        primals(assemble(path))
    text = f"{caught.value.message} | {caught.value.hint}"
    assert re.search(says, text, re.DOTALL), text


def test_an_option_that_nobody_knows_is_left_to_the_stage_and_refused(project, store):
    made = assemble(project(("pipeline.yaml", "damping: 0.3", "damping: 0.3, dampng: 0.2")))
    with pytest.raises(PipelineError, match="stage pdf: unknown option 'dampng'"):
        sweep(store, made)


def test_what_the_library_brings_along_is_said_without_numpy():
    modules = {each.partition(":")[0] for each in LIBRARY.values()}
    script = (
        f"import sys, {', '.join(sorted(modules))}; print({{'jax', 'numpy'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


SCRIPT = """
import sys
sys.argv = ["diffpipe", "run", "backward", sys.argv[1], "--json"]
from diffpipe.cli.app import main
from diffpipe.pipelines.physics import registry
registry.COMPANIONS["theory:evolve"] = "brings:companions"
try: main()
finally: print(sorted({"jax", "numpy", "snakemake"} & set(sys.modules)), file=sys.stderr)
"""


def test_a_run_plans_with_companions_without_computing_or_importing_frameworks(tmp_path):
    variables = {"DIFFPIPE_STORE": str(tmp_path / "store"), "PYTHONPATH": str(CASE)}
    command = [sys.executable, "-c", SCRIPT, str(CASE / "pipeline.yaml")]
    first, again = (
        subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | variables
        )
        for _ in range(2)
    )
    stages = json.loads(first.stdout)["stages"]
    assert stages["pdf.table"]["forward"]["executed"] == 1
    assert json.loads(again.stdout)["gradient"] == json.loads(first.stdout)["gradient"]
    assert again.stderr.strip().endswith("[]")
