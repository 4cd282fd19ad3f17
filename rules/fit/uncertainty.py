"""Uncertainties: from the Hessian at the minimum to errors, correlations and goodness of fit."""

from dataclasses import dataclass

import numpy as np

from diffpipe.cache.errors import NonFiniteError
from diffpipe.rules.fit.minimum import Minimum
from diffpipe.rules.fit.minuit import hesse
from diffpipe.rules.fit.problem import Problem


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """errors (n,), covariance and correlations (n, n), and what they come from."""

    errors: np.ndarray
    covariance: np.ndarray
    correlations: np.ndarray
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
    _check(problem, hessian)
    covariance = 2.0 * problem.up * np.linalg.inv(hessian)
    covariance = 0.5 * (covariance + covariance.T)
    errors = np.sqrt(np.diagonal(covariance))
    correlations = covariance / np.outer(errors, errors)
    np.fill_diagonal(correlations, 1.0)
    return Uncertainty(errors, covariance, correlations, source)


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


def _check(problem: Problem, hessian: np.ndarray) -> None:
    """Refuse a Hessian that has a direction without curvature, in units of its diagonal."""
    size = np.sqrt(np.abs(np.diagonal(hessian)))
    size[size == 0.0] = 1.0
    found, vectors = np.linalg.eigh(hessian / np.outer(size, size))
    if found[0] > 1e-12:  # below it is rounding
        return
    along = np.abs(vectors[:, 0])
    names = [problem.space.labels[k] for k in np.argsort(along)[::-1] if along[k] > 0.3]
    raise NonFiniteError(
        f"the objective does not curve upwards along {', '.join(names[:5])}: no errors",
        hint="the data do not determine them together: hold one (leave it out of --wrt), or give "
        "it a prior in the pipeline file",
    )
