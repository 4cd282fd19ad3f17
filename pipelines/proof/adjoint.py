"""The adjoint identity <w, J v> = <J^T w, v>, for all parameters and inputs at once."""

from collections.abc import Iterator, Mapping

import numpy as np

from diffpipe.pipelines.proof.calls import error_of
from diffpipe.pipelines.proof.compared import ROUNDING
from diffpipe.pipelines.proof.finding import Finding, verdict
from diffpipe.pipelines.proof.layout import magnitudes, real_sum
from diffpipe.pipelines.proof.trial import Trial

_EACH = 1e3  # roundings in each term: a product of some hundred operations
_DIFFERENCES = 10.0  # times the errors that derivatives by differences are said to have

Vectors = Mapping[str, np.ndarray]


def adjoint(trial: Trial) -> Iterator[Finding]:
    """Both sides, and how far rounding may set them apart."""
    if not trial.busy or not trial.has_jvp:
        return
    tangents = {moved.array: trial.narrow(moved) for moved in trial.busy}
    w = trial.layout.random(trial.generator("adjoint")) / _levels(trial)
    pushed, pulled = trial.pushed(tangents), trial.pulled(w)
    left = sum(real_sum(w, each) for each in pushed.values())
    right = sum(real_sum(pulled[array], each) for array, each in tangents.items())
    tolerance = _tolerance(trial, w, pushed, pulled, tangents)
    apart = abs(left - right)
    words = (
        f"<w, J v> = {left:.12g}, <J^T w, v> = {right:.12g}: {apart:.1e} apart, "
        f"{tolerance:.1e} allowed"
    )
    numbers = {"pushed": left, "pulled": right, "tolerance": tolerance}
    yield Finding("adjoint", verdict(bool(apart <= tolerance)), words, numbers=numbers)


def _tolerance(
    trial: Trial, w: np.ndarray, pushed: Vectors, pulled: Vectors, tangents: Vectors
) -> float:
    """From the magnitudes of all terms, and from how much the outputs themselves scatter."""
    terms = sum(magnitudes(w, each) for each in pushed.values())
    terms += sum(magnitudes(pulled[array], each) for array, each in tangents.items())
    errors = sum(np.sum(abs(each) * error_of(pulled, a)) for a, each in tangents.items())
    first = trial.busy[0]
    scatter = trial.line(first, trial.direction(first)).scatter / _levels(trial)
    rounding = max(float(ROUNDING), float(np.median(scatter)))
    return _EACH * rounding * terms + _DIFFERENCES * float(errors)


def _levels(trial: Trial) -> np.ndarray:
    """The sizes of the outputs, those that are near zero taken as typical ones."""
    size = trial.layout.levels(trial.layout.flat(trial.outputs))
    return np.where(size > 0, size, 1.0)
