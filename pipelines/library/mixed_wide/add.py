"""The first step, in PyTorch."""

from collections.abc import Mapping

from torch import Tensor


def add(
    parameters: Mapping[str, Tensor],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """a + b, and b again."""
    a, b = inputs["a"], inputs["b"]
    return {"sum": a + b, "b": b}
