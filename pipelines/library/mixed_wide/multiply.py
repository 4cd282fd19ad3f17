"""The second step, in JAX."""

from collections.abc import Mapping

from jax import Array


def multiply(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """The product of the sum and b."""
    return {"product": inputs["sum"] * inputs["b"]}
