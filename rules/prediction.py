"""The prediction: what a plan will take, said before it runs and kept to be compared afterwards."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from diffpipe.cache import files
from diffpipe.cache.layout import RunLayout
from diffpipe.pipelines.core import sizes
from diffpipe.pipelines.core.costs import Costs
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.sizes import Specs
from diffpipe.pipelines.core.steps import Step
from diffpipe.rules import runs
from diffpipe.rules.pool import Kind, kind_of

_MOST_BYTES = 64 << 20
# What is assumed of a worker that none has been measured of: its framework, and what XLA takes to
# compile; and of the copies that a pullback makes of what it reads and writes.
_PROCESS_MB = {"jax": 750.0, "torch": 600.0, "tensorflow": 1000.0}
_OTHER_MB = 350.0
_COPIES = 10


class Row(msgspec.Struct, frozen=True):
    """A step: slots that are stored, slots to compute, the bytes they write and their seconds.

    seconds: None where nothing is known of the stage. peak_mb: a worker's memory meanwhile.
    """

    reused: int
    to_run: int
    bytes: int
    seconds: float | None
    peak_mb: float


class Prediction(msgspec.Struct, frozen=True):
    """What a plan will take; seconds: of so many workers together, as far as it is known."""

    rows: dict[str, Row]
    workers: int
    seconds: float | None
    peak_mb: float  # of the largest worker
    measured: bool  # whether a worker's memory was measured; else it is assumed

    @property
    def bytes(self) -> int:
        return sum(row.bytes for row in self.rows.values())

    def write(self, run: RunLayout) -> None:
        run.predicted.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, run: RunLayout) -> "Prediction | None":
        """What was predicted of a run, if that can be read."""
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(files.read(run.predicted, _MOST_BYTES), type=cls)
        return None


@dataclass(frozen=True)
class Found:
    """What a step took: its slots, the bytes written, seconds, and the most memory, MB."""

    slots: int = 0
    bytes: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0


def predict(plan: Plan, specs: Specs, costs: Costs, workers: int) -> Prediction:
    """What a plan will take, from the arrays that it fills and what was measured before."""
    missing = plan.missing
    tasks = Counter(work.step for task in plan.tasks for work in task.work)
    rows = {
        step.id: Row(
            reused=plan.slots_present[step.id],
            to_run=missing[step.id],
            bytes=sizes.written(step, missing[step.id], specs),
            seconds=_time(step, missing[step.id], costs, min(workers, tasks[step.id])),
            peak_mb=_peak(step, specs, costs),
        )
        for step in plan.steps
    }
    todo = [step for step in plan.steps if missing[step.id]]
    return Prediction(
        rows=rows,
        workers=workers,
        seconds=_seconds(plan, rows, workers),
        peak_mb=max((rows[step.id].peak_mb for step in todo), default=0.0),
        measured=all(costs.peak(step) is not None for step in todo),
    )


def peaks(plan: Plan, specs: Specs, costs: Costs) -> dict[Kind, float]:
    """Kind of worker -> the memory that it will need, MB."""
    found: defaultdict[Kind, float] = defaultdict(float)
    missing = plan.missing
    for step in plan.steps:
        if missing[step.id]:
            kind = kind_of(step)
            found[kind] = max(found[kind], _peak(step, specs, costs))
    return dict(found)


def found(run: RunLayout) -> dict[str, Found]:
    """Step -> what it took in a run."""
    steps: dict[str, Found] = {}
    for line in runs.computed(run):
        one = steps.get(line["step"], Found())
        steps[line["step"]] = Found(
            one.slots + 1,
            one.bytes + line.get("bytes", 0),
            one.seconds + line["seconds"],
            max(one.peak_mb, line.get("peak_mb", 0.0)),
        )
    return steps


def _time(step: Step, slots: int, costs: Costs, workers: int) -> float | None:
    """Seconds for so many slots of a step, and for each worker's first."""
    each = costs.of(step)
    return None if each is None else slots * each + workers * costs.start(step)


def _peak(step: Step, specs: Specs, costs: Costs) -> float:
    """As measured; else the process and some copies of what it holds."""
    known = costs.peak(step)
    if known is not None:
        return known
    process = _PROCESS_MB.get(step.framework, _OTHER_MB)
    return process + _COPIES * sizes.held([step], specs) / 1e6


def _seconds(plan: Plan, rows: dict[str, Row], workers: int) -> float | None:
    """Once-stages one after the other, shards by as many workers as there are tasks for."""
    once = _sum(rows[step.id] for step in plan.steps if step.over == "once")
    shards = _sum(rows[step.id] for step in plan.steps if step.over == "events")
    if once is None or shards is None:
        return None
    groups = Counter(task.group for task in plan.tasks if task.kind == "events")
    return once + shards / min(workers, max(groups.values(), default=1))


def _sum(rows: Iterable[Row]) -> float | None:
    seconds = [row.seconds for row in rows if row.to_run]
    known = [each for each in seconds if each is not None]
    return sum(known) if len(known) == len(seconds) else None
