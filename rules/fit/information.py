"""Information: what the curvature of -2 log L says of its parameters.

The observed information is half the Hessian of -2 log L, its inverse the covariance of Laplace's
approximation. Half the Hessian of Gauss and Newton, J^T H J with J the tangents of the prediction,
is the Fisher information of a Gaussian likelihood (A. W. van der Vaart, Asymptotic Statistics,
1998, 5.5), and never has a negative direction.
"""

from dataclasses import dataclass

import numpy as np

from diffpipe.cache.errors import NonFiniteError
from diffpipe.pipelines.core.derivatives import has_tangents
from diffpipe.pipelines.core.model import OutputRef, Over, Pipeline
from diffpipe.pipelines.physics import registry


@dataclass(frozen=True, eq=False)
class Spread:
    """errors (n,), covariance and correlations (n, n)."""

    errors: np.ndarray
    covariance: np.ndarray
    correlations: np.ndarray


def spread(hessian: np.ndarray, labels: list[str], up: float = 1.0) -> Spread:
    """Errors from 2 up H^-1, of an objective that rises by `up` at one standard deviation.

    Raises NonFiniteError where the Hessian has a direction without curvature.
    """
    _check(hessian, labels)
    covariance = 2.0 * up * np.linalg.inv(hessian)
    covariance = 0.5 * (covariance + covariance.T)
    errors = np.sqrt(np.diagonal(covariance))
    correlations = covariance / np.outer(errors, errors)
    np.fill_diagonal(correlations, 1.0)
    return Spread(errors, covariance, correlations)


def fitness(pipeline: Pipeline, objective: OutputRef) -> registry.Fitness | None:
    """What the objective's stage says of a fit, where it is a likelihood of the library."""
    known = registry.LIKELIHOODS.get(str(pipeline.stages[objective.stage].function))
    return known if known and known.objective == objective.output else None


def is_bent(pipeline: Pipeline, objective: OutputRef, wrt: list[str]) -> bool:
    """Whether there is a Hessian of Gauss and Newton: of a likelihood of the library, and tangents
    reach it through all stages."""
    once = pipeline.stages[objective.stage].over is Over.ONCE
    likelihood = once and fitness(pipeline, objective) is not None
    return likelihood and has_tangents(pipeline, objective, wrt)


def _check(hessian: np.ndarray, labels: list[str]) -> None:
    """Refuse a Hessian that has a direction without curvature, in units of its diagonal."""
    size = np.sqrt(np.abs(np.diagonal(hessian)))
    size[size == 0.0] = 1.0
    found, vectors = np.linalg.eigh(hessian / np.outer(size, size))
    if found[0] > 1e-12:  # below it is rounding
        return
    along = np.abs(vectors[:, 0])
    names = [labels[k] for k in np.argsort(along)[::-1] if along[k] > 0.3]
    raise NonFiniteError(
        f"the objective does not curve upwards along {', '.join(names[:5])}: no errors",
        hint="the data do not determine them together: hold one (leave it out of --wrt), or give "
        "it a prior in the pipeline file",
    )
