"""A stage at a point with what several laws need of it, each computed once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from diffpipe.cache.errors import DiffpipeError, StageError
from diffpipe.pipelines.core.steps import cotangent_array, gradient_array
from diffpipe.pipelines.proof import calls
from diffpipe.pipelines.proof.layout import Layout, signs
from diffpipe.pipelines.proof.point import Point
from diffpipe.pipelines.proof.process import Fresh
from diffpipe.pipelines.proof.slopes import Slopes, slopes

# of the typical size of an array's components: one below it is moved as far as one of that size, in
# the first direction that is tried, the second and the third
FLOORS = (0.1, 1e-3, 1e-6)
MOST_SEEDS = 8  # components of a parameter that a JVP is taken in
# words of JAX and of torch where a VJP is written by hand, without a JVP
_NO_JVP = ("custom_vjp", "forward mode AD", "forward AD")


class Moved(NamedTuple):
    """A parameter or an input that derivatives are taken in."""

    name: str
    is_parameter: bool
    value: np.ndarray

    @property
    def array(self) -> str:
        """Its name among the arrays of a pullback."""
        return gradient_array(self.name) if self.is_parameter else cotangent_array(self.name)

    @property
    def is_symmetric(self) -> bool:
        """Whether it is a symmetric matrix, which is moved as one.

        Of a covariance, a stage may read one half alone.
        """
        value = self.value
        return value.ndim == 2 and value.shape == value.T.shape and bool((value == value.T).all())

    def groups(self, tangent: np.ndarray) -> list[np.ndarray]:
        """The components that a tangent moves, those together that cannot be moved alone."""
        numbers = np.arange(tangent.size).reshape(tangent.shape)
        moving = np.flatnonzero(tangent)
        if not self.is_symmetric:
            return [np.array([each]) for each in moving]
        other = numbers.T.reshape(-1)
        return [np.unique([each, other[each]]) for each in moving if each <= other[each]]

    @property
    def words(self) -> str:
        return f"{'parameter' if self.is_parameter else 'input'} {self.name}"


@dataclass
class Trial:
    """The stage, and a seed for the directions that it is moved in.

    fresh: a process to compute in again, where one is kept for several stages.
    """

    point: Point
    seed: int = 0
    fresh: Fresh | None = None
    _lines: dict[tuple[str, bytes], Slopes] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)  # why the stage refused to be moved

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        return calls.forward(self.point)

    @cached_property
    def layout(self) -> Layout:
        """The outputs that derivatives are taken of."""
        names = self.point.traits.outputs or list(self.outputs)
        return Layout.of({name: self.outputs[name] for name in names if name in self.outputs})

    @cached_property
    def moved(self) -> list[Moved]:
        """What derivatives are taken in; empty where the stage has none."""
        if not self.point.traits.has_vjp or not self.layout.size:
            return []
        inputs = self.point.inputs
        smooth = Layout.of({name: inputs[name] for name in self.point.traits.moving}).shapes
        return [
            *(Moved(n, True, np.asarray(v)) for n, v in self.point.parameters.items()),
            *(Moved(n, False, np.asarray(inputs[n])) for n in smooth),
        ]

    @property
    def busy(self) -> list[Moved]:
        """Those of them through which a gradient passes."""
        return [each for each in self.moved if each.name not in self.point.traits.idle]

    @cached_property
    def has_jvp(self) -> bool:
        """Whether the stage can be pushed; some frameworks say so only when they are asked to."""
        if not self.point.traits.has_jvp or not self.moved:
            return self.point.traits.has_jvp
        try:
            self.pushed({moved.array: self.narrow(moved) for moved in self.moved})
        except StageError as error:
            return not lacks_jvp(error)
        return True

    def generator(self, *words: str) -> np.random.Generator:
        """Random numbers for a purpose, the same for the same seed."""
        return np.random.default_rng([self.seed, *"/".join(words).encode()])

    def direction(self, moved: Moved, attempt: int = 0) -> np.ndarray:
        """A random tangent, of the size of what is moved."""
        generator = self.generator(moved.array, str(attempt))
        value = moved.value
        if value.size == 1:
            return _sizes(value, 0.0).astype(value.dtype)
        sizes = _sizes(value, FLOORS[attempt])
        tangent = sizes * signs(generator, value.shape, str(value.dtype))
        return (tangent + tangent.T) / 2 if moved.is_symmetric else tangent

    def narrow(self, moved: Moved, attempt: int = 0) -> np.ndarray:
        """A tangent for a JVP: of a large parameter, only some components."""
        tangent = self.direction(moved, attempt)
        if not moved.is_parameter or tangent.size <= MOST_SEEDS:
            return tangent
        kept = np.zeros(tangent.size, bool)
        chosen = self.generator(moved.array, "seeds").permutation(tangent.size)[:MOST_SEEDS]
        kept[chosen] = True
        mask = kept.reshape(tangent.shape)
        return np.where(mask | mask.T if moved.is_symmetric else mask, tangent, 0.0)

    def line(self, moved: Moved, tangent: np.ndarray) -> Slopes:
        """The slopes of all outputs along a tangent of one parameter or input."""
        key = moved.array, tangent.tobytes()
        if key not in self._lines:
            self._lines[key] = slopes(self._run(moved, tangent), self.layout.levels)
        return self._lines[key]

    def pulled(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The VJP of the outputs, weighted."""
        return calls.pulled(self.point, self.layout.named(weights))

    def pushed(self, tangents: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The JVP along each tangent, as vectors."""
        found = calls.pushed(self.point, self.layout.shapes, tangents)
        return {array: self.layout.flat(outputs) for array, outputs in found.items()}

    def _run(self, moved: Moved, tangent: np.ndarray) -> Callable[[float], np.ndarray]:
        def run(t: float) -> np.ndarray:
            shifted = {moved.name: moved.value + t * tangent}
            given = (shifted, {}) if moved.is_parameter else ({}, shifted)
            try:
                return self.layout.flat(calls.forward(self.point, *given))
            except DiffpipeError as error:  # a step may lead where the stage refuses
                self.refusals[moved.array] = error.message
                return np.full(self.layout.size, np.nan)

        return run


def lacks_jvp(error: DiffpipeError) -> bool:
    """Whether a stage could not be pushed because its VJP is written by hand, without a JVP."""
    return any(words in error.message for words in _NO_JVP)


def _sizes(value: np.ndarray, floor: float) -> np.ndarray:
    """How large each component is, for steps relative to it."""
    size = np.asarray(abs(value))
    typical = float(np.sqrt(np.mean(size**2)))
    return np.maximum(size, floor * typical) if typical else np.ones(value.shape)
