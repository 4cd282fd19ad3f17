"""Runs: the folder of each, what its workers noted, and how it ended."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from diffpipe.cache.errors import DiffpipeError, from_json
from diffpipe.cache.layout import RunLayout, unique
from diffpipe.cache.store import Store, writing
from diffpipe.pipelines.core.plan import Plan

Done = Counter[tuple[str, str]]  # (stage, kind of step) -> slots computed


def start_run(store: Store, plan: Plan) -> RunLayout:
    """Make a run's folder and freeze the plan in it."""
    run = store.layout.run(f"{time.strftime('%Y%m%d-%H%M%S')}-{unique()[:6]}")
    with writing(store.root):
        for folder in (run.records, run.done, run.logs):
            folder.mkdir(parents=True)
        plan.write(run.plan)
    return run


def end_run(run: RunLayout, state: str, seconds: float, error: DiffpipeError | None) -> None:
    """Note how a run ended; a run without this note was killed."""
    note = {"state": state, "seconds": seconds, "pid": os.getpid()}
    if error is not None:
        note["error"] = error.to_json()
    try:
        run.outcome.write_text(json.dumps(note))
    except OSError:  # the disk may be what ended it
        return


def outcome(run: RunLayout) -> dict[str, Any]:
    """How a run ended: done, failed, interrupted, or killed (it did not say)."""
    try:
        return dict(json.loads(run.outcome.read_text()))
    except (OSError, ValueError):
        return {"state": "done" if _all_marked(run) else "killed"}


def _all_marked(run: RunLayout) -> bool:
    """Whether every task has its marker: plain Snakemake leaves no other word."""
    try:
        tasks = Plan.read(run.plan).tasks
    except (OSError, msgspec.MsgspecError):
        return False
    return all(run.marker(task.id).exists() for task in tasks)


def all_runs(store: Store) -> list[RunLayout]:
    """The runs of a store, oldest first."""
    try:
        names = sorted(entry.name for entry in store.layout.runs.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    return [store.layout.run(name) for name in names]


def errors(run: RunLayout) -> list[DiffpipeError]:
    """What the workers of a run reported."""
    return [from_json(json.loads(path.read_text())) for path in run.logs.glob("*.error.json")]


@dataclass
class Records:
    """Follows the records of a run's workers as they grow."""

    run: RunLayout
    done: Done = field(default_factory=Counter)
    seconds: Counter[tuple[str, str]] = field(default_factory=Counter)
    _offsets: dict[Path, int] = field(default_factory=dict)

    def update(self) -> None:
        """Read what has been added since the last call."""
        for path in self.run.records.glob("*.jsonl"):
            for line in self._new_lines(path):
                place = (line["stage"], line["kind"])
                self.done[place] += 1
                self.seconds[place] += line["seconds"]

    def _new_lines(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[path] = self._offsets.get(path, 0) + len(whole)
        return (json.loads(line) for line in whole.splitlines())
