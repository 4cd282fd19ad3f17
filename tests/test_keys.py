"""Keys: pinned bytes, and what must or must not change them."""

import shutil
from dataclasses import replace

import pytest
from support import CASES, Request, assemble, make_plan, pipeline, sweep, with_values

from diffpipe.cache import keys
from diffpipe.cache.memo import Memo
from diffpipe.pipelines.core import code
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.functions import find
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.model import Checkpoint, Function


def primals(made, platform=None):
    return dict(Identity(made, Environment(platform)).primals)


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_the_key_of_fixed_ingredients_is_pinned():
    found = keys.key("primal", function="m:f", parameters={"a": 1.5, "b": [0.1, -0.0]}, n=3)
    assert found == "af3cee2d21f8bc1289d352fdfc5e4778d2d5cebc"


def test_canonical_json_does_not_depend_on_the_order_of_names_and_refuses_nan():
    assert keys.canonical({"b": 1, "a": 2.0}) == keys.canonical({"a": 2.0, "b": 1})
    with pytest.raises(ValueError, match="JSON"):
        keys.canonical({"a": float("nan")})


def test_a_parameter_changes_its_stages_and_their_descendants_only():
    made = pipeline("joins")
    moved = with_values(made, width=0.3)
    assert changed(primals(made), primals(moved)) == {"second", "fit"}


def test_an_unused_parameter_changes_nothing():
    made = pipeline("joins")
    assert primals(made) == primals(with_values(made, unused=4.0))


def test_platform_shard_size_and_policy_are_in_the_key():
    made = pipeline("joins")
    assert changed(primals(made), primals(made, "gpu")) == set(made.stages)
    assert "events" in changed(primals(made), primals(pipeline("joins", 32)))
    mix = replace(made.stages["mix"], checkpoint=Checkpoint.RECOMPUTE)
    other = replace(made, stages={**made.stages, "mix": mix})
    assert "mix" in changed(primals(made), primals(other))


MODULE = '''"""Doc."""
import helper.inner

def stage(parameters, inputs):
    """What it does."""
    # a comment
    from helper import late
    return {"y": helper.inner.double(inputs["x"]) + late.one}
'''
INNER = "import helper.deep\n\ndef double(x):\n    return helper.deep.TWO * x\n"


@pytest.fixture
def project(tmp_path):
    """A stage whose helpers stand two modules away."""
    (tmp_path / "helper").mkdir()
    files = {
        "mystage.py": MODULE,
        "helper/__init__.py": "",
        "helper/inner.py": INNER,
        "helper/deep.py": "TWO = 2.0\n",
        "helper/late.py": "one = 1.0\n",
        "unrelated.py": "x = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(folder):
    return code.code_digest(Function("mystage", "stage", folder), Memo(folder / "memo.json"))


@pytest.mark.parametrize(
    ("name", "old", "new", "seen"),
    [
        ("mystage.py", "+ late.one", "- late.one", True),
        ("helper/inner.py", "return", "x = x + 1\n    return", True),
        ("helper/deep.py", "2.0", "3.0", True),
        ("helper/late.py", "1.0", "1.5", True),
        ("helper/__init__.py", "", "flag = 1\n", True),
        ("mystage.py", "# a comment", "# another", False),
        ("mystage.py", "What it does.", "What it did.", False),
        ("mystage.py", '"""Doc."""\n', "\n\n", False),
        ("unrelated.py", "1", "2", False),
    ],
)
def test_code_that_can_change_numbers_changes_the_digest(project, name, old, new, seen):
    before = digest(project)
    path = project / name
    path.write_text(path.read_text().replace(old, new, 1) if old else new)
    assert (digest(project) != before) is seen


def test_taking_a_digest_imports_nothing(project):
    (project / "mystage.py").write_text(MODULE + "\nraise RuntimeError('imported')\n")
    assert digest(project)


def test_stages_of_the_library_see_their_own_helpers():
    made = find(
        "pdf_evolution",
        {"pdf_evolution": "diffpipe.pipelines.physics.pdf.stage:pdf_evolution"},
        None,
        "",
    )
    assert "diffpipe.pipelines.physics.pdf.kernels" in code.local_sources(made, Memo())
    assert "diffpipe.cache.store" not in code.local_sources(made, Memo())


def test_a_resume_on_another_type_of_cpu_is_noticed(store, monkeypatch):
    made = pipeline("curve")
    plan, _ = sweep(store, made)
    assert not make_plan(store, made, Request("backward")).remarks
    monkeypatch.setattr("diffpipe.pipelines.core.demand.cpu_type", lambda: "another")
    (remark,) = make_plan(store, made, Request("backward")).remarks
    assert "another type of CPU" in remark
    assert plan.tasks


def test_a_changed_data_file_changes_what_reads_it(tmp_path):
    shutil.copytree(CASES / "joins", tmp_path / "joins")
    path = tmp_path / "joins" / "target.csv"
    before = primals(assemble(tmp_path / "joins" / "pipeline.yaml"))
    path.write_text(path.read_text().replace("40.0", "40.1"))
    after = primals(assemble(tmp_path / "joins" / "pipeline.yaml"))
    assert changed(before, after) == {"fit"}


def test_a_pipeline_folder_may_move(tmp_path):
    shutil.copytree(CASES / "joins", tmp_path / "elsewhere")
    assert primals(assemble(tmp_path / "elsewhere" / "pipeline.yaml")) == primals(pipeline("joins"))


def test_the_content_of_a_package_that_an_option_names_is_in_the_key(tmp_path):
    """Code that a stage imports by a name in its options counts like its own."""
    package = tmp_path / "generated"
    package.mkdir()
    (package / "classes.py").write_text("SCALE = 1.0\n")
    file = tmp_path / "pipeline.yaml"
    file.write_text(
        """
pipeline: packaged
events: {uses: unit_cube, count: 4, shard: 2, options: {dimensions: 2}}
stages:
  momenta:
    uses: phase_space
    over: events
    inputs: {unit: events.unit}
    options: {masses: [0, 0], energy: 500.0}
  me:
    uses: matrix_element
    over: events
    inputs: {momenta: momenta.momenta}
    options: {process: "e+ e- > mu+ mu-", backend: madjax, package: generated}
"""
    )

    before = primals(assemble(file))
    assert primals(assemble(file)) == before
    (package / "classes.py").write_text("SCALE = 2.0\n")
    assert changed(before, primals(assemble(file))) == {"me"}
