"""The first step, in PyTorch."""

from collections.abc import Mapping

from torch import Tensor


def add(
    parameters: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],  # noqa: ARG001  a stage takes both
) -> dict[str, Tensor]:
    """a + b, and b again."""
    a, b = parameters["a"], parameters["b"]
    return {"sum": a + b, "b": b}
