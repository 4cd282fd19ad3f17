"""The stage `matrix_element`: |M|^2 of a process for each event."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.matrix_elements import kinematics
from diffpipe.pipelines.physics.matrix_elements.element import Element, build
from diffpipe.pipelines.physics.matrix_elements.model.parameters import canonical

STAGE = "matrix_element"
BLOCK = 128  # events whose waves fit the processor's second cache


def matrix_element(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Any],
    *,
    process: str,
    on_shell: bool = False,
    values: Mapping[str, float] | None = None,
    block: int = BLOCK,
) -> dict[str, Array]:
    """|M|^2 at tree level, summed over final and averaged over initial spins and colours.

    Standard Model in the conventions of MadGraph's `sm`: unit CKM matrix, fixed widths, light
    fermions massless. Parameters: any of MZ, aEWM1, Gf, aS, MT, MB, MTA, MH, WZ, WW, WT, WH, ymt,
    ymb, ymtau (masses and widths in GeV), under these names or their SLHA entries ("mass 6").
    Inputs: momenta (event, leg, 4), [E, px, py, pz] in GeV, incoming first; optionally card, the
    values that a reader `param_card` found. Output: value (event,), in GeV^(8 - 2 legs) for two
    incoming particles; (event, subprocess) where labels stand for several processes. Momenta
    with one leg along (0.36, 0.48, 0.8) have no finite value.
    Options: process, in MadGraph's notation; on_shell, whether momenta follow the external masses
    (see `kinematics.on_shell`), so that derivatives are taken at fixed s and directions;
    values, of inputs that are no parameters; block, events evaluated at a time.
    """
    checks.integer(STAGE, "block", block, at_least=1)
    elements = _elements(process)
    given = _given(parameters, inputs.get("card", {}), values or {})
    momenta = inputs["momenta"]
    kinematics.check_shape(momenta.shape, elements[0].process.legs)
    columns = [_column(each, given, momenta, on_shell, block) for each in elements]
    return {"value": columns[0] if len(columns) == 1 else jnp.stack(columns, axis=1)}


def check_matrix_element(
    parameters: Mapping[str, Any], inputs: Mapping[str, Any], *, process: str, **options: Any
) -> None:
    """Refuse momenta that are off shell or do not balance (the runner calls it for one shard)."""
    given = _given(parameters, inputs.get("card", {}), options.get("values") or {})
    for each in _elements(process):
        masses = [float(mass) for mass in each.masses(given)]
        momenta = np.asarray(inputs["momenta"])
        kinematics.check(momenta, each.process.legs, masses, len(each.process.initial))


def _column(
    element: Element, given: Mapping[str, Array], momenta: Array, on_shell: bool, block: int
) -> Array:
    def squared(events: Mapping[str, Array]) -> Array:
        p = events["momenta"]
        return element.squared(given, element.on_shell(given, p) if on_shell else p)

    return map_blocks(squared, {"momenta": momenta}, block)


@cache
def _elements(process: str) -> list[Element]:
    return build(process)


def _given(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by their canonical names; the first source that has one counts."""
    found: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            found.setdefault(canonical(name), value)
    return found
