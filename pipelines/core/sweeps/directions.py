"""Directions that a pipeline is pushed along: of parameters, or of arrays between its stages."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.pipelines.core.model import Parameter, Pipeline
from diffpipe.pipelines.core.parameters import as_value, shape_of
from diffpipe.pipelines.core.sweeps.wrt import Input

Seed = tuple[str, int, int, float]  # a parameter, a component of it, the direction, and how far


@dataclass(frozen=True)
class Directions:
    """Numbered directions, each with its name.

    units: inputs of stages whose components are directions: the first one's number, and how many.
    """

    labels: list[str]
    seeds: list[Seed]
    units: Mapping[Input, tuple[int, int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.labels)

    def of(self, parameters: Iterable[str]) -> set[int]:
        """The directions in which some parameters move."""
        own = set(parameters)
        return {direction for name, _, direction, _ in self.seeds if name in own}

    def of_inputs(self, stage: str) -> dict[str, range]:
        """The inputs of a stage that have directions of their own."""
        return {
            local: range(first, first + many)
            for (name, local), (first, many) in self.units.items()
            if name == stage
        }


def unit_vectors(pipeline: Pipeline, parameters: Iterable[str]) -> Directions:
    """One direction for each component, an array's in its order."""
    labels: list[str] = []
    seeds: list[Seed] = []
    for name in parameters:
        for component, label in enumerate(components(name, shape(pipeline.parameters[name]))):
            seeds.append((name, component, len(labels), 1.0))
            labels.append(label)
    return Directions(labels, seeds)


def with_arrays(
    start: Directions, arrays: Mapping[str, tuple[tuple[Input, ...], tuple[int, ...]]]
) -> Directions:
    """More directions: the components of arrays, name -> (the inputs that it is, shape)."""
    labels, units = list(start.labels), dict(start.units)
    for name, (inputs, size) in arrays.items():
        units |= {each: (len(labels), math.prod(size)) for each in inputs}
        labels += components(name, size)
    return Directions(labels, start.seeds, units)


def along(pipeline: Pipeline, given: Mapping[str, Any]) -> Directions:
    """One direction, name -> how far: a number, or an array of the parameter's shape.

    Raises UsageError for an unknown name, a wrong shape, or where nothing moves.
    """
    seeds: list[Seed] = []
    for name, raw in given.items():
        known = pipeline.parameters.get(name)
        if known is None:
            hint = did_you_mean(name, pipeline.parameters)
            raise UsageError(f"--along: unknown parameter {name!r}", hint=hint)
        value = as_value(raw)
        if value is None or shape_of(value) != shape(known):
            text = f"--along {name}: {raw!r} is not a finite value of shape {shape(known)}"
            raise UsageError(text)
        seeds += [(name, k, 0, size) for k, size in enumerate(flat(value)) if size]
    if not seeds:
        raise UsageError("--along: no parameter moves", hint="write --along name=value,...")
    return Directions(["along"], seeds)


def shape(parameter: Parameter) -> tuple[int, ...]:
    """The shape of a parameter."""
    return shape_of(parameter.value)


def components(name: str, size: tuple[int, ...]) -> list[str]:
    """An array's components in words, name[3] in the flat order; a number's own name."""
    return [f"{name}[{k}]" for k in range(math.prod(size))] if size else [name]


def flat(nested: Any) -> Iterator[float]:
    """The numbers in nested sequences, in order."""
    if isinstance(nested, tuple | list):
        for each in nested:
            yield from flat(each)
    else:
        yield nested
