"""Tasks: the work of one process each.

Steps of one class (once or events of one sample, one framework) that can run without waiting for
another class make one task, or for events one task per batch of shards. The grouping changes
nothing that is stored.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from diffpipe.cache import masks
from diffpipe.pipelines.core.steps import Step

Class = tuple[str, str, int]


class Work(msgspec.Struct, frozen=True):
    """The slots of one step that a task computes, as ranges."""

    step: str
    slots: list[list[int]]


class Task(msgspec.Struct, frozen=True):
    """What one process does, in order, and which tasks it waits for."""

    id: str
    kind: Literal["once", "events"]
    work: list[Work]
    after: list[str]


def make_tasks(steps: Iterable[Step], missing: Mapping[str, int], batches: int) -> list[Task]:
    """The tasks that compute the missing slots (step id -> mask of slots), in order."""
    todo = {step.id: step for step in steps if missing.get(step.id)}
    groups: dict[tuple[int, Class], list[Step]] = {}
    for step_id, rank in sorted(_ranks(todo).items(), key=lambda each: each[1]):
        groups.setdefault((rank, _class(todo[step_id])), []).append(todo[step_id])
    return list(_tasks(groups, todo, missing, batches))


def _tasks(
    groups: Mapping[tuple[int, Class], list[Step]],
    todo: Mapping[str, Step],
    missing: Mapping[str, int],
    batches: int,
) -> Iterable[Task]:
    made_by: dict[str, list[str]] = {}  # step -> the tasks that compute it
    for number, group in enumerate(groups.values()):
        inside = {step.id for step in group}
        before = {each.step for step in group for each in step.reads()} & (todo.keys() - inside)
        after = sorted({task for step_id in before for task in made_by[step_id]})
        for task in _batches(number, group, missing, batches, after):
            yield task
            for work in task.work:
                made_by.setdefault(work.step, []).append(task.id)


def _batches(
    number: int, group: list[Step], missing: Mapping[str, int], batches: int, after: list[str]
) -> Iterable[Task]:
    if group[0].over == "once":
        work = [Work(step.id, masks.to_ranges(missing[step.id])) for step in group]
        yield Task(f"{number:02d}-once", "once", work, after)
        return
    union = 0
    for step in group:
        union |= missing[step.id]
    for index, batch in enumerate(masks.split(union, batches)):
        mine = [(step.id, missing[step.id] & batch) for step in group]
        work = [Work(step_id, masks.to_ranges(mask)) for step_id, mask in mine if mask]
        yield Task(f"{number:02d}-events-{index}", "events", work, after)


def _class(step: Step) -> Class:
    sample = step.call.sample if step.call is not None and step.call.sample else (0, 0, None)
    return (step.over, step.framework, sample[0] if step.over == "events" else 0)


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
