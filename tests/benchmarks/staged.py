"""Monolithic `jax.value_and_grad` beside the staged sweep of `drell_yan`, in one run.

    python tests/benchmarks/staged.py [EVENTS ...]         default: 100000 1000000

Each row but the indented ones is a process of its own, timed from outside: wall and CPU seconds
(children included) and the largest resident memory of any one process in it. Cold: nothing stored,
nothing compiled. Warm: another point in all parameters, functions compiled. The indented rows are
the gradient alone, compiled: the second call of the monolithic function, and the staged shards.
Times on a shared machine vary by tens of percent: trust ratios.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent.parent
MOVED = ["--set", "sin2_theta_eff=0.2316", "--set", "pdf.A_u=1.44", "--set", "m_z=91.19"]

# The composed function over all events at once, as a physicist would write it in one script.
MONOLITHIC = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import jax
jax.config.update("jax_enable_x64", True)
import support
from diffpipe.pipelines.core import library
from diffpipe.pipelines.core.assemble import assemble
made = assemble(library.find("drell_yan"), events=int(sys.argv[2]))
function = jax.jit(jax.value_and_grad(support.composed(made)))
times = []
for _ in range(2):
    start = time.perf_counter()
    value, gradient = jax.block_until_ready(function(support.values(made)))
    times.append(time.perf_counter() - start)
print(json.dumps({"value": float(value), "first": times[0], "second": times[1]}))
"""


@dataclass(frozen=True)
class Timed:
    """A finished process, its words, and what it cost."""

    output: str
    wall: float
    cpu: float
    peak_mb: float


def timed(command: list[str], environment: dict[str, str]) -> Timed:
    """Run a command in a fresh process group; raises CalledProcessError if it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = [sys.executable, __file__, "--measure", *command]
    done = subprocess.run(child, env=environment, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    output, _, peak = done.stdout.rstrip("\n").rpartition("\n")
    return Timed(output, wall, cpu, float(peak))


def measure(command: list[str]) -> None:
    """Run a command and print, after its output, the peak memory of the largest process below."""
    subprocess.run(command, check=True)
    print(f"\n{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.1f}")


def staged(events: int, folder: Path, *more: str) -> tuple[Timed, dict]:
    command = [sys.executable, "-m", "diffpipe.cli.app", "run", "backward", "drell_yan", "-q"]
    done = timed(
        [*command, "--json", "--events", str(events), *more],
        os.environ | {"DIFFPIPE_STORE": str(folder), "XDG_CACHE_HOME": str(folder / "cache")},
    )
    return done, json.loads(done.output)


def shard_seconds(folder: Path) -> float:
    """Seconds of the last run on its shards: reading, computing, checking, writing.

    The first shards, and a short last one, also trace and load a compiled function: every shard of
    a step is counted as their median.
    """
    steps: dict[str, list[float]] = {}
    for path in max((folder / "runs").iterdir()).glob("records/*.jsonl"):
        for line in map(json.loads, path.read_text().splitlines()):
            steps.setdefault(line["step"], []).append(line["seconds"])
    over_events = (each for each in steps.values() if len(each) > 1)
    return sum(len(each) * statistics.median(each) for each in over_events)


def stored_mb(folder: Path) -> float:
    return sum(p.stat().st_size for p in (folder / "objects").rglob("*") if p.is_file()) / 1e6


def compare(events: int) -> None:
    """One block of the table."""
    whole = timed([sys.executable, "-c", MONOLITHIC, str(TESTS), str(events)], dict(os.environ))
    mono = json.loads(whole.output)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cold, first = staged(events, folder)
        written = stored_mb(folder)
        warm, _ = staged(events, folder, *MOVED)
        seconds = shard_seconds(folder)
        again, _ = staged(events, folder, *MOVED)
    agree = abs(first["objective"]["value"] / mono["value"] - 1)
    cores = os.cpu_count() or 1
    print(f"\n{events} events (objectives agree to {agree:.0e})")
    print(f"{'':34}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")
    row("monolithic, whole process", whole.wall, whole.cpu, whole.peak_mb)
    row("  its gradient, compiled", mono["second"])
    row("staged, cold, whole command", cold.wall, cold.cpu, cold.peak_mb)
    row("staged, warm, whole command", warm.wall, warm.cpu, warm.peak_mb)
    row(f"  its shards, {cores} workers", seconds / cores, seconds)
    row("staged, unchanged rerun", again.wall, again.cpu, again.peak_mb)
    print(f"staged / monolithic: gradient {seconds / cores / mono['second']:.2f}, ", end="")
    print(f"whole process {warm.wall / whole.wall:.2f}; {written:.0f} MB stored")


def row(label: str, wall: float, cpu: float | None = None, peak: float | None = None) -> None:
    cells = ["" if each is None else f"{each:.2f}" for each in (wall, cpu)]
    print(f"{label:34}{cells[0]:>9}{cells[1]:>9}{'' if peak is None else f'{peak:.0f}':>9}")


def cpu() -> str:
    """The CPU's name, as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    print(f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for events in [int(each) for each in sys.argv[1:]] or [100_000, 1_000_000]:
        compare(events)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2:])
    else:
        main()
