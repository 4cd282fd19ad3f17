"""How a run scales, measured on whole commands.

    python tests/benchmarks/scale.py workers    CPU s per job; one core against two
    python tests/benchmarks/scale.py jobs       5000 jobs: planning, memory, an unchanged rerun
    python tests/benchmarks/scale.py events     a worker's memory at 1e5 and at 1e7 events

CPU seconds and ratios are what to trust on a shared machine. Stores are made in a temporary folder.
"""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SLOW = Path(__file__).parent.parent / "cases" / "slow" / "pipeline.yaml"
STAGES = """
import jax.numpy as jnp
import numpy as np


def rows(start, stop, *, count, seed):
    return {"t": (np.arange(start, stop) + 0.5) / count}


def curve(parameters, inputs):
    return {"area": jnp.sum(jnp.exp(-parameters["rate"] * inputs["t"]))}
"""
TRIVIAL = """
pipeline: trivial
parameters: {rate: 0.9}
events: {uses: "stages:rows", count: %d, shard: 1}
stages:
  curve:
    uses: "stages:curve"
    over: events
    inputs: {t: events.t}
    parameters: [rate]
    outputs: {area: {sum: true}}
objective: curve.area
"""


@dataclass
class Measured:
    """What a command took: its own CPU seconds and peak memory, and those of its workers."""

    wall: float = 0.0
    head_cpu: float = 0.0
    first_job_cpu: float = 0.0
    head_mb: float = 0.0
    worker_cpu: dict[int, float] = field(default_factory=dict)
    worker_mb: float = 0.0

    @property
    def cpu(self) -> float:
        return self.head_cpu + sum(self.worker_cpu.values())


def measure(store: Path, *arguments: str) -> Measured:
    """Run `diffpipe run backward` and watch it and its children."""
    command = [sys.executable, "-m", "diffpipe.cli.app", "run", "backward", *arguments, "--quiet"]
    found, start = Measured(), time.perf_counter()
    environment = os.environ | {"DIFFPIPE_STORE": str(store)}
    with Path(os.devnull).open("w") as nowhere:
        head = psutil.Popen(command, env=environment, stdout=nowhere)
        while head.poll() is None:
            watch(head, store, found)
            time.sleep(0.05)
    if head.returncode:
        sys.exit(f"{' '.join(command)}: exit code {head.returncode}")
    found.wall = time.perf_counter() - start
    return found


def watch(head: psutil.Popen, store: Path, found: Measured) -> None:
    try:
        found.head_cpu = cpu(head)
        found.head_mb = max(found.head_mb, peak_mb(head.pid))
        if not found.first_job_cpu and any(events(store)):
            found.first_job_cpu = found.head_cpu
        for child in head.children(recursive=True):
            found.worker_cpu[child.pid] = cpu(child)
            found.worker_mb = max(found.worker_mb, peak_mb(child.pid))
    except (psutil.Error, OSError):
        return


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def peak_mb(pid: int) -> float:
    """The most memory that a process has had, as the kernel keeps it."""
    match = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match.group(1)) / 1024 if match else 0.0


def events(store: Path) -> Iterator[dict]:
    """What happened to the tasks of the runs in a store."""
    for path in store.glob("runs/*/events.jsonl"):
        yield from map(json.loads, path.read_text().splitlines())


def trivial(folder: Path, shards: int) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stages.py").write_text(STAGES)
    path = folder / f"pipeline{shards}.yaml"
    path.write_text(TRIVIAL % shards)
    return str(path)


def workers(folder: Path) -> None:
    jobs, path = 1000, trivial(folder, 1000)
    measure(folder / "warm", path, "--jobs", "2")  # compiles
    few = measure(folder / "few", path, "--jobs", "2")
    many = measure(folder / "many", path, "--jobs", str(jobs))
    print(f"{jobs} shards in 2 jobs: {few.cpu:.2f} CPU s; in {jobs} jobs: {many.cpu:.2f} CPU s")
    print(f"  a job costs {(many.cpu - few.cpu) / (jobs - 2):.4f} CPU s beyond its work")
    spans = {}
    for cores in ("1", "2"):
        store = folder / f"cores{cores}"
        run = measure(store, str(SLOW), "--events", "2400", "--cores", cores)
        at = [each["at"] for each in events(store)]
        spans[cores] = max(at) - min(at)
        print(f"compute-bound, {cores} cores: sweep {spans[cores]:.1f} s, command {run.wall:.1f} s")
    print(f"  from 1 to 2 cores the sweep is {spans['1'] / spans['2']:.2f} times faster")


def jobs(folder: Path) -> None:
    count, path = 5000, trivial(folder, 5000)
    first = measure(folder / "store", path, "--jobs", str(count))
    print(f"{count} jobs: planned after {first.first_job_cpu:.2f} CPU s of the head process")
    print(f"  its peak memory {first.head_mb:.0f} MB, its CPU to the end {first.head_cpu:.1f} s")
    again = measure(folder / "store", path, "--jobs", str(count))
    print(f"  unchanged rerun: {again.head_cpu:.2f} CPU s")


def events_and_memory(folder: Path) -> None:
    peaks = {}
    measure(folder / "warm", "drell_yan", "--events", "100000")  # compiles, which takes more memory
    for count in (100_000, 10_000_000):
        run = measure(folder / str(count), "drell_yan", "--events", str(count))
        peaks[count] = run.worker_mb
        print(f"drell_yan, {count:.0e} events: {run.wall:.0f} s, a worker {run.worker_mb:.0f} MB")
    print(f"  ratio {peaks[10_000_000] / peaks[100_000]:.3f}")


MEASUREMENTS = {"workers": workers, "jobs": jobs, "events": events_and_memory}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(MEASUREMENTS)
    for name in chosen:
        with tempfile.TemporaryDirectory() as made:
            MEASUREMENTS[name](Path(made))
