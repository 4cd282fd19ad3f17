"""The yields of a selection after each cut, and how far the soft ones are from the hard ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jax import Array

from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "cut_flow"


def cut_flow(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """Soft and hard yields of a selection, and the bias of the soft ones.

    Input: yields (2, 1 + cuts), of the stage `selection`.
    Outputs, each (1 + cuts,), before all cuts and after each: soft and hard, the yields in the
    weight's unit; relative_bias, soft/hard - 1.
    """
    soft, hard = _rows(inputs["yields"])
    return {"soft": soft, "hard": hard, "relative_bias": soft / hard - 1.0}


def check_cut_flow(
    parameters: Mapping[str, Any],  # noqa: ARG001  the runner gives both
    inputs: Mapping[str, Any],
) -> None:
    """Refuse a selection that no event passes."""
    _, hard = _rows(np.asarray(inputs["yields"]))
    if (hard == 0.0).any():
        first = int(np.argmax(hard == 0.0))
        what = f"after cut {first} of {hard.size - 1}" if first else "before all cuts"
        raise RefusedError(
            f"{STAGE}: empty selection: the hard yield {what} is zero (yields: {hard.tolist()})",
            hint="loosen the cut, or look at its variable's unit",
        )


def _rows(yields: Any) -> Any:
    if yields.ndim != 2 or yields.shape[0] != 2:
        raise ValueError(
            f"{STAGE}: input yields has shape {yields.shape}; the stage selection gives "
            "(2, 1 + cuts)"
        )
    return yields
