"""Computing one slot of one step: read, run the stage's framework, refuse NaN, give back arrays.

Pure but for reading the store through `Reader`; writing and bookkeeping are the worker's.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from diffpipe.pipelines.core.data import read_data
from diffpipe.pipelines.core.finite import refuse_non_finite
from diffpipe.pipelines.core.shards import pairwise_sum
from diffpipe.pipelines.core.steps import Call, Source, Step
from diffpipe.pipelines.frameworks.plain import on_host
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
    call = call_of(step)
    given = parameters(call), inputs(step, shard, read)
    with reporting(step.stage, shard):
        outputs, residuals = _outputs(step, call, shard, given)
        named = on_host(outputs)
    with explaining(call, *given):
        for name, values in named.items():
            per_event = name not in call.summed
            refuse_non_finite(step, shard, f"output {name}", values, per_event=per_event)
    return named, on_host(residuals)


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


def call_of(step: Step) -> Call:
    """The call of a step that has one: of all but a reduction."""
    assert step.call is not None
    return step.call
