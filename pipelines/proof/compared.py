"""A derivative as given and by differences, side by side: numbers, verdict, words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffpipe.pipelines.proof.blame import Element
from diffpipe.pipelines.proof.finding import Finding, Verdict
from diffpipe.pipelines.proof.layout import magnitudes, real_sum
from diffpipe.pipelines.proof.slopes import STEPS, SURE, Slopes, rates
from diffpipe.pipelines.proof.trial import Moved, Trial

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
    def rates(self) -> list[float]:
        """By which powers of h the Taylor remainder falls, step by step."""
        found = self.slopes
        values = np.array([real_sum(self.w, each - found.origin) for each in found.along])
        floor = SURE * magnitudes(self.w, found.scatter)
        return rates(abs(values - STEPS * self.given.value), floor)

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


def finding(
    law: str,
    trial: Trial,
    moved: Moved,
    compared: Compared,
    search: Callable[[], Element | None],
) -> Finding:
    """What a comparison says; where it failed, of the one element that the search finds."""
    verdict, element = compared.verdict, None
    if verdict is Verdict.FAILED:
        element = search()
    numbers = _numbers(trial, moved, compared) if element is None else _of_element(element)
    words = _both(numbers)
    if verdict is Verdict.OPEN:
        words = f"{words}: {_why_open(trial, moved, compared)}"
    else:
        words = f"{words}{_falls(numbers, failed=verdict is Verdict.FAILED)}"
    return Finding(law, verdict, words, moved.name, numbers)


def _numbers(trial: Trial, moved: Moved, compared: Compared) -> dict[str, Any]:
    unit, place = 1.0, {}
    if moved.value.size == 1:  # per unit of what is moved
        unit = float(trial.direction(moved).real.item())
        place = {"of": trial.layout.place(0), "wrt": moved.name} if trial.layout.size == 1 else {}
    return place | {
        "given": compared.given.value / unit,
        "differences": compared.expected / unit,
        "tolerance": compared.tolerance / unit,
        "rates": compared.rates,
    }


def _of_element(element: Element) -> dict[str, Any]:
    return {
        "of": element.of,
        "wrt": element.wrt,
        "given": element.given,
        "differences": element.expected,
        "tolerance": SURE * element.error,
        "rates": element.rates,
    }


def _both(numbers: dict[str, Any]) -> str:
    what = f"d {numbers['of']} / d {numbers['wrt']}" if "of" in numbers else "<w, J v>"
    given, expected, tolerance = (numbers[n] for n in ("given", "differences", "tolerance"))
    return f"{what}: given {given:.10g}, by differences {expected:.10g} ± {tolerance:.1g}"


def _falls(numbers: dict[str, Any], *, failed: bool) -> str:
    """The powers of h, from one step to the next, with which the Taylor remainder falls."""
    shown = " ".join(f"{rate:.2f}" for rate in numbers["rates"])
    text = f"; Taylor rates {shown}" if shown else "; no Taylor remainder above rounding"
    if not failed:
        return text
    expected = numbers["differences"]
    ratio = f" (times {numbers['given'] / expected:.6g})" if expected else ""
    return f"{ratio}{text}, where 2 is right"


def _why_open(trial: Trial, moved: Moved, compared: Compared) -> str:
    refused = trial.refusals.get(moved.array)
    if refused is not None:
        return f"the stage refuses values near by ({refused})"
    if not np.isfinite(compared.tolerance):
        return "no step gives finite outputs"
    why = "a kink or a cut is near, or the outputs scatter"
    if compared.size <= compared.tolerance:
        return f"differences are no sharper: {why}"
    return f"differences are right to {compared.tolerance / compared.size:.0e} of it: {why}"
