"""The inputs that ship, by name, and the density of one with some of its parameters given."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf.inputs import herapdf, les_houches, mstw, neural_network
from diffpipe.pipelines.physics.pdf.inputs.base import Input
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

INPUTS: dict[str, Input] = {
    "mstw2008lo": mstw.LO,
    "mstw2008nlo": mstw.NLO,
    "les_houches_toy": les_houches.TOY,
    "herapdf": herapdf.NNLO,
    "herapdf20nlo": herapdf.NLO,
    "herapdf20nnlo": herapdf.NNLO,
    "nn": neural_network.NN,
}


def density(input: Input, given: Mapping[str, Array], x: np.ndarray) -> Array:
    """Momentum densities x f (11, n) of `input`, its defaults filled in for what is not given.

    given: float64 arrays by the input's own names (without "pdf."). x as in `Input`. Raises
    RefusedError for a name or a shape that the input does not have.
    """
    for name, value in given.items():
        _check(input, name, np.shape(value))
    defaults = {name: jnp.asarray(value, jnp.float64) for name, value in input.defaults.items()}
    return input.density({**defaults, **given}, x)


def _check(input: Input, name: str, shape: tuple[int, ...]) -> None:
    if name not in input.defaults:
        raise RefusedError(
            f"the PDF input has no parameter {name!r}", hint=did_you_mean(name, input.defaults)
        )
    expected = np.shape(input.defaults[name])
    if shape != expected:
        raise RefusedError(
            f"parameter {name!r} of the PDF input has shape {expected}, got {shape}",
            hint=f"give {expected} float64 values" if expected else "give one number",
        )
