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


@dataclass(frozen=True)
class Drive:
    """What is asked of which pipeline, on which store, and where it is computed."""

    store: Store
    pipeline: Pipeline
    request: Request
    place: "Place"
    observer: Observer

    def run(self, *, wait: bool = False) -> Finished:
        """Compute what is missing and give the results; raises DiffpipeError."""
        start = time.monotonic()
        plan = self._plan()
        if not plan.tasks:
            try:
                results, took = read_results(self.store, plan), time.monotonic() - start
                return Finished(plan, results, Counter(), plan.slots_present, took)
            except DamagedError as error:
                self.observer.said(f"{error.message}; it is computed again")
        from diffpipe.rules.slurm import leftovers  # here, since an unchanged rerun ends before

        waited: list[str] = []

        def on_wait(who: str) -> None:
            waited.append(who)
            self.observer.said(f"waiting for {who}")

        with lock.hold(self.store, wait=wait, on_wait=on_wait):
            waited += leftovers.settle(self.store, self.observer.said)
            return self._compute(None if waited or not plan.tasks else plan, start)

    def describe(self) -> None:
        """Evaluate the shapes of what is new and compute nothing; raises DiffpipeError."""
        plan = self._plan()
        if plan.to_create:
            with lock.hold(self.store):
                self._execute(structs.replace(plan, tasks=[]), Counter())

    def _plan(self) -> Plan:
        return make_plan(self.store, self.pipeline, self.request)

    def _compute(self, plan: Plan | None, start: float) -> Finished:
        """Execute a plan (None: make one), and again as long as damage is found."""
        executed: Done = Counter()
        for attempt in range(_REPLANS + 1):
            plan = plan or self._plan()
            try:
                if plan.tasks:
                    self._execute(plan, executed)
                results, present = read_results(self.store, plan), _present(self.store, plan)
                return Finished(plan, results, executed, present, time.monotonic() - start)
            except DamagedError as error:
                if attempt == _REPLANS:
                    raise
                self.observer.said(f"{error.message}; it was moved aside and is computed again")
                plan = None
        raise AssertionError("unreachable")

    def _execute(self, plan: Plan, executed: "Done") -> None:
        from diffpipe.rules import engine, runs  # here, since an unchanged rerun ends before

        run, start = runs.start_run(self.store, plan), time.monotonic()
        records, outcome = runs.Records(run), runs.Outcome("failed")

        def tick() -> None:
            records.update()
            self.observer.tick(self.place.queued)

        for remark in plan.remarks:
            self.observer.said(remark)
        try:
            self.observer.planned(plan, records)
            engine.execute(plan, run, self.place, tick)
            outcome = runs.Outcome("done")
        except DiffpipeError as error:
            interrupted = isinstance(error, InterruptedRunError)
            outcome = runs.Outcome(
                "interrupted" if interrupted else "failed", error=error.to_json()
            )
            raise
        finally:
            records.update(now=True)
            executed.update(records.done)
            runs.end_run(run, structs.replace(outcome, seconds=time.monotonic() - start))


def _present(store: Store, plan: Plan) -> dict[str, int]:
    made = Presence.read(store, plan.steps, forget=False).made
    return {step_id: mask.bit_count() for step_id, mask in made.items()}
