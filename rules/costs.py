"""What steps have cost in the last runs on a store: the records that workers left."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.costs import Costs, size_of, width_of
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.core.steps import Kind
from diffpipe.rules import runs

_LAST = 20  # runs that are looked at
_MOST_FILES = 100  # records of each
_PART = 1 << 18  # bytes of each record's beginning, and as many of its end


def measured(store: Store, pipeline: Pipeline) -> Costs:
    """The median seconds of a slot of each kind of step, in runs of a pipeline file.

    The first slot of a step in a worker compiles: it counts where there is no other, and then the
    least of all runs does.
    """
    warm: defaultdict[tuple[str, Kind, int], list[float]] = defaultdict(list)
    cold: defaultdict[tuple[str, Kind, int], list[float]] = defaultdict(list)
    peaks: defaultdict[tuple[str, Kind, int, int], float] = defaultdict(float)
    for run in runs.all_runs(store)[-_LAST:]:
        plan = runs.plan(run)
        if plan is None or plan.path != str(pipeline.path):
            continue
        steps = {step.id: step for step in plan.steps}
        for line in lines(run):
            step = steps.get(line["step"])
            if step is None:
                continue
            place = step.stage, step.kind, width_of(step)
            (cold if line["first"] else warm)[place].append(line["seconds"])
            if "peak_mb" in line:
                peaks[*place, size_of(step)] = max(peaks[*place, size_of(step)], line["peak_mb"])
    least = {place: min(seconds) for place, seconds in cold.items()}
    later = {place: median(seconds) for place, seconds in warm.items()}
    starts = {place: max(0.0, least[place] - later[place]) for place in least.keys() & later.keys()}
    return Costs(least | later, starts, peaks)


def lines(run: RunLayout) -> Iterator[dict[str, Any]]:
    """What the workers of a run noted of each slot; `first`: of its step in its worker.

    Of very long records the beginning and the end, of very many some of all.
    """
    paths = sorted(run.records.glob("*.jsonl"))
    for path in paths[:: 1 + len(paths) // _MOST_FILES]:
        seen: set[str] = set()
        for line in map(json.loads, _whole_lines(path)):
            yield line | {"first": line["step"] not in seen}
            seen.add(line["step"])


def _whole_lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        head = file.read(_PART)
        if len(head) < _PART:
            return head[: head.rfind(b"\n") + 1].splitlines()
        file.seek(max(_PART, path.stat().st_size - _PART))
        tail = file.read()
    ends = tail[tail.find(b"\n") + 1 : tail.rfind(b"\n") + 1]
    return [*head[: head.rfind(b"\n") + 1].splitlines(), *ends.splitlines()]
