"""Computing one slot of one step: read, run the stage's framework, refuse NaN, give back arrays.

Pure but for reading the store through `Reader`; writing and bookkeeping are the worker's.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from diffpipe.pipelines.core.data import read_data
from diffpipe.pipelines.core.finite import refuse_non_finite
from diffpipe.pipelines.core.shards import pairwise_sum
from diffpipe.pipelines.core.steps import Along, Call, Source, Step
from diffpipe.pipelines.frameworks.base import Pull, Push
from diffpipe.pipelines.frameworks.registry import runner, tracer
from diffpipe.pipelines.frameworks.stage_code import (
    check_numbers,
    check_options,
    code_of,
    explaining,
    load_code,
    reporting,
)

Arrays = dict[str, np.ndarray]


class Reader(Protocol):
    """Reads arrays that other steps made."""

    def __call__(self, source: Source, shard: int) -> np.ndarray:
        """The values that a slot of another step reads; raises DamagedError."""
        ...

    def has(self, source: Source) -> bool:
        """Whether the array exists: integer inputs have no cotangent."""
        ...


def primal(step: Step, shard: int, read: Reader) -> tuple[Arrays, Arrays]:
    """The outputs of a stage for one shard, and its residuals (empty where none are kept)."""
    call = _call(step)
    given = parameters(call), inputs(step, shard, read)
    with reporting(step.stage, shard):
        outputs, residuals = _outputs(step, call, shard, given)
        named = _on_host(outputs)
    with explaining(call, *given):
        for name, values in named.items():
            per_event = name not in call.summed
            refuse_non_finite(step, shard, f"output {name}", values, per_event=per_event)
    return named, _on_host(residuals)


def _outputs(
    step: Step, call: Call, shard: int, given: tuple[Arrays, Arrays]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if call.source:
        return _run_source(call, shard), {}
    if shard == 0:
        check_numbers(call, *given)
    if step.residuals:
        return tracer(step).forward_keeping(call, *given)
    return runner(step).forward(call, *given), {}


def pullback(step: Step, shard: int, read: Reader, kept: Arrays | None) -> Arrays:
    """The cotangents of a stage's inputs and its parameters' gradients (or partials).

    kept: the residuals that the forward pass stored; None: recompute.
    """
    call = _call(step)
    given = inputs(step, shard, read)
    cotangents = _cotangents(step, shard, read)
    smooth = [name for name in step.active_inputs if np.asarray(given[name]).dtype.kind in "fc"]
    pull = Pull(
        tuple(cotangents),
        tuple(smooth),
        tuple(step.active_parameters),
        call.rows(shard),
        frozenset(name for name in smooth if _is_per_event(step, name)),
    )
    with reporting(step.stage, shard):
        named = _on_host(_pulled(step, call, pull, given, cotangents, kept))
    with explaining(call, parameters(call), given):
        for name, values in named.items():
            local = name.removeprefix("error.").removeprefix("cotangent.")
            per_event = _is_per_event(step, local)
            refuse_non_finite(step, shard, name, values, per_event=per_event)
    return named


def _is_per_event(step: Step, local: str) -> bool:
    """Whether an input has one row per event."""
    source = step.inputs.get(local)
    return isinstance(source, Source) and source.slot


def tangent(step: Step, shard: int, read: Reader) -> Arrays:
    """The tangents of a stage's outputs for one shard, along all directions."""
    return _along(step, shard, read, runner(step).pushforward)


def curvature(step: Step, shard: int, read: Reader) -> Arrays:
    """The gradient and the Hessian of the objective's stage along all directions."""
    return _along(step, shard, read, tracer(step).curvature)


def _along(step: Step, shard: int, read: Reader, way: Callable[..., Mapping[str, Any]]) -> Arrays:
    call, along = _call(step), step.along
    assert along is not None
    given = parameters(call), inputs(step, shard, read)
    sources = {name: each for name, each in along.sources.items() if read.has(each)}
    push = _push(call, along, sources)
    with reporting(step.stage, shard):
        tangents = {name: read(source, shard) for name, source in sources.items()}
        named = _on_host(way(call, push, *given, tangents))
    with explaining(call, *given):
        for name, values in named.items():
            per_event = name.removeprefix("tangent.") in push.event_outputs
            refuse_non_finite(step, shard, name, values, per_event=per_event)
    return named


def _push(call: Call, along: Along, sources: Mapping[str, Source]) -> Push:
    over_events = call.sample is not None
    rows = {name for name in along.outputs if over_events and name not in call.summed}
    return Push(
        count=along.count,
        outputs=tuple(along.outputs),
        seeds=tuple(along.seeds),
        inputs=tuple((name, tuple(along.numbers[name])) for name in sources),
        event_inputs=frozenset(name for name, each in sources.items() if each.slot),
        event_outputs=frozenset(rows),
    )


def reduction(
    step: Step, parts: Mapping[str, Iterable[int]], read: Callable[[Source, int], np.ndarray]
) -> Arrays:
    """The sum of the parts of each array, by a pairwise tree in their order.

    parts: array -> the shards, or the first shards of blocks, of which a value is stored.
    """
    of = step.of
    assert of is not None
    named = {}
    for name, shards in parts.items():
        source = Source(of.step, of.key, name, slot=True)
        named[name] = pairwise_sum(read(source, shard) for shard in shards)
        refuse_non_finite(step, 0, f"sum of {name}", named[name], per_event=False)
    return named


def parameters(call: Call) -> Arrays:
    """The values of a stage's parameters as float64 arrays."""
    return {name: np.asarray(value, np.float64) for name, value in call.parameters.items()}


def inputs(step: Step, shard: int, read: Reader) -> dict[str, Any]:
    """What a stage reads for one shard: other stages' outputs, and data."""
    return {
        name: read(source, shard) if isinstance(source, Source) else read_data(source)
        for name, source in step.inputs.items()
    }


def _pulled(
    step: Step,
    call: Call,
    pull: Pull,
    given: Arrays,
    cotangents: Arrays,
    kept: Arrays | None,
) -> Mapping[str, Any]:
    if kept is None:
        return runner(step).pullback(call, pull, parameters(call), given, cotangents)
    return tracer(step).pullback_from(call, pull, parameters(call), given, cotangents, kept)


def _cotangents(step: Step, shard: int, read: Reader) -> Arrays:
    """Output -> the sum, in the order of the stages, of what its users pulled back to it."""
    found: Arrays = {}
    for name, sources in step.cotangents.items():
        there = [source for source in sources if read.has(source)]
        if there:
            found[name] = reduce(np.add, (read(source, shard) for source in there))
        elif not sources:
            found[name] = np.ones(())  # the objective itself
    return found


def _run_source(call: Call, shard: int) -> Mapping[str, Any]:
    assert call.sample is not None
    start = shard * call.sample[1]
    return run_source(call, start, start + call.rows(shard))


def run_source(call: Call, start: int, stop: int) -> Mapping[str, Any]:
    """Events start..stop of an event source, which is given its file as `path`, if it has one.

    Raises what the source raises.
    """
    assert call.sample is not None
    count, _, seed = call.sample
    function = load_code(code_of(call))
    given = call.options | {word: Path(path) for word, path in call.files.items()}
    check_options(call.stage, function, given)
    columns: Mapping[str, Any] = function(start, stop, count=count, seed=seed, **given)
    return columns


def _call(step: Step) -> Call:
    assert step.call is not None
    return step.call


def _on_host(arrays: Mapping[str, Any]) -> Arrays:
    return {name: np.asarray(values) for name, values in arrays.items()}
