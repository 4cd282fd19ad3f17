"""Law 5 by the real command: killed, crowded, collected, write-protected or full, nothing is lost.

`tests/chaos.py` makes as many kills as one likes; here are a few of them.
"""

import os
import shutil
import subprocess
import sys

import chaos
import pytest
import support
from support import bits, diffpipe, document, executions, sweep

from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.rules import runs

KILLS = 6
SHARDS = 40
SMALL = chaos.Sweep(events=64 * SHARDS)
CURVE = support.CASES / "curve" / "pipeline.yaml"
SAME = ("objective", "gradient", "outputs")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    return chaos.Calm.measure(SMALL, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.slow  # many kills; test_resume has some
def test_law_5_a_sweep_killed_at_random_moments_ends_with_the_same_store(calm, tmp_path):
    rounds = [*chaos.experiment(tmp_path, calm, KILLS, seed=1)]
    print(chaos.summary(rounds))
    assert not [str(each) for each in rounds if each.wrong]
    assert sum(len(each.kills) for each in rounds) == KILLS


# --- two runs at once


@pytest.mark.slow  # two whole runs
def test_of_two_runs_on_one_store_one_is_refused_and_one_that_waits_ends_with_the_same(tmp_path):
    store = Store(tmp_path / "store")
    with chaos.started(SMALL, tmp_path) as first:
        while not runs.all_runs(store):  # asking for the lock's holder would hold it for a moment
            assert first.is_at_work(0.02), (tmp_path / "err").read_text()
        refused = diffpipe(*SMALL.arguments, store=store.root)
        waited = diffpipe(*SMALL.arguments, "--wait", store=store.root)
        assert not first.is_at_work(chaos.PATIENCE_SECONDS)
    assert refused.returncode == 1
    assert document(refused)["error"]["kind"] == "busy_store"
    for other in (refused, waited):
        assert f"pid {first.head.pid} on" in other.stderr
    assert waited.returncode == first.head.returncode == 0
    assert [document(waited)[each] for each in SAME] == [first.document()[each] for each in SAME]
    assert chaos.executed(document(waited)) == 0


# --- garbage collection, killed


# `diffpipe cache gc`, killed before one of the names it changes on the disk.
COLLECTOR = """
import os, signal, sys
from diffpipe.cli.app import main
left = int(sys.argv.pop(1))
def look(event, _):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir"):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(look)
main()
"""


def collect(store, killed_before):
    command = [sys.executable, "-c", COLLECTOR, str(killed_before), "cache", "gc", "--json"]
    own = os.environ | {"DIFFPIPE_STORE": str(store.root)}
    return subprocess.run(command, env=own, capture_output=True, text=True).returncode


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """A store with sweeps of the joins at two points; the plans, and their bits."""
    store = Store.open(tmp_path_factory.mktemp("twice") / "store")
    points = [support.with_values(support.pipeline("joins"), slope=0.6), support.pipeline("joins")]
    plans = [sweep(store, made)[0] for made in points]
    partial = next(store.layout.objects.rglob("c.0")).with_name("c.0.1234.partial")
    partial.write_bytes(b"half")
    return store, points, [bits(store, plan) for plan in plans]


def test_runs_of_one_second_keep_their_order(store):
    """gc keeps what the last run of a pipeline used."""
    plan = make_plan(store, support.pipeline("curve"), Request("backward"))
    names = [runs.start_run(store, plan).folder.name for _ in range(20)]
    assert names == sorted(names)


@pytest.mark.parametrize("killed_before", [1, 2, 20, 150, 310])
def test_a_killed_gc_is_finished_by_the_next_and_costs_nothing(twice, tmp_path, killed_before):
    shutil.copytree(twice[0].root, tmp_path / "store")
    store, (old, kept), expected = Store.open(tmp_path / "store"), *twice[1:]
    assert collect(store, killed_before) == -9
    plan = make_plan(store, kept, Request("backward"))
    assert plan.tasks == []
    assert bits(store, plan) == expected[1]
    assert diffpipe("cache", "gc", store=store.root).returncode == 0
    mine = {key for step in plan.steps for key in (step.key, step.residuals) if key}
    assert set(store.artefact_keys()) == mine
    assert not store.layout.staging.exists()
    assert not [*store.root.rglob("*.partial")]
    assert diffpipe("cache", "verify", store=store.root).returncode == 0
    again, _ = sweep(store, old)
    assert bits(store, again) == expected[0]


# --- disks


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, and a function that mounts it with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    yield folder, remount
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def protected(disk):
    """A finished run, and a function that runs it again, on a store that is write-protected."""
    folder, remount = disk
    run = ["run", "backward", str(CURVE), "--json"]
    first = diffpipe(*run, store=folder / "store")

    def again(*options):
        remount("ro")
        return diffpipe(*run, *options, store=folder / "store")

    return first, again


def test_a_complete_store_may_be_write_protected(protected):
    first, again = protected
    done = again()
    assert done.returncode == 0, done.stderr
    assert [document(done)[each] for each in SAME] == [document(first)[each] for each in SAME]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("objects/*/gradient.rate/c", marks=pytest.mark.slow),
        "objects/*/area/c",
        "nothing",
    ],
)
def test_what_a_write_protected_store_lacks_is_an_error(disk, protected, lost):
    for path in (disk[0] / "store").glob(lost):
        path.unlink()
    done = protected[1](*(["--set", "rate=0.8"] if lost == "nothing" else []))
    assert done.returncode == 1
    assert document(done)["error"]["kind"] == "unwritable_store"
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow  # a sweep that nothing disturbs, to compare with
@pytest.mark.parametrize("size", ["96k", "2m"], ids=["at once", "in the middle"])
def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(disk, calm, size):
    folder, remount = disk
    store = Store(folder / "store")
    remount(f"size={size}")
    full = diffpipe(*SMALL.arguments, store=store.root)
    assert full.returncode == 1
    assert document(full)["error"]["kind"] == "unwritable_store", full.stderr
    assert "No space left" in full.stderr
    stored = len(executions(store))
    assert (0 < stored < calm.slots) == (size == "2m")
    remount("size=50m")
    assert diffpipe(*SMALL.arguments, store=store.root).returncode == 0
    assert SMALL.bits(store) == calm.bits
