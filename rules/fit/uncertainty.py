"""Uncertainties: from the Hessian at the minimum to errors, correlations and goodness of fit."""

from dataclasses import dataclass

import numpy as np

from diffpipe.rules.fit.information import Spread, spread
from diffpipe.rules.fit.minimum import Minimum
from diffpipe.rules.fit.minuit import hesse
from diffpipe.rules.fit.problem import Problem


@dataclass(frozen=True, eq=False)
class Uncertainty(Spread):
    """errors (n,), covariance and correlations (n, n), and what they come from."""

    source: str


@dataclass(frozen=True)
class Goodness:
    """chi^2 of the fit, priors included, its degrees of freedom and probability."""

    chi2: float
    points: int
    degrees: int
    probability: float


def uncertainty(problem: Problem, minimum: Minimum) -> Uncertainty:
    """Errors from 2 up H^-1; raises NonFiniteError where the Hessian says that it is no minimum."""
    point, source = minimum.point, "Gauss-Newton"
    if problem.is_bent:
        hessian = problem.bent(point.x).hessian
    else:
        hessian, source = hesse(problem, point.x), "differences of gradients"
    assert hessian is not None
    found = spread(hessian, problem.space.labels, problem.up)
    return Uncertainty(found.errors, found.covariance, found.correlations, source)


def goodness(problem: Problem, minimum: Minimum) -> Goodness | None:
    """Where the objective's stage gives a chi^2. A prior is a point of its own."""
    found = minimum.point.found
    if found.goodness is None or found.points is None:
        return None
    from scipy.stats import chi2

    space = problem.space
    degrees = found.points - int(np.sum(~space.has_prior))
    total = found.goodness + (minimum.point.value - found.objective) / problem.up
    probability = float(chi2.sf(total, degrees)) if degrees > 0 else float("nan")
    return Goodness(total, found.points, degrees, probability)
