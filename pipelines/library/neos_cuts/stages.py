"""What is special to the toy with cuts: coordinates, and yields made templates of one bin."""

from collections.abc import Mapping

from jax import Array


def coordinates(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """The columns <blob>_x and <blob>_y (event,) of points (event, 2) of blobs, by name."""
    columns = {f"{name}_x": points[:, 0] for name, points in inputs.items()}
    return columns | {f"{name}_y": points[:, 1] for name, points in inputs.items()}


def counts(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
    *,
    yields: Mapping[str, float],
) -> dict[str, Array]:
    """Expected events that pass, (1,) of each blob: by name with soft cuts, hard_<name> with hard.

    Inputs: by name, yields (2, 1 + cuts) of the stage `selection`, for each blob. Option: yields,
    {blob: expected events before the cuts}.
    """
    passed = {name: inputs[name][:, -1] / inputs[name][:, 0] for name in yields}
    soft = {name: events * passed[name][:1] for name, events in yields.items()}
    return soft | {f"hard_{name}": events * passed[name][1:] for name, events in yields.items()}
