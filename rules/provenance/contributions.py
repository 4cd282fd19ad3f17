"""Contributions: the parts that a gradient is the sum of, by stage and by shard."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from diffpipe.cache.artefact import Artefact
from diffpipe.cache.errors import DamagedError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import Source, Step
from diffpipe.rules.provenance.components import components

Parts = Mapping[str, Mapping[str, float]]  # component of a parameter -> stage -> its part


@dataclass(frozen=True)
class Spread:
    """The parts that a stage's contribution to one component is added up from.

    Each is of a shard, or of a block of shards, which has the number of its first shard.
    """

    parts: Mapping[int, float]

    @property
    def total(self) -> float:
        return math.fsum(self.parts.values())

    @property
    def least(self) -> float:
        return min(self.parts.values())

    @property
    def most(self) -> float:
        return max(self.parts.values())

    @property
    def largest(self) -> int:
        """The shard whose part is largest in magnitude."""
        return max(self.parts, key=lambda shard: abs(self.parts[shard]))

    @property
    def share(self) -> float | None:
        """The part of that shard in the sum of the magnitudes; None where all are zero."""
        return share(self.parts[self.largest], self.parts.values())


def share(part: float, parts: Iterable[float]) -> float | None:
    """The magnitude of one part over the sum of the magnitudes of all; None where that is zero."""
    whole = math.fsum(map(abs, parts))
    return abs(part) / whole if whole else None


def by_stage(store: Store, plan: Plan) -> Parts:
    """What each stage contributes, in the order of the stages; empty where none does."""
    values = ((name, plan.parameter_values[name]) for name in plan.gradients)
    found: dict[str, dict[str, float]] = {
        label: {} for name, value in values for label, _ in components(name, value)
    }
    for name, step, source in _sources(plan):
        value = _artefact(store, source).values(source.array)
        for label, part in components(name, value):
            found[label][step.stage] = found[label].get(step.stage, 0.0) + part
    return found


def by_shard(store: Store, plan: Plan) -> Mapping[str, Mapping[str, Spread]]:
    """Component -> stage over events -> the parts of its shards; stages that run once have none."""
    found: defaultdict[str, dict[str, dict[int, float]]] = defaultdict(dict)
    for name, step, source in _sources(plan):
        if step.of is not None:
            artefact = _artefact(store, step.of)
            for shard in range(0, artefact.slots, artefact.specs[source.array].block):
                value = artefact.read(source.array, shard).tolist()
                for label, part in components(name, value):
                    parts = found[label].setdefault(step.stage, {})
                    parts[shard] = parts.get(shard, 0.0) + part
    return {
        label: {stage: Spread(parts) for stage, parts in stages.items()}
        for label, stages in found.items()
    }


def _sources(plan: Plan) -> Iterator[tuple[str, Step, Source]]:
    """Where parts are: of which parameter, made by which step.

    Two may be of one stage, where it has a parameter under two names.
    """
    steps = {step.id: step for step in plan.steps}
    for name, sources in plan.gradients.items():
        yield from ((name, steps[source.step], source) for source in sources)


def _artefact(store: Store, source: Source) -> Artefact:
    artefact = store.get(source.key)
    if artefact is None:
        raise DamagedError(f"the artefact of {source.step} is missing from the store")
    return artefact
