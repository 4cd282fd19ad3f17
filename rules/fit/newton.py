"""Newton's steps with the curvature of Gauss and Newton: of a likelihood, nearly the Hessian."""

import numpy as np

from diffpipe.cache.errors import UsageError
from diffpipe.rules.fit.minimum import CLOSE, Minimum, Settings
from diffpipe.rules.fit.problem import Point, Problem


def gauss_newton(problem: Problem, settings: Settings) -> Minimum:
    """Newton's steps with the curvature of Gauss and Newton, damped as by Levenberg and Marquardt
    (SIAM J. Appl. Math. 11 (1963) 431) where a step does not go down."""
    if not problem.is_bent:
        raise UsageError(
            "gauss-newton needs the curvature of a likelihood, and the objective is none of the "
            "library's",
            hint="choose another --minimizer",
        )
    point, damping = problem.bent(problem.space.start), 0.0
    for _ in range(settings.steps or 50):
        step = newton_step(problem, point, damping)
        if -0.5 * float(point.gradient @ step) < CLOSE:
            return Minimum(point, True)
        trial = problem.bent(problem.inside(point.x + step))
        if trial.value <= point.value:
            point, damping = trial, damping / 10.0
        else:
            damping = max(10.0 * damping, 1e-3)
    return Minimum(point, False, "gauss-newton reached its number of steps")


def first_step(problem: Problem) -> np.ndarray:
    """Where to start: a step of Gauss and Newton on, if that is lower."""
    start = problem.space.start
    if not problem.is_bent:
        return start
    point = problem.bent(start)
    trial = problem.inside(start + newton_step(problem, point, 0.0))
    return trial if problem.at(trial).value <= point.value else start


def newton_step(problem: Problem, point: Point, damping: float) -> np.ndarray:
    """The step down, with components that bounds hold left where they are."""
    assert point.hessian is not None
    space, slope = problem.space, point.gradient
    held = ((point.x <= space.lower) & (slope > 0)) | ((point.x >= space.upper) & (slope < 0))
    damped = point.hessian + damping * np.diag(np.diagonal(point.hessian))
    step = np.zeros_like(slope)
    free = ~held
    step[free] = -np.linalg.lstsq(damped[np.ix_(free, free)], slope[free], rcond=None)[0]
    return problem.inside(point.x + step) - point.x
