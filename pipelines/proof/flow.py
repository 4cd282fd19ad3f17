"""The adjoint identity of a whole pipeline, stage by stage.

Of what the objective changes along v, each array between two stages carries <cotangent, tangent>.
A stage gives what it receives,

    sum over outputs <cotangent, tangent> =
        sum over inputs <cotangent, tangent> + sum over parameters <gradient, v>,

so that from the objective down to the parameters <w, J v> = <J^T w, v>. Where it does not, the VJP
and the JVP of that stage are not of the same function.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from diffpipe.cache.artefact import Artefact
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.model import OutputRef, Pipeline, Stage
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import (
    Source,
    Step,
    cotangent_array,
    error_array,
    gradient_array,
    pullback_id,
    reduction_id,
    tangent_id,
)
from diffpipe.pipelines.proof.layout import magnitudes, real_sum


@dataclass(frozen=True)
class Part:
    """A sum of products; terms: the sum of their magnitudes; error: what they are said to have."""

    value: float = 0.0
    terms: float = 0.0
    error: float = 0.0

    def __add__(self, other: "Part") -> "Part":
        return Part(self.value + other.value, self.terms + other.terms, self.error + other.error)


@dataclass(frozen=True)
class Balance:
    """What a stage gives (at its outputs) and receives (at its inputs and parameters)."""

    stage: str
    gives: Part
    receives: Part


@dataclass(frozen=True)
class Flow:
    """A backward and a tangent sweep of one pipeline, each with the store that it is in.

    along: the direction of the tangents, parameter -> array.
    """

    pipeline: Pipeline
    objective: OutputRef
    along: Mapping[str, np.ndarray]
    pulled: tuple[Plan, Store]
    pushed: tuple[Plan, Store]
    _known: dict[str, Artefact] = field(default_factory=dict)

    def balances(self) -> Iterator[Balance]:
        """Of each stage that both sweeps pass, last stage first; raises DamagedError."""
        for stage in reversed(list(self.pipeline.stages.values())):
            if pullback_id(stage.name) in self._pulls and tangent_id(stage.name) in self._pushes:
                yield Balance(stage.name, self._gives(stage), self._receives(stage))

    @cached_property
    def _pulls(self) -> dict[str, Step]:
        return {step.id: step for step in self.pulled[0].steps}

    @cached_property
    def _pushes(self) -> dict[str, Step]:
        return {step.id: step for step in self.pushed[0].steps}

    def _gives(self, stage: Stage) -> Part:
        total = Part()
        for consumer in self.pipeline.stages.values():
            for local, ref in consumer.output_inputs():
                if ref.stage == stage.name:
                    total += self._carried(consumer.name, local)
        if stage.name == self.objective.stage:
            value = self._objective()
            total += Part(value, abs(value))
        return total

    def _receives(self, stage: Stage) -> Part:
        pull, total = self._pulls[pullback_id(stage.name)], Part()
        for local, _ in stage.output_inputs():
            total += self._carried(stage.name, local)
        for local in pull.active_parameters:
            v = self.along.get(stage.parameters[local])
            if v is not None:
                total += self._product(self._end(pull), gradient_array(local), 0, v)
        return total

    def _carried(self, consumer: str, local: str) -> Part:
        """<cotangent, tangent> of what a stage reads as an input."""
        pull = self._pulls.get(pullback_id(consumer))
        push = self._pushes.get(tangent_id(consumer))
        if pull is None or push is None or push.along is None or local not in pull.active_inputs:
            return Part()
        source = push.along.sources.get(local)
        if source is None or not self._has_tangent(source):
            return Part()
        if not source.slot:
            return self._product(
                self._end(pull), cotangent_array(local), 0, self._tangent(source, 0)
            )
        parts = (
            self._product(pull.key, cotangent_array(local), k, self._tangent(source, k))
            for k in range(pull.slots)
        )
        return sum(parts, Part())

    def _has_tangent(self, source: Source) -> bool:
        """Whole numbers have none."""
        return source.array in self._artefact(self.pushed[1], source.key).specs

    def _end(self, pull: Step) -> str:
        """The key of the sum over the shards of a pullback; its own where it runs once."""
        summed = self._pulls.get(reduction_id(pull.id))
        return pull.key if summed is None else summed.key

    def _product(self, key: str, array: str, shard: int, tangent: np.ndarray) -> Part:
        artefact = self._artefact(self.pulled[1], key)
        given, beside = artefact.read(array, shard), error_array(array)
        error = artefact.read(beside, shard) if beside in artefact.specs else np.zeros(())
        return Part(
            real_sum(given, tangent),
            magnitudes(given, tangent),
            float(np.sum(abs(error) * abs(tangent))),
        )

    def _tangent(self, source: Source, shard: int) -> np.ndarray:
        """Along the only direction, which stands behind the events, or in front."""
        artefact = self._artefact(self.pushed[1], source.key)
        return np.take(artefact.read(source.array, shard), 0, axis=int(source.slot))

    def _artefact(self, store: Store, key: str) -> Artefact:
        if key not in self._known:
            found = store.get(key)
            assert found is not None, f"{key} has been computed"
            self._known[key] = found
        return self._known[key]

    def _objective(self) -> float:
        source = self.pushed[0].goal.tangents[str(self.objective)]
        return float(self._tangent(source, 0))
