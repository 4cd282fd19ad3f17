"""`diffpipe init`: what it writes runs as it is, tests itself, and is the same physics in each."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from support import diffpipe, document, needs, sweep
from typer.testing import CliRunner

from diffpipe.cache.errors import UsageError
from diffpipe.cache.store import Store
from diffpipe.cli.app import app
from diffpipe.pipelines.core.assemble import assemble

GRADIENT = {"scale": 199.303918868952, "saturation": 0.0475290846956051}  # of numpy's by hand
BUILDS = shutil.which("g++") is not None and shutil.which("make") is not None


EACH = [
    "jax",
    "numpy",
    pytest.param("command", marks=pytest.mark.skipif(not BUILDS, reason="there is no compiler")),
    pytest.param("torch", marks=needs("torch")),
    pytest.param("tensorflow", marks=needs("tensorflow")),
]


def init(*arguments):
    """Run the command in this process; what it printed."""
    return CliRunner().invoke(app, ["init", *arguments], catch_exceptions=False).output


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """Writes a pipeline and lets it test itself: the folder with its store, and what was said."""

    @cache
    def by(framework):
        folder = tmp_path_factory.mktemp(framework)
        with pytest.MonkeyPatch.context() as here:
            here.chdir(folder)
            here.setenv("DIFFPIPE_STORE", str(folder / "store"))
            here.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # a second less
            here.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
            init("response", "--framework", framework)
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "response"]
            return folder, subprocess.run(command, capture_output=True, text=True, timeout=300)

    return by


@pytest.mark.parametrize("framework", EACH)
def test_a_template_passes_its_own_test_and_has_the_gradient_of_all(tested, framework):
    folder, done = tested(framework)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    store = Store.open(folder / "store")
    plan, executed = sweep(store, assemble(folder / "response" / "pipeline.yaml"))
    assert plan.pipeline == "response"
    assert not executed
    for name, (source,) in plan.gradients.items():
        gradient = store.get(source.key).read(source.array, 0)
        assert gradient == pytest.approx(GRADIENT[name], rel=1e-12)  # sums over 2000 events


@pytest.mark.slow  # a fit
@pytest.mark.skipif(not BUILDS, reason="there is no compiler here")
def test_a_template_can_be_fitted(tested):
    folder, _ = tested("command")
    command = ["fit", "response", "--wrt", "scale", "--cores", "1", "--json"]
    done = diffpipe(*command, store=folder / "store", cwd=folder)
    assert done.returncode == 0, done.stderr
    scale = document(done)["parameters"]["scale"]
    # the counts are drawn at a scale of 0.97 and a saturation of 250 GeV, not 300
    assert abs(scale["value"] - 0.97) < 3 * scale["error"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_written_is_listed_with_what_to_do_next(here):
    said = init("toy", "--framework", "numpy").splitlines()
    files = sorted(path.name for path in (here / "toy").iterdir())
    assert files == ["README.md", "counts.csv", "pipeline.yaml", "smear.py", "test_stage.py"]
    assert [line.strip() for line in said] == [
        *(f"toy/{name}" for name in files),
        "next:",
        "cd toy",
        "diffpipe run backward",
    ]
    assert "PIPELINE_NAME" not in "".join(path.read_text() for path in (here / "toy").iterdir())


@pytest.mark.parametrize("framework", ["jax", "torch", "tensorflow", "numpy", "command"])
def test_every_framework_says_what_it_needs(here, framework, monkeypatch):
    monkeypatch.setattr("diffpipe.cli.init.find_spec", lambda _: None)
    said = init("toy", "-f", framework)
    assert (f"pip install 'diffpipe[{framework}]'" in said) == (
        framework in ("torch", "tensorflow")
    )
    assert ("&& make" in said) == (framework == "command")
    assert (here / "toy" / "README.md").read_text().startswith("# toy\n")


def test_a_program_that_is_not_built_yet_is_said(here):
    init("toy", "--framework", "command")
    done = diffpipe("run", "backward", "toy", store=here / "store")
    assert done.returncode == 2
    assert "there is no program './smear'" in done.stderr
    assert "build it first" in done.stderr


@pytest.mark.parametrize("name", ["two words", "../up", "a/b", "", "-x", "7up", "größe", "a.b"])
def test_a_name_that_is_no_plain_word_is_refused(here, name):
    with pytest.raises(UsageError, match="is no name of a pipeline"):
        init("--", name)
    assert not list(here.iterdir())


def test_a_folder_that_is_not_empty_is_left_alone(here):
    (here / "toy").mkdir()
    (here / "toy" / "thesis.tex").write_text("years of work")
    (here / "file").write_text("")
    for name in ("toy", "file"):
        with pytest.raises(UsageError, match="exists and is not an empty folder"):
            init(name)
    assert [path.name for path in (here / "toy").iterdir()] == ["thesis.tex"]
    (here / "empty").mkdir()
    init("empty")
    assert (here / "empty" / "pipeline.yaml").exists()


def test_an_unknown_framework_is_refused_with_the_nearest(here):
    with pytest.raises(UsageError, match="no framework 'tensorflwo'") as caught:
        init("toy", "--framework", "tensorflwo")
    assert caught.value.hint == "did you mean tensorflow?"
    assert not list(here.iterdir())


def test_a_folder_that_cannot_be_written_is_said(here):
    (here / "toy").symlink_to(here / "nowhere" / "else")
    with pytest.raises(UsageError, match="cannot write toy"):
        init("toy")
