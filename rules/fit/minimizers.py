"""Minimizers: from a problem to its minimum, each a function in a dict you can see.

All are deterministic, so that a fit that is repeated goes through the same points to the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffpipe.cache.errors import UsageError
from diffpipe.rules.fit.problem import Point, Problem

FAR = 10.0  # errors: a bound that is farther away is looked at in the end only
CLOSE = 1e-6  # distance to the minimum in units of the objective: a thousandth of an error


@dataclass(frozen=True)
class Settings:
    """How to minimize. steps: at most, None: as suits the minimizer; rate: of Adam, of a scale."""

    minimizer: str = "migrad"
    steps: int | None = None
    rate: float = 0.01

    def __post_init__(self) -> None:
        if self.minimizer not in MINIMIZERS:
            known = ", ".join(MINIMIZERS)
            raise UsageError(f"--minimizer {self.minimizer}: not one of {known}")
        if (self.steps is not None and self.steps < 1) or not 0.0 < self.rate < np.inf:
            raise UsageError(
                f"--steps {self.steps}, --rate {self.rate:g}",
                hint="at least one step, a rate above zero",
            )


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimizer ended, whether that is a minimum, and why not."""

    point: Point
    converged: bool
    why: str = ""


def minimize(problem: Problem, settings: Settings) -> Minimum:
    """The minimum of a problem."""
    return MINIMIZERS[settings.minimizer](problem, settings)


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


def lbfgs(problem: Problem, settings: Settings) -> Minimum:
    """L-BFGS-B of SciPy, in units of the errors that the start suggests."""
    from scipy.optimize import minimize as scipy_minimize

    space = problem.space
    scale = _scales(problem)

    def function(y: np.ndarray) -> tuple[float, np.ndarray]:
        point = problem.at(problem.inside(space.start + scale * y))
        return point.value, point.gradient * scale

    lower, upper = ((each - space.start) / scale for each in (space.lower, space.upper))
    bounds = list(zip(lower, upper, strict=True))
    options = {"maxiter": settings.steps or 200, "ftol": 0.0, "gtol": 0.2 * np.sqrt(CLOSE)}
    done = scipy_minimize(
        function, np.zeros(scale.size), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    point = problem.at(problem.inside(space.start + scale * done.x))
    return Minimum(point, bool(done.success), "" if done.success else f"L-BFGS: {done.message}")


def gauss_newton(problem: Problem, settings: Settings) -> Minimum:
    """Newton's steps with the curvature of Gauss and Newton, damped as by Levenberg and Marquardt
    (SIAM J. Appl. Math. 11 (1963) 431) where a step does not go down."""
    if not problem.is_likelihood:
        raise UsageError(
            "gauss-newton needs the curvature of a likelihood, and the objective is none of the "
            "library's",
            hint="choose another --minimizer",
        )
    point, damping = problem.bent(problem.space.start), 0.0
    for _ in range(settings.steps or 50):
        step = _newton_step(problem, point, damping)
        if -0.5 * float(point.gradient @ step) < CLOSE:
            return Minimum(point, True)
        trial = problem.bent(problem.inside(point.x + step))
        if trial.value <= point.value:
            point, damping = trial, damping / 10.0
        else:
            damping = max(10.0 * damping, 1e-3)
    return Minimum(point, False, "gauss-newton reached its number of steps")


def adam(problem: Problem, settings: Settings) -> Minimum:
    """Adam, arXiv:1412.6980, algorithm 1, for a number of steps; the best point it has been to.

    A step is about `rate` times the scale of each parameter.
    """
    space, first, second = problem.space, 0.0, 0.0
    x, best = space.start, None
    for number in range(1, (settings.steps or 100) + 1):
        point = problem.at(x)
        best = point if best is None or point.value < best.value else best
        slope = point.gradient * space.scale
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        mean, spread = first / (1.0 - 0.9**number), np.sqrt(second / (1.0 - 0.999**number))
        x = problem.inside(x - settings.rate * space.scale * mean / (spread + 1e-8))
    assert best is not None
    return Minimum(best, False, "adam takes a number of steps, and does not say if it is there")


MINIMIZERS: dict[str, Callable[[Problem, Settings], Minimum]] = {
    "migrad": migrad,
    "lbfgs": lbfgs,
    "adam": adam,
    "gauss-newton": gauss_newton,
}


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


def _frame(problem: Problem) -> Frame:
    """Errors without correlation at a first step of a likelihood, if no bound is near it."""
    origin = _first_step(problem)
    if not problem.is_likelihood:
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
    frame = Frame(_first_step(problem), None)
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


def _first_step(problem: Problem) -> np.ndarray:
    """Where to start: a step of Gauss and Newton on, if that is lower."""
    start = problem.space.start
    if not problem.is_likelihood:
        return start
    point = problem.bent(start)
    trial = problem.inside(start + _newton_step(problem, point, 0.0))
    return trial if problem.at(trial).value <= point.value else start


def _newton_step(problem: Problem, point: Point, damping: float) -> np.ndarray:
    """The step down, with components that bounds hold left where they are."""
    assert point.hessian is not None
    space, slope = problem.space, point.gradient
    held = ((point.x <= space.lower) & (slope > 0)) | ((point.x >= space.upper) & (slope < 0))
    damped = point.hessian + damping * np.diag(np.diagonal(point.hessian))
    step = np.zeros_like(slope)
    free = ~held
    step[free] = -np.linalg.lstsq(damped[np.ix_(free, free)], slope[free], rcond=None)[0]
    return problem.inside(point.x + step) - point.x


def _scales(problem: Problem) -> np.ndarray:
    """The errors that the curvature at the start suggests, else the parameters' scales."""
    if not problem.is_likelihood:
        return problem.space.scale
    hessian = problem.bent(problem.space.start).hessian
    assert hessian is not None
    diagonal = np.diagonal(hessian)
    curved = diagonal > 0.0
    return np.where(curved, np.sqrt(2.0 / np.where(curved, diagonal, 2.0)), problem.space.scale)
