"""Where a derivative is wrong: the one component of an output, and of what it is taken in.

By halving: a sum over half of the components is right, or wrong, as that over the others is not.
An output costs a VJP for each halving, a parameter or an input the calls of a line.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.proof.layout import component
from diffpipe.pipelines.proof.slopes import SURE, Rate, Slopes, rates
from diffpipe.pipelines.proof.trial import Moved, Trial


class Element(NamedTuple):
    """One element of the Jacobian: d of / d wrt, as given and by differences."""

    of: str
    wrt: str
    at: float  # the value of what it is taken in
    given: float
    expected: float
    error: float
    rates: list[Rate]


Search = Callable[[], Element | None]  # None: no single element is clearly wrong
Groups = list[np.ndarray]
Given = Callable[[np.ndarray], float]  # a tangent -> the derivative of one output along it


def of_vjp(trial: Trial, moved: Moved, tangent: np.ndarray, w: np.ndarray, found: Slopes) -> Search:
    """The search for the wrong element of a VJP."""

    def search() -> Element | None:
        output = _wrong_output(trial, moved, tangent, w, found)
        row = trial.pulled(_unit(w, output))[moved.array]
        return _element(trial, moved, tangent, output, lambda v: float(np.sum(row * v).real))

    return search


def of_jvp(
    trial: Trial, moved: Moved, tangent: np.ndarray, found: Slopes, given: np.ndarray
) -> Search:
    """The search for the wrong element of a JVP; given: the JVP along the tangent."""

    def along(output: int, v: np.ndarray) -> float:
        return float(trial.pushed({moved.array: v})[moved.array][output].real)

    def search() -> Element | None:
        sure = np.isfinite(found.error) & np.isfinite(found.value)
        apart = np.where(sure, abs(given - found.value), 0.0)
        output = int(np.argmax(apart / np.where(found.error > 0, found.error, 1e-300)))
        return _element(trial, moved, tangent, output, partial(along, output))

    return search


def _wrong_output(
    trial: Trial, moved: Moved, tangent: np.ndarray, w: np.ndarray, found: Slopes
) -> int:
    """The output whose derivative is furthest from that by differences, by halving."""

    def apart(part: np.ndarray) -> float:
        masked = np.zeros_like(w)
        masked[part] = w[part]
        pulled = trial.pulled(masked)[moved.array]
        expected = np.sum(masked[part] * found.value[part])
        error = float(np.sum(abs(masked[part]) * found.error[part]))
        return abs(float((np.sum(pulled * tangent) - expected).real)) / (error or 1e-300)

    left = np.flatnonzero(w)
    while left.size > 1:
        first, second = np.array_split(left, 2)
        left = max((first, second), key=apart)
    return int(left[0])


def _element(
    trial: Trial, moved: Moved, tangent: np.ndarray, output: int, given: Given
) -> Element | None:
    """The component in which the derivative of an output is furthest from that by differences."""
    flat = tangent.reshape(-1)

    def only(part: Groups) -> np.ndarray:
        masked, numbers = np.zeros_like(flat), np.concatenate(part)
        masked[numbers] = flat[numbers]
        return masked.reshape(tangent.shape)

    def apart(part: Groups) -> float:
        slope = trial.line(moved, only(part))
        return abs(given(only(part)) - float(slope.value[output].real))

    left = moved.groups(tangent)
    while len(left) > 1:
        left = max(left[: len(left) // 2], left[len(left) // 2 :], key=apart)
    return _single(trial, moved, left[0], float(abs(flat[left[0][0]])), output, given)


def _single(
    trial: Trial, moved: Moved, group: np.ndarray, size: float, output: int, given: Given
) -> Element | None:
    unit = np.zeros(moved.value.size, moved.value.dtype)
    unit[group] = size
    unit = unit.reshape(moved.value.shape)
    slope, derivative = trial.line(moved, unit), given(unit)
    remainders = (slope.along[:, output] - slope.origin[output]).real - slope.steps * derivative
    found = Element(
        of=trial.layout.place(output),
        wrt=component(moved.name, moved.value.shape, int(group[0])),
        at=float(moved.value.reshape(-1)[group[0]].real),
        given=derivative / size,
        expected=float(slope.value[output].real) / size,
        error=float(slope.error[output]) / size,
        rates=rates(slope.steps, abs(remainders), SURE * float(slope.scatter[output])),
    )
    return found if abs(found.given - found.expected) > SURE * found.error else None


def _unit(w: np.ndarray, index: int) -> np.ndarray:
    unit = np.zeros_like(w)
    unit[index] = 1.0
    return unit
