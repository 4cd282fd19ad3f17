"""One task, slot by slot: what is held in memory between steps, what is written, what is noted."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO

import numpy as np

from diffpipe.cache import masks
from diffpipe.cache.artefact import Artefact
from diffpipe.cache.checkpoints import Checkpoints
from diffpipe.cache.errors import DamagedError, InterruptedRunError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import compute, differentiate
from diffpipe.pipelines.core.conform import check_as_described
from diffpipe.pipelines.core.finite import refuse_non_finite
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.shards import BlockSum
from diffpipe.pipelines.core.steps import Source, Step
from diffpipe.pipelines.core.tasks import Task
from diffpipe.rules import memory
from diffpipe.rules.measure import measure

Arrays = dict[str, np.ndarray]


@dataclass
class Sweep:
    """The arrays at hand: of the shard in work, sums over its block, once-values of the task."""

    plan: Plan
    store: Store
    record: IO[str]
    still_wanted: Callable[[], bool]
    _steps: dict[str, Step] = field(default_factory=dict)
    _artefacts: dict[str, Artefact] = field(default_factory=dict)
    _shard_arrays: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    _once_arrays: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    _sums: dict[tuple[str, str], BlockSum] = field(default_factory=dict)
    _written: int = 0  # bytes of the slot in work

    def __post_init__(self) -> None:
        self._steps.update({step.id: step for step in self.plan.steps})

    def run(self, task: Task) -> None:
        """Shard by shard through all steps of the task."""
        self._once_arrays.clear()
        self._sums.clear()
        edges = {edge for work in task.work for ends in work.slots for edge in ends}
        for first, stop in pairwise(sorted(edges)):
            here = [work.step for work in task.work if masks.within(work.slots, first, stop)]
            for shard in range(first, stop):
                self._shard_arrays.clear()
                for step_id in here:
                    self._slot(self._steps[step_id], shard)

    def has(self, source: Source) -> bool:
        return source.array in self._artefact(source.key).specs

    def __call__(self, source: Source, shard: int) -> np.ndarray:
        held = self._shard_arrays if source.slot else self._once_arrays
        place = (source.key, source.array)
        if place not in held:
            held[place] = self._read(source, shard)
        return held[place]

    def _read(self, source: Source, shard: int) -> np.ndarray:
        artefact, slot = self._artefact(source.key), shard if source.slot else 0
        try:
            return artefact.read(source.array, slot)
        except DamagedError as error:
            self.store.set_aside_slot(artefact, slot, error.message, array=source.array)
            raise

    def _slot(self, step: Step, shard: int) -> None:
        if not self.still_wanted():
            raise InterruptedRunError("the run that started this worker is gone")
        if not self.plan.force and self._is_complete(step, shard):
            return
        memory.forget_peak()
        start, self._written = time.perf_counter(), 0
        computed = _COMPUTE[step.kind](self, step, shard)
        self._hold(step, computed)
        self._note(step, shard, time.perf_counter() - start)
        if step.kind == "primal" and shard == 0:
            self._measure(step, computed)

    def _primal(self, step: Step, shard: int) -> Arrays:
        outputs, kept = compute.primal(step, shard, self)
        if step.residuals and kept:
            artefact = self._artefact(step.residuals)
            self._store(artefact, shard, _padded(artefact, kept))
        self._write(step, shard, outputs)
        return outputs

    def _pullback(self, step: Step, shard: int) -> Arrays:
        kept = self._saved(step.saved, shard) if step.saved else None
        pulled = differentiate.pullback(step, shard, self, kept)
        self._write(step, shard, pulled)
        return pulled

    def _tangent(self, step: Step, shard: int) -> Arrays:
        pushed = differentiate.tangent(step, shard, self)
        self._write(step, shard, pushed)
        return pushed

    def _bend(self, step: Step, shard: int) -> Arrays:
        bent = differentiate.bend(step, shard, self)
        self._write(step, shard, bent)
        return bent

    def _curvature(self, step: Step, shard: int) -> Arrays:
        found = differentiate.curvature(step, shard, self)
        self._write(step, shard, found)
        return found

    def _reduction(self, step: Step, shard: int) -> Arrays:
        assert step.of is not None
        artefact, of = self._artefact(step.key), self._artefact(step.of.key)
        parts = {name: range(0, of.slots, of.specs[name].block) for name in artefact.specs}
        total = compute.reduction(step, parts, self._read)
        self._store(artefact, shard, total)
        return total

    def _write(self, step: Step, shard: int, arrays: Arrays) -> None:
        """Store a shard; what is added up over blocks is held until a block is whole."""
        artefact = self._artefact(step.key)
        check_as_described(step, shard, arrays, artefact.specs)
        stored: dict[str, np.ndarray | None] = dict(arrays)
        for name, spec in artefact.specs.items():
            if spec.block > 1 and name in arrays:
                stored[name] = self._block_sum(step, shard, name, arrays[name])
        self._store(artefact, shard, stored)

    def _store(
        self, artefact: Artefact, shard: int, arrays: Mapping[str, np.ndarray | None]
    ) -> None:
        artefact.write(shard, arrays)
        made = (spec for name, spec in artefact.specs.items() if arrays[name] is not None)
        self._written += sum(spec.chunk_nbytes for spec in made)

    def _block_sum(
        self, step: Step, shard: int, name: str, values: np.ndarray
    ) -> np.ndarray | None:
        blocks = self._sums.setdefault((step.key, name), BlockSum(step.block, step.slots))
        total = blocks.add(shard, values)
        if total is not None:
            what = f"the sum of {name} over its block"
            refuse_non_finite(step, shard, what, total, per_event=False)
        return total

    def _measure(self, step: Step, outputs: Arrays) -> None:
        """Find out what residuals of a stage would take, where the plan asks for it."""
        choice = self.plan.checkpoints.get(step.stage)
        if choice is None or choice.measure is None:
            return
        kept = Checkpoints(self.store.layout)
        if kept.get(choice.measure) is None:
            kept.put(choice.measure, measure(self.store, step, choice.inputs, outputs, self))

    def _saved(self, source: Source, shard: int) -> Arrays:
        arrays = self._artefact(source.key).specs
        sources = (Source(source.step, source.key, name, source.slot) for name in arrays)
        return {each.array: self._read(each, shard) for each in sources}

    def _is_complete(self, step: Step, shard: int) -> bool:
        keys = (step.key, step.residuals) if step.residuals else (step.key,)
        return all(self._artefact(key).has(shard) for key in keys)

    def _hold(self, step: Step, arrays: Arrays) -> None:
        held = self._once_arrays if step.over == "once" else self._shard_arrays
        held.update({(step.key, name): values for name, values in arrays.items()})

    def _artefact(self, key: str) -> Artefact:
        if key not in self._artefacts:
            found = self.store.get(key)
            if found is None:
                raise DamagedError(f"the artefact {key} is not in the store {self.store.root}")
            self._artefacts[key] = found
        return self._artefacts[key]

    def _note(self, step: Step, shard: int, seconds: float) -> None:
        line = {"step": step.id, "stage": step.stage, "kind": step.kind, "slot": shard}
        took = {"seconds": seconds, "bytes": self._written, "peak_mb": memory.peak_mb()}
        self.record.write(json.dumps(line | took) + "\n")
        self.record.flush()


_COMPUTE: dict[str, Callable[[Sweep, Step, int], Arrays]] = {
    "primal": Sweep._primal,
    "pullback": Sweep._pullback,
    "tangent": Sweep._tangent,
    "bend": Sweep._bend,
    "curvature": Sweep._curvature,
    "reduction": Sweep._reduction,
}


def _padded(artefact: Artefact, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Residuals of a short last shard, filled up to the length that is stored."""
    lengths = {name: spec.shape[1] for name, spec in artefact.specs.items()}
    return {name: np.pad(each, (0, lengths[name] - each.size)) for name, each in arrays.items()}
