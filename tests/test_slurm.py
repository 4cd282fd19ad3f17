"""A real Slurm cluster: jobs, pilots, and what goes wrong with them."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import support
from cluster import slurm_cluster
from support import bits, diffpipe, document, executions, started, sweep

from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Request, make_plan

ROOT = Path(__file__).parent.parent
CURVE = support.CASES / "curve" / "pipeline.yaml"
SLOW = support.CASES / "slow" / "pipeline.yaml"
ON_SLURM = ("--profile", "slurm", "--partition", "debug")
PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="dp"))  # a socket's path has at most 107 characters
    try:
        with slurm_cluster(folder) as started:
            yield started
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def idle(cluster):
    """The cluster, without jobs of the test before."""
    cluster.clear()
    return cluster


def undisturbed(pipeline, folder):
    store = Store.open(folder / "undisturbed")
    plan, _ = sweep(store, support.assemble(pipeline))
    return bits(store, plan)


def bits_of(pipeline, folder):
    store = Store.open(folder)
    return bits(store, make_plan(store, support.assemble(pipeline), Request("backward")))


def wait_until(happens):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happens():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.1)


def computed(store):
    return len(executions(Store(store)))


@pytest.mark.slow  # jobs that wait for each other
def test_each_task_is_a_job_with_what_its_stages_ask_for(idle, tmp_path):
    run = started(SLOW, tmp_path, *ON_SLURM, "--jobs", "3", "--time", "7 min")
    wait_until(lambda: len(idle.jobs()) >= 3)
    asked = set(idle.jobs("%C %m %l %P"))
    names = set(idle.jobs("%j"))
    (at_work,) = document(diffpipe("status", str(SLOW), "--json", store=tmp_path))["runs"]
    _, err = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, err
    assert asked == {"1 500M 7:00 debug"}
    assert at_work["state"] == "at work"
    assert sum(at_work["tasks"].values()) == 4  # queued, running, finished, failed or to come
    assert all(name.startswith("diffpipe-") for name in names)
    assert bits_of(SLOW, tmp_path) == undisturbed(SLOW, tmp_path)
    assert len(executions(Store(tmp_path))) == 24 * 5 + 2
    assert idle.jobs() == []


def test_a_pilot_runs_everything_in_one_job_and_status_follows_it(idle, tmp_path):
    sent = diffpipe("submit", "backward", str(SLOW), "--cores", "2", "--json", store=tmp_path)
    assert sent.returncode == 0, sent.stderr
    job = document(sent)["job"]
    (queued,) = document(diffpipe("status", str(SLOW), "--json", store=tmp_path))["queue"]
    assert queued["number"] == job
    followed = diffpipe("status", str(SLOW), "--follow", store=tmp_path)
    assert "slots of 7 steps to compute" in followed.stderr
    wait_until(lambda: not idle.jobs())
    (ended,) = document(diffpipe("status", str(SLOW), "--json", store=tmp_path))["runs"]
    assert (ended["state"], ended["job"]) == ("done", job)
    assert bits_of(SLOW, tmp_path) == undisturbed(SLOW, tmp_path)
    assert {path.stem for path in tmp_path.glob("runs/*/records/*")} == {"worker-0", "worker-1"}


@pytest.mark.slow  # Slurm starts anew, with a GPU that is none
@pytest.mark.usefixtures("idle")
def test_a_gpu_stage_is_given_one_and_says_where_it_computes(tmp_path):
    store = tmp_path / "store"
    options = (*ON_SLURM, "--json", "--jobs", "1", "--gpus-per-job", "1")
    done = diffpipe("run", "backward", str(CURVE), *options, store=store)
    assert done.returncode == 0, done.stderr
    assert "stage points asks for a GPU and runs on the CPU" in done.stderr
    logs = [path.read_text() for path in store.glob("runs/*/logs/*.log")]
    assert any("computing on the CPU" in text and "GPUs given: 0" in text for text in logs)
    assert bits_of(CURVE, store) == undisturbed(CURVE, tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mem", "1 TB"], "--mem=1048576M"),
        (["--gpus-per-job", "9"], "--gpus=9"),
        (["--partition", "nosuch"], "nosuch"),
        (["--partition", "short", "--time", "10 min"], "--time=10"),
    ],
)
@pytest.mark.parametrize("command", [("run", "backward"), ("submit", "backward")])
def test_what_the_cluster_can_never_do_is_said_at_once(idle, tmp_path, command, options, words):
    profile = ["--profile", "slurm"] if command[0] == "run" else []
    start = time.monotonic()
    done = diffpipe(*command, str(CURVE), *profile, *options, "--json", store=tmp_path)
    assert done.returncode == 1, done.stdout
    assert document(done)["error"]["kind"] == "cluster"
    assert "can never run" in done.stderr
    assert words in done.stderr
    assert time.monotonic() - start < 30  # a loaded machine takes some seconds to start Python
    assert idle.jobs() == []


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_what_was_submitted(idle, tmp_path, by):
    run = started(SLOW, tmp_path, *ON_SLURM, "--jobs", "6")
    wait_until(lambda: len(idle.jobs()) == 6)
    run.send_signal(by)
    out, err = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 130, err
    assert support.json.loads(out)["error"]["kind"] == "interrupted"
    wait_until(lambda: not idle.jobs())
    assert not list(tmp_path.glob("runs/*/jobs"))


@pytest.mark.slow  # a cluster that starts anew, and waits
def test_jobs_of_a_killed_run_are_settled_before_another_writes(idle, tmp_path):
    run = started(SLOW, tmp_path, *ON_SLURM, "--jobs", "6")
    wait_until(lambda: computed(tmp_path) > 0)
    run.kill()
    run.communicate()
    assert idle.jobs("%T").count("RUNNING") >= 1
    again = diffpipe("run", "backward", str(SLOW), "--json", store=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "was killed and left Slurm jobs" in again.stderr
    assert bits_of(SLOW, tmp_path) == undisturbed(SLOW, tmp_path)
    everything = executions(Store(tmp_path))
    assert len(everything) == len(set(everything))  # what still ran has finished its work
    assert idle.jobs() == []


@pytest.mark.slow  # a cluster that starts anew, and waits
def test_a_cancelled_job_is_named_and_the_same_command_goes_on(idle, tmp_path):
    run = started(SLOW, tmp_path, *ON_SLURM, "--jobs", "2")
    wait_until(lambda: computed(tmp_path) > 2)
    victim = idle.jobs("%i")[0]
    idle.ask("scancel", victim)
    out, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 1, out
    message = support.json.loads(out)["error"]["message"]
    assert message.startswith(f"Slurm job {victim} of task 00-events-")
    assert message.endswith("ended: cancelled")
    again = diffpipe("run", "backward", str(SLOW), "--json", store=tmp_path)
    assert again.returncode == 0, again.stderr
    assert document(again)["stages"]["path"]["forward"]["reused"] > 0
    assert bits_of(SLOW, tmp_path) == undisturbed(SLOW, tmp_path)


@pytest.mark.usefixtures("idle")
def test_every_command_of_the_documentation_runs_on_a_cluster(tmp_path):
    page = (ROOT / "rules" / "README.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    commands = [shlex.split(line)[2:] for block in blocks for line in block.splitlines()]
    assert len(commands) == 4
    for words in commands:
        done = diffpipe(*words, store=tmp_path, cwd=CURVE.parent)
        assert done.returncode == 0, f"{words}\n{done.stderr}"


@pytest.mark.slow  # twenty jobs
@pytest.mark.usefixtures("idle")
def test_a_fit_of_jobs_is_the_fit_of_this_machine(tmp_path):
    line = str(support.CASES / "line" / "pipeline.yaml")
    words = ("fit", line, "--minimizer", "gauss-newton", "--jobs", "2", "--json")
    here = document(diffpipe(*words, store=tmp_path / "here"))
    jobs = document(diffpipe(*words, "--on", "slurm", "--partition", "debug", store=tmp_path / "s"))
    for name in ("parameters", "objective", "covariance", "calls"):
        assert jobs[name] == here[name]


@pytest.mark.slow  # Snakemake's stock plugin asks Slurm every 40 seconds
@pytest.mark.usefixtures("idle")
def test_plain_snakemake_submits_the_same_plan(tmp_path):
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--jobs", "2"]
    command += ["--executor", "slurm", "--slurm-status-command", "squeue"]
    command += ["--slurm-init-seconds-before-status-checks", "5"]
    command += ["--config", f"pipeline={CURVE}", f"store={tmp_path / 'store'}", "jobs=1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert bits_of(CURVE, tmp_path / "store") == undisturbed(CURVE, tmp_path)
