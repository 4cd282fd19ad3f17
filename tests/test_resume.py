"""Laws 5 and 6: killed anywhere, a run goes on where it was; what is damaged is noticed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import support
from support import bits, diffpipe, document, executions, pipeline, sweep

from diffpipe.cache.errors import DamagedError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.results import read_results

KILLS = 20
JOINS = str(support.CASES / "joins" / "pipeline.yaml")
CURVE = str(support.CASES / "curve" / "pipeline.yaml")

# All tasks of a request in one process, as in `support.sweep`: most of its time it computes and
# writes, so that kills land there and not in the imports of a dozen processes.
WORKER = """
import sys
from pathlib import Path
import msgspec
import diffpipe.rules.machine as machine
machine.prepare("cpu")
sys.path.insert(0, sys.argv[2])
import support
from diffpipe.cache.store import Store
store = Store.open(Path(sys.argv[1]))
request = msgspec.json.decode(sys.argv[5], type=support.Request)
print("ready", flush=True)
support.sweep(store, support.pipeline(sys.argv[3], int(sys.argv[4])), request)
"""


def start_worker(store, name, shard, request):
    command = [sys.executable, "-c", WORKER, str(store.root), str(Path(__file__).parent), name]
    return subprocess.Popen(
        [*command, str(shard), msgspec.json.encode(request).decode()],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def progress(store):
    """How many slots have been recorded."""
    return sum(path.read_bytes().count(b"\n") for path in store.root.glob("runs/*/records/*"))


def kill_after(worker, store, slots, delay):
    """SIGKILL a worker some slots and some milliseconds on from here."""
    goal = progress(store) + slots
    while progress(store) < goal and worker.poll() is None:
        time.sleep(0.001)
    time.sleep(delay)
    with worker.stdout:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


GRADIENT, PRODUCT = Request("backward"), Request("hvp", along={"width": 1.0})
KILLED = [
    ("joins", 1, 2, GRADIENT),
    ("joins", 2, 2, PRODUCT),  # with its tangents, pullbacks and their tangents
    pytest.param("joins", 1, KILLS, GRADIENT, marks=pytest.mark.slow),
    pytest.param("drell_yan", 32, 2, GRADIENT, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "shard", "kills", "request_"), KILLED)
def test_law_5_kill_9_at_random_moments_leaves_the_same_bits(
    tmp_path, name, shard, kills, request_
):
    made = pipeline(name, shard)
    undisturbed, store = Store.open(tmp_path / "undisturbed"), Store.open(tmp_path / "killed")
    assert start_worker(undisturbed, name, shard, request_).communicate()
    total = progress(undisturbed)

    moments = random.Random(5)
    for _ in range(kills):
        worker = start_worker(store, name, shard, request_)
        worker.stdout.readline()
        slots = moments.randint(0, total // (kills + 2))  # never all of them
        kill_after(worker, store, slots, moments.uniform(0.0, 0.01))
    assert make_plan(store, made, request_).tasks, "no kill interrupted anything"
    assert start_worker(store, name, shard, request_).communicate()

    plans = [make_plan(each, made, request_) for each in (undisturbed, store)]
    assert bits(store, plans[1]) == bits(undisturbed, plans[0])
    products = [
        read_results(*each).products for each in zip((undisturbed, store), plans, strict=True)
    ]
    assert products[0] == products[1]
    repeated = executions(store)
    assert len(repeated) - len(set(repeated)) <= kills  # at most the slot in flight, each time
    assert len(set(repeated)) >= total - kills  # written, but killed before it was said


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store with a finished sweep of the joins, its plan and its bits."""
    store = Store.open(tmp_path_factory.mktemp("finished") / "store")
    plan, _ = sweep(store, pipeline("joins"))
    return store, bits(store, plan)


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished[0].root, tmp_path / "copy")
    return Store.open(tmp_path / "copy")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def sweep_until_sound(store, made, request=None):
    """As a run does: plan anew as long as damage is found."""
    found = 0
    while True:
        try:
            return (*sweep(store, made, request), found)
        except DamagedError:
            found += 1
            assert found < 30


@pytest.mark.parametrize("hurt", [flip, truncate, Path.unlink])
@pytest.mark.parametrize("stage", ["events", "warp", "mix"])
def test_law_6_a_damaged_chunk_is_noticed_before_it_is_used(copy, hurt, stage):
    made = pipeline("joins")
    plan = make_plan(copy, made, Request("backward"))
    step = plan.step(f"{stage}:primal")
    artefact = copy.get(step.key)
    for name in artefact.specs:
        hurt(artefact._chunk(name, 2))
    # Everything downstream is asked again at another point, so the damaged shard is read.
    moved = support.with_values(made, width=0.26, matrix=((1.0, 0.2), (-0.3, 0.81)), slope=0.7)
    if stage == "mix":
        moved = support.with_values(made, offsets=(0.1, -0.4, 1.3), width=0.26)
    plan, _, noticed = sweep_until_sound(copy, moved)
    fresh = Store.open(copy.root.parent / "fresh")
    expected, _ = sweep(fresh, moved)
    assert bits(copy, plan) == bits(fresh, expected)
    if hurt is not Path.unlink and stage != "mix":
        assert noticed
        assert (copy.layout.damaged / "log.jsonl").exists()


@pytest.mark.parametrize("name", ["zarr.json", "value/zarr.json"])
@pytest.mark.parametrize("hurt", [truncate, Path.unlink])
def test_law_6_an_artefact_without_its_manifest_is_made_again(copy, finished, name, hurt):
    made = pipeline("joins")
    plan = make_plan(copy, made, Request("backward"))
    hurt(copy.get(plan.step("join:primal").key).folder / name)
    plan, executed = sweep(copy, made, Request("forward"))
    assert executed["join", "primal"] == made.stages["join"].slots
    plan, _ = sweep(copy, made)
    assert bits(copy, plan) == finished[1]


def test_damaged_results_are_computed_again_by_the_same_command(tmp_path):
    first = diffpipe("run", "backward", CURVE, "--json", store=tmp_path)
    assert first.returncode == 0, first.stderr
    for path in tmp_path.glob("objects/*/gradient.rate/c"):
        flip(path)
    for path in tmp_path.glob("objects/*/area/c"):
        flip(path)
    second = diffpipe("run", "backward", CURVE, "--json", store=tmp_path)
    assert second.returncode == 0, second.stderr
    assert document(second)["gradient"] == document(first)["gradient"]
    assert document(second)["objective"] == document(first)["objective"]
    assert "damaged" in second.stderr
