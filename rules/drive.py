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
from diffpipe.pipelines.core.results import Results, Stored, read_results
from diffpipe.rules.budget import UNLIMITED, Budget, CrampedError

_REPLANS = 20  # each mends one damaged slot; more is a broken disk


if TYPE_CHECKING:
    from diffpipe.cache.layout import RunLayout
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
    budget: Budget = UNLIMITED

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

    def _plan(self, room: int | None = None) -> Plan:
        """The plan of the request; room: for residuals that a plan chooses to store, bytes."""
        room = self.budget.disk if room is None else room
        request = structs.replace(self.request, room=room)
        return self.budget.applied(make_plan(self.store, self.pipeline, request))

    def _compute(self, plan: Plan | None, start: float) -> Finished:
        """Execute a plan (None: make one), and again as long as damage is found."""
        executed: Done = Counter()
        for attempt in range(_REPLANS + 1):
            plan = plan or self._plan()
            try:
                run = self._execute(plan, executed) if plan.tasks else None
                results, present = read_results(self.store, plan), _present(self.store, plan)
                _note(run, results)
                return Finished(plan, results, executed, present, time.monotonic() - start)
            except DamagedError as error:
                if attempt == _REPLANS:
                    raise
                self.observer.said(f"{error.message}; it was moved aside and is computed again")
                plan = None
            except CrampedError as error:
                if attempt == _REPLANS:
                    raise
                self.observer.said(f"{error.message}; it is planned again")
                plan = self._plan(error.room)
        raise AssertionError("unreachable")

    def _execute(self, plan: Plan, executed: "Done") -> "RunLayout":
        from diffpipe.rules import engine, runs  # here, since an unchanged rerun ends before
        from diffpipe.rules.preparation import Preparation

        run, start = runs.start_run(self.store, plan), time.monotonic()
        records, outcome = runs.Records(run), runs.Outcome("failed")

        def tick() -> None:
            records.update()
            self.observer.tick(self.place.queued)

        for remark in plan.remarks:
            self.observer.said(remark)
        try:
            self.observer.planned(plan, records)
            preparation = Preparation(self.store, self.pipeline, plan, self.place, self.budget)
            preparation.start()
            engine.execute(plan, run, self.place, tick, lambda: preparation.described(run))
            for remark in preparation.measured():
                self.observer.said(remark)
            outcome = runs.Outcome("done" if plan.tasks else "described")
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
        return run


def _note(run: "RunLayout | None", results: Results) -> None:
    """Leave what was found with the run that computed it, for those who look back."""
    if run is not None:
        from diffpipe.rules import runs

        alone = {} if results.objective is None else results.gradient  # of one objective
        sizes = {n: each.norm if isinstance(each, Stored) else each for n, each in alone.items()}
        runs.note_results(run, results.objective, sizes)


def _present(store: Store, plan: Plan) -> dict[str, int]:
    made = Presence.read(store, plan.steps, forget=False).made
    return {step_id: mask.bit_count() for step_id, mask in made.items()}
