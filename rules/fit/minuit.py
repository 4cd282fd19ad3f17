"""MIGRAD and HESSE of Minuit, with exact gradients, in coordinates that suit a likelihood."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from diffpipe.cache.errors import UsageError
from diffpipe.rules.fit.minimum import CLOSE, Minimum, Settings
from diffpipe.rules.fit.newton import first_step
from diffpipe.rules.fit.problem import Point, Problem

FAR = 10.0  # errors: a bound that is farther away is looked at in the end only


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates y of a minimizer: x = origin + axes y; without axes (n, n), x itself.

    In axes of a likelihood the Hessian of Gauss and Newton is twice the unit matrix.
    """

    origin: np.ndarray
    axes: np.ndarray | None

    @property
    def start(self) -> np.ndarray:
        return self.origin if self.axes is None else np.zeros_like(self.origin)

    def at(self, y: np.ndarray) -> np.ndarray:
        return y if self.axes is None else self.origin + self.axes @ y

    def slope(self, gradient: np.ndarray) -> np.ndarray:
        return gradient if self.axes is None else self.axes.T @ gradient


def migrad(problem: Problem, settings: Settings) -> Minimum:
    """Minuit's variable metric with exact gradients; of a likelihood, from where a first step of
    Gauss and Newton leads, in units of the errors there. F. James and M. Roos, Comput. Phys.
    Commun. 10 (1975) 343."""
    frame = _frame(problem)
    if frame.axes is not None:
        point = problem.at(frame.origin)
        if _distance(frame.slope(point.gradient)) < CLOSE:
            return Minimum(point, True)
    minuit = _minuit(problem, frame)
    minuit.migrad(ncall=settings.steps)
    found = problem.at(frame.at(np.array(minuit.values)))
    if (found.x != problem.inside(found.x)).any():  # a bound that seemed far away
        return _ended(*_bounded(problem, settings))
    return _ended(found, minuit)


def hesse(problem: Problem, x: np.ndarray) -> np.ndarray:
    """The Hessian (n, n) at a point, by differences of gradients, as Minuit chooses them."""
    minuit = _minuit(problem, Frame(x, None))
    minuit.strategy = 1
    minuit.hesse()
    if minuit.covariance is None:
        raise UsageError("the Hessian at the minimum is not positive definite")
    return 2.0 * np.linalg.inv(np.array(minuit.covariance))


def _frame(problem: Problem) -> Frame:
    """Errors without correlation at a first step of a likelihood, if no bound is near it."""
    origin = first_step(problem)
    if not problem.is_bent:
        return Frame(origin, None)
    hessian = problem.bent(problem.space.start).hessian
    assert hessian is not None
    try:
        axes = np.linalg.inv(np.linalg.cholesky(hessian / 2.0)).T
    except np.linalg.LinAlgError:
        return Frame(origin, None)
    reach = FAR * np.sqrt(np.sum(axes**2, axis=1))
    near = (origin - reach < problem.space.lower) | (origin + reach > problem.space.upper)
    return Frame(origin, None if near.any() else axes)


def _distance(slope: np.ndarray) -> float:
    """How far above the minimum a point is expected to be, in axes: half of g^T H^-1 g."""
    return 0.25 * float(slope @ slope)


def _bounded(problem: Problem, settings: Settings) -> tuple[Point, Any]:
    frame = Frame(first_step(problem), None)
    minuit = _minuit(problem, frame)
    minuit.migrad(ncall=settings.steps)
    return problem.at(np.array(minuit.values)), minuit


def _ended(found: Point, minuit: Any) -> Minimum:
    reached = "the limit of calls" if minuit.fmin.has_reached_call_limit else "no minimum near"
    return Minimum(found, minuit.valid, "" if minuit.valid else f"MIGRAD found {reached}")


def _minuit(problem: Problem, frame: Frame) -> Any:
    """A Minuit object over a problem, in the coordinates of a frame."""
    from iminuit import Minuit

    space = problem.space
    minuit = Minuit(
        lambda y: problem.at(frame.at(y)).value,
        frame.start,
        grad=lambda y: frame.slope(problem.at(frame.at(y)).gradient),
        hessian=None if frame.axes is None else lambda y: 2.0 * np.eye(y.size),
    )
    minuit.errordef = 1.0
    minuit.strategy = 0
    minuit.tol = CLOSE / 0.002  # Minuit stops where it expects 0.002 tol above the minimum
    if frame.axes is None:
        minuit.errors = list(space.scale)
        minuit.limits = [
            (low if np.isfinite(low) else None, high if np.isfinite(high) else None)
            for low, high in zip(space.lower, space.upper, strict=True)
        ]
    else:
        minuit.errors = [1.0] * space.scale.size
    return minuit
