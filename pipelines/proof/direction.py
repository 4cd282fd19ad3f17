"""A direction in all parameters of a pipeline at once, in which no one's derivative is drowned."""

from collections.abc import Iterator, Mapping

import numpy as np

from diffpipe.pipelines.core.model import Parameter, Value
from diffpipe.pipelines.proof.layout import component

Arrays = Mapping[str, np.ndarray]
Element = tuple[str, int]  # a parameter and the number of a component, in the flat order

_SMALL = 1e-3  # of the typical size of an array's components: the least that one is moved by
_BETWEEN = 0.1  # of the way between bounds, where a value is zero


def direction(
    parameters: Mapping[str, Parameter], gradient: Arrays, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """How far each parameter moves at t = 1, with the sign that lets the objective grow.

    By its size, and by less where it would contribute much more than others do: by the root, so
    that of contributions over eight orders of magnitude four remain. Sizes are random within 2.
    """
    made = {name: _size(parameters[name]) for name in gradient}
    given = {name: np.abs(gradient[name]) * made[name] for name in gradient}
    parts = np.concatenate([np.ravel(each) for each in given.values()])
    typical = float(np.median(parts[parts > 0])) if (parts > 0).any() else 0.0
    for name, size in made.items():
        random = generator.uniform(0.5, 1.0, size.shape)
        less = np.sqrt(typical / np.maximum(given[name], typical)) if typical else 1.0
        made[name] = np.where(gradient[name] < 0, -1.0, 1.0) * less * random * size
    return made


def shifted(parameters: Mapping[str, Parameter], along: Arrays, t: float) -> dict[str, Value]:
    """The values of the parameters that move, at a distance t."""
    return {name: value_of(np.array(parameters[name].value) + t * v) for name, v in along.items()}


def value_of(array: np.ndarray) -> Value:
    """An array as a parameter has it: nested tuples, or a number."""
    return _tuples(array.tolist())


def elements(along: Arrays) -> Iterator[Element]:
    """The components that move."""
    for name, v in along.items():
        for index in np.flatnonzero(v):
            yield name, int(index)


def only(along: Arrays, kept: list[Element]) -> dict[str, np.ndarray]:
    """The same direction in some components alone."""
    found = {name: np.zeros_like(along[name]) for name, _ in kept}
    for name, index in kept:
        found[name].flat[index] = along[name].flat[index]
    return found


def label(along: Arrays, element: Element) -> str:
    """A component in words."""
    name, index = element
    return component(name, along[name].shape, index)


def _size(parameter: Parameter) -> np.ndarray:
    """How large each component is; where it is zero, its prior's width or what its bounds say."""
    value = np.abs(np.array(parameter.value, np.float64))
    typical = float(np.sqrt(np.mean(value**2)))
    if typical:
        return np.maximum(value, _SMALL * typical)
    if parameter.prior is not None:
        return np.full(value.shape, parameter.prior[1])
    low, high = parameter.bounds or (-np.inf, np.inf)
    return np.full(value.shape, _BETWEEN * (high - low) if np.isfinite(high - low) else 1.0)


def _tuples(nested: object) -> Value:
    if isinstance(nested, list):
        return tuple(map(_tuples, nested))
    assert isinstance(nested, float)
    return nested
