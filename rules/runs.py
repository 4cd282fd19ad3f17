"""Runs: the folder of each, what its workers noted, and how it ended."""

import contextlib
import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import structs

from diffpipe.cache import documents, lock
from diffpipe.cache.errors import DiffpipeError, from_json
from diffpipe.cache.files import writing
from diffpipe.cache.layout import RunLayout, unique
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules.provenance.components import norm

_SHARE = 20  # reading takes at most a twentieth of the time
Done = Counter[tuple[str, str]]  # (stage, kind of step) -> slots computed


def start_run(store: Store, plan: Plan) -> RunLayout:
    """Make a run's folder and freeze the plan in it; later runs have later names."""
    now = datetime.now()
    run = store.layout.run(f"{now:%Y%m%d-%H%M%S}-{now.microsecond:06}{unique()[:4]}")
    with writing(store.root):
        for folder in (run.records, run.done, run.logs):
            folder.mkdir(parents=True)
        plan.write(run.plan)
        run.started.write_text(json.dumps(_here()))
    return run


def _here() -> dict[str, Any]:
    """Which process began a run, where, and by which command."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "at": time.time(),
        "command": sys.argv,
        "job": os.environ.get("SLURM_JOB_ID"),
    }


def started(run: RunLayout) -> dict[str, Any]:
    """Who began a run, where and when; empty where that is not known."""
    return _read(run.started)


def _read(path: Path) -> dict[str, Any]:
    try:
        return documents.read(path)
    except OSError:
        return {}


def note_jobs(run: RunLayout, *, left: bool) -> None:
    """Note whether jobs of a run may be left in a batch system."""
    run.jobs.touch() if left else run.jobs.unlink(missing_ok=True)


def with_jobs(store: Store) -> list[RunLayout]:
    """The runs of which jobs may be left."""
    return [run for run in all_runs(store) if run.jobs.exists()]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a run ended, and what it found; a run without this note was killed.

    gradient_norm: over all components, each in units of the objective per unit of its parameter.
    """

    state: Literal["done", "described", "failed", "interrupted", "killed"]
    seconds: float | None = None
    error: dict[str, Any] | None = None
    objective: float | None = None
    gradient_norm: float | None = None

    @property
    def message(self) -> str:
        return str((self.error or {}).get("message", ""))


def end_run(run: RunLayout, outcome: "Outcome") -> None:
    """Note how a run ended."""
    with contextlib.suppress(OSError):  # the disk may be what ended it
        run.outcome.write_bytes(msgspec.json.encode(outcome))


def note_results(run: RunLayout, objective: Any, gradient: Mapping[str, Any]) -> None:
    """Add to the note of how a run ended what it found; only a number is noted of an objective."""
    value = objective if isinstance(objective, float | int) else None
    size = norm(*gradient.values()) if gradient else None
    end_run(run, structs.replace(outcome(run), objective=value, gradient_norm=size))


def outcome(run: RunLayout) -> Outcome:
    """How a run ended, or that it was killed since it did not say."""
    try:
        return msgspec.convert(documents.read(run.outcome), Outcome)
    except (OSError, msgspec.MsgspecError):
        return Outcome("done" if _all_marked(run) else "killed")


def plan(run: RunLayout) -> Plan | None:
    """The frozen plan of a run; None where it cannot be read."""
    try:
        return Plan.read(run.plan)
    except (OSError, RecursionError, msgspec.MsgspecError):
        return None


def _all_marked(run: RunLayout) -> bool:
    """Whether every task has its marker: plain Snakemake leaves no other word."""
    frozen = plan(run)
    return frozen is not None and all(run.marker(task.id).exists() for task in frozen.tasks)


def all_runs(store: Store) -> list[RunLayout]:
    """The runs of a store, oldest first."""
    try:
        names = sorted(entry.name for entry in store.layout.runs.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    return [store.layout.run(name) for name in names]


def at_work(store: Store, run: RunLayout) -> bool:
    """Whether this is the run that holds the store."""
    if run.outcome.exists() or lock.holder(store) is None:
        return False
    return all_runs(store)[-1:] == [run]


def computed(run: RunLayout) -> Iterator[dict[str, Any]]:
    """What the workers of a run noted of each slot: step, stage, kind, slot, seconds."""
    records = Records(run)
    for path in sorted(run.records.glob("*.jsonl")):
        yield from records._new_lines(path)


def errors(run: RunLayout) -> list[DiffpipeError]:
    """What the workers of a run reported."""
    return [from_json(json.loads(path.read_text())) for path in run.logs.glob("*.error.json")]


@dataclass
class Records:
    """Follows a run as its files grow: slots computed, and tasks that run or have ended."""

    run: RunLayout
    done: Done = field(default_factory=Counter)
    tasks: dict[str, str] = field(default_factory=dict)  # task -> its last event
    _offsets: dict[Path, int] = field(default_factory=dict)
    _rest_until: float = 0.0

    def update(self, *, now: bool = False) -> None:
        """Read what has been added; with thousands of files less often, unless `now`."""
        start = time.monotonic()
        if start < self._rest_until and not now:
            return
        for event in self._new_lines(self.run.events):
            self.tasks[event["task"]] = event["event"]
        for path in self.run.records.glob("*.jsonl"):
            for line in self._new_lines(path):
                self.done[line["stage"], line["kind"]] += 1
        self._rest_until = start + _SHARE * (time.monotonic() - start)

    def _new_lines(self, path: Path) -> Iterator[dict[str, Any]]:
        offset = self._offsets.get(path, 0)
        try:
            if path.stat().st_size == offset:
                return
        except FileNotFoundError:
            return
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[path] = offset + len(whole)
        yield from (json.loads(line) for line in whole.splitlines())
