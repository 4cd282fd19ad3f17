"""The problem that a minimizer sees: value, slopes and curvature of the objective with its priors.

The objective is in units of -2 log L, as chi^2 is, unless `up` says otherwise; so are the priors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from diffpipe.cache.errors import NonFiniteError, PipelineError, StageError
from diffpipe.cache.evaluations import Evaluation
from diffpipe.pipelines.core.model import Value
from diffpipe.pipelines.core.plan import Direction
from diffpipe.rules.fit.information import is_bent
from diffpipe.rules.fit.space import Space, held_penalty, space
from diffpipe.rules.fit.sweeps import BACKWARD, CURVATURE, FORWARD, Sweeps


@dataclass(frozen=True, eq=False)
class Point:
    """The objective at a place, priors included: value, gradient (n,), and the Hessian (n, n) of
    Gauss and Newton where it was asked for."""

    x: np.ndarray
    value: float
    gradient: np.ndarray
    hessian: np.ndarray | None
    found: Evaluation


@dataclass
class Problem:
    """An objective over a space; other parameters are held at `held`, or where the pipeline has
    them. It rises by `up` at one standard deviation. Points are remembered."""

    sweeps: Sweeps
    space: Space
    up: float = 1.0
    held: Mapping[str, Value] = field(default_factory=dict)
    _known: dict[tuple[Direction, bytes], Point] = field(default_factory=dict)

    @property
    def is_bent(self) -> bool:
        """Whether there is a Hessian of Gauss and Newton: of a likelihood of the library, and
        tangents reach it through all stages."""
        return is_bent(self.sweeps.pipeline, self.sweeps.objective, self.space.names)

    def at(self, x: np.ndarray) -> Point:
        """Value and gradient."""
        return self._point(x, BACKWARD)

    def bent(self, x: np.ndarray) -> Point:
        """Value, gradient and Hessian, by one sweep forward."""
        return self._point(x, CURVATURE)

    def value(self, x: np.ndarray) -> float:
        """The value alone."""
        return self._point(x, FORWARD).value

    def holding(self, values: Mapping[str, Value]) -> "Problem":
        """The problem with some parameters held at these values, the others free as before."""
        held = {**self.held, **values}
        pipeline = self.sweeps.pipeline
        others = [name for name in self.space.names if name not in values]
        return Problem(self.sweeps, space(pipeline, others), self.up, held)

    def starting(self, x: np.ndarray) -> "Problem":
        """The problem with another point to start from."""
        return replace(self, space=replace(self.space, start=x))

    def inside(self, x: np.ndarray) -> np.ndarray:
        """The nearest point between the bounds."""
        return np.clip(x, self.space.lower, self.space.upper)

    @property
    def _constant(self) -> float:
        """What the priors of parameters that are held add."""
        known = self.sweeps.pipeline.parameters
        return sum(held_penalty(known[name], value) for name, value in self.held.items())

    def _point(self, x: np.ndarray, direction: Direction) -> Point:
        place = (direction, np.asarray(x, np.float64).tobytes())
        if place not in self._known:
            self._known[place] = self._found(np.array(x, np.float64), direction)
        return self._known[place]

    def _found(self, x: np.ndarray, direction: Direction) -> Point:
        values = {**self.held, **self.space.values(x)}
        try:
            found = self.sweeps.evaluate(values, self.space.names, direction)
        except (NonFiniteError, PipelineError, StageError) as error:
            error.message += f"; this is where the fit tried {self.space.described(x)}"
            error.args = (error.message,)
            raise
        penalty, slope = self.space.penalty(x)
        hessian = None
        if direction == CURVATURE:
            hessian = np.array(found.matrix) + self.up * self.space.stiffness
        gradient = np.array(found.slopes) + self.up * slope if found.slopes else slope
        value = found.objective + self.up * (penalty + self._constant)
        return Point(x, value, gradient, hessian, found)
