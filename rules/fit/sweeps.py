"""Sweeps of a fit: an objective at points of parameter space, each computed once and remembered.

A point that was computed before, by this process or by one that was killed, is read from the
store's evaluations: so a fit that is repeated runs through its old points at once, to the same
bits, and goes on where it ended. Between points, workers stay warm.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from msgspec import structs

from diffpipe.cache import keys
from diffpipe.cache.evaluations import Evaluation, Evaluations
from diffpipe.cache.memo import Memo
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.model import OutputRef, Pipeline, Value
from diffpipe.pipelines.core.parameters import with_values
from diffpipe.pipelines.core.plan import Direction, Request, objective_of
from diffpipe.pipelines.physics import registry
from diffpipe.rules.budget import UNLIMITED, Budget
from diffpipe.rules.drive import Drive, Finished, Observer
from diffpipe.rules.fit.information import fitness
from diffpipe.rules.place import Place

FORWARD: Direction = "forward"
BACKWARD: Direction = "backward"
CURVATURE: Direction = "curvature"


@dataclass(frozen=True)
class Call:
    """One evaluation, for whoever follows the fit."""

    number: int
    direction: str
    values: Mapping[str, Value]
    found: Evaluation
    remembered: bool


class Follower(Observer, Protocol):
    """Who is told how a fit goes on, beside how each of its sweeps does."""

    def called(self, call: Call) -> None: ...


@dataclass
class Sweeps:
    """The objective of a pipeline as something that can be called."""

    store: Store
    pipeline: Pipeline
    request: Request  # what each sweep is asked beside its direction and parameters
    place: Place
    follower: Follower
    calls: int = 0
    remembered: int = 0
    executed: Counter[str] = field(default_factory=Counter)  # stage -> slots computed
    reused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    budget: Budget = UNLIMITED  # of each sweep

    @property
    def objective(self) -> OutputRef:
        """What is minimised; raises UsageError."""
        found = objective_of(self.pipeline, self.request)
        assert found is not None
        return found

    @property
    def fitness(self) -> registry.Fitness | None:
        """What the objective's stage says of the fit, where it is a likelihood of the library."""
        return fitness(self.pipeline, self.objective)

    def evaluate(
        self, values: Mapping[str, Value], wrt: list[str], direction: Direction
    ) -> Evaluation:
        """The objective at a point, with the slopes and the curvature that the direction gives."""
        made = replace(self.pipeline, parameters=with_values(self.pipeline.parameters, values))
        key, kept = self._key(made, wrt, direction), Evaluations(self.store.layout)
        found = kept.get(key)
        remembered = found is not None
        if found is None:
            found = self._sweep(made, wrt, direction)
            kept.put(key, found)
        self.calls += 1
        self.remembered += remembered
        self.follower.called(Call(self.calls, direction, values, found, remembered))
        return found

    def _key(self, made: Pipeline, wrt: list[str], direction: Direction) -> str:
        memo = Memo(self.store.layout.code)
        identity = Identity(made, Environment.current(), memo)
        objective = [identity.output_key(self.objective), self.objective.output]
        memo.save()
        return keys.key("evaluation", objective=objective, wrt=wrt, direction=direction)

    def _sweep(self, made: Pipeline, wrt: list[str], direction: Direction) -> Evaluation:
        of = [str(self.objective)] if direction == FORWARD else self.request.of
        asked = None if direction == FORWARD else wrt
        request = structs.replace(self.request, direction=direction, of=of, wrt=asked)
        finished = self.run(made, request)
        self._count(finished)
        return self._evaluation(finished, wrt)

    def run(self, made: Pipeline, request: Request) -> Finished:
        """One sweep."""
        place, follower = self.place, self.follower
        return Drive(self.store, made, request, place, follower, self.budget).run()

    def _count(self, finished: Finished) -> None:
        self.seconds += finished.seconds
        for (stage, kind), slots in finished.executed.items():
            if kind != "reduction":
                self.executed[stage] += slots
        for step in finished.plan.steps:
            if step.kind != "reduction":
                present = finished.present.get(step.id, 0)
                self.reused[step.stage] += max(
                    0, present - finished.executed[step.stage, step.kind]
                )

    def _evaluation(self, finished: Finished, wrt: list[str]) -> Evaluation:
        results = finished.results
        assert results.objective is not None
        goodness, points = self._goodness(finished)
        if results.curvature is not None:
            bent = results.curvature
            return Evaluation(results.objective, bent.gradient, bent.matrix, goodness, points)
        slopes = [slope for name in wrt for slope in _flat(results.gradient.get(name, []))]
        return Evaluation(results.objective, slopes, [], goodness, points)

    def _goodness(self, finished: Finished) -> tuple[float | None, int | None]:
        if self.fitness is None or self.fitness.goodness is None:
            return None, None
        artefact = self.store.get(finished.plan.objective.key) if finished.plan.objective else None
        assert artefact is not None
        (points,) = artefact.specs[self.fitness.points].shape
        return float(artefact.values(self.fitness.goodness)), points


def _flat(nested: Any) -> list[float]:
    if isinstance(nested, list):
        return [each for part in nested for each in _flat(part)]
    return [nested]
