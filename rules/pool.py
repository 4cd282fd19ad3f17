"""The pool: warm worker processes on this machine, of one run or of several in a row.

One process serves one task at a time, so that one that dies takes down its own task only; the task
is tried once more on a fresh worker. Each framework on each platform has workers of its own, at
most one per core, or one per GPU, of which it sees no other: no process imports two frameworks.
"""

import contextlib
import os
import subprocess
from collections import Counter
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import final

from diffpipe.cache.errors import InterruptedRunError, WorkerError
from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import Step
from diffpipe.pipelines.core.tasks import Task
from diffpipe.rules import worker
from diffpipe.rules.machine import KEEP_MEMORY
from diffpipe.rules.place import MODULE

Kind = tuple[str, str]  # of a worker: its platform and its framework
_ATTEMPTS = 2
_PATIENCE_SECONDS = 5.0


@final
class Pool:
    """Starts the workers; `compute` may be called from many threads."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._names = count()
        self._closed = False
        self._workers: set[_Process] = set()
        self._idle: dict[Kind, SimpleQueue[_Process]] = {}

    def serve(self, plan: Plan, run: RunLayout) -> None:
        """From now on serve this run; no other may be in work.

        Workers that it lacks are started: they import what they need while there is nothing to do.
        """
        self._run = run
        self._kind_of = {task.id: kind_of(task) for task in plan.tasks}
        for kind, devices in places(plan, self.cores).items():
            idle = self._idle.setdefault(kind, SimpleQueue())
            for device in devices[idle.qsize() :]:
                idle.put(self._start(kind, device))

    def describe(self, plan: Plan, store: Store) -> None:
        """Have shapes evaluated and artefacts made, by a worker of each framework in its turn."""
        for step in plan.steps:
            if step.id in plan.to_create and store.get(step.key) is None:
                self._compute(worker.DESCRIBE, kind_of(step))

    def compute(self, task: str) -> None:
        """Have a task computed by a worker that is free; raises WorkerError where it failed."""
        self._compute(task, self._kind_of[task])

    def _compute(self, task: str, kind: Kind) -> None:
        idle = self._idle[kind]
        process = idle.get()
        try:
            for _ in range(_ATTEMPTS):
                answer = process.ask(self._run, task)
                if answer:
                    break
                process = self._replace(process)
        finally:
            idle.put(process)
        if not answer:
            worker.report(self._run, task, self._lost(task, process))
        if answer != worker.DONE:
            raise WorkerError(f"task {task} failed")

    def close(self, *, at_once: bool) -> None:
        """End the workers: those at rest come to their end by themselves, others are killed."""
        self._closed = True
        workers = list(self._workers)
        for process in workers:
            process.kill() if at_once else process.close()
        for process in workers:
            process.wait()

    def _start(self, kind: Kind, device: str | None) -> "_Process":
        process = _Process(self._run, f"worker-{next(self._names)}", kind, device)
        self._workers.add(process)
        return process

    def _replace(self, dead: "_Process") -> "_Process":
        if self._closed:
            raise InterruptedRunError("the run was ended")
        self._workers.discard(dead)
        dead.wait()
        return self._start(dead.kind, dead.device)

    def _lost(self, task: str, process: "_Process") -> WorkerError:
        return WorkerError(
            f"the worker of task {task} ended without a word, twice: killed, or out of memory?",
            hint="finished shards are kept, the same command goes on; "
            f"see {self._run.log(process.name)}",
        )


@final
class _Process:
    """One worker process: a line in names a run and a task, a line out answers."""

    def __init__(self, run: RunLayout, name: str, kind: Kind, device: str | None) -> None:
        self.name, self.kind, self.device = name, kind, device
        with run.log(name).open("ab") as log:
            self._process = subprocess.Popen(
                [*MODULE, str(run.plan), worker.SERVE, name, *kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=KEEP_MEMORY | os.environ | _seeing(device),
                text=True,
            )

    def ask(self, run: RunLayout, task: str) -> str:
        """The worker's answer to a task; empty where it died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{run.folder} {task}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return ""
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """Say that there is no more to do."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> None:
        """Wait for its end; one that takes its time is killed."""
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def kind_of(each: Step | Task) -> Kind:
    """The kind of worker that computes a step or a task."""
    return each.platform, each.framework


def _seeing(device: str | None) -> dict[str, str]:
    """The variable that leaves a process one GPU; None: all that there are."""
    return {} if device is None else {"CUDA_VISIBLE_DEVICES": device}


def places(plan: Plan, cores: int) -> dict[Kind, list[str | None]]:
    """Kind -> the device of each of its workers (None: all that there is)."""
    tasks = _at_a_time(plan)
    for step in plan.steps:
        if step.id in plan.to_create:
            tasks.setdefault(kind_of(step), 1)
    gpus: list[str | None] = [*visible_gpus()] or [None]  # where there is none, JAX says so best
    return {
        kind: gpus if kind[0] == "gpu" else [None] * min(cores, count)
        for kind, count in tasks.items()
    }


def _at_a_time(plan: Plan) -> dict[Kind, int]:
    """Kind -> how many of its tasks may run at a time: the batches of one group."""
    groups = Counter((kind_of(task), task.group) for task in plan.tasks)
    found: dict[Kind, int] = {}
    for (kind, _), tasks in groups.items():
        found[kind] = max(tasks, found.get(kind, 0))
    return found


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA numbers them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each.strip() for each in named.split(",") if each.strip()]
    return [str(each) for each in range(len([*Path("/dev").glob("nvidia[0-9]*")]))]
