"""The space of a fit: its free parameters end to end, their bounds, scales and priors.

Coordinates are the parameters' own values, components of an array one after the other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.pipelines.core.model import Parameter, Pipeline, Value
from diffpipe.pipelines.core.parameters import shape_of

AT_BOUND = 1e-3  # of a scale
_SHOWN = 6  # components of a point
_SHARE = 0.1  # of a value, or of the way between its bounds: a first guess of what a step is


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Space:
    """Free parameters: names, and (component,) each: labels, start, lower, upper, scale; prior
    (mean, width), a width of infinity where there is none."""

    parameters: Mapping[str, Parameter]
    labels: list[str]
    start: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    width: np.ndarray

    @property
    def names(self) -> list[str]:
        return list(self.parameters)

    @property
    def has_prior(self) -> np.ndarray:
        return np.isfinite(self.width)

    def values(self, x: np.ndarray) -> dict[str, Value]:
        """The parameters at a point, by name."""
        found: dict[str, Value] = {}
        first = 0
        for name, each in self.parameters.items():
            shape = shape_of(each.value)
            size = int(np.prod(shape))
            found[name] = _tuples(np.reshape(x[first : first + size], shape).tolist())
            first += size
        return found

    def described(self, x: np.ndarray) -> str:
        """A point in words, its first components."""
        shown = [f"{n}={value:.6g}" for n, value in zip(self.labels, x, strict=True)][:_SHOWN]
        return ", ".join(shown) + (", ..." if len(x) > _SHOWN else "")

    def penalty(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Sum of ((x - mean)/width)^2 of the priors, and its gradient."""
        pulls = (x - self.mean) / self.width
        return float(pulls @ pulls), 2.0 * pulls / self.width

    @property
    def stiffness(self) -> np.ndarray:
        """The second derivatives of the priors' penalty, (component, component)."""
        return np.diag(2.0 / self.width**2)

    def at_bounds(self, x: np.ndarray) -> list[str]:
        """The components that sit at a bound (MIGRAD comes close only), in words."""
        near = AT_BOUND * self.scale
        return [
            f"{label} sits at its bound {bound[k]:g}"
            for k, label in enumerate(self.labels)
            for bound in (self.lower, self.upper)
            if abs(x[k] - bound[k]) <= near[k]
        ]


def space(pipeline: Pipeline, names: Iterable[str]) -> Space:
    """The space of some parameters of a pipeline, from where they are; raises UsageError."""
    chosen = {name: pipeline.parameters[name] for name in names}
    parts = [_components(each) for each in chosen.values()]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    labels = [label for each in chosen.values() for label in _labels(each)]
    found = Space(chosen, labels, *columns)
    outside = (found.start < found.lower) | (found.start > found.upper)
    for place in np.flatnonzero(outside):
        raise UsageError(
            f"{labels[place]} = {found.start[place]:g} is outside its bounds "
            f"[{found.lower[place]:g}, {found.upper[place]:g}]",
            hint="start it inside with --set, or move its bounds in the pipeline file",
        )
    return found


def held_penalty(parameter: Parameter, value: Value) -> float:
    """What the prior of a parameter adds where it is held."""
    if parameter.prior is None:
        return 0.0
    mean, width = parameter.prior
    pulls = (np.array(value, np.float64) - np.array(mean, np.float64)) / width
    return float(np.sum(pulls**2))


def chosen(pipeline: Pipeline, patterns: list[str] | None) -> list[str]:
    """The parameters that are to be fitted, in the pipeline's order; raises UsageError.

    patterns: names, with * and ? for groups of them; None: those with `fit: true`.
    """
    known = pipeline.parameters
    if patterns is None:
        found = [name for name, each in known.items() if each.fit]
        if not found:
            hint = "name some with --wrt, or write fit: true beside them in the file"
            raise UsageError(f"the pipeline {pipeline.name} says no parameter to fit", hint=hint)
        return found
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            hint = did_you_mean(pattern, known)
            raise UsageError(f"--wrt: unknown parameter {pattern!r}", hint=hint)
    return [name for name in known if any(fnmatchcase(name, each) for each in patterns)]


def _components(parameter: Parameter) -> Iterator[np.ndarray]:
    """start, lower, upper, scale, mean and width of a parameter's components."""
    start = np.ravel(np.array(parameter.value, np.float64))
    lower, upper = parameter.bounds or (-np.inf, np.inf)
    mean, width = (start, np.inf) if parameter.prior is None else parameter.prior
    yield start
    yield np.full(start.size, lower)
    yield np.full(start.size, upper)
    yield np.full(start.size, _scale(parameter, start))
    yield np.ravel(np.broadcast_to(np.array(mean, np.float64), start.shape))
    yield np.full(start.size, width)


def _scale(parameter: Parameter, start: np.ndarray) -> float:
    """What a first step is measured by: the prior, the bounds, the value; 1 for arrays."""
    if parameter.prior is not None:
        return parameter.prior[1]
    if parameter.bounds is not None:
        return _SHARE * (parameter.bounds[1] - parameter.bounds[0])
    if shape_of(parameter.value) or not start[0]:
        return 1.0
    return _SHARE * abs(float(start[0]))


def _labels(parameter: Parameter) -> list[str]:
    if not shape_of(parameter.value):
        return [parameter.name]
    size = int(np.prod(shape_of(parameter.value)))
    return [f"{parameter.name}[{each}]" for each in range(size)]


def _tuples(nested: Any) -> Value:
    return tuple(map(_tuples, nested)) if isinstance(nested, list) else nested
