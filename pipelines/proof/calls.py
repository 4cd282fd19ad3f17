"""Calling the stage at a point: forward, VJP, JVP, all in NumPy arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from diffpipe.pipelines.core.steps import (
    cotangent_array,
    error_array,
    gradient_array,
    tangent_array,
)
from diffpipe.pipelines.frameworks.base import Pull, Push
from diffpipe.pipelines.frameworks.plain import on_host
from diffpipe.pipelines.frameworks.registry import runner
from diffpipe.pipelines.frameworks.stage_code import reporting
from diffpipe.pipelines.proof.point import Arrays, Point


def forward(point: Point, parameters: Arrays = {}, inputs: Arrays = {}) -> dict[str, np.ndarray]:  # noqa: B006 (not written to)
    """The outputs, with some parameters and inputs replaced; raises DiffpipeError."""
    given = {**point.parameters, **parameters}, {**point.inputs, **inputs}
    with reporting(point.step.stage, point.traits.shard):
        return on_host(runner(point.step).forward(point.call, *given))


def pulled(point: Point, cotangents: Arrays) -> dict[str, np.ndarray]:
    """The VJP, by the names of a pullback's arrays; raises DiffpipeError."""
    traits = point.traits
    pull = Pull(
        outputs=tuple(cotangents),
        inputs=tuple(traits.moving),
        parameters=tuple(point.parameters),
        rows=traits.rows,
        event_inputs=frozenset(traits.moving) & frozenset(traits.event_inputs),
    )
    with reporting(point.step.stage, traits.shard):
        given = point.parameters, point.inputs, cotangents
        return on_host(runner(point.step).pullback(point.call, pull, *given))


def pushed(
    point: Point, outputs: Mapping[str, Any], tangents: Mapping[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """The tangents of the outputs along each tangent by itself, all taken in one call.

    outputs: those that are differentiable; tangents: by the names of a pullback's arrays. A
    parameter moves in its components one by one, and only in those that its tangent has.
    """
    seeds, rows, count = [], {}, 0
    for name in point.parameters:
        tangent = tangents.get(gradient_array(name), np.zeros(()))
        for component in np.flatnonzero(tangent):
            seeds.append((name, int(component), count))
            count += 1
    moving = [name for name in point.traits.moving if cotangent_array(name) in tangents]
    for name in moving:
        rows[name], count = (count,), count + 1
    push = _push(point, outputs, tuple(seeds), rows, count)
    along = {n: _one_row(push, n, tangents[cotangent_array(n)]) for n in moving}
    with reporting(point.step.stage, point.traits.shard):
        given = point.parameters, point.inputs, along
        stacked = on_host(runner(point.step).pushforward(point.call, push, *given))
    found = {cotangent_array(name): _row(push, stacked, rows[name][0]) for name in moving}
    return found | _of_parameters(push, stacked, tangents)


def _push(
    point: Point,
    outputs: Mapping[str, Any],
    seeds: tuple[tuple[str, int, int], ...],
    rows: Mapping[str, tuple[int, ...]],
    count: int,
) -> Push:
    return Push(
        count=count,
        outputs=tuple(outputs),
        seeds=seeds,
        inputs=tuple(rows.items()),
        event_inputs=frozenset(point.traits.event_inputs) & frozenset(rows),
        event_outputs=frozenset(name for name in outputs if point.call.is_per_event(name)),
    )


def _one_row(push: Push, name: str, tangent: np.ndarray) -> np.ndarray:
    return np.expand_dims(tangent, int(name in push.event_inputs))


def _row(push: Push, stacked: Arrays, number: int) -> dict[str, np.ndarray]:
    return {
        name: np.take(stacked[tangent_array(name)], number, axis=int(name in push.event_outputs))
        for name in push.outputs
    }


def _of_parameters(push: Push, stacked: Arrays, tangents: Arrays) -> dict[str, Any]:
    """What the components of each parameter contribute, added up."""
    found: dict[str, dict[str, Any]] = {}
    for name, component, number in push.seeds:
        size = tangents[gradient_array(name)].reshape(-1)[component]
        total = found.setdefault(gradient_array(name), {})
        for output, row in _row(push, stacked, number).items():
            total[output] = total.get(output, 0.0) + size * row
    return found


def error_of(pulled_back: Arrays, array: str) -> Any:
    """What a VJP by finite differences says that an array of it is wrong by; else zero."""
    return pulled_back.get(error_array(array), 0.0)
