"""Why a fit has no derivatives, or no errors, in words."""

from collections.abc import Mapping, Sequence

import numpy as np
from jax import Array
from jax.typing import ArrayLike

from diffpipe.pipelines.physics.likelihood.histfactory.diagnosis import told
from diffpipe.pipelines.physics.likelihood.inference.fit import Fit

FLAT = 1e-10  # curvature that is none, where the mean one is about 1


def not_converged(
    kinds: Sequence[str],
    fits: Fit,
    names: Sequence[str],
    rates: Sequence[ArrayLike],
    data: ArrayLike,
    channels: Mapping[str, int],
) -> str | None:
    """The first of some fits, stacked, that has not converged: its kind, and where it stopped."""
    for i, kind in enumerate(kinds[: len(fits.converged)]):
        if not fits.converged[i]:
            theta, slope = np.asarray(fits.theta[i]), np.asarray(fits.gradient[i])
            steep = int(np.argmax(np.abs(slope)))
            bins = told(rates[i], data, channels)
            return (
                f"the {kind} has not converged after {int(fits.iterations[i])} iterations: log L "
                f"still changes by {slope[steep]:.3g} per unit of {names[steep]}, at "
                f"{theta[steep]:.6g}" + (f"; {bins}" if bins else "")
            )
    return None


def at_bound(fit: Fit, names: Sequence[str], lower: Array, upper: Array) -> str | None:
    """The parameters that sit at a bound."""
    found = np.flatnonzero(fit.at_bound)
    if not found.size:
        return None
    theta = np.asarray(fit.theta)
    nearer = np.where(theta - np.asarray(lower) <= np.asarray(upper) - theta, lower, upper)
    sitting = ", ".join(f"{names[i]} at {nearer[i]:.6g}" for i in found[:8])
    one = found.size == 1
    return (
        f"{'a parameter sits at its bound' if one else 'parameters sit at their bounds'} "
        f"({sitting}): the best fit does not follow the templates there; widen the bounds in the "
        "measurement, or fix it; -2 log L and CLs have derivatives all the same"
    )


def undetermined(hessian: np.ndarray, fixed: np.ndarray, names: Sequence[str]) -> str | None:
    """The parameters along which log L is flat; hessian (n, n) of log L."""
    free = np.flatnonzero(~fixed)
    curvature = -hessian[np.ix_(free, free)]
    if not free.size or not np.isfinite(curvature).all():
        return None
    scale = np.sqrt(np.maximum(np.abs(np.diag(curvature)), np.finfo(float).tiny))
    scale[np.diag(curvature) == 0.0] = 1.0
    values, vectors = np.linalg.eigh(curvature / np.outer(scale, scale))
    if values[0] > FLAT:
        return None
    flat = np.abs(vectors[:, 0]) > 0.1 * np.abs(vectors[:, 0]).max()
    return (
        f"the data do not determine {', '.join(names[i] for i in free[flat][:8])}: log L is flat "
        "along them; fix one of them"
    )
