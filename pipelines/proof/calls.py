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
    tangent of a parameter is one direction, as that of an input is.
    """
    numbers = {array: number for number, array in enumerate(tangents)}
    steady = [name for name in point.parameters if gradient_array(name) in tangents]
    moving = [name for name in point.traits.moving if cotangent_array(name) in tangents]
    push = Push(
        count=len(numbers),
        outputs=tuple(outputs),
        parameters=tuple(steady),
        inputs=tuple((name, (numbers[cotangent_array(name)],)) for name in moving),
        event_inputs=frozenset(point.traits.event_inputs) & frozenset(moving),
        event_outputs=frozenset(name for name in outputs if point.call.is_per_event(name)),
    )
    along = (
        {n: _placed(push, numbers[gradient_array(n)], tangents[gradient_array(n)]) for n in steady},
        {n: _one_row(push, n, tangents[cotangent_array(n)]) for n in moving},
    )
    with reporting(point.step.stage, point.traits.shard):
        given = point.parameters, point.inputs, along
        stacked = on_host(runner(point.step).pushforward(point.call, push, *given))
    return {array: _row(push, stacked, number) for array, number in numbers.items()}


def _placed(push: Push, number: int, tangent: np.ndarray) -> np.ndarray:
    """A tangent in its row of all directions, the others zero."""
    rows = np.zeros((push.count, *np.shape(tangent)))
    rows[number] = tangent
    return rows


def _one_row(push: Push, name: str, tangent: np.ndarray) -> np.ndarray:
    return np.expand_dims(tangent, int(name in push.event_inputs))


def _row(push: Push, stacked: Arrays, number: int) -> dict[str, np.ndarray]:
    return {
        name: np.take(stacked[tangent_array(name)], number, axis=int(name in push.event_outputs))
        for name in push.outputs
    }


def error_of(pulled_back: Arrays, array: str) -> Any:
    """What a VJP by finite differences says that an array of it is wrong by; else zero."""
    return pulled_back.get(error_array(array), 0.0)
