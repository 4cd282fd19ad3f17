"""The HistFactory likelihood of parameters, tables and data (CERN-OPEN-2012-016, section 4).

A bin expects  nu = sum over samples of  prod(factors) * (nominal + sum of shifts).  It observes a
Poisson number of events; auxiliary data constrain parameters by Poisson and normal terms. Nothing
here is particular to a workspace: tables are those of `derive`, theta (n,) and data (bin + aux,)
are in the order of pyhf, and values agree with its.
"""

import math
from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.likelihood.histfactory import interpolation
from diffpipe.pipelines.physics.likelihood.histfactory.factorial import log_factorial

_HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


def log_likelihood(theta: Array, tables: Mapping[str, Array], data: Array) -> Array:
    """log L (), constants included; data (bin + aux,), for the workspace's own tables["data"].

    NaN where a bin with events expects less than nothing, and -inf where it expects nothing; of a
    bin without events only the rate counts, whatever it is, as in pyhf.
    """
    expected = expected_data(theta, tables)
    normal, sigma = tables["normal"], tables["sigma"]
    pull = (data - expected) / sigma
    gaussian = -0.5 * pull * pull - jnp.log(sigma) - _HALF_LOG_2_PI
    # in both branches numbers that have derivatives, also where they are not taken
    count, rate = (jnp.where(normal, 1.0, each) for each in (data, expected))
    return jnp.sum(jnp.where(normal, gaussian, _log_poisson(count, rate)))


def expected_data(theta: Array, tables: Mapping[str, Array]) -> Array:
    """What bins and auxiliary data expect (bin + aux,)."""
    auxiliary = _take(theta, tables["aux_parameter"]) * tables["tau"]
    return jnp.concatenate([expected_bins(theta, tables), auxiliary])


def expected_bins(theta: Array, tables: Mapping[str, Array]) -> Array:
    """What bins expect (bin,), events."""
    values = _values(theta, tables)
    rows = _product(_take(values, tables["row_factors"]))
    norms = jnp.exp(_take(values, tables["row_norms"]).sum(axis=2))
    cells = _product(_take(values, tables["cell_factors"]))
    shift = jnp.einsum("xsk,xskw->xsw", _take(values, tables["shift_value"]), tables["shift"])
    content = (rows * norms)[:, :, None] * cells * (tables["nominal"] + shift)
    return _take(content.sum(axis=1).reshape(-1), tables["bin"])


def _values(theta: Array, tables: Mapping[str, Array]) -> Array:
    """All numbers that tables point at, in the order of `compile.Values`."""
    odd, even = interpolation.shift_basis(theta, tables["shift_code"])
    alpha = _take(theta, tables["norm_parameter"])
    logs = tables["norm_log_lo"], tables["norm_log_hi"]
    norms = interpolation.log_factors(alpha, *logs, tables["norm_series"], tables["norm_alpha_0"])
    return jnp.concatenate([theta, jnp.array([1.0, 0.0]), odd, even, norms])


def _take(values: Array, index: Array) -> Array:
    """Values by index: those of a workspace's tables are within bounds, and not negative."""
    return values.at[index].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _product(factors: Array) -> Array:
    """The product along the last axis, by halves: its derivatives hold where a factor is zero."""
    while factors.shape[-1] > 1:
        half = factors.shape[-1] // 2
        product = factors[..., :half] * factors[..., half : 2 * half]
        factors = jnp.concatenate([product, factors[..., 2 * half :]], axis=-1)
    return factors.prod(axis=-1)


def _log_poisson(count: Array, rate: Array) -> Array:
    """log of rate^n exp(-rate)/Gamma(n + 1); n log(rate) is zero for n = 0, whatever the rate."""
    logarithm = jnp.log(jnp.where(count == 0.0, 1.0, rate))
    return count * logarithm - rate - log_factorial(count)
