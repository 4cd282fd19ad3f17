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
from diffpipe.pipelines.core.steps import Call, Source, Step
from diffpipe.pipelines.frameworks.base import Framework, Pull
from diffpipe.pipelines.frameworks.registry import framework
from diffpipe.pipelines.frameworks.stage_code import (
    check_numbers,
    check_options,
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
    with reporting(step.stage, shard):
        outputs, residuals = _outputs(step, call, shard, read)
        named = _on_host(outputs)
    for name, values in named.items():
        refuse_non_finite(step, shard, f"output {name}", values, per_event=name not in call.summed)
    return named, _on_host(residuals)


def _outputs(
    step: Step, call: Call, shard: int, read: Reader
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if call.source:
        return _run_source(call, shard), {}
    runner = framework(step.framework)
    given = parameters(call), inputs(step, shard, read)
    if shard == 0:
        check_numbers(call.code, call.options, *given)
    if step.residuals:
        return runner.forward_keeping(call, *given)
    return runner.forward(call, *given), {}


def pullback(step: Step, shard: int, read: Reader, kept: Arrays | None) -> Arrays:
    """The cotangents of a stage's inputs and its parameters' gradients (or partials).

    kept: the residuals that the forward pass stored; None: recompute.
    """
    call = _call(step)
    given = inputs(step, shard, read)
    cotangents = _cotangents(step, shard, read)
    smooth = [name for name in step.active_inputs if np.asarray(given[name]).dtype.kind in "fc"]
    pull = Pull(tuple(cotangents), tuple(smooth), tuple(step.active_parameters))
    with reporting(step.stage, shard):
        runner = framework(step.framework)
        named = _on_host(_pulled(runner, call, pull, given, cotangents, kept))
    for name, values in named.items():
        source = step.inputs.get(name.removeprefix("cotangent."))
        per_event = isinstance(source, Source) and source.slot
        refuse_non_finite(step, shard, name, values, per_event=per_event)
    return named


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
    runner: Framework,
    call: Call,
    pull: Pull,
    given: Arrays,
    cotangents: Arrays,
    kept: Arrays | None,
) -> Mapping[str, Any]:
    if kept is None:
        return runner.pullback(call, pull, parameters(call), given, cotangents)
    return runner.pullback_from(call, pull, parameters(call), given, cotangents, kept)


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
    count, size, _ = call.sample
    return run_source(call, shard * size, min((shard + 1) * size, count))


def run_source(call: Call, start: int, stop: int) -> Mapping[str, Any]:
    """Events start..stop of an event source, which is given its file as `path`, if it has one.

    Raises what the source raises.
    """
    assert call.sample is not None
    count, _, seed = call.sample
    function = load_code(call.code)
    given = call.options | {word: Path(path) for word, path in call.files.items()}
    check_options(call.stage, function, given)
    columns: Mapping[str, Any] = function(start, stop, count=count, seed=seed, **given)
    return columns


def _call(step: Step) -> Call:
    assert step.call is not None
    return step.call


def _on_host(arrays: Mapping[str, Any]) -> Arrays:
    return {name: np.asarray(values) for name, values in arrays.items()}
