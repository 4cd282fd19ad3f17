"""Densities for the stages, from an LHAPDF set or from the grid of `pdf_evolution`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours, interpolation
from diffpipe.pipelines.physics.pdf.lhapdf import bicubic

SET = "set"  # the input that holds all arrays of a set
OF_SET = ("pids", "x_0", "q_0", "xf_0")
OF_EVOLUTION = ("grid", "x", "ln_q")
LEPTONS = (11, 13, 15)
PARTONS = (*flavours.PIDS.values(), *LEPTONS, flavours.GLUON_PID, 22)


class Source(NamedTuple):
    """pids (flavour,), and a function of x (event,) and Q (event,) that gives (event, flavour)."""

    pids: Array
    densities: Callable[[Array, Array], Array]


def of_set(stage: str, inputs: Mapping[str, Any]) -> Source:
    """The set among the inputs of a stage: `set`, or its arrays; raises ValueError if none is."""
    arrays = arrays_of_set(inputs)
    if not set(OF_SET) <= arrays.keys():
        raise ValueError(
            f"{stage}: no LHAPDF set among the inputs {', '.join(inputs)}: give set: data.<name>, "
            f"or {', '.join(OF_SET)}, ... of it"
        )
    table = bicubic.table(arrays)
    return Source(arrays["pids"], lambda x, q: bicubic.densities(table, x, bicubic.scale(table, q)))


def of_set_or_evolution(stage: str, inputs: Mapping[str, Any]) -> Source:
    """A set as `of_set`, or the outputs grid, x, ln_q of `pdf_evolution`; raises ValueError."""
    if not set(OF_EVOLUTION) <= inputs.keys():
        return of_set(stage, inputs)
    table = interpolation.table(*(inputs[name] for name in OF_EVOLUTION))
    names = flavours.names((inputs["grid"].shape[-1] - 1) // 2)
    return Source(
        jnp.asarray(np.array([flavours.pid(name) for name in names])),
        lambda x, q: interpolation.densities(
            table, x, interpolation.scale_weights(table, jnp.log(q))
        ),
    )


def arrays_of_set(inputs: Mapping[str, Any]) -> Mapping[str, Array]:
    """The arrays of a set by the names of the reader."""
    found: Mapping[str, Array] = inputs.get(SET, inputs)
    return found


def columns(of: Source, wanted: Sequence[int]) -> Array:
    """(flavour, wanted), by which a density is multiplied to select flavours.

    A matrix, as the flavours of a set are numbers that are not known before it is read; what it
    has not got is zero.
    """
    names = jnp.asarray(np.array(wanted), of.pids.dtype)
    return (of.pids[:, None] == names[None, :]).astype(jnp.float64)


def partons(stage: str, option: str, value: object) -> list[int]:
    """`value` as PDG numbers of partons; ValueError unless it is a list of them."""
    listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if not listed or any(type(each) is not int or abs(each) not in PARTONS for each in listed):
        raise ValueError(
            f"{stage}: option {option} must be a list of PDG numbers such as [2, -2, 21], 21 being "
            f"the gluon, got {value!r}"
        )
    return listed
