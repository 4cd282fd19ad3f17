"""The drive: one request from plan to results, with the store held and damage mended.

The plan is made before the lock is taken: where nothing is missing, nothing is locked, started or
written.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from msgspec import structs

from diffpipe.cache import lock
from diffpipe.cache.errors import DamagedError, DiffpipeError, InterruptedRunError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.demand import Presence
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.core.plan import Plan, Request, make_plan
from diffpipe.pipelines.core.results import Results, read_results

_REPLANS = 20  # each mends one damaged slot; more is a broken disk


if TYPE_CHECKING:
    from diffpipe.rules.place import Place
    from diffpipe.rules.runs import Done, Records


class Observer(Protocol):
    """Who is told how it goes on."""

    def planned(self, plan: Plan, records: "Records") -> None: ...

    def tick(self, queued: int) -> None: ...

    def said(self, text: str) -> None: ...


@dataclass(frozen=True)
class Finished:
    """What a request ends with: results, and what was computed rather than reused."""

    plan: Plan
    results: Results
    executed: "Done"
    present: Mapping[str, int]  # step -> complete slots, now
    seconds: float


def run(
    store: Store,
    pipeline: Pipeline,
    request: Request,
    place: "Place",
    observer: Observer,
    *,
    wait: bool = False,
) -> Finished:
    """Compute what is missing and give the results; raises DiffpipeError."""
    start = time.monotonic()
    plan = make_plan(store, pipeline, request)
    if not plan.tasks:
        try:
            results = read_results(store, plan)
            return Finished(plan, results, Counter(), plan.slots_present, time.monotonic() - start)
        except DamagedError as error:
            observer.said(f"{error.message}; it is computed again")
    from diffpipe.rules.slurm import leftovers  # here, since an unchanged rerun ends before

    with lock.hold(store, wait=wait, on_wait=lambda who: observer.said(f"waiting for {who}")):
        leftovers.settle(store, observer.said)
        return _compute(store, pipeline, request, place, observer, start)


def _compute(
    store: Store,
    pipeline: Pipeline,
    request: Request,
    place: "Place",
    observer: Observer,
    start: float,
) -> Finished:
    executed: Done = Counter()
    for attempt in range(_REPLANS + 1):
        plan = make_plan(store, pipeline, request)
        try:
            if plan.tasks:
                _execute(store, plan, place, observer, executed)
            results, present = read_results(store, plan), _present(store, plan)
            return Finished(plan, results, executed, present, time.monotonic() - start)
        except DamagedError as error:
            if attempt == _REPLANS:
                raise
            observer.said(f"{error.message}; it was moved aside and is computed again")
    raise AssertionError("unreachable")


def _execute(
    store: Store, plan: Plan, place: "Place", observer: Observer, executed: "Done"
) -> None:
    from diffpipe.rules import engine, runs  # here, since an unchanged rerun ends before

    run, start = runs.start_run(store, plan), time.monotonic()
    records = runs.Records(run)
    outcome = runs.Outcome("failed")

    def tick() -> None:
        records.update()
        observer.tick(place.queued)

    for remark in plan.remarks:
        observer.said(remark)
    try:
        observer.planned(plan, records)
        engine.execute(plan, run, place, tick)
        outcome = runs.Outcome("done")
    except DiffpipeError as error:
        interrupted = isinstance(error, InterruptedRunError)
        outcome = runs.Outcome("interrupted" if interrupted else "failed", error=error.to_json())
        raise
    finally:
        records.update(now=True)
        executed.update(records.done)
        runs.end_run(run, structs.replace(outcome, seconds=time.monotonic() - start))


def _present(store: Store, plan: Plan) -> dict[str, int]:
    made = Presence.read(store, plan.steps, forget=False).made
    return {step_id: mask.bit_count() for step_id, mask in made.items()}
