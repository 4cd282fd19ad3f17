"""A derivative as given and by differences, side by side: numbers and verdict."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from diffpipe.pipelines.proof.finding import Verdict
from diffpipe.pipelines.proof.layout import magnitudes, real_sum
from diffpipe.pipelines.proof.slopes import SURE, Rate, Slopes, rates

ROUNDING = np.finfo(np.float64).eps
_TERMS = 64.0  # roundings of a sum of terms, far more than one for each level of a pairwise sum
_SHARP = 1e-3  # an answer less sharp than this, relative to the slope, decides nothing
_FLAT = 1e-6  # relative to the output: a slope that is zero as far as this is zero


@dataclass(frozen=True)
class Given:
    """A derivative <w, J v> as a stage gives it.

    terms: the sum of the magnitudes of its terms; error: what is known of it, of differences.
    """

    value: float
    terms: float
    error: float


@dataclass(frozen=True)
class Compared:
    """A derivative <w, J v>, as given and by differences, weighted by w.

    Both are right where they differ by no more than the tolerance.
    """

    given: Given
    slopes: Slopes
    w: np.ndarray

    @property
    def expected(self) -> float:
        return real_sum(self.w, self.slopes.value)

    @property
    def size(self) -> float:
        """The sum of the magnitudes of its terms."""
        return magnitudes(self.w, self.slopes.value)

    @property
    def tolerance(self) -> float:
        if not self.w.any():  # nothing is known of any output
            return float("inf")
        known = magnitudes(self.w, self.slopes.error) + self.given.error
        return SURE * known + _TERMS * ROUNDING * (self.given.terms + self.size)

    @property
    def rates(self) -> list[Rate]:
        """By which powers of h the Taylor remainder falls, step by step."""
        found = self.slopes
        values = np.array([real_sum(self.w, each - found.origin) for each in found.along])
        floor = SURE * magnitudes(self.w, found.scatter)
        return rates(found.steps, abs(values - found.steps * self.given.value), floor)

    @property
    def verdict(self) -> Verdict:
        if not np.isfinite(self.tolerance):
            return Verdict.OPEN
        if not abs(self.given.value - self.expected) <= self.tolerance:
            return Verdict.FAILED
        if self.size > self.tolerance:
            sharp = self.tolerance <= _SHARP * self.size
        else:  # no slope is seen
            sharp = self.tolerance <= _FLAT * magnitudes(self.w, self.slopes.origin)
        return Verdict.PASSED if sharp else Verdict.OPEN

    def numbers(self, unit: float = 1.0) -> dict[str, Any]:
        """Both derivatives and how far they are apart, per unit of what is moved."""
        tolerance = self.tolerance / abs(unit)
        return numbers(self.given.value / unit, self.expected / unit, tolerance, self.rates)


def numbers(given: float, expected: float, tolerance: float, rates: list[Rate]) -> dict[str, Any]:
    """A comparison as plain values; rates: [step, power] each."""
    return {
        "given": given,
        "differences": expected,
        "relative_error": abs(given - expected) / abs(expected) if expected else None,
        "tolerance": tolerance,
        "rates": [list(each) for each in rates],
    }
