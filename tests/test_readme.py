"""The README: its example runs as it stands, and every command it shows is known to work."""

import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import support

shown = partial(support.diffpipe, cores=None)  # as it stands there
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RUNNING = ("rules", "pipelines/frameworks")
PHYSICS = tuple(f"pipelines/physics/{name}" for name in ("matrix_elements", "pdf", "likelihood"))
LONG = pytest.mark.slow  # what they show compiles for a while
LONG_PAGES = (*PHYSICS, "pipelines/core/sweeps")
PAGES = ["", *RUNNING, *(pytest.param(folder, marks=LONG) for folder in LONG_PAGES)]


def page(folder):
    return (ROOT / folder / "README.md").read_text()


def files(text):
    """The files that a page has for the example, by name."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", text, re.DOTALL))


def commands(text):
    """The commands that a page shows, in order."""
    return [
        line.removeprefix("$ ")
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]


FITS = [command for command in commands(README) if command.startswith("diffpipe fit drell_yan")]
PROFILE = 'diffpipe fit --wrt "*" --profile lifetime'


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The README's example in a folder of its own."""
    folder = tmp_path_factory.mktemp("example")
    for name, text in files(README).items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("folder", PAGES, ids=lambda folder: folder or "README")
def test_every_command_that_is_shown_runs(example, folder):
    """In the example's folder, in order; those on drell_yan are planned only, or run elsewhere."""
    text = page(folder)
    for name, content in files(text).items():
        (example / name).write_text(content)
    for command in commands(text):
        program, *words = shlex.split(command)
        if program == "snakemake":
            assert "Snakefile" in words  # run by test_cli on a small pipeline
            continue
        assert program == "diffpipe"
        if words[0] in ("me", "pdf"):
            done = shown(*words, store=example / "store", cwd=example)
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() in text + README, "what is shown is what it prints"
            continue
        if command in FITS:
            continue  # below
        if command == "diffpipe check":
            words = [*words, "--stage", "counts"]  # whole pipelines are checked by test_check
        if words[0] == "submit" or {"slurm", "--follow"} & set(words):
            continue  # run by test_slurm on a cluster
        if "sin2_theta_eff=0.2314" in words:
            words = [*words, "--dry-run"]
            done = shown(*words, "drell_yan", store=example / "other", cwd=example)
        elif command == PROFILE:  # with it, it runs below
            done = shown(*words[:3], store=example / "store", cwd=example)
        else:
            done = shown(*words, store=example / "store", cwd=example)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout


@pytest.mark.slow  # the densities' derivatives in many parameters take a while to compile
def test_the_fits_that_are_shown_run_and_give_what_is_shown(tmp_path):
    for command in FITS:
        words = shlex.split(command)[1:]
        done = shown(*words, store=tmp_path / "store", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        rows = [row for row in done.stdout.splitlines() if row.startswith(("│ sin2", "chi^2"))]
        assert len(rows) == 2
        assert all(row in README for row in rows)


@pytest.mark.slow  # a fit for each point of the profile
def test_the_profile_that_is_shown_runs(example):
    assert PROFILE in commands(README)
    done = shown(*shlex.split(PROFILE)[1:], store=example / "store", cwd=example)
    assert done.returncode == 0, done.stderr
    assert "lifetime" in done.stdout


@pytest.mark.slow  # three runs
def test_the_gradient_of_the_example_is_that_of_finite_differences(example):
    def run(direction, lifetime):
        words = ["run", direction, "--set", f"lifetime={lifetime}", "--json"]
        return support.document(shown(*words, store=example / "store", cwd=example))

    step = 1e-4
    above, below = (run("forward", 1.6 + each)["objective"]["value"] for each in (step, -step))
    slope = run("backward", 1.6)["gradient"]["lifetime"]
    # step^2 times the third derivative
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-6)


ELECTROWEAK = ["sin2_theta_eff", "m_z"]
ALL = list(support.pipeline("drell_yan").parameters)


@pytest.mark.parametrize(
    "wrt",
    # the pullback of the evolution compiles for a while
    [pytest.param(ELECTROWEAK, id="electroweak"), pytest.param(ALL, marks=LONG, id="all")],
)
def test_the_first_command_differentiates_drell_yan(tmp_path, wrt):
    """As the README has it, in a folder without a pipeline file, on fewer events."""
    words = ["run", "backward", "--events", "512", "--json"]
    words += [] if wrt == ALL else ["--wrt", ",".join(wrt)]
    done = shown(*words, store=tmp_path / "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = support.document(done)
    assert (found["pipeline"], found["objective"]["name"]) == ("drell_yan", "likelihood.chi2")
    assert list(found["gradient"]) == wrt
    assert found["gradient"]["sin2_theta_eff"] != 0
    assert len(found["outputs"]["asymmetry.a4"]) == 63


def test_the_test_line_is_the_one_that_ci_calls():
    line = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"
    assert line in README
    called = (ROOT / ".ci" / "run").read_text().replace("install --quiet", "install")
    assert line in called


def test_the_readmes_python_is_in_the_projects_own_style(example):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--line-length", "100", "decay.py"],
        cwd=example,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
