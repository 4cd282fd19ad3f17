"""Verdicts on a process of a package: what was repaired is verified, what is wrong is refused."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.matrix_elements.madjax import frame
from diffpipe.pipelines.physics.matrix_elements.madjax.finding import Finding
from diffpipe.pipelines.physics.matrix_elements.madjax.helicities import Rows
from diffpipe.pipelines.physics.matrix_elements.madjax.look import Look
from diffpipe.pipelines.physics.matrix_elements.madjax.repair import COLOUR, PRECISION
from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process

GRADIENTS, HELICITIES = "momentum gradients", "helicities"


def verified(found: Finding, look: Look) -> Finding:
    """A finding about madjax, confirmed or refused by an evaluation of the process."""
    checks = {COLOUR: _colour, PRECISION: _precision}
    if found.name not in checks:
        return found
    if not np.isfinite(look.values).all():
        return replace(found, state="refused", text="|M|^2 is not finite at sample points")
    return checks[found.name](found, look)


def _colour(found: Finding, look: Look) -> Finding:
    """Scalars for amplitudes: the only thing that can be seen, as the matrix itself is hidden."""
    if look.flows is None:
        return replace(found, text=f"{found.text}; the process does not show its colour flows")
    count = len(look.flows)
    if all(shape == () for shape in look.flows):
        return replace(found, text=f"{found.text}; {count} scalar colour flow(s)")
    if count == 1:
        return replace(found, text=f"{found.text}; the process has one colour flow, and no sum")
    text = (
        f"the amplitudes of its {count} colour flows have shapes {look.flows}, not (): |M|^2 is "
        f"too large, x{count} where the colour factors have one denominator"
    )
    return replace(found, state="refused", text=text)


def _precision(found: Finding, look: Look) -> Finding:
    if look.single:
        text = "it computes with complex64 or float32: 7 digits at best"
        return replace(found, state="refused", text=text)
    return replace(found, text=f"{found.text}; all of the process is in double precision")


def gradients(process: Process) -> Finding:
    """What is done about NaN in gradients with respect to momenta."""
    if not frame.is_safe(process):
        text = (
            "NaN where a particle is at rest; frames in which it moves would change the "
            "polarisations of photons and gluons"
        )
        return Finding(GRADIENTS, "refused", text)
    text = "NaN on the z axis: all momenta are rotated by one fixed rotation"
    if frame.has_leg_at_rest(process):
        text = "NaN at rest and on the z axis: all momenta are boosted and rotated, always alike"
    return Finding(GRADIENTS, "repaired", text)


def helicities(rows: Rows | None, total: int) -> Finding:
    """How many configurations are evaluated."""
    if rows is None:
        text = f"all {total} are evaluated: the class does not tell them apart as expected"
        return Finding(HELICITIES, "fine", text)
    return Finding(HELICITIES, "fine", f"{len(rows.table)} of {total} contribute")


def evaluated(found: Finding, squared: Callable[[Array], Array], momenta: np.ndarray) -> Finding:
    """The finding on gradients, confirmed or refused by evaluating them; compiles."""
    gradient = np.asarray(jax.jit(jax.grad(lambda p: squared(p).sum()))(momenta))
    bad = int((~np.isfinite(gradient)).any(axis=(1, 2)).sum())
    if bad:
        return replace(found, state="refused", text=f"NaN at {bad} of {len(momenta)} points")
    return replace(found, text=f"{found.text}; numbers at {len(momenta)} of {len(momenta)} points")
