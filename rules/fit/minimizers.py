"""Minimizers by name: from a problem to its minimum, a dict you can see.

All are deterministic, so that a fit that is repeated goes through the same points to the same bits.
"""

from collections.abc import Callable

from diffpipe.cache.errors import UsageError
from diffpipe.rules.fit.descent import adam, lbfgs
from diffpipe.rules.fit.minimum import Minimum, Settings
from diffpipe.rules.fit.minuit import migrad
from diffpipe.rules.fit.newton import gauss_newton
from diffpipe.rules.fit.problem import Problem

MINIMIZERS: dict[str, Callable[[Problem, Settings], Minimum]] = {
    "migrad": migrad,
    "lbfgs": lbfgs,
    "adam": adam,
    "gauss-newton": gauss_newton,
}


def minimize(problem: Problem, settings: Settings) -> Minimum:
    """The minimum of a problem; raises UsageError for an unknown minimizer."""
    if settings.minimizer not in MINIMIZERS:
        known = ", ".join(MINIMIZERS)
        raise UsageError(f"--minimizer {settings.minimizer}: not one of {known}")
    return MINIMIZERS[settings.minimizer](problem, settings)
