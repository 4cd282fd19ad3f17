"""Gaussian likelihood of measured values with a full covariance and correlated systematics."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import cho_factor, cho_solve, solve_triangular

from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "gaussian"
ASYMMETRY = 1e-6  # of sqrt(C_ii C_jj): files are written with some six digits


def gaussian(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    relative: bool = False,
) -> dict[str, Array]:
    """chi^2 = r^T C^-1 r of the residuals r = prediction - measured.

    Inputs: prediction (n,), measured (n,), covariance C (n, n), in one unit and its square; only
    the lower triangle of C is read. systematics S (k, n), if given: by how much each measured value
    moves when source k moves by one standard deviation; C then holds the other errors.
    Outputs: chi2 (); pulls (n,) = (prediction - measured)/error, each by itself, error =
    sqrt(C_ii); decorrelated (n,) = L^-1 r with C = L L^T, whose squares add up to chi2.
    With systematics chi2 is the least of (r - b.S)^T C^-1 (r - b.S) + b.b over b, which equals
    r^T (C + S^T S)^-1 r; nuisances (k,) are the b where it is; pulls are those of r - b.S, and
    decorrelated (n + k,) = [L^-1 (r - b.S), b].
    Option relative: systematics are fractions of the prediction. Fractions of the measured values
    would give small values the smaller errors, and so pull a fit below its data: D'Agostini, Nucl.
    Instrum. Methods A 346 (1994) 306.
    A covariance that is not positive definite has no Cholesky factor: all outputs that need it are
    NaN. Raises ValueError for shapes that do not agree.
    """
    prediction, measured = inputs["prediction"], inputs["measured"]
    covariance = inputs["covariance"]
    _check_shapes(prediction, measured, covariance)
    residual = prediction - measured
    factor = jnp.linalg.cholesky(covariance, symmetrize_input=False)
    if "systematics" in inputs:
        shifts = _shifts(inputs["systematics"], prediction, relative=relative)
        return _shifted(residual, factor, shifts, covariance)
    if relative:
        raise ValueError(f"{STAGE}: option relative is about the input systematics; give it too")
    decorrelated = solve_triangular(factor, residual, lower=True)
    return {
        "chi2": decorrelated @ decorrelated,
        "pulls": residual / jnp.sqrt(jnp.diagonal(covariance)),
        "decorrelated": decorrelated,
    }


def check_gaussian(
    parameters: Mapping[str, Any],  # noqa: ARG001  the runner gives both
    inputs: Mapping[str, Any],
    **options: Any,  # noqa: ARG001
) -> None:
    """Refuse a covariance that is none, naming the rows, counted from 0, that make it so."""
    matrix = np.asarray(inputs["covariance"])
    _refuse("is not finite", ~np.all(np.isfinite(matrix), axis=1))
    variances = np.diagonal(matrix)
    _refuse("has variances that are not above zero", np.asarray(variances <= 0.0), variances)
    errors = np.sqrt(variances)
    correlation = matrix / np.outer(errors, errors)
    _refuse("is not symmetric", np.any(np.abs(correlation - correlation.T) > ASYMMETRY, axis=1))
    eigenvalues, vectors = np.linalg.eigh(correlation)
    if eigenvalues[0] <= len(matrix) * np.finfo(np.float64).eps * eigenvalues[-1]:
        kind = "is singular" if eigenvalues[0] > -1e-10 else "is not positive definite"
        what = f"{kind}: the least eigenvalue of its correlations is {eigenvalues[0]:.3g}"
        direction = np.abs(vectors[:, 0])
        _refuse(what, direction > 0.1 * direction.max(), hint="these rows depend on each other")


def _refuse(
    what: str, rows: np.ndarray, values: np.ndarray | None = None, hint: str | None = None
) -> None:
    if not rows.any():
        return
    found = np.flatnonzero(rows)
    named = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
    value = "" if values is None else f" ({values[found[0]]:.6g} in row {found[0]})"
    raise RefusedError(
        f"the covariance {what}{value}; rows {named}",
        hint=hint or "check the file of the covariance, and that its rows are the data's bins",
    )


def _shifts(systematics: Array, prediction: Array, *, relative: bool) -> Array:
    """How values move for each source (k, n), in their unit."""
    if systematics.ndim != 2 or systematics.shape[1] != prediction.size:
        raise ValueError(
            f"{STAGE}: systematics must be (sources, {prediction.size}), one shift for each value, "
            f"got {systematics.shape}"
        )
    return systematics * prediction[None, :] if relative else systematics


def _shifted(residual: Array, factor: Array, shifts: Array, covariance: Array) -> dict[str, Array]:
    """The outputs at the b that solves (1 + W^T W) b = W^T L^-1 r, W = L^-1 S^T."""
    scaled = solve_triangular(factor, residual, lower=True)
    widths = solve_triangular(factor, shifts.T, lower=True)
    normal = jnp.eye(len(shifts)) + widths.T @ widths
    nuisances = cho_solve(cho_factor(normal, lower=True), widths.T @ scaled)
    decorrelated = jnp.concatenate([scaled - widths @ nuisances, nuisances])
    return {
        "chi2": decorrelated @ decorrelated,
        "pulls": (residual - nuisances @ shifts) / jnp.sqrt(jnp.diagonal(covariance)),
        "decorrelated": decorrelated,
        "nuisances": nuisances,
    }


def _check_shapes(prediction: Array, measured: Array, covariance: Array) -> None:
    n = measured.size
    if prediction.shape != (n,) or measured.shape != (n,) or covariance.shape != (n, n):
        raise ValueError(
            f"{STAGE}: needs prediction (n,), measured (n,) and covariance (n, n), got "
            f"{prediction.shape}, {measured.shape} and {covariance.shape}; check that the "
            "histogram's bins are those of the data"
        )
