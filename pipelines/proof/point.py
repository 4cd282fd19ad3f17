"""A stage at a point: its step, and the numbers that it is put to the proof at."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from diffpipe.cache.store import Store
from diffpipe.pipelines.core import compute, graph
from diffpipe.pipelines.core.derivatives import (
    active_stages,
    check_pullback,
    has_jvp,
    moving_inputs,
)
from diffpipe.pipelines.core.model import Derivative, OutputRef, Pipeline, Stage
from diffpipe.pipelines.core.steps import Call, Source, Step
from diffpipe.pipelines.core.ways import TRACED
from diffpipe.pipelines.proof.layout import is_smooth

Arrays = Mapping[str, Any]
_STEP, _ARRAYS, _COLUMN = "step.json", "arrays.npz", ":"


class Traits(msgspec.Struct, frozen=True):
    """What of a stage at a point its step does not say.

    rows: how many events there are, of how many in the shard; event_inputs: those with one row for
    each. moving: the inputs that derivatives are taken in; idle: those of them, and parameters,
    through which no gradient passes in the pipeline. outputs: those that derivatives are taken of;
    None: all. has_vjp, has_jvp: what it gives.
    """

    shard: int
    rows: int
    of_rows: int
    event_inputs: list[str]
    moving: list[str]
    has_vjp: bool
    has_jvp: bool
    idle: list[str] = []
    outputs: list[str] | None = None


@dataclass(frozen=True)
class Point:
    """A stage, its parameters and its inputs, as NumPy arrays."""

    step: Step
    traits: Traits
    parameters: Arrays
    inputs: Arrays

    @classmethod
    def of_stage(
        cls,
        pipeline: Pipeline,
        step: Step,
        store: Store,
        shard: int = 0,
        *,
        is_passed: bool = True,
    ) -> "Point":
        """A stage of a pipeline for one shard, with what the store has for it.

        step: its primal. Derivatives are taken of the outputs that are read (of all where none
        is), in all float inputs where the framework gives them, else in those that a gradient
        passes through. is_passed: whether a gradient is taken through the stage at all. Raises
        PipelineError, DamagedError.
        """
        stage, call = pipeline.stages[step.stage], _call(step)
        sources = {name: each for name, each in step.inputs.items() if isinstance(each, Source)}
        passed, outputs = _moving(pipeline, stage), graph.used_outputs(pipeline, step.stage)
        moving = sources if stage.framework in TRACED else passed
        differs = stage.derivative in (Derivative.EXACT, Derivative.DIFFERENCES)
        if differs:
            check_pullback(pipeline, stage, passed, pipeline.parameters, outputs or stage.outputs)
        busy = {*passed, *call.parameters} if is_passed else set()
        rows, given = call.rows(shard), compute.inputs(step, shard, Stored(store))
        traits = Traits(
            shard=shard,
            rows=rows,
            of_rows=rows,
            event_inputs=[name for name, each in sources.items() if each.slot],
            moving=[name for name in moving if is_smooth(given[name])],
            has_vjp=differs,
            has_jvp=differs and has_jvp(stage),
            idle=[name for name in [*moving, *call.parameters] if name not in busy],
            outputs=outputs or None,
        )
        return cls(step, traits, compute.parameters(call), given)

    @property
    def call(self) -> Call:
        return _call(self.step)

    @property
    def has_one_size(self) -> bool:
        """Whether the stage takes this number of events and no other, as vectors of UM-Bridge."""
        return self.step.framework == "umbridge"

    def first(self, rows: int) -> "Point":
        """The same for the first events alone; all of it where there is nothing to cut."""
        if self.has_one_size or rows >= self.traits.rows:
            return self
        return self.of_events(np.arange(rows))

    def of_events(self, numbers: np.ndarray) -> "Point":
        """The same for the events of these numbers."""
        if not self.traits.event_inputs:
            return self
        events = self.traits.event_inputs
        taken = {name: self.inputs[name][numbers] for name in events}
        traits = msgspec.structs.replace(self.traits, rows=len(numbers))
        return replace(self, traits=traits, inputs={**self.inputs, **taken})

    def write(self, folder: Path) -> None:
        """Save it as JSON and plain arrays."""
        (folder / _STEP).write_bytes(msgspec.json.encode([self.step, self.traits]))
        arrays: dict[str, Any] = dict(_columns("p", self.parameters))
        np.savez(folder / _ARRAYS, **arrays, **dict(_columns("i", self.inputs)))

    @classmethod
    def read(cls, folder: Path) -> "Point":
        """What `write` saved."""
        step, traits = msgspec.json.decode((folder / _STEP).read_bytes(), type=tuple[Step, Traits])
        found: dict[str, Any] = {"p": {}, "i": {}}
        with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
            for name in arrays.files:
                *groups, last = name.split(_COLUMN)
                place = found
                for group in groups:
                    place = place.setdefault(group, {})
                place[last] = arrays[name]
        return cls(step, traits, found["p"], found["i"])


def before(pipeline: Pipeline, names: Iterable[str]) -> Pipeline:
    """The part of a pipeline that has to be computed before some of its stages can be."""
    above = set().union(*(graph.above(pipeline, name) for name in names))
    stages = {name: each for name, each in pipeline.stages.items() if name in above}
    return replace(pipeline, stages=stages, objective=None)


class Stored:
    """Reads what other steps made from a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, source: Source, shard: int) -> np.ndarray:
        artefact = self._store.get(source.key)
        assert artefact is not None, f"{source.step} has not been computed"
        found: np.ndarray = artefact.read(source.array, shard if source.slot else 0)
        return found

    def has(self, source: Source) -> bool:
        artefact = self._store.get(source.key)
        return artefact is not None and source.array in artefact.specs


def _moving(pipeline: Pipeline, stage: Stage) -> dict[str, OutputRef]:
    """The inputs of a stage through which a gradient can pass."""
    active = active_stages(pipeline, set(pipeline.parameters))
    return dict(moving_inputs(pipeline, stage, active))


def _columns(prefix: str, arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """The arrays by name; those of a dataset under its own."""
    for name, each in arrays.items():
        if isinstance(each, Mapping):
            yield from _columns(f"{prefix}{_COLUMN}{name}", each)
        else:
            yield f"{prefix}{_COLUMN}{name}", np.asarray(each)


def _call(step: Step) -> Call:
    assert step.call is not None
    return step.call
