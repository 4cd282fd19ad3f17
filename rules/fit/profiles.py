"""Scans: the objective along one parameter, the others held or fitted anew at each place."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from diffpipe.rules.fit.minimizers import minimize
from diffpipe.rules.fit.minimum import Minimum, Settings
from diffpipe.rules.fit.problem import Problem
from diffpipe.rules.fit.uncertainty import Uncertainty

SIGMAS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Scan:
    """The rise of the objective above its minimum along a parameter.

    interval: where it is `up`, None on a side that was not reached (of a profile).
    """

    name: str
    values: list[float]
    rises: list[float]
    fitted: Mapping[str, list[float]]  # of a profile: the other parameters, by label
    interval: tuple[float | None, float | None] | None = None


def scan(problem: Problem, minimum: Minimum, name: str, values: np.ndarray) -> Scan:
    """The objective where the other parameters are held at the minimum."""
    place = _place(problem, name)
    rises = []
    for value in values:
        x = minimum.point.x.copy()
        x[place] = value
        rises.append(problem.value(x) - minimum.point.value)
    return Scan(name, [float(each) for each in values], rises, {})


def profile(
    problem: Problem,
    minimum: Minimum,
    spread: Uncertainty,
    name: str,
    settings: Settings,
) -> Scan:
    """The objective where the others are fitted at each place, beginning where the covariance
    expects them."""
    place = _place(problem, name)
    error = float(spread.errors[place])
    along = spread.covariance[place] / spread.covariance[place, place]
    best = minimum.point.x
    steps = [k for k in SIGMAS if problem.space.lower[place] <= best[place] + k * error]
    steps = [k for k in steps if best[place] + k * error <= problem.space.upper[place]]
    found: dict[float, tuple[float, np.ndarray]] = {0.0: (minimum.point.value, best)}
    for k in steps:
        if k != 0.0:
            near = problem.inside(best + k * error * along)
            found[k] = _at(problem, name, float(best[place] + k * error), near, settings)
    order = sorted(found)
    values = [float(best[place] + k * error) for k in order]
    rises = [found[k][0] - minimum.point.value for k in order]
    fitted = {
        label: [float(found[k][1][column]) for k in order]
        for column, label in enumerate(problem.space.labels)
        if column != place
    }
    return Scan(name, values, rises, fitted, interval(values, rises, problem.up))


def interval(
    values: list[float], rises: list[float], up: float
) -> tuple[float | None, float | None]:
    """Where the rise is `up` on either side of its lowest, linear in its root between places."""
    lowest = int(np.argmin(rises))
    left = _crossing(values[lowest::-1], rises[lowest::-1], up)
    return left, _crossing(values[lowest:], rises[lowest:], up)


def _crossing(values: list[float], rises: list[float], up: float) -> float | None:
    roots = np.sqrt(np.maximum(rises, 0.0))  # of a parabola it is a straight line
    for k in range(1, len(values)):
        if roots[k - 1] < np.sqrt(up) <= roots[k]:
            share = (np.sqrt(up) - roots[k - 1]) / (roots[k] - roots[k - 1])
            return float(values[k - 1] + share * (values[k] - values[k - 1]))
    return None


def _at(
    problem: Problem, name: str, value: float, near: np.ndarray, settings: Settings
) -> tuple[float, np.ndarray]:
    """The objective with one parameter held, the others fitted; and all of them there."""
    place = _place(problem, name)
    if problem.space.start.size == 1:
        x = np.array([value])
        return problem.value(x), x
    others = problem.holding({name: value}).starting(np.delete(near, place))
    point = minimize(others, settings).point
    return point.value, np.insert(point.x, place, value)


def _place(problem: Problem, name: str) -> int:
    return problem.space.labels.index(name)
