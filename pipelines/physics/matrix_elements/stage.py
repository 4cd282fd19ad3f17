"""The stage `matrix_element`: |M|^2 of a process for each event."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.matrix_elements import kinematics
from diffpipe.pipelines.physics.matrix_elements.element import build
from diffpipe.pipelines.physics.matrix_elements.model.parameters import canonical
from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "matrix_element"
NATIVE, MADJAX = BACKENDS = ("native", "madjax")
BLOCK = 128  # events whose waves fit the processor's second cache


def matrix_element(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Any],
    *,
    process: str,
    on_shell: bool = False,
    values: Mapping[str, float] | None = None,
    backend: str = NATIVE,
    package: str | None = None,
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
    values, of inputs that are no parameters; backend, native or madjax, this with package, the
    folder or module that MadGraph's madjax plugin generated; block, events evaluated at a time.
    """
    checks.integer(STAGE, "block", block, at_least=1)
    elements = elements_of(process, backend, package)
    given = _given(parameters, inputs.get("card", {}), values or {})
    momenta = inputs["momenta"]
    kinematics.check_shape(momenta.shape, elements[0].process.legs)
    made: dict[Any, Array] = {}
    for each in elements:
        if each.signature not in made:
            made[each.signature] = _column(each, given, momenta, on_shell, block)
    columns = [made[each.signature] for each in elements]
    return {"value": columns[0] if len(columns) == 1 else jnp.stack(columns, axis=1)}


def check_matrix_element(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    process: str,
    backend: str = NATIVE,
    package: str | None = None,
    **options: Any,
) -> None:
    """Refuse momenta that are off shell or do not balance (the runner calls it for one shard)."""
    given = _given(parameters, inputs.get("card", {}), options.get("values") or {})
    for each in elements_of(process, backend, package):
        masses = [float(mass) for mass in each.masses(given)]
        momenta = np.asarray(inputs["momenta"])
        kinematics.check(momenta, each.process.legs, masses, len(each.process.initial))


def _column(
    element: Any, given: Mapping[str, Array], momenta: Array, on_shell: bool, block: int
) -> Array:
    def squared(events: Mapping[str, Array]) -> Array:
        p = events["momenta"]
        return element.squared(given, element.on_shell(given, p) if on_shell else p)

    return map_blocks(squared, {"momenta": momenta}, block)


@cache
def elements_of(process: str, backend: str = NATIVE, package: str | None = None) -> Sequence[Any]:
    """The elements of a process by the native engine, or the one of a madjax package."""
    checks.one_of(STAGE, "backend", backend, BACKENDS)
    if (backend == MADJAX) is (package is None):
        raise RefusedError(
            f"{STAGE}: backend {backend} with package {package!r}",
            hint="backend: madjax and package: its folder or module belong together",
        )
    if package is None:
        return build(process)
    from diffpipe.pipelines.physics.matrix_elements.madjax.backend import open_backend

    with jax.ensure_compile_time_eval():  # it evaluates what it opens, also while a stage is traced
        return [open_backend(package, process)]


def _given(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by their canonical names; the first source that has one counts."""
    found: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            found.setdefault(canonical(name), value)
    return found
