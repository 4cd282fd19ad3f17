"""The worker: one process that computes one task of a frozen plan, and says what it did.

    python -m diffpipe.rules.worker <plan.json> <task>       compute a task
    python -m diffpipe.rules.worker <plan.json> describe     evaluate shapes, create artefacts

A slot that is complete is never computed again; one that is damaged is moved aside and the plan
has to be made anew. Each finished slot is a line in the task's record, each failure one JSON file.
"""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from diffpipe.cache.errors import DiffpipeError, WorkerError
from diffpipe.cache.layout import Layout, RunLayout
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules.machine import prepare

DESCRIBE = "describe"


def main(arguments: list[str]) -> int:
    """Run one task; 0 when it is done, 1 when it failed (the reason is in the run's folder)."""
    plan_path, task = Path(arguments[0]), arguments[1]
    run = RunLayout(plan_path.parent)
    try:
        plan = Plan.read(plan_path)
        prepare(plan.platform, Layout(Path(plan.store)).compiled)
        _work(plan, run, task)
    except DiffpipeError as error:
        return _fail(run, task, error)
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        return _fail(run, task, WorkerError(f"task {task}: {text}", hint=f"see {run.log(task)}"))
    return 0


def _work(plan: Plan, run: RunLayout, task: str) -> None:
    """Import what computes only now, when the environment is set."""
    if task == DESCRIBE:
        from diffpipe.cache.store import Store
        from diffpipe.pipelines.core.describe import Description

        description = Description(plan, Store.open(Path(plan.store)))
        description.run()
        description.create()
    else:
        from diffpipe.rules.sweep import compute_task

        compute_task(plan, task, run.record(task), still_wanted=_parent_lives())


def _parent_lives() -> Callable[[], bool]:
    """Whether the process that started this one is still there."""
    parent = os.getppid()
    return lambda: os.getppid() == parent


def _fail(run: RunLayout, task: str, error: DiffpipeError) -> int:
    path = run.error(task)
    with contextlib.suppress(OSError):  # a full disk has no room for words
        path.with_suffix(".partial").write_text(json.dumps(error.to_json()))
        path.with_suffix(".partial").rename(path)
        print(error.message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
