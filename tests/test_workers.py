"""Warm workers: they stay, they die alone, and an interrupt ends them all."""

import contextlib
import os
import signal
import time

import psutil
import pytest
import support
from support import bits, diffpipe, document, executions, started, sweep

from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Request, make_plan

SLOW = support.CASES / "slow" / "pipeline.yaml"
PATIENCE_SECONDS = 60


def wait_until(run, happens):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happens() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert happens(), run.communicate()


def workers(run):
    """The worker processes of a run, by name."""
    found = {}
    for child in psutil.Process(run.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may end meanwhile
            command = child.cmdline()
            if "serve" in command:
                found[command[command.index("serve") + 1]] = child
    return found


def computed(store, name="worker-*"):
    """How many shards the workers of this name have noted."""
    return sum(
        path.read_bytes().count(b"\n") for path in store.glob(f"runs/*/records/{name}.jsonl")
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = Store.open(tmp_path_factory.mktemp("undisturbed") / "store")
    plan, _ = sweep(store, support.assemble(SLOW))
    return bits(store, plan)


def bits_of(folder):
    store = Store.open(folder)
    return bits(store, make_plan(store, support.assemble(SLOW), Request("backward")))


def test_many_tasks_share_a_process_per_core(tmp_path, undisturbed):
    done = diffpipe("run", "backward", str(SLOW), "--cores", "2", "--jobs", "24", store=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "25 tasks" in done.stderr
    assert len(list(tmp_path.glob("runs/*/records/*.jsonl"))) == 2
    assert len({place for place, _ in executions(Store(tmp_path))}) == 7
    assert bits_of(tmp_path) == undisturbed


def test_a_worker_that_dies_takes_down_its_own_task_only_and_that_is_tried_again(
    tmp_path, undisturbed
):
    run = started(SLOW, tmp_path, "--cores", "2")
    wait_until(
        run, lambda: computed(tmp_path, "worker-0") > 2 and computed(tmp_path, "worker-1") > 2
    )
    neighbour = workers(run)["worker-1"]
    workers(run)["worker-0"].kill()
    wait_until(run, lambda: "worker-2" in workers(run))
    assert neighbour.is_running()
    out, err = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, out + err
    assert bits_of(tmp_path) == undisturbed
    repeated = executions(Store(tmp_path))
    assert len(repeated) - len(set(repeated)) <= 1  # the shard in flight


@pytest.mark.slow  # three runs; one death is tested above
def test_a_task_whose_worker_dies_twice_is_named_and_nothing_is_lost(tmp_path, undisturbed):
    run = started(SLOW, tmp_path, "--cores", "1")
    wait_until(run, lambda: computed(tmp_path, "worker-0") > 2)
    workers(run)["worker-0"].kill()
    wait_until(run, lambda: computed(tmp_path, "worker-1") > 0)
    workers(run)["worker-1"].kill()
    out, err = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 1, err
    error = support.json.loads(out)["error"]
    assert "the worker of task 00-events-" in error["message"]
    assert "killed, or out of memory?" in error["message"]
    again = diffpipe("run", "backward", str(SLOW), "--json", store=tmp_path)
    assert again.returncode == 0, again.stderr
    assert document(again)["stages"]["path"]["forward"]["reused"] > 0
    assert bits_of(tmp_path) == undisturbed


MOMENTS = {
    "while it plans": lambda store: list(store.glob("runs/*/plan.json")),
    "while workers start": lambda store: list(store.glob("runs/*/logs/worker-1.log")),
    "while shards are computed": lambda store: computed(store) > 5,
}


@pytest.mark.parametrize(
    "by", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_ends_the_run_and_its_workers_and_says_how_to_go_on(tmp_path, by, moment):
    run = started(SLOW, tmp_path)
    wait_until(run, lambda: MOMENTS[moment](tmp_path))
    at_work = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(by)
    out, err = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 130, err
    assert support.json.loads(out)["error"]["kind"] == "interrupted"
    assert "same command" in err
    assert not [each for each in at_work if each.is_running()]
    assert diffpipe("cache", "verify", store=tmp_path).returncode == 0


def test_workers_end_when_the_run_that_started_them_is_killed(tmp_path):
    run = started(SLOW, tmp_path)
    wait_until(run, lambda: computed(tmp_path) > 5)
    left = list(workers(run).values())
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    gone, alive = psutil.wait_procs(left, timeout=PATIENCE_SECONDS)
    assert gone
    assert not alive
