"""Derivatives of one slot of one step: pullbacks, tangents, and the tangents of pullbacks."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from diffpipe.pipelines.core.compute import (
    Arrays,
    Reader,
    call_of,
    inputs,
    parameters,
)
from diffpipe.pipelines.core.finite import refuse_non_finite
from diffpipe.pipelines.core.steps import Along, Call, Given, Source, Step, Units
from diffpipe.pipelines.core.sweeps.cotangents import given_cotangent
from diffpipe.pipelines.frameworks.base import Pull, Push
from diffpipe.pipelines.frameworks.plain import on_host
from diffpipe.pipelines.frameworks.registry import runner, tracer
from diffpipe.pipelines.frameworks.stage_code import explaining, reporting


def pullback(step: Step, shard: int, read: Reader, kept: Arrays | None) -> Arrays:
    """The cotangents of a stage's inputs and its parameters' gradients (or partials).

    kept: the residuals that the forward pass stored; None: recompute.
    """
    call = call_of(step)
    given = inputs(step, shard, read)
    cotangents = _cotangents(step, shard, read)
    pull = _pull(step, shard, given, cotangents)
    with reporting(step.stage, shard):
        named = on_host(_pulled(step, call, pull, given, cotangents, kept))
    return _finite(step, shard, (parameters(call), given), named)


def tangent(step: Step, shard: int, read: Reader) -> Arrays:
    """The tangents of a stage's outputs for one shard, along all directions."""
    return _along(step, shard, read, runner(step).pushforward)


def bend(step: Step, shard: int, read: Reader) -> Arrays:
    """The tangents of a pullback's arrays along all directions."""
    call = call_of(step)
    given = parameters(call), inputs(step, shard, read)
    cotangents = _cotangents(step, shard, read), _added(step.bends, shard, read)
    pull = _pull(step, shard, given[1], cotangents[0])
    push, tangents = _pushed(step, shard, given, read)
    with reporting(step.stage, shard):
        named = on_host(runner(step).bend(call, pull, push, given, tangents, cotangents))
    return _finite(step, shard, given, named)


def curvature(step: Step, shard: int, read: Reader) -> Arrays:
    """The gradient and the Hessian of the objective's stage along all directions."""
    return _along(step, shard, read, tracer(step).curvature)


def _pull(step: Step, shard: int, given: Arrays, cotangents: Arrays) -> Pull:
    call = call_of(step)
    smooth = [name for name in step.active_inputs if np.asarray(given[name]).dtype.kind in "fc"]
    return Pull(
        tuple(cotangents),
        tuple(smooth),
        tuple(step.active_parameters),
        call.rows(shard),
        frozenset(name for name in smooth if _is_per_event(step, name)),
        frozenset(name for name in cotangents if call.is_per_event(name)),
        step.count,
    )


def _finite(step: Step, shard: int, given: tuple[Arrays, Arrays], named: Arrays) -> Arrays:
    """The arrays of a pullback, or of its tangents; refuses NaN and Inf."""
    with explaining(call_of(step), *given):
        for name, values in named.items():
            per_event = _is_per_event(step, name.rpartition("cotangent.")[2])
            refuse_non_finite(step, shard, name, values, per_event=per_event)
    return named


def _is_per_event(step: Step, local: str) -> bool:
    """Whether an input has one row per event."""
    source = step.inputs.get(local)
    return isinstance(source, Source) and source.slot


def _pulled(
    step: Step,
    call: Call,
    pull: Pull,
    given: Arrays,
    cotangents: Arrays,
    kept: Arrays | None,
) -> Mapping[str, Any]:
    if kept is None or step.count is not None:
        way = runner(step).pullback if step.count is None else runner(step).pullbacks
        return way(call, pull, parameters(call), given, cotangents)
    return tracer(step).pullback_from(call, pull, parameters(call), given, cotangents, kept)


def _along(step: Step, shard: int, read: Reader, way: Callable[..., Mapping[str, Any]]) -> Arrays:
    call = call_of(step)
    given = parameters(call), inputs(step, shard, read)
    push, tangents = _pushed(step, shard, given, read)
    with reporting(step.stage, shard):
        named = on_host(way(call, push, *given, tangents))
    with explaining(call, *given):
        for name, values in named.items():
            per_event = name.removeprefix("tangent.") in push.event_outputs
            refuse_non_finite(step, shard, name, values, per_event=per_event)
    return named


def _pushed(
    step: Step, shard: int, given: tuple[Arrays, Arrays], read: Reader
) -> tuple[Push, tuple[Arrays, Arrays]]:
    """What moves of a stage, and the tangents of its parameters and inputs."""
    call, along = call_of(step), step.along
    assert along is not None
    sources = {name: each for name, each in along.sources.items() if read.has(each)}
    tangents = {name: read(source, shard) for name, source in sources.items()}
    numbers = {name: tuple(along.numbers[name]) for name in sources}
    for name, first in along.units.items():
        value = np.asarray(given[1][name])
        tangents[name] = np.eye(value.size).reshape(value.size, *value.shape)
        numbers[name] = tuple(range(first, first + value.size))
    of_parameters = _seeded(along, given[0])
    push = Push(
        count=along.count,
        outputs=tuple(along.outputs),
        parameters=tuple(of_parameters),
        inputs=tuple(numbers.items()),
        event_inputs=frozenset(name for name, each in sources.items() if each.slot),
        event_outputs=frozenset(name for name in along.outputs if call.is_per_event(name)),
    )
    return push, (of_parameters, tangents)


def _seeded(along: Along, values: Arrays) -> Arrays:
    """The tangents of a stage's own parameters, a row for each direction."""
    rows: Arrays = {}
    for local, component, direction, size in along.seeds:
        shape = values[local].shape
        tangent = rows.setdefault(local, np.zeros((along.count, *shape)))
        tangent.reshape(along.count, -1)[direction, component] = size
    return rows


def _cotangents(step: Step, shard: int, read: Reader) -> Arrays:
    """Output -> the sum, in the order of the stages, of what its users pulled back to it."""
    found = _added(step.cotangents, shard, read)
    for name, sources in step.cotangents.items():
        if not sources and name not in step.seeds:
            found[name] = np.ones(())  # the objective itself
    for name, seed in step.seeds.items():
        start = _start(step, name, seed, shard)
        found[name] = found[name] + start if name in found else start
    return found


def _added(arrays: Mapping[str, list[Source]], shard: int, read: Reader) -> Arrays:
    """The sums of what is there of some sources, in their order."""
    there = {name: [each for each in sources if read.has(each)] for name, sources in arrays.items()}
    return {
        name: reduce(np.add, (read(source, shard) for source in sources))
        for name, sources in there.items()
        if sources
    }


def _start(step: Step, name: str, seed: Units | Given, shard: int) -> np.ndarray:
    """The cotangent of an output where a backward sweep starts, one or many."""
    if isinstance(seed, Given):
        return given_cotangent(seed, call_of(step), name, shard)
    assert step.count is not None
    rows = np.zeros((step.count, seed.size))
    rows[seed.first : seed.first + seed.size] = np.eye(seed.size)
    return rows.reshape(step.count, *seed.shape)
