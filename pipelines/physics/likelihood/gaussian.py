"""Gaussian likelihood of measured values with a full covariance."""

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

STAGE = "gaussian"


def gaussian(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """chi^2 = r^T C^-1 r of the residuals r = prediction - measured.

    Inputs: prediction (n,), measured (n,), covariance C (n, n), in one unit and its square; only
    the lower triangle of C is read.
    Outputs: chi2 (); pulls (n,) = (prediction - measured)/error, each by itself, error =
    sqrt(C_ii); decorrelated (n,) = L^-1 r with C = L L^T, whose squares add up to chi2.
    A covariance that is not positive definite has no Cholesky factor: all outputs that need it are
    NaN. Raises ValueError for shapes that do not agree.
    """
    prediction, measured = inputs["prediction"], inputs["measured"]
    covariance = inputs["covariance"]
    _check_shapes(prediction, measured, covariance)
    residual = prediction - measured
    factor = jnp.linalg.cholesky(covariance, symmetrize_input=False)
    decorrelated = solve_triangular(factor, residual, lower=True)
    return {
        "chi2": decorrelated @ decorrelated,
        "pulls": residual / jnp.sqrt(jnp.diagonal(covariance)),
        "decorrelated": decorrelated,
    }


def _check_shapes(prediction: Array, measured: Array, covariance: Array) -> None:
    n = measured.size
    if prediction.shape != (n,) or measured.shape != (n,) or covariance.shape != (n, n):
        raise ValueError(
            f"{STAGE}: needs prediction (n,), measured (n,) and covariance (n, n), got "
            f"{prediction.shape}, {measured.shape} and {covariance.shape}; check that the "
            "histogram's bins are those of the data"
        )
