"""|M|^2 and its gradient for each event of a sample, outside of pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.matrix_elements.stage import BLOCK


class Squared(Protocol):
    """What can be evaluated: the native element, or another backend's."""

    def squared(self, inputs: Mapping[str, Array], momenta: Array) -> Array: ...

    def on_shell(self, inputs: Mapping[str, Array], momenta: Array) -> Array: ...


def evaluate(
    element: Squared,
    inputs: Mapping[str, float],
    momenta: np.ndarray,
    wrt: Sequence[str],
    *,
    on_shell: bool = False,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Values (event,) and derivatives {name: (event,)} with respect to the inputs named in wrt.

    inputs: all inputs of the model; on_shell: momenta follow the masses of the legs, as in the
    stage `matrix_element`.
    """
    run = compiled(element, inputs, wrt, on_shell=on_shell)
    columns = np.asarray(run(jnp.asarray(momenta))).T
    return columns[0], dict(zip(wrt, columns[1:], strict=True))


def compiled(
    element: Squared,
    inputs: Mapping[str, float],
    wrt: Sequence[str],
    *,
    on_shell: bool = False,
    block: int = BLOCK,
) -> Any:
    """The jitted function from momenta (event, leg, 4) to (event, 1 + wrt): value, derivatives."""

    def at_events(events: Mapping[str, Array]) -> Array:
        p = events["momenta"]

        def squared(moving: Mapping[str, Array]) -> Array:
            given: dict[str, Any] = {**inputs, **moving}
            return element.squared(given, element.on_shell(given, p) if on_shell else p)

        values, pullback = jax.vjp(
            squared, {name: jnp.full(p.shape[0], inputs[name]) for name in wrt}
        )
        (gradient,) = pullback(jnp.ones_like(values))
        return jnp.stack([values, *(gradient[name] for name in wrt)], axis=1)

    return jax.jit(lambda p: map_blocks(at_events, {"momenta": p}, block))
