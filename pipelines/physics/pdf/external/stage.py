"""Stages that apply what other programs computed: linear or quadratic in the densities."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.refusal import RefusedError

EKO = "eko_evolution"
FK_TABLE = "fk_table"


def eko_evolution(parameters: Mapping[str, Array], inputs: Mapping[str, Any]) -> dict[str, Array]:
    """Densities evolved by the operators of an EKO file, linear in those at its q0.

    Inputs: `eko`, all that the reader `eko` gives, or its arrays under their names; density
    (flavour, x), x f at q0 on the nodes `x` of the file (x = 1 is mostly one of them), in the order
    of `flavours.names` (11; the top, if the file has it, is then zero; or 13).
    Outputs: grid (x, q, flavour), x f at all scales; x (x,), falling; q (q,) in GeV; and the same
    as an LHAPDF set, with rising x and a subgrid per number of flavours, for `parton_luminosity`
    and `pdf_interpolation`: pids (flavour,), x_0 (x,), q_0 (q,), xf_0 (x, q, flavour), x_1, ...
    These need two or more scales in each subgrid, and interpolate linearly below four.
    Raises RefusedError for a parameter: alpha_s, masses and scales of the file are fixed.
    Source: arXiv:2202.02338.
    """
    _no_parameters(EKO, parameters)
    file = _file(EKO, "eko", inputs, "x", "pids", "operator_0")
    x, pids = file["x"], file["pids"]
    density = _density(EKO, inputs["density"], x, pids.size)
    count = sum(1 for name in file if name.startswith("operator_"))
    scales = [file[f"q_{i}"] for i in range(count)]
    grids = [jnp.einsum("qfigj,gj->iqf", file[f"operator_{i}"], density) for i in range(count)]
    outputs = {"grid": jnp.concatenate(grids, axis=1), "x": x, "q": jnp.concatenate(scales)}
    for number, (q, grid) in enumerate(zip(scales, grids, strict=True)):
        subgrid = {"x": x[::-1], "q": q, "xf": grid[::-1]}
        outputs |= {f"{name}_{number}": each for name, each in subgrid.items()}
    return outputs | {"pids": pids}


def fk_table(parameters: Mapping[str, Array], inputs: Mapping[str, Any]) -> dict[str, Array]:
    """Predictions of an FK table of PineAPPL from densities at its q0.

    Inputs: `fk`, all that the reader `fk_table` gives, or its arrays under their names; density
    (flavour, x) or (member, flavour, x), x f of the table's hadron at q0 on the nodes `x` of the
    table, in the order of `flavours.names` (11; the top is then zero; or 13).
    Outputs: prediction (bin,) or (member, bin), per bin width or what else the table normalises
    to; linear in the density for one hadron, quadratic for two.
    Raises RefusedError for a parameter: alpha_s, masses and scales of the table are fixed.
    Source: arXiv:2008.12789.
    """
    _no_parameters(FK_TABLE, parameters)
    file = _file(FK_TABLE, "fk", inputs, "x", "partons", "table")
    density = _density(FK_TABLE, inputs["density"], file["x"], file["partons"].shape[2])
    partons = jnp.einsum("hcf,...fx->h...cx", file["partons"], density)
    if len(partons) == 1:
        return {"prediction": jnp.einsum("bcx,...cx->...b", file["table"], partons[0])}
    first, second = partons
    folded = jnp.einsum("bcxy,...cy->...bcx", file["table"], second)
    return {"prediction": jnp.einsum("...bcx,...cx->...b", folded, first)}


def _no_parameters(stage: str, parameters: Mapping[str, Array]) -> None:
    if parameters:
        raise RefusedError(
            f"{stage} takes no parameter, got {', '.join(parameters)}: its file was computed at "
            "fixed alpha_s, masses and scales, and does not hold the derivatives",
            hint="pdf_evolution has them; what the densities depend on belongs to the stage that "
            "makes them",
        )


def _file(stage: str, word: str, inputs: Mapping[str, Any], *needed: str) -> Mapping[str, Any]:
    """All that a reader gave, under one word or array by array."""
    file: Mapping[str, Any] = inputs.get(word, inputs)
    if not (set(needed) <= file.keys() and "density" in inputs):
        raise RefusedError(
            f"{stage}: its inputs are {', '.join(inputs) or 'none'}",
            hint=f"give {word}: data.<name> and density: <stage>.density",
        )
    return file


def _density(stage: str, density: Array, x: Array, axis: int) -> Array:
    """The densities on a flavour axis of that length; a top that is not given is zero."""
    own, names = density.shape[-2] if density.ndim > 1 else 0, flavours.names(axis // 2)
    if own not in (len(flavours.FLAVOURS), axis) or density.shape[-1] != x.size:
        raise RefusedError(
            f"{stage}: density has the shape {density.shape}; (..., 11, {x.size}) is wanted, on "
            f"the {x.size} nodes x of the file",
            hint="compute it on the x of the file, such as data.<name>.x",
        )
    given = flavours.names(own // 2)
    place = np.array([[float(name == each) for each in given] for name in names])
    return density if own == axis else jnp.einsum("fg,...gx->...fx", place, density)
