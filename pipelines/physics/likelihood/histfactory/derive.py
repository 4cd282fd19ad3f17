"""From a workspace's arrays to the tables of the model, by NumPy or as a traced function.

Everything here follows from templates, so it follows a template that another stage computes:
shifts, factors, widths of constraints, the auxiliary data of Poisson ones.
"""

from collections.abc import Mapping
from typing import Any

from diffpipe.pipelines.physics.likelihood.histfactory import interpolation

KEPT = (
    "nominal",
    "row_factors",
    "row_norms",
    "cell_factors",
    "shift_value",
    "shift_code",
    "norm_parameter",
    "norm_alpha_0",
    "bin",
    "aux_parameter",
    "init",
    "lower",
    "upper",
)


def tables(arrays: Mapping[str, Any], xp: Any) -> dict[str, Any]:
    """The tables of `model`; arrays: those of `compile`; xp: NumPy, or jax.numpy.

    Widths as in HistFactory (CERN-OPEN-2012-016): a shapesys bin with content b and uncertainty d
    has a Poisson constraint of (b/d)^2 events; a staterror bin a normal one, with the uncertainties
    of the samples in quadrature over the sum of their contents. Without content or uncertainty
    such a parameter is fixed, and its width is 1.
    """
    shapes, shape_dead = _shapesys(arrays, xp)
    stats, stat_dead = _staterror(arrays, xp)
    aux = xp.concatenate([arrays["aux"], shapes])[arrays["aux_from"]]
    sigma = xp.concatenate([arrays["sigma"], stats])[arrays["sigma_from"]]
    fixed = xp.concatenate([arrays["fixed"] > 0.0, shape_dead, stat_dead])
    ones = xp.ones(arrays["observed"].shape)
    return {
        **{name: arrays[name] for name in KEPT},
        "shift": _shifts(arrays, xp),
        "norm_log_lo": xp.log(arrays["norm_lo"]),
        "norm_log_hi": xp.log(arrays["norm_hi"]),
        "norm_series": interpolation.polynomial(arrays["norm_lo"], arrays["norm_hi"], xp),
        "tau": xp.concatenate([arrays["tau"], shapes])[arrays["tau_from"]],
        "sigma": xp.concatenate([ones, sigma]),
        "normal": xp.concatenate([ones < 0.0, arrays["normal"]]),
        "fixed": fixed[arrays["fixed_from"]],
        "data": xp.concatenate([arrays["observed"], aux]),
    }


def _shifts(arrays: Mapping[str, Any], xp: Any) -> Any:
    """What odd and even of `interpolation.shift_basis` multiply (stretch, slot, 2 k, lane)."""
    lo, hi = arrays["shift_lo"], arrays["shift_hi"]
    nominal = arrays["nominal"][:, :, None, :]
    return xp.concatenate([0.5 * (hi - lo), 0.5 * (hi + lo) - nominal], axis=2)


def _shapesys(arrays: Mapping[str, Any], xp: Any) -> tuple[Any, Any]:
    content = arrays["nominal"].reshape(-1)[arrays["shapesys_cell"]]
    alive = (content > 0.0) & (arrays["shapesys"] > 0.0)
    uncertainty = xp.where(alive, arrays["shapesys"], 1.0)
    return xp.where(alive, (content / uncertainty) ** 2, 1.0), ~alive


def _staterror(arrays: Mapping[str, Any], xp: Any) -> tuple[Any, Any]:
    padded = xp.concatenate([arrays["nominal"].reshape(-1), xp.zeros(1)])
    content = padded[arrays["stat_cell"]].sum(axis=1)
    square = (arrays["stat"] ** 2).sum(axis=1)
    alive = (content > 0.0) & (square > 0.0)
    # the square root of zero has no derivative, and is not taken
    width = xp.sqrt(xp.where(alive, square, 1.0)) / xp.where(alive, content, 1.0)
    return xp.where(alive, width, 1.0), ~alive
