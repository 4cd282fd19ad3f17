"""The covariance of fitted parameters from the curvature of the likelihood."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.likelihood.inference import newton
from diffpipe.pipelines.physics.likelihood.inference.fit import LogLikelihood


def covariance(
    log_likelihood: LogLikelihood, model: Any, data: Array, theta: Array, fixed: Array
) -> Array:
    """(n, n): the inverse of the Hessian of -log L at the best fit, on the free parameters.

    Rows and columns of fixed parameters are zero. Where the likelihood is flat in some direction
    there is no inverse: what comes out is not finite, or larger than anything the data determine.
    An ordinary function of theta, model and data, so its derivatives follow the fit.
    """
    hessian = -jax.hessian(log_likelihood)(theta, model, data)
    metric = jax.lax.stop_gradient(newton.scales(hessian))  # divided out again: any will do
    held = fixed[:, None] | fixed[None, :]
    scaled = jnp.where(held, jnp.eye(theta.size), hessian / jnp.outer(metric, metric))
    return jnp.where(held, 0.0, jnp.linalg.inv(scaled) / jnp.outer(metric, metric))
