"""The command line, as a user meets it: real processes, real Snakemake, real files."""

# ruff: noqa: E501 (one case a line reads better)

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import support
from support import diffpipe, document

from diffpipe.cache import keys, lock
from diffpipe.cache.store import Store
from diffpipe.cli.modes import Along
from diffpipe.cli.options import Chosen, arguments
from diffpipe.pipelines.core.plan import Request

ROOT = Path(__file__).parent.parent
CURVE = str(support.CASES / "curve" / "pipeline.yaml")


def test_the_options_of_a_submitted_run_are_those_of_the_command():
    given = Chosen(pipeline="p.yaml", settings=["a=1", "b=[2,3]"], events=4)
    asked = Along(of="fit.chi2", along="a=1,b=[0,1]", seed=3, force=True, save=Path("x.npz"))
    words = ["p.yaml", "--set", "a=1", "--set", "b=[2,3]", "--events", "4", "--of", "fit.chi2"]
    words += ["--force", "--along", "a=1,b=[0,1]", "--seed", "3", "--save", "x.npz"]
    assert arguments(given, asked) == words


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A store after `diffpipe run backward curve`, and what the command printed."""
    store = tmp_path_factory.mktemp("cli") / "store"
    done = diffpipe("run", "backward", CURVE, "--json", store=store)
    assert done.returncode == 0, done.stderr
    return store, document(done)


def test_the_json_document_has_what_it_promises(ran):
    store, found = ran
    assert found["pipeline"] == "curve"
    assert found["direction"] == "backward"
    assert found["objective"]["name"] == "area.area"
    assert set(found["gradient"]) == {"height", "rate"}
    assert found["outputs"]["area.area"] == found["objective"]["value"]
    assert found["stages"]["points"] == {
        "forward": {"executed": 5, "reused": 0},
        "backward": {"executed": 5, "reused": 0},
    }
    assert found["store"] == str(store)
    assert found["seconds"] > 0


def test_the_unchanged_rerun_computes_nothing_and_imports_neither_jax_nor_snakemake(ran):
    store, first = ran
    script = (
        "import sys; sys.argv = ['diffpipe', 'run', 'backward', %r, '--json']\n"
        "from diffpipe.cli.app import main\n"
        "try: main()\n"
        "finally: print(sorted({'jax', 'snakemake', 'zarr', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script % CURVE],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"DIFFPIPE_STORE": str(store)},
    )
    assert done.stderr.strip().endswith("[]")
    again = document(done)
    assert again["gradient"] == first["gradient"]
    assert all(
        sweep["executed"] == 0 for stage in again["stages"].values() for sweep in stage.values()
    )
    assert again["stages"]["points"]["forward"]["reused"] == 5


def test_help_imports_neither_jax_nor_snakemake():
    script = (
        "import sys; sys.argv = ['diffpipe', '--help']\n"
        "from diffpipe.cli.app import main\n"
        "try: main()\n"
        "finally: print(sorted({'jax', 'snakemake', 'rich', 'yaml'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "Run a sweep" in done.stdout
    assert done.stderr.strip() == "[]"


def test_the_table_names_parameters_values_and_units(ran):
    done = diffpipe("run", "backward", CURVE, store=ran[0])
    assert done.returncode == 0
    assert re.search(r"height\s*│\s*2\s*│\s*pb\s*│\s*\+", done.stdout)
    assert "area.area = " in done.stdout
    assert "nothing to compute" in done.stdout


def test_a_forward_run_reuses_the_backward_runs_primals(ran):
    done = diffpipe("run", "forward", CURVE, "--json", store=ran[0])
    assert document(done)["stages"]["area"]["forward"] == {"executed": 0, "reused": 5}
    assert "gradient" not in document(done)


def test_a_dry_run_says_what_would_run_and_writes_nothing(tmp_path):
    done = diffpipe("run", "backward", CURVE, "--dry-run", "--json", store=tmp_path / "none")
    points = document(done)["steps"]["points:primal"]
    assert (points["reused"], points["to_run"], points["bytes"]) == (0, 5, 45 * 8)
    assert not (tmp_path / "none").exists()
    table = diffpipe("run", "backward", CURVE, "--dry-run", store=tmp_path / "none")
    assert "MB to write" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "says"),
    [
        (["run", "backward", "drell_yn"], 2, "usage", "did you mean drell_yan"),
        (["run", "backward", CURVE, "--wrt", "hight"], 2, "usage", "did you mean height"),
        (["run", "backward", CURVE, "--set", "rate=x"], 2, "usage", "name=value"),
        (["run", "backward", CURVE, "--set", "rat=1"], 2, "usage", "did you mean rate"),
        (["run", "backward", CURVE, "--set", "rate=[1,2]"], 2, "usage", "shape"),
        (["run", "backward", CURVE, "--of", "points.y"], 2, "usage", "per event"),
        (["run", "backward", CURVE, "--events", "0"], 2, "usage", "at least one"),
        (["run", "backward", str(ROOT / "LICENSE")], 2, "pipeline", "LICENSE"),
        (
            ["run", "backward", CURVE, "--store", "/proc/nowhere"],
            1,
            "store|unwritable_store",
            "/proc",
        ),
    ],
)
def test_mistakes_end_in_words_and_the_right_exit_code(tmp_path, arguments, code, kind, says):
    done = diffpipe(*arguments, "--json", store=tmp_path)
    error = document(done)["error"]
    assert done.returncode == code
    assert re.fullmatch(kind, error["kind"])
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert set(error) >= {"kind", "message", "stage", "shard"}


def test_bad_options_are_usage_errors_with_one_json_document():
    done = diffpipe("run", "backward", "--cores", "0", "--json", store=Path("unused"))
    assert done.returncode == 2
    assert document(done)["error"]["kind"] == "usage"


def test_a_failing_stage_is_named_and_its_finished_shards_are_kept(tmp_path):
    (tmp_path / "code.yaml").write_text(Path(CURVE).read_text())
    source = (support.CASES / "curve" / "stages.py").read_text()
    broken = source.replace("    del seed\n", '    del seed\n    assert start < 27, "no more"\n', 1)
    (tmp_path / "stages.py").write_text(broken)
    done = diffpipe("run", "backward", str(tmp_path / "code.yaml"), "--json", store=tmp_path / "s")
    error = document(done)["error"]
    assert (done.returncode, error["kind"], error["stage"], error["shard"]) == (
        1,
        "stage",
        "events",
        3,
    )
    assert "no more" in error["message"]
    (tmp_path / "stages.py").write_text(source.replace("del seed", "del seed  # mended"))
    status = diffpipe("status", str(tmp_path / "code.yaml"), "--json", store=tmp_path / "s")
    assert document(status)["runs"][-1]["state"] == "failed"


def test_two_runs_on_one_store_the_second_is_told_who_works_there(ran, tmp_path):
    store = Store.open(tmp_path / "busy")
    with lock.hold(store):
        done = diffpipe("run", "backward", CURVE, "--json", store=store.root)
    assert done.returncode == 1
    assert document(done)["error"]["kind"] == "busy_store"
    assert f"pid {os.getpid()}" in done.stderr
    with lock.hold(Store.open(ran[0])):  # nothing to compute needs no lock
        assert diffpipe("run", "backward", CURVE, "--json", store=ran[0]).returncode == 0


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / "store.json").write_text(json.dumps({"format": keys.STORE_FORMAT + 7}))
    done = diffpipe("run", "backward", CURVE, "--json", store=tmp_path)
    assert document(done)["error"]["kind"] == "newer_store"
    assert "upgrade" in done.stderr


def test_status_graph_and_show_speak(ran):
    status = document(diffpipe("status", CURVE, "--json", store=ran[0]))
    assert status["stages"]["points"] == {"forward": [5, 5], "backward": [5, 5]}
    assert status["runs"][-1]["state"] == "done"
    assert status["at_work"] is None
    assert "y <- points.y" in diffpipe("graph", CURVE, store=ran[0]).stdout
    dot = diffpipe("graph", CURVE, "--format", "dot", store=ran[0]).stdout
    assert '"height" -> "points" [label="scaled"]' in dot
    svg = diffpipe("graph", CURVE, "--format", "svg", store=ran[0]).stdout
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    shown = document(diffpipe("show", CURVE, "--json", store=ran[0]))
    assert shown["stages"]["points"]["outputs"]["y"] == {
        "shape": [40],
        "dtype": "float64",
        "unit": "1",
    }
    assert shown["parameters"]["height"] == {"value": 2.0, "unit": "pb", "fit": False}


def test_cache_lists_verifies_and_collects(ran, tmp_path):
    import shutil

    shutil.copytree(ran[0], tmp_path / "copy")
    store = tmp_path / "copy"
    listed = document(diffpipe("cache", "ls", "--json", store=store))["artefacts"]
    assert {each["kind"] for each in listed} == {"primal", "pullback", "reduction"}
    chunk = next(store.glob("objects/*/y/c.2"))
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    done = diffpipe("cache", "verify", store=store)
    assert done.returncode == 1
    assert "points primal y shard 2" in done.stdout
    assert diffpipe("cache", "verify", store=store).returncode == 0
    kept = document(diffpipe("cache", "gc", "--json", store=store))
    assert kept["removed"] == []
    gone = document(diffpipe("cache", "gc", "--keep-runs", "0", "--json", store=store))
    assert len(gone["removed"]) == len(listed)
    assert Store.open(store).artefact_keys() == []


def test_plain_snakemake_runs_the_same_sweep(ran, tmp_path):
    settings = [f"pipeline={CURVE}", "direction=backward", f"store={tmp_path / 'store'}"]
    settings.append("jobs=1")  # each is a process
    done = subprocess.run(
        [
            *f"{sys.executable} -m snakemake --cores 2 -s {ROOT / 'Snakefile'} --config".split(),
            *settings,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    made = support.pipeline("curve")
    plans = [
        support.make_plan(Store.open(s), made, Request("backward"))
        for s in (ran[0], tmp_path / "store")
    ]
    assert plans[1].tasks == []
    assert support.bits(Store.open(ran[0]), plans[0]) == support.bits(
        Store.open(tmp_path / "store"), plans[1]
    )
