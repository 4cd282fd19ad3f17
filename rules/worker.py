"""The worker: a process that computes tasks of a frozen plan, and says what it did.

    python -m diffpipe.rules.worker <plan.json> <task>
    python -m diffpipe.rules.worker <plan.json> serve <name> <platform> <framework>

The first computes one task. The second stays warm (framework imported, compiled functions kept) and
computes the tasks named on its standard input, each after the folder of its run, with an answer
for each: it may serve several runs, one after the other. A slot that is complete is
never computed again; one that is damaged is moved aside and the plan has to be made anew. Each
finished slot is a line in the worker's record, each failure one JSON file. The task `describe`
evaluates shapes and creates artefacts.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, final

from diffpipe.cache.errors import DiffpipeError, WorkerError
from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules.machine import devices, prepare

DESCRIBE, SERVE = "describe", "serve"
DONE, FAILED = "done", "failed"


def main(arguments: list[str]) -> int:
    """Compute one task (0 when it is done, 1 when it failed), or serve until the input ends."""
    run = RunLayout(Path(arguments[0]).parent)
    if arguments[1] == SERVE:
        return _serve(run, *arguments[2:])
    task = arguments[1]
    _log_to(run.log(task))
    plan = Plan.read(run.plan)
    _prepare("cpu" if task == DESCRIBE else plan.task(task).platform)
    with run.record(task).open("a") as record:
        return 0 if Worker(plan, run, record).attempt(task) else 1


def _serve(run: RunLayout, name: str, platform: str, framework: str) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    _log_to(run.log(name))
    _prepare(platform)
    worker = _worker(run, name, framework)
    _preload(framework, platform)
    for line in sys.stdin:
        folder, _, task = line.strip().rpartition(" ")
        if folder != str(run.folder):
            run = RunLayout(Path(folder))
            _log_to(run.log(name))
            worker = _worker(run, name, framework)
        answers.write(f"{DONE if worker.attempt(task) else FAILED}\n")
    sys.stdout.flush()
    os._exit(0)  # what is held is stored; JAX would take a while to tidy up


def _worker(run: RunLayout, name: str, framework: str) -> "Worker":
    return Worker(Plan.read(run.plan), run, run.record(name).open("a"), framework)


@final
class Worker:
    """Computes tasks of one plan; what they share stays: code, compiled functions, manifests."""

    def __init__(
        self, plan: Plan, run: RunLayout, record: IO[str], framework: str | None = None
    ) -> None:
        from diffpipe.rules.sweep import Sweep  # imports what computes: the environment is set now

        self._plan, self._run, self._framework = plan, run, framework
        self._tasks = {task.id: task for task in plan.tasks}
        self._store = Store.open(Path(plan.store), create=False, durable=plan.durable)
        self._sweep = Sweep(plan, self._store, record, _parent_lives())

    def attempt(self, task: str) -> bool:
        """Compute a task; where it fails the reason is in the run's folder."""
        try:
            self._compute(task)
        except DiffpipeError as error:
            report(self._run, task, error)
            return False
        except Exception as error:
            traceback.print_exc()
            text = f"task {task}: {type(error).__name__}: {error}"
            report(self._run, task, WorkerError(text, hint=f"see {self._run.logs}"))
            return False
        return True

    def _compute(self, task: str) -> None:
        if task != DESCRIBE:
            self._sweep.run(self._tasks[task])
            return
        from diffpipe.pipelines.core.describe import Description

        description = Description(self._plan, self._store, self._framework)
        description.run()
        description.create()


def _preload(name: str, platform: str) -> None:
    """Import a framework before there is anything to do."""
    from diffpipe.pipelines.frameworks.registry import framework

    with contextlib.suppress(DiffpipeError):  # said again, and better, by the first task
        framework(name, platform)


def _prepare(platform: str) -> None:
    prepare(platform)
    print(devices(platform), flush=True)


def report(run: RunLayout, task: str, error: DiffpipeError) -> None:
    """Leave word of why a task failed."""
    path = run.error(task)
    with contextlib.suppress(OSError):  # a full disk has no room for words
        path.with_suffix(".partial").write_text(json.dumps(error.to_json()))
        path.with_suffix(".partial").rename(path)
        print(error.message, file=sys.stderr)


def _log_to(path: Path) -> None:
    """Send all that this process prints from now on, libraries included, to a file."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


def _parent_lives() -> Callable[[], bool]:
    """Whether the process that started this one is still there."""
    parent = os.getppid()
    return lambda: os.getppid() == parent


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
