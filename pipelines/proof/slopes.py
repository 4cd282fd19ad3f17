"""Slopes by differences, with an error that can be believed.

Along a line, every output is taken at x and at x +- h for steps h that fall by 8. Richardson's
extrapolation of two neighbouring steps,

    D(h) = (y(h) - y(-h)) / 2h,    E = (64 D(h/8) - D(h)) / 63,

is right to h^4. Its error is estimated, component by component, by the sum of

- |D(h) - D(h/8)| / 4, far more than E is wrong by where the output is smooth, and enough where a
  kink lies between the two steps;
- half the kink: the one-sided slopes differ by (y(h) - 2 y(0) + y(-h)) / h, which falls with h
  where the output is smooth. What is left, extrapolated to h = 0, is a kink or a jump at x;
- the scatter of y over h, measured from third and fourth differences at seven points (or five) so
  near to each other that nothing smooth is left in them (ECnoise: More and Wild, SIAM J. Sci.
  Comput. 33 (2011) 1292): rounding, or an iteration that stops early;
- how far all finer steps are from E, beyond their scatter: a kink or a cut between two steps.

The step with the smallest error is taken, for each component its own.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

RATIO = 8.0
STEPS = 2.0**-6 / RATIO ** np.arange(6)  # of the size of what is moved: 1.6e-2 to 4.8e-7
SURE = 4.0  # times its error, nothing is wrong: of 3000 right slopes the worst was at 1.84
NEAR = 3  # points on either side for the scatter
_SPACING = 2.0**-24  # between those: less than the finest step
_ROUNDING = np.finfo(np.float64).eps
_BEST = 0.25  # the best quarter of the components says what scatter and error the others have
_LOST = 1e3  # times that error, and above a good one: of such components too little is known
_GOOD = 1e-6  # of the size of a component


Run = Callable[[float], np.ndarray]


class Rate(NamedTuple):
    """By which power of h a Taylor remainder falls, from the step before to this one."""

    step: float
    power: float


class Slopes(NamedTuple):
    """Of each component: the slope, its error, and what of that is scatter.

    along: the values at the steps (step, component), forwards; origin: at x; scatter: of a value.
    """

    steps: np.ndarray

    value: np.ndarray
    error: np.ndarray
    origin: np.ndarray
    along: np.ndarray
    scatter: np.ndarray


def slopes(
    run: Run,
    levels: Callable[[np.ndarray], np.ndarray],
    steps: np.ndarray = STEPS,
    near: int = NEAR,
    scatter: np.ndarray | None = None,
) -> Slopes:
    """The slopes at zero of a vector along a line, run(t) its values at a distance t.

    levels: the sizes of the components of a value, to which they are rounded at best. steps fall by
    RATIO; near is 2 at least. It takes 1 + 2 len(steps) + 2 near runs, without the last where the
    scatter of a value is known.
    """
    with np.errstate(all="ignore"):  # a step may leave where the stage is defined
        origin = run(0.0)
        upper, lower = (np.stack([run(sign * h) for h in steps]) for sign in (1, -1))
        if scatter is None:
            scatter = _scatter(run, origin, levels(origin), near)
        value, error = _best(steps, origin, upper, lower, scatter)
    return Slopes(steps, value, error, origin, upper, scatter)


def _scatter(run: Run, origin: np.ndarray, size: np.ndarray, count: int) -> np.ndarray:
    near = [origin if j == 0 else run(j * _SPACING) for j in range(-count, count + 1)]
    third, fourth = (np.diff(np.stack(near), order, axis=0) for order in (3, 4))
    found = np.maximum(abs(third).max(0) / np.sqrt(20), abs(fourth).max(0) / np.sqrt(70))
    relative = found[size > 0] / size[size > 0]
    typical = np.quantile(relative, _BEST) if relative.size else 0.0
    return np.maximum(found, size * max(typical, 2 * _ROUNDING))


def _best(
    steps: np.ndarray,
    origin: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    scatter: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    h = steps[:, None]
    central, bend = (upper - lower) / (2 * h), (upper - 2 * origin + lower) / h
    finer = scatter / h[1:]
    value = (RATIO**2 * central[1:] - central[:-1]) / (RATIO**2 - 1)
    kink = (RATIO * bend[1:] - bend[:-1]) / (RATIO - 1)
    error = abs(central[1:] - central[:-1]) / 4 + abs(kink) / 2 + 6 * finer
    for k in range(len(value) - 1):
        error[k] += np.maximum(abs(value[k + 1 :] - value[k]) - 3 * finer[k + 1 :], 0).max(0)
    error[~np.isfinite(error)] = np.inf
    which = np.argmin(error, axis=0)[None]
    best, known = (np.take_along_axis(each, which, 0)[0] for each in (value, error))
    return best, known


def weights(found: Slopes, random: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Random weights of the components, each divided by the error of its slope.

    So every component counts by what is known of it, and one at a kink for nothing. levels: the
    sizes of the components.
    """
    error, known = found.error, np.isfinite(found.error)
    relative = np.where(known, error / np.where(levels > 0, levels, 1.0), np.inf)
    best = np.quantile(relative[known], _BEST) if known.any() else 0.0
    kept = known & (relative <= max(_LOST * best, _GOOD))
    typical = np.median(error[kept]) if kept.any() else 0.0
    scaled = np.where(error > 0, (typical or 1.0) / np.where(error > 0, error, 1.0), 1.0)
    scaled[~kept] = 0.0
    return random * scaled / (scaled.max(initial=0.0) or 1.0)


def rates(steps: np.ndarray, remainders: np.ndarray, floor: float) -> list[Rate]:
    """The powers of h by which remainders fall, as far as they are above a floor."""
    seen = []
    for step, (coarse, fine) in zip(steps[1:], pairwise(remainders), strict=True):
        if np.isfinite(coarse) and fine > floor and coarse > floor:
            seen.append(Rate(float(step), float(np.log(coarse / fine) / np.log(RATIO))))
    return seen
