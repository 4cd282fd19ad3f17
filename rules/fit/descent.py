"""Minimizers that need slopes only: L-BFGS-B and Adam."""

import numpy as np

from diffpipe.rules.fit.minimum import CLOSE, Minimum, Settings
from diffpipe.rules.fit.problem import Problem


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


def _scales(problem: Problem) -> np.ndarray:
    """The errors that the curvature at the start suggests, else the parameters' scales."""
    if not problem.is_bent:
        return problem.space.scale
    hessian = problem.bent(problem.space.start).hessian
    assert hessian is not None
    diagonal = np.diagonal(hessian)
    curved = diagonal > 0.0
    return np.where(curved, np.sqrt(2.0 / np.where(curved, diagonal, 2.0)), problem.space.scale)
