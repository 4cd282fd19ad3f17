"""Tasks: the work of one job each.

Steps of one class (once or events of one sample, one framework, one platform) that can run without
waiting for another class make one task, or for events one task per batch of shards. The grouping
changes nothing that is stored.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Literal

import msgspec

from diffpipe.cache import masks
from diffpipe.pipelines.core.resources import Resources, together
from diffpipe.pipelines.core.steps import Source, Step

Class = tuple[str, str, str, int, int]


class Work(msgspec.Struct, frozen=True):
    """The slots of one step that a task computes, as ranges."""

    step: str
    slots: list[list[int]]


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one job does, in order, which tasks it waits for, and what it needs."""

    id: str
    kind: Literal["once", "events"]
    work: list[Work]
    after: list[str]
    platform: str = "cpu"
    framework: str = "jax"
    resources: Resources = Resources()

    @property
    def group(self) -> str:
        """What the batches of one sweep over shards have in common."""
        return self.id.partition("-")[0]


def make_tasks(steps: Iterable[Step], missing: Mapping[str, int], jobs: int) -> list[Task]:
    """The tasks that compute the missing slots (step id -> mask of slots), in order.

    jobs: how many tasks the shards of a class are cut into, at most.
    """
    todo = {step.id: step for step in steps if missing.get(step.id)}
    groups: dict[tuple[int, Class], list[Step]] = {}
    for step_id, rank in sorted(_ranks(todo).items(), key=lambda each: each[1]):
        groups.setdefault((rank, _class(todo[step_id])), []).append(todo[step_id])
    makers = _Makers()
    return [
        task
        for number, group in enumerate(groups.values())
        for task in _batches(number, group, missing, jobs, makers)
    ]


@dataclass(frozen=True)
class _Makers:
    """The tasks so far, by the step and the shards they compute."""

    spans: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)

    def add(self, task: Task) -> None:
        """Remember a task; those of one step come in the order of their shards."""
        for work in task.work:
            span = (work.slots[0][0], work.slots[-1][1], task.id)
            self.spans.setdefault(work.step, []).append(span)

    def of(self, source: Source, shards: range) -> Iterator[str]:
        """The tasks that make what is read for these shards."""
        spans = self.spans.get(source.step, [])
        if not source.slot:
            yield from (task for *_, task in spans)
            return
        place = bisect_right(spans, shards.start, key=lambda each: each[1])
        while place < len(spans) and spans[place][0] < shards.stop:
            yield spans[place][2]
            place += 1


def _batches(
    number: int, group: list[Step], missing: Mapping[str, int], jobs: int, makers: _Makers
) -> Iterator[Task]:
    todo = {step.id: masks.to_ranges(missing[step.id]) for step in group}
    once = group[0].over == "once"
    batches = _cut(group, missing, 1 if once else jobs)
    digits = len(str(len(batches) - 1))
    for index, batch in enumerate(batches):
        mine = {each: masks.within(slots, batch.start, batch.stop) for each, slots in todo.items()}
        name = f"{number:02d}-once" if once else f"{number:02d}-events-{index:0{digits}d}"
        yield _task(name, [step for step in group if mine[step.id]], mine, makers)


def _cut(group: list[Step], missing: Mapping[str, int], jobs: int) -> list[range]:
    """The batches of a group; the blocks of its sums stay whole."""
    union = reduce(or_, (missing[step.id] for step in group))
    return masks.spans(union, jobs, math.lcm(*(step.block for step in group)))


def _task(
    name: str, steps: list[Step], mine: Mapping[str, list[list[int]]], makers: _Makers
) -> Task:
    work = [Work(step.id, mine[step.id]) for step in steps]
    shards = range(min(each.slots[0][0] for each in work), max(each.slots[-1][1] for each in work))
    after = {task for step in steps for each in step.reads() for task in makers.of(each, shards)}
    task = Task(
        name,
        steps[0].over,
        work,
        sorted(after - {name}),
        steps[0].platform,
        steps[0].framework,
        together(step.resources for step in steps),
    )
    makers.add(task)
    return task


def _class(step: Step) -> Class:
    sample = step.call.sample if step.call is not None and step.call.sample else (0, 0, None)
    count = sample[0] if step.over == "events" else 0
    return (step.over, step.framework, step.platform, step.resources.gpus, count)


def _ranks(todo: Mapping[str, Step]) -> dict[str, int]:
    """How many changes of class lie before each step; then each step as late as its readers let it.

    Only steps of equal class and rank share a task, so no two tasks can wait for each other.
    """
    ranks: dict[str, int] = {}
    for step in todo.values():  # each stands after those it reads
        earlier = [todo[each.step] for each in step.reads() if each.step in todo]
        ranks[step.id] = max(
            (_next_rank(ranks[each.id], each, step) for each in earlier), default=0
        )
    latest: dict[str, int] = {}
    for step in reversed(list(todo.values())):
        ranks[step.id] = max(ranks[step.id], latest.get(step.id, 0))
        for source in step.reads():
            if source.step in todo:
                bound = ranks[step.id] - (_class(todo[source.step]) != _class(step))
                latest[source.step] = min(latest.get(source.step, bound), bound)
    return ranks


def _next_rank(rank: int, before: Step, step: Step) -> int:
    return rank + (_class(before) != _class(step))
